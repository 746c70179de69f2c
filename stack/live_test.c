/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept and said of a policy in a running stack: certificates, changes, hits, stale rules, ports
 * without a rule. */
#include <pellucid/keyring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "stack/no_rule.h"
#include "stack/stack.h"
#include "stack/stale.h"
#include "stack/watch.h"
#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"

#define NOW 1000000000
#define DAY 86400

#define GROUP "TTLSGroupAction on\n{\nTTLSEnabled On\n}\n"
#define RULE(name, port, ring, more)                                                                         \
    "TTLSRule " name "\n{\nLocalPortRange " port "\nDirection Inbound\nTTLSGroupActionRef on\n"              \
    "TTLSEnvironmentAction\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring " ring "\n}\n" more        \
    "}\n}\n"
#define ADVANCED(line) "TTLSEnvironmentAdvancedParms\n{\n" line "\n}\n"

static struct pel_policy *parse(const char *text)
{
    const struct pel_policy_source source = {.file = "t.policy", .text = text, .text_len = strlen(text)};
    struct pel_policy *policy = NULL;
    PEL_EXPECT_ERR(pel_policy_parse(&source, 1, NULL, NULL, NULL, &policy, NULL), PEL_OK);
    return policy;
}

/* ---- hits ---- */

PEL_TEST(live, hits_are_added_up)
{
    struct pel_rule_hits *hits = pel_rule_hits_new(2);
    uint64_t count = 1;
    int64_t last_s = 1;
    PEL_REQUIRE(hits != NULL);
    pel_rule_hits_sum(hits, &count, &last_s);
    PEL_EXPECT(count == 0 && last_s == 0);
    pel_rule_hits_count(hits, 0, 100);
    pel_rule_hits_count(hits, 1, 300);
    pel_rule_hits_count(hits, 0, 200);
    pel_rule_hits_count(hits, 2, 900); /* no such engine */
    pel_rule_hits_count(NULL, 0, 900);
    pel_rule_hits_sum(hits, &count, &last_s);
    PEL_EXPECT(count == 3 && last_s == 300);
    /* Engines write to lines of their own. */
    PEL_EXPECT((uintptr_t)&hits->of_engine[0] % 64 == 0 && sizeof hits->of_engine[0] == 64);
    PEL_EXPECT(pel_rule_hits_ref(hits) == hits && pel_rule_hits_ref(NULL) == NULL);
    pel_rule_hits_unref(hits);
    pel_rule_hits_sum(hits, &count, &last_s);
    PEL_EXPECT_EQ(count, 3);
    pel_rule_hits_unref(hits);
    pel_rule_hits_unref(NULL);
    pel_rule_hits_sum(NULL, &count, &last_s);
    PEL_EXPECT_EQ(count, 0);
}

/* ---- certificates ---- */

