/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "drivers/dpdk/test_child.h"

#define HUGEPAGES      "/proc/sys/vm/nr_hugepages"
#define START_LIMIT_MS 20000u /* some 100 ms, on a machine that gives us its cores */

static const char *start_and_stop(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_config config = {.hugepages = PEL_DPDK_HUGEPAGES_NO};
    struct pel_clock clock = pel_clock_real();
    struct pel_error error = {0};
    cpu_set_t before, after;
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    uint64_t start_us = pel_clock_now_us(&clock);
    CHECK_OK(pel_dpdk_start(&config, &error));
    uint64_t took_ms = (pel_clock_now_us(&clock) - start_us) / 1000;
    CHECK(took_ms < START_LIMIT_MS);
    fprintf(stderr, "started in %llu ms\n", (unsigned long long)took_ms);
    CHECK(sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&before, &after));
    CHECK(!pel_dpdk_uses_hugepages());
    CHECK(pel_dpdk_start(&config, &error) == PEL_E_STATE);
    pel_dpdk_stop();
    CHECK(pel_dpdk_start(&config, &error) == PEL_E_STATE);
    return NULL;
}

PEL_TEST(dpdk_eal, starts_once_and_leaves_the_affinity)
{
    IN_CHILD(start_and_stop);
}

static const char *leaves_the_process_alone(char ret_text[TEST_TEXT_LEN])
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGUSR1};
    struct sigaction before[8], after;
    char line[512];
    for (size_t i = 0; i < 8; i++)
        CHECK(sigaction(signals[i], NULL, &before[i]) == 0);
    CHECK_NULL(test_dpdk_start(ret_text));
    for (size_t i = 0; i < 8; i++)
        CHECK(sigaction(signals[i], NULL, &after) == 0 && after.sa_handler == before[i].sa_handler);
    FILE *maps = fopen("/proc/self/maps", "re");
    CHECK(maps != NULL);
    bool found = false, read_some = false;
    while (fgets(line, sizeof line, maps) != NULL) {
        read_some |= strstr(line, "libc.so") != NULL;
        found |= strstr(line, "libcrypto") != NULL || strstr(line, "libssl") != NULL ||
                 strstr(line, "librte") != NULL;
    }
    fclose(maps);
    CHECK(read_some && !found);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_eal, brings_no_openssl_no_plugins_and_no_signal_handlers)
{
    IN_CHILD(leaves_the_process_alone);
}

static const char *refusals(char ret_text[TEST_TEXT_LEN])
{
    struct pel_error error = {0};
    struct pel_dpdk_config config = {.memory_mb = 2u << 20};
    CHECK(pel_dpdk_start(&config, &error) == PEL_E_ARG);
    config = (struct pel_dpdk_config){.num_pci_devices = 17};
    CHECK(pel_dpdk_start(&config, &error) == PEL_E_ARG);
    CHECK(strstr(error.text, "at most 16 PCI devices") != NULL);
    return NULL;
}

PEL_TEST(dpdk_eal, refuses_a_bad_configuration)
{
    IN_CHILD(refusals);
}

static long read_hugepages(void)
{
    long num = -1;
    FILE *file = fopen(HUGEPAGES, "re");
    if (file == NULL)
        return -1;
    if (fscanf(file, "%ld", &num) != 1)
        num = -1;
    fclose(file);
    return num;
}

static bool write_hugepages(long num)
{
    FILE *file = fopen(HUGEPAGES, "we");
    if (file == NULL)
        return false;
    bool ok = fprintf(file, "%ld\n", num) > 0;
    return fclose(file) == 0 && ok;
}

static const char *with_hugepages(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_config config = {.memory_mb = 64}; /* by itself, because there are enough */
    struct pel_dpdk_port_config ring = {.device = "net_ring0"};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK_OK(pel_dpdk_start(&config, &error));
    CHECK(pel_dpdk_uses_hugepages());
    CHECK_OK(pel_dpdk_port_open(&ring, &port, &error));
    struct pel_pkt *pkt = pel_port_pkt_alloc(port, 0);
    CHECK(pkt != NULL);
    pkt->len = 60;
    CHECK(pel_port_tx(port, 0, &pkt, 1) == 1 && pel_port_rx(port, 0, &pkt, 1) == 1);
    pel_pkt_free(pkt);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_eal, uses_hugepages_when_there_are_enough)
{
    long before = read_hugepages();
    if (before < 0 || !write_hugepages(before + 64))
        PEL_SKIP("cannot reserve hugepages (not root, or a kernel without them)");
    if (read_hugepages() == before + 64)
        IN_CHILD(with_hugepages);
    else
        pel_test_skip(__FILE__, __LINE__, "the kernel has no 128 MB free for hugepages");
    write_hugepages(before);
}

static const char *without_enough_hugepages(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_config config = {.hugepages = PEL_DPDK_HUGEPAGES_YES, .memory_mb = 1u << 20};
    struct pel_error error = {0};
    CHECK(pel_dpdk_start(&config, &error) == PEL_E_PORT_START);
    CHECK(strstr(error.text, "hugepages") != NULL);
    return NULL;
}

PEL_TEST(dpdk_eal, says_when_hugepages_are_missing)
{
    IN_CHILD(without_enough_hugepages);
}

static const char *unprivileged(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config ring = {.device = "net_ring0"}, tap = {.device = "net_tap0,iface=pel0"};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&ring, &port, &error));
    pel_port_close(port);
    CHECK(pel_dpdk_port_open(&tap, &port, &error) == PEL_E_PORT_OPEN);
    CHECK(strstr(error.text, "CAP_NET_ADMIN") != NULL);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_eal, runs_without_privileges_and_names_what_a_tap_needs)
{
    IN_CHILD(unprivileged);
}

struct thread_arg {
    struct pel_port *port;
    uint32_t num_failed;
};

static void *use_port(void *arg)
{
    struct thread_arg *t = arg;
    for (int i = 0; i < 100; i++) {
        struct pel_pkt *pkt = pel_port_pkt_alloc(t->port, 0);
        t->num_failed += pkt == NULL;
        pel_pkt_free(pkt);
    }
    return NULL;
}

/* More threads, one after the other, than DPDK has numbers: each gives its number back when it ends. */
static const char *many_threads(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config ring = {.device = "net_ring0"};
    struct thread_arg arg = {0};
    struct pel_error error = {0};
    struct pel_port_stats stats;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&ring, &arg.port, &error));
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, use_port, &arg) == 0);
        pthread_join(thread, NULL);
    }
    arg.port->ops->stats(arg.port, &stats);
    CHECK(arg.num_failed == 0 && stats.num_pkts_in_use == 0);
    pel_port_close(arg.port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_eal, threads_come_and_go)
{
    IN_CHILD(many_threads);
}
