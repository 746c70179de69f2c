/* SPDX-License-Identifier: Apache-2.0 */
/* A wire that changes TLS records of a connection that is open, with TCP checksums made right again. The
 * receiver fails by name, and not one byte of a changed record, nor of what follows it, reaches its owner. */
#include <stdlib.h>
#include <string.h>

#include "tests/harness/harness.h"
#include "tests/scenario/tamper.h"
#include "tests/scenario/world.h"

#define SECOND_US   1000000u
#define MESSAGE_LEN 500u

static const char server_tls12_policy[] =
    "TTLSRule SERVER\n{\n LocalPortRange 4433\n Direction Inbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef server\n}\n"
    "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
    "TTLSEnvironmentAction server\n{\n HandshakeRole Server\n"
    " TTLSKeyringParms\n {\n Keyring server\n }\n"
    " TTLSEnvironmentAdvancedParms\n {\n TLSv1.3 Off\n }\n}\n";

enum change {
    FLIP_FIRST,
    FLIP_LAST,
    FLIP_TYPE,
    FLIP_VERSION,
    LONGER_THAN_ALLOWED,
    SHORTER_BY_ONE,
    EMPTY,
    AS_HANDSHAKE,
    AS_ALERT,
    REPLAY,
    CLEAR_CLOSE_NOTIFY,
    CLEAR_WARNING,
    CLEAR_HELLO,
    CUT_WITH_FIN,
    FIN_AT_RECORD,
    NUM_CHANGES
};

struct wire {
    struct world *world;
    enum change change;
    bool armed, done;
    uint8_t before[2048]; /* the record before, for a replay */
    size_t before_len;
};

static void put_short(uint8_t *frame, size_t *len, const char *bytes, size_t bytes_len)
{
    size_t payload_len = 0;
    uint8_t *payload = tamper_payload(frame, *len, &payload_len);
    memcpy(payload, bytes, bytes_len);
    *len = tamper_cut(frame, *len, bytes_len);
}

static void change_frame(struct wire *wire, uint8_t *frame, size_t *len)
{
    size_t payload_len = 0;
    uint8_t *payload = tamper_payload(frame, *len, &payload_len);
    switch (wire->change) {
    case FLIP_FIRST: payload[5] ^= 1; break;
    case FLIP_LAST: payload[payload_len - 1] ^= 0x80; break;
    case FLIP_TYPE: payload[0] = 99; break;
    case FLIP_VERSION: payload[1] = 9; break;
    case LONGER_THAN_ALLOWED: payload[3] = 0x48; break;
    case SHORTER_BY_ONE: payload[4]--; break;
    case EMPTY: payload[3] = payload[4] = 0; break;
    case AS_HANDSHAKE: payload[0] = 22; break;
    case AS_ALERT: payload[0] = 21; break;
    case REPLAY:
        memcpy(payload, wire->before, wire->before_len < payload_len ? wire->before_len : payload_len);
        break;
    case CLEAR_CLOSE_NOTIFY: put_short(frame, len, "\x15\x03\x03\x00\x02\x01\x00", 7); break;
    case CLEAR_WARNING: put_short(frame, len, "\x15\x03\x03\x00\x02\x01\x5a", 7); break;
    case CLEAR_HELLO: /* HelloRequest: renegotiation */
        put_short(frame, len, "\x16\x03\x03\x00\x04\x00\x00\x00\x00", 9);
        break;
    case CUT_WITH_FIN:
        tamper_tcp(frame, *len)[13] |= TAMPER_FIN;
        *len = tamper_cut(frame, *len, payload_len / 2);
        break;
    default: tamper_tcp(frame, *len)[13] |= TAMPER_FIN;
    }
    tamper_fix(frame, *len);
}

static bool carry(void *arg, const uint8_t *bytes, size_t len)
{
    struct wire *wire = arg;
    uint8_t frame[2048];
    size_t payload_len = 0;
    if (memmem(bytes, len, WORLD_MARKER, sizeof WORLD_MARKER - 1) != NULL)
        wire->world->num_markers[HOST_A]++;
    if (len > sizeof frame)
        return true;
    memcpy(frame, bytes, len);
    const uint8_t *payload = tamper_payload(frame, len, &payload_len);
    if (payload == NULL || payload[0] != 23 || payload_len < MESSAGE_LEN)
        return true;
    if (wire->done)
        return wire->change < CUT_WITH_FIN; /* else it ends here */
    if (!wire->armed) {
        memcpy(wire->before, payload, payload_len);
        wire->before_len = payload_len;
        return true;
    }
    wire->done = true;
    change_frame(wire, frame, &len);
    PEL_EXPECT_ERR(pel_sim_inject(wire->world->ports[HOST_B], frame, len), PEL_OK);
    return false;
}

