/* SPDX-License-Identifier: Apache-2.0 */
/* `pel policy`, with a stack that answers what the test says. */
#include <fcntl.h>
#include <pellucid/control.h>
#include <pellucid/policy.h>
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

static size_t num_unusable;

enum pel_err pel_policy_check_keyrings(struct pel_policy *policy, const char *keyring_dir, const char *owner,
                                       pel_policy_message_fn *fn, void *arg, size_t *ret_num_unusable,
                                       struct pel_error *reterr)
{
    struct pel_policy_message message = {.severity = num_unusable > 0 ? PEL_POLICY_ERROR : PEL_POLICY_WARNING,
                                         .file = keyring_dir,
                                         .line = 1,
                                         .column = 2,
                                         .text = owner != NULL ? owner : "nobody"};
    if (policy == NULL || strcmp(keyring_dir, "broken") == 0) {
        snprintf(reterr->text, sizeof reterr->text, "no memory");
        return PEL_E_NO_MEMORY;
    }
    fn(arg, &message);
    *ret_num_unusable = num_unusable;
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
    char *argv[16] = {strdup("pel policy")};
    int argc = 1;
    for (; *words != NULL; words++)
        argv[argc++] = strdup(*words);
    char *all[16];
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
    PEL_EXPECT_STR(out, PEL_TEST_DATA "/agent/pagent.conf: ok, 2 rules, 1 warning, 6 notes\n");
    PEL_EXPECT_HAS(err, PEL_TEST_DATA "/agent/pagent.conf:6:1: warning: 2 images: the first, \"TCPIP1\", is "
                                      "read; name another to choose it\n");
    PEL_EXPECT_HAS(err, PEL_TEST_DATA "/agent/tcpip1.conf:2:1: note: IPSecConfig: accepted, no effect: only "
                                      "AT-TLS policy is read\n");
    PEL_EXPECT_EQ(RUN("check", "--strict", "--image", "tcpip2", PEL_TEST_DATA "/agent/pagent.conf"), 0);
    PEL_EXPECT_STR(out, PEL_TEST_DATA "/agent/pagent.conf: ok, 1 rule, 0 warnings, 5 notes\n");
    PEL_EXPECT_EQ(RUN("check", "--image", "TCPIP3", PEL_TEST_DATA "/agent/pagent.conf"), 1);
    PEL_EXPECT_HAS(err, "/agent/pagent.conf:5:1: error: no TcpImage is named \"TCPIP3\"; did you mean "
                        "\"TCPIP1\"?\n");
}

PEL_TEST(pel_policy, check_with_keyrings)
{
    num_unusable = 0;
    PEL_EXPECT_EQ(RUN("check", "--keyrings", "rings", PEL_TEST_DATA "/warnings.policy"), 0);
    PEL_EXPECT_STR(out, PEL_TEST_DATA "/warnings.policy: ok, 1 rule, 2 warnings, 1 note\n");
    PEL_EXPECT_HAS(err, "rings:1:2: warning: nobody\n");
    num_unusable = 1;
    PEL_EXPECT_EQ(RUN("check", "--keyrings", "rings", "--owner", "me", PEL_TEST_DATA "/warnings.policy"), 1);
    PEL_EXPECT_STR(out, PEL_TEST_DATA "/warnings.policy: 1 of 1 rule would refuse their connections\n");
    PEL_EXPECT_HAS(err, "rings:1:2: error: me\n");
    PEL_EXPECT_EQ(RUN("check", "--json", "--keyrings", "rings", PEL_TEST_DATA "/warnings.policy"), 1);
    PEL_EXPECT_HAS(out, "\"ok\": false");
    PEL_EXPECT_HAS(out, "\"unusable\": 1");
    PEL_EXPECT_EQ(RUN("check", "--keyrings", "broken", PEL_TEST_DATA "/warnings.policy"), 1);
    PEL_EXPECT_STR(err + strlen(err) - strlen("pel: no memory\n"), "pel: no memory\n");
    num_unusable = 0;
    PEL_EXPECT_EQ(RUN("check", "--keyrings", "rings", "--strict", "--image", "TCPIP1",
                      PEL_TEST_DATA "/agent/pagent.conf"),
                  1);
    PEL_EXPECT_HAS(out, ": 1 error of keyrings\n");
    PEL_EXPECT_EQ(RUN("check", "--compat", "zos", PEL_TEST_DATA "/warnings.policy"), 0);
    PEL_EXPECT_HAS(err, "/warnings.policy:1:1: warning: TTLSRule \"Old\": old versions are on");
}

