/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client of the control socket, as the server sees it: bytes in until a line is whole, the handler, bytes
 * out until the reply has gone, and again. Never blocks; what a client may cost is bounded in bytes
 * (requests) and in time.
 *
 * Belongs to the control thread.
 */
#ifndef PEL_STACK_CONTROL_CLIENT_SLOT_H
#define PEL_STACK_CONTROL_CLIENT_SLOT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "stack/control_server.h"

struct pel_control_slot {
    int fd;
    bool is_last;         /* the connection ends after the reply that is being sent */
    bool is_broken;       /* the client is gone or hopeless */
    uint64_t deadline_ms; /* by then the request must be whole, or the reply must have moved */
    char *in;
    size_t in_len, in_cap, in_scanned;
    char *out; /* NULL: no reply is being sent */
    size_t out_len, out_sent;
};

/* pel_control_slot_open takes over `fd` (non-blocking). A client of another user gets its refusal as its
 * first reply. */
void pel_control_slot_open(struct pel_control_slot *slot, int fd, uint64_t at_ms);

/* pel_control_slot_events returns what to poll for. */
short pel_control_slot_events(const struct pel_control_slot *slot);

/* pel_control_slot_run reads, answers and writes as far as it goes without waiting. The handler may take
 * long: a reply's time begins when there is one. */
void pel_control_slot_run(struct pel_control_slot *slot, pel_control_handler_fn *handler, void *arg,
                          const struct pel_clock *clock);

/* pel_control_slot_is_done tells whether the connection is over or out of time. */
bool pel_control_slot_is_done(const struct pel_control_slot *slot, uint64_t at_ms);

/* pel_control_slot_close closes the descriptor and frees what it holds. */
void pel_control_slot_close(struct pel_control_slot *slot);

#endif
