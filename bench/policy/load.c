/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to load a large policy, and what those notice who are served meanwhile.
 *
 *     bench_policy_load write FILE [--rules N] [--seed N]    writes a random policy, and a rule for us
 *     bench_policy_load once FILE --keyrings DIR             reads, checks, compiles and publishes it
 *     bench_policy_load delay FILE --keyrings DIR --client-policy FILE [--seconds S] [--reload | --count]
 *
 * `delay`: one thread on core 0 steps two engines on a wire in memory, a client's and a server's, so that
 * nobody else's turn is waited for; 8 connections ask 100 bytes with TLS, each as soon as it was answered,
 * and make room for a new one after 500 requests. With --reload a thread on core 1 loads the server's
 * policy over and over; with --count it counts: what a busy neighbour alone does to the greatest delay, since
 * then whatever else the machine has to do is done on core 0. Figures in ns or ms as their names say.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/policy/rules.h"
#include "drivers/sim/sim.h"
#include "policy/files.h"
#include "stack/engine.h"

enum { NUM_CLIENTS = 8, ASK_LEN = 100, REQUESTS_A_CONN = 500, PORT = 7000, MOST_DELAYS = 8 << 20 };

struct options {
    const char *mode, *file, *keyrings, *client_policy;
    size_t num_rules;
    uint64_t seed;
    double seconds;
    bool reload, count;
};

static struct options options = {.keyrings = "", .num_rules = 100000, .seed = 1, .seconds = 5};

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "bench_policy_load: %s: %s\n", what, text);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_RAW, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void bind_to_core(unsigned core)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
}

/* ---- loading ---- */

static void say_error(void *arg, const struct pel_policy_diag *diag)
{
    (void)arg;
    if (diag->severity == PEL_SEV_ERROR)
        fprintf(stderr, "%s:%u:%u: %s\n", diag->file, diag->line, diag->column, diag->message);
}

static void say_problem(void *arg, const struct pel_rule *rule, const struct pel_error *problem)
{
    if ((*(size_t *)arg)++ == 0)
        fprintf(stderr, "rule %s: %s\n", rule->name, problem->text);
}

struct timing {
    uint64_t check_ns, build_ns, publish_ns; /* check: read, check and compile */
    uint64_t cpu_ns;                         /* what the thread used of all */
    size_t num_rules, num_problems;
};

static void load(const char *file, struct pel_generation_slot *slot, struct timing *ret_timing)
{
    const struct pel_generation_config config = {
        .keyring_dir = options.keyrings, .owner = "root", .now_s = (int64_t)time(NULL)};
    struct pel_policy *policy = NULL;
    struct pel_generation *generation = NULL;
    struct pel_error error = {0};
    struct timing timing = {0};
    uint64_t begin_ns = now_ns(), cpu_begin_ns = cpu_ns();
    if (pel_policy_load_files(&file, 1, NULL, say_error, NULL, &policy, NULL, NULL, &error) != PEL_OK)
        fail(file, error.text);
    uint64_t checked_ns = now_ns();
    timing.num_rules = pel_policy_num_rules(policy);
    if (pel_generation_build(policy, &config, say_problem, &timing.num_problems, &generation) != PEL_OK)
        fail(file, "out of memory");
    uint64_t built_ns = now_ns();
    pel_generation_publish(slot, generation);
    timing.check_ns = checked_ns - begin_ns;
    timing.build_ns = built_ns - checked_ns;
    timing.publish_ns = now_ns() - built_ns;
    timing.cpu_ns = cpu_ns() - cpu_begin_ns;
    *ret_timing = timing;
}

static double total_ms(const struct timing *timing)
{
    return (double)(timing->check_ns + timing->build_ns + timing->publish_ns) / 1e6;
}

static size_t peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss << 10;
}

static size_t resident_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu %lu", &total, &resident) != 2)
        fail("/proc/self/statm", "not to be read");
    fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Twice: the second replaces the first, as on a running stack, when both exist. */
