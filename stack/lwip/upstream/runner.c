/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs lwIP's own unit tests, each case in an instance of its own: a fresh state, the demultiplexer and the
 * hooks of stack/lwip, a clock that stands (the cases call the timers). When a case is over, nothing of what
 * it allocated may be left.
 *
 * Every case of the tests' sources (pel_lwip_cases.h) either runs, or is a row of not_run.c; anything else
 * is a failure. The outcomes are written as googletest does: --gtest_output=xml:FILE.
 */
#include "stack/lwip/upstream/runner.h"

#include <check.h>
#include <stdio.h>

#include "lwip/init.h"
#include "lwip/stats.h"
#include "stack/lwip/private.h"

#include "stack/lwip/upstream/upstream.h"

typedef Suite *suite_fn(void);

/* Those of lwIP's suites that are compiled; two need what only their own options have. */
#pragma weak etharp_suite
#pragma weak ip4_suite
Suite *def_suite(void);
Suite *dhcp_suite(void);
Suite *etharp_suite(void);
Suite *ip4_suite(void);
Suite *ip6_suite(void);
Suite *mem_suite(void);
Suite *netif_suite(void);
Suite *pbuf_suite(void);
Suite *tcp_oos_suite(void);
Suite *tcp_suite(void);
Suite *udp_suite(void);

/* What lwIP's lwip_check.h declares. */
Suite *create_suite(const char *name, const TTest **tests, size_t num_tests, SFun setup, SFun teardown);
void lwip_check_ensure_no_alloc(unsigned skip);

struct upstream_case {
    const char *file, *name;
};

static const struct upstream_case cases[] = {
#include "pel_lwip_cases.h"
};
#define NUM_CASES (sizeof(cases) / sizeof(cases[0]))

enum outcome {
    NOT_SEEN,
    PASSED,
    FAILED,
    SKIPPED,
    SKIPPED_ELSEWHERE, /* neither program runs it: the one with their options says so */
};

static struct {
    enum outcome outcome;
    char said[512];
} results[NUM_CASES];

/* The cases in the order in which they run, so that the output of a program that dies ends with where. */
static struct {
    size_t order[NUM_CASES];
    size_t num, num_begun;
} plan;

static void say_next(void)
{
    const struct upstream_case *next = &cases[plan.order[plan.num_begun++]];
    printf("RUN     %s %s\n", next->file, next->name);
    fflush(stdout);
}

/* ---- each case's instance ---- */

static struct pel_ipstack instance;
static struct pel_counters counters;
static u32_t iss;

static uint64_t now_us(void *arg)
{
    return 0;
}

u32_t upstream_next_iss(void)
{
    iss += pel_lwip->tcp_ticks;
    return iss;
}

static void open_instance(void)
{
    say_next();
    memset(&instance, 0, sizeof(instance));
    memset(&counters, 0, sizeof(counters));
    iss = 6510;
    instance.config.clock.now_us = now_us;
    instance.counters = &counters;
    instance.key[0] = 1;
    ck_assert(pel_demux_open(&instance.demux, instance.key, 1, 1u << 20) == PEL_OK);
    pel_lwip_state_init(&instance.lwip);
    instance.lwip.owner = &instance;
    instance.lwip.tcp_wnd = TCP_WND;
    instance.lwip.tcp_snd_buf = TCP_SND_BUF;
    pel_lwip = &instance.lwip;
    lwip_init();
    tcp_ext_arg_alloc_id();
    upstream_counts_start();
}

static void close_instance(void)
{
    unsigned num_in_demux = instance.demux.num;
    pel_demux_close(&instance.demux);
    pel_lwip = NULL;
    ck_assert_uint_eq(num_in_demux, 0);
    lwip_check_ensure_no_alloc(0);
}

void lwip_check_ensure_no_alloc(unsigned skip)
{
    ck_assert_uint_eq(lwip_stats.mem.used, 0);
    for (int i = 0; i < MEMP_MAX; i++)
        ck_assert_uint_eq(lwip_stats.memp[i]->used, 0);
}

/* ---- the cases ---- */

static size_t find_case(const char *name)
{
    size_t i = 0;
    while (i < NUM_CASES && strcmp(cases[i].name, name) != 0)
        i++;
    return i;
}

/* lwIP's suites call this, each for its cases. */
Suite *create_suite(const char *name, const TTest **tests, size_t num_tests, SFun setup, SFun teardown)
{
    Suite *suite = suite_create(name);
    for (size_t i = 0; i < num_tests; i++) {
        size_t at = find_case(tests[i]->name);
        if (at == NUM_CASES || plan.num == NUM_CASES) {
            fprintf(stderr, "%s is not in pel_lwip_cases.h, or comes twice\n", tests[i]->name);
            exit(2);
        }
        if (upstream_not_run(cases[at].file, cases[at].name, UPSTREAM_OPTIONS) != NULL)
            continue;
        plan.order[plan.num++] = at;
        /* Named as the case, by which the result is known. */
        TCase *tcase = tcase_create(tests[i]->name);
        tcase_add_checked_fixture(tcase, open_instance, close_instance);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, tests[i]);
        suite_add_tcase(suite, tcase);
    }
    return suite;
}

static unsigned num_failed;

static void fail_case(size_t at, const char *file, int line, const char *message)
{
    num_failed++;
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, cases[at].name, message);
    if (results[at].outcome != FAILED)
        snprintf(results[at].said, sizeof(results[at].said), "%s:%d: %s", file, line, message);
    results[at].outcome = FAILED;
}

