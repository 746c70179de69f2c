/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation fails once: the answer is NO_MEMORY, and nothing leaks or breaks (the sanitizers watch).
 * */
#include <stdlib.h>
#include <string.h>

#include "policy/arena.h"
#include "policy/files.h"
#include "policy/view/keep.h"
#include "policy/view/image.h"
#include "policy/view/out.h"
#include "policy/testing.h"
#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"

void *__real_pel_arena_alloc(struct pel_arena *arena, size_t len);
char *__real_pel_arena_strndup(struct pel_arena *arena, const char *text, size_t text_len);
void *__wrap_pel_arena_alloc(struct pel_arena *arena, size_t len);
char *__wrap_pel_arena_strndup(struct pel_arena *arena, const char *text, size_t text_len);

/* An arena asks malloc only now and then; each of its own allocations fails in its turn as well. */
void *__wrap_pel_arena_alloc(struct pel_arena *arena, size_t len)
{
    return failmalloc_fails() ? NULL : __real_pel_arena_alloc(arena, len);
}

char *__wrap_pel_arena_strndup(struct pel_arena *arena, const char *text, size_t text_len)
{
    return failmalloc_fails() ? NULL : __real_pel_arena_strndup(arena, text, text_len);
}

static void fail_each(const char *const *paths, size_t num_paths, enum pel_err expected, long at_least)
{
    static struct pel_parsed parsed;
    for (long nth = 0;; nth++) {
        memset(&parsed, 0, sizeof parsed);
        failmalloc_arm((uint64_t)nth + 1);
        struct pel_policy_files files = {0};
        enum pel_err err = pel_policy_load_files(paths, num_paths, NULL, pel_test_note, &parsed,
                                                 &parsed.policy, NULL, &files, NULL);
        pel_policy_files_free(&files);
        bool failed = failmalloc_disarm();
        PEL_EXPECT((parsed.policy != NULL) == (err == PEL_OK));
        pel_test_drop(&parsed);
        if (!failed) {
            PEL_EXPECT_ERR(err, expected);
            if (nth < at_least)
                pel_test_fail(__FILE__, __LINE__, "%s: only %ld allocations", paths[0], nth);
            return;
        }
        if (err != PEL_E_NO_MEMORY)
            pel_test_fail(__FILE__, __LINE__, "allocation %ld failed, and the answer was %s", nth,
                          pel_err_name(err));
        if (pel_test_has_failed())
            return;
    }
}

PEL_TEST(alloc, each_one_fails_once)
{
    static const char *const good[] = {PEL_TEST_DATA "/rules.policy", PEL_TEST_DATA "/actions.policy"};
    static const char *const bad[] = {PEL_TEST_DATA "/rules.policy", PEL_TEST_DATA "/warnings.policy"};
    static const char *const every[] = {PEL_TEST_DATA "/every.policy"};
    static const char *const agent[] = {PEL_TEST_DATA "/agent/pagent.conf"};
    fail_each(agent, 1, PEL_OK, 30);
    fail_each(good, 2, PEL_OK, 50);
    fail_each(bad, 2, PEL_E_POLICY_SYNTAX, 50);
    fail_each(every, 1, PEL_OK, 50);
}

/* ---- A policy looked at ---- */

static struct pel_policy *every, *rules, *others;
static struct pel_out image;

/* Outputs of no memory of their own, so that only the view's allocations are counted. */
static enum pel_err drop_text(void *arg, const char *text, size_t text_len)
{
    return PEL_OK;
}

static void drop_setting(void *arg, const struct pel_policy_setting *setting)
{
}

static void drop_trial(void *arg, const struct pel_policy_trial *trial)
{
}

static enum pel_err add_text(void *arg, const char *text, size_t text_len)
{
    pel_out_add(arg, text, text_len);
    return PEL_OK;
}

static enum pel_err view_settings(void)
{
    return pel_policy_settings(every, 0, PEL_POLICY_SETTINGS_ALL, drop_setting, NULL);
}

