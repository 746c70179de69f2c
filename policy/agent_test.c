/* SPDX-License-Identifier: Apache-2.0 */
/* Agent files: what is followed, and every message, word for word. */
#include "policy/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/files.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

static struct pel_parsed parsed;
static struct pel_policy_files files;
static char folder[] = "/tmp/pel-agent-XXXXXX";

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    PEL_REQUIRE(file != NULL);
    fputs(text, file);
    fclose(file);
}

/* The messages of loading "main", with `text` in it; beside it stand two good policies. */
static void load(const char *text, const char *image)
{
    struct pel_policy_options options = {.image = image};
    static const char *const paths[] = {"main"};
    strcpy(folder, "/tmp/pel-agent-XXXXXX");
    PEL_REQUIRE(mkdtemp(folder) != NULL && chdir(folder) == 0);
    write_file("main", text);
    write_file("a.policy", "TTLSGroupAction A\n{\nTTLSEnabled Off\n}\n");
    write_file("b.policy", "TTLSGroupAction B\n{\nTTLSEnabled Off\n}\n");
    write_file("image.conf", "TTLSConfig b.policy PURGE NOFLUSH\n");
    memset(&parsed, 0, sizeof parsed);
    parsed.err =
        pel_policy_load_files(paths, 1, &options, pel_test_note, &parsed, &parsed.policy, NULL, &files, NULL);
    PEL_EXPECT_ERR(parsed.err, parsed.num_errors > 0 ? PEL_E_POLICY_SYNTAX : PEL_OK);
    PEL_EXPECT((parsed.policy != NULL) == (parsed.err == PEL_OK));
    pel_test_drop(&parsed);
}

