/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs ask for, one row an operation. Every field of a request is checked here; what a program may
 * name is what it has itself: an application that it attached to, a slot of that with its serial number.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stack/conn.h"
#include "stack/engine.h"
#include "stack/serve/identity.h"
#include "stack/serve/parts.h"
#include "stack/socket_errno.h"

/* A request under way: what it came with and what goes back. */
struct exchange {
    struct pel_serve *serve;
    struct pel_serve_client *client;
    struct pel_ipc_request request;
    const int *fds;
    size_t num_fds;
    struct pel_serve_app *app; /* that the request names; NULL: none of the client's */
    struct pel_served *served; /* the socket, where the operation needs one */
    struct pel_ipc_reply reply;
    int reply_fds[PEL_IPC_FDS_MAX];
    size_t num_reply_fds;
    int made_fd; /* closed when the reply has left; -1: none */
};

/* ---- addresses ---- */

static int read_address(const struct exchange *exchange, const union pel_ipc_address *address, int family,
                        struct pel_endpoint *ret_endpoint)
{
    (void)exchange;
    if (address->family != family)
        return EAFNOSUPPORT;
    return pel_endpoint_from_sockaddr(&address->sa, sizeof *address, ret_endpoint) == PEL_OK ? 0 : EINVAL;
}

static void write_address(const struct pel_endpoint *endpoint, int family, union pel_ipc_address *ret_address)
{
    struct sockaddr_storage storage = {0};
    pel_endpoint_to_sockaddr(endpoint, family, &storage);
    memcpy(ret_address, &storage, sizeof *ret_address);
}

struct ours_args {
    const struct pel_ip *ip;
    bool is_ours;
};

static void ask_ours(struct pel_engine *engine, void *arg)
{
    struct ours_args *args = arg;
    args->is_ours = pel_ip_is_local(engine->ip, args->ip);
}

static bool is_ours(struct pel_serve *serve, const struct pel_ip *ip)
{
    struct ours_args args = {.ip = ip};
    if (pel_ip_is_any(ip))
        return true;
    pel_engine_call(serve->engines[0].engine, ask_ours, &args);
    return args.is_ours;
}

/* ---- names ---- */

/* Gives the socket a local name; the wildcard with any port when `address` says none. */
static int bind_name(struct exchange *exchange, const union pel_ipc_address *address)
{
    struct pel_served *served = exchange->served;
    struct pel_serve_name *name = &served->name;
    const struct pel_slot_options *options = &exchange->request.options;
    if (name->is_bound)
        return EINVAL;
    name->local = (struct pel_endpoint){.ip = {.version = served->family == AF_INET ? 4 : 6}};
    if (address->family != AF_UNSPEC) {
        int error = read_address(exchange, address, served->family, &name->local);
        if (error != 0)
            return error;
    }
    if (options->is_v6only && address->family == AF_INET6 && name->local.ip.version == 4)
        return EINVAL; /* IPv4 in the form of IPv6, which it does not want */
    if (!is_ours(exchange->serve, &name->local.ip))
        return EADDRNOTAVAIL;
    if (!pel_client_may_bind(exchange->client->pid, exchange->client->uid, name->local.port))
        return EACCES;
    name->is_stream = served->kind != PEL_SERVED_DGRAM;
    name->is_reuseaddr = options->is_reuseaddr != 0;
    name->is_reuseport = options->is_reuseport != 0;
    name->is_v6only = options->is_v6only != 0;
    name->uid = exchange->client->uid;
    int error = pel_errno_of_call(
        pel_count_err(&exchange->serve->counters, pel_serve_name_take(exchange->serve, name)));
    if (error != 0)
        return error;
    write_address(&name->local, served->family, &served->slot->local);
    exchange->reply.local = served->slot->local;
    return 0;
}

static int open_dgram(struct exchange *exchange, const union pel_ipc_address *address)
{
    int error = bind_name(exchange, address);
    return error != 0 ? error : pel_errno_of_call(pel_served_dgram_open(exchange->served));
}

/* ---- operations: each returns 0 or an errno ---- */

