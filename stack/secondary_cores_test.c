/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SecondaryMap across engines, on threads in real time: a session's data connections live on other engines
 * than its control connection, at both ends, and sessions come and go at once.
 */
#include <pellucid/pair.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack/conn.h"
#include "tests/harness/harness.h"
#include "tests/scenario/rings.h"

#define NUM_ENGINES  3
#define NUM_THREADS  4
#define NUM_SESSIONS 25
#define CONTROL_PORT 7000
#define DATA_PORT    7001
#define PATIENCE_MS  20000

static const char policy[] =
    "TTLSRule SERVER\n{\n LocalPortRange 7000\n Direction Inbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef server\n}\n"
    "TTLSRule CLIENT\n{\n RemotePortRange 7000\n Direction Outbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef client\n}\n"
    "TTLSGroupAction on\n{\n TTLSEnabled On\n TTLSGroupAdvancedParms\n {\n SecondaryMap On\n }\n}\n"
    "TTLSEnvironmentAction server\n{\n HandshakeRole Server\n"
    " TTLSKeyringParms\n {\n Keyring tester/server\n }\n}\n"
    "TTLSEnvironmentAction client\n{\n HandshakeRole Client\n"
    " TTLSKeyringParms\n {\n Keyring tester/client\n }\n}\n";

/* ---- either end ---- */

static void on_open(void *arg, struct pel_conn *conn)
{
    (void)conn;
    __atomic_store_n((uint32_t *)arg, 1, __ATOMIC_RELEASE);
}

static size_t on_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    (void)arg;
    (void)conn;
    (void)bytes;
    return len;
}

static void on_eof(void *arg, struct pel_conn *conn)
{
    (void)arg;
    pel_conn_close(conn);
}

static void on_writable(void *arg, struct pel_conn *conn)
{
    (void)arg;
    (void)conn;
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    (void)conn;
    (void)err;
    __atomic_store_n((uint32_t *)arg, 2, __ATOMIC_RELEASE);
}

static const struct pel_conn_events events = {.on_open = on_open,
                                              .on_data = on_data,
                                              .on_eof = on_eof,
                                              .on_writable = on_writable,
                                              .on_closed = on_closed};

/* ---- side B ---- */

static uint32_t ignored;

static enum pel_err accept_one(void *arg, struct pel_conn *conn)
{
    (void)arg;
    pel_conn_attach(conn, &events, &ignored);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

static void listen_here(struct pel_engine *engine, void *arg)
{
    struct pel_listener **listeners = arg;
    for (uint16_t i = 0; i < 2; i++) {
        const struct sockaddr_in at = {.sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)(CONTROL_PORT + i))};
        if (pel_engine_listen(engine, (const struct sockaddr *)&at, sizeof at, 1000, accept_one, NULL,
                              &listeners[i]) != PEL_OK)
            abort();
    }
}

static void unlisten_here(struct pel_engine *engine, void *arg)
{
    struct pel_listener **listeners = arg;
    (void)engine;
    for (int i = 0; i < 2; i++)
        pel_listener_close(listeners[i]);
}

/* ---- side A ---- */

struct call {
    struct pel_engine *engine;
    uint16_t port;
    uint64_t process;
    struct pel_conn *conn;
    uint32_t state; /* atomic; 1: open, 2: gone */
    struct pel_conn_report report;
};

static void connect_here(struct pel_engine *engine, void *arg)
{
    struct call *call = arg;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(call->port)};
    const struct pel_identity identity = {.user = "tester", .process = call->process};
    inet_pton(AF_INET, "10.7.0.2", &to.sin_addr);
    if (pel_engine_connect(engine, NULL, 0, (struct sockaddr *)&to, sizeof to, NULL, &identity, &events,
                           &call->state, &call->conn) != PEL_OK)
        call->state = 2;
}

static void report_here(struct pel_engine *engine, void *arg)
{
    struct call *call = arg;
    (void)engine;
    if (call->state == 1)
        pel_conn_fill_report(call->conn, &call->report);
}

static void close_here(struct pel_engine *engine, void *arg)
{
    struct call *call = arg;
    (void)engine;
    if (call->state == 1)
        pel_conn_close(call->conn);
}

static bool call_open(struct call *call)
{
    pel_engine_call(call->engine, connect_here, call);
    for (int i = 0; i < PATIENCE_MS && __atomic_load_n(&call->state, __ATOMIC_ACQUIRE) == 0; i++)
        usleep(1000);
    pel_engine_call(call->engine, report_here, call);
    return call->state == 1;
}

struct user {
    pthread_t thread;
    struct pel_pair *pair;
    int number;
    uint32_t num_good, num_secondary;
};

