/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share: the service, its clients and applications, and a socket that is
 * served. Who may touch a field is said with it: S the service thread, E the socket's engine's thread,
 * "atomic" both.
 */
#ifndef PEL_STACK_SERVE_PARTS_H
#define PEL_STACK_SERVE_PARTS_H

#include <pthread.h>

#include "base/addr.h"
#include "ipc/message.h"
#include "ipc/ring.h"
#include "stack/serve/serve.h"
#include "stack/socket_list.h"

#define PEL_CLIENT_APPS_MAX    8
#define PEL_SERVED_BACKLOG_MAX 4096

struct pel_served;
struct pel_serve_engine;

/* One user's share. S. */
struct pel_serve_user {
    struct pel_list link;
    uint32_t uid, num_sockets, num_clients;
};

/* A program with the children that it forked: one segment. */
struct pel_serve_app {
    struct pel_list link; /* S: the service's */
    struct pel_serve *serve;
    struct pel_serve_user *user;
    uint32_t number, refs; /* S: refs of clients and sockets */
    bool has_bypassed;     /* S: that it did was said */
    /* Other applications that processes of this one were part of, as far as they showed sockets of theirs. S
     * writes, the number last; E reads. */
    uint32_t kin[PEL_CLIENT_APPS_MAX], num_kin;
    int memfd;
    void *base;
    struct pel_segment_header header; /* ours: the one in the segment is never read again */
    int bells[PEL_SEGMENT_ENGINES_MAX];
    int waker_fds[PEL_SEGMENT_WAKERS]; /* atomic; -1: none; replaced by dup3, so that a number stays */
    /* By slot. S writes, atomic; E reads. An array of header.num_sockets. */
    struct pel_served **sockets;
    uint32_t *free_slots; /* S: a stack of slots that were used; those from num_used on never were */
    uint32_t num_free, num_used;
    struct pel_serve_app_engine *engines; /* an array of num_engines; E of each */
};

/* An application as one engine sees it. E. */
struct pel_serve_app_engine {
    struct pel_list link; /* of those that it looks at every loop, or of those that must ring */
    struct pel_serve_app *app;
    struct pel_doorbell *doorbell;
    uint64_t last_rung_cycles;
    bool is_awake; /* in the first list */
    bool has_bell;
};

/* An engine as the service sees it. E, but for the fields said. */
struct pel_serve_engine {
    struct pel_serve *serve;
    struct pel_engine *engine; /* constant */
    uint32_t index;            /* constant */
    int bells_fd;              /* constant: an epoll set of the bells */
    struct pel_list awake, asleep;
    uint64_t next_bells_cycles;
    const struct pel_served *last_kicked; /* to compare with, never to look into: it may be gone */
    uint32_t num_kicks_alone;             /* that came from it in a row */
    uint8_t *scratch;                     /* a datagram, or a turn of the ring */
};

enum pel_served_kind { PEL_SERVED_STREAM, PEL_SERVED_LISTENER, PEL_SERVED_DGRAM };

/* Bits of pel_served.noted. */
#define PEL_NOTE_NEW  1u /* an accepted connection wants a slot */
#define PEL_NOTE_FULL 4u /* a listener's backlog is full, by the program's count */
#define PEL_NOTE_ENDED                                                                                       \
    2u /* the engine has let go of it after `over`: it can be freed, unless `give_up` is posted */
#define PEL_NOTE_GAVE_UP 8u /* the same after `give_up`, which comes last */

/* One name in the table of bound ports. S. */
struct pel_serve_name {
    struct pel_list link; /* into the table's row */
    struct pel_endpoint local;
    bool is_bound, is_stream, is_v6only, is_reuseaddr, is_reuseport, is_listening;
    uint32_t uid;
};

/* A listening socket on one engine, or several sockets that share the port (SO_REUSEPORT). */
struct pel_serve_port;