static int give_app(struct exchange *exchange, struct pel_serve_app *app)
{
    exchange->reply.app = app->number;
    exchange->reply_fds[exchange->num_reply_fds++] = app->memfd;
    for (uint32_t i = 0; i < app->header.num_engines; i++)
        exchange->reply_fds[exchange->num_reply_fds++] = app->bells[i];
    return 0;
}

static bool has_app(struct pel_serve_client *client, const struct pel_serve_app *app)
{
    for (size_t i = 0; i < client->num_apps; i++)
        if (client->apps[i] == app)
            return true;
    return false;
}

/* The client may use the application's sockets from now on. Takes a reference. */
static bool add_app(struct pel_serve_client *client, struct pel_serve_app *app)
{
    if (has_app(client, app))
        return true;
    if (client->num_apps == PEL_CLIENT_APPS_MAX)
        return false;
    pel_serve_app_ref(app);
    client->apps[client->num_apps++] = app;
    return true;
}

static int identify(struct exchange *exchange)
{
    struct pel_serve_client *client = exchange->client;
    const struct pel_config *config = exchange->serve->config.config;
    struct pel_client_identity identity;
    struct pel_error error;
    enum pel_err err = pel_client_identify(client->fd, exchange->request.name, config->attach.jobs_named,
                                           config->attach.num_jobs_named, &identity, &error);
    if (err != PEL_OK) {
        pel_count_err(&exchange->serve->counters, err);
        snprintf(exchange->reply.text, sizeof exchange->reply.text, "%.*s", PEL_IPC_NAME_LEN - 1, error.text);
        return err == PEL_E_ARG ? EINVAL : EPERM;
    }
    memcpy(client->user, identity.user, sizeof client->user);
    memcpy(client->job, identity.job, sizeof client->job);
    return 0;
}

static void name_networks(struct exchange *exchange)
{
    const struct pel_config *config = exchange->serve->config.config;
    for (size_t i = 0; i < config->attach.num_kernel_networks && i < PEL_IPC_NETWORKS_MAX; i++) {
        const struct pel_ip_prefix *prefix = &config->attach.kernel_networks[i];
        struct pel_ipc_network *network = &exchange->reply.networks[exchange->reply.num_networks++];
        const struct pel_endpoint endpoint = {.ip = prefix->ip};
        write_address(&endpoint, prefix->ip.version == 4 ? AF_INET : AF_INET6, &network->address);
        network->prefix_len = prefix->prefix_len;
    }
}

static int op_hello(struct exchange *exchange)
{
    struct pel_serve *serve = exchange->serve;
    struct pel_serve_client *client = exchange->client;
    struct pel_serve_app *app = NULL;
    if (client->num_apps > 0)
        return EALREADY;
    int error = identify(exchange);
    if (error != 0)
        return error;
    if (serve->report.num_applications >= serve->config.config->attach.max_applications) {
        snprintf(exchange->reply.text, sizeof exchange->reply.text,
                 "the stack serves %u programs, its limit (attach.max_applications)",
                 serve->config.config->attach.max_applications);
        return pel_errno_of_call(pel_count_err(&serve->counters, PEL_E_QUOTA));
    }
    if (pel_serve_app_new(serve, client->share, &app) != PEL_OK)
        return ENOMEM;
    client->apps[client->num_apps++] = app;
    name_networks(exchange);
    return give_app(exchange, app);
}

static bool is_same_token(const uint8_t *a, const uint8_t *b)
{
    uint8_t differs = 0;
    for (size_t i = 0; i < PEL_SEGMENT_TOKEN_LEN; i++)
        differs |= a[i] ^ b[i];
    return differs == 0;
}

static int op_join(struct exchange *exchange)
{
    struct pel_serve *serve = exchange->serve;
    int error = exchange->client->num_apps > 0 ? 0 : identify(exchange);
    if (error != 0)
        return error;
    for (struct pel_list *link = serve->apps.next; link != &serve->apps; link = link->next) {
        struct pel_serve_app *app = PEL_PART_OF(link, struct pel_serve_app, link);
        if (app->number != exchange->request.app)
            continue;
        if (!is_same_token(app->header.token, exchange->request.token))
            return EACCES;
        exchange->reply.app = app->number;
        name_networks(exchange);
        return add_app(exchange->client, app) ? 0 : EMFILE;
    }
    return ESRCH;
}

