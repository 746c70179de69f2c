/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many bytes a second one connection moves: the server sends, or with --up the client. With --list
 * N,N,... once for each size of message, in one connection, for --rounds rounds through the list.
 */
#include <pellucid/engine.h>
#include <stdlib.h>

#include "bench/load.h"

#define MAX_MESSAGE_LEN 65536u

static struct bulk {
    struct load load;
    uint64_t bytes; /* arrived: written by the receiver's engine */
    uint64_t message_len;
    uint8_t chunk[MAX_MESSAGE_LEN];
} bulk;

/* ---- both ends ---- */

static void on_eof(void *arg, struct pel_conn *conn)
{
    (void)arg;
    pel_conn_close(conn);
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    (void)arg;
    (void)conn;
    load_failed(&bulk.load, err);
}

/* ---- who sends ---- */

static void send_on(void *arg, struct pel_conn *conn)
{
    size_t len = load_get(&bulk.message_len), taken_len = len;
    (void)arg;
    while (taken_len == len && pel_conn_write(conn, bulk.chunk, len, &taken_len) == PEL_OK) {
    }
}

static size_t ignore(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    (void)arg;
    (void)conn;
    (void)bytes;
    return len;
}

/* ---- who receives ---- */

static size_t count(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    (void)arg;
    (void)conn;
    (void)bytes;
    load_add(&bulk.bytes, len);
    return len;
}

static void nothing(void *arg, struct pel_conn *conn)
{
    (void)arg;
    (void)conn;
}

static const struct pel_conn_events sender = {
    .on_open = send_on, .on_data = ignore, .on_eof = on_eof, .on_writable = send_on, .on_closed = on_closed};
static const struct pel_conn_events receiver = {
    .on_open = nothing, .on_data = count, .on_eof = on_eof, .on_writable = nothing, .on_closed = on_closed};

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    (void)arg;
    pel_conn_attach(conn, bulk.load.options.up ? &receiver : &sender, NULL);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

static void start_clients(struct pel_engine *engine, void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < bulk.load.options.num_conns; i++)
        load_connect(&bulk.load, engine, i, bulk.load.options.up ? &sender : &receiver, NULL);
}

/* ---- measuring ---- */

static json_t *measure(uint64_t message_len)
{
    struct load_span span;
    load_set(&bulk.message_len, message_len);
    load_sleep(bulk.load.options.warm_up_s);
    uint64_t bytes = load_get(&bulk.bytes);
    load_span_begin(&bulk.load, &span);
    load_sleep(bulk.load.options.seconds);
    bytes = load_get(&bulk.bytes) - bytes;
    load_span_end(&bulk.load, &span);
    json_t *json = load_span_json(&span);
    json_object_set_new(json, "message_len", json_integer((json_int_t)message_len));
    json_object_set_new(json, "bytes", json_integer((json_int_t)bytes));
    json_object_set_new(json, "gbytes_per_s", json_real((double)bytes / span.seconds / 1e9));
    return json;
}

int main(int argc, char **argv)
{
    struct load_options *options = &bulk.load.options;
    options->list[0] = MAX_MESSAGE_LEN;
    options->num_list = 1;
    load_open(&bulk.load, argc, argv);
    bulk.message_len = options->list[0];
    load_listen(&bulk.load, on_accept, NULL);
    load_call(&bulk.load, 0, start_clients, NULL);
    load_wait(&bulk.load, &bulk.bytes, 1);
    json_t *results = json_array();
    for (uint32_t round = 0; round < options->num_rounds; round++) {
        for (uint32_t i = 0; i < options->num_list; i++) {
            if (options->list[i] < 1 || options->list[i] > MAX_MESSAGE_LEN)
                abort();
            json_array_append_new(results, measure(options->list[i]));
        }
    }
    load_print(json_pack("{s:o}", "results", results));
    return load_close(&bulk.load);
}
