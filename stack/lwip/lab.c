/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/lwip/lab.h"

#include <stdio.h>
#include <stdlib.h>

#define WRITE_MAX 60000

uint8_t lab_byte(uint64_t seed, size_t at)
{
    uint64_t x = (at / 8 + 1) * 0x9e3779b97f4a7c15u ^ seed * 0xbf58476d1ce4e5b9u;
    x ^= x >> 29;
    x *= 0x94d049bb133111ebu;
    return (uint8_t)(x >> (8 * (at % 8)));
}

struct pel_endpoint lab_endpoint(const char *text)
{
    struct pel_endpoint endpoint = {.port = 0};
    if (pel_endpoint_parse(text, &endpoint) != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "no endpoint: %s", text);
    return endpoint;
}

/* ---- hosts ---- */

bool lab_open_host(struct lab *lab, struct lab_host *host, int number,
                   void (*change)(struct pel_ipstack_config *config))
{
    struct pel_ipstack_config config = {
        .port = host->port,
        .num_addrs = 2,
        .max_connections = 20000,
        .tcp_window_len = 256 * 1024,
        .clock = pel_clock_virtual(&lab->time),
        .secret_seed = 1000 + (uint64_t)number,
        .counters = &host->counters,
    };
    char text[32];
    snprintf(text, sizeof(text), "10.0.0.%d", number);
    bool good = pel_ip_parse(text, &config.addrs[0].ip) == PEL_OK;
    config.addrs[0].prefix_len = 24;
    snprintf(text, sizeof(text), "fd00::%d", number);
    good = good && pel_ip_parse(text, &config.addrs[1].ip) == PEL_OK;
    config.addrs[1].prefix_len = 64;
    if (change != NULL)
        change(&config);
    struct pel_error error = {.code = PEL_OK};
    enum pel_err err = pel_ip_open(&config, &host->ip, &error);
    if (err != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "pel_ip_open: %s: %s", pel_err_name(err), error.text);
    return good && err == PEL_OK;
}

bool lab_open(struct lab *lab, const struct pel_sim_wire_config *wire,
              void (*change)(struct pel_ipstack_config *config))
{
    memset(lab, 0, sizeof(*lab));
    lab->time.now_us = 1000000;
    struct pel_sim_wire_config plain = {.seed = 1, .latency_us = 50};
    struct pel_clock clock = pel_clock_virtual(&lab->time);
    if (pel_sim_wire_open(wire == NULL ? &plain : wire, &clock, &lab->a.port, &lab->b.port) != PEL_OK) {
        pel_test_fail(__FILE__, __LINE__, "no wire");
        return false;
    }
    return lab_open_host(lab, &lab->a, 1, change) && lab_open_host(lab, &lab->b, 2, change);
}

static void drain(struct lab_host *host)
{
    struct pel_pkt *pkts[LAB_BURST];
    for (uint32_t num; (num = pel_port_rx(host->port, 0, pkts, LAB_BURST)) > 0;)
        for (uint32_t i = 0; i < num; i++)
            pel_pkt_free(pkts[i]);
}

static void expect_all_back(const struct lab_host *host)
{
    struct pel_port_stats stats;
    host->port->ops->stats(host->port, &stats);
    PEL_EXPECT_EQ(stats.num_pkts_in_use, 0);
}

void lab_close(struct lab *lab)
{
    pel_ip_close(lab->a.ip);
    pel_ip_close(lab->b.ip);
    lab->a.ip = lab->b.ip = NULL;
    drain(&lab->a); /* what a direct wire carries are the sender's packets */
    drain(&lab->b);
    expect_all_back(&lab->a);
    expect_all_back(&lab->b);
    pel_port_close(lab->a.port);
    pel_port_close(lab->b.port);
}

/* ---- time ---- */

static void work(struct lab_host *host)
{
    struct pel_pkt *pkts[LAB_BURST];
    uint32_t num = pel_port_rx(host->port, 0, pkts, LAB_BURST);
    if (host->ip != NULL)
        pel_ip_input(host->ip, pkts, num);
    for (uint32_t i = 0; host->ip == NULL && i < num; i++)
        pel_pkt_free(pkts[i]); /* the station is down */
    if (host->ip != NULL)
        pel_ip_poll(host->ip);
}

static uint64_t next_event_us(const struct lab_host *host)
{
    uint64_t wire_us = host->port->ops->next_event_us == NULL
                           ? UINT64_MAX
                           : host->port->ops->next_event_us(host->port, PEL_ANY_QUEUE);
    uint64_t timer_us = host->ip == NULL ? UINT64_MAX : pel_ip_next_timer_us(host->ip);
    return wire_us < timer_us ? wire_us : timer_us;
}

bool lab_step(struct lab *lab, uint64_t until_us)
{
    work(&lab->a);
    work(&lab->b);
    uint64_t a_us = next_event_us(&lab->a), b_us = next_event_us(&lab->b);
    uint64_t next_us = a_us < b_us ? a_us : b_us;
    if (next_us > until_us) {
        lab->time.now_us = until_us;
        return false;
    }
    if (next_us > lab->time.now_us)
        lab->time.now_us = next_us;
    return true;
}

