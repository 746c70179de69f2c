/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets upon two engines that share an address, on threads in real time: side A has the sockets, side B
 * plain embedded echo servers and clients, also on two engines. What goes wrong between threads shows
 * here, best under a sanitizer.
 */
#include <pellucid/pair.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pellucid/socket.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/engine.h"
#include "stack/socket.h"
#include "tests/harness/harness.h"
#include "tests/scenario/rings.h"

#define NUM_ENGINES 2
#define NUM_THREADS 4
#define NUM_EACH    25
#define LEN         20000u
#define ECHO_PORT   7000
#define SERVED_PORT 7001

/* ---- side B: what comes goes back ---- */

static size_t echo_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    size_t taken_len = 0;
    (void)arg;
    return pel_conn_write(conn, bytes, len, &taken_len) == PEL_OK ? taken_len : 0;
}

static void echo_writable(void *arg, struct pel_conn *conn)
{
    (void)arg;
    pel_conn_resume(conn);
}

static void echo_eof(void *arg, struct pel_conn *conn)
{
    (void)arg;
    pel_conn_close(conn);
}

static void echo_open(void *arg, struct pel_conn *conn)
{
    (void)arg;
    (void)conn;
}

static void echo_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    (void)arg;
    (void)conn;
    (void)err;
}

static const struct pel_conn_events echo_events = {.on_open = echo_open,
                                                   .on_data = echo_data,
                                                   .on_eof = echo_eof,
                                                   .on_writable = echo_writable,
                                                   .on_closed = echo_closed};

static enum pel_err echo_accept(void *arg, struct pel_conn *conn)
{
    (void)arg;
    pel_conn_attach(conn, &echo_events, NULL);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

struct echo {
    struct pel_udp_socket *udp;
    struct pel_listener *listener;
    enum pel_err err;
};

static void echo_datagram(void *arg, const struct sockaddr *from, socklen_t from_len, const uint8_t *bytes,
                          size_t len)
{
    struct echo *echo = arg;
    if (pel_udp_socket_send(echo->udp, from, from_len, bytes, len) != PEL_OK)
        abort();
}

static void start_echo(struct pel_engine *engine, void *arg)
{
    struct echo *echo = arg;
    const struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(ECHO_PORT)};
    echo->err = pel_engine_listen(engine, (const struct sockaddr *)&at, sizeof at, 1000, echo_accept, echo,
                                  &echo->listener);
    if (echo->err == PEL_OK)
        echo->err = pel_engine_udp_open(engine, (const struct sockaddr *)&at, sizeof at, echo_datagram, echo,
                                        &echo->udp);
}

static void stop_echo(struct pel_engine *engine, void *arg)
{
    struct echo *echo = arg;
    (void)engine;
    pel_listener_close(echo->listener);
    pel_udp_socket_close(echo->udp);
}

/* ---- side B: clients of side A's sockets ---- */

struct caller {
    uint8_t received[LEN];
    size_t sent_len, received_len;
    uint8_t salt;
    uint32_t *num_ended, *num_wrong;
};

static uint8_t byte_at(uint8_t salt, size_t at)
{
    return (uint8_t)(at % 251 * 3 + at / 4099 + salt);
}

static void caller_send(void *arg, struct pel_conn *conn)
{
    struct caller *caller = arg;
    uint8_t bytes[LEN];
    size_t taken_len = 0;
    for (size_t i = 0; i < LEN; i++)
        bytes[i] = byte_at(caller->salt, i);
    if (caller->sent_len < LEN &&
        pel_conn_write(conn, bytes + caller->sent_len, LEN - caller->sent_len, &taken_len) == PEL_OK)
        caller->sent_len += taken_len;
    if (caller->sent_len == LEN)
        pel_conn_shutdown(conn);
}

static size_t caller_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct caller *caller = arg;
    (void)conn;
    for (size_t i = 0; i < len && caller->received_len < LEN; i++)
        caller->received[caller->received_len++] = bytes[i];
    return len;
}