static int load_once(void)
{
    struct pel_generation_slot slot;
    struct timing first, second;
    size_t before = resident_bytes();
    pel_generation_slot_init(&slot);
    load(options.file, &slot, &first);
    size_t kept = resident_bytes() - before, peak = peak_bytes() - before;
    load(options.file, &slot, &second);
    printf(
        "{\"rules\": %zu, \"unusable\": %zu, \"check_ms\": %.1f, \"build_ms\": %.1f, \"publish_ms\": %.3f, ",
        first.num_rules, first.num_problems, (double)first.check_ns / 1e6, (double)first.build_ns / 1e6,
        (double)first.publish_ns / 1e6);
    printf("\"total_ms\": %.1f, \"cpu_ms\": %.1f, \"peak_bytes\": %zu, \"kept_bytes\": %zu, ",
           total_ms(&first), (double)first.cpu_ns / 1e6, peak, kept);
    printf("\"again_ms\": %.1f, \"again_cpu_ms\": %.1f, \"again_peak_bytes\": %zu}\n", total_ms(&second),
           (double)second.cpu_ns / 1e6, peak_bytes() - before);
    pel_generation_slot_fini(&slot);
    return 0;
}

static int write_policy(void)
{
    struct rules rules;
    rules_make(options.num_rules > 0 ? options.num_rules - 1 : 0, options.seed, &rules);
    FILE *file = fopen(options.file, "w");
    if (file == NULL || fwrite(rules.text, 1, rules.text_len, file) != rules.text_len)
        fail(options.file, "not to be written");
    fprintf(file,
            "TTLSRule BenchServer\n{\nPriority 2000000000\nDirection Inbound\nLocalPortRange %d\n"
            "TTLSGroupActionRef G\nTTLSEnvironmentActionRef Server\n}\n",
            PORT);
    if (fclose(file) != 0)
        fail(options.file, "not to be written");
    rules_free(&rules);
    return 0;
}

/* ---- two engines on one thread ---- */

struct bench;

/* What the kernel did to the engines' thread: it took the core away, let it wait (for a lock, say), faulted a
 * page in. */
struct kernels_part {
    uint64_t preempted, waits, faults;
};

struct client {
    struct bench *bench;
    struct pel_conn *conn;
    uint64_t begin_ns; /* of the request, or of the connection */
    uint32_t got_len, num_asked;
};

struct bench {
    struct pel_port *ports[2];
    struct pel_engine *engines[2];
    struct pel_generation_slot slots[2];
    struct pel_listener *listener;
    struct client clients[NUM_CLIENTS];
    uint32_t *delays_ns;
    size_t num_delays, num_opened, num_opening;
    uint64_t longest_open_ns;
    uint64_t longest_turns_ns; /* of the CPU time of 64 turns: what no neighbour can be blamed for */
    uint32_t longest_now_ns;   /* of the requests answered in these turns */
    uint32_t longest_ours_ns;  /* of those whose turns the scheduler did not interrupt for another's */
    struct kernels_part before, kernels; /* before the turns; in all */
    bool undisturbed;                    /* the turns before were */
    bool stopping;                       /* written by the engines' thread, read by the loader */
    size_t num_loads;
    struct timing last_load;
};

static void ask(struct client *client)
{
    static const uint8_t request[ASK_LEN];
    size_t len = 0;
    client->begin_ns = now_ns();
    client->got_len = 0;
    client->num_asked++;
    if (pel_conn_write(client->conn, request, sizeof request, &len) != PEL_OK || len != sizeof request)
        fail("a request", "it did not fit");
}

static void client_opened(void *arg, struct pel_conn *conn)
{
    struct client *client = arg;
    (void)conn;
    uint64_t open_ns = now_ns() - client->begin_ns;
    client->bench->num_opened++;
    client->bench->num_opening--;
    if (open_ns > client->bench->longest_open_ns)
        client->bench->longest_open_ns = open_ns;
    ask(client);
}

