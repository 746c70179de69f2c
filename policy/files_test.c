/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/files.h"

#include <fcntl.h>
#include <pellucid/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/testing.h"
#include "tests/harness/harness.h"

static void expect_refused(const char *path, enum pel_err expected, const char *why)
{
    char *text = NULL, message[600];
    size_t text_len = 0;
    struct pel_error error = {0};
    PEL_EXPECT_ERR(pel_policy_read_file(path, &text, &text_len, &error), expected);
    snprintf(message, sizeof message, "%s: %s", path, why);
    PEL_EXPECT_STR(error.text, message);
    PEL_EXPECT(text == NULL);
}

PEL_TEST(files, only_regular_ones_are_read)
{
    char folder[] = "/tmp/pel-policy-XXXXXX", path[100];
    PEL_REQUIRE(mkdtemp(folder) != NULL);
    expect_refused(folder, PEL_E_ARG, "a directory, not a policy file");
    snprintf(path, sizeof path, "%s/none", folder);
    expect_refused(path, PEL_E_NOT_FOUND, "No such file or directory");
    snprintf(path, sizeof path, "%s/fifo", folder);
    PEL_REQUIRE(mkfifo(path, 0600) == 0);
    expect_refused(path, PEL_E_ARG, "not a regular file, not a policy file");
    unlink(path);
    snprintf(path, sizeof path, "%s/large", folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    PEL_REQUIRE(fd >= 0 && ftruncate(fd, (off_t)PEL_POLICY_FILE_MAX_BYTES + 1) == 0);
    close(fd);
    expect_refused(path, PEL_E_TOO_BIG, "134217729 bytes; a policy file has at most 134217728");
    unlink(path);
    rmdir(folder);
}

PEL_TEST(files, several_are_one_policy)
{
    static const char *const paths[] = {PEL_TEST_DATA "/rules.policy", PEL_TEST_DATA "/actions.policy"};
    static struct pel_parsed parsed;
    struct pel_error error = {0};
    memset(&parsed, 0, sizeof parsed);
    PEL_EXPECT_ERR(
        pel_policy_load_files(paths, 2, NULL, pel_test_note, &parsed, &parsed.policy, NULL, NULL, &error),
        PEL_OK);
    PEL_EXPECT_STR(parsed.said, "");
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_EQ(pel_policy_num_rules(parsed.policy), 3);
    PEL_EXPECT_STR(pel_policy_rule(parsed.policy, 0)->name, "Admin");
    pel_test_drop(&parsed);
    PEL_EXPECT_ERR(
        pel_policy_load_files(paths, 1, NULL, pel_test_note, &parsed, &parsed.policy, NULL, NULL, &error),
        PEL_E_POLICY_SYNTAX);
    PEL_EXPECT(parsed.policy == NULL);
}

static void count_message(void *arg, const struct pel_policy_message *message)
{
    size_t *nums = arg;
    nums[message->severity]++;
}

PEL_TEST(files, check_and_strict)
{
    static const char *const paths[] = {PEL_TEST_DATA "/warnings.policy"};
    static const char *const none[] = {PEL_TEST_DATA "/none.policy"};
    static const struct pel_policy_options strict = {.flags = PEL_POLICY_CHECK_STRICT};
    struct pel_policy_summary summary = {0};
    struct pel_error error = {0};
    size_t nums[3] = {0}; /* notes, warnings, errors */
    PEL_EXPECT_ERR(pel_policy_check(paths, 1, NULL, count_message, nums, &summary, &error), PEL_OK);
    PEL_EXPECT_EQ(nums[0], 1);
    PEL_EXPECT_EQ(nums[1], 1);
    PEL_EXPECT_EQ(nums[2], 0);
    PEL_EXPECT_EQ(summary.num_rules, 1);
    PEL_EXPECT_EQ(summary.num_warnings, 1);
    PEL_EXPECT_EQ(summary.num_notes, 1);
    nums[0] = nums[1] = 0;
    PEL_EXPECT_ERR(pel_policy_check(paths, 1, &strict, count_message, nums, &summary, &error),
                   PEL_E_POLICY_SYNTAX);
    PEL_EXPECT_EQ(nums[0], 1); /* a note stays one */
    PEL_EXPECT_EQ(nums[1], 0);
    PEL_EXPECT_EQ(nums[2], 1);
    PEL_EXPECT_EQ(summary.num_rules, 0);
    PEL_EXPECT_EQ(summary.num_errors, 1);
    PEL_EXPECT_ERR(pel_policy_check(none, 1, NULL, count_message, nums, NULL, &error), PEL_E_NOT_FOUND);
    PEL_EXPECT_HAS(error.text, "none.policy: No such file or directory");
}