PEL_TEST(pel_policy, verbs_read_as_the_stack_would)
{
    const char *const agent = PEL_TEST_DATA "/agent/pagent.conf";
    PEL_EXPECT_EQ(RUN("show", "--all", "--compat", "zos", PEL_TEST_DATA "/every.policy"), 0);
    PEL_EXPECT_EQ(RUN("diff", "--compat", "zos", PEL_TEST_DATA "/every.policy", agent), 0);
    PEL_EXPECT_EQ(RUN("show", "--image", "tcpip2", agent), 0);
    PEL_EXPECT_EQ(RUN("show", "--image", "nosuch", agent), 1);
    PEL_EXPECT_EQ(RUN("match", "--image", "tcpip2", "--direction", "inbound", "--local", "10.0.0.1:1",
                      "--remote", "10.0.0.2:2", agent),
                  0);
    PEL_EXPECT_EQ(RUN("match", "--image", "nosuch", "--direction", "inbound", "--local", "10.0.0.1:1",
                      "--remote", "10.0.0.2:2", agent),
                  1);
}

PEL_TEST(pel_policy, wrong_use_is_2_and_no_file_is_1)
{
    PEL_EXPECT_EQ(RUN("chek", "x"), 2);
    PEL_EXPECT_HAS(err, " pel policy check ");
    PEL_EXPECT_EQ(RUN("--help"), 0);
    PEL_EXPECT_EQ(RUN("check", PEL_TEST_DATA), 1);
    PEL_EXPECT_STR(err, "pel: " PEL_TEST_DATA ": a directory, not a policy file\n");
}

#define CONNECTION "--direction", "inbound", "--local", "10.0.0.1:443", "--remote", "[::1]:2"

PEL_TEST(pel_policy, match_asks_the_stack)
{
    stack_says =
        "{\"ok\":true,\"generation\":4,\"rule\":\"B\",\"kept\":true,\"verdict\":\"tls\",\"problem\":\"no "
        "ring\",\"rules\":[{\"rule\":\"A\",\"reached\":true,\"matches\":false,\"reason\":\"r\"},"
        "{\"rule\":\"B\",\"reached\":true,\"matches\":true,\"reason\":null,\"kept\":true}]}";
    PEL_EXPECT_EQ(RUN("match", "--live", "--socket", "/s", CONNECTION, "--user", "joe", "--why", "--time",
                      "1970-01-01T00:00:09Z"),
                  0);
    PEL_EXPECT_STR(asked,
                   "/s {\"verb\":\"policy-match\",\"direction\":\"inbound\",\"local\":\"10.0.0.1:443\","
                   "\"remote\":\"[::1]:2\",\"why\":true,\"user\":\"joe\",\"time\":9}");
    PEL_EXPECT_STR(out, "rule B (in no file any more)\n"
                        "tls\n"
                        "cannot be served, its connections are refused: no ring\n"
                        "\n"
                        "The rules, in the order in which they are tried:\n"
                        "  A: r\n"
                        "  B (in no file any more): matches\n");
    stack_says = "{\"ok\":true,\"generation\":4,\"rule\":null,\"verdict\":\"refused (no rule)\"}";
    PEL_EXPECT_EQ(RUN("match", "--live", CONNECTION), 0);
    PEL_EXPECT_STR(out, "no rule\nrefused (no rule)\n");
    PEL_EXPECT_HAS(asked, "- {");
    PEL_EXPECT_EQ(RUN("match", "--live", "--json", CONNECTION), 0);
    PEL_EXPECT_HAS(asked, "\"why\":true");
    PEL_EXPECT_HAS(out, "\"generation\": 4");
    stack_says = "{\"ok\":false,\"error\":\"no policy is in force\"}";
    PEL_EXPECT_EQ(RUN("match", "--live", CONNECTION), 1);
    PEL_EXPECT_STR(err, "pel: the stack says: no policy is in force\n");
}

