/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection after another, --in-flight at a time (8): TCP, the whole TLS handshake, one byte from the
 * server (so that the client knows that the server is done), a reset. What the server spends on each.
 */
#include "bench/load.h"

static struct handshakes {
    struct load load;
    uint64_t num_done; /* written by the client's engine */
    uint32_t num;
    bool over; /* the client's engine opens no more */
} handshakes;

static void nothing(void *arg, struct pel_conn *conn)
{
    (void)arg;
    (void)conn;
}

/* ---- the server ---- */

static void say_done(void *arg, struct pel_conn *conn)
{
    static const uint8_t done;
    size_t taken_len = 0;
    (void)arg;
    if (pel_conn_write(conn, &done, 1, &taken_len) != PEL_OK)
        load_failed(&handshakes.load, PEL_E_AGAIN);
}

static size_t no_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    (void)arg;
    (void)conn;
    (void)bytes;
    return len;
}

/* The client resets each connection: that is no failure here; what fails before, the client sees too. */
static void server_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    (void)arg;
    (void)conn;
    (void)err;
}

static const struct pel_conn_events server = {.on_open = say_done,
                                              .on_data = no_data,
                                              .on_eof = nothing,
                                              .on_writable = nothing,
                                              .on_closed = server_closed};

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    (void)arg;
    pel_conn_attach(conn, &server, NULL);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

/* ---- the client ---- */

static void open_one(struct pel_engine *engine);

static size_t on_done(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    (void)arg;
    (void)bytes;
    (void)len;
    load_add(&handshakes.num_done, 1);
    open_one(load_engine(&handshakes.load, 0));
    pel_conn_abort(conn);
    return 0;
}

static void client_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    (void)arg;
    (void)conn;
    load_failed(&handshakes.load, err);
}

static const struct pel_conn_events client = {.on_open = nothing,
                                              .on_data = on_done,
                                              .on_eof = nothing,
                                              .on_writable = nothing,
                                              .on_closed = client_closed};

static void open_one(struct pel_engine *engine)
{
    if (!handshakes.over)
        load_connect(&handshakes.load, engine, handshakes.num++, &client, NULL);
}

static void start_clients(struct pel_engine *engine, void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < handshakes.load.options.in_flight; i++)
        open_one(engine);
}

static void stop_clients(struct pel_engine *engine, void *arg)
{
    (void)engine;
    (void)arg;
    handshakes.over = true;
}

int main(int argc, char **argv)
{
    struct load *load = &handshakes.load;
    struct load_span span;
    load->options.in_flight = 8;
    load_open(load, argc, argv);
    load_listen(load, on_accept, NULL);
    load_call(load, 0, start_clients, NULL);
    load_wait(load, &handshakes.num_done, 16);
    load_sleep(load->options.warm_up_s);
    uint64_t num = load_get(&handshakes.num_done);
    load_span_begin(load, &span);
    load_sleep(load->options.seconds);
    num = load_get(&handshakes.num_done) - num;
    load_span_end(load, &span);
    load_stop(load);
    load_call(load, 0, stop_clients, NULL);
    json_t *json = load_span_json(&span);
    json_object_set_new(json, "handshakes", json_integer((json_int_t)num));
    json_object_set_new(json, "handshakes_per_s", json_real((double)num / span.seconds));
    load_print(json);
    int status = load_close(load);
    return num == 0 ? 1 : status;
}
