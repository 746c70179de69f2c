/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of rps, connections and memory: connections in a row, of which a number at a time ask for
 * LOAD_REPLY_LEN bytes. Whoever is answered hands its turn to the next connection of the row that is not
 * asking, so that all of the row take part alike.
 */
#ifndef PEL_BENCH_ASK_H
#define PEL_BENCH_ASK_H

#include "bench/load.h"

struct asker;

struct askers {
    struct load *load;
    struct asker *row;     /* room for `max_num` */
    uint32_t max_num, num; /* `num` connections exist, or are being opened */
    uint32_t num_wanted;   /* to be opened */
    uint32_t active, next; /* the first `active` of the row ask; whose turn is next */
    uint32_t num_asking;   /* requests under way */
    uint64_t num_open;     /* may be read by others */
    uint64_t num_answered; /* may be read by others */
    uint64_t num_idle;     /* 1 when nothing is under way and nothing shall be; may be read by others */
    bool running;
};

/* askers_init prepares for up to `max_num` connections; ends the program without memory. */
void askers_init(struct askers *askers, struct load *load, uint32_t max_num);

/* askers_open opens connections until there are `num` and waits for them; false when some failed. Main
 * thread. */
bool askers_open(struct askers *askers, uint32_t num);

/* askers_start has the first `active` connections ask, `in_flight` at a time; askers_stop lets what is under
 * way be answered and waits for that. Main thread. */
void askers_start(struct askers *askers, uint32_t active, uint32_t in_flight);
bool askers_stop(struct askers *askers);

/* askers_free frees the row, after load_close. */
void askers_free(struct askers *askers);

#endif
