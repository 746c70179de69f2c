/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_fake_net.h"

#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "stack/held.h"

struct pel_fake_net pel_fake_net = {.lock = PTHREAD_MUTEX_INITIALIZER};
__thread struct pel_engine *pel_fake_here;

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void stir(void)
{
    for (size_t i = 0; i < pel_fake_net.num; i++)
        pthread_cond_signal(&pel_fake_net.engines[i].changed);
}

void pel_fake_lock(void)
{
    pthread_mutex_lock(&pel_fake_net.lock);
}

void pel_fake_unlock(void)
{
    stir();
    pthread_mutex_unlock(&pel_fake_net.lock);
}

enum pel_err pel_fake_take_call_err(void)
{
    enum pel_err err = pel_fake_net.call_err;
    pel_fake_net.call_err = PEL_OK;
    return err;
}

uint16_t pel_fake_new_port(void)
{
    pel_fake_net.next_port = pel_fake_net.next_port < 40000 ? 40000 : (uint16_t)(pel_fake_net.next_port + 1);
    return pel_fake_net.next_port;
}

static void cut(struct pel_conn *conn)
{
    if (conn->peer != NULL)
        conn->peer->peer = NULL;
    conn->peer = NULL;
}

static void bury(struct pel_conn *conn)
{
    MUST(!conn->is_dead);
    conn->is_dead = true;
    pel_list_remove(&conn->link);
    pel_list_append(&conn->engine->dead, &conn->link);
    pel_fake_net.num_conns--;
}

/* The last event; under the lock, which it gives up for the call. */
static void finish(struct pel_conn *conn, enum pel_err err)
{
    cut(conn);
    bury(conn);
    pel_fake_unlock();
    if (conn->events != NULL)
        conn->events->on_closed(conn->arg, conn, err);
    pel_fake_lock();
}

static void offer(struct pel_conn *conn)
{
    struct pel_listener *listener = conn->listener;
    conn->listener = NULL;
    pel_fake_unlock();
    enum pel_err err = listener->on_accept(listener->arg, conn);
    pel_fake_lock();
    if (err == PEL_OK) {
        MUST(conn->events != NULL);
        if (!pel_fake_net.is_tls && conn->peer != NULL)
            conn->peer->is_ready = true;
        return;
    }
    if (conn->peer != NULL)
        conn->peer->end = PEL_E_CONN_RESET;
    conn->events = NULL;
    finish(conn, err);
}

/* Shows what came, in pieces, as long as it is taken. */
static void show(struct pel_conn *conn)
{
    while (!conn->is_dead && conn->is_open && conn->in_len > 0 && !conn->is_held) {
        uint8_t piece[CHUNK_LEN];
        size_t len = conn->in_len < CHUNK_LEN ? conn->in_len : CHUNK_LEN;
        memcpy(piece, conn->in, len);
        pel_fake_unlock();
        size_t taken_len = conn->events->on_data(conn->arg, conn, piece, len);
        pel_fake_lock();
        MUST(taken_len <= len);
        if (conn->is_dead)
            return;
        conn->is_held = taken_len < len;
        conn->in_len -= taken_len;
        memmove(conn->in, conn->in + taken_len, conn->in_len);
    }
}

static void step_open(struct pel_conn *conn)
{
    if (conn->is_open || !conn->is_ready || conn->end != PEL_OK)
        return;
    if (conn->ready_us == 0)
        conn->ready_us = now_us();
    if (now_us() < conn->ready_us + pel_fake_net.open_delay_ms * 1000ull)
        return;
    conn->is_open = true;
    pel_fake_unlock();
    conn->events->on_open(conn->arg, conn);
    pel_fake_lock();
}

static void step_room(struct pel_conn *conn)
{
    if (conn->is_dead || !conn->is_blocked || !conn->is_open)
        return;
    if (conn->peer != NULL && conn->peer->in_len > BUFFER_LEN / 2)
        return;
    conn->is_blocked = false;
    pel_fake_unlock();
    conn->events->on_writable(conn->arg, conn);
    pel_fake_lock();
}

