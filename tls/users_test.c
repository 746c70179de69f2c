/* SPDX-License-Identifier: Apache-2.0 */
/* The file that says whom a client's certificate stands for. */
#include "tls/users.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/harness.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static struct pel_error error;

static struct pel_users *parse(const char *text, size_t len)
{
    struct pel_users *users = NULL;
    const struct pel_pem pem = {(const uint8_t *)text, len, "ring/users"};
    error.text[0] = '\0';
    enum pel_err err = pel_users_parse(&pem, &users, &error);
    PEL_EXPECT((err == PEL_OK) == (users != NULL));
    PEL_EXPECT(err == PEL_OK || err == PEL_E_KEYRING_USERS);
    return users;
}

PEL_TEST(users, by_fingerprint_and_by_subject)
{
    static const char text[] =
        "# who is who\n\n"
        "alice sha256:" ZEROS "\r\n"
        "  bob\tsubject:CN=bob,O=Example Ltd  \n"
        "carol sha256:01:02030405060708090a0b0c0d0e0F101112131415161718191a1b1c1d1e1f20\n"
        "carol subject:CN=carol";
    uint8_t zeros[32] = {0}, counted[32], other[32] = {9};
    for (uint8_t i = 0; i < 32; i++)
        counted[i] = (uint8_t)(i + 1);
    struct pel_users *users = parse(text, sizeof text - 1);
    PEL_REQUIRE(users != NULL);
    PEL_EXPECT_STR(pel_users_find(users, zeros, "CN=bob,O=Example Ltd"), "alice"); /* the fingerprint first */
    PEL_EXPECT_STR(pel_users_find(users, counted, ""), "carol");
    PEL_EXPECT_STR(pel_users_find(users, other, "CN=bob,O=Example Ltd"), "bob");
    PEL_EXPECT_STR(pel_users_find(users, other, "CN=carol"), "carol");
    PEL_EXPECT(pel_users_find(users, other, "CN=bob") == NULL);
    PEL_EXPECT(pel_users_find(users, other, "CN=bob,O=Example Ltd ") == NULL);
    PEL_EXPECT(pel_users_find(users, other, "") == NULL);
    PEL_EXPECT(pel_users_find(NULL, zeros, "CN=bob") == NULL);
    pel_users_free(users);
}

PEL_TEST(users, a_subject_that_may_have_been_cut_is_nobodys)
{
    static char text[1200], subject[1100];
    uint8_t other[32] = {9};
    memset(subject, 'x', 1021);
    snprintf(text, sizeof text, "long subject:%s", subject);
    struct pel_users *users = parse(text, strlen(text));
    PEL_REQUIRE(users != NULL);
    PEL_EXPECT_STR(pel_users_find(users, other, subject), "long");
    memset(subject, 'x', 1023);
    PEL_EXPECT(pel_users_find(users, other, subject) == NULL);
    pel_users_free(users);
}

PEL_TEST(users, nobody_at_all)
{
    uint8_t zeros[32] = {0};
    struct pel_users *users = parse("# none\n", 7);
    PEL_REQUIRE(users != NULL);
    PEL_EXPECT(pel_users_find(users, zeros, "CN=x") == NULL);
    pel_users_free(users);
}

PEL_TEST(users, lines_that_are_none)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"alice\n", "ring/users:1: behind the user's name sha256:FINGERPRINT or subject:CN=… is wanted"},
        {"\n#\nalice md5:00\n",
         "ring/users:3: behind the user's name sha256:FINGERPRINT or subject:CN=… is wanted"},
        {"sha256:" ZEROS "\n", "ring/users:1: a user's name has at most 32 characters"},
        {"sha256:00\n",
         "ring/users:1: a line begins with a user's name: USER sha256:FINGERPRINT or USER subject:CN=…"},
        {"a sha256:00\n",
         "ring/users:1: a fingerprint is 64 hex digits, colons between pairs of them or not"},
        {"a sha256:" ZEROS "0\n",
         "ring/users:1: a fingerprint is 64 hex digits, colons between pairs of them or not"},
        {"a sha256:0:" ZEROS "\n",
         "ring/users:1: a fingerprint is 64 hex digits, colons between pairs of them or not"},
        {"a subject:\n",
         "ring/users:1: a subject has 1 to 1022 characters, as in subject:CN=alice,O=Example"},
        {"a sha256:" ZEROS "\nb subject:x\nc sha256:" ZEROS "\n",
         "ring/users:3: the same certificate is c's here and a's on line 1"},
        {"a subject:CN=x\nb subject:CN=x\n",
         "ring/users:2: the same certificate is b's here and a's on line 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        PEL_EXPECT(parse(rows[i].text, strlen(rows[i].text)) == NULL);
        PEL_EXPECT_STR(error.text, rows[i].message);
    }
    PEL_EXPECT(parse("a subject:x\0y", 13) == NULL);
    PEL_EXPECT_STR(error.text, "ring/users:1: a NUL byte");
}

/* Every byte of a good file changed, and every length of it. */
PEL_TEST(users, mutations_are_survived)
{
    static const char good[] = "alice sha256:" ZEROS "\nbob subject:CN=bob\n";
    for (size_t at = 0; at < sizeof good - 1; at++) {
        for (int byte = 0; byte < 256; byte += 7) {
            char *text = malloc(sizeof good - 1); /* of just that length, for ASan */
            memcpy(text, good, sizeof good - 1);
            text[at] = (char)byte;
            pel_users_free(parse(text, sizeof good - 1));
            free(text);
        }
        char *text = malloc(at + 1);
        memcpy(text, good, at);
        pel_users_free(parse(text, at));
        free(text);
    }
}
