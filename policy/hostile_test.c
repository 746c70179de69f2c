/* SPDX-License-Identifier: Apache-2.0 */
/* Files that no operator wrote on purpose: an error (or a policy) in bounded memory, and never a wait. The
 * large ones are read by a child, whose memory the kernel measures. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/files.h"
#include "policy/testing.h"
#include "tests/harness/harness.h"

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_FACTOR 2 /* red zones and shadow */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_FACTOR 2 /* red zones and shadow */
#endif
#endif
#ifndef MEMORY_FACTOR
#define MEMORY_FACTOR 1
#endif

#define MEGABYTE   ((size_t)1 << 20)
#define MOST_CPU_S (45u * MEMORY_FACTOR)

static struct pel_parsed parsed;
static char folder[] = "/tmp/pel-hostile-XXXXXX";
static char path[100];

static bool begin(void)
{
    strcpy(folder, "/tmp/pel-hostile-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return false;
    snprintf(path, sizeof path, "%s/policy", folder);
    return true;
}

static void end(void)
{
    char other[110];
    snprintf(other, sizeof other, "%s.new", path);
    unlink(other);
    unlink(path);
    rmdir(folder);
}

static bool write_file(const char *to, const char *text, size_t text_len)
{
    int fd = open(to, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    bool done = fd >= 0 && write(fd, text, text_len) == (ssize_t)text_len;
    if (fd >= 0)
        close(fd);
    return done;
}

/* ---- a file that changes while it is read ---- */

ssize_t __real_read(int fd, void *buffer, size_t len);
ssize_t __wrap_read(int fd, void *buffer, size_t len);

/* What the next read does behind itself; NULL: nothing. */
static void (*mischief)(void);

ssize_t __wrap_read(int fd, void *buffer, size_t len)
{
    void (*now)(void) = mischief;
    mischief = NULL;
    ssize_t got = __real_read(fd, buffer, now != NULL && len > 10 ? 10 : len);
    if (now != NULL)
        now();
    return got;
}

#define GOOD "TTLSGroupAction G\n{\nTTLSEnabled Off\n}\n"

static void grow(void)
{
    int fd = open(path, O_WRONLY | O_APPEND);
    PEL_EXPECT(fd >= 0 && write(fd, GOOD, sizeof GOOD - 1) == sizeof GOOD - 1);
    close(fd);
}

static void shrink(void)
{
    PEL_EXPECT(truncate(path, 20) == 0);
}

static void overwrite(void)
{
    int fd = open(path, O_WRONLY);
    PEL_EXPECT(fd >= 0 && pwrite(fd, "X", 1, 16) == 1);
    close(fd);
}

static void replace(void)
{
    char other[110];
    snprintf(other, sizeof other, "%s.new", path);
    PEL_EXPECT(write_file(other, GOOD, sizeof GOOD - 1) && rename(other, path) == 0);
}

static void take_away(void)
{
    PEL_EXPECT(unlink(path) == 0);
}

PEL_TEST(hostile, a_file_that_changes_while_it_is_read)
{
    static void (*const kinds[])(void) = {grow, shrink, overwrite, replace, take_away};
    char said[200];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
        struct pel_error error = {0};
        const char *paths[] = {path};
        PEL_REQUIRE(begin() && write_file(path, GOOD, sizeof GOOD - 1));
        PEL_REQUIRE(utimensat(AT_FDCWD, path, long_ago, 0) == 0);
        memset(&parsed, 0, sizeof parsed);
        mischief = kinds[i];
        PEL_EXPECT_ERR(
            pel_policy_load_files(paths, 1, NULL, pel_test_note, &parsed, &parsed.policy, NULL, NULL, &error),
            PEL_E_IO);
        snprintf(said, sizeof said, "%s: changed while it was read; try again", path);
        PEL_EXPECT_STR(error.text, said);
        PEL_EXPECT(parsed.policy == NULL && mischief == NULL);
        end();
    }
}

/* ---- what is no policy file ---- */

static void expect_refused(const char *what, enum pel_err expected, const char *why)
{
    const char *paths[] = {what};
    struct pel_error error = {0};
    char said[300];
    memset(&parsed, 0, sizeof parsed);
    PEL_EXPECT_ERR(
        pel_policy_load_files(paths, 1, NULL, pel_test_note, &parsed, &parsed.policy, NULL, NULL, &error),
        expected);
    snprintf(said, sizeof said, "%s: %s", what, why);
    PEL_EXPECT_STR(error.text, said);
    PEL_EXPECT_STR(parsed.said, "");
}

PEL_TEST(hostile, what_is_no_regular_file)
{
    PEL_REQUIRE(begin());
    expect_refused(folder, PEL_E_ARG, "a directory, not a policy file");
    expect_refused(path, PEL_E_NOT_FOUND, "No such file or directory");
    expect_refused("/dev/zero", PEL_E_ARG, "not a regular file, not a policy file");
    expect_refused("", PEL_E_NOT_FOUND, "No such file or directory");
    PEL_REQUIRE(mkfifo(path, 0600) == 0);
    expect_refused(path, PEL_E_ARG, "not a regular file, not a policy file"); /* nobody writes to it */
    unlink(path);
    PEL_REQUIRE(symlink(path, path) == 0);
    expect_refused(path, PEL_E_IO, "Too many levels of symbolic links");
    /* A file whose length is not known before: what it holds is not what was promised. */
    expect_refused("/proc/self/status", PEL_E_IO, "changed while it was read; try again");
    end();
}

PEL_TEST(hostile, a_file_that_may_not_be_read)
{
    PEL_REQUIRE(begin() && write_file(path, GOOD, sizeof GOOD - 1) && chmod(path, 0) == 0);
    PEL_REQUIRE(chmod(folder, 0755) == 0);
    uid_t self = geteuid();
    if (self == 0)
        PEL_REQUIRE(seteuid(65534) == 0); /* root may read everything */
    expect_refused(path, PEL_E_IO, "Permission denied");
    PEL_EXPECT(seteuid(self) == 0);
    end();
}

/* ---- large files ---- */

struct large {
    const char *what, *head, *part, *tail;
    size_t len;    /* of the parts, together */
    bool numbered; /* `part` has two %u */
    enum pel_err err;
    const char *said;      /* somewhere in the messages */
    size_t most_megabytes; /* of memory, all in all */
};

static bool write_large(const struct large *large)
{
    char text[1000];
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    fputs(large->head, file);
    size_t len = 0, part_len = strlen(large->part);
    for (unsigned i = 0; len < large->len; i++) {
        if (large->numbered)
            part_len = (size_t)snprintf(text, sizeof text, large->part, i, i % 65535 + 1);
        len += fwrite(large->numbered ? text : large->part, 1, part_len, file);
    }
    fputs(large->tail, file);
    return fclose(file) == 0;
}

/* In a child: 0 when all is as expected; killed when it takes far too long. */
static int load_large(const struct large *large)
{
    const struct rlimit most_s = {MOST_CPU_S, MOST_CPU_S};
    const char *paths[] = {path};
    setrlimit(RLIMIT_CPU, &most_s);
    memset(&parsed, 0, sizeof parsed);
    enum pel_err err =
        pel_policy_load_files(paths, 1, NULL, pel_test_note, &parsed, &parsed.policy, NULL, NULL, NULL);
    pel_test_drop(&parsed);
    if (err == large->err && strstr(parsed.said, large->said) != NULL)
        return 0;
    fprintf(stderr, "%s: %s: %.300s\n", large->what, pel_err_name(err), parsed.said);
    return 1;
}

static void expect_large(const struct large *large)
{
    struct rusage usage;
    int status = -1;
    PEL_REQUIRE(begin() && write_large(large));
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(load_large(large));
    PEL_EXPECT(wait4(child, &status, 0, &usage) == child);
    end();
    if (status != 0)
        pel_test_fail(__FILE__, __LINE__, "%s: the child ended with %d", large->what, status);
    size_t megabytes = (size_t)usage.ru_maxrss / 1024, most = large->most_megabytes * MEMORY_FACTOR;
    pel_test_say("%s: %zu MB, %ld ms", large->what, megabytes,
                 usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000);
    if (megabytes > most)
        pel_test_fail(__FILE__, __LINE__, "%s: %zu MB of memory, at most %zu", large->what, megabytes, most);
}

#define RULE "TTLSRule R%u\n{\nLocalPortRange %u\nDirection Inbound\nTTLSGroupActionRef G\n}\n"

PEL_TEST(hostile, a_hundred_megabytes)
{
    static const struct large larges[] = {
        {"comments", "", "# nothing but comments\n", GOOD, 100 * MEGABYTE, false, PEL_OK, "", 200},
        {"one word", "", "xxxxxxxxxxxxxxxxxxxxxxxx", "\n", 100 * MEGABYTE, false, PEL_E_POLICY_SYNTAX,
         "1:1: error: unknown statement \"xxxxx", 200},
        {"one line of words", "", "TTLSRule ", "\n", 100 * MEGABYTE, false, PEL_E_POLICY_SYNTAX,
         "1:1: error: \"{\" expected after TTLSRule \"TTLSRule\"\n", 200},
        {"one label", "TTLSConnectionAdvancedParms A\n{\nCertificateLabel ", "a label of many words ",
         "\n}\n", 100 * MEGABYTE, false, PEL_OK, "", 500},
        {"rules", GOOD, RULE, "", 100 * MEGABYTE, true, PEL_E_POLICY_SYNTAX,
         "error: too many statements (at most 1000000)\n", 1000},
        {"one parameter", "TTLSConnectionAction C\n{\n", "Trace 1\n", "}\n", 100 * MEGABYTE, false, PEL_OK,
         "warning: further warnings not shown\n", 300},
        {"references", "PortGroup P\n{\n", "PortRangeRef Q\n", "}\n", 100 * MEGABYTE, false,
         PEL_E_POLICY_SYNTAX, "error: too many parameters (at most 4000000)\n", 1200},
        {"suites", "TTLSCipherParms C\n{\n", "V3CipherSuites4Char C02F\n", "}\n", 100 * MEGABYTE, false,
         PEL_E_POLICY_SYNTAX, "error: too many parameters (at most 4000000)\n", 1200},
        {"open braces", "TTLSEnvironmentAction E\n", "{\n", "", 100 * MEGABYTE, false, PEL_E_POLICY_SYNTAX,
         "error: \"{\" without a statement before it\n", 200},
        {"nested blocks", "TTLSEnvironmentAction E\n{\n", "TTLSKeyringParms\n{\n", "", 100 * MEGABYTE, false,
         PEL_E_POLICY_SYNTAX, "error: nested more than 8 deep\n", 200},
        {"images", "", "TcpImage I%u file%u\n", "", 100 * MEGABYTE, true, PEL_E_POLICY_SYNTAX,
         "error: further errors not shown\n", 200},
        {"not UTF-8", GOOD, "\xff\xfe\n", "", 100 * MEGABYTE, false, PEL_E_POLICY_SYNTAX,
         "5:1: error: not valid UTF-8\n", 200},
    };
    for (size_t i = 0; i < sizeof larges / sizeof *larges; i++)
        expect_large(&larges[i]);
}

PEL_TEST(hostile, a_million_lines)
{
    static const struct large larges[] = {
        {"empty lines", "", "\n", GOOD, 1000000, false, PEL_OK, "", 100},
        {"lines that end as on other systems", "", "\r\n", GOOD, 2000000, false, PEL_OK, "", 100},
        {"rules in a million lines", GOOD, RULE, "", 83 * 166667, true, PEL_OK, "", 1000},
        {"errors", "", "Oops\n", "", 5000000, false, PEL_E_POLICY_SYNTAX,
         "101:1: error: further errors not shown\n", 100},
    };
    for (size_t i = 0; i < sizeof larges / sizeof *larges; i++)
        expect_large(&larges[i]);
}

/* Each rule for itself looks at all of what it shares with the others: not item by item. */
PEL_TEST(hostile, labels_that_many_rules_share)
{
    char *text = NULL;
    size_t text_len = 0;
    FILE *head = open_memstream(&text, &text_len);
    PEL_REQUIRE(head != NULL);
    fputs(GOOD "TTLSEnvironmentAction E\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring K\n}\n"
               "TTLSEnvironmentAdvancedParms\n{\n",
          head);
    for (unsigned i = 0; i < 400000; i++)
        fprintf(head, "ServerCertificateLabel L%u\n", i);
    fputs("}\n}\nTTLSGroupAction On\n{\nTTLSEnabled On\n}\n", head);
    fclose(head);
    const struct large large = {
        "labels that many rules share",
        text,
        "TTLSRule R%u\n{\nLocalPortRange %u\nDirection Inbound\nTTLSGroupActionRef "
        "On\nTTLSEnvironmentActionRef E\n}\n",
        "",
        100 * 40000,
        true,
        PEL_OK,
        "",
        600,
    };
    expect_large(&large);
    free(text);
}

PEL_TEST(hostile, only_zeros)
{
    PEL_REQUIRE(begin());
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    PEL_REQUIRE(fd >= 0 && ftruncate(fd, (off_t)(100 * MEGABYTE)) == 0);
    close(fd);
    const char *paths[] = {path};
    memset(&parsed, 0, sizeof parsed);
    PEL_EXPECT_ERR(
        pel_policy_load_files(paths, 1, NULL, pel_test_note, &parsed, &parsed.policy, NULL, NULL, NULL),
        PEL_E_POLICY_SYNTAX);
    PEL_EXPECT_STR(parsed.said, "1:1: error: a NUL byte\n");
    end();
}

PEL_TEST(hostile, an_empty_file)
{
    const char *paths[] = {path};
    PEL_REQUIRE(begin() && write_file(path, "", 0));
    memset(&parsed, 0, sizeof parsed);
    PEL_EXPECT_ERR(
        pel_policy_load_files(paths, 1, NULL, pel_test_note, &parsed, &parsed.policy, NULL, NULL, NULL),
        PEL_OK);
    PEL_EXPECT_STR(parsed.said, "");
    PEL_REQUIRE(parsed.policy != NULL);
    PEL_EXPECT_EQ(pel_policy_num_rules(parsed.policy), 0);
    pel_test_drop(&parsed);
    end();
}