static void take_results(SRunner *runner)
{
    TestResult **ran = srunner_results(runner);
    for (int i = 0; i < srunner_ntests_run(runner); i++) {
        size_t at = find_case(tr_tcname(ran[i]));
        if (tr_rtype(ran[i]) != CK_PASS)
            fail_case(at, tr_lfile(ran[i]), tr_lno(ran[i]), tr_msg(ran[i]));
        else if (results[at].outcome == NOT_SEEN)
            results[at].outcome = PASSED;
    }
    free(ran);
}

static void run(void)
{
    static suite_fn *const suites[] = {def_suite,   dhcp_suite,    etharp_suite, ip4_suite,
                                       ip6_suite,   mem_suite,     netif_suite,  pbuf_suite,
                                       tcp_suite,   tcp_oos_suite, udp_suite};
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
        if (suites[i] != NULL)
            srunner_add_suite(runner, suites[i]());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    take_results(runner);
    srunner_free(runner);
}

/* ---- that none is missing ---- */

static void account_for(size_t at)
{
    const struct upstream_not_run *row = upstream_not_run(cases[at].file, cases[at].name, UPSTREAM_OPTIONS);
    bool is_elsewhere = row != NULL && row->options == UPSTREAM_BOTH && UPSTREAM_OPTIONS == UPSTREAM_OURS;
    if (row == NULL && results[at].outcome == NOT_SEEN)
        fail_case(at, cases[at].file, 0, "neither run nor a row of not_run.c");
    if (row != NULL && results[at].outcome != NOT_SEEN)
        fail_case(at, cases[at].file, 0, "has run, and is a row of not_run.c");
    if (row != NULL && results[at].outcome == NOT_SEEN) {
        results[at].outcome = is_elsewhere ? SKIPPED_ELSEWHERE : SKIPPED;
        snprintf(results[at].said, sizeof(results[at].said), "%s", row->reason);
    }
    if (find_case(cases[at].name) != at)
        fail_case(at, cases[at].file, 0, "two cases have this name");
}

static void check_rows(void)
{
    const struct upstream_not_run *row;
    for (size_t i = 0; (row = upstream_not_run_row(i)) != NULL; i++) {
        size_t at = 0;
        while (at < NUM_CASES && (strcmp(row->file, cases[at].file) != 0 ||
                                  (row->name != NULL && strcmp(row->name, cases[at].name) != 0)))
            at++;
        if (at == NUM_CASES) {
            num_failed++;
            fprintf(stderr, "not_run.c: no such case: %s %s\n", row->file, row->name ? row->name : "");
        }
    }
}

/* ---- what is said ---- */

static void write_escaped(FILE *to, const char *text)
{
    for (; *text != '\0'; text++)
        if (strchr("<>&\"", *text) != NULL || (unsigned char)*text < 0x20)
            fprintf(to, "&#%d;", (unsigned char)*text < 0x20 ? ' ' : *text);
        else
            fputc(*text, to);
}

static void write_case(FILE *to, size_t at)
{
    static const char *const element[] = {[FAILED] = "failure", [SKIPPED] = "skipped"};
    fprintf(to, "<testcase classname=\"lwip_upstream\" name=\"%s\" status=\"run\" time=\"0\">",
            cases[at].name);
    if (results[at].outcome == FAILED || results[at].outcome == SKIPPED) {
        fprintf(to, "<%s message=\"", element[results[at].outcome]);
        write_escaped(to, results[at].said);
        fprintf(to, "\"/>");
    }
    fprintf(to, "</testcase>\n");
}

static bool write_xml(const char *path)
{
    FILE *to = fopen(path, "w");
    if (to == NULL)
        return false;
    fprintf(to, "<?xml version=\"1.0\"?>\n<testsuites>\n<testsuite name=\"lwip_upstream\" tests=\"%zu\">\n",
            NUM_CASES);
    for (size_t at = 0; at < NUM_CASES; at++)
        if (results[at].outcome != SKIPPED_ELSEWHERE)
            write_case(to, at);
    fprintf(to, "</testsuite>\n</testsuites>\n");
    return fclose(to) == 0;
}

static unsigned say_outcomes(void)
{
    static const char *const word[] = {[PASSED] = "PASSED", [FAILED] = "FAILED", [SKIPPED] = "SKIPPED"};
    unsigned num_elsewhere = 0;
    for (size_t at = 0; at < NUM_CASES; at++)
        if (results[at].outcome == SKIPPED_ELSEWHERE)
            num_elsewhere++;
        else
            printf("%-7s %s %s%s%s\n", word[results[at].outcome], cases[at].file, cases[at].name,
                   results[at].said[0] != '\0' ? ": " : "", results[at].said);
    return num_elsewhere;
}

int main(int argc, char **argv)
{
    static const char option[] = "--gtest_output=xml:";
    run();
    for (size_t at = 0; at < NUM_CASES; at++)
        account_for(at);
    check_rows();
    unsigned num_elsewhere = say_outcomes();
    if (num_elsewhere > 0)
        printf("%u more are skipped with either options: lwip-upstream names them\n", num_elsewhere);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], option, strlen(option)) == 0 && !write_xml(argv[i] + strlen(option))) {
            fprintf(stderr, "%s cannot be written\n", argv[i] + strlen(option));
            return 2;
        }
    return num_failed == 0 ? 0 : 1;
}
