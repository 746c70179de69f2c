/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/stack.h"

#include <errno.h>
#include <pellucid/policy.h>
#include <pellucid/version.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "drivers/dpdk/dpdk.h"
#include "drivers/steer.h"
#include "stack/socket.h"
#include "stack/watch.h"

/* How long start waits for addresses that come from the network. */
#define ADDRESS_WAIT_MS 10000

/* How often a stack that drains looks whether its last connection has ended. */
#define DRAIN_LOOK_US 10000

/* Packets of 64 KB, where the port cuts segments: 16 MB. Without one, bytes to send take memory of their
 * size. */
#define LARGE_PACKETS 256

const char *pel_version(void)
{
    return "0.1.0";
}

/* ---- log ---- */

void pel_stack_log(struct pel_stack *stack, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pthread_mutex_lock(&stack->log_lock);
    if (stack->options.log != NULL)
        stack->options.log(stack->options.arg, line);
    else
        fprintf(stderr, "pellucid: %s\n", line);
    pthread_mutex_unlock(&stack->log_lock);
}

/* ---- engines ---- */

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0) {
    }
}

static void bind_thread(const struct pel_stack_engine *slot)
{
    cpu_set_t cores;
    if (slot->core < 0)
        return;
    CPU_ZERO(&cores);
    CPU_SET((unsigned)slot->core, &cores);
    int failed = pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
    if (failed != 0)
        pel_stack_log(slot->stack, "engine %u: cannot be bound to core %d: %s; it goes on unbound",
                      slot->config.index, slot->core, strerror(failed));
}

/* The core that the configuration gives; else, where there are several engines and enough cores, one of
 * those that the process may use, in order; else -1. */
static int core_of(const struct pel_stack *stack, uint32_t index)
{
    const struct pel_config *config = &stack->config;
    cpu_set_t cores;
    uint32_t num = 0;
    if (config->engine.num_cores > 0)
        return (int)config->engine.cores[index];
    if (config->engine.count == 1 || sched_getaffinity(0, sizeof cores, &cores) != 0 ||
        (uint32_t)CPU_COUNT(&cores) < config->engine.count)
        return -1;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET((unsigned)core, &cores) && num++ == index)
            return core;
    return -1;
}

static void wake_engine(void *arg)
{
    pel_engine_wake(arg);
}

static void *run_engine(void *arg)
{
    struct pel_stack_engine *slot = arg;
    const struct pel_stack_options *options = &slot->stack->options;
    sigset_t all;
    sigfillset(&all);        /* signals are the application's business, on its own threads */
    sigdelset(&all, SIGSYS); /* but this one, by which a sandbox speaks to the very thread */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    struct pel_engine *engine = NULL;
    bind_thread(slot);
    prctl(PR_SET_TIMERSLACK, 1000); /* ns: sleeps between looks at a port are short */
    slot->error.code = pel_engine_open(&slot->config, &engine, &slot->error);
    slot->engine = engine;
    if (engine != NULL && options->on_engine != NULL)
        options->on_engine(options->arg, engine);
    if (engine != NULL && slot->stack->config.engine.count > 1)
        pel_steer_on_frame(slot->stack->port, (uint16_t)slot->config.index, wake_engine, engine);
    sem_post(&slot->opened);
    if (engine == NULL)
        return NULL;
    pel_engine_run(engine);
    sem_post(&slot->ended);
    wait_for(&slot->may_close); /* until then others may wake this engine */
    pel_engine_close(engine);
    return NULL;
}

static struct pel_engine_config engine_config_of(struct pel_stack *stack, uint32_t index)
{
    const struct pel_config *config = &stack->config;
    struct pel_engine_config engine = {
        .index = index,
        .slot = &stack->slot,
        .start_gate_open = config->policy.start_gate_open,
        .no_match_refuse = config->policy.no_match_refuse,
        .busy_poll = config->engine.busy_poll,
        .user = stack->user,
        .job = stack->job,
        .on_no_rule = pel_watch_note,
        .arg = stack->watch,
        .ip =
            {
                .port = stack->port,
                .queue = (uint16_t)index,
                .num_addrs = config->ip.num_addrs,
                .gateway4 = config->ip.gateway4,
                .gateway6 = config->ip.gateway6,
                .dhcp4 = config->ip.dhcp4,
                .autoconf6 = config->ip.autoconf6,
                .max_connections = config->tcp.max_connections,
                .tcp_window_len = config->tcp.window_len,
                .clock = pel_clock_real(),
            },
    };
    memcpy(engine.ip.addrs, config->ip.addrs, sizeof engine.ip.addrs);
    return engine;
}

