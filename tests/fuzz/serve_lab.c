/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/serve_lab.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include "drivers/steer.h"
#include "tests/scenario/rings.h"

#define HONEST_PORT 7100
#define WALL_S      1780272000 /* when the rings' certificates are in force */
#define STEP_US     10000u
#define STEPS_MAX   3000 /* half a minute: more than any patience of the service and of TCP here */

void lab_must(bool condition)
{
    if (!condition)
        abort();
}

static int num_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int num = 0;
    lab_must(dir != NULL);
    while (readdir(dir) != NULL)
        num++;
    closedir(dir);
    return num;
}

/* ---- the daemon ---- */

static const char *attach_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/pel-serve-fuzz-%d.sock", (int)getpid());
    return path;
}

/* TLS at once, and TLS when the program asks; the other ports go in clear. */
#define RULE(name, direction, port, env)                                                                     \
    "TTLSRule " name "\n{\n" port "\nDirection " direction "\nTTLSGroupActionRef on\n"                       \
    "TTLSEnvironmentActionRef " env "\n}\n"
#define ENVIRONMENT(name, role, ring, more)                                                                  \
    "TTLSEnvironmentAction " name "\n{\nHandshakeRole " role "\nTTLSKeyringParms\n{\nKeyring " ring          \
    "\n}\nTTLSEnvironmentAdvancedParms\n{\n" more "\n}\n}\n"
static const char policy_text[] = RULE("IN", "Inbound", "LocalPortRange 7200",
                                       "server") RULE("OUT", "Outbound", "RemotePortRange 7200", "client")
    RULE("ASKED_IN", "Inbound", "LocalPortRange 7201 7204", "asked-server") RULE(
        "ASKED_OUT", "Outbound", "RemotePortRange 7201 7204",
        "asked-client") "TTLSGroupAction on\n{\nTTLSEnabled On\n}\n" ENVIRONMENT("server", "Server", "server",
                                                                                 "HandshakeTimeout 1")
        ENVIRONMENT("client", "Client", "client", "HandshakeTimeout 1") ENVIRONMENT(
            "asked-server", "Server", "server", "HandshakeTimeout 1\nApplicationControlled On")
            ENVIRONMENT("asked-client", "Client", "client", "HandshakeTimeout 1\nApplicationControlled On");

static void count_problem(void *arg, const struct pel_rule *rule, const struct pel_error *problem)
{
    (void)rule, (void)problem;
    ++*(size_t *)arg;
}

/* Read once. */
static struct pel_generation *generation(void)
{
    static struct pel_generation *made;
    const struct pel_policy_source source = {
        .file = "policy", .text = policy_text, .text_len = sizeof policy_text - 1};
    const struct pel_generation_config config = {
        .keyring_dir = rings_dir(), .owner = "tester", .now_s = WALL_S};
    size_t num_problems = 0;
    struct pel_policy *policy;
    if (made == NULL) {
        lab_must(pel_policy_parse(&source, 1, NULL, NULL, NULL, &policy, NULL) == PEL_OK);
        lab_must(pel_generation_build(policy, &config, count_problem, &num_problems, &made) == PEL_OK);
        lab_must(num_problems == 0);
    }
    return pel_generation_ref(made);
}

static void open_engine(struct lab *lab, uint16_t index)
{
    struct pel_error error = {.text = ""};
    const struct pel_engine_config config = {
        .index = index,
        .slot = &lab->slot,
        .user = "root",
        .job = "fuzz",
        .ip = {.port = lab->port,
               .queue = index,
               .addrs = {{.ip = {.version = 4, .bytes = {10, 7, 0, 1}}, .prefix_len = 24},
                         {.ip = {.version = 6, .bytes = {0xfd, 7, [15] = 1}}, .prefix_len = 64}},
               .num_addrs = 2,
               .max_connections = 64,
               .tcp_window_len = 16384,
               .clock = lab->clock,
               .secret_seed = 1u + index},
    };
    lab_must(pel_engine_open(&config, &lab->engines[index], &error) == PEL_OK);
}

