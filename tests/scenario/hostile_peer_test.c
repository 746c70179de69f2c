/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that speak TCP well and TLS badly: a client in clear that sends bytes made by hand to a TLS port,
 * and a wire on which records are changed with their TCP checksums made right again. Each ends in bounded
 * time, by name, and not one byte reaches an application that was not sealed for it. */
#include <stdlib.h>
#include <string.h>

#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

#define SECOND_US 1000000u

/* ---- a client that sends bytes as they are ---- */

enum then { STALL, FIN, RESET };

struct raw {
    struct pel_conn *conn;
    const uint8_t *bytes;
    size_t len, sent_len, chunk_len; /* chunk_len 0: all at once */
    uint64_t pause_us;               /* between chunks */
    enum then then;
    bool opened, closed, eof, stuck;
};

static void raw_open(void *arg, struct pel_conn *conn)
{
    struct raw *raw = arg;
    raw->conn = conn;
    raw->opened = true;
}

static size_t raw_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    (void)arg;
    (void)conn;
    (void)bytes;
    return len;
}

static void raw_eof(void *arg, struct pel_conn *conn)
{
    (void)conn;
    ((struct raw *)arg)->eof = true;
}

static void raw_writable(void *arg, struct pel_conn *conn)
{
    (void)conn;
    ((struct raw *)arg)->stuck = false;
}

static void raw_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    (void)conn;
    (void)err;
    ((struct raw *)arg)->closed = true;
}

static const struct pel_conn_events raw_events = {.on_open = raw_open,
                                                  .on_data = raw_data,
                                                  .on_eof = raw_eof,
                                                  .on_writable = raw_writable,
                                                  .on_closed = raw_closed};

struct scene {
    struct world world;
    struct peer server;
    struct raw raw;
    struct pel_listener *listener;
};

static bool is_sent(void *arg)
{
    const struct scene *scene = arg;
    return scene->raw.closed || scene->raw.eof || !scene->raw.stuck;
}

static void send_raw(struct scene *scene)
{
    struct raw *raw = &scene->raw;
    while (raw->sent_len < raw->len && !raw->closed && !raw->eof) {
        size_t len = raw->len - raw->sent_len, taken_len = 0;
        if (raw->chunk_len != 0 && raw->chunk_len < len)
            len = raw->chunk_len;
        enum pel_err err = pel_conn_write(raw->conn, raw->bytes + raw->sent_len, len, &taken_len);
        raw->sent_len += err == PEL_OK ? taken_len : 0;
        raw->stuck = err != PEL_OK || taken_len < len;
        if (raw->stuck && !world_run(&scene->world, is_sent, scene, 30 * SECOND_US))
            return;
        if (raw->pause_us > 0)
            world_pass(&scene->world, raw->pause_us);
        else if (raw->chunk_len != 0)
            world_step(&scene->world);
    }
    if (!raw->closed && raw->then == FIN)
        pel_conn_shutdown(raw->conn);
    if (!raw->closed && raw->then == RESET) {
        raw->closed = true;
        pel_conn_abort(raw->conn);
    }
}

static bool server_is_done(void *arg)
{
    const struct scene *scene = arg;
    return scene->server.closed;
}

/* Lets `raw` do its worst; returns how the server's connection ended. */
static enum pel_err attack(const struct raw *how)
{
    struct world_config config = {.seed = 9, .policies = {"", world_server_policy}, .exact_buffers = true};
    struct scene *scene = calloc(1, sizeof *scene);
    struct sockaddr_storage address;
    if (scene == NULL || !world_open(&scene->world, &config))
        abort();
    scene->raw = *how;
    scene->server.world = &scene->world;
    scene->server.send_len = 1000;
    scene->server.marker = true;
    PEL_EXPECT(peer_listen(&scene->server, &scene->listener));
    socklen_t len = world_address(&scene->world, HOST_B, WORLD_PORT, &address);
    PEL_EXPECT_ERR(pel_engine_connect(scene->world.engines[HOST_A], NULL, 0, (struct sockaddr *)&address, len,
                                      NULL, NULL, &raw_events, &scene->raw, &scene->raw.conn),
                   PEL_OK);
    world_pass(&scene->world, SECOND_US / 100);
    send_raw(scene);
    PEL_EXPECT(world_run(&scene->world, server_is_done, scene, 12 * SECOND_US));
    world_pass(&scene->world, 5 * SECOND_US);
    enum pel_err err = scene->server.error;
    PEL_EXPECT(scene->server.closed && !scene->server.opened && scene->server.received_len == 0);
    PEL_EXPECT(err != PEL_OK && world_err(&scene->world, HOST_B, err) == 1);
    PEL_EXPECT(scene->raw.closed || scene->raw.eof);
    PEL_EXPECT_EQ(scene->world.engines[HOST_B]->num_conns, 0);
    PEL_EXPECT_EQ(scene->world.num_markers[HOST_B], 0);
    pel_listener_close(scene->listener);
    PEL_EXPECT(world_close(&scene->world));
    free(scene);
    return err;
}

