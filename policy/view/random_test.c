/* SPDX-License-Identifier: Apache-2.0 */
/* Policies drawn at random: what is written of one, as text or as image, is the same policy again. */
#include <pellucid/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/ciphers.h"
#include "policy/effective.h"
#include "policy/view/image.h"
#include "policy/view/settings_list.h"
#include "policy/testing.h"
#include "policy/view/testing_random.h"
#include "policy/view/trial.h"
#include "policy/view/write.h"
#include "tests/harness/harness.h"

enum { NUM_POLICIES = 600, NUM_QUERIES = 200 };

static struct pel_parsed parsed, again;

static enum pel_err add_text(void *arg, const char *text, size_t text_len)
{
    pel_out_add(arg, text, text_len);
    return PEL_OK;
}

static void add_setting(void *arg, const struct pel_policy_setting *setting)
{
    struct pel_out *out = arg;
    pel_out_text(out, setting->statement);
    pel_out_text(out, ".");
    pel_out_text(out, setting->name);
    pel_out_text(out, "=");
    pel_out_text(out, setting->value != NULL ? setting->value : "(none)");
    pel_out_text(out, setting->is_default ? " default " : " ");
    pel_out_text(out, setting->from);
    pel_out_text(out, setting->note != NULL ? setting->note : "");
    pel_out_text(out, "\n");
}

/* All that a policy comes to, as text. */
static void describe(const struct pel_policy *policy, uint64_t seed, struct pel_out *out)
{
    struct pel_random random = {seed};
    pel_out_clear(out);
    for (size_t i = 0; i < pel_policy_count(policy); i++) {
        struct pel_policy_info info;
        PEL_EXPECT_ERR(pel_policy_describe(policy, i, &info), PEL_OK);
        pel_out_format(out, "%s %u %s %d%d\n", info.name, info.priority,
                       pel_policy_verdict_text(info.verdict), info.inbound, info.outbound);
        PEL_EXPECT_ERR(pel_policy_settings(policy, i, PEL_POLICY_SETTINGS_ALL | PEL_POLICY_SETTINGS_SECRETS,
                                           add_setting, out),
                       PEL_OK);
    }
    for (int i = 0; i < NUM_QUERIES; i++) {
        struct pel_policy_query query = pel_random_query(&random);
        const struct pel_rule *rule = pel_policy_lookup(policy, &query);
        pel_out_format(out, "%d %s\n", i, rule != NULL ? rule->name : "-");
    }
}

static void expect_same_policy(const struct pel_policy *policy, const struct pel_policy *other, uint64_t seed,
                               const char *how)
{
    struct pel_out one = {0}, two = {0};
    size_t num_changes = 1;
    describe(policy, seed, &one);
    describe(other, seed, &two);
    if (strcmp(one.text, two.text) != 0) {
        size_t at = 0;
        while (one.text[at] == two.text[at])
            at++;
        at = at > 60 ? at - 60 : 0;
        pel_test_fail(__FILE__, __LINE__, "seed %llu, %s: \"%.160s\" became \"%.160s\"",
                      (unsigned long long)seed, how, one.text + at, two.text + at);
    }
    PEL_EXPECT_ERR(pel_policy_diff(policy, other, NULL, NULL, &num_changes), PEL_OK);
    PEL_EXPECT_EQ(num_changes, 0);
    pel_out_free(&one);
    pel_out_free(&two);
}

/* Draws policies until one loads. */
static void draw(struct pel_random *random, struct pel_out *text, bool comments, unsigned *num_refused)
{
    for (;;) {
        pel_out_clear(text);
        pel_random_policy(random, text, comments);
        pel_test_parse_len(&parsed, text->text, text->len);
        if (parsed.policy != NULL)
            return;
        if (++*num_refused > 4 * NUM_POLICIES) {
            pel_test_fail(__FILE__, __LINE__, "too many policies do not load: %.2000s", parsed.said);
            exit(1);
        }
    }
}

static uint64_t first_seed(void)
{
    const char *seed = getenv("PEL_SEED");
    uint64_t number = seed != NULL ? strtoull(seed, NULL, 0) : 20241223;
    printf("seed %llu (PEL_SEED)\n", (unsigned long long)number);
    return number;
}

