/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State machines as rows: each state names the states that may follow it, and an invariant is checked after
 * every move. Only pel_sm_move writes a state. A forbidden move is a bug of ours, never of a peer: it aborts
 * with both names.
 */
#ifndef PEL_BASE_SM_H
#define PEL_BASE_SM_H

#include <stdbool.h>
#include <stdint.h>

/* At most 32 states a machine: successors are one bit each. */
#define PEL_SM_TO(state) (1u << (state))

enum pel_sm_flags { PEL_SM_INITIAL = 1, PEL_SM_FINAL = 2 };

struct pel_sm_row {
    const char *name;
    uint32_t successors;
    uint32_t flags;
};

struct pel_sm {
    const struct pel_sm_row *rows;
    uint8_t num_rows;
    uint8_t state;
};

/* pel_sm_init puts `sm` in `state`, which must be an initial row. Borrows `rows`, which must outlive `sm`. */
void pel_sm_init(struct pel_sm *sm, const struct pel_sm_row *rows, uint8_t num_rows, uint8_t state);

/* pel_sm_may tells whether `sm` may move to `state` from where it is. */
bool pel_sm_may(const struct pel_sm *sm, uint8_t state);

/* pel_sm_move moves `sm` to `state`; aborts when the row of the present state does not allow it. */
void pel_sm_move(struct pel_sm *sm, uint8_t state);

/* pel_sm_name returns the name of the present state; static. */
const char *pel_sm_name(const struct pel_sm *sm);

#endif