/* A control connection on one engine and a data connection on each, at both ends. */
static bool have_session(struct user *user, int first)
{
    struct call calls[1 + NUM_ENGINES] = {0};
    bool is_good = true;
    int num = 0;
    for (; num <= NUM_ENGINES && is_good; num++) {
        struct call *call = &calls[num];
        *call = (struct call){.engine = pel_pair_engine_at(user->pair, 0, (first + num) % NUM_ENGINES),
                              .port = num == 0 ? CONTROL_PORT : DATA_PORT,
                              .process = (uint64_t)user->number};
        is_good = call_open(call) && strcmp(call->report.map, num == 0 ? "primary" : "secondary") == 0 &&
                  strcmp(call->report.rule, "CLIENT") == 0 && strcmp(call->report.state, "SECURE") == 0;
        if (num > 0)
            is_good &= call->report.follows_id == calls[0].report.id &&
                       call->report.follows_engine == calls[0].engine->config.index;
        user->num_secondary += num > 0;
    }
    while (num-- > 0)
        pel_engine_call(calls[num].engine, close_here, &calls[num]);
    return is_good;
}

static void *use(void *arg)
{
    struct user *user = arg;
    for (int i = 0; i < NUM_SESSIONS; i++)
        user->num_good += have_session(user, user->number + i);
    return NULL;
}

/* ---- the test ---- */

static struct pel_pair *start_pair(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/secondary.policy", rings_dir());
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(policy, file) < 0 || fclose(file) != 0)
        abort();
    struct pel_pair_options options = {.cores = {-1, -1},
                                       .num_engines = NUM_ENGINES,
                                       .more_cores = {{-1, -1, -1}, {-1, -1, -1}},
                                       .window_len = 1u << 16,
                                       .policy_files = {path, path},
                                       .keyring_dir = rings_dir()};
    struct pel_pair *pair = NULL;
    struct pel_error error = {.text = ""};
    if (pel_pair_start(&options, &pair, &error) != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "%s", error.text);
    return pair;
}

struct seen {
    uint64_t num_secondary, num_no_rule;
    uint32_t num_conns, num_primaries;
};

static void look(struct pel_engine *engine, void *arg)
{
    struct seen *seen = arg;
    seen->num_secondary += engine->counters.stat[PEL_STAT_map_secondary];
    seen->num_no_rule += engine->counters.stat[PEL_STAT_map_no_rule];
    seen->num_conns += engine->num_conns;
    seen->num_primaries += __atomic_load_n(&engine->config.slot->primaries.num, __ATOMIC_ACQUIRE);
}

static struct seen look_at(const struct pel_pair *pair, int side)
{
    struct seen seen = {0};
    for (int e = 0; e < NUM_ENGINES; e++)
        pel_engine_call(pel_pair_engine_at(pair, side, e), look, &seen);
    return seen;
}

PEL_TEST(secondary_cores, data_connections_follow_from_any_engine)
{
    struct user users[NUM_THREADS];
    struct pel_listener *listeners[NUM_ENGINES][2];
    uint64_t num_secondary = 0;
    struct pel_pair *pair = start_pair();
    PEL_REQUIRE(pair != NULL);
    for (int e = 0; e < NUM_ENGINES; e++)
        pel_engine_call(pel_pair_engine_at(pair, 1, e), listen_here, listeners[e]);
    for (int i = 0; i < NUM_THREADS; i++) {
        users[i] = (struct user){.pair = pair, .number = i};
        PEL_EXPECT_EQ(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
    }
    for (int i = 0; i < NUM_THREADS; i++) {
        pthread_join(users[i].thread, NULL);
        PEL_EXPECT_EQ(users[i].num_good, NUM_SESSIONS);
        num_secondary += users[i].num_secondary;
    }
    PEL_EXPECT_EQ(num_secondary, NUM_THREADS * NUM_SESSIONS * NUM_ENGINES);
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < PATIENCE_MS && look_at(pair, side).num_conns > 0; i++)
            usleep(1000);
        struct seen seen = look_at(pair, side);
        PEL_EXPECT_EQ(seen.num_conns, 0);
        PEL_EXPECT_EQ(seen.num_primaries, 0);
        PEL_EXPECT_EQ(seen.num_secondary, num_secondary);
        PEL_EXPECT_EQ(seen.num_no_rule, 0);
    }
    for (int e = 0; e < NUM_ENGINES; e++)
        pel_engine_call(pel_pair_engine_at(pair, 1, e), unlisten_here, listeners[e]);
    pel_pair_stop(pair);
}