struct pel_served {
    enum pel_served_kind kind; /* S; constant once an engine knows it */
    struct pel_serve_app *app; /* constant */
    struct pel_list link;      /* S: the service's list */
    uint32_t number, serial;   /* constant once it has a slot */
    int family;                /* constant */
    int channel;               /* S: our end; -1: over */
    uint64_t cookie;           /* S: SO_COOKIE of the program's end */
    struct pel_slot *slot;     /* atomic; NULL: an accepted one that has none yet */
    struct pel_ring rx, tx;
    struct pel_serve_name name;    /* S */
    struct pel_serve_engine *home; /* S sets it before the engine knows of it */
    char user[64], job[64];        /* whose it is, for the policy; constant once an engine knows it, as pid */
    int32_t pid;                   /* the process that made it, in the kernel's words */

    /* S: an accepted one, until its program has been told. */
    struct pel_served *listener;
    struct pel_list waiting;
    struct pel_endpoint peer;
    int theirs; /* the program's end of its channel, until it has been sent */

    /* To the engine: close or abort, once. */
    struct pel_task over, give_up;
    bool is_abort;       /* S sets it before it posts */
    bool is_over;        /* S: `over` is posted */
    uint32_t num_posted; /* S: of the two tasks */
    uint32_t num_run;    /* E */
    uint64_t over_us;    /* S: when */

    /* To the service. */
    struct pel_served *next_note;
    uint32_t noted; /* atomic */

    /* A stream. E. */
    struct pel_conn *conn;
    uint32_t rx_head, tx_tail; /* our own: what stands in the slot is for the program */
    uint32_t gone_err;         /* atomic: enum pel_err + 1 with which it ended; 0: it has not */
    bool is_open, is_accepted, is_shut_asked, is_shut_done, is_close_asked;
    uint32_t wish;    /* TTLS_INIT_CONNECTION or TTLS_STOP_CONNECTION; 0: none */
    uint32_t wish_at; /* tx_tail at which it is granted */
    bool is_start_timeout_allowed;

    /* A listener. S. */
    struct pel_serve_port *port;
    struct pel_list waiting_accepts; /* of pel_served.waiting: those that found the channel full */
    uint32_t num_sent;               /* atomic: accepted connections that went into the channel */
    uint32_t num_pending;            /* atomic: accepted by engines, not yet told to the program */
    uint32_t backlog;                /* atomic */

    /* A UDP socket: the engines' sockets, one an engine; and who of them writes into the ring. */
    struct pel_served_dgram *dgram;
};

struct pel_serve_client {
    struct pel_list link;
    int fd;
    uint32_t uid;
    int32_t pid;
    char user[64], job[64];
    struct pel_serve_user *share;
    struct pel_serve_app *apps[PEL_CLIENT_APPS_MAX]; /* [0]: by HELLO or JOIN */
    size_t num_apps;
    uint64_t connected_us;
};

struct pel_serve {
    struct pel_serve_config config;
    struct pel_clock clock;
    pthread_t thread;
    bool has_thread;
    int listen_fd, epoll_fd, note_fd;
    char *path;               /* of the attach socket, once it is ours */
    uint32_t is_stopping;     /* atomic */
    struct pel_served *notes; /* atomic: a stack that engines push onto */
    uint32_t num_served;      /* atomic: sockets that exist, with those that have no slot yet */
    struct pel_list apps, clients, users, sockets;
    struct pel_list closing; /* of pel_served.waiting: over, and what was written not delivered yet */
    uint32_t next_app;
    size_t num_silent;      /* clients that have not attached yet */
    struct pel_list *names; /* 65536 rows of pel_serve_name by port */
    uint16_t next_port;
    uint32_t overflow; /* constant: how many wait beyond a listener's backlog */
    uint64_t
        patience_us; /* constant: how long what a program wrote before it closed may take to be delivered */
    size_t turn;     /* whose turn a connect is */
    struct pel_serve_report report; /* atomic each */
    struct pel_counters counters;   /* S */
    size_t num_engines;
    struct pel_serve_engine engines[];
};