static enum pel_err view_match(void)
{
    struct pel_policy_connection connection = {.local.ss_family = AF_INET, .remote.ss_family = AF_INET};
    struct pel_policy_outcome outcome;
    return pel_policy_match(every, &connection, drop_trial, NULL, &outcome);
}

static enum pel_err view_text(void)
{
    return pel_policy_write(every, drop_text, NULL);
}

static enum pel_err view_image(void)
{
    return pel_policy_write_image(every, drop_text, NULL);
}

static enum pel_err view_report(void)
{
    return pel_policy_pasearch_rule(every, 0, 0, drop_text, NULL);
}

static enum pel_err view_report_head(void)
{
    return pel_policy_pasearch_head(0, 0, drop_text, NULL);
}

static enum pel_err view_diff(void)
{
    return pel_policy_diff(every, rules, NULL, NULL, NULL);
}

static enum pel_err view_format(void)
{
    char *text = NULL;
    size_t text_len;
    int is_same;
    enum pel_err err =
        pel_policy_format(PEL_TEST_DATA "/every.policy", NULL, NULL, &text, &text_len, &is_same, NULL);
    free(text);
    return err;
}

static enum pel_err view_keep(void)
{
    struct pel_policy_kept kept = {0};
    enum pel_err err = pel_policy_keep(every, others, "kept", &kept);
    pel_policy_kept_free(&kept);
    return err;
}

static enum pel_err read_image(void)
{
    struct pel_policy *policy = NULL;
    enum pel_err err = pel_image_read("i", image.text, image.len, NULL, &policy, NULL);
    pel_policy_unref(policy);
    return err;
}

PEL_TEST(alloc, each_one_of_a_view_fails_once)
{
    static const char *const every_path[] = {PEL_TEST_DATA "/every.policy"};
    static const char *const changed_path[] = {PEL_TEST_DATA "/changed.policy"};
    static const char *const others_path[] = {PEL_TEST_DATA "/rules.policy", PEL_TEST_DATA "/actions.policy"};
    static const struct {
        const char *name;
        enum pel_err (*view)(void);
        uint64_t at_least;
    } views[] = {{"settings", view_settings, 5}, {"match", view_match, 1},    {"text", view_text, 10},
                 {"image", view_image, 10},      {"report", view_report, 5},  {"head", view_report_head, 1},
                 {"diff", view_diff, 10},        {"format", view_format, 50}, {"read", read_image, 50},
                 {"keep", view_keep, 5}};
    PEL_EXPECT_ERR(pel_policy_open(every_path, 1, NULL, NULL, NULL, &every, NULL, NULL), PEL_OK);
    PEL_EXPECT_ERR(pel_policy_open(changed_path, 1, NULL, NULL, NULL, &rules, NULL, NULL), PEL_OK);
    PEL_EXPECT_ERR(pel_policy_open(others_path, 2, NULL, NULL, NULL, &others, NULL, NULL), PEL_OK);
    PEL_REQUIRE(every != NULL && rules != NULL && others != NULL);
    PEL_EXPECT_ERR(pel_policy_write_image(every, add_text, &image), PEL_OK);
    for (size_t i = 0; i < sizeof views / sizeof *views && !pel_test_has_failed(); i++) {
        uint64_t nth = 1;
        for (;; nth++) {
            failmalloc_arm(nth);
            enum pel_err err = views[i].view();
            if (!failmalloc_disarm()) {
                PEL_EXPECT_ERR(err, PEL_OK);
                break;
            }
            if (err != PEL_E_NO_MEMORY)
                pel_test_fail(__FILE__, __LINE__, "%s: allocation %llu failed, and the answer was %s",
                              views[i].name, (unsigned long long)nth, pel_err_name(err));
        }
        if (nth <= views[i].at_least)
            pel_test_fail(__FILE__, __LINE__, "%s: only %llu allocations", views[i].name,
                          (unsigned long long)nth - 1);
    }
    pel_policy_close(every);
    pel_policy_close(rules);
    pel_policy_close(others);
    pel_out_free(&image);
}