static size_t client_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct client *client = arg;
    struct bench *bench = client->bench;
    (void)bytes;
    client->got_len += (uint32_t)len;
    if (client->got_len < ASK_LEN)
        return len;
    uint32_t delay_ns = (uint32_t)(now_ns() - client->begin_ns);
    if (bench->num_delays < MOST_DELAYS)
        bench->delays_ns[bench->num_delays++] = delay_ns;
    if (delay_ns > bench->longest_now_ns)
        bench->longest_now_ns = delay_ns;
    if (client->num_asked < REQUESTS_A_CONN && !bench->stopping) {
        ask(client);
        return len;
    }
    pel_conn_close(conn);
    client->conn = NULL;
    return len;
}

static void ignore(void *arg, struct pel_conn *conn)
{
    (void)arg;
    (void)conn;
}

static void client_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct client *client = arg;
    (void)conn;
    if (!client->bench->stopping)
        fail("a client's connection", pel_err_text(err));
}

static size_t server_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    size_t taken = 0;
    (void)arg;
    if (pel_conn_write(conn, bytes, len, &taken) != PEL_OK || taken != len)
        fail("a reply", "it did not fit");
    return len;
}

static void server_eof(void *arg, struct pel_conn *conn)
{
    (void)arg;
    pel_conn_close(conn);
}

static void server_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct bench *bench = arg;
    (void)conn;
    if (err != PEL_OK && !bench->stopping)
        fail("a server's connection", pel_err_text(err));
}

static const struct pel_conn_events client_events = {.on_open = client_opened,
                                                     .on_data = client_data,
                                                     .on_eof = ignore,
                                                     .on_writable = ignore,
                                                     .on_closed = client_closed},
                                    server_events = {.on_open = ignore,
                                                     .on_data = server_data,
                                                     .on_eof = server_eof,
                                                     .on_writable = ignore,
                                                     .on_closed = server_closed};

static enum pel_err accept_conn(void *arg, struct pel_conn *conn)
{
    pel_conn_attach(conn, &server_events, arg);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

static struct sockaddr_in address(int side)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    in.sin_addr.s_addr = htonl(0x0a070001u + (uint32_t)side);
    return in;
}

static void connect_client(struct bench *bench, struct client *client)
{
    struct sockaddr_in to = address(1);
    /* The first ones end one after the other. */
    uint32_t lead =
        client->bench == NULL ? REQUESTS_A_CONN / NUM_CLIENTS * (uint32_t)(client - bench->clients) : 0;
    *client = (struct client){.bench = bench, .begin_ns = now_ns(), .num_asked = lead};
    enum pel_err err = pel_engine_connect(bench->engines[0], NULL, 0, (struct sockaddr *)&to, sizeof to, NULL,
                                          NULL, &client_events, client, &client->conn);
    if (err != PEL_OK)
        fail("a connection", pel_err_text(err));
    bench->num_opening++;
}

static void open_engine(struct bench *bench, int side)
{
    struct pel_error error = {0};
    struct sockaddr_in own = address(side);
    struct pel_engine_config config = {.index = (uint32_t)side,
                                       .slot = &bench->slots[side],
                                       .busy_poll = true,
                                       .user = "root",
                                       .job = side == 0 ? "client" : "server",
                                       .ip = {.port = bench->ports[side],
                                              .num_addrs = 1,
                                              .max_connections = 10000,
                                              .tcp_window_len = 256 * 1024,
                                              .clock = pel_clock_real()}};
    config.ip.addrs[0].ip = (struct pel_ip){.version = 4};
    memcpy(config.ip.addrs[0].ip.bytes, &own.sin_addr, 4);
    config.ip.addrs[0].prefix_len = 24;
    if (pel_engine_open(&config, &bench->engines[side], &error) != PEL_OK)
        fail("an engine", error.text);
}

