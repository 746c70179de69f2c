/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64 bytes there and 64 bytes back, one at a time: how long the client waits.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/load.h"

#define PING_LEN    64u
#define MAX_SAMPLES (1u << 24)

static struct latency {
    struct load load;
    struct pel_conn *conn;
    uint64_t asked_ns;
    uint64_t num_samples; /* written by the client's engine */
    uint64_t measuring;
    uint32_t got_len;
    uint32_t *samples_ns;
} latency;

static const uint8_t ping[PING_LEN];

static void send_ping(struct pel_conn *conn)
{
    size_t taken_len = 0;
    if (pel_conn_write(conn, ping, sizeof ping, &taken_len) != PEL_OK || taken_len != sizeof ping)
        load_failed(&latency.load, PEL_E_AGAIN); /* one small message at a time always fits */
}

static void nothing(void *arg, struct pel_conn *conn)
{
    (void)arg;
    (void)conn;
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    (void)arg;
    (void)conn;
    load_failed(&latency.load, err);
}

/* ---- the server sends back whatever comes ---- */

static size_t send_back(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    size_t taken_len = 0;
    (void)arg;
    if (pel_conn_write(conn, bytes, len, &taken_len) != PEL_OK || taken_len != len)
        load_failed(&latency.load, PEL_E_AGAIN);
    return len;
}

static const struct pel_conn_events server = {.on_open = nothing,
                                              .on_data = send_back,
                                              .on_eof = nothing,
                                              .on_writable = nothing,
                                              .on_closed = on_closed};

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    (void)arg;
    pel_conn_attach(conn, &server, NULL);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

/* ---- the client ---- */

static void on_open(void *arg, struct pel_conn *conn)
{
    (void)arg;
    load_add(&latency.load.num_open, 1);
    latency.asked_ns = load_now_ns();
    send_ping(conn);
}

static size_t on_pong(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    (void)arg;
    (void)bytes;
    latency.got_len += (uint32_t)len;
    if (latency.got_len < PING_LEN)
        return len;
    latency.got_len = 0;
    uint64_t now_ns = load_now_ns();
    if (load_get(&latency.measuring) != 0 && latency.num_samples < MAX_SAMPLES) {
        latency.samples_ns[latency.num_samples] = (uint32_t)(now_ns - latency.asked_ns);
        load_add(&latency.num_samples, 1);
    }
    latency.asked_ns = now_ns;
    send_ping(conn);
    return len;
}

static const struct pel_conn_events client = {.on_open = on_open,
                                              .on_data = on_pong,
                                              .on_eof = nothing,
                                              .on_writable = nothing,
                                              .on_closed = on_closed};

static void start_client(struct pel_engine *engine, void *arg)
{
    (void)arg;
    latency.conn = load_connect(&latency.load, engine, 0, &client, NULL);
}

/* ---- the figures ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double share_us(uint64_t num, double share)
{
    return num == 0 ? 0 : (double)latency.samples_ns[(uint64_t)((double)(num - 1) * share)] / 1e3;
}

int main(int argc, char **argv)
{
    struct load *load = &latency.load;
    struct load_span span;
    latency.samples_ns = calloc(MAX_SAMPLES, sizeof *latency.samples_ns);
    if (latency.samples_ns == NULL)
        return 1;
    load_open(load, argc, argv);
    load_listen(load, on_accept, NULL);
    load_call(load, 0, start_client, NULL);
    load_wait(load, &load->num_open, 1);
    load_sleep(load->options.warm_up_s);
    load_span_begin(load, &span);
    load_set(&latency.measuring, 1);
    load_sleep(load->options.seconds);
    load_set(&latency.measuring, 0);
    load_span_end(load, &span);
    int status = load_close(load); /* no engine writes samples from here on */
    uint64_t num = latency.num_samples;
    qsort(latency.samples_ns, num, sizeof *latency.samples_ns, compare);
    json_t *json = load_span_json(&span);
    json_object_set_new(json, "round_trips", json_integer((json_int_t)num));
    json_object_set_new(json, "p50_us", json_real(share_us(num, 0.5)));
    json_object_set_new(json, "p99_us", json_real(share_us(num, 0.99)));
    json_object_set_new(json, "p999_us", json_real(share_us(num, 0.999)));
    load_print(json);
    free(latency.samples_ns);
    return num == 0 ? 1 : status;
}