static void caller_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct caller *caller = arg;
    bool wrong = err != PEL_OK || caller->received_len != LEN;
    (void)conn;
    for (size_t i = 0; i < caller->received_len; i++)
        wrong |= caller->received[i] != byte_at(caller->salt, i);
    __atomic_add_fetch(caller->num_wrong, wrong, __ATOMIC_RELAXED);
    __atomic_add_fetch(caller->num_ended, 1, __ATOMIC_RELEASE);
    free(caller);
}

static void caller_eof(void *arg, struct pel_conn *conn)
{
    pel_conn_close(conn);
    caller_closed(arg, conn, PEL_OK);
}

static const struct pel_conn_events caller_events = {.on_open = caller_send,
                                                     .on_data = caller_data,
                                                     .on_eof = caller_eof,
                                                     .on_writable = caller_send,
                                                     .on_closed = caller_closed};

struct call_args {
    uint32_t *num_ended, *num_wrong;
    uint8_t salt;
};

static void call_a(struct pel_engine *engine, void *arg)
{
    const struct call_args *args = arg;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(SERVED_PORT)};
    struct pel_conn *conn;
    inet_pton(AF_INET, "10.7.0.1", &to.sin_addr);
    for (int i = 0; i < NUM_EACH; i++) {
        struct caller *caller = calloc(1, sizeof *caller);
        if (caller == NULL)
            abort();
        caller->salt = (uint8_t)(args->salt + i);
        caller->num_ended = args->num_ended;
        caller->num_wrong = args->num_wrong;
        if (pel_engine_connect(engine, NULL, 0, (struct sockaddr *)&to, sizeof to, NULL, NULL, &caller_events,
                               caller, &conn) != PEL_OK)
            caller_closed(caller, NULL, PEL_E_CONN_ABORTED);
    }
}

/* ---- side A: threads with sockets ---- */

struct user {
    pthread_t thread;
    int number, listener;
    uint32_t num_good;
};

static bool pass_all(int fd, uint8_t *bytes, size_t len, bool is_write)
{
    for (size_t done_len = 0; done_len < len;) {
        ssize_t n = is_write ? pel_write(fd, bytes + done_len, len - done_len)
                             : pel_read(fd, bytes + done_len, len - done_len);
        if (n <= 0)
            return false;
        done_len += (size_t)n;
    }
    return true;
}

/* One connection to side B, from a port of the caller's choice or any; everything must come back. */
static bool talk(uint16_t local_port, uint8_t salt)
{
    uint8_t sent[LEN], received[LEN];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(local_port)};
    inet_pton(AF_INET, "10.7.0.2", &to.sin_addr);
    for (size_t i = 0; i < LEN; i++)
        sent[i] = byte_at(salt, i);
    int fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    bool good = fd >= 0;
    if (local_port != 0)
        good &= pel_bind(fd, (struct sockaddr *)&from, sizeof from) == 0;
    good = good && pel_connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && pass_all(fd, sent, LEN, true) &&
           pel_shutdown(fd, SHUT_WR) == 0 && pass_all(fd, received, LEN, false) &&
           memcmp(sent, received, LEN) == 0 && pel_read(fd, received, 1) == 0;
    if (!good)
        pel_test_say("port %u: %s", local_port, strerror(errno));
    pel_close(fd);
    return good;
}

static void *use(void *arg)
{
    struct user *user = arg;
    for (int i = 0; i < NUM_EACH; i++) {
        uint16_t port = i % 2 == 0 ? 0 : (uint16_t)(20000 + user->number * NUM_EACH + i);
        user->num_good += talk(port, (uint8_t)(user->number * NUM_EACH + i));
    }
    return NULL;
}

/* Accepts and echoes until the listener is shut. */
static void *serve(void *arg)
{
    struct user *user = arg;
    int fd;
    while ((fd = pel_accept(user->listener, NULL, NULL)) >= 0) {
        uint8_t bytes[4096];
        ssize_t n;
        while ((n = pel_read(fd, bytes, sizeof bytes)) > 0 && pass_all(fd, bytes, (size_t)n, true)) {
        }
        user->num_good += n == 0;
        pel_close(fd);
    }
    return NULL;
}

