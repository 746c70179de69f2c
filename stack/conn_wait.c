/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Received bytes that wait to go up: in the driver's packets, where they came in, as long as the engine's
 * connections together keep few of those; copied out of them beyond that. A packet holds a byte as well as
 * 1,500, and the port's pool is everybody's: without that, one peer whose bytes nobody reads could stop the
 * engine.
 */
#include <stdlib.h>
#include <string.h>

#include "stack/conn.h"
#include "stack/conn_control.h"

/* So many packets may wait in all of an engine's connections: an eighth of the smallest pool. */
#define WAITING_PACKETS_MAX 512
#define COPY_CAP_MIN        4096

/* After rx has changed. */
static void count_packets(struct pel_conn *conn)
{
    uint32_t num = pel_buf_num(conn->rx);
    conn->engine->num_waiting += num - conn->num_waiting;
    conn->num_waiting = num;
}

static void drop_copy(struct pel_conn *conn)
{
    free(conn->copy);
    conn->copy = NULL;
    conn->copy_at = conn->copy_len = conn->copy_cap = 0;
}

size_t pel_conn_waiting_len(const struct pel_conn *conn)
{
    return conn->copy_len - conn->copy_at + pel_buf_len(conn->rx);
}

const uint8_t *pel_conn_waiting(const struct pel_conn *conn, size_t *ret_len)
{
    *ret_len = conn->copy_len - conn->copy_at;
    if (*ret_len > 0)
        return conn->copy + conn->copy_at;
    return pel_buf_peek(conn->rx, 0, ret_len);
}

size_t pel_conn_waiting_pieces(const struct pel_conn *conn, struct pel_piece *ret_pieces, size_t max,
                               size_t wanted_len)
{
    size_t num = 0, len = conn->copy_len - conn->copy_at;
    if (len > 0)
        ret_pieces[num++] = (struct pel_piece){conn->copy + conn->copy_at, len};
    return num +
           pel_buf_pieces(conn->rx, ret_pieces + num, max - num, wanted_len > len ? wanted_len - len : 0);
}

/* TCP's window opens for bytes that were not taken before. */
static void open_window(struct pel_conn *conn, size_t len)
{
    size_t again_len = len < conn->given_back_len ? len : conn->given_back_len;
    conn->given_back_len -= (uint32_t)again_len;
    if (conn->tcp != NULL && len > again_len)
        pel_tcp_received(conn->tcp, len - again_len);
}

void pel_conn_take(struct pel_conn *conn, size_t len)
{
    size_t of_copy_len = conn->copy_len - conn->copy_at;
    if (of_copy_len > len)
        of_copy_len = len;
    conn->copy_at += (uint32_t)of_copy_len;
    if (conn->copy != NULL && conn->copy_at == conn->copy_len)
        drop_copy(conn);
    conn->rx = pel_buf_consume(conn->rx, len - of_copy_len);
    count_packets(conn);
    open_window(conn, len);
}

void pel_conn_drop_waiting(struct pel_conn *conn)
{
    pel_buf_free(conn->rx);
    conn->rx = NULL;
    count_packets(conn);
    drop_copy(conn);
    conn->given_back_len = 0;
}

enum pel_err pel_conn_give_back(struct pel_conn *conn, const struct pel_piece *pieces, size_t num)
{
    size_t len = pel_pieces_len(pieces, num), have_len = conn->copy_len - conn->copy_at;
    if (len == 0)
        return PEL_OK;
    uint8_t *copy = malloc(len + have_len);
    if (copy == NULL)
        return PEL_E_NO_MEMORY;
    pel_pieces_copy(pieces, num, 0, copy, len);
    if (have_len > 0)
        memcpy(copy + len, conn->copy + conn->copy_at, have_len);
    drop_copy(conn);
    conn->copy = copy;
    conn->copy_len = conn->copy_cap = (uint32_t)(len + have_len);
    conn->given_back_len += (uint32_t)len;
    conn->bytes_in -= len < conn->bytes_in ? len : conn->bytes_in; /* who gives back may lie */
    return PEL_OK;
}

/* Makes room for `len` bytes behind those that are there. */
static bool grow_copy(struct pel_conn *conn, size_t len)
{
    size_t have_len = conn->copy_len - conn->copy_at, cap = COPY_CAP_MIN;
    if (conn->copy_cap - conn->copy_len >= len)
        return true;
    while (cap < have_len + len)
        cap *= 2;
    uint8_t *copy = malloc(cap);
    if (copy == NULL)
        return false;
    if (have_len > 0)
        memcpy(copy, conn->copy + conn->copy_at, have_len);
    drop_copy(conn);
    conn->copy = copy;
    conn->copy_len = (uint32_t)have_len;
    conn->copy_cap = (uint32_t)cap;
    return true;
}

/* Without memory the bytes stay where they are: the next that come try again. */
static void copy_out(struct pel_conn *conn)
{
    size_t len = 0;
    if (!grow_copy(conn, pel_buf_len(conn->rx)))
        return;
    const uint8_t *bytes = pel_buf_peek(conn->rx, 0, &len);
    while (bytes != NULL) {
        memcpy(conn->copy + conn->copy_len, bytes, len);
        conn->copy_len += (uint32_t)len;
        conn->rx = pel_buf_consume(conn->rx, len);
        bytes = pel_buf_peek(conn->rx, 0, &len);
    }
    count_packets(conn);
}

void pel_conn_put_waiting(struct pel_conn *conn, struct pel_buf *buf)
{
    conn->rx = pel_buf_join(conn->rx, buf);
    count_packets(conn);
}

void pel_conn_settle_waiting(struct pel_conn *conn)
{
    if (conn->rx != NULL && conn->engine->num_waiting > WAITING_PACKETS_MAX)
        copy_out(conn);
}