PEL_TEST(random, written_text_is_the_same_policy)
{
    struct pel_random random = {first_seed()};
    struct pel_out text = {0}, written = {0}, rewritten = {0};
    unsigned num_refused = 0;
    for (int i = 0; i < NUM_POLICIES && !pel_test_has_failed(); i++) {
        draw(&random, &text, i % 2 == 1, &num_refused);
        pel_out_clear(&written);
        pel_out_clear(&rewritten);
        PEL_EXPECT_ERR(pel_policy_write(parsed.policy, add_text, &written), PEL_OK);
        pel_test_parse(&again, written.text);
        if (again.policy == NULL) {
            pel_test_fail(__FILE__, __LINE__, "what was written does not load: %.400s", again.said);
        } else {
            expect_same_policy(parsed.policy, again.policy, random.state, "as text");
            PEL_EXPECT_ERR(pel_policy_write(again.policy, add_text, &rewritten), PEL_OK);
            PEL_EXPECT(strcmp(written.text, rewritten.text) == 0);
        }
        pel_test_drop(&parsed);
        pel_test_drop(&again);
    }
    printf("%u policies were refused\n", num_refused);
    pel_out_free(&text);
    pel_out_free(&written);
    pel_out_free(&rewritten);
}

PEL_TEST(random, an_image_is_the_same_policy)
{
    struct pel_random random = {first_seed() + 1};
    struct pel_out text = {0}, image = {0}, one = {0}, two = {0};
    struct pel_error error = {0};
    unsigned num_refused = 0;
    for (int i = 0; i < NUM_POLICIES && !pel_test_has_failed(); i++) {
        struct pel_policy *policy = NULL;
        draw(&random, &text, i % 2 == 1, &num_refused);
        pel_out_clear(&image);
        pel_out_clear(&one);
        pel_out_clear(&two);
        PEL_EXPECT_ERR(pel_policy_write_image(parsed.policy, add_text, &image), PEL_OK);
        PEL_EXPECT(pel_image_recognise(image.text, image.len));
        if (pel_image_read("i", image.text, image.len, NULL, &policy, &error) != PEL_OK) {
            pel_test_fail(__FILE__, __LINE__, "%s", error.text);
        } else {
            expect_same_policy(parsed.policy, policy, random.state, "as image");
            PEL_EXPECT_ERR(pel_policy_write(parsed.policy, add_text, &one), PEL_OK);
            PEL_EXPECT_ERR(pel_policy_write(policy, add_text, &two), PEL_OK);
            PEL_EXPECT(strcmp(one.text, two.text) == 0);
        }
        pel_policy_unref(policy);
        pel_test_drop(&parsed);
    }
    pel_out_free(&text);
    pel_out_free(&image);
    pel_out_free(&one);
    pel_out_free(&two);
}

static size_t count(const char *text, const char *part)
{
    size_t num = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part))
        num++;
    return num;
}

/* Formats `text`, and returns the comments that went. */
static void format(const struct pel_out *text, const struct pel_policy *policy, struct pel_out *out)
{
    struct pel_policy_source source = {.file = "t.policy", .text = text->text, .text_len = text->len};
    struct pel_arena scratch = {0};
    struct pel_comments comments;
    pel_out_clear(out);
    PEL_EXPECT_ERR(pel_comments_find(&scratch, &source, 1, &comments), PEL_OK);
    PEL_EXPECT_ERR(pel_write_model(policy->model, &comments, add_text, out), PEL_OK);
    PEL_EXPECT_EQ(count(out->text, "#"), count(text->text, "#"));
    pel_arena_free(&scratch);
}

PEL_TEST(random, formatting_keeps_comments_and_is_done_once)
{
    struct pel_random random = {first_seed() + 2};
    struct pel_out text = {0}, once = {0}, twice = {0};
    unsigned num_refused = 0;
    for (int i = 0; i < NUM_POLICIES && !pel_test_has_failed(); i++) {
        draw(&random, &text, true, &num_refused);
        format(&text, parsed.policy, &once);
        pel_test_parse_len(&again, once.text, once.len);
        if (again.policy == NULL) {
            pel_test_fail(__FILE__, __LINE__, "what was formatted does not load: %.400s", again.said);
        } else {
            expect_same_policy(parsed.policy, again.policy, random.state, "formatted");
            format(&once, again.policy, &twice);
            if (strcmp(once.text, twice.text) != 0)
                pel_test_fail(__FILE__, __LINE__, "seed %llu: formatted twice",
                              (unsigned long long)random.state);
        }
        pel_test_drop(&parsed);
        pel_test_drop(&again);
    }
    pel_out_free(&text);
    pel_out_free(&once);
    pel_out_free(&twice);
}