static int place(struct exchange *exchange, enum pel_served_kind kind)
{
    struct pel_serve *serve = exchange->serve;
    struct pel_served *served = pel_served_new(exchange->app, kind, exchange->request.family);
    if (served == NULL)
        return ENOMEM;
    pel_serve_app_ref(exchange->app);
    served->home = &serve->engines[serve->turn++ % serve->num_engines];
    memcpy(served->user, exchange->client->user, sizeof served->user);
    memcpy(served->job, exchange->client->job, sizeof served->job);
    served->pid = exchange->client->pid;
    int theirs = -1;
    enum pel_err err = pel_served_place(served, &theirs);
    if (err != PEL_OK) {
        pel_served_free(served);
        if (err == PEL_E_QUOTA)
            snprintf(
                exchange->reply.text, sizeof exchange->reply.text,
                "no more sockets: %u a program (attach.max_sockets), %u a user (attach.max_sockets_per_user)",
                serve->config.config->attach.max_sockets, serve->config.config->attach.max_sockets_per_user);
        return err == PEL_E_QUOTA ? ENFILE : pel_errno_of_call(err);
    }
    served->slot->options = exchange->request.options;
    exchange->served = served;
    exchange->made_fd = theirs;
    exchange->reply_fds[exchange->num_reply_fds++] = theirs;
    exchange->reply.slot = served->number;
    exchange->reply.serial = served->serial;
    return 0;
}

static int op_socket(struct exchange *exchange)
{
    const struct pel_ipc_request *request = &exchange->request;
    bool is_stream = request->type == SOCK_STREAM;
    if (exchange->app == NULL)
        return EACCES;
    if (request->family != AF_INET && request->family != AF_INET6)
        return EAFNOSUPPORT;
    if (!is_stream && request->type != SOCK_DGRAM)
        return EPROTONOSUPPORT;
    int error = place(exchange, is_stream ? PEL_SERVED_STREAM : PEL_SERVED_DGRAM);
    if (error != 0)
        return error;
    if (is_stream)
        error = request->local.family == AF_UNSPEC ? 0 : bind_name(exchange, &request->local);
    else
        error = open_dgram(exchange, &request->local);
    if (error != 0) {
        exchange->num_reply_fds = 0;
        /* Nobody has it: not a program that died. */
        __atomic_store_n(&exchange->served->slot->num_holders, 0, __ATOMIC_RELEASE);
        pel_served_over(exchange->served);
    }
    return error;
}

static int op_bind(struct exchange *exchange)
{
    if (exchange->served->kind != PEL_SERVED_STREAM)
        return EINVAL;
    return bind_name(exchange, &exchange->request.local);
}

struct busy_args {
    const struct pel_served *served;
    bool is_busy;
};

static void ask_busy(struct pel_engine *engine, void *arg)
{
    struct busy_args *args = arg;
    (void)engine;
    args->is_busy = args->served->conn != NULL || args->served->is_accepted;
}

/* A connection, or one on its way. Only this thread makes one of it. */
static bool is_busy(const struct pel_served *served)
{
    struct busy_args args = {.served = served};
    if (served->kind == PEL_SERVED_STREAM)
        pel_engine_call(served->home->engine, ask_busy, &args);
    return args.is_busy;
}

static int op_listen(struct exchange *exchange)
{
    struct pel_served *served = exchange->served;
    const union pel_ipc_address any = {.family = AF_UNSPEC};
    if (served->kind == PEL_SERVED_DGRAM)
        return EOPNOTSUPP;
    if (is_busy(served))
        return EINVAL;
    int error = served->name.is_bound ? 0 : bind_name(exchange, &any);
    if (error != 0)
        return error;
    if (!pel_serve_name_may_listen(exchange->serve, &served->name))
        return EADDRINUSE;
    exchange->reply.local = served->slot->local;
    return pel_errno_of_call(
        pel_count_err(&exchange->serve->counters, pel_served_listen(served, exchange->request.value)));
}

struct home_args {
    const struct sockaddr_storage *local, *remote;
    bool is_home;
};