PEL_TEST(live, what_a_certificate_is_worth)
{
    static const struct {
        int64_t not_before_s, not_after_s;
        enum pel_err problem;
        enum pel_keyring_place place;
        enum pel_cert_state state;
        int64_t days;
        const char *said;
    } rows[] = {
        {NOW - 1, NOW + 31 * DAY, PEL_OK, PEL_KEYRING_OWN, PEL_CERT_FINE, 31, NULL},
        {NOW - 1, NOW + 30 * DAY, PEL_OK, PEL_KEYRING_OWN, PEL_CERT_FINE, 30, NULL},
        {NOW - 1, NOW + 30 * DAY - 1, PEL_OK, PEL_KEYRING_OWN, PEL_CERT_SOON, 29,
         "keyring ring: certificate web (CN=x) expires in 29 days, on 2001-10-09"},
        {NOW - 1, NOW + 5, PEL_OK, PEL_KEYRING_CHAIN, PEL_CERT_SOON, 0,
         "keyring ring: certificate sent along with web (CN=x) expires in 0 days, on 2001-09-09"},
        {NOW - 1, NOW - 5, PEL_OK, PEL_KEYRING_TRUST, PEL_CERT_EXPIRED, 0,
         "keyring ring: authority web (CN=x) has expired today"},
        {NOW - 9 * DAY, NOW - 2 * DAY, PEL_OK, PEL_KEYRING_OWN, PEL_CERT_EXPIRED, -2,
         "keyring ring: certificate web (CN=x) has expired 2 days ago, on 2001-09-07"},
        {NOW + 5 * DAY, NOW + 90 * DAY, PEL_OK, PEL_KEYRING_OWN, PEL_CERT_NOT_YET, 90,
         "keyring ring: certificate web (CN=x) is not valid before 2001-09-14"},
        {0, 0, PEL_OK, PEL_KEYRING_OWN, PEL_CERT_BAD, 0,
         "keyring ring: certificate web (CN=x) cannot be used: ?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pel_policy_cert cert = {.keyring = "ring",
                                       .label = "web",
                                       .subject = "CN=x",
                                       .place = rows[i].place,
                                       .problem = rows[i].problem,
                                       .not_before_s = rows[i].not_before_s,
                                       .not_after_s = rows[i].not_after_s};
        char text[200], cut[20];
        int64_t days;
        PEL_EXPECT_EQ(pel_policy_cert_state(&cert, NOW, &days), rows[i].state);
        PEL_EXPECT_EQ(days, rows[i].days);
        if (rows[i].said != NULL)
            PEL_EXPECT_STR(pel_policy_cert_describe(&cert, NOW, text, sizeof text), rows[i].said);
        pel_policy_cert_describe(&cert, NOW, cut, sizeof cut);
        PEL_EXPECT_EQ(strlen(cut), sizeof cut - 1);
    }
    struct pel_policy_cert cert = {.keyring = "ring", .problem = PEL_E_IO, .problem_text = "is gone"};
    char text[100];
    PEL_EXPECT_STR(pel_policy_cert_describe(&cert, NOW, text, sizeof text),
                   "keyring ring cannot be used: is gone");
}

/* Keyrings in a directory of their own. */
struct rings {
    char dir[64], ca[96], web[96];
};

static bool make_cert(const struct rings *rings, const char *label, bool replace)
{
    char ring[128];
    struct pel_error error;
    snprintf(ring, sizeof ring, "%s", rings->web);
    const struct pel_keyring_request request = {
        .dir = ring, .label = label, .subject = "CN=web", .ca_dir = rings->ca, .force = replace};
    return pel_keyring_make_cert(&request, &error) == PEL_OK;
}

static bool make_rings(struct rings *rings)
{
    struct pel_error error;
    strcpy(rings->dir, "/tmp/pel-live-XXXXXX");
    if (mkdtemp(rings->dir) == NULL)
        return false;
    snprintf(rings->ca, sizeof rings->ca, "%s/me/ca", rings->dir);
    snprintf(rings->web, sizeof rings->web, "%s/me/web", rings->dir);
    const struct pel_keyring_request request = {.dir = rings->ca, .label = "ca", .subject = "CN=ca"};
    return pel_keyring_make_ca(&request, &error) == PEL_OK && make_cert(rings, "used", false) &&
           make_cert(rings, "spare", false) && pel_keyring_set_default(rings->web, "used", &error) == PEL_OK;
}

static void remove_rings(const struct rings *rings)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", rings->dir);
    PEL_EXPECT_EQ(system(command), 0);
}

static const struct pel_policy_cert *find_cert(const struct pel_policy_certs *certs, const char *keyring,
                                               const char *label)
{
    for (size_t i = 0; i < certs->num; i++)
        if (strcmp(certs->rows[i].keyring, keyring) == 0 && strcmp(certs->rows[i].label, label) == 0)
            return &certs->rows[i];
    return NULL;
}

