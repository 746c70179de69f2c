/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two hosts of several engines each on one wire, in virtual time: hundreds of connections both ways begin at
 * once with cold caches, and each must stay on the engine that its addresses and ports hash to, whatever the
 * ports do by themselves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/steer.h"
#include "tests/harness/harness.h"
#include "tests/scenario/rings.h"
#include "tests/scenario/world.h"

#define MAX_ENGINES 4
#define NUM_CONNS   150 /* from each host */
#define SEND_LEN    3000
#define UDP_PORT    5353
#define UDP_LEN     4000 /* three fragments */
#define PATIENCE_US 120000000u

static const char policy[] =
    "TTLSRule SERVER\n{\n LocalPortRange 4433\n Direction Inbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef server\n}\n"
    "TTLSRule CLIENT\n{\n RemotePortRange 4433\n Direction Outbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef client\n}\n"
    "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
    "TTLSEnvironmentAction server\n{\n HandshakeRole Server\n TTLSKeyringParms\n {\n Keyring server\n }\n}\n"
    "TTLSEnvironmentAction client\n{\n HandshakeRole Client\n TTLSKeyringParms\n {\n Keyring client\n }\n}\n";

/* How the ports spread what they receive. */
enum spread { SPREAD_KNOWN, SPREAD_SECRET, SPREAD_NONE };

struct cores_config {
    uint64_t seed;
    bool fragments; /* a router in between cuts what has a payload */
    enum spread spread;
    uint16_t num_engines;
    bool tls;
    struct pel_sim_impair impair;
};

struct end {
    struct peer peer; /* first: what events give */
    struct host *host;
};

struct host {
    struct cores *cores;
    struct pel_port *port;
    struct pel_engine *engines[MAX_ENGINES];
    struct pel_listener *listeners[MAX_ENGINES];
    struct pel_udp_socket *udps[MAX_ENGINES];
    struct end ends[2 * NUM_CONNS];
    uint32_t num_ends, num_datagrams, num_misplaced, num_out, num_in;
    uint32_t num_on[MAX_ENGINES];
};

struct cores {
    struct cores_config config;
    struct pel_port *wires[NUM_HOSTS];
    uint32_t num_cut;
    struct world world; /* clock, slots and keyrings */
    struct host hosts[NUM_HOSTS];
};

/* ---- the application ---- */

static struct end *new_end(struct host *host)
{
    if (host->num_ends == 2 * NUM_CONNS)
        abort(); /* more connections than were asked for */
    struct end *end = &host->ends[host->num_ends++];
    end->host = host;
    end->peer.send_len = end->peer.receive_len = SEND_LEN;
    return end;
}

/* Every flow has bytes of its own, which both ends know by the client's port. */
static void set_salts(struct peer *peer, uint16_t client_port, bool is_client)
{
    uint8_t salt = (uint8_t)(client_port * 31 + client_port / 256);
    peer->send_salt = is_client ? salt : (uint8_t)~salt;
    peer->receive_salt = is_client ? (uint8_t)~salt : salt;
}

static struct pel_endpoint endpoint_of(const struct sockaddr_storage *address)
{
    struct pel_endpoint endpoint = {0};
    if (pel_endpoint_from_sockaddr((const struct sockaddr *)address, sizeof *address, &endpoint) != PEL_OK)
        abort();
    return endpoint;
}

/* That the connection lives where its flow comes to. */
static void check_place(struct host *host, const struct pel_conn *conn, bool is_client, struct peer *peer)
{
    struct sockaddr_storage at;
    pel_conn_local(conn, AF_INET6, &at);
    struct pel_endpoint local = endpoint_of(&at);
    pel_conn_remote(conn, AF_INET6, &at);
    struct pel_endpoint remote = endpoint_of(&at);
    uint16_t engine = pel_rss_flow_queue(host->port->rss, &remote, &local);
    host->num_misplaced += host->engines[engine] != conn->engine;
    host->num_on[engine]++;
    set_salts(peer, is_client ? local.port : remote.port, is_client);
}

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    struct host *host = arg;
    struct end *end = new_end(host);
    host->num_in++;
    end->peer.conn = conn;
    check_place(host, conn, false, &end->peer);
    pel_conn_attach(conn, &peer_events, &end->peer);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

static void connect_one(struct cores *cores, int host_index, uint16_t engine, bool ipv6)
{
    struct host *host = &cores->hosts[host_index];
    struct sockaddr_storage remote;
    cores->world.config.ipv6 = ipv6;
    socklen_t len = world_address(&cores->world, 1 - host_index, WORLD_PORT, &remote);
    struct end *end = new_end(host);
    enum pel_err err = pel_engine_connect(host->engines[engine], NULL, 0, (struct sockaddr *)&remote, len,
                                          "server.test", NULL, &peer_events, &end->peer, &end->peer.conn);
    if (err != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "connect: %s", pel_err_text(err));
    else
        check_place(host, end->peer.conn, true, &end->peer);
    host->num_out++;
}

