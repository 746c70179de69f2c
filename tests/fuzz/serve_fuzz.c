/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs under pel run can write: requests to the service, whole and broken, and every word of the
 * memory that they share with the daemon, in any order with turns of the service and of the engines. The
 * first byte of the input is how many engines there are; then come steps, each a byte for what it is and the
 * bytes that it needs.
 *
 * Nothing may crash or be read outside; the honest program beside them keeps its connection, every byte of
 * it; and when the others are gone nothing of theirs is left, neither a socket nor a connection, a packet or
 * a descriptor (serve_lab.c).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/fuzz/serve_lab.h"

#define STEPS_MAX 200

enum step {
    STEP_TURN,    /* the service */
    STEP_RUN,     /* engines, and time */
    STEP_CONNECT, /* a client to the service */
    STEP_HANGUP,
    STEP_ASK,    /* a request about what there is, with fields of the input */
    STEP_RAW,    /* bytes as a request */
    STEP_ACCEPT, /* from a listener's channel */
    STEP_CLOSE,  /* a socket */
    STEP_WORD,   /* a word of a slot is set, */
    STEP_SHIFT,  /* or moved by some */
    STEP_ASKED,  /* bits of `asked` */
    STEP_SEND,   /* bytes into the send ring */
    STEP_DATAGRAM,
    STEP_TAKE,  /* what is in the receive ring */
    STEP_RING,  /* for a socket */
    STEP_BELLS, /* anything into doorbells and wakers */
    STEP_WATCH,
    STEP_BYPASS, /* bytes into a channel */
    NUM_STEPS
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* ---- what the input names ---- */

static int client_of(struct pel_reader *r)
{
    return HONEST + 1 + pel_read_u8(r) % (LAB_CLIENTS - 1);
}

static struct lab_app *app_of(struct lab *lab, struct pel_reader *r)
{
    struct lab_app *app = &lab->apps[HONEST + 1 + pel_read_u8(r) % (LAB_APPS - 1)];
    return app->base != NULL ? app : NULL;
}

/* The next that there is from the one that is named on; NULL: there is none. */
static struct lab_socket *socket_of(struct lab *lab, struct pel_reader *r)
{
    size_t first = pel_read_u8(r);
    for (size_t i = 0; i < LAB_SOCKETS; i++) {
        struct lab_socket *socket = &lab->sockets[(first + i) % LAB_SOCKETS];
        if (socket->app != NULL)
            return socket;
    }
    return NULL;
}

/* ---- requests ---- */

/* Mostly one that can be bound or reached. */
static void fill_address(union pel_ipc_address *address, struct pel_reader *r)
{
    uint8_t kind = pel_read_u8(r), place = pel_read_u8(r);
    uint16_t port = htons((uint16_t)(7200 + place % 8));
    if (kind % 8 == 0)
        return;
    if (kind % 8 == 1) {
        const uint8_t *raw = pel_read_bytes(r, sizeof *address);
        if (raw != NULL)
            memcpy(address, raw, sizeof *address);
        return;
    }
    if (kind % 8 < 6) {
        address->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        address->in.sin_addr.s_addr = kind % 8 == 2 ? 0 : htonl(0x0a070000u | (place % 64 == 63 ? 9 : 1));
        return;
    }
    address->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
    if (kind % 8 == 7)
        address->in6.sin6_addr = (struct in6_addr){.s6_addr = {0xfd, 7, [15] = 1}};
    else if (place % 16 > 7)
        address->in6.sin6_addr = (struct in6_addr){.s6_addr = {[10] = 0xff, 0xff, 10, 7, 0, 1}};
}

static void fill_options(struct pel_slot_options *options, uint8_t bits)
{
    options->is_nodelay = bits & 1;
    options->is_keepalive = options->is_linger = bits >> 1 & 1;
    options->is_v6only = bits >> 2 & 1;
    options->is_reuseaddr = bits >> 3 & 1;
    options->is_reuseport = bits >> 4 & 1;
    options->linger_s = bits >> 5 & 1;
    options->keep_idle_s = bits >> 6;
}

static void ask(struct lab *lab, struct pel_reader *r)
{
    int client = client_of(r);
    struct lab_app *app = app_of(lab, r);
    struct lab_socket *socket = socket_of(lab, r);
    struct pel_ipc_request request = {.version = PEL_IPC_VERSION, .op = pel_read_u8(r) % (PEL_IPC_OPS + 1)};
    struct pel_ipc_reply reply;
    uint8_t kind = pel_read_u8(r);
    request.family = kind & 1 ? AF_INET6 : AF_INET;
    request.type = kind & 2 ? SOCK_DGRAM : SOCK_STREAM;
    request.value = request.op == PEL_IPC_TTLS ? kind : kind >> 2;
    fill_options(&request.options, pel_read_u8(r));
    fill_address(&request.local, r);
    fill_address(&request.remote, r);
    if (socket != NULL && request.op != PEL_IPC_SOCKET) {
        request.slot = socket->number;
        request.serial = socket->serial;
        app = socket->app;
    }
    if (app != NULL) {
        request.app = app->header.app;
        memcpy(request.token, app->header.token, sizeof request.token);
    }
    lab_send(lab, client, &request, sizeof request,
             socket != NULL && request.op == PEL_IPC_WHO ? socket->channel : -1);
    lab_turn(lab);
    lab_receive(lab, client, &request, &reply);
}

static void ask_raw(struct lab *lab, struct pel_reader *r)
{
    int client = client_of(r);
    uint8_t flags = pel_read_u8(r);
    struct pel_ipc_request request = {.version = 0};
    struct pel_ipc_reply reply;
    size_t raw_len = pel_read_u16(r) % (sizeof request + 2), left_len = r->left_len;
    const uint8_t *raw = pel_read_bytes(r, raw_len < left_len ? raw_len : left_len);
    uint8_t bytes[sizeof request + 2] = {0};
    if (raw != NULL)
        memcpy(bytes, raw, raw_len < left_len ? raw_len : left_len);
    memcpy(&request, bytes, sizeof request);
    if (flags & 1)
        request.version = PEL_IPC_VERSION;
    memcpy(bytes, &request, sizeof request);
    lab_send(lab, client, bytes, flags & 2 ? sizeof request : raw_len + 1, flags & 4 ? STDIN_FILENO : -1);
    lab_turn(lab);
    lab_receive(lab, client, &request, &reply);
}

/* ---- memory ---- */

static void set_word(struct lab_socket *socket, struct pel_reader *r, bool is_shift)
{
    uint32_t *words = (uint32_t *)(void *)socket->slot;
    /* The application's own words, of which the daemon knows nothing, lie behind. */
    size_t place = pel_read_u8(r) % (offsetof(struct pel_slot, application) / sizeof *words);
    uint32_t value = is_shift ? words[place] + (uint32_t)(int8_t)pel_read_u8(r) : pel_read_u32(r);
    __atomic_store_n(&words[place], value, __ATOMIC_SEQ_CST);
}

static void send_bytes(struct lab *lab, struct lab_socket *socket, struct pel_reader *r)
{
    uint32_t send_len = pel_read_u16(r);
    if (send_len > socket->tx.len)
        send_len %= socket->tx.len + 2;
    for (uint32_t i = 0; i < send_len && i < socket->tx.len; i++) {
        uint8_t byte = (uint8_t)i;
        pel_ring_copy_in(&socket->tx, socket->slot->tx_head + i, &byte, 1);
    }
    __atomic_fetch_add(&socket->slot->tx_head, send_len, __ATOMIC_SEQ_CST);
    lab_ring(lab, socket);
}

static void send_datagram(struct lab *lab, struct lab_socket *socket, struct pel_reader *r)
{
    struct pel_datagram_header header = {.payload_len = pel_read_u16(r)};
    uint8_t bits = pel_read_u8(r);
    fill_address(&header.address, r);
    if (bits & 1)
        header.payload_len %= 512;
    if (bits & 2)
        header.payload_len |= (uint32_t)bits << 24;
    pel_ring_copy_in(&socket->tx, socket->slot->tx_head, &header, sizeof header);
    uint32_t record_len = bits & 4 ? bits : pel_datagram_record_len(header.payload_len);
    __atomic_fetch_add(&socket->slot->tx_head, record_len, __ATOMIC_SEQ_CST);
    lab_ring(lab, socket);
}

/* Anywhere between the header and the sockets, most of it bits of sets. */
static void set_bells(struct lab_app *app, struct pel_reader *r)
{
    uint64_t value = (uint64_t)pel_read_u32(r) << 32 | pel_read_u32(r);
    uint64_t bells_len = app->header.sockets_at - app->header.doorbells_at, at = pel_read_u16(r);
    uint64_t place = app->header.doorbells_at + (at & 1 ? at * 64 : at) % (bells_len - sizeof value);
    memcpy((uint8_t *)app->base + place, &value, sizeof value);
    for (int i = 0; i < (int)app->header.num_engines; i++)
        (void)!write(app->bells[i], &(uint64_t){1}, sizeof(uint64_t));
}

static void watch(struct lab_socket *socket, struct pel_reader *r)
{
    uint32_t number = pel_read_u16(r);
    uint8_t place = pel_read_u8(r);
    __atomic_store_n(&socket->slot->watchers[place % PEL_WATCHERS], number, __ATOMIC_SEQ_CST);
    if (number > 0 && number <= PEL_SEGMENT_WAKERS)
        pel_segment_waker(socket->app->base, &socket->app->header, number - 1)->is_asleep = 1;
}

/* ---- steps ---- */

static void run(struct lab *lab, struct pel_reader *r)
{
    static const uint32_t times_us[] = {0, 10, 100, 1000, 10000, 100000, 400000, 2000000};
    uint8_t how = pel_read_u8(r);
    lab_step(lab, how & 3 ? how & 3u : ~0u, times_us[how >> 2 & 7]);
}

static void do_to_socket(struct lab *lab, enum step step, struct pel_reader *r)
{
    struct lab_socket *socket = socket_of(lab, r);
    if (socket == NULL)
        return;
    switch (step) {
    case STEP_ACCEPT: lab_accept(lab, socket); break;
    case STEP_CLOSE: lab_end(socket, pel_read_u8(r) & 1); break;
    case STEP_WORD: set_word(socket, r, false); break;
    case STEP_SHIFT: set_word(socket, r, true); break;
    case STEP_ASKED:
        __atomic_fetch_or(&socket->slot->asked, pel_read_u8(r), __ATOMIC_SEQ_CST);
        lab_ring(lab, socket);
        break;
    case STEP_SEND: send_bytes(lab, socket, r); break;
    case STEP_DATAGRAM: send_datagram(lab, socket, r); break;
    case STEP_TAKE: __atomic_store_n(&socket->slot->rx_tail, socket->slot->rx_head, __ATOMIC_SEQ_CST); break;
    case STEP_RING: lab_ring(lab, socket); break;
    case STEP_WATCH: watch(socket, r); break;
    default: (void)!send(socket->channel, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL); break;
    }
}

static void do_step(struct lab *lab, enum step step, struct pel_reader *r)
{
    struct lab_app *app;
    int client;
    switch (step) {
    case STEP_TURN: lab_turn(lab); break;
    case STEP_RUN: run(lab, r); break;
    case STEP_CONNECT: lab_connect(lab, client_of(r)); break;
    case STEP_HANGUP:
        client = client_of(r);
        if (lab->clients[client] >= 0)
            close(lab->clients[client]);
        lab->clients[client] = -1;
        break;
    case STEP_ASK: ask(lab, r); break;
    case STEP_RAW: ask_raw(lab, r); break;
    case STEP_BELLS:
        app = app_of(lab, r);
        if (app != NULL)
            set_bells(app, r);
        break;
    default: do_to_socket(lab, step, r); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct lab lab;
    struct pel_reader r = pel_reader_of(bytes, len);
    lab_open(&lab, 1 + (pel_read_u8(&r) & 1));
    for (int i = 0; i < STEPS_MAX && r.left_len > 0; i++)
        do_step(&lab, pel_read_u8(&r) % NUM_STEPS, &r);
    lab_close(&lab);
    return 0;
}
