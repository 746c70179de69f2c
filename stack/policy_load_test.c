/* SPDX-License-Identifier: Apache-2.0 */
/* A stack without engines: what loads come to while files change, and which changes are loaded. */
#include "stack/policy_load.h"

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pellucid/keyring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "stack/control_json.h"
#include "stack/stack.h"
#include "stack/watch.h"
#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"

#define GROUP "TTLSGroupAction on\n{\nTTLSEnabled On\n}\n"
#define RULE(name, ring)                                                                                     \
    "TTLSRule " name "\n{\nLocalPortRange 443\nDirection Inbound\nTTLSGroupActionRef on\n"                   \
    "TTLSEnvironmentAction\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring " ring "\n}\n}\n}\n"
#define CLEAR(name)                                                                                          \
    "TTLSRule " name "\n{\nLocalPortRange 443\nDirection Inbound\nTTLSGroupAction\n{\nTTLSEnabled "          \
    "Off\n}\n}\n"

/* A stack, its policy and its keyrings, in a directory of its own. */
struct host {
    struct pel_stack *stack;
    char dir[64], policy[96];
    _Atomic uint64_t still_us;                            /* where the watch's clock stands; 0: it goes */
    _Atomic uint64_t ahead_us;                            /* of the real one, when it goes */
    _Atomic uint32_t num_looks;                           /* how often the watch has looked at its clock */
    void (*on_line)(struct host *host, const char *line); /* NULL: none; within the thread that logs */
    char log[65536];                                      /* under the stack's log_lock */
};

static const char *path_in(const struct host *host, const char *name)
{
    static _Thread_local char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", host->dir, name);
    return path;
}

/* Renamed to its place: whoever watches never sees a part of it. */
static void write_file(const struct host *host, const char *name, const char *text)
{
    char beside[128];
    snprintf(beside, sizeof beside, "%s/.new", host->dir);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    PEL_REQUIRE(fd >= 0);
    PEL_EXPECT_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    PEL_EXPECT_EQ(rename(beside, path_in(host, name)), 0);
}

static bool make_rings(const struct host *host)
{
    struct pel_error error;
    char ca[128], web[128];
    snprintf(ca, sizeof ca, "%s/rings/me/ca", host->dir);
    snprintf(web, sizeof web, "%s/rings/me/web", host->dir);
    const struct pel_keyring_request for_ca = {.dir = ca, .label = "ca", .subject = "CN=ca"};
    const struct pel_keyring_request for_web = {
        .dir = web, .label = "mine", .subject = "CN=web", .ca_dir = ca, .make_default = true};
    return pel_keyring_make_ca(&for_ca, &error) == PEL_OK &&
           pel_keyring_make_cert(&for_web, &error) == PEL_OK;
}

static void run(const struct host *host, const char *command)
{
    char line[1024];
    snprintf(line, sizeof line, "cd %s && %s", host->dir, command);
    PEL_EXPECT_EQ(system(line), 0);
}

static void take_line(void *arg, const char *line)
{
    struct host *host = arg;
    size_t len = strlen(host->log);
    snprintf(host->log + len, sizeof host->log - len, "%s\n", line);
    if (host->on_line != NULL)
        host->on_line(host, line);
}

static bool has_logged(struct host *host, const char *part)
{
    pthread_mutex_lock(&host->stack->log_lock);
    bool has = strstr(host->log, part) != NULL;
    pthread_mutex_unlock(&host->stack->log_lock);
    return has;
}

static uint64_t real_now_us(void)
{
    const struct pel_clock real = pel_clock_real();
    return pel_clock_now_us(&real);
}

static uint64_t watch_now_us(void *arg)
{
    struct host *host = arg;
    host->num_looks++;
    uint64_t still_us = host->still_us;
    return still_us != 0 ? still_us : real_now_us() + host->ahead_us;
}

/* From now on the watch's time goes on only by let_pass, however long any thread is held up. */
static void stop_clock(struct host *host)
{
    host->still_us = real_now_us() + host->ahead_us;
}

