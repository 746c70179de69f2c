/* SPDX-License-Identifier: Apache-2.0 */
/* Lives of connections that are easily forgotten: calls into one connection from the callbacks of another,
 * work that makes new work while the engine closes, peers that leave a connection half done for ever. */
#include <stdlib.h>
#include <string.h>

#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

#define SECOND_US 1000000u

static const struct world_config both_tls = {.seed = 5,
                                             .policies = {world_client_policy, world_server_policy}};
static const struct world_config both_clear = {.seed = 5, .policies = {"", ""}};

/* An end of a connection that does nothing by itself; what a test wants otherwise, it sets. */
struct end {
    struct pel_conn *conn;
    uint8_t received[64 * 1024];
    size_t received_len;
    size_t take_len; /* of each piece that is shown, at most */
    bool opened, eof, closed, no_map;
    uint64_t num_writable;
    enum pel_err error;
    size_t (*on_data)(struct end *end, const uint8_t *bytes, size_t len);
    void (*on_closed)(struct end *end);
    void *arg;
};

static void on_open(void *arg, struct pel_conn *conn)
{
    struct end *end = arg;
    end->conn = conn;
    end->opened = true;
}

static size_t take(struct end *end, const uint8_t *bytes, size_t len)
{
    size_t room_len = sizeof end->received - end->received_len;
    size_t taken_len = len < end->take_len ? len : end->take_len;
    memcpy(end->received + end->received_len, bytes, taken_len < room_len ? taken_len : room_len);
    end->received_len += taken_len < room_len ? taken_len : room_len;
    return taken_len;
}

static size_t on_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct end *end = arg;
    (void)conn;
    return end->on_data != NULL ? end->on_data(end, bytes, len) : take(end, bytes, len);
}

static void on_eof(void *arg, struct pel_conn *conn)
{
    struct end *end = arg;
    (void)conn;
    end->eof = true;
}

static void on_writable(void *arg, struct pel_conn *conn)
{
    struct end *end = arg;
    (void)conn;
    end->num_writable++;
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct end *end = arg;
    (void)conn;
    PEL_EXPECT(!end->closed);
    end->closed = true;
    end->error = err;
    if (end->on_closed != NULL)
        end->on_closed(end);
}

static const struct pel_conn_events end_events = {.on_open = on_open,
                                                  .on_data = on_data,
                                                  .on_eof = on_eof,
                                                  .on_writable = on_writable,
                                                  .on_closed = on_closed};

#define NUM_PAIRS 2

struct play {
    struct world world;
    struct end clients[NUM_PAIRS], servers[NUM_PAIRS];
    int num_accepted;
    struct pel_listener *listener;
};

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    struct play *play = arg;
    if (play->num_accepted == NUM_PAIRS)
        return PEL_E_BACKLOG_FULL;
    struct end *end = &play->servers[play->num_accepted++];
    end->conn = conn;
    pel_conn_attach(conn, &end_events, end);
    if (!end->no_map)
        pel_conn_map(conn, NULL);
    return PEL_OK;
}

static enum pel_err connect_end(struct play *play, struct end *end)
{
    struct sockaddr_storage address;
    socklen_t len = world_address(&play->world, HOST_B, WORLD_PORT, &address);
    return pel_engine_connect(play->world.engines[HOST_A], NULL, 0, (struct sockaddr *)&address, len,
                              "server.test", NULL, &end_events, end, &end->conn);
}

static struct play *open_play(const struct world_config *config)
{
    struct sockaddr_storage address;
    struct play *play = calloc(1, sizeof *play);
    if (play == NULL || !world_open(&play->world, config))
        abort();
    for (int i = 0; i < NUM_PAIRS; i++)
        play->clients[i].take_len = play->servers[i].take_len = SIZE_MAX;
    socklen_t len = world_address(&play->world, HOST_B, WORLD_PORT, &address);
    if (pel_engine_listen(play->world.engines[HOST_B], (struct sockaddr *)&address, len, 16, on_accept, play,
                          &play->listener) != PEL_OK)
        abort();
    return play;
}

static void close_play(struct play *play)
{
    pel_listener_close(play->listener);
    PEL_EXPECT(world_close(&play->world));
    free(play);
}

/* Connects the first `num` pairs, one after the other. */
static void connect_pairs(struct play *play, int num)
{
    for (int i = 0; i < num; i++) {
        PEL_EXPECT_ERR(connect_end(play, &play->clients[i]), PEL_OK);
        world_pass(&play->world, SECOND_US / 5);
    }
}

