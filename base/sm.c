/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sm.h"

#include <stdio.h>
#include <stdlib.h>

static void die(const struct pel_sm *sm, uint8_t state)
{
    const char *to = state < sm->num_rows ? sm->rows[state].name : "(no such state)";
    fprintf(stderr, "pellucid: state machine: forbidden move %s -> %s\n", sm->rows[sm->state].name, to);
    abort();
}

void pel_sm_init(struct pel_sm *sm, const struct pel_sm_row *rows, uint8_t num_rows, uint8_t state)
{
    sm->rows = rows;
    sm->num_rows = num_rows;
    sm->state = 0;
    if (state >= num_rows || !(rows[state].flags & PEL_SM_INITIAL))
        die(sm, state);
    sm->state = state;
}

bool pel_sm_may(const struct pel_sm *sm, uint8_t state)
{
    return state < sm->num_rows && (sm->rows[sm->state].successors & PEL_SM_TO(state)) != 0;
}

void pel_sm_move(struct pel_sm *sm, uint8_t state)
{
    if (!pel_sm_may(sm, state))
        die(sm, state);
    sm->state = state;
}

const char *pel_sm_name(const struct pel_sm *sm)
{
    return sm->rows[sm->state].name;
}