static void start_clock(struct host *host)
{
    host->ahead_us = host->still_us - real_now_us();
    host->still_us = 0;
}

static int64_t real_wall_s(void *arg)
{
    const struct pel_clock real = pel_clock_real();
    (void)arg;
    return pel_clock_wall_s(&real);
}

#define PATIENCE_MS 20000

static void start_watch(struct host *host)
{
    struct pel_error error = {0};
    PEL_EXPECT_ERR(pel_watch_start(host->stack->watch, &error), PEL_OK);
    /* At the clock it looks once before it has looked at the files, and once after it. */
    for (int i = 0; i < PATIENCE_MS && host->num_looks < 2; i++)
        usleep(1000);
    PEL_EXPECT(host->num_looks >= 2);
}

/* Until the watch has heard what has happened up to now, and done what was due. It looks at its clock twice
 * in each round of its loop, and once for each event. */
static void let_look(struct host *host)
{
    uint32_t enough = host->num_looks + 16;
    for (int i = 0; i < PATIENCE_MS && host->num_looks < enough; i++) {
        pel_watch_note(host->stack->watch);
        usleep(500);
    }
    PEL_EXPECT(host->num_looks >= enough);
}

static void let_pass(struct host *host, uint64_t ms)
{
    let_look(host);
    host->still_us += ms * 1000;
    let_look(host);
}

/* NULL: it could not be made. With `text` as the policy that is in force; nobody watches yet. */
static struct host *open_host(const char *text, bool watch)
{
    struct host *host = calloc(1, sizeof *host);
    struct pel_stack *stack = calloc(1, sizeof *stack);
    host->stack = stack;
    strcpy(host->dir, "/tmp/pel-load-XXXXXX");
    pel_policy_live_init(&stack->live);
    pel_generation_slot_init(&stack->slot);
    pthread_mutex_init(&stack->log_lock, NULL);
    pthread_mutex_init(&stack->load_lock, NULL);
    stack->options.log = take_line;
    stack->options.arg = host;
    strcpy(stack->user, "me");
    strcpy(stack->job, "test");
    stack->config.engine.count = 1;
    stack->config.policy.watch = watch;
    if (mkdtemp(host->dir) == NULL || !make_rings(host))
        return NULL;
    snprintf(host->policy, sizeof host->policy, "%s/policy", host->dir);
    stack->config.policy.files[0] = host->policy;
    stack->config.policy.num_files = 1;
    if (asprintf(&stack->config.policy.keyring_dir, "%s/rings", host->dir) < 0)
        return NULL;
    write_file(host, "policy", text);
    usleep(30000); /* so that what there is is older than the load that reads it */
    struct pel_error error = {0};
    PEL_EXPECT_ERR(pel_stack_reload_current(stack, PEL_LOAD_START, NULL, &error), PEL_OK);
    const struct pel_clock clock = {.now_us = watch_now_us, .wall_s = real_wall_s, .arg = host};
    PEL_EXPECT_ERR(pel_watch_open(stack, &clock, &stack->watch, &error), PEL_OK);
    return host;
}

static void close_host(struct host *host)
{
    char command[128];
    struct pel_stack *stack = host->stack;
    pel_watch_stop(stack->watch);
    pel_watch_close(stack->watch);
    pel_generation_slot_fini(&stack->slot);
    pel_policy_live_fini(&stack->live);
    pthread_mutex_destroy(&stack->load_lock);
    pthread_mutex_destroy(&stack->log_lock);
    free(stack->config.policy.keyring_dir);
    free(stack);
    snprintf(command, sizeof command, "rm -r %s", host->dir);
    PEL_EXPECT_EQ(system(command), 0);
    free(host);
}

/* Of the last load that succeeded and is over: the generation is in force a little before that. */
static uint64_t generation_of(const struct host *host)
{
    struct pel_policy_live *live = &host->stack->live;
    pthread_mutex_lock(&live->lock);
    uint64_t generation = live->generation;
    pthread_mutex_unlock(&live->lock);
    return generation;
}