static void step_end(struct pel_conn *conn)
{
    if (conn->is_dead)
        return;
    if (conn->end != PEL_OK && (conn->in_len == 0 || conn->is_held || !conn->is_open)) {
        finish(conn, conn->end);
        return;
    }
    if (conn->is_open && conn->is_fin && conn->in_len == 0 && !conn->is_eof_told) {
        conn->is_eof_told = true;
        pel_fake_unlock();
        conn->events->on_eof(conn->arg, conn);
        pel_fake_lock();
    }
    if (!conn->is_dead && conn->is_eof_told && conn->is_shut)
        finish(conn, PEL_E_EOF);
}

static void step(struct pel_conn *conn)
{
    if (conn->listener != NULL)
        offer(conn);
    if (!conn->is_dead && conn->events != NULL)
        step_open(conn);
    if (!conn->is_dead && conn->events != NULL) {
        show(conn);
        step_room(conn);
        step_end(conn);
    }
}

static void run_tasks(struct pel_engine *engine)
{
    while (engine->first != NULL) {
        struct pel_task *task = engine->first;
        engine->first = task->next;
        if (engine->first == NULL)
            engine->last = &engine->first;
        pel_fake_unlock();
        task->run(engine, task);
        pel_fake_lock();
    }
}

/* A callback may end any connection; so each goes to the list of those that had their turn before it gets it.
 */
static void step_all(struct pel_engine *engine)
{
    while (!pel_list_is_empty(&engine->conns)) {
        struct pel_conn *conn = PEL_PART_OF(engine->conns.next, struct pel_conn, link);
        pel_list_remove(&conn->link);
        pel_list_append(&engine->stepped, &conn->link);
        step(conn);
    }
    pel_list_move_all(&engine->conns, &engine->stepped);
    for (struct pel_list *link = engine->udps.next; link != &engine->udps; link = link->next)
        pel_fake_step_udp(PEL_PART_OF(link, struct pel_udp_socket, link));
    while (!pel_list_is_empty(&engine->dead)) {
        struct pel_conn *conn = PEL_PART_OF(engine->dead.next, struct pel_conn, link);
        pel_list_remove(&conn->link);
        free(conn);
    }
}

static void *engine_main(void *arg)
{
    struct pel_engine *engine = arg;
    pel_fake_here = engine;
    pthread_mutex_lock(&pel_fake_net.lock);
    while (!engine->is_stopped) {
        run_tasks(engine);
        step_all(engine);
        if (engine->first != NULL)
            continue;
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&engine->changed, &pel_fake_net.lock, &until);
    }
    run_tasks(engine);
    step_all(engine);
    pthread_mutex_unlock(&pel_fake_net.lock);
    return NULL;
}

void pel_fake_start(size_t num, struct pel_engine *ret_engines[])
{
    MUST(num >= 1 && num <= MAX_ENGINES);
    pel_fake_net.num = num;
    pel_fake_net.num_conns = pel_fake_net.num_mapped = pel_fake_net.num_option_calls = 0;
    pel_fake_net.num_held = pel_fake_net.turn = 0;
    pel_fake_net.open_delay_ms = 0;
    pel_fake_net.is_tls = pel_fake_net.is_silent = false;
    pel_fake_net.is_gate_open = true;
    pel_fake_net.call_err = pel_fake_net.map_err = pel_fake_net.map_peer_err = PEL_OK;
    pel_fake_net.last_name[0] = '\0';
    for (size_t i = 0; i < num; i++) {
        struct pel_engine *engine = &pel_fake_net.engines[i];
        *engine = (struct pel_engine){.first = NULL};
        engine->last = &engine->first;
        pel_list_init(&engine->conns);
        pel_list_init(&engine->stepped);
        pel_list_init(&engine->listeners);
        pel_list_init(&engine->udps);
        pel_list_init(&engine->dead);
        pthread_cond_init(&engine->changed, NULL);
        ret_engines[i] = engine;
    }
    for (size_t i = 0; i < num; i++)
        MUST(pthread_create(&pel_fake_net.engines[i].thread, NULL, engine_main, &pel_fake_net.engines[i]) ==
             0);
}

