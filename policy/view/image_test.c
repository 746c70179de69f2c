/* SPDX-License-Identifier: Apache-2.0 */
/* Images: what is damaged, cut, foreign or made by hand is refused, and says why. */
#include "policy/view/image.h"

#include <fcntl.h>
#include <pellucid/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/files.h"
#include "policy/view/image_inside.h"
#include "policy/view/out.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;
static struct pel_error error;

static enum pel_err add_text(void *arg, const char *text, size_t text_len)
{
    pel_out_add(arg, text, text_len);
    return PEL_OK;
}

static void make_image(struct pel_out *image, const char *text)
{
    pel_out_clear(image);
    pel_test_parse(&parsed, text);
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_ERR(pel_policy_write_image(parsed.policy, add_text, image), PEL_OK);
    pel_test_drop(&parsed);
}

static const char small[] = "TTLSRule R\n{\n  LocalPortRange 443\n  Direction Inbound\n"
                            "  TTLSGroupActionRef G\n  TTLSEnvironmentActionRef E\n}\n" PEL_TEST_ACTIONS;

/* Reads bytes in memory of their exact size, so that the sanitizer sees a read behind the end. */
static enum pel_err read_image(const void *bytes, size_t len)
{
    struct pel_policy *policy = NULL;
    void *copy = malloc(len > 0 ? len : 1);
    PEL_EXPECT(copy != NULL);
    if (copy == NULL)
        return PEL_E_NO_MEMORY;
    memcpy(copy, bytes, len);
    error.text[0] = '\0';
    enum pel_err err = pel_image_read("p.image", copy, len, NULL, &policy, &error);
    PEL_EXPECT((err == PEL_OK) == (policy != NULL));
    pel_policy_unref(policy);
    free(copy);
    return err;
}

/* Changes one byte and makes the checksum right again, as a forger would. */
static void forge(struct pel_out *image, size_t at, unsigned char byte)
{
    unsigned char *bytes = (unsigned char *)image->text;
    bytes[at] = byte;
    uint32_t sum = pel_image_checksum(bytes, image->len);
    for (size_t i = 0; i < 4; i++)
        bytes[PEL_IMAGE_AT_CHECKSUM + i] = (unsigned char)(sum >> (8 * i));
}

PEL_TEST(image, every_flipped_bit_is_found)
{
    struct pel_out image = {0};
    make_image(&image, small);
    PEL_EXPECT_ERR(read_image(image.text, image.len), PEL_OK);
    for (size_t bit = 0; bit < image.len * 8; bit++) {
        image.text[bit / 8] ^= (char)(1 << bit % 8);
        PEL_EXPECT(pel_image_recognise(image.text, image.len));
        PEL_EXPECT_ERR(read_image(image.text, image.len), PEL_E_POLICY_IMAGE);
        PEL_EXPECT(strstr(error.text, "damaged") != NULL || strstr(error.text, "cut short") != NULL);
        image.text[bit / 8] ^= (char)(1 << bit % 8);
    }
    pel_out_free(&image);
}

PEL_TEST(image, every_cut_is_found)
{
    struct pel_out image = {0};
    make_image(&image, small);
    for (size_t len = 0; len < image.len; len++) {
        PEL_EXPECT_ERR(read_image(image.text, len), PEL_E_POLICY_IMAGE);
        PEL_EXPECT_HAS(error.text, "p.image: the image is cut short: ");
    }
    pel_out_add(&image, "x", 1);
    PEL_EXPECT_ERR(read_image(image.text, image.len), PEL_E_POLICY_IMAGE);
    PEL_EXPECT_STR(error.text,
                   "p.image: the image is damaged: its checksum is wrong; compile the policy again");
    pel_out_free(&image);
}

PEL_TEST(image, of_other_releases)
{
    struct pel_out image = {0};
    make_image(&image, small);
    forge(&image, PEL_IMAGE_AT_VERSION, 1);
    PEL_EXPECT_ERR(read_image(image.text, image.len), PEL_E_POLICY_IMAGE);
    PEL_EXPECT_STR(error.text, "p.image: the image is of version 1, and here version 2 is read; compile the "
                               "policy again");
    make_image(&image, small);
    forge(&image, PEL_IMAGE_AT_SCHEMA, (unsigned char)(image.text[PEL_IMAGE_AT_SCHEMA] + 1));
    PEL_EXPECT_ERR(read_image(image.text, image.len), PEL_E_POLICY_IMAGE);
    PEL_EXPECT_STR(error.text, "p.image: the image was compiled by another release, whose language differs; "
                               "compile the policy again");
    pel_out_free(&image);
}