/* ---- app.c. S unless said. ---- */

/* pel_serve_app_new makes an application with a reference for the caller. Errors: NO_MEMORY, IO. */
PEL_MUST_USE enum pel_err pel_serve_app_new(struct pel_serve *serve, struct pel_serve_user *user,
                                            struct pel_serve_app **ret_app);
void pel_serve_app_ref(struct pel_serve_app *app);
void pel_serve_app_unref(struct pel_serve_app *app);

/* pel_serve_user_get finds or makes a user's share; NULL when out of memory. */
struct pel_serve_user *pel_serve_user_get(struct pel_serve *serve, uint32_t uid);

/* pel_served_new makes a socket without slot or channel. Any thread. What the service knows of holds a
 * reference to its application, which pel_served_free gives up. NULL: out of memory. */
struct pel_served *pel_served_new(struct pel_serve_app *app, enum pel_served_kind kind, int family);

/* pel_served_discard frees one that nobody else knows yet, without a slot. Any thread. */
void pel_served_discard(struct pel_served *served);

/* pel_served_place gives it a slot and a channel, of which `ret_channel` is the program's end. Errors: QUOTA,
 * NO_MEMORY, IO. */
PEL_MUST_USE enum pel_err pel_served_place(struct pel_served *served, int *ret_channel);

/* pel_served_over ends it: its channel has ended, or it could never be used. */
void pel_served_over(struct pel_served *served);

/* pel_served_give_up resets one that is over and goes on to deliver what was written. */
void pel_served_give_up(struct pel_served *served);

/* pel_served_free gives back slot, name and memory, once no engine can be looking at it: a program may ring
 * for any of its sockets at any time. pel_served_free_all does so for a list, linked by next_note, at the
 * price of one. Of each, no engine has anything to note any more. */
void pel_served_free(struct pel_served *served);
void pel_served_free_all(struct pel_serve *serve, struct pel_served *first);

/* ---- duty.c: on the engine's thread, or as said. ---- */

/* pel_serve_engines_start gives every engine its duty, pel_serve_engines_stop takes it. S. */
PEL_MUST_USE enum pel_err pel_serve_engines_start(struct pel_serve *serve, struct pel_error *reterr);
void pel_serve_engines_stop(struct pel_serve *serve);

/* pel_serve_engines_add and _remove have every engine look at an application's doorbells, or look no more. S.
 */
void pel_serve_engines_add(struct pel_serve_app *app);
void pel_serve_engines_remove(struct pel_serve_app *app);

/* pel_served_wake tells the program's threads that watch the socket. Any thread. */
void pel_served_wake(struct pel_served *served);

/* pel_served_set_state adds bits to the slot's state and wakes. Any thread. */
void pel_served_set_state(struct pel_served *served, uint32_t bits);

/* pel_served_note leaves the service a note; false: there is one already that it has not taken. Any thread.
 */
bool pel_served_note(struct pel_served *served, uint32_t bits);

/* ---- stream.c ---- */

/* pel_served_kick does what the program asked for. The home's thread. */
void pel_served_stream_kick(struct pel_served *served);

/* pel_served_stream_connect opens the connection; on the home's thread, by pel_engine_call. */
struct pel_served_connect_args {
    struct pel_served *served;
    struct sockaddr_storage local, remote; /* local: AF_UNSPEC: chosen; out: what was chosen */
    const char *server_name;
    enum pel_err err;
};
void pel_served_stream_connect(struct pel_engine *engine, void *arg);

/* pel_served_stream_accept takes an inbound connection; the home's thread. */
void pel_served_stream_accept(struct pel_served *served, struct pel_conn *conn);

/* pel_served_stream_over is what either task does that ends it. */
void pel_served_stream_over(struct pel_served *served);