static void send_all(struct end *end, uint8_t byte, size_t len)
{
    uint8_t bytes[16384];
    size_t taken_len = 0;
    memset(bytes, byte, sizeof bytes);
    PEL_EXPECT(len <= sizeof bytes);
    PEL_EXPECT_ERR(pel_conn_write(end->conn, bytes, len, &taken_len), PEL_OK);
    PEL_EXPECT_EQ(taken_len, len);
}

static bool is_all(const struct end *end, uint8_t byte)
{
    for (size_t i = 0; i < end->received_len; i++)
        if (end->received[i] != byte)
            return false;
    return true;
}

/* ---- one connection's callback calls into another connection ---- */

/* As a proxy does: something has come for the one, so the other may go on. */
static size_t resume_the_other(struct end *end, const uint8_t *bytes, size_t len)
{
    struct end *other = end->arg;
    other->take_len = SIZE_MAX;
    other->on_data = NULL;
    pel_conn_resume(other->conn);
    end->on_data = NULL;
    return take(end, bytes, len / 2);
}

static size_t take_one(struct end *end, const uint8_t *bytes, size_t len)
{
    (void)len;
    return take(end, bytes, 1);
}

static void interleave(const struct world_config *config)
{
    struct play *play = open_play(config);
    connect_pairs(play, 2);
    play->servers[0].on_data = take_one;
    /* Several records: what the first leaves is kept apart, the others are opened when it resumes. */
    for (int i = 0; i < 4; i++)
        send_all(&play->clients[0], 'A', 9000);
    world_pass(&play->world, SECOND_US);
    PEL_EXPECT_EQ(play->servers[0].received_len, 1);
    play->servers[1].on_data = resume_the_other;
    play->servers[1].arg = &play->servers[0];
    send_all(&play->clients[1], 'B', 9000);
    world_pass(&play->world, SECOND_US);
    pel_conn_resume(play->servers[1].conn);
    PEL_EXPECT_EQ(play->servers[0].received_len, 36000);
    PEL_EXPECT_EQ(play->servers[1].received_len, 9000);
    PEL_EXPECT(is_all(&play->servers[0], 'A'));
    PEL_EXPECT(is_all(&play->servers[1], 'B'));
    close_play(play);
}

PEL_TEST(hostile_life, a_callback_that_resumes_another_connection_keeps_their_bytes_apart)
{
    interleave(&both_clear);
    interleave(&both_tls);
}

/* ---- writes and half closes at odd moments ---- */

static void fill_then_write_nothing(const struct world_config *config)
{
    struct play *play = open_play(config);
    uint8_t bytes[16384] = {0};
    size_t taken_len = sizeof bytes;
    connect_pairs(play, 1);
    while (taken_len == sizeof bytes)
        if (pel_conn_write(play->clients[0].conn, bytes, sizeof bytes, &taken_len) != PEL_OK)
            break;
    taken_len = 99;
    PEL_EXPECT_ERR(pel_conn_write(play->clients[0].conn, bytes, 0, &taken_len), PEL_OK);
    PEL_EXPECT_EQ(taken_len, 0);
    world_pass(&play->world, SECOND_US);
    PEL_EXPECT(play->clients[0].num_writable > 0);
    close_play(play);
}

PEL_TEST(hostile_life, an_empty_write_does_not_cancel_the_wait_for_room)
{
    fill_then_write_nothing(&both_clear);
    fill_then_write_nothing(&both_tls);
}

PEL_TEST(hostile_life, a_shutdown_before_the_mapping_point_waits_for_the_handshake)
{
    struct play *play = open_play(&both_tls);
    play->servers[0].no_map = true;
    PEL_REQUIRE_OK(connect_end(play, &play->clients[0]));
    world_pass(&play->world, SECOND_US / 100);
    PEL_REQUIRE(play->servers[0].conn != NULL);
    pel_conn_shutdown(play->servers[0].conn);
    world_pass(&play->world, SECOND_US);
    PEL_EXPECT(!play->clients[0].closed);
    pel_conn_map(play->servers[0].conn, NULL);
    world_pass(&play->world, SECOND_US);
    PEL_EXPECT(play->clients[0].opened && play->clients[0].eof && !play->clients[0].closed);
    PEL_EXPECT(play->servers[0].opened);
    close_play(play);
}