/* With a right checksum, any byte may have any value: an error or a policy, and never more than that. */
PEL_TEST(image, forged_bytes_are_survived)
{
    struct pel_out image = {0};
    size_t num_policies = 0, num_refused = 0;
    make_image(&image, small);
    for (size_t at = PEL_IMAGE_HEADER; at < image.len; at++) {
        unsigned char was = (unsigned char)image.text[at];
        for (unsigned byte = 0; byte < 256; byte++) {
            forge(&image, at, (unsigned char)byte);
            enum pel_err err = read_image(image.text, image.len);
            PEL_EXPECT(err == PEL_OK || err == PEL_E_POLICY_IMAGE);
            PEL_EXPECT(err == PEL_OK || strncmp(error.text, "p.image: the image holds no policy: ", 36) == 0);
            num_policies += err == PEL_OK;
            num_refused += err != PEL_OK;
        }
        forge(&image, at, was);
    }
    PEL_EXPECT(num_policies > 100 && num_refused > 1000);
    pel_out_free(&image);
}

/* Facts by hand, behind a right header. */
static void expect_refused(const void *facts, size_t facts_len, const char *reason)
{
    struct pel_out image = {0};
    char expected[300];
    make_image(&image, "");
    image.len = PEL_IMAGE_HEADER;
    pel_out_add(&image, "\0\0\1\1f", 5); /* no messages; one file, "f" */
    pel_out_add(&image, facts, facts_len);
    image.text[PEL_IMAGE_AT_LENGTH] = (char)image.len;
    forge(&image, PEL_IMAGE_AT_LENGTH + 1, (unsigned char)(image.len >> 8));
    PEL_EXPECT_ERR(read_image(image.text, image.len), PEL_E_POLICY_IMAGE);
    snprintf(expected, sizeof expected, "p.image: the image holds no policy: %s", reason);
    PEL_EXPECT_STR(error.text, expected);
    pel_out_free(&image);
}

#define FACTS(...) (const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__})
#define TOP(type)  PEL_FACT_TOP, type, 0, 1, 1
#define CLOSE      PEL_FACT_CLOSE, 9

PEL_TEST(image, facts_that_cannot_be)
{
    expect_refused(FACTS(9), "it ends too early");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE)), "it ends too early");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 200, 'P'), "it ends too early");
    expect_refused(FACTS(PEL_FACT_TOP, PEL_S_PORT_RANGE, 1, 1, 1, 1, 'P'), "it ends too early");
    expect_refused(FACTS(PEL_FACT_TOP, PEL_S_PORT_RANGE, 0, 0, 1, 1, 'P'), "it ends too early");
    expect_refused(FACTS(0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "it ends too early");
    expect_refused(FACTS(CLOSE), "f:9: a fact out of its place");
    expect_refused(FACTS(PEL_FACT_PARAM, 0, 1, 1, 0), "f:1: a fact out of its place");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 1, 'P', PEL_FACT_END), "it ends too early");
    expect_refused(FACTS(TOP(PEL_S_SKIPPED), 1, 'P'), "f:1: a statement that there is not");
    expect_refused(FACTS(TOP(PEL_S_NR), 1, 'P'), "f:1: a statement that there is not");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 0),
                   "f:1: a statement without a name, with no name, or nested too deep");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 3, 'P', ' ', 'Q'),
                   "f:1: a statement without a name, with no name, or nested too deep");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 1, '{'),
                   "f:1: a statement without a name, with no name, or nested too deep");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 1, 0), "f:1: a NUL byte");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 2, 'P', '\n'), "f:1: a control character");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 2, 'P', '#'), "f:1: a character that no policy has");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 1, 'P', PEL_FACT_PARAM, 99, 2, 1, 1, '5'),
                   "f:2: a parameter that its statement has not");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 1, 'P', PEL_FACT_BLOCK, 0, 2, 1, 0),
                   "f:2: a parameter that its statement has not");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 1, 'P', PEL_FACT_PARAM, 0, 2, 1, 3, '5', ' ', 'x'),
                   "f:2: more than a value");
    expect_refused(FACTS(TOP(PEL_S_PORT_RANGE), 1, 'P', CLOSE, PEL_FACT_END),
                   "f:1: PortRange \"P\": Port is required");
}

struct heard {
    size_t num;
    char text[300];
};

static void hear(void *arg, const struct pel_policy_message *message)
{
    struct heard *heard = arg;
    heard->num++;
    snprintf(heard->text, sizeof heard->text, "%u:%u: %s: %s", message->line, message->column,
             pel_policy_severity_name(message->severity), message->text);
}

