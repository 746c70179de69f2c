/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom the start gate holds. Until a policy is loaded no connection is made or accepted; who is turned away
 * is remembered, so that `pel doctor` can name the programs that came too early and may have given up. The
 * list is the stack's, of all engines, and stays when a policy comes. Only those who are turned away lock it.
 */
#ifndef PEL_STACK_HELD_H
#define PEL_STACK_HELD_H

#include <pellucid/engine.h>
#include <pthread.h>

#include "base/addr.h"

#define PEL_HELD_ROWS 64

enum pel_held_what {
    PEL_HELD_CONNECT, /* a connect that was refused */
    PEL_HELD_LISTEN,  /* a listen that was refused */
    PEL_HELD_ACCEPT,  /* a connection from outside, to who listens already, that was reset */
};

/* One program doing one thing. */
struct pel_held_row {
    char user[64], job[64]; /* "": unknown */
    enum pel_held_what what;
    struct pel_endpoint endpoint; /* of the last: where to, or where it listens */
    int pid;                      /* of the last: who made the socket; 0: unknown */
    uint64_t count;
    int64_t first_s, last_s; /* seconds since 1970 UTC */
};

struct pel_held {
    pthread_mutex_t lock;
    /* Under the lock. Rows in the order in which they came; `num_others`: calls for which there was none. */
    struct pel_held_row rows[PEL_HELD_ROWS];
    size_t num_rows;
    uint64_t num_others;
};

/* pel_held_init makes an empty list, pel_held_fini ends it. */
void pel_held_init(struct pel_held *held);
void pel_held_fini(struct pel_held *held);

/* pel_held_note remembers one more. Any thread. */
void pel_held_note(struct pel_held *held, const struct pel_identity *who, enum pel_held_what what,
                   const struct pel_endpoint *endpoint, int64_t now_s);

/* pel_engine_note_held remembers one that an engine has turned away. `who` NULL: the program that hosts the
 * engine. The engine's thread only. */
void pel_engine_note_held(struct pel_engine *engine, const struct pel_identity *who, enum pel_held_what what,
                          const struct pel_endpoint *endpoint);

/* pel_held_copy copies the rows out; returns their number. Any thread. */
size_t pel_held_copy(struct pel_held *held, struct pel_held_row ret_rows[PEL_HELD_ROWS],
                     uint64_t *ret_num_others);

/* pel_held_what_name returns "connect", "listen" or "accept"; static. */
const char *pel_held_what_name(enum pel_held_what what);

#endif
