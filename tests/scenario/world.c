/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scenario/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/harness.h"
#include "tests/scenario/rings.h"

/* 2026-06-01: within the life of the certificates that rings.c makes. */
#define WALL_S_AT_ZERO 1780272000

const char world_server_policy[] =
    "TTLSRule SERVER\n{\n LocalPortRange 4433\n Direction Inbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef server\n}\n"
    "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
    "TTLSEnvironmentAction server\n{\n HandshakeRole Server\n"
    " TTLSKeyringParms\n {\n Keyring server\n }\n}\n";

const char world_client_policy[] =
    "TTLSRule CLIENT\n{\n RemotePortRange 4433\n Direction Outbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef client\n}\n"
    "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
    "TTLSEnvironmentAction client\n{\n HandshakeRole Client\n"
    " TTLSKeyringParms\n {\n Keyring client\n }\n}\n";

/* ---- the wire ---- */

static bool watch(struct world *world, int host, const uint8_t *bytes, size_t len)
{
    world->num_frames[host]++;
    if (memmem(bytes, len, WORLD_MARKER, strlen(WORLD_MARKER)) != NULL)
        world->num_markers[host]++;
    return world->cut_after[host] == 0 || world->num_frames[host] <= world->cut_after[host];
}

static bool watch_a(void *arg, const uint8_t *bytes, size_t len)
{
    return watch(arg, HOST_A, bytes, len);
}

static bool watch_b(void *arg, const uint8_t *bytes, size_t len)
{
    return watch(arg, HOST_B, bytes, len);
}

static bool open_wire(struct world *world)
{
    const struct world_config *config = &world->config;
    const struct pel_sim_wire_config wire = {
        .seed = config->seed,
        .latency_us = config->latency_us != 0 ? config->latency_us : 100,
        .a_to_b = config->impair,
        .b_to_a = config->impair,
        .exact_buffers = config->exact_buffers,
        .offloads = config->offloads,
        .real_offloads = config->real_offloads,
        .max_packets = config->max_packets,
    };
    if (pel_sim_wire_open(&wire, &world->clock, &world->ports[HOST_A], &world->ports[HOST_B]) != PEL_OK)
        return false;
    pel_sim_tap(world->ports[HOST_A], watch_a, world);
    pel_sim_tap(world->ports[HOST_B], watch_b, world);
    return true;
}

/* ---- hosts ---- */

static struct pel_ip_prefix prefix_of(const char *text, uint8_t prefix_len)
{
    struct pel_ip_prefix prefix = {.prefix_len = prefix_len};
    if (pel_ip_parse(text, &prefix.ip) != PEL_OK)
        abort();
    return prefix;
}

static bool open_host(struct world *world, int host)
{
    struct pel_error error = {0};
    struct pel_engine_config config = {
        .index = (uint32_t)host,
        .slot = &world->slots[host],
        .start_gate_open = world->config.start_gate_open,
        .no_match_refuse = world->config.no_match_refuse,
        .user = "tester",
        .job = host == HOST_A ? "client" : "server",
        .ip =
            {
                .port = world->ports[host],
                .addrs = {prefix_of(host == HOST_A ? "10.9.0.1" : "10.9.0.2", 24),
                          prefix_of(host == HOST_A ? "fd09::1" : "fd09::2", 64)},
                .num_addrs = 2,
                .max_connections = 1000,
                .tcp_window_len = 256 * 1024,
                .clock = world->clock,
                .secret_seed = world->config.seed * 2 + (uint64_t)host + 1,
            },
    };
    pel_generation_slot_init(&world->slots[host]);
    if (pel_engine_open(&config, &world->engines[host], &error) != PEL_OK) {
        pel_test_say("host %d: %s", host, error.text);
        return false;
    }
    return world->config.policies[host] == NULL || world_load(world, host, world->config.policies[host]) >= 0;
}

bool world_open(struct world *world, const struct world_config *config)
{
    memset(world, 0, sizeof *world);
    world->config = *config;
    world->time = (struct pel_virtual_clock){.now_us = 1000000, .wall_s_at_zero = WALL_S_AT_ZERO};
    world->clock = pel_clock_virtual(&world->time);
    snprintf(world->keyring_dir, sizeof world->keyring_dir, "%s", rings_dir());
    return open_wire(world) && open_host(world, HOST_A) && open_host(world, HOST_B);
}