/* ---- the tests ---- */

/* Fifty handshakes begin at once, on a machine that may be busy. */
#define PATIENT " TTLSEnvironmentAdvancedParms\n {\n HandshakeTimeout 60\n }\n"

static const char tls_policy[] =
    "TTLSRule SERVER\n{\n LocalPortRange 7000-7001\n Direction Inbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef server\n}\n"
    "TTLSRule CLIENT\n{\n RemotePortRange 7000-7001\n Direction Outbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef client\n}\n"
    "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
    "TTLSEnvironmentAction server\n{\n HandshakeRole Server\n"
    " TTLSKeyringParms\n {\n Keyring tester/server\n }\n" PATIENT "}\n"
    "TTLSEnvironmentAction client\n{\n HandshakeRole Client\n"
    " TTLSKeyringParms\n {\n Keyring tester/client\n }\n" PATIENT "}\n";

struct bench {
    struct pel_pair *pair;
    struct echo echoes[NUM_ENGINES];
};

/* Writes the policy into the rings' directory, which goes at the end. */
static const char *policy_file(char *ret_path, size_t cap)
{
    snprintf(ret_path, cap, "%s/policy", rings_dir());
    FILE *file = fopen(ret_path, "w");
    if (file == NULL || fputs(tls_policy, file) < 0 || fclose(file) != 0)
        abort();
    return ret_path;
}

static bool bench_open(struct bench *bench, bool tls)
{
    char path[128];
    struct pel_pair_options options = {.cores = {-1, -1},
                                       .num_engines = NUM_ENGINES,
                                       .more_cores = {{-1, -1, -1}, {-1, -1, -1}},
                                       .window_len = 1u << 16};
    const struct pel_sockets_config config = {.buffer_len = 8192, .clock = pel_clock_real()};
    struct pel_engine *engines[NUM_ENGINES];
    struct pel_error error = {.text = ""};
    if (tls) {
        options.policy_files[0] = options.policy_files[1] = policy_file(path, sizeof path);
        options.keyring_dir = rings_dir();
    }
    if (pel_pair_start(&options, &bench->pair, &error) != PEL_OK) {
        pel_test_fail(__FILE__, __LINE__, "%s", error.text);
        return false;
    }
    for (int i = 0; i < NUM_ENGINES; i++) {
        engines[i] = pel_pair_engine_at(bench->pair, 0, i);
        pel_engine_call(pel_pair_engine_at(bench->pair, 1, i), start_echo, &bench->echoes[i]);
        PEL_EXPECT_ERR(bench->echoes[i].err, PEL_OK);
    }
    PEL_EXPECT_ERR(pel_sockets_start(engines, NUM_ENGINES, &config), PEL_OK);
    return true;
}

struct opened {
    uint64_t in, out, tls;
};

static void read_opened(struct pel_engine *engine, void *arg)
{
    struct opened *opened = arg;
    opened->in = engine->counters.stat[PEL_STAT_tcp_opened_in];
    opened->out = engine->counters.stat[PEL_STAT_tcp_opened_out];
    opened->tls = engine->counters.stat[PEL_STAT_map_tls];
}

/* That every engine of both sides had its share of `num` connections, of those that came in or went out. */
static void check_shares(struct bench *bench, int side, bool is_in, uint32_t num, bool tls)
{
    uint64_t sum = 0;
    for (int i = 0; i < NUM_ENGINES; i++) {
        struct opened opened = {0};
        pel_engine_call(pel_pair_engine_at(bench->pair, side, i), read_opened, &opened);
        uint64_t share = is_in ? opened.in : opened.out;
        PEL_EXPECT(share > num / 8);
        sum += share;
        PEL_EXPECT_EQ(opened.tls, tls ? share : 0);
    }
    PEL_EXPECT_EQ(sum, num);
}