void pel_fake_stop(void)
{
    pel_fake_lock();
    for (size_t i = 0; i < pel_fake_net.num; i++)
        pel_fake_net.engines[i].is_stopped = true;
    pel_fake_unlock();
    for (size_t i = 0; i < pel_fake_net.num; i++) {
        pthread_join(pel_fake_net.engines[i].thread, NULL);
        pthread_cond_destroy(&pel_fake_net.engines[i].changed);
        MUST(pel_list_is_empty(&pel_fake_net.engines[i].listeners) &&
             pel_list_is_empty(&pel_fake_net.engines[i].udps));
        MUST(pel_list_is_empty(&pel_fake_net.engines[i].conns));
    }
    pel_fake_net.num = 0;
}

static struct pel_listener *find_listener(uint16_t port, struct pel_engine **ret_engine)
{
    for (size_t i = 0; i < pel_fake_net.num; i++) {
        struct pel_engine *engine = &pel_fake_net.engines[(pel_fake_net.turn + i) % pel_fake_net.num];
        for (struct pel_list *link = engine->listeners.next; link != &engine->listeners; link = link->next) {
            struct pel_listener *listener = PEL_PART_OF(link, struct pel_listener, link);
            if (listener->local.port != port)
                continue;
            pel_fake_net.turn++;
            *ret_engine = engine;
            return listener;
        }
    }
    return NULL;
}

static bool is_listening(const struct pel_engine *engine, uint16_t port)
{
    for (struct pel_list *link = engine->listeners.next; link != &engine->listeners; link = link->next) {
        if (PEL_PART_OF(link, struct pel_listener, link)->local.port == port)
            return true;
    }
    return false;
}

enum pel_err pel_engine_listen(struct pel_engine *engine, const struct sockaddr *address,
                               socklen_t address_len, uint32_t backlog, pel_accept_fn *on_accept, void *arg,
                               struct pel_listener **ret_listener)
{
    struct pel_endpoint local;
    MUST(pel_fake_here == engine && backlog >= 1);
    PEL_TRY(pel_endpoint_from_sockaddr(address, address_len, &local));
    pel_fake_lock();
    enum pel_err err = pel_fake_take_call_err();
    if (err == PEL_OK && local.port != 0 && is_listening(engine, local.port))
        err = PEL_E_ADDRESS_IN_USE;
    if (err == PEL_OK) {
        struct pel_listener *listener = calloc(1, sizeof *listener);
        *listener = (struct pel_listener){.local = local, .on_accept = on_accept, .arg = arg};
        if (local.port == 0)
            listener->local.port = pel_fake_new_port();
        pel_list_append(&engine->listeners, &listener->link);
        *ret_listener = listener;
    }
    pel_fake_unlock();
    return err;
}

socklen_t pel_listener_address(const struct pel_listener *listener, struct sockaddr_storage *ret_address)
{
    return pel_endpoint_to_sockaddr(&listener->local, listener->local.ip.version == 4 ? AF_INET : AF_INET6,
                                    ret_address);
}

void pel_listener_close(struct pel_listener *listener)
{
    if (listener == NULL)
        return;
    pel_fake_lock();
    for (struct pel_list *link = pel_fake_here->conns.next; link != &pel_fake_here->conns;
         link = link->next) {
        struct pel_conn *conn = PEL_PART_OF(link, struct pel_conn, link);
        if (conn->listener != listener)
            continue;
        conn->listener = NULL;
        if (conn->peer != NULL)
            conn->peer->end = PEL_E_CONN_RESET;
        cut(conn);
        link = link->prev;
        bury(conn);
    }
    pel_list_remove(&listener->link);
    pel_fake_unlock();
    free(listener);
}