/* ---- bytes ---- */

struct blob {
    size_t len;
    uint8_t bytes[300000];
};

static void put(struct blob *blob, const void *bytes, size_t len)
{
    if (blob->len + len > sizeof blob->bytes)
        abort();
    memcpy(blob->bytes + blob->len, bytes, len);
    blob->len += len;
}

static void put_record(struct blob *blob, uint8_t type, const void *body, size_t len)
{
    const uint8_t header[] = {type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};
    put(blob, header, sizeof header);
    put(blob, body, len);
}

struct capture {
    struct world *world;
    struct blob *blob;
};

/* The payload of an Ethernet frame with IPv4 and TCP. */
static const uint8_t *payload_of(const uint8_t *frame, size_t len, size_t *ret_len)
{
    *ret_len = 0;
    if (len < 54 || frame[12] != 8 || frame[13] != 0 || frame[23] != 6)
        return NULL;
    size_t ip_len = (size_t)(frame[14] & 15) * 4, total_len = (size_t)(frame[16] << 8 | frame[17]);
    size_t tcp_len = (size_t)(frame[14 + ip_len + 12] >> 4) * 4;
    *ret_len = total_len - ip_len - tcp_len;
    return frame + 14 + ip_len + tcp_len;
}

static bool capture(void *arg, const uint8_t *frame, size_t len)
{
    struct blob *blob = arg;
    size_t payload_len;
    const uint8_t *payload = payload_of(frame, len, &payload_len);
    if (payload != NULL && payload_len > 0 && blob->len == 0)
        put(blob, payload, payload_len);
    return true;
}

/* The first flight of a real client: one handshake record with a ClientHello. */
static const struct blob *client_hello(void)
{
    static struct blob hello;
    struct world_config config = {.seed = 1, .policies = {world_client_policy, world_server_policy}};
    struct world world;
    struct peer peers[NUM_HOSTS];
    struct pel_listener *listener;
    if (hello.len > 0)
        return &hello;
    if (!world_open(&world, &config))
        abort();
    peers_transfer(&world, peers, 0);
    pel_sim_tap(world.ports[HOST_A], capture, &hello);
    if (!peer_listen(&peers[HOST_B], &listener) || peer_connect(&peers[HOST_A], "server.test") != PEL_OK)
        abort();
    world_pass(&world, SECOND_US);
    pel_listener_close(listener);
    PEL_EXPECT(world_close(&world));
    PEL_EXPECT(hello.len > 100 && hello.bytes[0] == 22 && hello.bytes[5] == 1);
    return &hello;
}

static enum pel_err attack_with(const struct blob *blob, size_t chunk_len, enum then then)
{
    const struct raw raw = {.bytes = blob->bytes, .len = blob->len, .chunk_len = chunk_len, .then = then};
    return attack(&raw);
}

/* ---- what is sent ---- */

PEL_TEST(hostile_peer, bytes_that_are_no_tls)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum pel_err err;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18, PEL_E_TLS_CLEARTEXT_RECEIVED},
        {"\0", 1, PEL_E_TLS_CLEARTEXT_RECEIVED},
        {"\x16\x02\x01", 3, PEL_E_TLS_CLEARTEXT_RECEIVED},
        {"\x80\x2e\x01\x03\x01\x00\x15", 7, PEL_E_TLS_NO_COMMON_VERSION},
        {"\x16\x03\x01\xff\xff", 5, PEL_E_TLS_RECORD_TOO_LONG},
        {"\x16\x03\x01\x40\x01", 5, PEL_E_TLS_RECORD_TOO_LONG},
        {"\x16\x03\x01\x00\x00", 5, PEL_E_TLS_RECORD_MALFORMED},
        {"\x16\x03\x09\x00\x10", 5, PEL_E_TLS_HANDSHAKE_TIMEOUT}, /* any minor version may come first */
        {"\x15\x03\x01\x00\x02\x01\x00", 7, PEL_E_TLS_PROTOCOL},
        {"\x17\x03\x03\x00\x00", 5, PEL_E_TLS_PROTOCOL},
        {"\x14\x03\x03\x00\x01\x01", 6, PEL_E_TLS_PROTOCOL},
        {"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9, PEL_E_TLS_PROTOCOL}, /* a ServerHello */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
            struct blob *blob = calloc(1, sizeof *blob);
            put(blob, rows[i].bytes, rows[i].len);
            PEL_EXPECT_ERR(attack_with(blob, (size_t)one_by_one, STALL), rows[i].err);
            free(blob);
            if (pel_test_has_failed()) {
                pel_test_say("row %zu, one_by_one %d", i, one_by_one);
                return;
            }
        }
}

/* A good hello is sent up to each byte of its first ones and some of the others, and then nothing, a FIN, a
 * reset. */