PEL_TEST(live, certificates_of_the_keyrings_that_rules_name)
{
    struct rings rings;
    struct pel_policy_certs certs = {0}, again = {0};
    PEL_REQUIRE(make_rings(&rings));
    const struct pel_generation_config config = {.keyring_dir = rings.dir, .owner = "me"};
    struct pel_policy *policy = parse(RULE("A", "1", "web", "") RULE("B", "2", "web", "")
                                          RULE("C", "3", "gone", "") RULE("D", "4", "*TOKEN*/x", "") GROUP);
    PEL_REQUIRE(policy != NULL);
    PEL_REQUIRE_OK(pel_policy_certs_collect(policy, &config, &certs));
    PEL_EXPECT_EQ(certs.num_keyrings, 3);
    PEL_EXPECT_EQ(certs.num, 5); /* used, spare, its authority; and one row for each that cannot be */
    const struct pel_policy_cert *used = find_cert(&certs, "web", "used");
    const struct pel_policy_cert *spare = find_cert(&certs, "web", "spare");
    const struct pel_policy_cert *gone = find_cert(&certs, "gone", ""),
                                 *token = find_cert(&certs, "*TOKEN*/x", "");
    PEL_REQUIRE(used != NULL && spare != NULL && gone != NULL && token != NULL);
    PEL_EXPECT(used->used && !spare->used && gone->used && used->problem == PEL_OK);
    PEL_EXPECT_STR(used->subject, "CN=web");
    PEL_EXPECT_EQ(gone->problem, PEL_E_KEYRING_MISSING);
    PEL_EXPECT_HAS(gone->problem_text, "no such keyring directory");
    PEL_EXPECT_EQ(token->problem, PEL_E_UNSUPPORTED);
    for (size_t i = 1; i < certs.num; i++)
        PEL_EXPECT(certs.rows[i - 1].not_after_s <= certs.rows[i].not_after_s);
    pel_policy_unref(policy);
    /* The same again; then one is replaced, and one has a key that others may read. */
    policy = parse(RULE("A", "1", "web", ADVANCED("CertificateLabel spare")) GROUP);
    PEL_REQUIRE_OK(pel_policy_certs_collect(policy, &config, &again));
    PEL_EXPECT_EQ(pel_policy_certs_replaced(&certs, &again), 0);
    PEL_EXPECT(find_cert(&again, "web", "spare")->used && !find_cert(&again, "web", "used")->used);
    pel_policy_certs_free(&again);
    char key[128];
    snprintf(key, sizeof key, "%s/used.key", rings.web);
    PEL_REQUIRE(make_cert(&rings, "spare", true) && chmod(key, 0644) == 0);
    PEL_REQUIRE_OK(pel_policy_certs_collect(policy, &config, &again));
    PEL_EXPECT_EQ(pel_policy_certs_replaced(&certs, &again), 1);
    PEL_EXPECT_EQ(pel_policy_certs_replaced(&(struct pel_policy_certs){0}, &again), again.num);
    PEL_EXPECT_EQ(find_cert(&again, "web", "used")->problem, PEL_E_KEYRING_MODE);
    PEL_EXPECT(find_cert(&again, "web", "used")->not_after_s > 0);
    pel_policy_certs_free(&again);
    pel_policy_certs_free(&certs);
    pel_policy_unref(policy);
    remove_rings(&rings);
}

