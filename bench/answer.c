/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/answer.h"

#include <stdlib.h>

struct answerer {
    struct load *load;
    uint32_t got_len;  /* of the request that is coming in */
    uint32_t left_len; /* of the replies that are going out */
};

static void send_on(void *arg, struct pel_conn *conn)
{
    static const uint8_t reply[LOAD_REPLY_LEN];
    struct answerer *answerer = arg;
    size_t taken_len = 0;
    while (answerer->left_len > 0) {
        size_t len = answerer->left_len < sizeof reply ? answerer->left_len : sizeof reply;
        if (pel_conn_write(conn, reply, len, &taken_len) != PEL_OK)
            return;
        answerer->left_len -= (uint32_t)taken_len;
        if (taken_len < len)
            return;
    }
}

static void on_open(void *arg, struct pel_conn *conn)
{
    (void)arg;
    (void)conn;
}

static size_t on_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct answerer *answerer = arg;
    (void)bytes;
    answerer->got_len += (uint32_t)len;
    for (; answerer->got_len >= LOAD_ASK_LEN; answerer->got_len -= LOAD_ASK_LEN)
        answerer->left_len += LOAD_REPLY_LEN;
    send_on(answerer, conn);
    return len;
}

static void on_eof(void *arg, struct pel_conn *conn)
{
    pel_conn_close(conn);
    free(arg);
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct answerer *answerer = arg;
    (void)conn;
    load_failed(answerer->load, err);
    free(answerer);
}

static const struct pel_conn_events events = {
    .on_open = on_open, .on_data = on_data, .on_eof = on_eof, .on_writable = send_on, .on_closed = on_closed};

enum pel_err answer_accept(void *arg, struct pel_conn *conn)
{
    struct answerer *answerer = calloc(1, sizeof *answerer);
    if (answerer == NULL)
        return PEL_E_NO_MEMORY;
    answerer->load = arg;
    pel_conn_attach(conn, &events, answerer);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}