static void open_bench(struct bench *bench)
{
    const struct pel_clock clock = pel_clock_real();
    const struct pel_sim_wire_config wire = {.queue_len = 4096, .max_packets = 16384};
    struct timing timing;
    struct sockaddr_in own = address(1);
    bench->delays_ns = calloc(MOST_DELAYS, sizeof *bench->delays_ns);
    if (bench->delays_ns == NULL ||
        pel_sim_wire_open(&wire, &clock, &bench->ports[0], &bench->ports[1]) != PEL_OK)
        fail("the wire", "out of memory");
    memset(bench->delays_ns, 1, MOST_DELAYS * sizeof *bench->delays_ns); /* its pages are there from now on */
    for (int side = 0; side < 2; side++) {
        pel_generation_slot_init(&bench->slots[side]);
        load(side == 0 ? options.client_policy : options.file, &bench->slots[side], &timing);
        open_engine(bench, side);
    }
    enum pel_err err = pel_engine_listen(bench->engines[1], (struct sockaddr *)&own, sizeof own, 128,
                                         accept_conn, bench, &bench->listener);
    if (err != PEL_OK)
        fail("listening", pel_err_text(err));
}

static struct kernels_part kernels_part(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (struct kernels_part){.preempted = (uint64_t)usage.ru_nivcsw,
                                 .waits = (uint64_t)usage.ru_nvcsw,
                                 .faults = (uint64_t)(usage.ru_minflt + usage.ru_majflt)};
}

/* A request that was answered now may have begun in the turns before. */
static void judge_turns(struct bench *bench)
{
    struct kernels_part now = kernels_part();
    bool undisturbed = now.preempted == bench->before.preempted;
    if (undisturbed && bench->undisturbed && bench->longest_now_ns > bench->longest_ours_ns)
        bench->longest_ours_ns = bench->longest_now_ns;
    bench->kernels.preempted += now.preempted - bench->before.preempted;
    bench->kernels.waits += now.waits - bench->before.waits;
    bench->kernels.faults += now.faults - bench->before.faults;
    bench->before = now;
    bench->undisturbed = undisturbed;
    bench->longest_now_ns = 0;
}

static void run(struct bench *bench, double seconds)
{
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * 1e9), before_ns = cpu_ns();
    bench->before = kernels_part();
    bench->undisturbed = false;
    while (now_ns() < end_ns) {
        for (int i = 0; i < 64; i++) {
            pel_engine_step(bench->engines[0]);
            pel_engine_step(bench->engines[1]);
        }
        /* One handshake at a time: several would be waited for by all requests, and hide what is asked. */
        for (size_t i = 0; i < NUM_CLIENTS && bench->num_opening == 0; i++) {
            if (bench->clients[i].conn == NULL)
                connect_client(bench, &bench->clients[i]);
        }
        uint64_t after_ns = cpu_ns();
        if (after_ns - before_ns > bench->longest_turns_ns)
            bench->longest_turns_ns = after_ns - before_ns;
        before_ns = after_ns;
        judge_turns(bench);
    }
}

static void *reload(void *arg)
{
    struct bench *bench = arg;
    bind_to_core(1);
    while (!__atomic_load_n(&bench->stopping, __ATOMIC_RELAXED)) {
        load(options.file, &bench->slots[1], &bench->last_load);
        bench->num_loads++;
    }
    return NULL;
}