static bool wait_for_generation(const struct host *host, uint64_t number)
{
    for (int i = 0; i < PATIENCE_MS && generation_of(host) < number; i++)
        usleep(1000);
    return generation_of(host) >= number;
}

static bool wait_for_line(struct host *host, const char *part)
{
    for (int i = 0; i < PATIENCE_MS && !has_logged(host, part); i++)
        usleep(1000);
    return has_logged(host, part);
}

static size_t count_lines(struct host *host, const char *part)
{
    size_t num = 0;
    pthread_mutex_lock(&host->stack->log_lock);
    for (const char *at = host->log; (at = strstr(at, part)) != NULL; at++)
        num++;
    pthread_mutex_unlock(&host->stack->log_lock);
    return num;
}

static size_t count_loads(struct host *host)
{
    return count_lines(host, "policy not loaded") + generation_of(host);
}

/* Once more may be right, when a file was as new as the load; again and again is not. It is at rest when for
 * a while in which the watch was awake nothing was loaded. */
static bool comes_to_rest(struct host *host)
{
    size_t first = count_loads(host), before;
    do {
        before = count_loads(host);
        usleep(400000);
        let_look(host);
    } while (count_loads(host) != before && before < first + 4);
    return count_loads(host) == before;
}

/* The problem of the certificate as the status shows it; ARG: it is not there. */
static enum pel_err cert_problem(const struct host *host, const char *keyring, const char *label)
{
    struct pel_policy_live *live = &host->stack->live;
    enum pel_err problem = PEL_E_ARG;
    pthread_mutex_lock(&live->lock);
    for (size_t i = 0; i < live->certs.num; i++)
        if (strcmp(live->certs.rows[i].keyring, keyring) == 0 &&
            strcmp(live->certs.rows[i].label, label) == 0)
            problem = live->certs.rows[i].problem;
    pthread_mutex_unlock(&live->lock);
    return problem;
}

/* ---- what is asked ---- */

PEL_TEST(load, files_that_are_no_list_are_refused)
{
    static const char *const requests[] = {"{\"files\": \"/tmp/x\"}", "{\"files\": {\"a\": \"/tmp/x\"}}",
                                           "{\"files\": {}}",         "{\"files\": 7}",
                                           "{\"files\": null}",       "{\"files\": [7]}"};
    struct host *host = open_host(CLEAR("A"), false);
    PEL_REQUIRE(host != NULL);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        json_t *request = json_loads(requests[i], 0, NULL);
        json_t *reply = pel_control_policy_load(host->stack, request);
        PEL_EXPECT(json_is_false(json_object_get(reply, "ok")));
        const char *error = json_string_value(json_object_get(reply, "error"));
        PEL_EXPECT_STR(error, "\"files\" must be a list of at most 16 paths");
        json_decref(reply);
        json_decref(request);
    }
    PEL_EXPECT_EQ(generation_of(host), 1);
    /* An empty list is the configured files, as no list is. */
    json_t *request = json_loads("{\"files\": []}", 0, NULL);
    json_t *reply = pel_control_policy_load(host->stack, request);
    PEL_EXPECT(json_is_true(json_object_get(reply, "ok")));
    json_decref(reply);
    json_decref(request);
    PEL_EXPECT_EQ(generation_of(host), 2);
    close_host(host);
}

/* Under sanitizers the heap is not counted, and what leaks is told at the end. */
PEL_TEST(load, without_memory_no_policy_is_lost)
{
    struct host *host = open_host(CLEAR("A"), true);
    PEL_REQUIRE(host != NULL);
    const char *files[] = {host->policy};
    const struct pel_load_request request = {.files = files, .num_files = 1, .how = PEL_LOAD_ASKED};
    host->stack->config.policy.no_flush = true;
    write_file(host, "policy", CLEAR("B"));
    for (uint64_t nth = 1;; nth++) {
        struct pel_error error = {0};
        struct pel_load_result result;
        size_t before = mallinfo2().uordblks;
        failmalloc_arm(nth);
        enum pel_err err = pel_stack_load_policy(host->stack, &request, NULL, NULL, &result, &error);
        bool failed = failmalloc_disarm();
        pel_load_result_free(&result);
        if (err != PEL_OK)
            PEL_EXPECT(mallinfo2().uordblks < before + 4096);
        if (!failed || pel_test_has_failed()) {
            PEL_EXPECT(err == PEL_OK && nth > 50);
            break;
        }
    }
    PEL_EXPECT_EQ(host->stack->live.result.num_kept, 1);
    close_host(host);
}