/* The hello is here already when the owner, not mapped yet, shuts down. */
PEL_TEST(hostile_life, a_shutdown_before_the_mapping_point_with_the_hello_in_hand)
{
    struct play *play = open_play(&both_tls);
    play->servers[0].no_map = true;
    PEL_REQUIRE_OK(connect_end(play, &play->clients[0]));
    while (play->servers[0].conn == NULL)
        world_step(&play->world);
    pel_conn_shutdown(play->servers[0].conn);
    world_pass(&play->world, SECOND_US);
    pel_conn_map(play->servers[0].conn, NULL);
    world_pass(&play->world, SECOND_US);
    PEL_EXPECT(play->clients[0].opened && play->clients[0].eof && !play->clients[0].closed);
    close_play(play);
}

/* ---- ends ---- */

static bool no_conns_at_b(void *arg)
{
    struct play *play = arg;
    return play->world.engines[HOST_B]->num_conns == 0;
}

/* A peer that answers every probe but never opens its window: what was written to it before the owner gave
 * up must not be kept for ever. The world does not count what TCP keeps, so the peer's word is the test:
 * when it reads at last, it must find the connection reset. */
static void close_on_a_shut_window(const struct world_config *config, int num_writes)
{
    struct play *play = open_play(config);
    uint8_t bytes[16384] = {0};
    size_t taken_len = sizeof bytes;
    connect_pairs(play, 1);
    play->clients[0].take_len = 0;
    for (int i = 0; i < num_writes; i++) {
        if (pel_conn_write(play->servers[0].conn, bytes, sizeof bytes, &taken_len) != PEL_OK)
            world_pass(&play->world, SECOND_US / 10);
    }
    pel_conn_close(play->servers[0].conn);
    PEL_EXPECT(world_run(&play->world, no_conns_at_b, play, 120 * SECOND_US));
    PEL_EXPECT_EQ(world_err(&play->world, HOST_B, PEL_E_CONN_TIMEOUT), 1);
    play->clients[0].take_len = SIZE_MAX;
    if (!play->clients[0].closed)
        pel_conn_resume(play->clients[0].conn);
    world_pass(&play->world, 10 * SECOND_US);
    PEL_EXPECT(play->clients[0].closed);
    PEL_EXPECT_ERR(play->clients[0].error, PEL_E_CONN_RESET);
    if (pel_test_has_failed())
        pel_test_say("%d writes, %s", num_writes, config == &both_tls ? "TLS" : "clear");
    close_play(play);
}

PEL_TEST(hostile_life, a_peer_that_keeps_its_window_shut_is_given_up)
{
    static const int nums[] = {22, 200}; /* all of it in TCP's hands; more than that */
    for (size_t i = 0; i < sizeof nums / sizeof *nums; i++) {
        close_on_a_shut_window(&both_clear, nums[i]);
        close_on_a_shut_window(&both_tls, nums[i]);
    }
}

/* A slow but honest reader gets everything that was written before the close. */
PEL_TEST(hostile_life, a_slow_reader_still_gets_what_was_written_before_a_close)
{
    struct play *play = open_play(&both_clear);
    connect_pairs(play, 1);
    play->clients[0].take_len = 0;
    send_all(&play->servers[0], 'A', 16000);
    world_pass(&play->world, SECOND_US);
    send_all(&play->servers[0], 'A', 16000);
    pel_conn_close(play->servers[0].conn);
    world_pass(&play->world, 20 * SECOND_US);
    play->clients[0].take_len = SIZE_MAX;
    pel_conn_resume(play->clients[0].conn);
    world_pass(&play->world, SECOND_US);
    PEL_EXPECT_EQ(play->clients[0].received_len, 32000);
    PEL_EXPECT(play->clients[0].eof && !play->clients[0].closed);
    close_play(play);
}

/* ---- an engine that closes ---- */

static void connect_again(struct end *end)
{
    struct play *play = end->arg;
    struct end *next = &play->clients[1];
    next->closed = false;
    next->arg = play;
    next->on_closed = connect_again;
    (void)!connect_end(play, next);
}

PEL_TEST(hostile_life, an_owner_that_connects_again_does_not_keep_its_engine)
{
    struct play *play = open_play(&both_tls);
    connect_pairs(play, 1);
    play->clients[0].on_closed = connect_again;
    play->clients[0].arg = play;
    close_play(play);
}

static void post_again(struct pel_engine *engine, struct pel_task *task)
{
    pel_engine_post(engine, task);
}

