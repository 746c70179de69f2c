/* SPDX-License-Identifier: Apache-2.0 */
/* Many connections at once: each hears what is for it, its timers run when they must, its ports come back. */
#include "stack/lwip/lab.h"

#include <stdlib.h>

#define SECOND   1000000ull
#define NUM_MANY 10000u

/* ---- ten thousand, in random order ---- */

struct pair_of_ends {
    struct lab_conn client, server;
};

struct crowd {
    struct lab lab;
    struct lab_listener listener;
    struct pel_prng prng;
    struct pair_of_ends *pairs;
    struct pair_of_ends *opening; /* whose server is accepted next */
};

static enum pel_err accept_opening(void *arg, struct pel_tcp *tcp)
{
    struct crowd *crowd = (struct crowd *)arg;
    struct lab_conn *server = &crowd->opening->server;
    server->tcp = tcp;
    server->connected = true;
    pel_tcp_set_events(tcp, &lab_events, server);
    return PEL_OK;
}

static bool is_open(void *arg)
{
    struct pair_of_ends *pair = (struct pair_of_ends *)arg;
    return pair->client.connected && pair->server.connected;
}

static bool has_heard(void *arg)
{
    struct pair_of_ends *pair = (struct pair_of_ends *)arg;
    return pair->client.received_len == pair->server.to_send_len &&
           pair->server.received_len == pair->client.to_send_len;
}

static bool open_pair(struct crowd *crowd, unsigned i)
{
    struct pair_of_ends *pair = &crowd->pairs[i];
    crowd->opening = pair;
    lab_conn_init(&pair->client, 0, 2 * i, 2 * i + 1);
    lab_conn_init(&pair->server, 0, 2 * i + 1, 2 * i);
    return lab_connect(&crowd->lab.a, i % 3 == 0 ? "[fd00::2]:80" : "10.0.0.2:80", &pair->client) == PEL_OK &&
           lab_run_until(&crowd->lab, SECOND, is_open, pair);
}

static void end_pair(struct crowd *crowd, unsigned i, bool is_abort)
{
    struct pair_of_ends *pair = &crowd->pairs[i];
    if (is_abort) {
        pel_tcp_abort(pair->client.tcp);
    } else {
        pel_tcp_close(pair->client.tcp);
        pel_tcp_close(pair->server.tcp);
        pair->server.tcp = NULL;
    }
    pair->client.tcp = NULL;
    lab_run(&crowd->lab, 1000);
    if (is_abort)
        PEL_EXPECT_ERR(pair->server.error, PEL_E_CONN_RESET);
}

/* A word each way; every pair has bytes of its own, so that a segment which goes astray is seen. */
static bool talk(struct crowd *crowd, unsigned i)
{
    struct pair_of_ends *pair = &crowd->pairs[i];
    pair->client.to_send_len += 40;
    pair->server.to_send_len += 30;
    lab_conn_pump(&pair->client);
    lab_conn_pump(&pair->server);
    return lab_run_until(&crowd->lab, SECOND, has_heard, pair) && pair->client.wrong_at == SIZE_MAX &&
           pair->server.wrong_at == SIZE_MAX;
}

static void step(struct crowd *crowd)
{
    unsigned i = (unsigned)(pel_prng_next(&crowd->prng) % NUM_MANY);
    unsigned what = (unsigned)(pel_prng_next(&crowd->prng) % 8);
    if (crowd->pairs[i].client.tcp == NULL)
        PEL_REQUIRE(open_pair(crowd, i));
    else if (what == 0)
        end_pair(crowd, i, i % 2 == 0);
    else
        PEL_REQUIRE(talk(crowd, i));
}

PEL_TEST(lwip_many, ten_thousand_in_random_order)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    PEL_REQUIRE(crowd != NULL && lab_open(&crowd->lab, NULL, NULL));
    crowd->pairs = calloc(NUM_MANY, sizeof(*crowd->pairs));
    PEL_REQUIRE(crowd->pairs != NULL);
    pel_prng_seed(&crowd->prng, 1);
    struct pel_endpoint local = lab_endpoint(":80");
    struct pel_tcp_listener *listener = NULL;
    PEL_REQUIRE_OK(pel_tcp_listen(crowd->lab.b.ip, &local, 1024, accept_opening, crowd, &listener));
    for (unsigned i = 0; i < NUM_MANY; i++)
        PEL_REQUIRE(open_pair(crowd, i));
    for (unsigned i = 0; i < 3 * NUM_MANY && !pel_test_has_failed(); i++)
        step(crowd);
    /* All asleep, then all at once. */
    lab_run(&crowd->lab, 100 * SECOND);
    PEL_EXPECT_EQ(pel_ip_num_time_wait(crowd->lab.a.ip), 0);
    for (unsigned i = 0; i < NUM_MANY && !pel_test_has_failed(); i++)
        if (crowd->pairs[i].client.tcp != NULL)
            PEL_EXPECT(talk(crowd, i));
    PEL_EXPECT_EQ(crowd->lab.a.counters.stat[PEL_STAT_tcp_retransmits], 0);
    lab_close(&crowd->lab);
    free(crowd->pairs);
    free(crowd);
}

