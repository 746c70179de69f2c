/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "drivers/dpdk/internal.h"

#define DEFAULT_MEMORY_MB 256u
#define MAX_MEMORY_MB     (1u << 20)
#define MAX_PCI_DEVICES   16u
#define MAX_ARGS          (16 + 2 * MAX_PCI_DEVICES)
#define ARG_LEN           96

/* DPDK is one in a process, and so is this. */
static struct {
    bool was_started;
    bool is_started;
    bool uses_hugepages;
    pthread_key_t thread_key;
} dpdk;

/* The command line that DPDK wants. */
struct args {
    int num;
    bool too_long;
    char text[MAX_ARGS][ARG_LEN];
};

__attribute__((format(printf, 2, 3))) static void add(struct args *args, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int len = vsnprintf(args->text[args->num++], ARG_LEN, format, list);
    va_end(list);
    args->too_long |= len >= ARG_LEN;
}

static uint64_t read_number(const char *path)
{
    unsigned long long number = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu", &number) != 1)
        number = 0;
    fclose(file);
    return number;
}

static uint64_t free_hugepages_mb(void)
{
    return 2 * read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") +
           1024 * read_number("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages");
}

static bool decide_hugepages(const struct pel_dpdk_config *config, uint32_t memory_mb)
{
    if (config->hugepages == PEL_DPDK_HUGEPAGES_AUTO)
        return free_hugepages_mb() >= memory_mb;
    return config->hugepages == PEL_DPDK_HUGEPAGES_YES;
}

/* Without hugepages DPDK refuses --in-memory; --no-shconf then keeps it from leaving files and from listening
 * for other processes. One lcore, pinned to a CPU that we may use: more would only start idle threads. */
static void build_args(struct args *args, const struct pel_dpdk_config *config, uint32_t memory_mb, int cpu)
{
    add(args, "pellucid");
    add(args, "--lcores=0@%d", cpu);
    add(args, "-m");
    add(args, "%u", memory_mb);
    add(args, "%s", dpdk.uses_hugepages ? "--in-memory" : "--no-huge");
    add(args, "--no-shconf");
    add(args, "--no-telemetry");
    if (!dpdk.uses_hugepages)
        add(args, "--iova-mode=va");
    if (config->file_prefix != NULL)
        add(args, "--file-prefix=%s", config->file_prefix);
    else
        add(args, "--file-prefix=pellucid-%ld", (long)getpid());
    if (config->num_pci_devices == 0)
        add(args, "--no-pci");
    for (uint32_t i = 0; i < config->num_pci_devices; i++) {
        add(args, "-a");
        add(args, "%s", config->pci_devices[i]);
    }
}

static int first_cpu(const cpu_set_t *cpus)
{
    int cpu = 0;
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, cpus))
        cpu++;
    return cpu;
}

static enum pel_err run_eal(struct args *args, struct pel_error *reterr)
{
    char *argv[MAX_ARGS + 1] = {NULL};
    char said[256];
    for (int i = 0; i < args->num; i++)
        argv[i] = args->text[i];
    dpdk_log_open();
    if (rte_eal_init(args->num, argv) >= 0)
        return PEL_OK;
    return pel_error_set(reterr, PEL_E_PORT_START, "DPDK does not start (%s): it said: %s. %s",
                         rte_strerror(rte_errno), dpdk_log_said(said, sizeof said),
                         dpdk.uses_hugepages
                             ? "Reserve hugepages (sysctl vm.nr_hugepages=N, 2 MB each) or go without"
                             : "Ask for less memory, or run `pel doctor`");
}

static void leave_thread(void *value)
{
    if (value != NULL && dpdk.is_started)
        rte_thread_unregister();
}

enum pel_err pel_dpdk_start(const struct pel_dpdk_config *config, struct pel_error *reterr)
{
    uint32_t memory_mb = config->memory_mb != 0 ? config->memory_mb : DEFAULT_MEMORY_MB;
    struct args args = {.num = 0};
    cpu_set_t cpus;
    if (dpdk.was_started)
        return pel_error_set(reterr, PEL_E_STATE, "DPDK can be started only once in a process");
    if (config->num_pci_devices > MAX_PCI_DEVICES || memory_mb > MAX_MEMORY_MB)
        return pel_error_set(reterr, PEL_E_ARG, "at most %u PCI devices and %u MB of memory", MAX_PCI_DEVICES,
                             MAX_MEMORY_MB);
    if (pthread_getaffinity_np(pthread_self(), sizeof cpus, &cpus) != 0)
        return pel_error_set(reterr, PEL_E_PORT_START, "the kernel does not tell this thread's CPUs");
    dpdk.uses_hugepages = decide_hugepages(config, memory_mb);
    build_args(&args, config, memory_mb, first_cpu(&cpus));
    if (args.too_long)
        return pel_error_set(reterr, PEL_E_ARG, "a PCI address or the file prefix is too long");
    dpdk.was_started = true;
    enum pel_err err = run_eal(&args, reterr);
    /* DPDK has pinned us to its lcore's CPU. */
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
    PEL_TRY(err);
    if (pthread_key_create(&dpdk.thread_key, leave_thread) != 0)
        return pel_error_set(reterr, PEL_E_PORT_START, "no thread-local key is left in this process");
    dpdk.is_started = true;
    return PEL_OK;
}

bool pel_dpdk_uses_hugepages(void)
{
    return dpdk.is_started && dpdk.uses_hugepages;
}

bool dpdk_is_started(void)
{
    return dpdk.is_started;
}

void dpdk_enter_thread(void)
{
    if (rte_lcore_id() != LCORE_ID_ANY || pthread_getspecific(dpdk.thread_key) != NULL)
        return;
    /* Tried once a thread: without a number it still works, but each packet then goes to the shared pool. */
    (void)rte_thread_register();
    pthread_setspecific(dpdk.thread_key, &dpdk);
}

/* Not rte_eal_cleanup: it unmaps DPDK's memory below the feet of its interrupt thread, which goes on and
 * crashes (22.11; seen with memif). With neither shared files nor shared hugepages nothing outlives the
 * process. */
void pel_dpdk_stop(void)
{
    if (!dpdk.is_started)
        return;
    dpdk.is_started = false;
    pthread_key_delete(dpdk.thread_key);
}