/* The error that may follow, and another that may as well (BoringSSL's word depends on the version). */
static const struct {
    enum pel_err err, or_err;
} expected[NUM_CHANGES] = {
    [FLIP_FIRST] = {PEL_E_TLS_BAD_RECORD_MAC, PEL_OK},
    [FLIP_LAST] = {PEL_E_TLS_BAD_RECORD_MAC, PEL_OK},
    [FLIP_TYPE] = {PEL_E_TLS_RECORD_MALFORMED, PEL_OK},
    [FLIP_VERSION] = {PEL_E_TLS_RECORD_MALFORMED, PEL_OK},
    [LONGER_THAN_ALLOWED] = {PEL_E_TLS_RECORD_TOO_LONG, PEL_OK},
    [SHORTER_BY_ONE] = {PEL_E_TLS_BAD_RECORD_MAC, PEL_OK},
    [EMPTY] = {PEL_E_TLS_BAD_RECORD_MAC, PEL_E_TLS_RECORD_MALFORMED},
    [AS_HANDSHAKE] = {PEL_E_TLS_BAD_RECORD_MAC, PEL_E_TLS_PROTOCOL},
    [AS_ALERT] = {PEL_E_TLS_BAD_RECORD_MAC, PEL_E_TLS_PROTOCOL},
    [REPLAY] = {PEL_E_TLS_BAD_RECORD_MAC, PEL_OK},
    [CLEAR_CLOSE_NOTIFY] = {PEL_E_TLS_BAD_RECORD_MAC, PEL_E_TLS_PROTOCOL},
    [CLEAR_WARNING] = {PEL_E_TLS_BAD_RECORD_MAC, PEL_E_TLS_PROTOCOL},
    [CLEAR_HELLO] = {PEL_E_TLS_BAD_RECORD_MAC, PEL_E_TLS_PROTOCOL},
    [CUT_WITH_FIN] = {PEL_E_TLS_TRUNCATED, PEL_OK},
    [FIN_AT_RECORD] = {PEL_E_TLS_TRUNCATED, PEL_OK},
};

static void send_message(struct peer *peer)
{
    peer->send_len += MESSAGE_LEN;
    peer_events.on_writable(peer, peer->conn);
}

/* One message arrives, the next is changed, a third follows. */
static void play(enum change change, const char *server_policy)
{
    struct world_config config = {
        .seed = 4, .policies = {world_client_policy, server_policy}, .exact_buffers = true};
    struct wire *wire = calloc(1, sizeof *wire);
    struct world world;
    struct peer peers[NUM_HOSTS];
    struct pel_listener *listener = NULL;
    PEL_EXPECT(wire != NULL && world_open(&world, &config));
    wire->world = &world;
    wire->change = change;
    pel_sim_tap(world.ports[HOST_A], carry, wire);
    peers_transfer(&world, peers, 0);
    for (int host = 0; host < NUM_HOSTS; host++)
        peers[host].marker = peers[host].shut = true;
    PEL_EXPECT(peer_listen(&peers[HOST_B], &listener));
    PEL_EXPECT_ERR(peer_connect(&peers[HOST_A], "server.test"), PEL_OK);
    world_pass(&world, SECOND_US / 2);
    PEL_EXPECT(peers[HOST_A].opened && peers[HOST_B].opened);
    send_message(&peers[HOST_A]);
    world_pass(&world, SECOND_US / 2);
    wire->armed = true;
    send_message(&peers[HOST_A]);
    send_message(&peers[HOST_A]);
    world_pass(&world, 5 * SECOND_US);
    const struct peer *server = &peers[HOST_B];
    PEL_EXPECT(wire->done && server->closed && !server->eof && !server->wrong);
    PEL_EXPECT(server->error == expected[change].err || server->error == expected[change].or_err);
    PEL_EXPECT(server->error != PEL_OK && world_err(&world, HOST_B, server->error) == 1);
    PEL_EXPECT_EQ(server->received_len, change == FIN_AT_RECORD ? 2 * MESSAGE_LEN : MESSAGE_LEN);
    PEL_EXPECT(peers[HOST_A].closed || peers[HOST_A].eof);
    PEL_EXPECT_EQ(world.engines[HOST_B]->num_conns, 0);
    PEL_EXPECT_EQ(world.num_markers[HOST_A] + world.num_markers[HOST_B], 0);
    if (pel_test_has_failed())
        pel_test_say("change %d ends with %s, %llu bytes received", change, pel_err_name(server->error),
                     (unsigned long long)server->received_len);
    pel_listener_close(listener);
    PEL_EXPECT(world_close(&world));
    free(wire);
}

PEL_TEST(hostile_wire, changes_records_of_tls_1_3)
{
    for (int change = 0; change < NUM_CHANGES; change++)
        play((enum change)change, world_server_policy);
}

PEL_TEST(hostile_wire, changes_records_of_tls_1_2)
{
    for (int change = 0; change < NUM_CHANGES; change++)
        play((enum change)change, server_tls12_policy);
}