/* ---- ports ---- */

static void many_connections(struct pel_ipstack_config *config)
{
    config->max_connections = 40000;
}

PEL_TEST(lwip_many, every_local_port_once)
{
    struct lab lab;
    struct lab_conn *conns = calloc(32769, sizeof(*conns)), extra;
    PEL_REQUIRE(conns != NULL && lab_open(&lab, NULL, many_connections));
    struct pel_tcp_listener *listener = NULL;
    struct pel_endpoint local = lab_endpoint(":40000");
    PEL_REQUIRE_OK(pel_tcp_listen(lab.a.ip, &local, 1, NULL, NULL, &listener));
    bool *seen = calloc(65536, sizeof(*seen));
    PEL_REQUIRE(seen != NULL);
    for (unsigned i = 0; i < 32767; i++) {
        PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:80", &conns[i]));
        uint16_t port = pel_tcp_local(conns[i].tcp).port;
        PEL_REQUIRE(port >= 32768 && port != 40000 && !seen[port]);
        seen[port] = true;
    }
    lab_conn_init(&extra, 0, 0, 0);
    PEL_EXPECT_ERR(lab_connect(&lab.a, "10.0.0.2:80", &extra), PEL_E_NO_LOCAL_PORT);
    /* To another remote end they are all free, and a port that comes back is found. */
    PEL_EXPECT_ERR(lab_connect(&lab.a, "10.0.0.2:81", &extra), PEL_OK);
    uint16_t port = pel_tcp_local(conns[77].tcp).port;
    pel_tcp_abort(conns[77].tcp);
    PEL_REQUIRE_OK(lab_connect(&lab.a, "10.0.0.2:80", &conns[77]));
    PEL_EXPECT_EQ(pel_tcp_local(conns[77].tcp).port, port);
    lab_close(&lab);
    free(seen);
    free(conns);
}

/* ---- TIME-WAIT ---- */

struct couple {
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn client, servers[4];
};

static bool begin(struct couple *c)
{
    memset(c, 0, sizeof(*c));
    lab_conn_init(&c->client, 0, 1, 2);
    for (int i = 0; i < 4; i++)
        lab_conn_init(&c->servers[i], 0, 2, 1);
    return lab_open(&c->lab, NULL, NULL) && lab_listen(&c->lab.b, ":80", &c->listener, c->servers, 4);
}

static enum pel_err connect_from(struct couple *c, uint16_t port)
{
    struct pel_endpoint local = lab_endpoint("10.0.0.1:0"), remote = lab_endpoint("10.0.0.2:80");
    local.port = port;
    lab_conn_init(&c->client, 0, 1, 2);
    return pel_tcp_connect(c->lab.a.ip, &local, &remote, &lab_events, &c->client, &c->client.tcp);
}

/* The end that closes last has no TIME-WAIT; `is_client_first` says who has. */
static void open_and_close(struct couple *c, uint16_t port, bool is_client_first)
{
    PEL_REQUIRE_OK(connect_from(c, port));
    lab_run(&c->lab, 10000);
    struct lab_conn *server = &c->servers[c->listener.num - 1];
    PEL_REQUIRE(c->client.connected && server->connected);
    pel_tcp_close(is_client_first ? c->client.tcp : server->tcp);
    lab_run(&c->lab, 10000);
    pel_tcp_close(is_client_first ? server->tcp : c->client.tcp);
    c->client.tcp = NULL;
    lab_run(&c->lab, 10000);
}