static enum pel_err start_engine(struct pel_stack *stack, uint32_t index, struct pel_error *reterr)
{
    struct pel_stack_engine *slot = &stack->engines[index];
    slot->stack = stack;
    slot->config = engine_config_of(stack, index);
    slot->core = core_of(stack, index);
    sem_init(&slot->opened, 0, 0);
    sem_init(&slot->ended, 0, 0);
    sem_init(&slot->may_close, 0, 0);
    int failed = pthread_create(&slot->thread, NULL, run_engine, slot);
    if (failed != 0)
        return pel_error_set(reterr, PEL_E_IO, "engine %u: no thread: %s", index, strerror(failed));
    slot->started = true;
    stack->num_engines = index + 1;
    wait_for(&slot->opened);
    if (slot->error.code != PEL_OK && reterr != NULL)
        *reterr = slot->error;
    return slot->error.code;
}

static void stop_engines(struct pel_stack *stack)
{
    /* None may be gone while another still runs and hands it frames. */
    for (size_t i = 0; i < stack->num_engines; i++)
        if (stack->engines[i].engine != NULL)
            pel_engine_stop(stack->engines[i].engine);
    for (size_t i = 0; i < stack->num_engines; i++)
        if (stack->engines[i].engine != NULL)
            wait_for(&stack->engines[i].ended);
    for (size_t i = 0; i < stack->num_engines; i++) {
        struct pel_stack_engine *slot = &stack->engines[i];
        sem_post(&slot->may_close);
        if (slot->started)
            pthread_join(slot->thread, NULL);
        sem_destroy(&slot->opened);
        sem_destroy(&slot->ended);
        sem_destroy(&slot->may_close);
    }
    stack->num_engines = 0;
}

static void count_addrs(struct pel_engine *engine, void *arg)
{
    struct pel_ip_prefix addrs[PEL_IP_ADDRS_MAX + 4];
    bool *ret_has_ipv4 = arg;
    size_t num = pel_ip_addrs(engine->ip, addrs, sizeof addrs / sizeof *addrs);
    for (size_t i = 0; i < num; i++)
        *ret_has_ipv4 |= addrs[i].ip.version == 4;
}

static void wait_for_dhcp(struct pel_stack *stack)
{
    bool has_ipv4 = !stack->config.ip.dhcp4;
    for (int waited_ms = 0; !has_ipv4 && waited_ms < ADDRESS_WAIT_MS; waited_ms += 10) {
        pel_engine_call(stack->engines[0].engine, count_addrs, &has_ipv4);
        if (!has_ipv4)
            usleep(10000);
    }
    if (!has_ipv4)
        pel_stack_log(stack,
                      "no answer from a DHCP server in %d s; going on without an IPv4 address, still asking",
                      ADDRESS_WAIT_MS / 1000);
}

/* ---- start and stop ---- */

static void identify(struct pel_stack *stack)
{
    char buffer[4096];
    struct passwd passwd, *found = NULL;
    if (getpwuid_r(geteuid(), &passwd, buffer, sizeof buffer, &found) == 0 && found != NULL)
        snprintf(stack->user, sizeof stack->user, "%s", passwd.pw_name);
    else
        snprintf(stack->user, sizeof stack->user, "%u", (unsigned)geteuid());
    snprintf(stack->job, sizeof stack->job, "%s", program_invocation_short_name);
}

/* "0000:03:00.0" or "03:00.0", perhaps with arguments behind a comma: a device on the PCI bus. */
static bool is_pci(const char *device)
{
    return device[0] != '\0' && strspn(device, "0123456789abcdefABCDEF:.") == strcspn(device, ",") &&
           strchr(device, ':') != NULL;
}

/* DPDK's tap cuts segments in software, and only those of IPv4 (rte_gso): ours does both. */
static uint32_t wanted_offloads(const char *device)
{
    uint32_t offloads =
        PEL_OFFLOAD_RX_IP_CSUM | PEL_OFFLOAD_RX_L4_CSUM | PEL_OFFLOAD_TX_IP_CSUM | PEL_OFFLOAD_TX_L4_CSUM;
    bool is_tap = strncmp(device, "net_tap", 7) == 0;
    return offloads | (is_tap ? 0 : PEL_OFFLOAD_TSO | PEL_OFFLOAD_SCATTER);
}