/* ---- files that change while they are read ---- */

static void remove_authority(struct host *host, const char *line)
{
    if (strstr(line, "policy generation 2: 1 rules") != NULL)
        unlink(path_in(host, "rings/me/web/trust/spare.crt"));
}

/* The load has read the ring, and its end is not yet known to who watches. */
PEL_TEST(load, an_authority_that_goes_behind_the_back_of_a_load)
{
    struct host *host = open_host(GROUP RULE("A", "web"), true);
    struct pel_error error;
    PEL_REQUIRE(host != NULL);
    run(host, "cp rings/me/ca/ca.crt rings/me/web/trust/spare.crt");
    usleep(30000);
    host->on_line = remove_authority;
    PEL_EXPECT_ERR(pel_stack_reload_current(host->stack, PEL_LOAD_ASKED, NULL, &error), PEL_OK);
    PEL_EXPECT_ERR(cert_problem(host, "web", "spare"), PEL_OK);
    start_watch(host);
    PEL_EXPECT(wait_for_generation(host, 3));
    PEL_EXPECT_ERR(cert_problem(host, "web", "spare"), PEL_E_ARG);
    PEL_EXPECT(comes_to_rest(host));
    close_host(host);
}

static void remove_named(struct host *host, const char *line)
{
    if (strstr(line, "PURGE: accepted") != NULL)
        unlink(path_in(host, "named.policy"));
}

/* Until it is read nobody knows of it, and then it goes before anybody has looked at it. */
PEL_TEST(load, a_file_that_an_agents_file_names_goes_while_it_is_loaded)
{
    struct host *host = open_host(CLEAR("A"), true);
    struct pel_error error;
    PEL_REQUIRE(host != NULL);
    write_file(host, "named.policy", CLEAR("B"));
    write_file(host, "policy", "TTLSConfig named.policy PURGE\n");
    usleep(30000);
    host->on_line = remove_named;
    PEL_EXPECT_ERR(pel_stack_reload_current(host->stack, PEL_LOAD_ASKED, NULL, &error), PEL_OK);
    start_watch(host);
    PEL_EXPECT(wait_for_line(host, "policy not loaded (watch)"));
    PEL_EXPECT_EQ(generation_of(host), 2);
    close_host(host);
}

#define RINGS 100

/* Takes the key of the first ring away as soon as it has been read. */
struct thief {
    const struct host *host;
    int fd; /* inotify's */
};

static void *steal_key(void *arg)
{
    const struct thief *thief = arg;
    char bytes[4096];
    struct pollfd pollfd = {.fd = thief->fd, .events = POLLIN};
    if (poll(&pollfd, 1, PATIENCE_MS) == 1 && read(thief->fd, bytes, sizeof bytes) > 0)
        unlink(path_in(thief->host, "rings/me/r000/mine.key"));
    return NULL;
}

static void write_many_rules(const struct host *host)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    fputs(GROUP, out);
    for (int i = 0; i < RINGS; i++)
        fprintf(
            out,
            "TTLSRule R%03d\n{\nLocalPortRange %d\nDirection Inbound\nPriority %d\nTTLSGroupActionRef on\n"
            "TTLSEnvironmentAction\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring r%03d\n}\n}\n}\n",
            i, i + 1, 1000 - i, i);
    fclose(out);
    write_file(host, "policy", text);
    free(text);
}