PEL_TEST(lwip_many, time_wait_holds_its_ends_and_lets_them_go_in_order)
{
    struct couple c;
    PEL_REQUIRE(begin(&c));
    for (uint16_t i = 0; i < 3; i++) {
        open_and_close(&c, (uint16_t)(5000 + i), true);
        lab_run(&c.lab, 10 * SECOND);
    }
    PEL_EXPECT_EQ(pel_ip_num_time_wait(c.lab.a.ip), 3);
    PEL_EXPECT_ERR(connect_from(&c, 5000), PEL_E_ADDRESS_IN_USE);
    lab_run(&c.lab, 35 * SECOND); /* 65 s, 55 s and 45 s */
    PEL_EXPECT_EQ(pel_ip_num_time_wait(c.lab.a.ip), 2);
    PEL_EXPECT_ERR(connect_from(&c, 5002), PEL_E_ADDRESS_IN_USE);
    PEL_EXPECT_ERR(connect_from(&c, 5000), PEL_OK);
    lab_run(&c.lab, 10 * SECOND);
    PEL_EXPECT_EQ(pel_ip_num_time_wait(c.lab.a.ip), 1);
    lab_run(&c.lab, 10 * SECOND);
    PEL_EXPECT_EQ(pel_ip_num_time_wait(c.lab.a.ip), 0);
    PEL_EXPECT(c.client.connected);
    lab_close(&c.lab);
}

/* The server has TIME-WAIT, and the client comes again from the same port. */
PEL_TEST(lwip_many, a_new_connection_takes_the_place_of_one_in_time_wait)
{
    struct couple c;
    PEL_REQUIRE(begin(&c));
    for (int i = 0; i < 3; i++) {
        open_and_close(&c, 5000, false);
        PEL_EXPECT_EQ(pel_ip_num_time_wait(c.lab.b.ip), 1);
        PEL_EXPECT_EQ(pel_ip_num_time_wait(c.lab.a.ip), 0);
        lab_run(&c.lab, SECOND);
    }
    PEL_EXPECT_EQ(c.listener.num, 3);
    lab_close(&c.lab);
}

/* ---- those that the timers passed by ---- */

/* Open and quiet for long enough that no timer looks at either end. */
static bool begin_quiet(struct couple *c)
{
    if (!begin(c) || connect_from(c, 5000) != PEL_OK)
        return false;
    lab_run(&c->lab, 20 * SECOND);
    return c->client.connected && c->servers[0].connected;
}

static void cut_wire(struct couple *c)
{
    struct pel_sim_impair cut = {.loss_ppm = 1000000};
    PEL_REQUIRE_OK(pel_sim_set_impair(c->lab.a.port, &cut));
    PEL_REQUIRE_OK(pel_sim_set_impair(c->lab.b.port, &cut));
}

PEL_TEST(lwip_many, a_sleeper_that_writes_is_timed)
{
    struct couple c;
    PEL_REQUIRE(begin_quiet(&c));
    cut_wire(&c);
    c.client.to_send_len = 10;
    lab_conn_pump(&c.client);
    lab_run(&c.lab, 5 * SECOND);
    PEL_EXPECT(c.lab.a.counters.stat[PEL_STAT_tcp_retransmits] >= 2);
    lab_run(&c.lab, 1000 * SECOND);
    PEL_EXPECT_ERR(c.client.error, PEL_E_CONN_TIMEOUT);
    lab_close(&c.lab);
}

PEL_TEST(lwip_many, a_sleeper_that_closes_is_timed)
{
    struct couple c;
    PEL_REQUIRE(begin_quiet(&c));
    cut_wire(&c);
    pel_tcp_close(c.client.tcp);
    lab_run(&c.lab, 5 * SECOND);
    PEL_EXPECT(c.lab.a.counters.stat[PEL_STAT_tcp_retransmits] >= 2);
    PEL_EXPECT_ERR(connect_from(&c, 5000), PEL_E_ADDRESS_IN_USE);
    lab_run(&c.lab, 1000 * SECOND);
    PEL_EXPECT_ERR(connect_from(&c, 5000), PEL_OK);
    lab_close(&c.lab);
}

PEL_TEST(lwip_many, a_sleeper_is_kept_alive)
{
    struct couple c;
    PEL_REQUIRE(begin_quiet(&c));
    pel_tcp_set_keepalive(c.client.tcp, 10000, 1000, 3);
    lab_run(&c.lab, 100 * SECOND);
    PEL_EXPECT_EQ(c.client.num_errors, 0);
    cut_wire(&c);
    lab_run(&c.lab, 30 * SECOND);
    PEL_EXPECT_ERR(c.client.error, PEL_E_CONN_TIMEOUT);
    lab_close(&c.lab);
}

