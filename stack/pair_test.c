/* SPDX-License-Identifier: Apache-2.0 */
/* Two engines on two threads, in real time, each with its own instance of the TCP/IP layer. */
#include <pellucid/pair.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/harness/harness.h"

#define NUM_CONNS 16
#define CONN_LEN  300000u

struct talk {
    uint64_t received_len[2], num_closed[2], num_wrong;
    struct pel_listener *listener;
};

struct end {
    struct talk *talk;
    int side;
    uint32_t sent_len, received_len;
    bool shut;
};

static void add(uint64_t *number, uint64_t n)
{
    __atomic_add_fetch(number, n, __ATOMIC_RELAXED);
}

static void send_more(struct end *end, struct pel_conn *conn)
{
    uint8_t bytes[3000];
    size_t taken_len = sizeof bytes;
    while (end->sent_len < CONN_LEN && taken_len == sizeof bytes) {
        size_t len = CONN_LEN - end->sent_len < sizeof bytes ? CONN_LEN - end->sent_len : sizeof bytes;
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)((end->sent_len + i) * 13 + (size_t)end->side);
        if (pel_conn_write(conn, bytes, len, &taken_len) != PEL_OK)
            return;
        end->sent_len += (uint32_t)taken_len;
    }
    if (end->sent_len == CONN_LEN && !end->shut) {
        end->shut = true;
        pel_conn_shutdown(conn);
    }
}

static void on_open(void *arg, struct pel_conn *conn)
{
    send_more(arg, conn);
}

static size_t on_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct end *end = arg;
    (void)conn;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != (uint8_t)((end->received_len + i) * 13 + (size_t)(1 - end->side)))
            add(&end->talk->num_wrong, 1);
    }
    end->received_len += (uint32_t)len;
    add(&end->talk->received_len[end->side], len);
    return len;
}

static void finish(struct end *end, struct pel_conn *conn)
{
    add(&end->talk->num_closed[end->side], 1);
    pel_conn_close(conn);
    free(end);
}

static void on_eof(void *arg, struct pel_conn *conn)
{
    struct end *end = arg;
    if (end->shut)
        finish(end, conn);
}

static void on_writable(void *arg, struct pel_conn *conn)
{
    struct end *end = arg;
    send_more(end, conn);
    if (end->shut && end->received_len == CONN_LEN)
        finish(end, conn);
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct end *end = arg;
    (void)conn;
    (void)err;
    add(&end->talk->num_wrong, 1);
    free(end);
}

static const struct pel_conn_events events = {.on_open = on_open,
                                              .on_data = on_data,
                                              .on_eof = on_eof,
                                              .on_writable = on_writable,
                                              .on_closed = on_closed};

static struct end *new_end(struct talk *talk, int side)
{
    struct end *end = calloc(1, sizeof *end);
    if (end == NULL)
        abort();
    end->talk = talk;
    end->side = side;
    return end;
}

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    pel_conn_attach(conn, &events, new_end(arg, 1));
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

static void listen_on_b(struct pel_engine *engine, void *arg)
{
    struct talk *talk = arg;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(99)};
    if (pel_engine_listen(engine, (struct sockaddr *)&address, sizeof address, 64, on_accept, talk,
                          &talk->listener) != PEL_OK)
        abort();
}

static void unlisten(struct pel_engine *engine, void *arg)
{
    (void)engine;
    pel_listener_close(((struct talk *)arg)->listener);
}

static void connect_from_a(struct pel_engine *engine, void *arg)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(99)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(99)};
    struct pel_conn *conn;
    inet_pton(AF_INET, "10.7.0.2", &in4.sin_addr);
    inet_pton(AF_INET6, "fd07::2", &in6.sin6_addr);
    for (int i = 0; i < NUM_CONNS; i++) {
        const struct sockaddr *to = i % 2 == 0 ? (struct sockaddr *)&in4 : (struct sockaddr *)&in6;
        socklen_t len = i % 2 == 0 ? sizeof in4 : sizeof in6;
        if (pel_engine_connect(engine, NULL, 0, to, len, NULL, NULL, &events, new_end(arg, 0), &conn) !=
            PEL_OK)
            abort();
    }
}