static struct pel_conn *conn_new(struct pel_engine *engine)
{
    struct pel_conn *conn = calloc(1, sizeof *conn);
    MUST(conn != NULL);
    conn->engine = engine;
    pel_list_append(&engine->conns, &conn->link);
    pel_fake_net.num_conns++;
    return conn;
}

static void dial(struct pel_conn *conn)
{
    struct pel_engine *engine = NULL;
    struct pel_listener *listener = pel_fake_net.is_silent ? NULL : find_listener(conn->remote.port, &engine);
    if (listener == NULL) {
        conn->end = pel_fake_net.is_silent ? PEL_OK : PEL_E_CONN_REFUSED;
        return;
    }
    struct pel_conn *other = conn_new(engine);
    other->is_accepted = true;
    other->listener = listener;
    other->local = conn->remote;
    other->remote = conn->local;
    other->peer = conn;
    conn->peer = other;
}

enum pel_err pel_engine_connect(struct pel_engine *engine, const struct sockaddr *local, socklen_t local_len,
                                const struct sockaddr *remote, socklen_t remote_len, const char *server_name,
                                const struct pel_identity *identity, const struct pel_conn_events *events,
                                void *arg, struct pel_conn **ret_conn)
{
    struct pel_endpoint from = {.port = 0}, to;
    (void)identity;
    MUST(pel_fake_here == engine);
    PEL_TRY(pel_endpoint_from_sockaddr(remote, remote_len, &to));
    if (local != NULL)
        PEL_TRY(pel_endpoint_from_sockaddr(local, local_len, &from));
    pel_fake_lock();
    enum pel_err err = pel_fake_net.is_gate_open ? pel_fake_take_call_err() : PEL_E_START_GATE;
    if (err == PEL_OK) {
        struct pel_conn *conn = conn_new(engine);
        conn->events = events;
        conn->arg = arg;
        conn->remote = to;
        conn->local =
            (struct pel_endpoint){.ip = to.ip, .port = from.port != 0 ? from.port : pel_fake_new_port()};
        conn->is_mapped = true;
        snprintf(pel_fake_net.last_name, sizeof pel_fake_net.last_name, "%s",
                 server_name == NULL ? "" : server_name);
        dial(conn);
        *ret_conn = conn;
    }
    pel_fake_unlock();
    return err;
}

void pel_conn_attach(struct pel_conn *conn, const struct pel_conn_events *events, void *arg)
{
    MUST(pel_fake_here == conn->engine && !conn->is_dead);
    conn->events = events;
    conn->arg = arg;
}

void pel_conn_map(struct pel_conn *conn, const struct pel_identity *identity)
{
    (void)identity;
    MUST(pel_fake_here == conn->engine && !conn->is_dead);
    pel_fake_lock();
    if (!conn->is_mapped) {
        conn->is_mapped = conn->is_ready = true;
        pel_fake_net.num_mapped++;
        if (pel_fake_net.is_tls && conn->peer != NULL)
            conn->peer->is_ready = true;
        if (pel_fake_net.map_err != PEL_OK) {
            conn->end = pel_fake_net.map_err;
            if (conn->peer != NULL)
                conn->peer->end = pel_fake_net.map_peer_err;
            pel_fake_net.map_err = pel_fake_net.map_peer_err = PEL_OK;
        }
        step_end(conn);
    }
    pel_fake_unlock();
}

bool pel_conn_is_mapped(const struct pel_conn *conn)
{
    return conn->is_mapped;
}

enum pel_err pel_conn_write(struct pel_conn *conn, const uint8_t *bytes, size_t len, size_t *ret_len)
{
    MUST(pel_fake_here == conn->engine && !conn->is_dead);
    if (conn->is_shut)
        return PEL_E_STATE;
    if (!conn->is_open)
        return PEL_E_AGAIN;
    pel_fake_lock();
    struct pel_conn *peer = conn->peer;
    size_t room_len = peer == NULL ? len : BUFFER_LEN - peer->in_len,
           taken_len = len < room_len ? len : room_len;
    if (taken_len > CHUNK_LEN)
        taken_len = CHUNK_LEN;
    if (peer == NULL && conn->end == PEL_OK)
        conn->end = PEL_E_CONN_RESET; /* bytes for one that is gone */
    if (peer != NULL) {
        memcpy(peer->in + peer->in_len, bytes, taken_len);
        peer->in_len += taken_len;
    }
    conn->is_blocked |= taken_len < len;
    pel_fake_unlock();
    if (taken_len == 0)
        return PEL_E_AGAIN;
    *ret_len = taken_len;
    return PEL_OK;
}