static void bench_close(struct bench *bench)
{
    pel_sockets_stop();
    for (int i = 0; i < NUM_ENGINES; i++)
        pel_engine_call(pel_pair_engine_at(bench->pair, 1, i), stop_echo, &bench->echoes[i]);
    pel_pair_stop(bench->pair);
}

static void run_users(struct user users[NUM_THREADS], void *(*main)(void *arg), int listener)
{
    for (int i = 0; i < NUM_THREADS; i++) {
        users[i] = (struct user){.number = i, .listener = listener};
        PEL_EXPECT_EQ(pthread_create(&users[i].thread, NULL, main, &users[i]), 0);
    }
}

static void check_connecting(bool tls)
{
    struct user users[NUM_THREADS];
    struct bench bench = {0};
    if (!bench_open(&bench, tls))
        return;
    run_users(users, use, -1);
    for (int i = 0; i < NUM_THREADS; i++) {
        pthread_join(users[i].thread, NULL);
        PEL_EXPECT_EQ(users[i].num_good, NUM_EACH);
    }
    check_shares(&bench, 0, false, NUM_THREADS * NUM_EACH, tls);
    check_shares(&bench, 1, true, NUM_THREADS * NUM_EACH, tls);
    bench_close(&bench);
}

PEL_TEST(pair_cores, sockets_connect_from_every_engine)
{
    check_connecting(false);
    check_connecting(true);
}

static void check_listening(bool tls)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(SERVED_PORT)};
    uint32_t num_ended = 0, num_wrong = 0, num_good = 0;
    struct user users[NUM_THREADS];
    struct bench bench = {0};
    if (!bench_open(&bench, tls))
        return;
    int listener = pel_socket(AF_INET, SOCK_STREAM, 0);
    PEL_EXPECT_EQ(pel_bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    PEL_EXPECT_EQ(pel_listen(listener, 1000), 0);
    run_users(users, serve, listener);
    for (int i = 0; i < NUM_ENGINES; i++) {
        struct call_args args = {
            .num_ended = &num_ended, .num_wrong = &num_wrong, .salt = (uint8_t)(i * 100)};
        pel_engine_call(pel_pair_engine_at(bench.pair, 1, i), call_a, &args);
    }
    while (__atomic_load_n(&num_ended, __ATOMIC_ACQUIRE) < NUM_ENGINES * NUM_EACH)
        sched_yield();
    PEL_EXPECT_EQ(num_wrong, 0);
    PEL_EXPECT_EQ(pel_shutdown(listener, SHUT_RDWR), 0);
    for (int i = 0; i < NUM_THREADS; i++) {
        pthread_join(users[i].thread, NULL);
        num_good += users[i].num_good;
    }
    PEL_EXPECT_EQ(num_good, NUM_ENGINES * NUM_EACH);
    pel_close(listener);
    check_shares(&bench, 0, true, NUM_ENGINES * NUM_EACH, tls);
    bench_close(&bench);
}

PEL_TEST(pair_cores, one_listening_socket_is_served_by_every_engine)
{
    check_listening(false);
    check_listening(true);
}

/* A datagram socket is bound on every engine: whichever the answer comes to, it reaches the socket. */
PEL_TEST(pair_cores, datagrams_come_back_on_any_engine)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    struct timeval limit = {.tv_sec = 20};
    struct bench bench = {0};
    if (!bench_open(&bench, false))
        return;
    inet_pton(AF_INET, "10.7.0.2", &to.sin_addr);
    for (int i = 0; i < 40; i++) {
        uint32_t number = 0;
        int fd = pel_socket(AF_INET, SOCK_DGRAM, 0);
        PEL_EXPECT_EQ(pel_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
        PEL_EXPECT_EQ(pel_sendto(fd, &i, sizeof i, 0, (struct sockaddr *)&to, sizeof to), sizeof i);
        PEL_EXPECT_EQ(pel_recv(fd, &number, sizeof number, 0), sizeof number);
        PEL_EXPECT_EQ(number, i);
        pel_close(fd);
    }
    bench_close(&bench);
}
