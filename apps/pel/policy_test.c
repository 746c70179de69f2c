/* SPDX-License-Identifier: Apache-2.0 */
/* `pel policy`, with a stack that answers what the test says. */
#include <fcntl.h>
#include <pellucid/control.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "apps/pel/verb.h"
#include "tests/harness/harness.h"

static const char *stack_says;
static char asked[1000], out[8000], err[8000];

/* Stands for the library's. */
enum pel_err pel_control_call(const char *socket_path, const char *request, char **ret_reply,
                              struct pel_error *reterr)
{
    snprintf(asked, sizeof asked, "%s %s", socket_path != NULL ? socket_path : "-", request);
    if (stack_says == NULL) {
        snprintf(reterr->text, sizeof reterr->text, "nothing answers");
        return PEL_E_CONTROL_UNREACHABLE;
    }
    *ret_reply = strdup(stack_says);
    return PEL_OK;
}

/* Sends stream `fd` to an unnamed file, and returns a copy of where it went before. */
static int redirect(int fd, FILE *to)
{
    int before = dup(fd);
    dup2(fileno(to), fd);
    return before;
}

static void take(FILE *from, int fd, int before, char *text, size_t cap)
{
    dup2(before, fd);
    close(before);
    rewind(from);
    text[fread(text, 1, cap - 1, from)] = '\0';
    fclose(from);
}