/* As an environment takes them: only a server that looks at the name presents them. */
PEL_TEST(live, certificates_for_names_that_clients_ask_for)
{
#define BY_NAME(sni) ADVANCED("ServerHandshakeSNI " sni "\nServerHandshakeSNIList a.test spare")
    struct rings rings;
    PEL_REQUIRE(make_rings(&rings));
    const struct pel_generation_config config = {.keyring_dir = rings.dir, .owner = "me"};
    static const struct {
        const char *text;
        bool used;
    } rows[] = {
        {RULE("A", "1", "web", BY_NAME("Optional")) GROUP, true},
        {RULE("A", "1", "web", BY_NAME("Required")) GROUP, true},
        {RULE("A", "1", "web", BY_NAME("Off")) GROUP, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pel_policy_certs certs = {0};
        struct pel_policy *policy = parse(rows[i].text);
        PEL_REQUIRE(policy != NULL);
        PEL_REQUIRE_OK(pel_policy_certs_collect(policy, &config, &certs));
        PEL_REQUIRE(find_cert(&certs, "web", "spare") != NULL);
        PEL_EXPECT_EQ(find_cert(&certs, "web", "spare")->used, rows[i].used);
        PEL_EXPECT(find_cert(&certs, "web", "used")->used);
        pel_policy_certs_free(&certs);
        pel_policy_unref(policy);
    }
    remove_rings(&rings);
}

/* A day goes by when the test says so. The clock counts how often the thread has looked at it: twice each
 * time that it is woken. */
struct days {
    _Atomic uint64_t now_us;
    _Atomic int num_looks;
    _Atomic int num_lines;
    char line[300]; /* the last one */
};

static uint64_t days_now_us(void *arg)
{
    struct days *days = arg;
    days->num_looks++;
    return days->now_us;
}

static int64_t days_wall_s(void *arg)
{
    const struct days *days = arg;
    return NOW + (int64_t)(days->now_us / 1000000);
}

static void take_line(void *arg, const char *line)
{
    struct days *days = arg;
    snprintf(days->line, sizeof days->line, "%s", line);
    days->num_lines++;
}

static void wait_for_looks(struct days *days, int num)
{
    for (int i = 0; i < 20000 && days->num_looks < num; i++)
        usleep(1000);
    PEL_EXPECT(days->num_looks >= num);
}

static void let_pass(struct days *days, struct pel_watch *watch, int64_t seconds)
{
    int before = days->num_looks;
    days->now_us += (uint64_t)seconds * 1000000u;
    pel_watch_again(watch);
    wait_for_looks(days, before + 2);
}

/* A look says that the thread is about to log, no more. */
static void expect_lines(struct days *days, int num)
{
    for (int i = 0; i < 20000 && days->num_lines < num; i++)
        usleep(1000);
    PEL_EXPECT_EQ(days->num_lines, num);
}

static void expect_daily_lines(struct days *days, struct pel_watch *watch)
{
    wait_for_looks(days, 2);
    let_pass(days, watch, DAY - 1);
    PEL_EXPECT_EQ(days->num_lines, 0);
    let_pass(days, watch, 1);
    expect_lines(days, 1);
    PEL_EXPECT_STR(days->line,
                   "warning: keyring ring: certificate web (CN=x) expires in 29 days, on 2001-10-10");
    let_pass(days, watch, DAY - 1);
    PEL_EXPECT_EQ(days->num_lines, 1);
    let_pass(days, watch, 1);
    expect_lines(days, 2);
    PEL_EXPECT_HAS(days->line, "expires in 28 days");
    /* Whatever was slept through is said once. */
    let_pass(days, watch, 40 * DAY);
    expect_lines(days, 3);
    PEL_EXPECT_HAS(days->line, "error: keyring ring: certificate web (CN=x) has expired 11 days ago");
    let_pass(days, watch, 0);
    PEL_EXPECT_EQ(days->num_lines, 3);
}

PEL_TEST(live, once_a_day_it_is_said_which_certificates_end)
{
    struct days days = {0};
    struct pel_watch *watch = NULL;
    struct pel_error error;
    struct pel_policy_cert rows[] = {
        {.keyring = "ring", .label = "unused", .subject = "CN=y", .not_before_s = 1, .not_after_s = NOW},
        {.keyring = "ring",
         .label = "web",
         .subject = "CN=x",
         .used = true,
         .not_before_s = 1,
         .not_after_s = NOW + 31 * DAY - 1},
    };
    const struct pel_clock clock = {.now_us = days_now_us, .wall_s = days_wall_s, .arg = &days};
    struct pel_stack *stack = calloc(1, sizeof *stack);
    PEL_REQUIRE(stack != NULL);
    pel_policy_live_init(&stack->live);
    pel_generation_slot_init(&stack->slot);
    pthread_mutex_init(&stack->log_lock, NULL);
    stack->options.log = take_line;
    stack->options.arg = &days;
    stack->live.certs.rows = rows;
    stack->live.certs.num = sizeof rows / sizeof *rows;
    PEL_REQUIRE_OK(pel_watch_open(stack, &clock, &watch, &error));
    PEL_REQUIRE_OK(pel_watch_start(watch, &error));
    expect_daily_lines(&days, watch);
    pel_watch_stop(watch);
    pel_watch_close(watch);
    stack->live.certs = (struct pel_policy_certs){0};
    pel_generation_slot_fini(&stack->slot);
    pel_policy_live_fini(&stack->live);
    free(stack);
}

PEL_TEST(live, files_that_are_no_certificates)
{
    struct rings rings;
    struct pel_policy_certs certs = {0};
    char path[160], bundle[8192];
    PEL_REQUIRE(make_rings(&rings));
    const struct pel_generation_config config = {.keyring_dir = rings.dir, .owner = "me"};
    /* Two certificates in one file: the second is sent along. */
    snprintf(path, sizeof path, "%s/used.crt", rings.web);
    FILE *file = fopen(path, "r+");
    PEL_REQUIRE(file != NULL);
    size_t len = fread(bundle, 1, sizeof bundle, file);
    fseek(file, 0, SEEK_END);
    fwrite(bundle, 1, len, file);
    fclose(file);
    snprintf(path, sizeof path, "%s/trust/broken.crt", rings.web);
    file = fopen(path, "w");
    PEL_REQUIRE(file != NULL);
    fputs("no certificate\n", file);
    fclose(file);
    struct pel_policy *policy = parse(
        RULE("A", "1", "web", "") "TTLSRule B\n{\nRemotePortRange 1\nDirection Outbound\nTTLSGroupActionRef "
                                  "on\nTTLSEnvironmentAction\n{\nHandshakeRole "
                                  "Client\nTTLSKeyringParms\n{\nKeyring *AUTH*/*\n}\n}\n}\n" GROUP);
    PEL_REQUIRE(policy != NULL);
    PEL_REQUIRE_OK(pel_policy_certs_collect(policy, &config, &certs));
    size_t num_chain = 0, num_machine = 0;
    for (size_t i = 0; i < certs.num; i++) {
        num_chain += certs.rows[i].place == PEL_KEYRING_CHAIN && certs.rows[i].used;
        num_machine += strcmp(certs.rows[i].keyring, "*AUTH*/*") == 0;
    }
    PEL_EXPECT_EQ(num_chain, 1);
    PEL_EXPECT(num_machine >= 1); /* as many as the machine has, or that it has none */
    const struct pel_policy_cert *broken = find_cert(&certs, "web", "broken");
    PEL_REQUIRE(broken != NULL);
    PEL_EXPECT(broken->problem == PEL_E_KEYRING_CERT_MALFORMED && broken->place == PEL_KEYRING_TRUST);
    pel_policy_certs_free(&certs);
    pel_policy_unref(policy);
    remove_rings(&rings);
}

/* ---- changes ---- */

#define TWO RULE("A", "1", "web", "") RULE("B", "2", "web", "") GROUP

PEL_TEST(live, changes_rule_by_rule)
{
    struct pel_load_changes changes = {0};
    struct pel_policy *before = parse(TWO),
                      *now = parse(RULE("B", "2", "web", ADVANCED("HandshakeTimeout 20"))
                                       RULE("C", "3", "web", "") GROUP);
    PEL_REQUIRE_OK(pel_load_changes_find(before, now, &changes));
    PEL_REQUIRE(changes.num == 3);
    PEL_EXPECT_STR(changes.rows[0].rule, "B");
    PEL_EXPECT_EQ(changes.rows[0].kind, PEL_CHANGE_CHANGED);
    PEL_EXPECT_STR(changes.rows[0].detail, "HandshakeTimeout: 10 -> 20");
    PEL_EXPECT_EQ(changes.rows[1].kind, PEL_CHANGE_ADDED);
    PEL_EXPECT_EQ(changes.rows[2].kind, PEL_CHANGE_REMOVED);
    PEL_EXPECT(changes.before[0] == 1 && !changes.same[0]);
    PEL_EXPECT(changes.before[1] == PEL_POLICY_NO_RULE && !changes.same[1]);
    PEL_EXPECT(pel_load_changes_any(&changes));
    pel_load_changes_free(&changes);
    PEL_REQUIRE_OK(pel_load_changes_find(before, before, &changes));
    PEL_EXPECT(changes.num == 0 && !pel_load_changes_any(&changes) && changes.same[0] && changes.same[1]);
    pel_load_changes_free(&changes);
    /* The first policy is no change. */
    PEL_REQUIRE_OK(pel_load_changes_find(NULL, now, &changes));
    PEL_EXPECT(changes.num == 0 && changes.before[0] == PEL_POLICY_NO_RULE && !changes.same[0]);
    pel_load_changes_free(&changes);
    pel_policy_unref(before);
    pel_policy_unref(now);
}

PEL_TEST(live, a_rule_that_only_moves_and_very_many)
{
    struct pel_load_changes changes = {0};
    struct pel_policy *before = parse(TWO);
    struct pel_policy *now = parse(RULE("A", "1", "web", "") RULE("B", "2\nPriority 9", "web", "") GROUP);
    PEL_REQUIRE_OK(pel_load_changes_find(before, now, &changes));
    PEL_EXPECT_EQ(changes.num_of[PEL_CHANGE_MOVED], 1);
    /* It has another priority too, and that is a change. */
    PEL_EXPECT_EQ(changes.num_of[PEL_CHANGE_CHANGED], 1);
    pel_load_changes_free(&changes);
    pel_policy_unref(now);
    size_t cap = 400000, len = 0;
    char *text = malloc(cap);
    for (int i = 0; i < 1200; i++)
        len += (size_t)snprintf(
            text + len, cap - len,
            "TTLSRule N%d\n{\nLocalPortRange %d\nDirection Inbound\nTTLSGroupActionRef off\n}\n", i, i + 1);
    snprintf(text + len, cap - len, "TTLSGroupAction off\n{\nTTLSEnabled Off\n}\n");
    now = parse(text);
    PEL_REQUIRE_OK(pel_load_changes_find(before, now, &changes));
    PEL_EXPECT(changes.num == PEL_LOAD_CHANGES_LISTED && changes.num_of[PEL_CHANGE_ADDED] == 1200);
    PEL_EXPECT_EQ(changes.num_of[PEL_CHANGE_REMOVED], 2);
    pel_load_changes_free(&changes);
    free(text);
    pel_policy_unref(now);
    pel_policy_unref(before);
}

/* ---- what a generation takes over; stale rules ---- */

static struct pel_generation *build(struct pel_policy *policy, const struct pel_generation *before,
                                    uint64_t number)
{
    const struct pel_generation_config config = {.keyring_dir = "/nowhere", .owner = "me"};
    struct pel_generation *generation = NULL;
    struct pel_load_changes changes = {0};
    PEL_EXPECT_ERR(pel_load_changes_find(before != NULL ? before->policy : NULL, policy, &changes), PEL_OK);
    PEL_EXPECT_ERR(pel_generation_build(policy, &config, NULL, NULL, &generation), PEL_OK);
    PEL_EXPECT_ERR(pel_generation_take_over(generation, before, changes.before, changes.same, number, 1),
                   PEL_OK);
    pel_load_changes_free(&changes);
    return generation;
}

PEL_TEST(live, counts_and_staleness_go_by_what_a_rule_is)
{
    struct pel_generation_slot slot;
    struct pel_rule_names names;
    uint64_t count;
    int64_t last_s;
    pel_generation_slot_init(&slot);
    PEL_REQUIRE_OK(pel_rule_names_take(&slot, &names));
    PEL_EXPECT_STR(pel_stale_why(&names, "A", 1), "deleted");
    pel_rule_names_free(&names);
    struct pel_generation *first = build(parse(TWO), NULL, 1);
    pel_rule_hits_count(first->bindings[0].hits, 0, 5);
    pel_generation_ref(first);
    PEL_EXPECT_EQ(pel_generation_publish(&slot, first), 1);
    struct pel_generation *second =
        build(parse(RULE("A", "1", "web", "") RULE("B", "2", "web", ADVANCED("HandshakeTimeout 20"))
                        RULE("C", "3", "web", "") GROUP),
              first, 2);
    /* What still counts under the old generation counts for the same rule. */
    pel_rule_hits_count(first->bindings[0].hits, 0, 6);
    pel_rule_hits_count(first->bindings[1].hits, 0, 6);
    PEL_EXPECT_EQ(pel_generation_publish(&slot, second), 2);
    pel_rule_hits_sum(second->bindings[0].hits, &count, &last_s);
    PEL_EXPECT(count == 2 && last_s == 6 && second->bindings[0].since == 1);
    pel_rule_hits_sum(second->bindings[1].hits, &count, &last_s);
    PEL_EXPECT(count == 0 && second->bindings[1].since == 2 && second->bindings[2].since == 2);
    PEL_REQUIRE_OK(pel_rule_names_take(&slot, &names));
    PEL_EXPECT(pel_stale_why(&names, "A", 1) == NULL && pel_stale_why(&names, "A", 2) == NULL);
    PEL_EXPECT_STR(pel_stale_why(&names, "B", 1), "changed");
    PEL_EXPECT(pel_stale_why(&names, "B", 2) == NULL);
    PEL_EXPECT_STR(pel_stale_why(&names, "X", 1), "deleted");
    pel_rule_names_free(&names);
    pel_generation_unref(first);
    pel_generation_slot_fini(&slot);
}

/* ---- ports without a rule ---- */

static struct pel_no_rule_port port_row(uint16_t port, bool outbound, uint64_t count, uint64_t generation)
{
    struct pel_no_rule_port row = {
        .port = port, .outbound = outbound, .count = count, .generation = generation};
    row.local = row.remote =
        (struct pel_endpoint){.ip = {.version = 4, .bytes = {10, 0, 0, 1}}, .port = port};
    return row;
}

PEL_TEST(live, ports_of_several_engines)
{
    struct pel_no_rule_port sum[PEL_ENGINE_NO_RULE_PORTS] = {0}, one[PEL_ENGINE_NO_RULE_PORTS] = {0},
                            two[PEL_ENGINE_NO_RULE_PORTS] = {0}, many[PEL_ENGINE_NO_RULE_PORTS] = {0};
    one[0] = port_row(80, false, 2, 1);
    one[1] = port_row(80, true, 1, UINT64_MAX);
    two[0] = port_row(80, false, 3, 4);
    pel_no_rule_add(sum, one);
    pel_no_rule_add(sum, two);
    PEL_EXPECT(sum[0].port == 80 && sum[0].count == 5 && sum[0].generation == 4 && !sum[0].outbound);
    PEL_EXPECT(sum[1].count == 1 && sum[2].count == 0);
    /* What does not fit is the last row's. */
    for (uint16_t i = 0; i < PEL_ENGINE_NO_RULE_PORTS; i++)
        many[i] = port_row(i == PEL_ENGINE_NO_RULE_PORTS - 1 ? 0 : (uint16_t)(1000 + i), false, 1, 1);
    pel_no_rule_add(sum, many);
    const struct pel_no_rule_port *last = &sum[PEL_ENGINE_NO_RULE_PORTS - 1];
    PEL_EXPECT_EQ(last->port, 0);
    PEL_EXPECT_EQ(last->count, 3);
}

PEL_TEST(live, the_command_that_says_why)
{
    static char *files[] = {"/etc/policy", "/tmp/it's here"};
    struct pel_stack *stack = calloc(1, sizeof *stack);
    char text[400], small[40];
    PEL_REQUIRE(stack != NULL);
    pel_policy_live_init(&stack->live);
    stack->live.files = files;
    stack->live.num_files = 2;
    struct pel_no_rule_port row = port_row(80, false, 1, 1);
    strcpy(row.user, "joe");
    strcpy(row.job, "a b\n");
    PEL_EXPECT_STR(
        pel_no_rule_command(stack, &row, text, sizeof text),
        "pel policy match /etc/policy '/tmp/it'\\''s here' --direction inbound --local 10.0.0.1:80 "
        "--remote 10.0.0.1:80 --user joe --job 'a b?' --why");
    PEL_EXPECT_STR(pel_no_rule_command(stack, &row, small, sizeof small), "");
    stack->live.result.num_kept = 1; /* the files do not have all rules */
    PEL_EXPECT_STR(pel_no_rule_command(stack, &row, text, sizeof text),
                   "pel policy match --live --direction inbound --local 10.0.0.1:80 --remote 10.0.0.1:80 "
                   "--user joe --job 'a b?' --why");
    row.generation = 0; /* before there was a policy */
    PEL_EXPECT_STR(pel_no_rule_command(stack, &row, text, sizeof text), "");
    stack->live.files = NULL;
    stack->live.num_files = 0;
    pel_policy_live_fini(&stack->live);
    free(stack);
}

/* ---- memory that there is not ---- */

PEL_TEST(live, without_memory_it_is_said)
{
    struct pel_policy *before = parse(TWO),
                      *now = parse(RULE("B", "2", "web", ADVANCED("HandshakeTimeout 20")) GROUP);
    for (uint64_t nth = 1;; nth++) {
        struct pel_load_changes changes = {0};
        failmalloc_arm(nth);
        enum pel_err err = pel_load_changes_find(before, now, &changes);
        if (!failmalloc_disarm()) {
            PEL_EXPECT_ERR(err, PEL_OK);
            PEL_EXPECT(nth > 5);
            pel_load_changes_free(&changes);
            break;
        }
        PEL_EXPECT_ERR(err, PEL_E_NO_MEMORY);
        PEL_EXPECT(changes.rows == NULL && changes.before == NULL);
        if (pel_test_has_failed())
            break;
    }
    pel_policy_unref(before);
    pel_policy_unref(now);
}

/* BoringSSL does not always say that it was memory it lacked. */
PEL_TEST(live, certificates_without_memory)
{
    struct rings rings;
    PEL_REQUIRE(make_rings(&rings));
    const struct pel_generation_config config = {.keyring_dir = rings.dir, .owner = "me"};
    struct pel_policy *policy = parse(RULE("A", "1", "web", "") RULE("C", "3", "gone", "") GROUP);
    for (uint64_t nth = 1;; nth++) {
        struct pel_policy_certs certs = {0};
        failmalloc_arm(nth);
        enum pel_err err = pel_policy_certs_collect(policy, &config, &certs);
        bool failed = failmalloc_disarm();
        bool has_problem = false;
        for (size_t i = 0; i < certs.num; i++)
            has_problem |= certs.rows[i].problem != PEL_OK && certs.rows[i].label[0] != '\0';
        if (!failed)
            PEL_EXPECT(err == PEL_OK && !has_problem && nth > 20);
        else if (err != PEL_OK)
            PEL_EXPECT_ERR(err, PEL_E_NO_MEMORY);
        pel_policy_certs_free(&certs);
        if (!failed || pel_test_has_failed())
            break;
    }
    pel_policy_unref(policy);
    remove_rings(&rings);
}