/* pel_served_stream_control does what the program asks of TLS; on the home's thread, by pel_engine_call. */
struct pel_served_control_args {
    struct pel_served *served;
    uint32_t request; /* TTLS_* */
    struct pel_ttls_facts facts;
    uint8_t *cert; /* facts.cert_len bytes for the caller to free; NULL: none, or not asked for */
    bool is_taken_back;
    uint32_t rx_tail;
    int error; /* an errno */
};
void pel_served_stream_control(struct pel_engine *engine, void *arg);

/* pel_served_ttls asks the engine, and fills the reply; `ret_fd` gets a file with the peer's certificate, for
 * the caller to close; -1: none. Returns 0 or an errno. S. */
int pel_served_ttls(struct pel_served *served, uint32_t request, struct pel_ipc_reply *reply, int *ret_fd);

/* pel_served_give_slot tells the engine's side the slot of an accepted connection. S. */
void pel_served_give_slot(struct pel_served *served);

/* ---- accept.c. S unless said. ---- */

/* pel_served_listen makes a bound socket listen on every engine. Errors: those of pel_engine_listen. */
PEL_MUST_USE enum pel_err pel_served_listen(struct pel_served *served, uint32_t backlog);

/* pel_served_unlisten ends that; afterwards no engine knows it. Its name stays; and it is freed when it is
 * over and nothing is on the way to it. */
void pel_served_unlisten(struct pel_served *served);

/* pel_served_new_conn acts on PEL_NOTE_NEW. */
void pel_served_new_conn(struct pel_served *served);

/* pel_served_look_again acts on PEL_NOTE_FULL: asks the kernel whether the listener's channel is empty after
 * all. */
void pel_served_look_again(struct pel_served *listener);

/* pel_served_send_waiting goes on with what found a listener's channel full. */
void pel_served_send_waiting(struct pel_served *listener);

/* ---- dgram.c ---- */

/* pel_served_dgram_open binds a UDP socket on every engine; served->name.local is where, and gets the port.
 * S. */
PEL_MUST_USE enum pel_err pel_served_dgram_open(struct pel_served *served);
void pel_served_dgram_close(struct pel_served *served); /* S */
void pel_served_dgram_connect(struct pel_served *served,
                              const struct pel_endpoint *peer); /* S; NULL: no peer */
void pel_served_dgram_kick(struct pel_served *served);          /* E */

/* ---- names.c. S. ---- */

/* pel_serve_names_new makes the table; NULL: out of memory. */
struct pel_list *pel_serve_names_new(void);

/* pel_serve_name_take enters `name`, and chooses a port when it has none. ADDRESS_IN_USE, NO_LOCAL_PORT. */
PEL_MUST_USE enum pel_err pel_serve_name_take(struct pel_serve *serve, struct pel_serve_name *name);

/* pel_serve_name_inherit enters the name of an accepted connection, whose local endpoint is set. */
void pel_serve_name_inherit(struct pel_serve *serve, struct pel_serve_name *name,
                            const struct pel_serve_name *listener);

/* pel_serve_name_may_listen tells whether another socket listens there without leave to share. */
bool pel_serve_name_may_listen(struct pel_serve *serve, const struct pel_serve_name *name);
void pel_serve_name_release(struct pel_serve_name *name);

/* ---- requests.c. S. ---- */

/* pel_serve_request does what a client asks for and answers; false: the client is to be dropped. */
bool pel_serve_request(struct pel_serve *serve, struct pel_serve_client *client,
                       const struct pel_ipc_request *request, const int *fds, size_t num_fds);

/* ---- service.c ---- */

/* pel_serve_watch has the service told of the end of a socket's channel, and of `events`. S. */
bool pel_serve_watch(struct pel_serve *serve, int fd, uint32_t events, struct pel_served *served);

/* pel_serve_log says a line. S. */
void pel_serve_log(struct pel_serve *serve, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
