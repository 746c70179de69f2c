/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tests/scenario/world.h"

static uint8_t byte_at(const struct peer *peer, uint64_t at)
{
    static const char marker[] = WORLD_MARKER;
    if (peer->marker)
        return (uint8_t)marker[at % (sizeof marker - 1)];
    /* A period that divides no buffer size, so that a lost or doubled block shows. */
    return (uint8_t)(at % 251 * 7 + at / 65521 + peer->send_salt);
}

static void send_more(struct peer *peer)
{
    uint8_t bytes[40000];
    uint64_t max_len = peer->write_len != 0 ? peer->write_len : sizeof bytes;
    size_t taken_len = 0;
    while (peer->sent_len < peer->send_len) {
        uint64_t left_len = peer->send_len - peer->sent_len;
        size_t len = (size_t)(left_len < max_len ? left_len : max_len);
        for (size_t i = 0; i < len; i++)
            bytes[i] = byte_at(peer, peer->sent_len + i);
        if (pel_conn_write(peer->conn, bytes, len, &taken_len) != PEL_OK)
            return;
        peer->sent_len += taken_len;
        if (taken_len < len)
            return;
    }
    if (!peer->shut) {
        peer->shut = true;
        pel_conn_shutdown(peer->conn);
    }
}

static void on_open(void *arg, struct pel_conn *conn)
{
    struct peer *peer = arg;
    peer->conn = conn;
    peer->opened = true;
    send_more(peer);
}

static void resume(struct pel_engine *engine, struct pel_task *task)
{
    struct peer *peer = (struct peer *)((char *)task - offsetof(struct peer, resume));
    (void)engine;
    peer->resume_posted = false;
    if (!peer->closed)
        pel_conn_resume(peer->conn);
}

static size_t on_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct peer *peer = arg;
    struct peer as_sender = {.send_salt = peer->receive_salt, .marker = peer->marker};
    size_t max_len = peer->deaf ? 0 : peer->slowest ? 1 : peer->slow ? 100 : len;
    size_t taken_len = len < max_len ? len : max_len;
    for (size_t i = 0; i < taken_len; i++)
        peer->wrong |= bytes[i] != byte_at(&as_sender, peer->received_len + i);
    peer->received_len += taken_len;
    if (taken_len < len && !peer->deaf && !peer->resume_posted) {
        peer->resume_posted = true;
        peer->resume.run = resume;
        pel_engine_post(conn->engine, &peer->resume);
    }
    return taken_len;
}

static void on_eof(void *arg, struct pel_conn *conn)
{
    struct peer *peer = arg;
    peer->eof = true;
    if (peer->keep_open || peer->sent_len < peer->send_len)
        return;
    peer->closed = true;
    pel_conn_close(conn);
}

static void on_writable(void *arg, struct pel_conn *conn)
{
    struct peer *peer = arg;
    send_more(peer);
    if (peer->eof && !peer->keep_open && peer->sent_len == peer->send_len) {
        peer->closed = true;
        pel_conn_close(conn);
    }
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct peer *peer = arg;
    (void)conn;
    peer->closed = true;
    peer->error = err;
}

const struct pel_conn_events peer_events = {.on_open = on_open,
                                            .on_data = on_data,
                                            .on_eof = on_eof,
                                            .on_writable = on_writable,
                                            .on_closed = on_closed};

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    struct peer *peer = arg;
    if (peer->conn != NULL)
        return PEL_E_BACKLOG_FULL; /* one is enough */
    peer->conn = conn;
    pel_conn_attach(conn, &peer_events, peer);
    if (!peer->hold_mapping)
        pel_conn_map(conn, NULL);
    return PEL_OK;
}

bool peer_listen(struct peer *peer, struct pel_listener **ret_listener)
{
    struct sockaddr_storage address;
    socklen_t len = world_address(peer->world, HOST_B, WORLD_PORT, &address);
    return pel_engine_listen(peer->world->engines[HOST_B], (struct sockaddr *)&address, len, 16, on_accept,
                             peer, ret_listener) == PEL_OK;
}

enum pel_err peer_connect(struct peer *peer, const char *server_name)
{
    struct sockaddr_storage address;
    socklen_t len = world_address(peer->world, HOST_B, WORLD_PORT, &address);
    return pel_engine_connect(peer->world->engines[HOST_A], NULL, 0, (struct sockaddr *)&address, len,
                              server_name, NULL, &peer_events, peer, &peer->conn);
}

bool peers_done(void *arg)
{
    const struct peer *peers = arg;
    return peers[HOST_A].closed && peers[HOST_B].closed;
}

void peers_transfer(struct world *world, struct peer peers[NUM_HOSTS], uint64_t len)
{
    memset(peers, 0, sizeof(struct peer[NUM_HOSTS]));
    for (int host = 0; host < NUM_HOSTS; host++) {
        peers[host].world = world;
        peers[host].send_len = peers[host].receive_len = len;
        peers[host].send_salt = (uint8_t)(host + 1);
        peers[host].receive_salt = (uint8_t)(2 - host);
    }
}