PEL_TEST(load, what_is_shown_of_a_keyring_is_what_is_served)
{
    struct host *host = open_host(CLEAR("A"), false);
    struct pel_error error;
    pthread_t thread;
    PEL_REQUIRE(host != NULL);
    run(host, "for i in $(seq -f %03g 0 99); do cp -a rings/me/web rings/me/r$i; done");
    write_many_rules(host);
    struct thief thief = {host, inotify_init1(IN_CLOEXEC)};
    PEL_REQUIRE(inotify_add_watch(thief.fd, path_in(host, "rings/me/r000/mine.key"), IN_CLOSE_NOWRITE) >= 0 &&
                pthread_create(&thread, NULL, steal_key, &thief) == 0);
    PEL_EXPECT_ERR(pel_stack_reload_current(host->stack, PEL_LOAD_ASKED, NULL, &error), PEL_OK);
    pthread_join(thread, NULL);
    close(thief.fd);
    struct pel_generation *generation = pel_generation_current(&host->stack->slot);
    PEL_EXPECT_STR(pel_policy_rule(generation->policy, 0)->name, "R000");
    PEL_EXPECT_EQ(generation->bindings[0].problem.code, cert_problem(host, "r000", "mine"));
    PEL_EXPECT_EQ(host->stack->live.result.num_unusable, generation->bindings[0].problem.code != PEL_OK);
    pel_generation_unref(generation);
    close_host(host);
}

/* ---- which changes are loaded, and when ---- */

/* Writes to an open file every tenth of a second until a load has come or `ms` have passed, by the watch's
 * clock, which stands still. */
static bool is_loaded_meanwhile(struct host *host, int fd, uint64_t number, uint64_t ms)
{
    for (uint64_t passed_ms = 0; passed_ms < ms && generation_of(host) < number; passed_ms += 100) {
        PEL_EXPECT_EQ(write(fd, "x", 1), 1);
        let_pass(host, 100);
    }
    return generation_of(host) >= number;
}

/* One more authority, at once. */
static void put_authority(const struct host *host)
{
    char spare[128];
    snprintf(spare, sizeof spare, "%s/spare.crt", host->dir);
    PEL_EXPECT_EQ(rename(spare, path_in(host, "rings/me/web/trust/spare.crt")), 0);
}

PEL_TEST(load, who_writes_beside_a_keyring_holds_nothing_up)
{
    struct host *host = open_host(GROUP RULE("A", "web"), true);
    PEL_REQUIRE(host != NULL);
    run(host, "cp rings/me/ca/ca.crt spare.crt");
    start_watch(host);
    stop_clock(host);
    int fd = open(path_in(host, "rings/me/web/junk.log"), O_WRONLY | O_CREAT, 0600);
    PEL_EXPECT(write(fd, "x", 1) == 1);
    put_authority(host);
    PEL_EXPECT(is_loaded_meanwhile(host, fd, 2, 2100));
    PEL_EXPECT_ERR(cert_problem(host, "web", "spare"), PEL_OK);
    close(fd);
    close_host(host);
}