PEL_TEST(random, why_not_agrees_with_the_matcher)
{
    struct pel_random random = {first_seed() + 3};
    struct pel_out text = {0}, reason = {0};
    unsigned num_refused = 0, num_matches = 0;
    for (int i = 0; i < NUM_POLICIES && !pel_test_has_failed(); i++) {
        draw(&random, &text, false, &num_refused);
        for (int j = 0; j < NUM_QUERIES; j++) {
            struct pel_policy_query query = pel_random_query(&random);
            const struct pel_rule *rule = pel_policy_lookup(parsed.policy, &query), *first = NULL;
            for (size_t k = 0; k < pel_policy_count(parsed.policy) && first == NULL; k++) {
                if (pel_trial_explain(parsed.policy, k, &query, &reason))
                    first = pel_policy_rule(parsed.policy, k);
                else
                    PEL_EXPECT(reason.len > 0);
            }
            PEL_EXPECT(first == rule);
            num_matches += rule != NULL;
        }
        pel_test_drop(&parsed);
    }
    PEL_EXPECT(num_matches > 1000);
    pel_out_free(&text);
    pel_out_free(&reason);
}

/* ---- Differences ---- */

static size_t num_differences(const struct pel_settings_list *a, const struct pel_settings_list *b, bool also)
{
    size_t num = 0;
    for (size_t i = 0; i < a->num; i++) {
        const struct pel_kept_setting *setting = &a->settings[i];
        const struct pel_kept_setting *other = pel_settings_find(b, setting->row->name, i);
        const char *one = pel_settings_text(a, setting), *two = pel_settings_text(b, other);
        if (other == NULL)
            num += !setting->is_default;
        else if (also && (one == NULL || two == NULL))
            num += one != two;
        else if (also) /* users and jobs without case */
            num += (setting->row->type == PEL_V_PATTERN ? strcasecmp(one, two) : strcmp(one, two)) != 0;
    }
    return num;
}

static void read_all(const struct pel_policy *policy, size_t index, struct pel_settings_list *list)
{
    pel_settings_clear(list);
    PEL_EXPECT_ERR(pel_settings_walk(policy, index, PEL_SETTINGS_CONDITIONS | PEL_SETTINGS_ACTIONS,
                                     pel_settings_keep, list),
                   PEL_OK);
}

static void count_settings(void *arg, const struct pel_policy_change *change)
{
    *(size_t *)arg += change->kind == PEL_POLICY_CHANGE_SETTING;
}

/* Every setting of every rule of one name, one by one. */
static void expect_differences(const struct pel_policy *before, const struct pel_policy *after, uint64_t seed)
{
    struct pel_settings_list one = {0}, two = {0};
    size_t expected = 0, found = 0;
    for (size_t i = 0; i < pel_policy_count(before); i++) {
        for (size_t j = 0; j < pel_policy_count(after); j++) {
            if (strcmp(pel_policy_rule(before, i)->name, pel_policy_rule(after, j)->name) != 0)
                continue;
            read_all(before, i, &one);
            read_all(after, j, &two);
            expected += num_differences(&one, &two, true) + num_differences(&two, &one, false);
        }
    }
    PEL_EXPECT_ERR(pel_policy_diff(before, after, count_settings, &found, NULL), PEL_OK);
    if (found != expected)
        pel_test_fail(__FILE__, __LINE__, "seed %llu: %zu changes, not %zu", (unsigned long long)seed, found,
                      expected);
    pel_settings_free(&one);
    pel_settings_free(&two);
}

/* Takes one line out, or puts one of another's place in. */
static void mutate(struct pel_random *random, const struct pel_out *text, struct pel_out *out)
{
    size_t at = pel_random_below(random, (uint32_t)text->len);
    const char *start = text->text + at, *end = strchr(start, '\n');
    while (start > text->text && start[-1] != '\n')
        start--;
    end = end != NULL ? end + 1 : text->text + text->len;
    pel_out_clear(out);
    pel_out_add(out, text->text, (size_t)(start - text->text));
    pel_out_text(out, end);
}

PEL_TEST(random, differences_are_those_of_the_settings)
{
    struct pel_random random = {first_seed() + 5};
    struct pel_out text = {0}, mutated = {0};
    unsigned num_refused = 0, num_compared = 0;
    for (int i = 0; i < NUM_POLICIES && !pel_test_has_failed(); i++) {
        draw(&random, &text, false, &num_refused);
        if (i % 4 == 0) {
            pel_out_clear(&mutated);
            pel_random_policy(&random, &mutated, false);
        } else {
            mutate(&random, &text, &mutated);
        }
        pel_test_parse_len(&again, mutated.text, mutated.len);
        if (again.policy != NULL) {
            expect_differences(parsed.policy, again.policy, random.state);
            num_compared++;
        }
        pel_test_drop(&parsed);
        pel_test_drop(&again);
    }
    PEL_EXPECT(num_compared > NUM_POLICIES / 3);
    pel_out_free(&text);
    pel_out_free(&mutated);
}

