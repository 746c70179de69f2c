/* SPDX-License-Identifier: Apache-2.0 */
/* The demultiplexer's tables against a walk through everything that was put in. */
#include "stack/lwip/demux.h"

#include <stdlib.h>

#include "base/clock.h"
#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"

#define NUM_FLOWS 800
#define NUM_STEPS 60000

static const uint64_t key[2] = {1, 2};

struct flows {
    struct pel_demux demux;
    struct tcp_pcb pcbs[NUM_FLOWS];
    bool is_in[NUM_FLOWS];
};

/* Few addresses and ports, so that flows differ in one part only. */
static void name_flow(struct tcp_pcb *pcb, unsigned i)
{
    memset(pcb, 0, sizeof(*pcb));
    pcb->local_port = (uint16_t)(1000 + i % 10);
    pcb->remote_port = (uint16_t)(1000 + i / 10 % 10);
    unsigned local = i / 100 % 2, remote = i / 200 % 2;
    if (i < NUM_FLOWS / 2) {
        IP_ADDR4(&pcb->local_ip, 10, 0, 0, 1 + local);
        IP_ADDR4(&pcb->remote_ip, 10, 0, 0, 1 + remote);
    } else {
        IP_ADDR6(&pcb->local_ip, 0xfd, 0, 0, 1 + local);
        IP_ADDR6(&pcb->remote_ip, 0xfd, 0, 0, 1 + remote);
    }
}

static bool is_between(const struct tcp_pcb *a, const struct tcp_pcb *b)
{
    return a->local_port == b->local_port && a->remote_port == b->remote_port &&
           ip_addr_cmp(&a->local_ip, &b->local_ip) && ip_addr_cmp(&a->remote_ip, &b->remote_ip);
}

static struct tcp_pcb *walk_to(struct flows *flows, const struct tcp_pcb *wanted)
{
    for (unsigned i = 0; i < NUM_FLOWS; i++)
        if (flows->is_in[i] && is_between(&flows->pcbs[i], wanted))
            return &flows->pcbs[i];
    return NULL;
}

static struct tcp_pcb *look_up(const struct pel_demux *demux, const struct tcp_pcb *wanted)
{
    return pel_demux_find(demux, &wanted->local_ip, wanted->local_port, &wanted->remote_ip,
                          wanted->remote_port);
}

static void against_a_walk(uint32_t max_chains)
{
    struct flows *flows = calloc(1, sizeof(*flows));
    struct pel_prng prng;
    pel_prng_seed(&prng, max_chains);
    PEL_REQUIRE(flows != NULL);
    PEL_REQUIRE_OK(pel_demux_open(&flows->demux, key, 1, max_chains));
    for (unsigned i = 0; i < NUM_FLOWS; i++)
        name_flow(&flows->pcbs[i], i);
    unsigned num_in = 0;
    for (unsigned step = 0; step < NUM_STEPS; step++) {
        /* Swings between nearly empty and nearly full. */
        bool is_filling = step / 4000 % 2 == 0;
        unsigned i = (unsigned)(pel_prng_next(&prng) % NUM_FLOWS);
        if (is_filling != flows->is_in[i]) {
            if (is_filling)
                pel_demux_add(&flows->demux, &flows->pcbs[i]);
            else
                pel_demux_remove(&flows->demux, &flows->pcbs[i]);
            flows->is_in[i] = is_filling;
            num_in += is_filling ? 1 : -1u;
        }
        struct tcp_pcb *wanted = &flows->pcbs[pel_prng_next(&prng) % NUM_FLOWS];
        if (look_up(&flows->demux, wanted) != walk_to(flows, wanted) || flows->demux.num != num_in) {
            pel_test_fail(__FILE__, __LINE__, "step %u", step);
            break;
        }
    }
    pel_demux_close(&flows->demux);
    free(flows);
}

PEL_TEST(lwip_demux, as_a_walk_would)
{
    against_a_walk(1u << 20);
}

/* All in one chain, and in a few. */
PEL_TEST(lwip_demux, as_a_walk_would_where_all_collide)
{
    against_a_walk(1);
    against_a_walk(4);
}