static void open_engines(struct lab *lab)
{
    static const uint8_t key[PEL_RSS_KEY_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const struct pel_sim_wire_config wire = {
        .seed = 1, .latency_us = 10, .queue_len = 256, .max_packets = 512, .exact_buffers = true};
    lab->time = (struct pel_virtual_clock){.now_us = 1000000, .wall_s_at_zero = WALL_S};
    lab->clock = pel_clock_virtual(&lab->time);
    lab_must(pel_sim_wire_open(&wire, &lab->clock, &lab->port, &lab->far) == PEL_OK);
    lab->port->any_thread_alloc = true; /* there is one thread */
    if (lab->num_engines > 1)
        lab_must(pel_steer_open(lab->port, lab->num_engines, key, &lab->port) == PEL_OK);
    pel_generation_slot_init(&lab->slot);
    pel_generation_publish(&lab->slot, generation());
    for (uint16_t i = 0; i < lab->num_engines; i++)
        open_engine(lab, i);
}

static void ignore_line(void *arg, const char *line)
{
    (void)arg;
    lab_must(strlen(line) > 0);
}

static void run_engines(struct lab *lab, unsigned engines)
{
    struct pel_pkt *pkts[16];
    for (uint16_t i = 0; i < lab->num_engines; i++) {
        struct pel_engine *engine = lab->engines[i];
        if (!(engines >> i & 1))
            continue;
        if (engine->duty.poll != NULL)
            engine->duty.woke(
                engine->duty.arg); /* it looks at the bells now, whatever the processor's time */
        pel_engine_step(engine);
    }
    for (uint32_t num; (num = pel_port_rx(lab->far, 0, pkts, 16)) > 0;)
        for (uint32_t i = 0; i < num; i++)
            pel_pkt_free(pkts[i]);
}

static void wait_for_engines(void *arg)
{
    run_engines(arg, ~0u);
}

static void open_service(struct lab *lab)
{
    struct pel_error error = {.text = ""};
    lab->config.attach.socket = (char *)attach_path();
    lab->config.attach.mode = 0600;
    lab->config.attach.max_sockets = 64;
    lab->config.attach.max_sockets_per_user = 100;
    lab->config.attach.max_applications = LAB_APPS - 1;
    lab->config.attach.buffer_len = 4096;
    const struct pel_serve_config config = {.config = &lab->config,
                                            .engines = lab->engines,
                                            .num_engines = lab->num_engines,
                                            .overflow = 4,
                                            .patience_ms = 300,
                                            .log = ignore_line,
                                            .wait = wait_for_engines,
                                            .clock = &lab->clock,
                                            .arg = lab};
    lab_must(pel_serve_start(&config, &lab->serve, &error) == PEL_OK);
}

void lab_turn(struct lab *lab)
{
    pel_serve_turn(lab->serve);
}

/* ---- what programs have ---- */

static struct lab_app *find_app(struct lab *lab, uint32_t number)
{
    for (size_t i = 0; i < LAB_APPS; i++)
        if (lab->apps[i].base != NULL && lab->apps[i].header.app == number)
            return &lab->apps[i];
    return NULL;
}

static void keep_app(struct lab *lab, uint32_t number, int *fds, size_t num_fds)
{
    struct lab_app *app = lab->apps;
    lab_must(num_fds == lab->num_engines + 1u);
    while (app < lab->apps + LAB_APPS && app->base != NULL)
        app++;
    if (app == lab->apps + LAB_APPS || find_app(lab, number) != NULL)
        return;
    lab_must(pread(fds[0], &app->header, sizeof app->header, 0) == (ssize_t)sizeof app->header);
    lab_must(app->header.magic == PEL_SEGMENT_MAGIC && app->header.app == number &&
             app->header.num_engines == lab->num_engines);
    void *base = mmap(NULL, app->header.len, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    lab_must(base != MAP_FAILED);
    app->base = base;
    for (uint16_t i = 0; i < lab->num_engines; i++) {
        app->bells[i] = fds[1 + i];
        fds[1 + i] = -1;
    }
}

static void drop_app(struct lab *lab, struct lab_app *app)
{
    if (app->base == NULL)
        return;
    munmap(app->base, app->header.len);
    for (uint16_t i = 0; i < lab->num_engines; i++)
        close(app->bells[i]);
    app->base = NULL;
}

static struct lab_socket *keep_socket(struct lab *lab, struct lab_app *app, uint32_t number, uint32_t serial,
                                      int *channel)
{
    for (size_t i = 0; i < LAB_SOCKETS; i++) {
        struct lab_socket *socket = &lab->sockets[i];
        if (socket->app != NULL)
            continue;
        lab_must(number < app->header.num_sockets);
        struct pel_slot *slot = pel_segment_slot(app->base, &app->header, number);
        uint32_t ring_len = app->header.ring_len;
        *socket = (struct lab_socket){.app = app,
                                      .slot = slot,
                                      .number = number,
                                      .serial = serial,
                                      .channel = *channel,
                                      .rx = {pel_slot_rx_ring(slot), ring_len},
                                      .tx = {pel_slot_tx_ring(slot, ring_len), ring_len}};
        *channel = -1;
        return socket;
    }
    return NULL;
}

static void close_rest(int *fds, size_t num_fds)
{
    for (size_t i = 0; i < num_fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* ---- messages ---- */

void lab_connect(struct lab *lab, int client)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (lab->clients[client] >= 0)
        return;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", attach_path());
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    lab_must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    lab->clients[client] = fd;
    lab_turn(lab);
}

void lab_send(struct lab *lab, int client, const void *bytes, size_t len, int fd)
{
    if (lab->clients[client] >= 0)
        (void)!pel_ipc_send(lab->clients[client], bytes, len, &fd, fd >= 0 ? 1 : 0, MSG_DONTWAIT);
}

static void keep(struct lab *lab, const struct pel_ipc_request *request, const struct pel_ipc_reply *reply,
                 int *fds, size_t num_fds)
{
    struct lab_app *app = find_app(lab, request->app);
    if (reply->error != 0) {
        lab_must(num_fds == 0);
    } else if (reply->op == PEL_IPC_HELLO || reply->op == PEL_IPC_WHO) {
        keep_app(lab, reply->app, fds, num_fds);
    } else if (reply->op == PEL_IPC_SOCKET) {
        lab_must(num_fds == 1);
        if (app != NULL)
            keep_socket(lab, app, reply->slot, reply->serial, &fds[0]);
    } else if (reply->op == PEL_IPC_WAKER && lab->num_wakers < LAB_WAKERS) {
        lab_must(num_fds == 1);
        lab->wakers[lab->num_wakers++] = fds[0];
        fds[0] = -1;
    }
}

int lab_receive(struct lab *lab, int client, const struct pel_ipc_request *request,
                struct pel_ipc_reply *ret_reply)
{
    int fds[PEL_IPC_FDS_MAX];
    size_t num_fds = 0;
    if (lab->clients[client] < 0)
        return -1;
    ssize_t len = pel_ipc_receive(lab->clients[client], ret_reply, sizeof *ret_reply, fds, PEL_IPC_FDS_MAX,
                                  &num_fds, MSG_DONTWAIT);
    if (len <= 0) {
        if (len != -EAGAIN) { /* the service has hung up */
            close(lab->clients[client]);
            lab->clients[client] = -1;
        }
        return -1;
    }
    lab_must(len == (ssize_t)sizeof *ret_reply);
    lab_must(memchr(ret_reply->text, '\0', sizeof ret_reply->text) != NULL);
    lab_must(ret_reply->num_networks <= PEL_IPC_NETWORKS_MAX && ret_reply->error < 4096);
    keep(lab, request, ret_reply, fds, num_fds);
    close_rest(fds, num_fds);
    return (int)ret_reply->error;
}

bool lab_accept(struct lab *lab, struct lab_socket *listener)
{
    struct pel_accepted accepted;
    int channel = -1;
    size_t num_fds = 0;
    ssize_t len =
        pel_ipc_receive(listener->channel, &accepted, sizeof accepted, &channel, 1, &num_fds, MSG_DONTWAIT);
    if (len != (ssize_t)sizeof accepted) {
        close_rest(&channel, num_fds);
        return false;
    }
    lab_must(num_fds == 1);
    __atomic_fetch_add(&listener->slot->rx_tail, 1, __ATOMIC_RELEASE);
    bool is_kept = keep_socket(lab, listener->app, accepted.slot, accepted.serial, &channel) != NULL;
    close_rest(&channel, 1);
    return is_kept;
}

void lab_ring(struct lab *lab, struct lab_socket *socket)
{
    struct lab_app *app = socket->app;
    uint32_t engine = socket->slot->engine % lab->num_engines;
    struct pel_doorbell *doorbell = pel_segment_doorbell(app->base, &app->header, engine);
    uint64_t one = 1;
    if (pel_signal_set_add(&doorbell->rung, socket->number) &&
        __atomic_exchange_n(&doorbell->is_engine_asleep, 0, __ATOMIC_SEQ_CST))
        (void)!write(app->bells[engine], &one, sizeof one);
}

void lab_end(struct lab_socket *socket, bool in_order)
{
    if (socket->app == NULL)
        return;
    if (in_order)
        __atomic_fetch_sub(&socket->slot->num_holders, 1, __ATOMIC_SEQ_CST);
    close(socket->channel);
    socket->app = NULL;
}

/* ---- the honest program ---- */

static uint8_t byte_at(uint32_t number)
{
    return (uint8_t)(number % 251 * 3);
}

static void go_on(struct lab *lab)
{
    struct pel_slot *from = lab->sender.slot, *to = lab->receiver.slot;
    uint32_t used_len = from->tx_head - from->tx_tail;
    lab_must(used_len <= lab->sender.tx.len);
    lab_must(((from->state | to->state) & (PEL_SLOT_GONE | PEL_SLOT_EOF)) == 0);
    for (int i = 0; i < 48 && used_len < lab->sender.tx.len; i++, used_len++) {
        uint8_t byte = byte_at(lab->num_sent++);
        pel_ring_copy_in(&lab->sender.tx, from->tx_head++, &byte, 1);
    }
    lab_ring(lab, &lab->sender);
    lab_must(to->rx_head - to->rx_tail <= lab->receiver.rx.len);
    for (; to->rx_tail != to->rx_head; to->rx_tail++) {
        uint8_t byte;
        pel_ring_copy_out(&lab->receiver.rx, to->rx_tail, &byte, 1);
        lab_must(byte == byte_at(lab->num_received++));
    }
    if (to->state & PEL_SLOT_HELD) {
        to->asked |= PEL_SLOT_ASK_RESUME;
        lab_ring(lab, &lab->receiver);
    }
}

static void ask(struct lab *lab, struct pel_ipc_request request)
{
    struct pel_ipc_reply reply;
    request.version = PEL_IPC_VERSION;
    if (lab->apps[HONEST].base != NULL)
        request.app = lab->apps[HONEST].header.app;
    lab_send(lab, HONEST, &request, sizeof request, -1);
    lab_turn(lab);
    lab_must(lab_receive(lab, HONEST, &request, &reply) == 0);
}

static struct pel_ipc_request about(const struct lab_socket *socket, enum pel_ipc_op op)
{
    struct pel_ipc_request request = {.op = op, .slot = socket->number, .serial = socket->serial};
    request.remote.in = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(HONEST_PORT), .sin_addr.s_addr = htonl(0x0a070001)};
    return request;
}

static void open_honest(struct lab *lab)
{
    struct pel_ipc_request socket = {.op = PEL_IPC_SOCKET, .family = AF_INET, .type = SOCK_STREAM};
    lab_connect(lab, HONEST);
    ask(lab, (struct pel_ipc_request){.op = PEL_IPC_HELLO});
    ask(lab, socket);
    socket.local.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(HONEST_PORT)};
    ask(lab, socket);
    struct lab_socket *listener = &lab->sockets[1];
    ask(lab, about(listener, PEL_IPC_LISTEN));
    lab->sender = lab->sockets[0];
    ask(lab, about(&lab->sender, PEL_IPC_CONNECT));
    for (int i = 0; !lab_accept(lab, listener); i++) {
        lab_must(i < STEPS_MAX);
        run_engines(lab, ~0u);
        lab->time.now_us += 1000;
        lab_turn(lab);
    }
    lab->receiver = lab->sockets[2];
    lab->receiver.slot->asked |= PEL_SLOT_ASK_MAP;
    lab_ring(lab, &lab->receiver);
    lab_end(listener, true);
    lab_turn(lab);
    lab->sockets[0].app = lab->sockets[2].app = NULL; /* not the input's */
}

void lab_step(struct lab *lab, unsigned engines, uint64_t us)
{
    lab->time.now_us += us;
    run_engines(lab, engines);
    go_on(lab);
}

/* ---- all of it ---- */

void lab_open(struct lab *lab, uint16_t num_engines)
{
    memset(lab, 0, sizeof *lab);
    memset(lab->clients, -1, sizeof lab->clients);
    lab->num_descriptors = num_descriptors();
    lab->num_engines = num_engines;
    open_engines(lab);
    open_service(lab);
    open_honest(lab);
}

static bool is_left(struct lab *lab, uint64_t num_apps, uint64_t num_sockets)
{
    struct pel_serve_report report;
    struct pel_counters counters = {0};
    uint32_t num_conns = 0;
    pel_serve_get_report(lab->serve, &report, &counters);
    for (uint16_t i = 0; i < lab->num_engines; i++)
        num_conns += lab->engines[i]->num_conns;
    return report.num_applications == num_apps && report.num_clients == num_apps &&
           report.num_sockets == num_sockets && num_conns == num_sockets;
}

static void end_others(struct lab *lab)
{
    for (size_t i = 0; i < LAB_SOCKETS; i++)
        lab_end(&lab->sockets[i], i % 2 == 0);
    for (size_t i = HONEST + 1; i < LAB_CLIENTS; i++)
        if (lab->clients[i] >= 0)
            close(lab->clients[i]);
    for (size_t i = HONEST + 1; i < LAB_APPS; i++)
        drop_app(lab, &lab->apps[i]);
    close_rest(lab->wakers, lab->num_wakers);
}

static void end_honest(struct lab *lab)
{
    lab_end(&lab->sender, true);
    lab_end(&lab->receiver, true);
    close(lab->clients[HONEST]);
    drop_app(lab, &lab->apps[HONEST]);
}

static void close_engines(struct lab *lab)
{
    struct pel_port_stats stats;
    for (uint16_t i = 0; i < lab->num_engines; i++)
        pel_engine_close(lab->engines[i]);
    pel_generation_slot_fini(&lab->slot);
    lab->port->ops->stats(lab->port, &stats);
    lab_must(stats.num_pkts_in_use == 0);
    pel_port_close(lab->port);
    pel_port_close(lab->far);
}

void lab_close(struct lab *lab)
{
    end_others(lab);
    for (int i = 0; !is_left(lab, 1, 2); i++) {
        lab_must(i < STEPS_MAX);
        lab_step(lab, ~0u, STEP_US);
        lab_turn(lab);
    }
    uint32_t num_received = lab->num_received;
    for (int i = 0; lab->num_received - num_received < 100; i++) {
        lab_must(i < STEPS_MAX);
        lab_step(lab, ~0u, STEP_US);
    }
    end_honest(lab);
    for (int i = 0; !is_left(lab, 0, 0); i++) {
        lab_must(i < STEPS_MAX);
        lab->time.now_us += STEP_US;
        run_engines(lab, ~0u);
        lab_turn(lab);
    }
    pel_serve_stop(lab->serve);
    close_engines(lab);
    lab_must(num_descriptors() == lab->num_descriptors);
}
