/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two whole hosts on a simulated wire, B a TLS server. The first byte of the input says who client A is: one
 * that sends the input's bytes as they are to the TLS port, or a TLS client upon whose frames, and B's, the
 * wire does mischief with checksums made right again. Then come steps: frames, bytes of the stream, changes
 * on the wire, what the owners do, time. The end: no clear text left a host whose policy asks for TLS, none
 * reached an owner that was not sent to it, everything ends when the owners give up, every packet is back.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/harness/harness.h"
#include "tests/scenario/tamper.h"
#include "tests/scenario/world.h"

#define STEPS_MAX 64
#define TIME_MAX  4000000u /* virtual time of one input */

enum step {
    STEP_TIME,
    STEP_STREAM,   /* a writes bytes of the input, or the marker */
    STEP_FRAME,    /* bytes of the input, to B */
    STEP_CHANGE,   /* the next frame with a payload: one byte of the frame, */
    STEP_CUT,      /* or its end, */
    STEP_FLAGS,    /* or its TCP flags */
    STEP_REPLAY,   /* a frame that was sent before */
    STEP_SHUTDOWN, /* what an owner does */
    STEP_CLOSE,
    STEP_ABORT,
    STEP_CONNECT,
    STEP_HOLD,
    STEP_LOAD, /* B's policy again: another generation */
    NUM_STEPS
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct mischief {
    enum step what; /* STEP_TIME: none */
    uint8_t at, value;
};

struct lab {
    struct world world;
    struct peer peers[NUM_HOSTS];
    struct pel_listener *listener;
    bool clear_client;
    struct mischief mischief[NUM_HOSTS];
    uint8_t last[NUM_HOSTS][2048]; /* a frame that each sent */
    size_t last_len[NUM_HOSTS];
    bool stray_marker;
};

/* The world speaks through the tests' harness, which is not here. */
void pel_test_say(const char *format, ...)
{
    (void)format;
}

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* ---- the wire ---- */

static size_t do_mischief(const struct mischief *mischief, uint8_t *frame, size_t len)
{
    size_t payload_len = 0;
    uint8_t *tcp = tamper_tcp(frame, len), *payload = tamper_payload(frame, len, &payload_len);
    if (mischief->what == STEP_CHANGE)
        payload[mischief->at % payload_len] ^= mischief->value;
    else if (mischief->what == STEP_FLAGS)
        tcp[13] ^= mischief->value;
    else
        len = tamper_cut(frame, len, mischief->at % payload_len);
    tamper_fix(frame, len);
    return len;
}

static bool carry(struct lab *lab, int host, const uint8_t *bytes, size_t len)
{
    struct mischief *mischief = &lab->mischief[host];
    size_t payload_len = 0;
    uint8_t frame[2048];
    bool wants_tls = host == HOST_B || !lab->clear_client;
    if (wants_tls && memmem(bytes, len, WORLD_MARKER, sizeof WORLD_MARKER - 1) != NULL)
        lab->stray_marker = true;
    if (len > sizeof frame)
        return true;
    memcpy(frame, bytes, len);
    if (tamper_payload(frame, len, &payload_len) == NULL)
        return true;
    memcpy(lab->last[host], bytes, len);
    lab->last_len[host] = len;
    if (mischief->what == STEP_TIME)
        return true;
    len = do_mischief(mischief, frame, len);
    mischief->what = STEP_TIME;
    (void)!pel_sim_inject(lab->world.ports[!host], frame, len);
    return false;
}

static bool carry_a(void *arg, const uint8_t *bytes, size_t len)
{
    return carry(arg, HOST_A, bytes, len);
}

static bool carry_b(void *arg, const uint8_t *bytes, size_t len)
{
    return carry(arg, HOST_B, bytes, len);
}

/* ---- the hosts ---- */

/* Policies and keyrings are read once; each input has its own hosts. */
static struct pel_generation *generation(int kind)
{
    static struct pel_generation *made[NUM_HOSTS + 1];
    static const char *const policies[] = {world_client_policy, world_server_policy, ""};
    struct world_config config = {.seed = 1, .policies = {policies[kind], NULL}};
    struct world *world = calloc(1, sizeof *world);
    if (made[kind] == NULL) {
        must(world_open(world, &config));
        made[kind] = pel_generation_current(&world->slots[HOST_A]);
        must(world_close(world));
    }
    free(world);
    return pel_generation_ref(made[kind]);
}

static void connect_a(struct lab *lab)
{
    struct peer *peer = &lab->peers[HOST_A];
    if (peer->conn != NULL && !peer->closed)
        return;
    *peer = (struct peer){.world = &lab->world, .marker = true, .shut = true, .keep_open = true};
    if (peer_connect(peer, "server.test") != PEL_OK)
        peer->conn = NULL;
}

static void open_lab(struct lab *lab, bool clear_client)
{
    struct world_config config = {.seed = 1, .exact_buffers = true};
    struct peer *server = &lab->peers[HOST_B];
    must(world_open(&lab->world, &config));
    lab->clear_client = clear_client;
    pel_generation_publish(&lab->world.slots[HOST_A], generation(clear_client ? NUM_HOSTS : HOST_A));
    pel_generation_publish(&lab->world.slots[HOST_B], generation(HOST_B));
    pel_sim_tap(lab->world.ports[HOST_A], carry_a, lab);
    pel_sim_tap(lab->world.ports[HOST_B], carry_b, lab);
    *server = (struct peer){.world = &lab->world, .marker = true, .keep_open = true, .send_len = 2000};
    must(peer_listen(server, &lab->listener));
    connect_a(lab);
    world_pass(&lab->world, 3000);
}

static bool all_ended(void *arg)
{
    const struct world *world = arg;
    return world->engines[HOST_A]->num_conns + world->engines[HOST_B]->num_conns == 0;
}

static void close_lab(struct lab *lab)
{
    for (int host = 0; host < NUM_HOSTS; host++)
        if (lab->peers[host].conn != NULL && !lab->peers[host].closed)
            pel_conn_close(lab->peers[host].conn);
    must(world_run(&lab->world, all_ended, &lab->world, 700000000u));
    must(!lab->stray_marker);
    must(!lab->peers[HOST_B].wrong && (lab->clear_client || !lab->peers[HOST_A].wrong));
    must(!lab->clear_client || (!lab->peers[HOST_B].opened && lab->peers[HOST_B].received_len == 0));
    pel_listener_close(lab->listener);
    must(world_close(&lab->world));
}

/* ---- steps ---- */

static void write_stream(struct lab *lab, const uint8_t *bytes, size_t len, int host)
{
    struct peer *peer = &lab->peers[host];
    size_t taken_len = 0;
    if (peer->conn == NULL || peer->closed)
        return;
    if (host == HOST_A && lab->clear_client) {
        (void)!pel_conn_write(peer->conn, bytes, len, &taken_len);
        return;
    }
    peer->send_len += len * 40;
    peer->shut = true;
    peer_events.on_writable(peer, peer->conn);
}

static void act(struct lab *lab, enum step step, int host)
{
    struct peer *peer = &lab->peers[host];
    if (step == STEP_CONNECT)
        connect_a(lab);
    if (peer->conn == NULL || peer->closed)
        return;
    if (step == STEP_SHUTDOWN)
        pel_conn_shutdown(peer->conn);
    if (step == STEP_HOLD)
        peer->slow = !peer->slow;
    if (step != STEP_CLOSE && step != STEP_ABORT)
        return;
    peer->closed = true;
    if (step == STEP_CLOSE)
        pel_conn_close(peer->conn);
    else
        pel_conn_abort(peer->conn);
}

static void one_step(struct lab *lab, struct pel_reader *r)
{
    uint8_t head = pel_read_u8(r), at = pel_read_u8(r), value = pel_read_u8(r);
    int host = head >> 7;
    enum step step = (enum step)((head & 0x7f) % NUM_STEPS);
    size_t len = (size_t)(at << 8 | value) % 1500;
    const uint8_t *bytes = NULL;
    if (step == STEP_STREAM || step == STEP_FRAME) {
        len = len < r->left_len ? len : r->left_len;
        bytes = pel_read_bytes(r, len);
    }
    if (step == STEP_TIME)
        world_pass(&lab->world, (uint64_t)at * value * 10);
    else if (step == STEP_STREAM)
        write_stream(lab, bytes, len, host);
    else if (step == STEP_FRAME && len > 0)
        (void)!pel_sim_inject(lab->world.ports[HOST_B], bytes, len);
    else if (step == STEP_CHANGE || step == STEP_CUT || step == STEP_FLAGS)
        lab->mischief[host] = (struct mischief){.what = step, .at = at, .value = value};
    else if (step == STEP_REPLAY && lab->last_len[host] > 0)
        (void)!pel_sim_inject(lab->world.ports[!host], lab->last[host], lab->last_len[host]);
    else if (step == STEP_LOAD)
        pel_generation_publish(&lab->world.slots[HOST_B], generation(HOST_B));
    else
        act(lab, step, host);
    world_step(&lab->world);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct lab *lab = calloc(1, sizeof *lab);
    struct pel_reader r = pel_reader_of(bytes, len);
    open_lab(lab, (pel_read_u8(&r) & 1) == 0);
    uint64_t end_us = lab->world.time.now_us + TIME_MAX;
    for (int i = 0; i < STEPS_MAX && r.left_len > 0 && lab->world.time.now_us < end_us; i++)
        one_step(lab, &r);
    world_pass(&lab->world, 20000);
    close_lab(lab);
    free(lab);
    return 0;
}