PEL_TEST(lwip_demux, grows_and_stays_without_memory)
{
    struct flows *flows = calloc(1, sizeof(*flows));
    PEL_REQUIRE(flows != NULL);
    PEL_REQUIRE_OK(pel_demux_open(&flows->demux, key, 1, 1u << 20));
    uint32_t first_mask = flows->demux.mask;
    for (unsigned i = 0; i < NUM_FLOWS; i++) {
        name_flow(&flows->pcbs[i], i);
        /* For half of them every wish for more is refused. */
        if (i < NUM_FLOWS / 2)
            failmalloc_arm(1);
        pel_demux_add(&flows->demux, &flows->pcbs[i]);
        if (i < NUM_FLOWS / 2) {
            failmalloc_disarm();
            PEL_REQUIRE(flows->demux.mask == first_mask);
        }
    }
    PEL_EXPECT_EQ(flows->demux.mask, 1023);
    for (unsigned i = 0; i < NUM_FLOWS; i++)
        PEL_EXPECT(look_up(&flows->demux, &flows->pcbs[i]) == &flows->pcbs[i]);
    for (unsigned i = 0; i < NUM_FLOWS; i++)
        pel_demux_remove(&flows->demux, &flows->pcbs[i]);
    pel_demux_remove(&flows->demux, &flows->pcbs[0]); /* not in it: left alone */
    PEL_EXPECT_EQ(flows->demux.num, 0);
    pel_demux_close(&flows->demux);
    failmalloc_arm(1);
    PEL_EXPECT_ERR(pel_demux_open(&flows->demux, key, 1, 64), PEL_E_NO_MEMORY);
    failmalloc_disarm();
    free(flows);
}

/* Another key, other chains: nobody outside can tell who shares one. */
PEL_TEST(lwip_demux, chains_depend_on_the_key)
{
    struct tcp_pcb a, b;
    struct pel_demux one, other;
    static const uint64_t other_key[2] = {3, 2};
    PEL_REQUIRE_OK(pel_demux_open(&one, key, 1, 64));
    PEL_REQUIRE_OK(pel_demux_open(&other, other_key, 1, 64));
    int num_alike = 0;
    for (unsigned i = 0; i < NUM_FLOWS; i++) {
        name_flow(&a, i);
        b = a;
        pel_demux_add(&one, &a);
        pel_demux_add(&other, &b);
        num_alike += (a.hash & one.mask) == (b.hash & other.mask);
        pel_demux_remove(&one, &a);
        pel_demux_remove(&other, &b);
    }
    PEL_EXPECT(num_alike < 40); /* one in 64 by chance: 12.5 of 800 */
    pel_demux_close(&one);
    pel_demux_close(&other);
}

static void name_listener(struct tcp_pcb_listen *listener, const ip_addr_t *local, uint16_t port)
{
    memset(listener, 0, sizeof(*listener));
    ip_addr_copy(listener->local_ip, *local);
    listener->local_port = port;
}

PEL_TEST(lwip_demux, the_nearest_listener)
{
    struct pel_demux demux;
    ip_addr_t one, other, six;
    IP_ADDR4(&one, 10, 0, 0, 1);
    IP_ADDR4(&other, 10, 0, 0, 2);
    IP_ADDR6(&six, 0xfd, 0, 0, 1);
    struct tcp_pcb_listen l[5];
    name_listener(&l[0], IP4_ADDR_ANY, 80);
    name_listener(&l[1], &one, 80);
    name_listener(&l[2], IP_ANY_TYPE, 81);
    name_listener(&l[3], &six, 80);
    name_listener(&l[4], &one, 80 + PEL_LISTENER_CHAINS); /* in the chain of 80 */
    PEL_REQUIRE_OK(pel_demux_open(&demux, key, 1, 64));
    for (int i = 0; i < 5; i++)
        pel_demux_listen(&demux, &l[i]);
    PEL_EXPECT(pel_demux_listener(&demux, &one, 80) == &l[1]);
    PEL_EXPECT(pel_demux_listener(&demux, &other, 80) == &l[0]);
    PEL_EXPECT(pel_demux_listener(&demux, &six, 80) == &l[3]);
    PEL_EXPECT(pel_demux_listener(&demux, &six, 81) == &l[2]);
    PEL_EXPECT(pel_demux_listener(&demux, &other, 81) == &l[2]);
    PEL_EXPECT(pel_demux_listener(&demux, &one, 80 + PEL_LISTENER_CHAINS) == &l[4]);
    PEL_EXPECT(pel_demux_listener(&demux, &other, 80 + PEL_LISTENER_CHAINS) == NULL);
    PEL_EXPECT(pel_demux_listener(&demux, &one, 82) == NULL);
    pel_demux_unlisten(&demux, &l[1]);
    PEL_EXPECT(pel_demux_listener(&demux, &one, 80) == &l[0]);
    pel_demux_unlisten(&demux, &l[0]);
    PEL_EXPECT(pel_demux_listener(&demux, &one, 80) == NULL);
    pel_demux_close(&demux);
}