PEL_TEST(hostile_peer, ends_after_each_part_of_a_hello)
{
    struct blob part = *client_hello();
    size_t whole_len = part.len;
    for (size_t len = 0; len <= whole_len; len += len < 12 || len == whole_len ? 1
                                                  : whole_len - len < 37       ? whole_len - len
                                                                               : 37) {
        part.len = len;
        PEL_EXPECT_ERR(attack_with(&part, 0, STALL),
                       len == 0 ? PEL_E_TLS_HANDSHAKE_START_TIMEOUT : PEL_E_TLS_HANDSHAKE_TIMEOUT);
        PEL_EXPECT_ERR(attack_with(&part, 0, FIN), PEL_E_TLS_HANDSHAKE_FAILED);
        PEL_EXPECT_ERR(attack_with(&part, 0, RESET), PEL_E_CONN_RESET);
        if (pel_test_has_failed()) {
            pel_test_say("after %zu of %zu bytes", len, whole_len);
            return;
        }
    }
}

PEL_TEST(hostile_peer, a_hello_in_single_bytes_is_read_and_the_silence_after_it_ends)
{
    PEL_EXPECT_ERR(attack_with(client_hello(), 1, STALL), PEL_E_TLS_HANDSHAKE_TIMEOUT);
}

/* Every byte in time for itself, and all of them too slow. */
PEL_TEST(hostile_peer, a_hello_that_drips)
{
    const struct blob *hello = client_hello();
    const struct raw raw = {.bytes = hello->bytes, .len = hello->len, .chunk_len = 1, .pause_us = SECOND_US};
    PEL_EXPECT_ERR(attack(&raw), PEL_E_TLS_HANDSHAKE_TIMEOUT);
}

enum flood {
    WARNINGS,
    CLOSE_NOTIFIES,
    EMPTY_DATA,
    EMPTY_HANDSHAKE,
    CHANGES,
    HELLOS,
    DATA,
    GARBAGE,
    NUM_FLOODS
};

static void put_flood(struct blob *blob, enum flood flood)
{
    const struct blob *hello = client_hello();
    switch (flood) {
    case WARNINGS: put_record(blob, 21, "\x01\x5a", 2); break;
    case CLOSE_NOTIFIES: put_record(blob, 21, "\x01\x00", 2); break;
    case EMPTY_DATA: put_record(blob, 23, "", 0); break;
    case EMPTY_HANDSHAKE: put_record(blob, 22, "", 0); break;
    case CHANGES: put_record(blob, 20, "\x01", 1); break;
    case HELLOS: put(blob, hello->bytes, hello->len); break;
    case DATA: put_record(blob, 23, WORLD_MARKER, sizeof WORLD_MARKER); break;
    default: put(blob, "\x16\x03\x03\x00\x20garbage garbage garbage garbage.", 37);
    }
}

PEL_TEST(hostile_peer, floods_after_a_good_hello)
{
    for (int flood = 0; flood < NUM_FLOODS; flood++)
        for (size_t chunk_len = 0; chunk_len < 3; chunk_len++) {
            struct blob *blob = calloc(1, sizeof *blob);
            put(blob, client_hello()->bytes, client_hello()->len);
            for (int i = 0; i < 100; i++)
                put_flood(blob, (enum flood)flood);
            enum pel_err err = attack_with(blob, chunk_len * 7, STALL);
            PEL_EXPECT(err >= PEL_E_TLS_CLEARTEXT_RECEIVED && err <= PEL_E_TLS_PROTOCOL);
            PEL_EXPECT(err != PEL_E_TLS_HANDSHAKE_TIMEOUT); /* noticed, not only waited out */
            free(blob);
            if (pel_test_has_failed()) {
                pel_test_say("flood %d in chunks of %zu ends with %s", flood, chunk_len * 7,
                             pel_err_name(err));
                return;
            }
        }
}

/* A hello that says 16 MB, in records of each size. */
PEL_TEST(hostile_peer, a_hello_without_end)
{
    static const size_t record_lens[] = {1, 100, 16384};
    static const uint8_t zeros[16384];
    for (size_t i = 0; i < sizeof record_lens / sizeof *record_lens; i++) {
        struct blob *blob = calloc(1, sizeof *blob);
        put_record(blob, 22, "\x01\xff\xff\xff", 4);
        while (blob->len + record_lens[i] + 5 <= sizeof blob->bytes &&
               blob->len < 6 * 5000u + record_lens[i] * 16)
            put_record(blob, 22, zeros, record_lens[i]);
        enum pel_err err = attack_with(blob, 0, STALL);
        PEL_EXPECT(err != PEL_E_TLS_HANDSHAKE_TIMEOUT);
        free(blob);
        if (pel_test_has_failed()) {
            pel_test_say("in records of %zu bytes it ends with %s", record_lens[i], pel_err_name(err));
            return;
        }
    }
}