PEL_TEST(pel_policy, load_asks_with_whole_paths_and_shows_the_answer)
{
    PEL_REQUIRE(chdir(PEL_TEST_DATA) == 0);
    stack_says =
        "{\"ok\":true,\"generation\":4,\"rules\":3,\"diagnostics\":[{\"file\":\"/a\",\"line\":1,\"column\":2,"
        "\"severity\":\"warning\",\"message\":\"m\"}]}";
    PEL_EXPECT_EQ(RUN("load", "--socket", "/s", "rules.policy"), 0);
    PEL_EXPECT_STR(asked, "/s {\"verb\":\"policy-load\",\"files\":[\"" PEL_TEST_DATA "/rules.policy\"]}");
    PEL_EXPECT_STR(out, "rules.policy: loaded, 3 rules, generation 4\n"
                        "  nothing changed in effect; keyrings and authorities were read again\n");
    PEL_EXPECT_STR(err, "/a:1:2: warning: m\n");
    stack_says = "{\"ok\":false,\"error\":\"no\",\"diagnostics\":[]}";
    PEL_EXPECT_EQ(RUN("load", "rules.policy"), 1);
    PEL_EXPECT_STR(err, "pel: not loaded: no; no policy is in force\n");
    stack_says = "[";
    PEL_EXPECT_EQ(RUN("load", "rules.policy"), 1);
    PEL_EXPECT_STR(err, "pel: the stack's answer is no JSON object: ']' expected near end of file\n");
    stack_says = NULL;
    PEL_EXPECT_EQ(RUN("load", "rules.policy"), 1);
    PEL_EXPECT_STR(err, "pel: nothing answers\n");
}

PEL_TEST(pel_policy, load_shows_what_changed)
{
    stack_says =
        "{\"ok\":true,\"generation\":5,\"rules\":1,\"kept\":2,\"certificates_replaced\":1,\"added\":1,"
        "\"removed\":0,"
        "\"changed\":2,\"moved\":0,\"changes\":[{\"change\":\"added\",\"rule\":\"A\"},{\"change\":"
        "\"changed\",\"rule\":"
        "\"B\",\"what\":\"Priority: 1 -> 2\"}],\"unusable_rules\":[{\"rule\":\"C\",\"problem\":\"no ring\"}],"
        "\"diagnostics\":[]}";
    PEL_EXPECT_EQ(RUN("load"), 0);
    PEL_EXPECT_STR(asked, "- {\"verb\":\"policy-load\",\"files\":[]}");
    PEL_EXPECT_STR(out, "the configured files: loaded, 1 rule, generation 5\n"
                        "  rule A added\n"
                        "  rule B changed: Priority: 1 -> 2\n"
                        "  ... and 1 more\n"
                        "  1 certificate is new\n"
                        "  2 rules are in no file any more, and stay (flush is off)\n");
    PEL_EXPECT_STR(err, "rule C cannot be served, its connections are refused: no ring\n");
    /* The first policy changes nothing. */
    stack_says = "{\"ok\":true,\"generation\":1,\"rules\":1,\"changes\":[],\"diagnostics\":[]}";
    PEL_EXPECT_EQ(RUN("load"), 0);
    PEL_EXPECT_STR(out, "the configured files: loaded, 1 rule, generation 1\n");
    stack_says = "{\"ok\":false,\"generation\":7,\"error\":\"no\",\"diagnostics\":[]}";
    PEL_EXPECT_EQ(RUN("load"), 1);
    PEL_EXPECT_STR(err, "pel: not loaded: no; generation 7 stays in force\n");
}

PEL_TEST(pel_policy, status_of_a_stack_without_policy)
{
    stack_says =
        "{\"ok\":true,\"program\":\"p\",\"pid\":7,\"generation\":0,\"start_gate\":\"closed\",\"watch\":true,"
        "\"no_match\":\"refuse\",\"failure\":{\"at\":1000000000,\"how\":\"start\",\"files\":[\"/a\",\"/b\"],"
        "\"error\":\"1 error\",\"messages\":[\"/a:1:1: error: x\"]}}";
    PEL_EXPECT_EQ(RUN("status", "--socket", "/s"), 0);
    PEL_EXPECT_STR(asked, "/s {\"verb\":\"policy-status\"}");
    PEL_EXPECT_STR(out, "p, process 7: no policy is in force; the start gate is closed\n"
                        "  files are watched; connections without a rule are refused\n"
                        "  the last attempt FAILED at 2001-09-09 01:46:40Z (start) with /a, /b: 1 error\n"
                        "    /a:1:1: error: x\n");
    stack_says = "{\"ok\":false,\"error\":\"unknown verb\"}";
    PEL_EXPECT_EQ(RUN("status"), 1);
    PEL_EXPECT_STR(err, "pel: the stack says: unknown verb\n");
}