void pel_conn_resume(struct pel_conn *conn)
{
    MUST(pel_fake_here == conn->engine && !conn->is_dead);
    pel_fake_lock();
    conn->is_held = false;
    show(conn);
    pel_fake_unlock();
}

void pel_conn_shutdown(struct pel_conn *conn)
{
    MUST(pel_fake_here == conn->engine && !conn->is_dead);
    pel_fake_lock();
    conn->is_shut = true;
    if (conn->peer != NULL)
        conn->peer->is_fin = true;
    pel_fake_unlock();
}

static void give_up(struct pel_conn *conn, bool is_reset)
{
    MUST(pel_fake_here == conn->engine && !conn->is_dead);
    pel_fake_lock();
    if (conn->peer != NULL && (is_reset || !conn->peer->is_open)) {
        if (conn->peer->is_open || is_reset || !conn->peer->is_accepted)
            conn->peer->end = PEL_E_CONN_RESET;
        else
            conn->peer->is_fin = true;
    } else if (conn->peer != NULL) {
        conn->peer->is_fin = true;
    }
    cut(conn);
    bury(conn);
    pel_fake_unlock();
}

void pel_conn_close(struct pel_conn *conn)
{
    give_up(conn, false);
}

void pel_conn_abort(struct pel_conn *conn)
{
    give_up(conn, true);
}

socklen_t pel_conn_local(const struct pel_conn *conn, int family, struct sockaddr_storage *ret_address)
{
    return pel_endpoint_to_sockaddr(&conn->local, family, ret_address);
}

socklen_t pel_conn_remote(const struct pel_conn *conn, int family, struct sockaddr_storage *ret_address)
{
    return pel_endpoint_to_sockaddr(&conn->remote, family, ret_address);
}

static void count_option(struct pel_conn *conn)
{
    MUST(pel_fake_here == conn->engine && !conn->is_dead);
    pel_fake_lock();
    pel_fake_net.num_option_calls++;
    pel_fake_unlock();
}

void pel_conn_set_nodelay(struct pel_conn *conn, bool on)
{
    (void)on;
    count_option(conn);
}

void pel_conn_set_keepalive(struct pel_conn *conn, uint32_t idle_ms, uint32_t interval_ms, uint32_t num)
{
    (void)idle_ms;
    (void)interval_ms;
    (void)num;
    count_option(conn);
}

void pel_engine_post(struct pel_engine *engine, struct pel_task *task)
{
    pel_fake_lock();
    task->next = NULL;
    if (engine->first == NULL)
        engine->first = task;
    else
        *engine->last = task;
    engine->last = &task->next;
    pel_fake_unlock();
}

struct call {
    struct pel_task task;
    void (*fn)(struct pel_engine *engine, void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
};

static void run_call(struct pel_engine *engine, struct pel_task *task)
{
    struct call *call = PEL_PART_OF(task, struct call, task);
    call->fn(engine, call->arg);
    pthread_mutex_lock(&call->lock);
    call->is_done = true;
    pthread_cond_signal(&call->changed);
    pthread_mutex_unlock(&call->lock);
}

void pel_engine_call(struct pel_engine *engine, void (*fn)(struct pel_engine *engine, void *arg), void *arg)
{
    if (pel_fake_here == engine) {
        fn(engine, arg);
        return;
    }
    struct call call = {.task = {.run = run_call}, .fn = fn, .arg = arg};
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.changed, NULL);
    pel_engine_post(engine, &call.task);
    pthread_mutex_lock(&call.lock);
    while (!call.is_done)
        pthread_cond_wait(&call.changed, &call.lock);
    pthread_mutex_unlock(&call.lock);
    pthread_cond_destroy(&call.changed);
    pthread_mutex_destroy(&call.lock);
}