bool world_close(struct world *world)
{
    bool clean = true;
    for (int host = 0; host < NUM_HOSTS; host++) {
        pel_engine_close(world->engines[host]);
        if (world->engines[host] != NULL)
            pel_generation_slot_fini(&world->slots[host]);
    }
    for (int host = 0; host < NUM_HOSTS && world->ports[host] != NULL; host++) {
        struct pel_port_stats stats;
        world->ports[host]->ops->stats(world->ports[host], &stats);
        clean &= stats.num_pkts_in_use == 0;
    }
    for (int host = 0; host < NUM_HOSTS; host++)
        pel_port_close(world->ports[host]);
    return clean;
}

static void count_problem(void *arg, const struct pel_rule *rule, const struct pel_error *problem)
{
    ++*(int *)arg;
    pel_test_say("rule %s: %s", rule->name, problem->text);
}

static void say_diag(void *arg, const struct pel_policy_diag *diag)
{
    (void)arg;
    if (diag->severity == PEL_SEV_ERROR)
        pel_test_say("%s:%u:%u: %s", diag->file, diag->line, diag->column, diag->message);
}

int world_load(struct world *world, int host, const char *text)
{
    const struct pel_policy_source source = {.file = "policy", .text = text, .text_len = strlen(text)};
    const struct pel_generation_config config = {
        .keyring_dir = world->keyring_dir, .owner = "tester", .now_s = pel_clock_wall_s(&world->clock)};
    struct pel_policy *policy;
    struct pel_generation *generation;
    int num_problems = 0;
    if (pel_policy_parse(&source, 1, NULL, say_diag, NULL, &policy, NULL) != PEL_OK)
        return -1;
    if (pel_generation_build(policy, &config, count_problem, &num_problems, &generation) != PEL_OK)
        return -1;
    pel_generation_publish(&world->slots[host], generation);
    return num_problems;
}

/* ---- time ---- */

static uint64_t next_event_us(const struct world *world)
{
    uint64_t next_us = UINT64_MAX;
    for (int host = 0; host < NUM_HOSTS; host++) {
        uint64_t timer_us = pel_ip_next_timer_us(world->engines[host]->ip);
        uint64_t frame_us = world->ports[host]->ops->next_event_us(world->ports[host], PEL_ANY_QUEUE);
        next_us = timer_us < next_us ? timer_us : next_us;
        next_us = frame_us < next_us ? frame_us : next_us;
    }
    return next_us;
}

void world_step(struct world *world)
{
    bool worked = false;
    for (int host = 0; host < NUM_HOSTS; host++)
        worked |= pel_engine_step(world->engines[host]);
    if (worked)
        return;
    uint64_t now_us = world->time.now_us, next_us = next_event_us(world);
    /* Deadlines of connections are looked at every 10 ms: never further in one stride. */
    uint64_t stride_us = next_us > now_us + 10000 ? 10000 : next_us > now_us ? next_us - now_us : 1;
    world->time.now_us += stride_us;
}

bool world_run(struct world *world, bool (*done)(void *arg), void *arg, uint64_t max_us)
{
    uint64_t end_us = world->time.now_us + max_us;
    while (!done(arg)) {
        if (world->time.now_us >= end_us)
            return false;
        world_step(world);
    }
    return true;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

void world_pass(struct world *world, uint64_t us)
{
    world_run(world, never, NULL, us);
}

socklen_t world_address(const struct world *world, int host, uint16_t port, struct sockaddr_storage *ret)
{
    static const char *const texts[NUM_HOSTS][2] = {{"10.9.0.1", "fd09::1"}, {"10.9.0.2", "fd09::2"}};
    struct pel_endpoint endpoint = {.port = port};
    if (pel_ip_parse(texts[host][world->config.ipv6], &endpoint.ip) != PEL_OK)
        abort();
    return pel_endpoint_to_sockaddr(&endpoint, world->config.ipv6 ? AF_INET6 : AF_INET, ret);
}

uint64_t world_err(const struct world *world, int host, enum pel_err err)
{
    return world->engines[host]->counters.err[err];
}

uint64_t world_stat(const struct world *world, int host, enum pel_stat stat)
{
    return world->engines[host]->counters.stat[stat];
}