static void ask_home(struct pel_engine *engine, void *arg)
{
    struct home_args *args = arg;
    args->is_home = pel_engine_is_home(engine, (const struct sockaddr *)args->local, sizeof *args->local,
                                       (const struct sockaddr *)args->remote, sizeof *args->remote);
}

/* The engine to which answers come, when the local port is given; any engine finds one of its own else. */
static void choose_home(struct exchange *exchange, const struct pel_served_connect_args *connect)
{
    struct pel_serve *serve = exchange->serve;
    struct home_args args = {.local = &connect->local, .remote = &connect->remote};
    for (size_t i = 0; i < serve->num_engines && serve->num_engines > 1 && exchange->served->name.is_bound;
         i++) {
        pel_engine_call(serve->engines[i].engine, ask_home, &args);
        if (!args.is_home)
            continue;
        exchange->served->home = &serve->engines[i];
        exchange->served->slot->engine = (uint32_t)i;
        return;
    }
}

static int connect_stream(struct exchange *exchange, const struct pel_endpoint *remote)
{
    struct pel_served *served = exchange->served;
    const char *name = exchange->request.name;
    struct pel_served_connect_args args = {.served = served, .server_name = name[0] != '\0' ? name : NULL};
    pel_endpoint_to_sockaddr(remote, served->family, &args.remote);
    if (served->name.is_bound)
        pel_endpoint_to_sockaddr(&served->name.local, served->family, &args.local);
    choose_home(exchange, &args);
    served->slot->options = exchange->request.options;
    write_address(remote, served->family, &served->slot->remote);
    pel_engine_call(served->home->engine, pel_served_stream_connect, &args);
    if (args.err == PEL_E_STATE)
        return EALREADY;
    if (args.err == PEL_E_ADDRESS_IN_USE)
        return EADDRNOTAVAIL; /* the pair of ends is in use, as connect(2) says it */
    if (args.err != PEL_OK)
        return pel_errno_of_call(args.err);
    memcpy(&served->slot->local, &args.local, sizeof served->slot->local);
    exchange->reply.local = served->slot->local;
    return 0;
}

struct source_args {
    struct pel_endpoint *local;
    const struct pel_ip *remote;
    enum pel_err err;
};

static void ask_source(struct pel_engine *engine, void *arg)
{
    struct source_args *args = arg;
    args->err = pel_ip_source(engine->ip, args->remote, &args->local->ip);
}

/* A socket that is bound to the wildcard has, once it is connected, the address from which it sends. */
static int connect_dgram(struct exchange *exchange, const struct pel_endpoint *remote)
{
    struct pel_served *served = exchange->served;
    struct pel_endpoint local = served->name.local;
    struct source_args args = {.local = &local, .remote = &remote->ip};
    if (pel_ip_is_any(&local.ip))
        pel_engine_call(served->home->engine, ask_source, &args);
    if (args.err != PEL_OK)
        return pel_errno_of_call(args.err);
    pel_served_dgram_connect(served, remote);
    write_address(remote, served->family, &served->slot->remote);
    write_address(&local, served->family, &served->slot->local);
    exchange->reply.local = served->slot->local;
    return 0;
}

static int op_connect(struct exchange *exchange)
{
    struct pel_served *served = exchange->served;
    const struct pel_ipc_request *request = &exchange->request;
    struct pel_endpoint remote;
    if (served->kind == PEL_SERVED_DGRAM && request->remote.family == AF_UNSPEC) {
        pel_served_dgram_connect(served, NULL);
        write_address(&served->name.local, served->family, &served->slot->local);
        exchange->reply.local = served->slot->local;
        return 0;
    }
    if (served->kind == PEL_SERVED_LISTENER)
        return EISCONN;
    int error = read_address(exchange, &request->remote, served->family, &remote);
    if (error != 0)
        return error;
    if (remote.ip.version == 4 && served->family == AF_INET6 && request->options.is_v6only)
        return ENETUNREACH;
    if (served->kind == PEL_SERVED_STREAM)
        return remote.port == 0 ? ECONNREFUSED : connect_stream(exchange, &remote);
    return connect_dgram(exchange, &remote);
}