/* ---- What is shown and what is compiled ---- */

static const char *shown(const struct pel_settings_list *list, const char *name)
{
    return pel_settings_text(list, pel_settings_find(list, name, 0));
}

static void expect_text(const char *name, const char *value, const char *compiled)
{
    bool same = value == NULL || compiled == NULL ? value == compiled : strcmp(value, compiled) == 0;
    if (!same)
        pel_test_fail(__FILE__, __LINE__, "%s is shown as %s and compiled as %s", name,
                      value != NULL ? value : "(none)", compiled != NULL ? compiled : "(none)");
}

static void expect_number(const char *name, const char *value, unsigned long compiled)
{
    char text[24];
    snprintf(text, sizeof text, "%lu", compiled);
    expect_text(name, value, text);
}

static void expect_agreement(const struct pel_effective *e, const struct pel_settings_list *list)
{
    static const char *const roles[] = {"Client", "Server", "ServerWithClientAuth"};
    static const char *const types[] = {"PassThru", "Full", "Required", "SAFCheck"};
    static const char *const versions[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    struct pel_out labels = {0}, suites = {0};
    expect_text("TTLSEnabled", shown(list, "TTLSEnabled"), e->ttls_enabled ? "On" : "Off");
    expect_number("Trace", shown(list, "Trace"), e->trace);
    if (!e->ttls_enabled)
        return;
    expect_text("HandshakeRole", shown(list, "HandshakeRole"), roles[e->role]);
    expect_text("ClientAuthType", shown(list, "ClientAuthType"), types[e->client_auth]);
    expect_text("ApplicationControlled", shown(list, "ApplicationControlled"),
                e->application_controlled ? "On" : "Off");
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        expect_text(versions[i], shown(list, versions[i]), (e->versions >> i & 1) != 0 ? "On" : "Off");
    for (size_t i = 0; i < e->num_ciphers; i++) {
        pel_out_text(&suites, i > 0 ? "\n" : "");
        pel_out_text(&suites, pel_cipher_by_code(e->ciphers[i])->name);
    }
    expect_text("V3CipherSuites4Char", shown(list, "V3CipherSuites4Char"),
                e->num_ciphers > 0 ? suites.text : NULL);
    pel_out_free(&suites);
    expect_number("HandshakeTimeout", shown(list, "HandshakeTimeout"), e->handshake_timeout_s);
    expect_text("Keyring", shown(list, "Keyring"), e->keyring);
    expect_text("KeyringPw", shown(list, "KeyringPw"), e->keyring_pw);
    expect_text("CertificateLabel", shown(list, "CertificateLabel"), e->certificate_label);
    expect_text("HostReferenceIdDNS", shown(list, "HostReferenceIdDNS"), e->host_reference_dns);
    expect_text("HostReferenceIdCN", shown(list, "HostReferenceIdCN"), e->host_reference_cn);
    for (size_t i = 0; i < e->num_server_certificate_labels; i++) {
        pel_out_text(&labels, i > 0 ? "\n" : "");
        pel_out_text(&labels, e->server_certificate_labels[i]);
    }
    expect_text("ServerCertificateLabel", shown(list, "ServerCertificateLabel"),
                e->num_server_certificate_labels > 0 ? (labels.text != NULL ? labels.text : "") : NULL);
    pel_out_free(&labels);
}

PEL_TEST(random, what_is_shown_is_what_is_compiled)
{
    struct pel_random random = {first_seed() + 4};
    struct pel_out text = {0};
    struct pel_settings_list list = {0};
    unsigned num_refused = 0, num_enabled = 0;
    for (int i = 0; i < NUM_POLICIES && !pel_test_has_failed(); i++) {
        draw(&random, &text, false, &num_refused);
        for (size_t j = 0; j < pel_policy_count(parsed.policy); j++) {
            const struct pel_effective *effective = &pel_policy_rule(parsed.policy, j)->effective;
            pel_settings_clear(&list);
            PEL_EXPECT_ERR(
                pel_settings_walk(parsed.policy, j, PEL_SETTINGS_ACTIONS, pel_settings_keep, &list), PEL_OK);
            expect_agreement(effective, &list);
            num_enabled += effective->ttls_enabled;
        }
        pel_test_drop(&parsed);
    }
    PEL_EXPECT(num_enabled > NUM_POLICIES / 2);
    pel_settings_free(&list);
    pel_out_free(&text);
}