/* Half closed and asleep; then the owner goes, and the peer says nothing more: FIN-WAIT-2 ends. */
PEL_TEST(lwip_many, a_sleeper_in_fin_wait_2_does_not_stay_for_ever)
{
    struct couple c;
    PEL_REQUIRE(begin_quiet(&c));
    PEL_REQUIRE_OK(pel_tcp_shutdown(c.client.tcp));
    lab_run(&c.lab, 100 * SECOND);
    PEL_EXPECT_EQ(c.client.num_errors, 0);
    PEL_EXPECT(c.servers[0].fin);
    pel_tcp_close(c.client.tcp);
    PEL_EXPECT_ERR(connect_from(&c, 5000), PEL_E_ADDRESS_IN_USE);
    lab_run(&c.lab, 100 * SECOND);
    PEL_EXPECT_ERR(connect_from(&c, 5000), PEL_OK);
    lab_close(&c.lab);
}

/* Those asleep are part of the instance, too. */
PEL_TEST(lwip_many, closing_the_instance_finds_sleepers_without_owner)
{
    struct couple c;
    PEL_REQUIRE(begin_quiet(&c));
    PEL_REQUIRE_OK(pel_tcp_shutdown(c.client.tcp));
    lab_run(&c.lab, 10 * SECOND);
    lab_close(&c.lab); /* the leak checker sees what is left */
    PEL_EXPECT_ERR(c.client.error, PEL_E_CONN_ABORTED);
    PEL_EXPECT_ERR(c.servers[0].error, PEL_E_CONN_ABORTED);
}

/* ---- all time out at once ---- */

#define NUM_LOST 2000u

struct lost {
    struct crowd_of_lost *crowd;
    struct lab_conn conn;
    unsigned number;
    bool aborted;
};

struct crowd_of_lost {
    struct lab lab;
    struct lost lost[2 * NUM_LOST]; /* the second half: opened when one of the first is lost */
    struct pel_tcp_events events;
    unsigned num_again;
};

static void open_lost(struct crowd_of_lost *crowd, unsigned number)
{
    struct pel_endpoint remote = lab_endpoint("10.0.0.2:80");
    struct lost *lost = &crowd->lost[number];
    lost->crowd = crowd;
    lost->number = number;
    lab_conn_init(&lost->conn, 0, 0, 0);
    PEL_REQUIRE_OK(
        pel_tcp_connect(crowd->lab.a.ip, NULL, &remote, &crowd->events, lost, &lost->conn.tcp));
}

/* Within the timer: another connection is opened, and one that may be the next in the timer's walk goes. */
static void on_lost(void *arg, enum pel_err err)
{
    struct lost *lost = (struct lost *)arg;
    struct crowd_of_lost *crowd = lost->crowd;
    lab_events.on_error(&lost->conn, err);
    if (lost->number >= NUM_LOST)
        return;
    open_lost(crowd, NUM_LOST + crowd->num_again++);
    struct lost *other = &crowd->lost[lost->number % 2 == 0 ? lost->number / 2 : lost->number - 1];
    if (lost->number % 3 == 0 && other->conn.tcp != NULL) {
        pel_tcp_abort(other->conn.tcp);
        other->conn.tcp = NULL;
        other->aborted = true;
    }
}

PEL_TEST(lwip_many, all_time_out_and_open_others)
{
    struct crowd_of_lost *crowd = calloc(1, sizeof(*crowd));
    struct pel_sim_impair cut = {.loss_ppm = 1000000};
    PEL_REQUIRE(crowd != NULL && lab_open(&crowd->lab, NULL, NULL));
    PEL_REQUIRE_OK(pel_sim_set_impair(crowd->lab.a.port, &cut));
    crowd->events = lab_events;
    crowd->events.on_error = on_lost;
    for (unsigned i = 0; i < NUM_LOST; i++)
        open_lost(crowd, i);
    lab_run(&crowd->lab, 1000 * SECOND);
    unsigned num_aborted = 0;
    for (unsigned i = 0; i < NUM_LOST + crowd->num_again; i++) {
        struct lost *lost = &crowd->lost[i];
        num_aborted += lost->aborted;
        PEL_REQUIRE(lost->conn.tcp == NULL && lost->conn.num_errors == !lost->aborted);
    }
    PEL_EXPECT(num_aborted > 0);
    PEL_EXPECT_EQ(crowd->num_again, NUM_LOST - num_aborted);
    lab_close(&crowd->lab);
    free(crowd);
}
