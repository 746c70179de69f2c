/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process has open beside the kernel's own: sockets of the stack, sockets of which it is not decided
 * yet where they belong, and epoll sets. A file is one open file description as this process knows it;
 * several descriptor numbers may lead to it (dup), and other processes may have it too (fork): what they
 * share stands in the slot (ipc/segment.h), what stands here is this process's view.
 *
 * The number that the program has is a kernel descriptor: of a socket of the stack, its channel's; of an
 * undecided one, a socket of the kernel with which nothing has been done yet (options that the program sets
 * go there and are read back when it is decided); of an epoll set, an epoll instance of the kernel, which
 * holds the kernel's members and our wakers. A number without a file is the kernel's alone.
 *
 * Where a socket belongs is decided at bind, connect, listen or the first datagram: addresses in the networks
 * that the daemon named (loopback) belong to the kernel, all others and the wildcard to the stack.
 */
#ifndef PEL_PRELOAD_FILE_H
#define PEL_PRELOAD_FILE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc/ring.h"
#include "ipc/segment.h"

struct pel_epoll;  /* epoll.c */
struct pel_member; /* epoll.c: one file in one set */

/* An application of the daemon's: a segment that is mapped here. A process has one of its own, and perhaps
 * others that came with inherited sockets. Never freed while the process lives. */
struct pel_app {
    void *base;
    struct pel_segment_header header; /* a copy */
    int bells[PEL_SEGMENT_ENGINES_MAX];
    uint32_t is_gone; /* atomic: the daemon has died; every socket of it is at its end (ECONNRESET) */
};

enum pel_file_kind {
    PEL_FILE_UNDECIDED, /* the kernel's, until decided */
    PEL_FILE_STREAM,    /* a TCP socket of the stack: bound, connecting or connected */
    PEL_FILE_LISTENER,  /* its channel brings connections; readable by the kernel's word */
    PEL_FILE_DGRAM,     /* a UDP socket of the stack */
    PEL_FILE_EPOLL
};

struct pel_file {
    uint32_t kind; /* enum pel_file_kind; atomic: changes from UNDECIDED once, from STREAM to LISTENER once */
    uint32_t refs; /* atomic: numbers that lead here, and calls under way */
    uint32_t num_fds;    /* numbers of this process that lead here; under the table's lock */
    struct pel_app *app; /* of a socket of the stack */
    uint32_t number, serial;
    struct pel_slot *slot;
    struct pel_ring rx, tx;
    struct pel_epoll *epoll; /* of a set */
    /* Sets that it is a member of, and numbers under which; epoll.c's, under `lock`. */
    struct pel_member *members;
    pthread_mutex_t lock;
    /* The core's own, under the table's lock. */
    int fd;        /* one of the numbers that lead here; -1: none does any more */
    int parked_fd; /* the channel, while calls are under way on a socket whose last number was closed */
    uint16_t family, type;      /* of an undecided socket */
    bool is_name_free;          /* the last holder has left, and its name is to be given back */
    bool is_counted;            /* a child that is being forked is counted as a holder of the slot */
    uint32_t is_left;           /* this process is no holder of the slot any more */
    struct pel_file *next_free; /* of those that are in no use */
};

/* pel_file_get returns the file behind `fd` with a reference, or NULL: the kernel's. Any thread; a load and
 * an atomic add. pel_file_put gives the reference up. */
struct pel_file *pel_file_get(int fd);
void pel_file_put(struct pel_file *file);

/* pel_file_events returns what is ready of POLLIN, POLLOUT, POLLERR, POLLHUP, POLLRDHUP, POLLRDNORM,
 * POLLWRNORM, POLLPRI as poll(2) would report it, for a stream, listener or datagram socket (of a listener by
 * a look at its channel). When POLLOUT is `wanted` and not ready, it has set wants_room and looked again. A
 * first look at an accepted socket is its mapping point: asks the daemon to MAP. Never waits. Any thread. */
uint32_t pel_file_events(struct pel_file *file, uint32_t wanted);

/* pel_file_kick has the engine look at the socket: rings its doorbell, after the caller has written what
 * there is to see. Any thread; async-signal-safe. */
void pel_file_kick(struct pel_file *file);

/* pel_file_install makes `fd`, a kernel descriptor that is not in the table, lead to `file`, whose one
 * reference the number takes over. For epoll.c (new sets). 0 or ENFILE. Any thread. */
int pel_file_install(int fd, struct pel_file *file);

#endif