static enum pel_err start_port(struct pel_stack *stack, struct pel_error *reterr)
{
    const struct pel_config *config = &stack->config;
    const char *device = config->port.device;
    const struct pel_dpdk_config dpdk = {
        .hugepages = (enum pel_dpdk_hugepages)config->packet.hugepages,
        .memory_mb = config->packet.memory_mb,
        .pci_devices = &device,
        .num_pci_devices = is_pci(device) ? 1 : 0,
    };
    PEL_TRY(pel_dpdk_start(&dpdk, reterr));
    stack->packet_started = true;
    const struct pel_dpdk_port_config port = {
        .device = device,
        .mtu = config->port.mtu,
        .num_queues = (uint16_t)config->engine.count,
        .fewer_queues = true,
        .num_packets = config->packet.num_packets,
        .num_tx_packets = LARGE_PACKETS,
        .offloads = wanted_offloads(device) | PEL_OFFLOAD_RSS,
    };
    PEL_TRY(pel_dpdk_port_open(&port, &stack->port, reterr));
    if (config->engine.count == 1)
        return PEL_OK;
    enum pel_err err = pel_steer_open(stack->port, (uint16_t)config->engine.count, NULL, &stack->port);
    return err == PEL_OK
               ? err
               : pel_error_set(reterr, err,
                               "port %s: the device has %u queues, which cannot be shared by %u engines: "
                               "give it as many, or set engine.count to %u",
                               device, stack->port->num_queues, config->engine.count,
                               stack->port->num_queues);
}

static enum pel_err start_sockets(struct pel_stack *stack, struct pel_error *reterr)
{
    struct pel_engine *engines[PEL_STACK_ENGINES_MAX];
    const struct pel_sockets_config config = {.max_sockets = stack->config.sockets.max,
                                              .buffer_len = stack->config.sockets.buffer_len,
                                              .clock = pel_clock_real()};
    for (size_t i = 0; i < stack->num_engines; i++)
        engines[i] = stack->engines[i].engine;
    enum pel_err err = pel_sockets_start(engines, stack->num_engines, &config);
    stack->sockets_started = err == PEL_OK;
    return err == PEL_OK ? err : pel_error_set(reterr, err, "sockets: %s", pel_err_text(err));
}

static void log_line(void *arg, const char *line)
{
    pel_stack_log(arg, "%s", line);
}

static enum pel_err start_serve(struct pel_stack *stack, struct pel_error *reterr)
{
    struct pel_engine *engines[PEL_STACK_ENGINES_MAX];
    const char *path = stack->config.attach.socket;
    if (path == NULL || path[0] == '\0')
        return PEL_OK;
    for (size_t i = 0; i < stack->num_engines; i++)
        engines[i] = stack->engines[i].engine;
    const struct pel_serve_config config = {.config = &stack->config,
                                            .engines = engines,
                                            .num_engines = stack->num_engines,
                                            .log = log_line,
                                            .arg = stack};
    return pel_serve_start(&config, &stack->serve, reterr);
}

static enum pel_err start_parts(struct pel_stack *stack, struct pel_error *reterr)
{
    const struct pel_clock clock = pel_clock_real();
    PEL_TRY(start_port(stack, reterr));
    /* A policy with errors is no reason not to start: the gate stays closed, and the operator can load a
     * better one. */
    if (stack->config.policy.num_files > 0 &&
        pel_stack_reload_current(stack, PEL_LOAD_START, NULL, NULL) != PEL_OK)
        pel_stack_log(stack, "%s",
                      stack->config.policy.start_gate_open
                          ? "no policy is in force; the start gate is open by configuration"
                          : "no policy is in force: the start gate stays closed until one is loaded");
    PEL_TRY(pel_watch_open(stack, &clock, &stack->watch, reterr));
    for (uint32_t i = 0; i < stack->config.engine.count; i++)
        PEL_TRY(start_engine(stack, i, reterr));
    wait_for_dhcp(stack);
    PEL_TRY(start_sockets(stack, reterr));
    PEL_TRY(start_serve(stack, reterr));
    PEL_TRY(pel_watch_start(stack->watch, reterr));
    struct pel_control_server *control = NULL;
    PEL_TRY(pel_control_server_start(stack->config.control.socket, stack->job, pel_stack_control, stack,
                                     &control, reterr));
    __atomic_store_n(&stack->control, control, __ATOMIC_RELEASE);
    return PEL_OK;
}