static void *count(void *arg)
{
    const struct bench *bench = arg;
    bind_to_core(1);
    while (!__atomic_load_n(&bench->stopping, __ATOMIC_RELAXED)) {
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double delay_us(const struct bench *bench, double share)
{
    size_t at = (size_t)((double)bench->num_delays * share);
    return (double)bench->delays_ns[at < bench->num_delays ? at : bench->num_delays - 1] / 1e3;
}

static size_t num_above(const struct bench *bench, uint32_t delay_ns)
{
    size_t at = bench->num_delays;
    while (at > 0 && bench->delays_ns[at - 1] > delay_ns)
        at--;
    return bench->num_delays - at;
}

static void print(struct bench *bench)
{
    if (bench->num_delays == 0)
        fail("measuring", "no request was answered");
    qsort(bench->delays_ns, bench->num_delays, sizeof *bench->delays_ns, compare);
    printf("{\"requests\": %zu, \"connections\": %zu, \"loads\": %zu, \"load_ms\": %.1f, \"p50_us\": %.2f, ",
           bench->num_delays, bench->num_opened, bench->num_loads, total_ms(&bench->last_load),
           delay_us(bench, 0.5));
    printf("\"p99_us\": %.2f, \"p9999_us\": %.2f, \"max_us\": %.2f, \"over_1_ms\": %zu, ",
           delay_us(bench, 0.99), delay_us(bench, 0.9999), delay_us(bench, 1), num_above(bench, 1000000));
    printf("\"max_not_preempted_us\": %.2f, \"preempted\": %" PRIu64 ", \"waits\": %" PRIu64
           ", \"page_faults\": %" PRIu64 ", ",
           (double)bench->longest_ours_ns / 1e3, bench->kernels.preempted, bench->kernels.waits,
           bench->kernels.faults);
    printf("\"longest_open_us\": %.2f, \"longest_turns_cpu_us\": %.2f}\n",
           (double)bench->longest_open_ns / 1e3, (double)bench->longest_turns_ns / 1e3);
}

static int measure_delay(void)
{
    struct bench *bench = calloc(1, sizeof *bench);
    pthread_t neighbour;
    bool with_neighbour = options.reload || options.count;
    if (bench == NULL)
        fail("measuring", "out of memory");
    bind_to_core(0);
    open_bench(bench);
    run(bench, 0.3);
    if (with_neighbour && pthread_create(&neighbour, NULL, options.reload ? reload : count, bench) != 0)
        fail("core 1", "no thread");
    bench->num_delays = bench->num_opened = 0;
    bench->longest_open_ns = bench->longest_turns_ns = 0;
    bench->longest_ours_ns = 0;
    bench->kernels = (struct kernels_part){0};
    run(bench, options.seconds);
    __atomic_store_n(&bench->stopping, true, __ATOMIC_RELAXED);
    if (with_neighbour)
        pthread_join(neighbour, NULL);
    print(bench);
    pel_listener_close(bench->listener);
    for (int side = 0; side < 2; side++)
        pel_engine_close(bench->engines[side]);
    for (int side = 0; side < 2; side++) {
        pel_generation_slot_fini(&bench->slots[side]);
        pel_port_close(bench->ports[side]);
    }
    free(bench->delays_ns);
    free(bench);
    return 0;
}

/* ---- options ---- */

static bool read_options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"rules", required_argument, NULL, 'r'},    {"seed", required_argument, NULL, 's'},
        {"keyrings", required_argument, NULL, 'k'}, {"client-policy", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 'S'},  {"reload", no_argument, NULL, 'R'},
        {"count", no_argument, NULL, 'C'},          {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'r': options.num_rules = strtoull(optarg, NULL, 10); break;
        case 's': options.seed = strtoull(optarg, NULL, 10); break;
        case 'k': options.keyrings = optarg; break;
        case 'c': options.client_policy = optarg; break;
        case 'S': options.seconds = atof(optarg); break;
        case 'R': options.reload = true; break;
        case 'C': options.count = true; break;
        default: return false;
        }
    }
    if (argc - optind != 2)
        return false;
    options.mode = argv[optind];
    options.file = argv[optind + 1];
    return strcmp(options.mode, "delay") != 0 || options.client_policy != NULL;
}

int main(int argc, char **argv)
{
    if (read_options(argc, argv)) {
        if (strcmp(options.mode, "write") == 0)
            return write_policy();
        if (strcmp(options.mode, "once") == 0)
            return load_once();
        if (strcmp(options.mode, "delay") == 0)
            return measure_delay();
    }
    fprintf(stderr, "usage: bench_policy_load write FILE [--rules N] [--seed N]\n"
                    "       bench_policy_load once FILE --keyrings DIR\n"
                    "       bench_policy_load delay FILE --keyrings DIR --client-policy FILE [--seconds S] "
                    "[--reload | --count]\n");
    return 2;
}