static void talk_over(const struct pel_pair_options *options)
{
    struct pel_pair *pair;
    struct pel_pair_usage usage[2];
    struct pel_error error = {0};
    struct talk talk = {0};
    enum pel_err err = pel_pair_start(options, &pair, &error);
    if (err != PEL_OK)
        pel_test_say("%s", error.text);
    PEL_REQUIRE(err == PEL_OK);
    pel_engine_call(pel_pair_engine(pair, 1), listen_on_b, &talk);
    pel_engine_call(pel_pair_engine(pair, 0), connect_from_a, &talk);
    for (int i = 0; i < 3000; i++) {
        if (__atomic_load_n(&talk.num_closed[0], __ATOMIC_RELAXED) == NUM_CONNS &&
            __atomic_load_n(&talk.num_closed[1], __ATOMIC_RELAXED) == NUM_CONNS)
            break;
        usleep(10000);
    }
    pel_engine_call(pel_pair_engine(pair, 1), unlisten, &talk);
    for (int side = 0; side < 2; side++)
        pel_pair_usage(pair, side, &usage[side]);
    pel_pair_stop(pair);
    for (int side = 0; side < 2; side++) {
        PEL_EXPECT_EQ(talk.num_closed[side], NUM_CONNS);
        PEL_EXPECT_EQ(talk.received_len[side], (uint64_t)NUM_CONNS * CONN_LEN);
        PEL_EXPECT(usage[side].busy_loops > 0 && usage[side].busy_us > 0 && usage[side].cpu_us > 0);
    }
    PEL_EXPECT_EQ(talk.num_wrong, 0);
}

PEL_TEST(pair, two_engines_on_two_cores_talk)
{
    static const struct pel_pair_options options = {.cores = {0, 1}};
    talk_over(&options);
}

PEL_TEST(pair, they_talk_over_a_wire_without_large_segments)
{
    static const struct pel_pair_options options = {.cores = {0, 1}, .no_segment_offload = 1};
    talk_over(&options);
}

PEL_TEST(pair, a_policy_with_errors_is_an_error)
{
    struct pel_pair_options options = {.cores = {-1, -1}, .policy_files = {"/nonexistent/policy", NULL}};
    struct pel_pair *pair;
    struct pel_error error = {0};
    PEL_EXPECT(pel_pair_start(&options, &pair, &error) != PEL_OK);
    PEL_EXPECT_HAS(error.text, "/nonexistent/policy");
}

struct order {
    struct pel_task tasks[100];
    int next, num_wrong;
};

static void run_in_order(struct pel_engine *engine, struct pel_task *task)
{
    static struct order *order;
    (void)engine;
    if (order == NULL || task == &order->tasks[0])
        order = (struct order *)task; /* the first task is the first member */
    order->num_wrong += task != &order->tasks[order->next++];
}

static void nothing(struct pel_engine *engine, void *arg)
{
    (void)engine;
    ++*(int *)arg;
}

PEL_TEST(pair, tasks_run_in_the_order_of_posting)
{
    static const struct pel_pair_options options = {.cores = {-1, -1}};
    static struct order order;
    struct pel_pair *pair;
    int num_calls = 0;
    PEL_REQUIRE_OK(pel_pair_start(&options, &pair, NULL));
    usleep(50000); /* let the engine fall asleep, so that posting must wake it */
    for (int i = 0; i < 100; i++) {
        order.tasks[i].run = run_in_order;
        pel_engine_post(pel_pair_engine(pair, 0), &order.tasks[i]);
    }
    pel_engine_call(pel_pair_engine(pair, 0), nothing, &num_calls);
    PEL_EXPECT_EQ(order.next, 100);
    PEL_EXPECT_EQ(order.num_wrong, 0);
    PEL_EXPECT_EQ(num_calls, 1);
    pel_pair_stop(pair);
}