static void on_datagram(void *arg, const struct sockaddr *from, socklen_t from_len, const uint8_t *bytes,
                        size_t len)
{
    struct host *host = arg;
    bool good = len == UDP_LEN && from_len > 0 && from->sa_family == AF_INET6;
    for (size_t i = 1; i < len; i++)
        good &= bytes[i] == (uint8_t)(bytes[0] + i);
    host->num_datagrams += good;
}

static void send_datagram(struct cores *cores, int host_index, uint16_t engine, uint8_t first)
{
    uint8_t bytes[UDP_LEN];
    struct sockaddr_storage remote;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(first + i);
    socklen_t len = world_address(&cores->world, 1 - host_index, UDP_PORT, &remote);
    PEL_EXPECT_ERR(pel_udp_socket_send(cores->hosts[host_index].udps[engine], (struct sockaddr *)&remote, len,
                                       bytes, sizeof bytes),
                   PEL_OK);
}

/* ---- the hosts ---- */

static struct pel_ip_prefix prefix_of(const char *text, uint8_t prefix_len)
{
    struct pel_ip_prefix prefix = {.prefix_len = prefix_len};
    if (pel_ip_parse(text, &prefix.ip) != PEL_OK)
        abort();
    return prefix;
}

static bool open_engine(struct cores *cores, int host_index, uint16_t engine)
{
    struct host *host = &cores->hosts[host_index];
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(WORLD_PORT)};
    struct pel_error error = {0};
    const struct pel_engine_config config = {
        .index = engine,
        .slot = &cores->world.slots[host_index],
        .start_gate_open = true,
        .user = "tester",
        .job = "cores",
        .ip = {.port = host->port,
               .queue = engine,
               .addrs = {prefix_of(host_index == HOST_A ? "10.9.0.1" : "10.9.0.2", 24),
                         prefix_of(host_index == HOST_A ? "fd09::1" : "fd09::2", 64)},
               .num_addrs = 2,
               .max_connections = 1000,
               .tcp_window_len = 64 * 1024,
               .clock = cores->world.clock,
               .secret_seed = cores->config.seed * 100 + (uint64_t)host_index * 10 + engine + 1},
    };
    if (pel_engine_open(&config, &host->engines[engine], &error) != PEL_OK) {
        pel_test_say("engine: %s", error.text);
        return false;
    }
    bool ok = pel_engine_listen(host->engines[engine], (struct sockaddr *)&any, sizeof any, 1000, on_accept,
                                host, &host->listeners[engine]) == PEL_OK;
    any.sin6_port = htons(UDP_PORT);
    return ok && pel_engine_udp_open(host->engines[engine], (struct sockaddr *)&any, sizeof any, on_datagram,
                                     host, &host->udps[engine]) == PEL_OK;
}

static bool open_port(struct cores *cores, int host_index, struct pel_port *wire)
{
    struct host *host = &cores->hosts[host_index];
    uint8_t key[PEL_RSS_KEY_LEN];
    struct pel_prng prng;
    pel_prng_seed(&prng, cores->config.seed * 2 + (uint64_t)host_index);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)pel_prng_next(&prng);
    wire->any_thread_alloc = cores->config.spread == SPREAD_NONE; /* there is one thread */
    host->cores = cores;
    return pel_steer_open(wire, cores->config.num_engines, key, &host->port) == PEL_OK;
}

/* ---- a router that cuts IPv4 packets of TCP in two ---- */

static void put_fragment(struct pel_port *to, const uint8_t *frame, uint32_t at, uint32_t len, bool more)
{
    uint8_t piece[2000];
    uint32_t sum = 0;
    memcpy(piece, frame, 34);
    memcpy(piece + 34, frame + 34 + at, len);
    piece[16] = (uint8_t)((20 + len) >> 8);
    piece[17] = (uint8_t)(20 + len);
    piece[20] = (uint8_t)((more ? 0x20 : 0) | at / 8 >> 8);
    piece[21] = (uint8_t)(at / 8);
    piece[24] = piece[25] = 0;
    for (int i = 14; i < 34; i += 2)
        sum += (uint32_t)piece[i] << 8 | piece[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16));
    piece[24] = (uint8_t)(sum >> 8);
    piece[25] = (uint8_t)sum;
    if (pel_sim_inject(to, piece, 34 + len) != PEL_OK)
        abort();
}