static void expect_message(const char *text, const char *expected)
{
    char path[] = "/tmp/pel-image-test-XXXXXX";
    const char *paths[] = {path};
    struct heard heard = {0};
    struct pel_out image = {0};
    struct pel_policy *loaded = NULL;
    make_image(&image, text);
    for (int round = 0; round < 2; round++) { /* of the text, and of the image again */
        int fd = round == 0 ? mkstemp(path) : open(path, O_WRONLY | O_TRUNC);
        PEL_REQUIRE(fd >= 0);
        PEL_EXPECT_EQ(write(fd, image.text, image.len), image.len);
        close(fd);
        heard = (struct heard){0};
        PEL_REQUIRE_OK(pel_policy_open(paths, 1, NULL, hear, &heard, &loaded, NULL, &error));
        PEL_EXPECT_EQ(heard.num, expected[0] != '\0');
        PEL_EXPECT_STR(heard.text, expected);
        pel_out_clear(&image);
        PEL_REQUIRE_OK(pel_policy_write_image(loaded, add_text, &image));
        pel_policy_close(loaded);
    }
    const struct pel_policy_options strict = {.flags = PEL_POLICY_CHECK_STRICT};
    PEL_EXPECT_ERR(pel_policy_check(paths, 1, &strict, NULL, NULL, NULL, &error),
                   strstr(expected, "warning: ") != NULL ? PEL_E_POLICY_SYNTAX : PEL_OK);
    unlink(path);
    pel_out_free(&image);
}

#define WITH(lines)                                                                                          \
    "TTLSRule R\n{\nLocalPortRange 443\nDirection Inbound\nTTLSGroupAction\n{\nTTLSEnabled On\n" lines       \
    "}\nTTLSEnvironmentActionRef E\n}\n" PEL_TEST_ACTIONS

/* Messages are the text's; the image has their number. */
PEL_TEST(image, what_was_said_of_the_text_is_counted)
{
    expect_message(WITH(""), "");
    expect_message(WITH("TTLSEnabled On\nTTLSEnabled On\n"),
                   "1:1: warning: the text of this image had 2 warnings and 0 notes when it was compiled; "
                   "`pel policy check` of the text says them");
    expect_message(WITH("FIPS140 On\n"),
                   "1:1: note: the text of this image had 0 warnings and 1 note when it was compiled; "
                   "`pel policy check` of the text says them");
}

PEL_TEST(image, loads_where_files_do)
{
    static const char *const texts[] = {PEL_TEST_DATA "/rules.policy", PEL_TEST_DATA "/actions.policy"};
    char path[] = "/tmp/pel-image-test-XXXXXX";
    const char *paths[] = {path, PEL_TEST_DATA "/actions.policy"};
    struct pel_out image = {0};
    struct pel_policy *policy = NULL, *loaded = NULL;
    struct pel_policy_summary summary;
    struct pel_policy_info info;
    size_t num_changes = 1;
    int fd = mkstemp(path);
    PEL_REQUIRE(fd >= 0);
    PEL_EXPECT_ERR(pel_policy_open(texts, 2, NULL, NULL, NULL, &policy, NULL, &error), PEL_OK);
    PEL_REQUIRE(policy != NULL);
    PEL_EXPECT_ERR(pel_policy_write_image(policy, add_text, &image), PEL_OK);
    PEL_EXPECT_EQ(write(fd, image.text, image.len), image.len);
    close(fd);
    PEL_EXPECT_ERR(pel_policy_open(paths, 1, NULL, NULL, NULL, &loaded, &summary, &error), PEL_OK);
    PEL_REQUIRE(loaded != NULL);
    PEL_EXPECT_EQ(summary.num_rules, 3);
    PEL_EXPECT_ERR(pel_policy_diff(policy, loaded, NULL, NULL, &num_changes), PEL_OK);
    PEL_EXPECT_EQ(num_changes, 0);
    PEL_EXPECT_ERR(pel_policy_describe(loaded, 0, &info), PEL_OK);
    PEL_EXPECT_STR(info.file, texts[0]); /* places are those of the text */
    PEL_EXPECT_EQ(info.line, 9);
    pel_policy_close(loaded);
    PEL_EXPECT_ERR(pel_policy_check(paths, 2, NULL, NULL, NULL, NULL, &error), PEL_E_ARG);
    PEL_EXPECT_HAS(error.text, ": a compiled policy stands alone, without other files");
    char *text = NULL;
    size_t text_len;
    int is_same;
    PEL_EXPECT_ERR(pel_policy_format(path, NULL, NULL, &text, &text_len, &is_same, &error), PEL_E_ARG);
    PEL_EXPECT_HAS(error.text, ": a compiled policy has no text to format");
    PEL_EXPECT(!pel_policy_has_secrets(policy));
    unlink(path);
    pel_policy_close(policy);
    pel_out_free(&image);
}