static int op_waker(struct exchange *exchange)
{
    uint32_t number = exchange->request.value;
    int ends[2];
    if (exchange->app == NULL || number >= exchange->app->header.num_wakers)
        return EINVAL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return errno;
    int old = exchange->app->waker_fds[number];
    if (old < 0) {
        __atomic_store_n(&exchange->app->waker_fds[number], ends[0], __ATOMIC_RELEASE);
    } else { /* in its place, since an engine may be writing to that number */
        dup3(ends[0], old, O_CLOEXEC);
        close(ends[0]);
    }
    exchange->made_fd = ends[1];
    exchange->reply_fds[exchange->num_reply_fds++] = ends[1];
    return 0;
}

/* Whose the channel is of which the client has shown the other end. */
static struct pel_served *owner_of(struct pel_serve *serve, int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) != 0)
        return NULL;
    for (struct pel_list *link = serve->sockets.next; link != &serve->sockets; link = link->next) {
        struct pel_served *served = PEL_PART_OF(link, struct pel_served, link);
        if (served->cookie == cookie && !served->is_over)
            return served;
    }
    return NULL;
}

/* A process that shows a socket of another application may have been that one's, before it executed the
 * program that it is now. */
static void note_kin(struct pel_serve_app *app, const struct pel_serve_app *other)
{
    for (uint32_t i = 0; i < app->num_kin; i++)
        if (app->kin[i] == other->number)
            return;
    if (app == other || app->num_kin == PEL_CLIENT_APPS_MAX)
        return;
    app->kin[app->num_kin] = other->number;
    __atomic_store_n(&app->num_kin, app->num_kin + 1, __ATOMIC_RELEASE);
}

static int op_who(struct exchange *exchange)
{
    struct pel_served *served = exchange->num_fds == 1 ? owner_of(exchange->serve, exchange->fds[0]) : NULL;
    int error = exchange->client->num_apps > 0 ? 0 : identify(exchange);
    if (error != 0)
        return error;
    if (served == NULL)
        return ENOTSOCK;
    /* The segment holds all sockets of that program: only its own user may look into it. */
    if (served->app->user->uid != exchange->client->uid && exchange->client->uid != 0)
        return EACCES;
    if (!add_app(exchange->client, served->app))
        return EMFILE;
    note_kin(exchange->client->apps[0], served->app);
    name_networks(exchange);
    exchange->reply.slot = served->number;
    exchange->reply.serial = served->serial;
    return give_app(exchange, served->app);
}

static uint32_t tcp_state_of(const struct pel_served *served)
{
    uint32_t state = served->slot->state;
    if (served->conn == NULL || (state & PEL_SLOT_GONE))
        return TCP_CLOSE;
    if (served->is_shut_done)
        return state & PEL_SLOT_EOF ? TCP_LAST_ACK : TCP_FIN_WAIT2;
    if (!served->is_accepted && !served->is_open && pel_conn_is(served->conn, PEL_CONN_OPENING))
        return TCP_SYN_SENT;
    return state & PEL_SLOT_EOF ? TCP_CLOSE_WAIT : TCP_ESTABLISHED;
}

static void ask_info(struct pel_engine *engine, void *arg)
{
    struct exchange *exchange = arg;
    struct pel_ipc_info *ret_info = &exchange->reply.info;
    struct pel_tcp_info info = {0};
    (void)engine;
    const struct pel_conn *conn = exchange->served->conn;
    if (conn != NULL && conn->tcp != NULL)
        pel_tcp_get_info(conn->tcp, &info);
    ret_info->state = tcp_state_of(exchange->served);
    ret_info->mss = info.mss;
    ret_info->rtt_us = info.rtt_us;
    ret_info->rtt_var_us = info.rtt_var_us;
    ret_info->congestion_window_len = info.congestion_window_len;
    ret_info->num_retransmits = info.num_retransmits;
    ret_info->unacked_len = info.unacked_len;
}

static int op_info(struct exchange *exchange)
{
    struct pel_served *served = exchange->served;
    exchange->reply.info.state = served->kind == PEL_SERVED_LISTENER ? TCP_LISTEN : TCP_CLOSE;
    if (served->kind == PEL_SERVED_STREAM)
        pel_engine_call(served->home->engine, ask_info, exchange);
    return 0;
}