/* Another value of the configuration, if there is one. */
static enum pel_err replace(const char *value, char **text, struct pel_error *reterr)
{
    if (value == NULL)
        return PEL_OK;
    char *copy = strdup(value);
    if (copy == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    free(*text);
    *text = copy;
    return PEL_OK;
}

static enum pel_err read_config(struct pel_stack *stack, struct pel_error *reterr)
{
    const struct pel_stack_options *options = &stack->options;
    struct pel_config *config = &stack->config;
    if (options->config_path != NULL)
        PEL_TRY(pel_config_read_file(options->config_path, config, reterr));
    else if (options->config_text != NULL)
        PEL_TRY(pel_config_read("configuration", options->config_text, strlen(options->config_text), config,
                                reterr));
    else
        return pel_error_set(reterr, PEL_E_ARG, "no configuration was given: set config_path or config_text");
    if (config->attach.socket == NULL)
        PEL_TRY(replace(options->attach_socket, &config->attach.socket, reterr));
    if (options->instead_policy != NULL) {
        while (config->policy.num_files > 1)
            free(config->policy.files[--config->policy.num_files]);
        PEL_TRY(replace(options->instead_policy, &config->policy.files[0], reterr));
        config->policy.num_files = 1;
    }
    PEL_TRY(replace(options->instead_attach, &config->attach.socket, reterr));
    return replace(options->instead_control, &config->control.socket, reterr);
}

enum pel_err pel_stack_start(const struct pel_stack_options *options, struct pel_stack **ret_stack,
                             struct pel_error *reterr)
{
    struct pel_stack *stack = calloc(1, sizeof *stack);
    if (stack == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    stack->options = *options;
    pthread_mutex_init(&stack->load_lock, NULL);
    pthread_mutex_init(&stack->log_lock, NULL);
    pel_generation_slot_init(&stack->slot);
    pel_policy_live_init(&stack->live);
    identify(stack);
    enum pel_err err = read_config(stack, reterr);
    if (err == PEL_OK)
        err = start_parts(stack, reterr);
    if (err != PEL_OK) {
        pel_stack_stop(stack);
        return err;
    }
    *ret_stack = stack;
    return PEL_OK;
}

static void log_message(void *arg, const struct pel_policy_message *message)
{
    pel_stack_log(arg, "%s:%u:%u: %s: %s", message->file, message->line, message->column,
                  pel_policy_severity_name(message->severity), message->text);
}

enum pel_err pel_stack_check(const struct pel_stack_options *options, struct pel_error *reterr)
{
    struct pel_stack stack = {.options = *options};
    pthread_mutex_init(&stack.log_lock, NULL);
    enum pel_err err = read_config(&stack, reterr);
    const struct pel_policy_options how = pel_policy_options_of(&stack.config);
    if (err == PEL_OK && stack.config.policy.num_files > 0)
        err = pel_policy_check((const char *const *)stack.config.policy.files, stack.config.policy.num_files,
                               &how, log_message, &stack, NULL, reterr);
    pel_config_free(&stack.config);
    pthread_mutex_destroy(&stack.log_lock);
    return err;
}

const char *pel_stack_control_path(const struct pel_stack *stack)
{
    return pel_control_server_path(stack->control);
}

const char *pel_stack_attach_path(const struct pel_stack *stack)
{
    const char *path = stack->config.attach.socket;
    return path != NULL && path[0] != '\0' ? path : NULL;
}

static void drain_engine(struct pel_engine *engine, void *arg)
{
    (void)arg;
    pel_engine_drain(engine);
}

static void add_conns(struct pel_engine *engine, void *arg)
{
    *(uint32_t *)arg += engine->num_conns;
}

uint32_t pel_stack_drain(struct pel_stack *stack, uint32_t timeout_ms, bool (*poll)(void *arg), void *arg)
{
    const struct pel_clock clock = pel_clock_real();
    uint64_t end_us = pel_clock_now_us(&clock) + (uint64_t)timeout_ms * 1000;
    for (size_t i = 0; i < stack->num_engines; i++)
        pel_engine_call(stack->engines[i].engine, drain_engine, NULL);
    for (;;) {
        uint32_t num_left = 0;
        for (size_t i = 0; i < stack->num_engines; i++)
            pel_engine_call(stack->engines[i].engine, add_conns, &num_left);
        if (num_left == 0 || pel_clock_now_us(&clock) >= end_us || (poll != NULL && poll(arg)))
            return num_left;
        usleep(DRAIN_LOOK_US);
    }
}

uint32_t pel_stack_drain_ms(const struct pel_stack *stack)
{
    return stack->config.stop.drain_s * 1000;
}

void pel_stack_stop(struct pel_stack *stack)
{
    if (stack == NULL)
        return;
    pel_watch_stop(stack->watch); /* it looks at where the control socket is */
    pel_control_server_stop(stack->control);
    pel_serve_stop(stack->serve);
    if (stack->sockets_started)
        pel_sockets_stop();
    stop_engines(stack);
    pel_watch_close(stack->watch);
    pel_port_close(stack->port);
    if (stack->packet_started)
        pel_dpdk_stop();
    pel_generation_slot_fini(&stack->slot);
    pel_policy_live_fini(&stack->live);
    pel_config_free(&stack->config);
    pthread_mutex_destroy(&stack->load_lock);
    pthread_mutex_destroy(&stack->log_lock);
    free(stack);
}

size_t pel_stack_num_engines(const struct pel_stack *stack)
{
    return stack->num_engines;
}

struct pel_engine *pel_stack_engine(const struct pel_stack *stack, size_t index)
{
    return index < stack->num_engines ? stack->engines[index].engine : NULL;
}