PEL_TEST(pel_policy, status_in_tables)
{
    stack_says =
        "{\"ok\":true,\"program\":\"p\",\"pid\":7,\"generation\":3,\"loaded_at\":1000000000,\"age_s\":7200,"
        "\"how\":"
        "\"watch\",\"files\":[\"/"
        "a\"],\"num_rules\":2,\"num_warnings\":1,\"num_unusable\":1,\"num_kept\":1,\"watch\":false,"
        "\"no_match\":\"clear\",\"failure\":null,"
        "\"rules\":[{\"rule\":\"A\",\"priority\":5,\"direction\":\"inbound\",\"verdict\":\"tls\",\"hits\":12,"
        "\"last_hit\":1000000000,\"since_generation\":2,\"usable\":true},{\"rule\":\"B\",\"priority\":1,"
        "\"direction\":"
        "\"both\",\"verdict\":\"tls\",\"hits\":0,\"last_hit\":null,\"since_generation\":3,\"usable\":false,"
        "\"problem\":\"no ring\"}],"
        "\"stale\":[{\"rule\":\"A\",\"generation\":1,\"why\":\"changed\",\"connections\":4,\"oldest_ms\":"
        "200000000}],"
        "\"stale_connections_more\":2,"
        "\"certificates\":[{\"keyring\":\"k\",\"label\":\"l\",\"subject\":\"CN=s\",\"place\":\"own\","
        "\"used\":true,"
        "\"state\":\"expired\",\"days\":-3,\"not_after\":1000000000},{\"keyring\":\"*AUTH*/"
        "*\",\"label\":\"c\","
        "\"subject\":\"CN=c\",\"place\":\"trust\",\"used\":true,\"state\":\"valid\",\"days\":100,\"not_"
        "after\":"
        "2000000000},{\"keyring\":\"m\",\"label\":\"\",\"subject\":\"\",\"place\":\"own\",\"used\":true,"
        "\"state\":"
        "\"cannot be used\",\"days\":null,\"not_after\":null,\"problem\":\"is not there\"}],"
        "\"no_rule\":[{\"port\":80,\"direction\":\"inbound\",\"count\":9,\"remote\":\"1.2.3.4:5\","
        "\"command\":\"pel x\"},"
        "{\"port\":0,\"direction\":\"inbound\",\"count\":2,\"remote\":\"1.2.3.4:5\",\"command\":\"\"}]}";
    PEL_EXPECT_EQ(RUN("status"), 0);
    PEL_EXPECT_STR(
        out, "p, process 7: policy generation 3, loaded at 2001-09-09 01:46:40Z (watch), 2 h ago\n"
             "  from /a\n"
             "  2 rules, 1 warnings, 1 rules that cannot be served, 1 rules that are in no file any more\n"
             "  files are not watched; connections without a rule are in clear\n"
             "\nRules, in match order\n"
             "RULE  PRIORITY  DIRECTION  VERDICT  HITS  LAST HIT              SINCE  USABLE\n"
             "A     5         inbound    tls      12    2001-09-09 01:46:40Z  2      yes\n"
             "B     1         both       tls      0     -                     3      no\n"
             "B cannot be served, its connections are refused: no ring\n"
             "\nStale rules that connections still have\n"
             "RULE  GENERATION  WHY      CONNECTIONS  OLDEST\n"
             "A     1           changed  4            2 days\n"
             "and 2 connections of more rules\n"
             "\nCertificates, by the days that they have left\n"
             "DAYS  UNTIL       STATE           KEYRING  LABEL  WHAT  SUBJECT\n"
             "-3    2001-09-09  expired         k        l      own   CN=s\n"
             "-     -           cannot be used  m        -      own   -\n"
             "and 1 of the machine's authorities that are valid (--all shows them)\n"
             "keyring m, -: is not there\n"
             "\nConnections that no rule matched\n"
             "PORT    DIRECTION  CONNECTIONS  SUCH AS\n"
             "80      inbound    9            1.2.3.4:5\n"
             "others  inbound    2            1.2.3.4:5\n"
             "why: pel x\n");
    PEL_EXPECT_EQ(RUN("status", "--certs", "--stale", "--all"), 0);
    PEL_EXPECT_HAS(asked, "\"parts\":[\"stale\",\"certificates\"]");
    PEL_EXPECT_HAS(out, "CN=c");
    PEL_EXPECT_EQ(RUN("status", "--json"), 0);
    PEL_EXPECT_HAS(out, "\"since_generation\": 3");
}