uint64_t pel_engine_now_us(const struct pel_engine *engine)
{
    (void)engine;
    return now_us();
}

/* The fake net looks at no address: every engine can reach all. */
bool pel_engine_is_home(struct pel_engine *engine, const struct sockaddr *local, socklen_t local_len,
                        const struct sockaddr *remote, socklen_t remote_len)
{
    MUST(pel_fake_here == engine);
    return local_len > 0 && remote_len > 0 && local != NULL && remote != NULL;
}

bool pel_engine_gate_open(const struct pel_engine *engine)
{
    (void)engine;
    pel_fake_lock();
    bool is_open = pel_fake_net.is_gate_open;
    pel_fake_unlock();
    return is_open;
}

void pel_engine_note_held(struct pel_engine *engine, const struct pel_identity *who, enum pel_held_what what,
                          const struct pel_endpoint *endpoint)
{
    MUST(pel_fake_here == engine && who == NULL && what == PEL_HELD_LISTEN && endpoint->port != 0);
    pel_fake_lock();
    pel_fake_net.num_held++;
    pel_fake_unlock();
}

size_t pel_fake_num_held(void)
{
    pel_fake_lock();
    size_t num = pel_fake_net.num_held;
    pel_fake_unlock();
    return num;
}

size_t pel_fake_num_conns(void)
{
    pel_fake_lock();
    size_t num = pel_fake_net.num_conns;
    pel_fake_unlock();
    return num;
}

size_t pel_fake_num_mapped(void)
{
    pel_fake_lock();
    size_t num = pel_fake_net.num_mapped;
    pel_fake_unlock();
    return num;
}

size_t pel_fake_num_option_calls(void)
{
    pel_fake_lock();
    size_t num = pel_fake_net.num_option_calls;
    pel_fake_unlock();
    return num;
}

void pel_fake_set_open_delay(uint32_t delay_ms)
{
    pel_fake_lock();
    pel_fake_net.open_delay_ms = delay_ms;
    pel_fake_unlock();
}

void pel_fake_set_tls(bool is_on)
{
    pel_fake_lock();
    pel_fake_net.is_tls = is_on;
    pel_fake_unlock();
}

void pel_fake_set_silent(bool is_on)
{
    pel_fake_lock();
    pel_fake_net.is_silent = is_on;
    pel_fake_unlock();
}

void pel_fake_set_gate(bool is_open)
{
    pel_fake_lock();
    pel_fake_net.is_gate_open = is_open;
    pel_fake_unlock();
}

void pel_fake_fail_map(enum pel_err err, enum pel_err peer_err)
{
    pel_fake_lock();
    pel_fake_net.map_err = err;
    pel_fake_net.map_peer_err = peer_err;
    pel_fake_unlock();
}

void pel_fake_fail_call(enum pel_err err)
{
    pel_fake_lock();
    pel_fake_net.call_err = err;
    pel_fake_unlock();
}

static void break_list(struct pel_list *conns, uint16_t port, enum pel_err err)
{
    for (struct pel_list *link = conns->next; link != conns; link = link->next) {
        struct pel_conn *conn = PEL_PART_OF(link, struct pel_conn, link);
        if (conn->local.port == port && conn->events != NULL)
            conn->end = err;
    }
}

void pel_fake_break(uint16_t port, enum pel_err err)
{
    pel_fake_lock();
    for (size_t i = 0; i < pel_fake_net.num; i++) {
        break_list(&pel_fake_net.engines[i].conns, port, err);
        break_list(&pel_fake_net.engines[i].stepped, port, err);
    }
    pel_fake_unlock();
}

const char *pel_fake_last_name(void)
{
    return pel_fake_net.last_name;
}