static bool cut(struct cores *cores, int host, const uint8_t *frame, size_t len)
{
    bool is_tcp4 =
        len > 34 + 20 + 200 && frame[12] == 8 && frame[13] == 0 && frame[14] == 0x45 && frame[23] == 6;
    if (!is_tcp4)
        return true;
    put_fragment(cores->wires[1 - host], frame, 0, 104, true);
    put_fragment(cores->wires[1 - host], frame, 104, (uint32_t)len - 34 - 104, false);
    cores->num_cut++;
    return false;
}

static bool cut_of_a(void *arg, const uint8_t *frame, size_t len)
{
    return cut(arg, HOST_A, frame, len);
}

static bool cut_of_b(void *arg, const uint8_t *frame, size_t len)
{
    return cut(arg, HOST_B, frame, len);
}

static bool cores_open(struct cores *cores, const struct cores_config *config)
{
    struct pel_port **wires = cores->wires;
    memset(cores, 0, sizeof *cores);
    cores->config = *config;
    cores->world.time = (struct pel_virtual_clock){.now_us = 1000000, .wall_s_at_zero = 1780272000};
    cores->world.clock = pel_clock_virtual(&cores->world.time);
    snprintf(cores->world.keyring_dir, sizeof cores->world.keyring_dir, "%s", rings_dir());
    const struct pel_sim_wire_config wire = {
        .seed = config->seed,
        .latency_us = 50,
        .num_queues = config->spread == SPREAD_NONE ? 1 : config->num_engines,
        .secret_rss = config->spread == SPREAD_SECRET,
        .a_to_b = config->impair,
        .b_to_a = config->impair,
        .queue_len = 8192,
        .max_packets = 16384,
        .exact_buffers = true,
    };
    bool ok = pel_sim_wire_open(&wire, &cores->world.clock, &wires[HOST_A], &wires[HOST_B]) == PEL_OK;
    if (ok && config->fragments) {
        pel_sim_tap(wires[HOST_A], cut_of_a, cores);
        pel_sim_tap(wires[HOST_B], cut_of_b, cores);
    }
    for (int host = 0; ok && host < NUM_HOSTS; host++) {
        pel_generation_slot_init(&cores->world.slots[host]);
        ok = open_port(cores, host, wires[host]);
        if (ok && config->tls)
            ok = world_load(&cores->world, host, policy) == 0;
        for (uint16_t engine = 0; ok && engine < config->num_engines; engine++)
            ok = open_engine(cores, host, engine);
    }
    return ok;
}

static void cores_close(struct cores *cores)
{
    for (int host = 0; host < NUM_HOSTS; host++)
        for (uint16_t engine = 0; engine < cores->config.num_engines; engine++) {
            pel_listener_close(cores->hosts[host].listeners[engine]);
            pel_udp_socket_close(cores->hosts[host].udps[engine]);
            pel_engine_close(cores->hosts[host].engines[engine]);
        }
    for (int host = 0; host < NUM_HOSTS; host++) {
        pel_port_close(cores->hosts[host].port);
        pel_generation_slot_fini(&cores->world.slots[host]);
    }
}

static bool is_done(const struct cores *cores)
{
    uint32_t num_datagrams = 2u * cores->config.num_engines;
    for (int h = 0; h < NUM_HOSTS; h++) {
        const struct host *host = &cores->hosts[h];
        if (host->num_ends < 2 * NUM_CONNS ||
            (cores->config.impair.loss_ppm == 0 && host->num_datagrams < num_datagrams))
            return false;
        for (uint32_t i = 0; i < host->num_ends; i++)
            if (!host->ends[i].peer.closed)
                return false;
    }
    return true;
}

/* Each engine once; then, when none had work, time goes on to the next event. */
static void step(struct cores *cores)
{
    uint64_t now_us = cores->world.time.now_us, next_us = now_us + 10000;
    bool worked = false;
    for (int h = 0; h < NUM_HOSTS; h++)
        for (uint16_t e = 0; e < cores->config.num_engines; e++)
            worked |= pel_engine_step(cores->hosts[h].engines[e]);
    for (int h = 0; h < NUM_HOSTS && !worked; h++) {
        uint64_t frame_us = cores->hosts[h].port->ops->next_event_us(cores->hosts[h].port, PEL_ANY_QUEUE);
        next_us = frame_us < next_us ? frame_us : next_us;
        for (uint16_t e = 0; e < cores->config.num_engines; e++) {
            uint64_t timer_us = pel_ip_next_timer_us(cores->hosts[h].engines[e]->ip);
            next_us = timer_us < next_us ? timer_us : next_us;
        }
    }
    if (!worked)
        cores->world.time.now_us = next_us > now_us ? next_us : now_us + 1;
}