PEL_TEST(hostile_life, a_task_that_posts_itself_does_not_keep_its_engine)
{
    struct pel_task task = {.run = post_again};
    struct play *play = open_play(&both_clear);
    pel_engine_post(play->world.engines[HOST_A], &task);
    for (int i = 0; i < 10; i++)
        world_step(&play->world);
    close_play(play);
}

/* ---- the alert ---- */

static void close_at_once(struct end *end)
{
    pel_conn_close(end->conn);
}

/* An owner that, as many do, closes in on_closed must not cut off the alert: the peer would see a reset and
 * no reason. */
PEL_TEST(hostile_life, a_close_in_on_closed_lets_the_alert_leave)
{
    struct world_config config = {.seed = 5, .policies = {world_client_policy, world_server_policy}};
    struct play *play = open_play(&config);
    play->clients[0].on_closed = close_at_once;
    struct sockaddr_storage address;
    socklen_t len = world_address(&play->world, HOST_B, WORLD_PORT, &address);
    PEL_REQUIRE_OK(pel_engine_connect(play->world.engines[HOST_A], NULL, 0, (struct sockaddr *)&address, len,
                                      "other.test", NULL, &end_events, &play->clients[0],
                                      &play->clients[0].conn));
    world_pass(&play->world, 3 * SECOND_US);
    PEL_EXPECT_ERR(play->clients[0].error, PEL_E_TLS_CERT_NAME);
    PEL_EXPECT_ERR(play->servers[0].error, PEL_E_TLS_ALERT_RECEIVED);
    PEL_EXPECT_EQ(play->world.engines[HOST_A]->num_conns, 0);
    close_play(play);
}

/* ---- peers that say nothing, or very little at a time ---- */

/* The server's owner never comes to the mapping point: the client waits five intervals, and both hear of
 * the end. */
PEL_TEST(hostile_life, a_server_that_is_never_mapped_ends_with_its_client)
{
    struct play *play = open_play(&both_tls);
    play->servers[0].no_map = true;
    PEL_REQUIRE_OK(connect_end(play, &play->clients[0]));
    world_pass(&play->world, 49 * SECOND_US);
    PEL_EXPECT(!play->clients[0].closed && !play->servers[0].closed);
    world_pass(&play->world, 5 * SECOND_US);
    PEL_EXPECT_ERR(play->clients[0].error, PEL_E_TLS_HANDSHAKE_START_TIMEOUT);
    PEL_EXPECT(play->servers[0].closed);
    PEL_EXPECT_EQ(play->world.engines[HOST_A]->num_conns + play->world.engines[HOST_B]->num_conns, 0);
    close_play(play);
}

/* Each byte in a packet of its own, to an owner who does not read: the packets that wait must not be all
 * that the port has, or everybody else's connections stand still. */
static void hoard_packets(const struct world_config *config, bool no_map)
{
    struct play *play = open_play(config);
    struct pel_port_stats stats;
    uint8_t byte = 'A';
    size_t taken_len = 0;
    play->servers[0].no_map = no_map;
    play->servers[0].take_len = 0;
    connect_pairs(play, 1);
    for (int i = 0; i < 6000 && !play->clients[0].closed; i++) {
        (void)!pel_conn_write(play->clients[0].conn, &byte, 1, &taken_len);
        world_pass(&play->world, 300);
    }
    play->world.ports[HOST_B]->ops->stats(play->world.ports[HOST_B], &stats);
    pel_test_say("%u packets of B wait", stats.num_pkts_in_use);
    PEL_EXPECT(stats.num_pkts_in_use < 1000);
    PEL_EXPECT_ERR(connect_end(play, &play->clients[1]), PEL_OK);
    world_pass(&play->world, SECOND_US);
    PEL_EXPECT(play->clients[1].opened);
    play->servers[0].take_len = SIZE_MAX;
    if (no_map)
        pel_conn_map(play->servers[0].conn, NULL);
    else
        pel_conn_resume(play->servers[0].conn);
    world_pass(&play->world, SECOND_US);
    PEL_EXPECT_EQ(play->servers[0].received_len, 6000);
    PEL_EXPECT(is_all(&play->servers[0], 'A'));
    close_play(play);
}

PEL_TEST(hostile_life, single_bytes_do_not_hoard_packets)
{
    hoard_packets(&both_clear, false);
    hoard_packets(&both_clear, true);
    hoard_packets(&both_tls, false);
}