PEL_TEST(load, a_keyring_that_is_written_for_ever_is_waited_for_ten_seconds)
{
    struct host *host = open_host(GROUP RULE("A", "web"), true);
    PEL_REQUIRE(host != NULL);
    run(host, "cp rings/me/ca/ca.crt spare.crt");
    start_watch(host);
    stop_clock(host);
    int fd = open(path_in(host, "rings/me/web/users"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    PEL_EXPECT(write(fd, "#", 1) == 1);
    put_authority(host);
    PEL_EXPECT(!is_loaded_meanwhile(host, fd, 2, 9500));
    PEL_EXPECT(is_loaded_meanwhile(host, fd, 2, 2000));
    PEL_EXPECT_ERR(cert_problem(host, "web", "spare"), PEL_OK);
    close(fd);
    close_host(host);
}

/* Half of it has no rules, and that would be no error. */
PEL_TEST(load, a_policy_is_not_taken_while_it_is_written)
{
    static const char rest[] = "\n" GROUP RULE("A", "web");
    struct host *host = open_host(GROUP RULE("A", "web"), true);
    PEL_REQUIRE(host != NULL);
    run(host, "cp rings/me/ca/ca.crt spare.crt");
    start_watch(host);
    stop_clock(host);
    int fd = open(path_in(host, "policy"), O_WRONLY | O_TRUNC);
    PEL_EXPECT(write(fd, "#", 1) == 1);
    put_authority(host); /* does not bring it forward */
    PEL_EXPECT(!is_loaded_meanwhile(host, fd, 2, 25000));
    start_clock(host);
    PEL_EXPECT(write(fd, rest, sizeof rest - 1) == sizeof rest - 1);
    close(fd);
    PEL_EXPECT(wait_for_line(host, "policy generation 2"));
    PEL_EXPECT_EQ(count_lines(host, "removed"), 0);
    close_host(host);
}

/* Also of what the load has not got to, and of files whose time is in the future. */
PEL_TEST(load, what_cannot_be_loaded_is_not_tried_again_and_again)
{
    struct host *host = open_host(GROUP RULE("A", "web"), true);
    PEL_REQUIRE(host != NULL);
    run(host, "cp rings/me/ca/ca.crt spare.crt && touch -d '2 hours' spare.crt");
    start_watch(host);
    put_authority(host);
    write_file(host, "policy", "TTLSRule x\n");
    PEL_EXPECT(wait_for_line(host, "policy not loaded (watch)"));
    PEL_EXPECT(comes_to_rest(host));
    /* An agent's file that names what is not there yet. */
    write_file(host, "policy", "TTLSConfig named.policy\n");
    PEL_EXPECT(wait_for_line(host, "named.policy"));
    PEL_EXPECT(comes_to_rest(host));
    uint64_t generation = generation_of(host);
    write_file(host, "named.policy", GROUP RULE("A", "web"));
    PEL_EXPECT(wait_for_generation(host, generation + 1));
    PEL_EXPECT(comes_to_rest(host));
    close_host(host);
}

/* Somebody loads another file, in vain: what has changed of those in force is loaded nevertheless. */
PEL_TEST(load, a_change_beside_a_load_of_other_files_that_fails)
{
    struct host *host = open_host(GROUP RULE("A", "web"), true);
    struct pel_load_result result;
    struct pel_error error;
    PEL_REQUIRE(host != NULL);
    write_file(host, "other", "TTLSRule x");
    write_file(host, "policy", CLEAR("A"));
    char other[PATH_MAX];
    strcpy(other, path_in(host, "other"));
    const char *files[] = {other};
    usleep(30000);
    const struct pel_load_request asked = {.files = files, .num_files = 1, .how = PEL_LOAD_ASKED};
    PEL_EXPECT_ERR(pel_stack_load_policy(host->stack, &asked, NULL, NULL, &result, &error),
                   PEL_E_POLICY_SYNTAX);
    pel_load_result_free(&result);
    start_watch(host);
    PEL_EXPECT(wait_for_generation(host, 2));
    /* A service manager's load of them is followed, and shown until something changes. */
    const struct pel_load_request by_signal = {.files = files, .num_files = 1, .how = PEL_LOAD_SIGHUP};
    PEL_EXPECT_ERR(pel_stack_load_policy(host->stack, &by_signal, NULL, NULL, &result, &error),
                   PEL_E_POLICY_SYNTAX);
    pel_load_result_free(&result);
    usleep(500000);
    pthread_mutex_lock(&host->stack->live.lock);
    PEL_EXPECT(host->stack->live.failure.is_last && host->stack->live.failure.how == PEL_LOAD_SIGHUP);
    pthread_mutex_unlock(&host->stack->live.lock);
    PEL_EXPECT_EQ(generation_of(host), 2);
    close_host(host);
}

#define CLIENT                                                                                               \
    "TTLSRule A\n{\nRemotePortRange 443\nDirection Outbound\nTTLSGroupActionRef on\nTTLSEnvironmentAction\n" \
    "{\nHandshakeRole Client\nTTLSKeyringParms\n{\nKeyring *AUTH*/*\n}\n}\n}\n"

static bool is_followed(const struct pel_watch_paths *paths, const char *dir, const char *name)
{
    for (size_t i = 0; i < paths->num; i++) {
        const struct pel_watch_place *place = &paths->places[i];
        if (strcmp(place->dir, dir) == 0 && place->name != NULL && strcmp(place->name, name) == 0)
            return true;
    }
    return false;
}

PEL_TEST(load, the_machines_authorities_are_followed)
{
    struct host *host = open_host(GROUP CLIENT, true);
    struct pel_watch_paths paths = {0};
    PEL_REQUIRE(host != NULL);
    pthread_mutex_lock(&host->stack->live.lock);
    pel_watch_follow(host->stack, &paths);
    pthread_mutex_unlock(&host->stack->live.lock);
    PEL_EXPECT(is_followed(&paths, "/etc", "ssl"));
    PEL_EXPECT(!pel_watch_seen_differs(&host->stack->live.seen, &paths.seen));
    pel_watch_paths_free(&paths);
    close_host(host);
}

PEL_TEST(load, a_new_keyring_that_comes_after_its_rule)
{
    struct host *host = open_host(GROUP RULE("A", "web"), true);
    PEL_REQUIRE(host != NULL);
    start_watch(host);
    write_file(host, "policy", GROUP RULE("A", "later"));
    PEL_EXPECT(wait_for_line(host, "policy not loaded (watch): rule A could not be served any more"));
    PEL_EXPECT_EQ(generation_of(host), 1);
    PEL_EXPECT(comes_to_rest(host));
    run(host, "cp -a rings/me/web rings/me/later");
    PEL_EXPECT(wait_for_generation(host, 2));
    PEL_EXPECT_ERR(cert_problem(host, "later", "mine"), PEL_OK);
    close_host(host);
}

/* Whatever is loaded in vain meanwhile. */
PEL_TEST(load, what_a_refused_load_waits_for_is_not_forgotten)
{
    const char *const elsewhere[] = {"/nowhere/policy"};
    const struct pel_load_request other = {.files = elsewhere, .num_files = 1, .how = PEL_LOAD_ASKED};
    struct host *host = open_host(GROUP RULE("A", "web"), true);
    struct pel_load_result result;
    struct pel_error error;
    PEL_REQUIRE(host != NULL);
    start_watch(host);
    write_file(host, "policy", "TTLSConfig named.policy\n");
    PEL_EXPECT(wait_for_line(host, "policy not loaded (watch)"));
    PEL_EXPECT(pel_stack_reload_current(host->stack, PEL_LOAD_ASKED, NULL, &error) != PEL_OK);
    PEL_EXPECT(pel_stack_load_policy(host->stack, &other, NULL, NULL, &result, &error) != PEL_OK);
    pel_load_result_free(&result);
    PEL_EXPECT(comes_to_rest(host));
    PEL_EXPECT_EQ(generation_of(host), 1);
    write_file(host, "named.policy", GROUP RULE("A", "web"));
    PEL_EXPECT(wait_for_generation(host, 2));
    close_host(host);
}

PEL_TEST(load, who_makes_the_keyring_that_a_refused_policy_waits_for_is_heard)
{
    struct host *host = open_host(GROUP RULE("A", "web"), false);
    struct pel_error error;
    char ring[PATH_MAX], path[PATH_MAX];
    PEL_REQUIRE(host != NULL);
    write_file(host, "policy", GROUP RULE("A", "later"));
    PEL_EXPECT_ERR(pel_stack_reload_current(host->stack, PEL_LOAD_KEYRING, NULL, &error),
                   PEL_E_POLICY_UNUSABLE);
    run(host, "cp -a rings/me/web rings/me/later");
    strcpy(path, path_in(host, "rings/me/later"));
    PEL_REQUIRE(realpath(path, ring) != NULL);
    json_t *request = json_pack("{s:s}", "ring", ring);
    json_t *reply = pel_control_keyring_changed(host->stack, request);
    PEL_EXPECT(json_is_true(json_object_get(reply, "loaded")));
    PEL_EXPECT_EQ(generation_of(host), 2);
    json_decref(reply);
    json_decref(request);
    close_host(host);
}