static void drop(void)
{
    static const char *const names[] = {"main", "a.policy", "b.policy", "image.conf", "more.conf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    PEL_EXPECT(chdir("/") == 0);
    rmdir(folder);
    pel_policy_files_free(&files);
}

static void expect(int line, const char *text, const char *said)
{
    load(text, NULL);
    if (strcmp(parsed.said, said) != 0)
        pel_test_fail(__FILE__, line, "got:\n%sexpected:\n%s", parsed.said, said);
    drop();
}

#define EXPECT(text, said) expect(__LINE__, text, said)

static void expect_files(int line, const char *names)
{
    char got[1000] = "";
    for (size_t i = 0; i < files.num_paths; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i == 0 ? "" : " ", files.paths[i]);
    if (strcmp(got, names) != 0)
        pel_test_fail(__FILE__, line, "read %s, expected %s", got, names);
}

#define NOTE_OF_PURGE                                                                                        \
    "1:21: note: PURGE: accepted, no effect: a policy ends with the stack that has it, and is never taken "  \
    "from one that runs\n"

PEL_TEST(agent, an_image_with_a_file_of_its_own)
{
    load("TcpImage ONE image.conf FLUSH NOPURGE 600\nCommonTTLSConfig a.policy\n", NULL);
    PEL_EXPECT_STR(parsed.said, "1:39: note: TcpImage: 600 seconds: accepted, no effect: files are loaded "
                                "when they change (policy.watch), or by command\n" NOTE_OF_PURGE);
    expect_files(__LINE__, "main a.policy image.conf b.policy");
    PEL_EXPECT(files.agent.is_agent);
    PEL_EXPECT(!files.agent.flush && files.agent.purge); /* TTLSConfig goes before TcpImage */
    PEL_EXPECT_EQ(files.agent.refresh_s, 600);
    PEL_EXPECT_STR(files.agent.image, "ONE");
    drop();
}

PEL_TEST(agent, the_main_file_is_the_images)
{
    load("pepinstance ONE NOFLUSH\nttlsconfig a.policy\n", NULL);
    PEL_EXPECT_STR(parsed.said, "");
    expect_files(__LINE__, "main a.policy");
    PEL_EXPECT(!files.agent.flush && !files.agent.purge);
    PEL_EXPECT_EQ(files.agent.refresh_s, 1800);
    drop();
    load("# only this\nTTLSConfig a.policy\n", NULL);
    PEL_EXPECT_STR(parsed.said, "");
    PEL_EXPECT(files.agent.flush && !files.agent.purge);
    PEL_EXPECT_STR(files.agent.image, "");
    drop();
    load("TcpImage ONE 60\nTTLSConfig\nCommonTTLSConfig b.policy\n", NULL);
    PEL_EXPECT_STR(parsed.said, "1:14: note: TcpImage: 60 seconds: accepted, no effect: files are loaded "
                                "when they change (policy.watch), or by command\n");
    PEL_EXPECT_EQ(files.agent.refresh_s, 60);
    expect_files(__LINE__, "main b.policy");
    drop();
}

PEL_TEST(agent, a_policy_is_none)
{
    load("TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n", NULL);
    PEL_EXPECT_STR(parsed.said, "");
    expect_files(__LINE__, "main");
    PEL_EXPECT(!files.agent.is_agent && !files.agent.flush && files.agent.refresh_s == 0);
    drop();
}

PEL_TEST(agent, which_texts_are_recognised)
{
#define IS(text) pel_agent_recognise(text, sizeof(text) - 1)
    PEL_EXPECT(IS("TcpImage X\n"));
    PEL_EXPECT(IS("\xef\xbb\xbf# c\n\n  ttlsCONFIG\tx#y\r\n"));
    PEL_EXPECT(IS("TcpImge X\nLogLevel 31"));
    PEL_EXPECT(IS("LogLevel"));
    PEL_EXPECT(IS("Oops\n{\nfoo\n}\nQOSConfig\n"));
    PEL_EXPECT(!IS("TTLSRule X\nTcpImage"));
    PEL_EXPECT(!IS("TTLSRul X\n{\nLocalPortRange 1\n}\nTcpImage X\n"));
    PEL_EXPECT(!IS(""));
    PEL_EXPECT(!IS("\0\xff{}\n#TcpImage\n"));
    PEL_EXPECT(!IS("TcpImages X\n"));
    char text[201 * 2 + 10] = "";
    for (int i = 0; i < 199; i++)
        strcat(text, "x\n");
    strcat(text, "TcpImage\n");
    PEL_EXPECT(pel_agent_recognise(text, strlen(text)));
    text[strlen(text) - 9] = '\0';
    strcat(text, "x\nTcpImage\n");
    PEL_EXPECT(!pel_agent_recognise(text, strlen(text)));
}

PEL_TEST(agent, several_images)
{
    static const char text[] = "TcpImage ONE\nTcpImage TWO image.conf\nTTLSConfig a.policy\n";
    load(text, NULL);
    PEL_EXPECT_STR(parsed.said,
                   "2:1: warning: 2 images: the first, \"ONE\", is read; name another to choose it\n");
    expect_files(__LINE__, "main a.policy");
    drop();
    load(text, "two");
    PEL_EXPECT_STR(parsed.said, "3:1: warning: TTLSConfig is ignored here, since the image has a file of its "
                                "own: image.conf\n" NOTE_OF_PURGE);
    expect_files(__LINE__, "main image.conf b.policy");
    PEL_EXPECT_STR(files.agent.image, "TWO");
    drop();
    load("TcpImage TCPIP1\nTTLSConfig a.policy\n", "TCPIP");
    PEL_EXPECT_STR(parsed.said, "1:1: error: no TcpImage is named \"TCPIP\"; did you mean \"TCPIP1\"?\n");
    drop();
    load(text, "other");
    PEL_EXPECT_STR(parsed.said, "1:1: error: no TcpImage is named \"other\"\n");
    drop();
    load("TTLSConfig a.policy\n", "TWO"); /* a file without images is every image's */
    PEL_EXPECT_STR(parsed.said, "");
    drop();
}

PEL_TEST(agent, words_that_are_not_known)
{
    EXPECT("TTLSConfig a.policy\nTcpImag X\n",
           "2:1: error: unknown statement \"TcpImag\" in an agent file; did you mean TcpImage?\n");
    EXPECT("TTLSConfig a.policy\nBicycle\n{\nTTLSRule {\n}\n}\n",
           "2:1: error: unknown statement \"Bicycle\" in an agent file\n");
    EXPECT("TTLSConfig a.policy\nTTLSRule R\n{\nDirection Both\n}\n",
           "2:1: error: TTLSRule belongs in the policy file that TTLSConfig names, not in an agent file\n");
    EXPECT("TTLSConfig a.policy NOFLASH\n", "1:21: error: TTLSConfig: \"NOFLASH\" is not FLUSH, NOFLUSH, "
                                            "PURGE or NOPURGE; did you mean NOFLUSH?\n");
    EXPECT("TcpImage X image.conf b\nTTLSConfig a.policy\n",
           "1:23: error: TcpImage: \"b\" is not FLUSH, NOFLUSH, PURGE, NOPURGE or a number of seconds\n"
           "2:1: warning: TTLSConfig is ignored here, since the image has a file of its own: "
           "image.conf\n" NOTE_OF_PURGE);
}

PEL_TEST(agent, values)
{
    EXPECT("TTLSConfig a.policy\nLogLevel 512\n",
           "2:10: error: LogLevel: \"512\" is out of range (0 to 511)\n");
    EXPECT("TTLSConfig a.policy\nLogLevel all\n", "2:10: error: LogLevel: \"all\" is not a number\n");
    EXPECT("TTLSConfig a.policy\nLogLevel\n", "2:1: error: LogLevel needs a value\n");
    EXPECT("TTLSConfig a.policy\nCodepage\n", "2:1: error: Codepage needs a value\n");
    EXPECT("TTLSConfig a.policy\nCodepage utf-8\n", "");
    EXPECT("TTLSConfig a.policy\nCodepage IBM-1047\n",
           "2:1: note: Codepage: accepted, no effect: files are read as UTF-8\n");
    EXPECT("TTLSConfig a.policy\nLogLevel 31\n", "2:1: note: LogLevel: accepted, no effect: there is no "
                                                 "agent that logs; the stack logs each load, and "
                                                 "Trace is a rule's\n");
    EXPECT("TTLSConfig a.policy\nTcpImage\n", "2:1: error: TcpImage needs a name\n");
    EXPECT("TcpImage X 0\nTTLSConfig a.policy\n",
           "1:12: error: TcpImage: \"0\" is out of range (1 to 2147483647)\n");
    EXPECT("TcpImage ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG\nTTLSConfig a.policy\n",
           "1:10: error: the name \"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG\" is longer than 32 bytes\n");
    EXPECT("TcpImage A\nTcpImage a\nTTLSConfig a.policy\n",
           "2:1: error: TcpImage \"a\" is given already on line 1\n");
    EXPECT("TcpImage A\nTcpImage B\nTcpImage C\nTcpImage D\nTcpImage E\nTcpImage F\nTcpImage G\nTcpImage H\n"
           "TcpImage I\nTTLSConfig a.policy\n",
           "2:1: warning: 8 images: the first, \"A\", is read; name another to choose it\n"
           "9:1: error: more than 8 images\n");
}

PEL_TEST(agent, what_is_for_others)
{
    EXPECT(
        "TTLSConfig a.policy\nIPSecConfig /etc/x\nPolicyServer {\nPolicyType TTLS {\n}\n}\n",
        "2:1: note: IPSecConfig: accepted, no effect: only AT-TLS policy is read\n"
        "3:1: note: PolicyServer: accepted, no effect: policy of a policy server is not fetched, and none is "
        "served\n");
    EXPECT("TTLSConfig a.policy\nAutoMonitorApps\n{\n{\n}\n",
           "2:1: note: AutoMonitorApps: accepted, no effect: pel starts and watches no applications\n"
           "2:1: error: the \"}\" of this AutoMonitorApps is missing\n");
    EXPECT("TTLSConfig a.policy\n{\n}\n", "2:1: error: \"{\" without a statement that takes a block\n"
                                          "3:1: error: \"}\" without a statement that takes a block\n");
}

PEL_TEST(agent, files_that_are_named)
{
    char said[200];
    EXPECT("TTLSConfig none.policy\n", "1:12: error: TTLSConfig: none.policy: No such file or directory\n");
    EXPECT("CommonTTLSConfig .\nTTLSConfig\n",
           "1:18: error: CommonTTLSConfig: .: a directory, not a policy file\n");
    EXPECT("TTLSConfig //'USER.PAGENT(TTLS)'\n",
           "1:12: error: TTLSConfig: \"//'USER.PAGENT(TTLS)'\" is an MVS data set; name a file\n");
    EXPECT("CommonTTLSConfig\nTTLSConfig a.policy\n", "1:1: error: CommonTTLSConfig needs a path\n");
    EXPECT("TTLSConfig\n",
           "1:1: error: TTLSConfig names no file, and there is no CommonTTLSConfig that does\n");
    EXPECT("LogLevel 1\nCommonTTLSConfig a.policy\n",
           "1:1: note: LogLevel: accepted, no effect: there is no agent that logs; the stack logs each load, "
           "and "
           "Trace is a rule's\n1:1: error: no TTLSConfig: there is no AT-TLS policy\n");
    EXPECT("TTLSConfig none\nTTLSConfig a.policy\n",
           "2:1: warning: TTLSConfig is given twice; the one on line 1 is ignored\n");
    char text[4200];
    memset(text, 'a', sizeof text);
    memcpy(text, "TTLSConfig ", 11);
    text[sizeof text - 1] = '\0';
    snprintf(said, sizeof said, "1:12: error: TTLSConfig: the path is too long\n");
    EXPECT(text, said);
}

PEL_TEST(agent, loops_end)
{
    EXPECT("TcpImage X main\nTTLSConfig a.policy\n", "");
    EXPECT("TcpImage X ./more.conf\n", "1:12: error: TcpImage: ./more.conf: No such file or directory\n");
    load("TcpImage X image.conf\n", NULL);
    write_file("image.conf", "CommonTTLSConfig a.policy\nTcpImage Y main\nTTLSConfig b.policy\n");
    static const char *const paths[] = {"main"};
    memset(&parsed, 0, sizeof parsed);
    pel_policy_files_free(&files);
    PEL_EXPECT_ERR(
        pel_policy_load_files(paths, 1, NULL, pel_test_note, &parsed, &parsed.policy, NULL, &files, NULL),
        PEL_E_POLICY_SYNTAX);
    PEL_EXPECT_STR(parsed.said,
                   "1:1: error: CommonTTLSConfig belongs in the agent's main file, not in an image file\n"
                   "2:1: error: TcpImage belongs in the agent's main file, not in an image file\n");
    drop();
    EXPECT("TTLSConfig main\n", "1:12: error: TTLSConfig: main is an agent file, not a policy file\n");
    EXPECT("CommonTTLSConfig image.conf\nTTLSConfig\n",
           "1:18: error: CommonTTLSConfig: image.conf is an agent file, not a policy file\n");
    EXPECT(
        "TcpImage X a.policy\n",
        "1:1: error: TTLSGroupAction belongs in the policy file that TTLSConfig names, not in an agent file\n"
        "1:1: error: no TTLSConfig: there is no AT-TLS policy for the image X\n");
}

PEL_TEST(agent, an_agents_word_in_a_policy)
{
    EXPECT("TTLSGroupAction G\n{\nTTLSEnabled Off\n}\nTcpImage X\n",
           "5:1: error: TcpImage belongs in an agent file, not among the policy\n");
}

PEL_TEST(agent, errors_of_agent_and_policy_come_together)
{
    load("TTLSConfig a.policy\nOops\n", NULL);
    drop();
    static const char *const paths[] = {PEL_TEST_DATA "/agent/pagent.conf"};
    memset(&parsed, 0, sizeof parsed);
    struct pel_policy_options options = {.image = "TCPIP1"};
    PEL_EXPECT_ERR(
        pel_policy_load_files(paths, 1, &options, pel_test_note, &parsed, &parsed.policy, NULL, &files, NULL),
        PEL_OK);
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_EQ(pel_policy_num_rules(parsed.policy), 2);
    PEL_EXPECT_EQ(parsed.num_warnings, 0);
    PEL_EXPECT(files.agent.flush && !files.agent.purge && files.agent.refresh_s == 600);
    PEL_EXPECT_EQ(files.num_paths, 4);
    PEL_EXPECT_STR(files.paths[3], PEL_TEST_DATA "/agent/tcpip1.policy");
    pel_policy_files_free(&files);
    pel_test_drop(&parsed);
}