/* ---- what must hold ---- */

static void start_all(struct cores *cores)
{
    uint16_t num = cores->config.num_engines;
    for (uint16_t i = 0; i < NUM_CONNS; i++)
        for (int host = 0; host < NUM_HOSTS; host++)
            connect_one(cores, host, i % num, i / num % 2 == 1);
    for (uint8_t i = 0; i < 2 * num; i++)
        for (int host = 0; host < NUM_HOSTS; host++) {
            cores->world.config.ipv6 = i >= num;
            send_datagram(cores, host, i % num, i);
        }
}

static void check_host(const struct cores *cores, int index)
{
    const struct host *host = &cores->hosts[index];
    struct pel_steer_counts counts;
    for (uint32_t i = 0; i < host->num_ends; i++) {
        const struct peer *peer = &host->ends[i].peer;
        if (peer->wrong || peer->received_len != SEND_LEN || !peer->eof || peer->error != PEL_OK)
            pel_test_fail(__FILE__, __LINE__, "host %d, end %u: %llu bytes, %s, error %s", index, i,
                          (unsigned long long)peer->received_len, peer->wrong ? "WRONG" : "equal",
                          pel_err_name(peer->error));
    }
    PEL_EXPECT_EQ(host->num_misplaced, 0);
    PEL_EXPECT(host->num_in == NUM_CONNS && host->num_out == NUM_CONNS);
    for (uint16_t e = 0; e < cores->config.num_engines; e++) {
        const struct pel_counters *counters = &host->engines[e]->counters;
        uint64_t num_in = counters->stat[PEL_STAT_tcp_opened_in];
        PEL_EXPECT(num_in >= NUM_CONNS / cores->config.num_engines / 3);
        PEL_EXPECT_EQ(num_in + counters->stat[PEL_STAT_tcp_opened_out], host->num_on[e]);
    }
    pel_steer_counts(host->port, &counts);
    PEL_EXPECT_EQ(counts.lost, 0);
    PEL_EXPECT(counts.copied > 0); /* everyone heard who the neighbour is */
    PEL_EXPECT_EQ(counts.handed_over > 0, cores->config.spread != SPREAD_KNOWN || cores->config.fragments);
    PEL_EXPECT_EQ(cores->num_cut > 100, cores->config.fragments);
}

static void run(const struct cores_config *config)
{
    struct cores *cores = malloc(sizeof *cores);
    PEL_REQUIRE(cores != NULL);
    if (!cores_open(cores, config)) {
        pel_test_fail(__FILE__, __LINE__, "the hosts could not be opened");
    } else {
        uint64_t end_us = cores->world.time.now_us + PATIENCE_US;
        start_all(cores);
        while (!is_done(cores) && cores->world.time.now_us < end_us)
            step(cores);
        PEL_EXPECT(is_done(cores));
        for (int host = 0; host < NUM_HOSTS; host++)
            check_host(cores, host);
        cores_close(cores);
    }
    free(cores);
    if (pel_test_has_failed())
        pel_test_say("seed %llu, spread %d, %u engines", (unsigned long long)config->seed,
                     (int)config->spread, config->num_engines);
}

static void run_seeds(enum spread spread)
{
    for (uint64_t seed = 1; seed <= 6 && !pel_test_has_failed(); seed++) {
        struct cores_config config = {
            .seed = seed, .spread = spread, .num_engines = (uint16_t)(2 + seed % 3)};
        if (seed > 4)
            config.impair =
                (struct pel_sim_impair){.loss_ppm = 20000, .dup_ppm = 10000, .reorder_ppm = 20000};
        run(&config);
    }
}

PEL_TEST(cores, ports_that_say_how_they_spread)
{
    run_seeds(SPREAD_KNOWN);
}

PEL_TEST(cores, ports_that_spread_as_they_please)
{
    run_seeds(SPREAD_SECRET);
}

PEL_TEST(cores, ports_of_one_queue)
{
    run_seeds(SPREAD_NONE);
}

/* Fragments go by their addresses, the segment that they make to its flow. */
PEL_TEST(cores, fragments_of_segments)
{
    for (enum spread spread = SPREAD_KNOWN; spread <= SPREAD_NONE; spread++) {
        const struct cores_config config = {.seed = 9, .spread = spread, .num_engines = 3, .fragments = true};
        run(&config);
    }
}

PEL_TEST(cores, tls)
{
    const struct cores_config config = {.seed = 1, .spread = SPREAD_SECRET, .num_engines = 2, .tls = true};
    run(&config);
}