static int op_close(struct exchange *exchange)
{
    if (exchange->served->kind == PEL_SERVED_STREAM && exchange->served->conn != NULL)
        return EISCONN; /* the end of its channel will do */
    /* Whether it was the last copy the kernel knows best: another may be on its way in a message or an exec.
     */
    char byte;
    if (recv(exchange->served->channel, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) != 0)
        return EBUSY;
    pel_served_over(exchange->served);
    return 0;
}

static int op_unlisten(struct exchange *exchange)
{
    if (exchange->served->kind != PEL_SERVED_LISTENER)
        return EINVAL;
    pel_served_unlisten(exchange->served);
    return 0;
}

static int op_ttls(struct exchange *exchange)
{
    int error =
        pel_served_ttls(exchange->served, exchange->request.value, &exchange->reply, &exchange->made_fd);
    if (exchange->made_fd >= 0)
        exchange->reply_fds[exchange->num_reply_fds++] = exchange->made_fd;
    return error;
}

struct op {
    int (*run)(struct exchange *exchange);
    bool needs_socket;
};

static const struct op ops[PEL_IPC_OPS] = {
    [PEL_IPC_HELLO] = {op_hello, false},      [PEL_IPC_JOIN] = {op_join, false},
    [PEL_IPC_SOCKET] = {op_socket, false},    [PEL_IPC_BIND] = {op_bind, true},
    [PEL_IPC_LISTEN] = {op_listen, true},     [PEL_IPC_CONNECT] = {op_connect, true},
    [PEL_IPC_WAKER] = {op_waker, false},      [PEL_IPC_WHO] = {op_who, false},
    [PEL_IPC_INFO] = {op_info, true},         [PEL_IPC_CLOSE] = {op_close, true},
    [PEL_IPC_UNLISTEN] = {op_unlisten, true}, [PEL_IPC_TTLS] = {op_ttls, true},
};

/* Finds what the request names; 0 or an errno. */
static int resolve(struct exchange *exchange, const struct op *op)
{
    const struct pel_ipc_request *request = &exchange->request;
    for (size_t i = 0; i < exchange->client->num_apps; i++)
        if (exchange->client->apps[i]->number == request->app)
            exchange->app = exchange->client->apps[i];
    if (!op->needs_socket)
        return 0;
    if (exchange->app == NULL || request->slot >= exchange->app->header.num_sockets)
        return EBADF;
    struct pel_served *served = exchange->app->sockets[request->slot];
    if (served == NULL || served->serial != request->serial || served->is_over)
        return EBADF;
    exchange->served = served;
    return 0;
}

bool pel_serve_request(struct pel_serve *serve, struct pel_serve_client *client,
                       const struct pel_ipc_request *request, const int *fds, size_t num_fds)
{
    struct exchange exchange = {
        .serve = serve, .client = client, .request = *request, .fds = fds, .num_fds = num_fds, .made_fd = -1};
    exchange.request.name[PEL_IPC_NAME_LEN - 1] = '\0';
    exchange.reply.op = request->op;
    const struct op *op =
        request->op < PEL_IPC_OPS && ops[request->op].run != NULL ? &ops[request->op] : NULL;
    if (op == NULL || request->version != PEL_IPC_VERSION) {
        pel_count_err(&serve->counters, PEL_E_SYNTAX);
        snprintf(
            exchange.reply.text, sizeof exchange.reply.text,
            "request %u of version %u is not known here: the program's preload library is of another release",
            request->op, request->version);
        exchange.reply.error = EPROTO;
    } else {
        int error = resolve(&exchange, op);
        exchange.reply.error = (uint32_t)(error != 0 ? error : op->run(&exchange));
    }
    if (exchange.reply.error != 0)
        exchange.num_reply_fds = 0;
    int failed = pel_ipc_send(client->fd, &exchange.reply, sizeof exchange.reply, exchange.reply_fds,
                              exchange.num_reply_fds, MSG_DONTWAIT);
    if (exchange.made_fd >= 0)
        close(exchange.made_fd);
    return failed == 0 && op != NULL;
}