void lab_run(struct lab *lab, uint64_t us)
{
    uint64_t until_us = lab->time.now_us + us;
    while (lab_step(lab, until_us))
        ;
}

bool lab_run_until(struct lab *lab, uint64_t us, bool (*done)(void *arg), void *arg)
{
    uint64_t until_us = lab->time.now_us + us;
    while (!done(arg))
        if (!lab_step(lab, until_us))
            return done(arg);
    return true;
}

/* ---- connections ---- */

void lab_conn_init(struct lab_conn *conn, size_t len, uint64_t seed, uint64_t peer_seed)
{
    *conn = (struct lab_conn){.to_send_len = len, .seed = seed, .peer_seed = peer_seed, .wrong_at = SIZE_MAX};
}

void lab_conn_pump(struct lab_conn *conn)
{
    uint8_t bytes[WRITE_MAX];
    while (conn->tcp != NULL && conn->connected && conn->sent_len < conn->to_send_len) {
        size_t len = conn->to_send_len - conn->sent_len, done = 0;
        size_t max = conn->write_len != 0 ? conn->write_len : WRITE_MAX;
        len = len < max ? len : max;
        for (size_t i = 0; i < len; i++)
            bytes[i] = lab_byte(conn->seed, conn->sent_len + i);
        if (pel_tcp_write(conn->tcp, bytes, len, false, &done) != PEL_OK)
            break;
        conn->sent_len += done;
    }
    bool is_sent = conn->sent_len == conn->to_send_len;
    if (conn->tcp != NULL && conn->connected && is_sent && conn->shutdown_when_sent && !conn->shut)
        conn->shut = pel_tcp_shutdown(conn->tcp) == PEL_OK;
}

static void on_connected(void *arg)
{
    struct lab_conn *conn = (struct lab_conn *)arg;
    conn->connected = true;
    lab_conn_pump(conn);
}

static void on_receive(void *arg, struct pel_buf *buf)
{
    struct lab_conn *conn = (struct lab_conn *)arg;
    size_t len = pel_buf_len(buf), piece_len;
    for (size_t at = 0; at < len; at += piece_len) {
        const uint8_t *bytes = pel_buf_peek(buf, at, &piece_len);
        for (size_t i = 0; i < piece_len; i++)
            if (bytes[i] != lab_byte(conn->peer_seed, conn->received_len + at + i) &&
                conn->wrong_at == SIZE_MAX)
                conn->wrong_at = conn->received_len + at + i;
    }
    conn->received_len += len;
    if (conn->hold) {
        conn->held = pel_buf_join(conn->held, buf);
    } else {
        pel_buf_free(buf);
        pel_tcp_received(conn->tcp, len);
    }
    if (conn->in_receive != NULL)
        conn->in_receive(conn);
}

static void on_fin(void *arg)
{
    ((struct lab_conn *)arg)->fin = true;
}

static void on_sent(void *arg, size_t len)
{
    struct lab_conn *conn = (struct lab_conn *)arg;
    conn->acked_len += len;
    lab_conn_pump(conn);
    if (conn->in_sent != NULL)
        conn->in_sent(conn);
}

static void on_error(void *arg, enum pel_err err)
{
    struct lab_conn *conn = (struct lab_conn *)arg;
    conn->error = err;
    conn->num_errors++;
    conn->tcp = NULL;
}

const struct pel_tcp_events lab_events = {on_connected, on_receive, on_fin, on_sent, on_error};

static enum pel_err accept_next(void *arg, struct pel_tcp *tcp)
{
    struct lab_listener *listener = (struct lab_listener *)arg;
    if (listener->answer != PEL_OK || listener->num == listener->max)
        return listener->answer != PEL_OK ? listener->answer : PEL_E_TOO_MANY_CONNECTIONS;
    struct lab_conn *conn = &listener->conns[listener->num++];
    conn->tcp = tcp;
    pel_tcp_set_events(tcp, &lab_events, conn);
    on_connected(conn);
    return PEL_OK;
}

bool lab_listen(struct lab_host *host, const char *text, struct lab_listener *listener,
                struct lab_conn *conns, size_t max)
{
    struct pel_endpoint local = lab_endpoint(text);
    *listener = (struct lab_listener){.conns = conns, .max = max};
    enum pel_err err = pel_tcp_listen(host->ip, &local, 1024, accept_next, listener, &listener->listener);
    PEL_EXPECT_ERR(err, PEL_OK);
    return err == PEL_OK;
}

enum pel_err lab_connect(struct lab_host *host, const char *text, struct lab_conn *conn)
{
    struct pel_endpoint remote = lab_endpoint(text);
    return pel_tcp_connect(host->ip, NULL, &remote, &lab_events, conn, &conn->tcp);
}