static int run(const char *const *words)
{
    char *argv[10] = {strdup("pel policy")};
    int argc = 1;
    for (; *words != NULL; words++)
        argv[argc++] = strdup(*words);
    char *all[10];
    memcpy(all, argv, sizeof all);
    FILE *out_file = tmpfile(), *err_file = tmpfile();
    fflush(NULL);
    int old_out = redirect(STDOUT_FILENO, out_file), old_err = redirect(STDERR_FILENO, err_file);
    int status = verb_policy(argc, argv);
    fflush(NULL);
    take(out_file, STDOUT_FILENO, old_out, out, sizeof out);
    take(err_file, STDERR_FILENO, old_err, err, sizeof err);
    for (int i = 0; i < argc; i++)
        free(all[i]);
    return status;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

PEL_TEST(pel_policy, check_says_it_on_both_streams)
{
    PEL_EXPECT_EQ(RUN("check", PEL_TEST_DATA "/warnings.policy"), 0);
    PEL_EXPECT_STR(out, PEL_TEST_DATA "/warnings.policy: ok, 1 rule, 1 warning, 1 note\n");
    PEL_EXPECT_STR(err,
                   PEL_TEST_DATA "/warnings.policy:8:5: note: CtraceClearText: accepted, no effect: packets "
                                 "are not traced, so that clear text is in no trace\n" PEL_TEST_DATA
                                 "/warnings.policy:19:7: warning: TLSv1.1 On: TLS 1.1 is weak\n");
    PEL_EXPECT_EQ(RUN("check", "--strict", PEL_TEST_DATA "/warnings.policy"), 1);
    PEL_EXPECT_STR(out, PEL_TEST_DATA "/warnings.policy: 1 error, nothing would be installed\n");
    PEL_EXPECT_HAS(err, "/warnings.policy:8:5: note: CtraceClearText: accepted, no effect");
    PEL_EXPECT_HAS(err, "/warnings.policy:19:7: error: TLSv1.1 On: TLS 1.1 is weak\n");
    PEL_EXPECT_EQ(RUN("check", PEL_TEST_DATA "/rules.policy", PEL_TEST_DATA "/actions.policy"), 0);
    PEL_EXPECT_STR(out, PEL_TEST_DATA "/rules.policy, " PEL_TEST_DATA
                                      "/actions.policy: ok, 3 rules, 0 warnings\n");
    PEL_EXPECT_STR(err, "");
}

PEL_TEST(pel_policy, check_as_json)
{
    PEL_EXPECT_EQ(RUN("check", "--json", PEL_TEST_DATA "/warnings.policy"), 0);
    PEL_EXPECT_HAS(out, "\"ok\": true");
    PEL_EXPECT_HAS(out, "\"line\": 19");
    PEL_EXPECT_HAS(out, "\"severity\": \"warning\"");
    PEL_EXPECT_HAS(out, "\"severity\": \"note\"");
    PEL_EXPECT_HAS(out, "\"notes\": 1");
    PEL_EXPECT_STR(err, "");
    PEL_EXPECT_EQ(RUN("check", "--json", PEL_TEST_DATA "/none\xff.policy"), 1);
    PEL_EXPECT_HAS(out, "none?.policy: No such file or directory");
}

PEL_TEST(pel_policy, check_follows_an_agents_files)
{
    PEL_EXPECT_EQ(RUN("check", PEL_TEST_DATA "/agent/pagent.conf"), 0);
    PEL_EXPECT_STR(out, PEL_TEST_DATA "/agent/pagent.conf: ok, 2 rules, 1 warning, 4 notes\n");
    PEL_EXPECT_HAS(err, PEL_TEST_DATA "/agent/pagent.conf:6:1: warning: 2 images: the first, \"TCPIP1\", is "
                                      "read; name another to choose it\n");
    PEL_EXPECT_HAS(err, PEL_TEST_DATA "/agent/tcpip1.conf:2:1: note: IPSecConfig: accepted, no effect: only "
                                      "AT-TLS policy is read\n");
    PEL_EXPECT_EQ(RUN("check", "--strict", "--image", "tcpip2", PEL_TEST_DATA "/agent/pagent.conf"), 0);
    PEL_EXPECT_STR(out, PEL_TEST_DATA "/agent/pagent.conf: ok, 1 rule, 0 warnings, 3 notes\n");
    PEL_EXPECT_EQ(RUN("check", "--image", "TCPIP3", PEL_TEST_DATA "/agent/pagent.conf"), 1);
    PEL_EXPECT_HAS(err, "/agent/pagent.conf:5:1: error: no TcpImage is named \"TCPIP3\"; did you mean "
                        "\"TCPIP1\"?\n");
}

PEL_TEST(pel_policy, wrong_use_is_2_and_no_file_is_1)
{
    PEL_EXPECT_EQ(RUN("chek", "x"), 2);
    PEL_EXPECT_HAS(err, "Usage: pel policy check");
    PEL_EXPECT_EQ(RUN("--help"), 0);
    PEL_EXPECT_EQ(RUN("check", PEL_TEST_DATA), 1);
    PEL_EXPECT_STR(err, "pel: " PEL_TEST_DATA ": a directory, not a policy file\n");
}

PEL_TEST(pel_policy, load_asks_with_whole_paths_and_shows_the_answer)
{
    PEL_REQUIRE(chdir(PEL_TEST_DATA) == 0);
    stack_says =
        "{\"ok\":true,\"generation\":4,\"rules\":3,\"diagnostics\":[{\"file\":\"/a\",\"line\":1,\"column\":2,"
        "\"severity\":\"warning\",\"message\":\"m\"}]}";
    PEL_EXPECT_EQ(RUN("load", "--socket", "/s", "rules.policy"), 0);
    PEL_EXPECT_STR(asked, "/s {\"verb\":\"policy-load\",\"files\":[\"" PEL_TEST_DATA "/rules.policy\"]}");
    PEL_EXPECT_STR(out, "rules.policy: loaded, 3 rules, generation 4\n");
    PEL_EXPECT_STR(err, "/a:1:2: warning: m\n");
    stack_says = "{\"ok\":false,\"error\":\"no\",\"diagnostics\":[]}";
    PEL_EXPECT_EQ(RUN("load", "rules.policy"), 1);
    PEL_EXPECT_STR(err, "pel: not loaded: no\n");
    stack_says = "[";
    PEL_EXPECT_EQ(RUN("load", "rules.policy"), 1);
    PEL_EXPECT_STR(err, "pel: the stack's reply is not JSON\n");
    stack_says = NULL;
    PEL_EXPECT_EQ(RUN("load", "rules.policy"), 1);
    PEL_EXPECT_STR(err, "pel: nothing answers\n");
}
