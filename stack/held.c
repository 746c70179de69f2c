/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/held.h"

#include <stdio.h>
#include <string.h>

void pel_held_init(struct pel_held *held)
{
    memset(held, 0, sizeof *held);
    pthread_mutex_init(&held->lock, NULL);
}

void pel_held_fini(struct pel_held *held)
{
    pthread_mutex_destroy(&held->lock);
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* A server's places are told apart; where a client wanted to go is not, since that may be anywhere, and its
 * processes are not, since whoever ends with an error may be started again and again. */
static bool is_same(const struct pel_held_row *row, const struct pel_identity *who, enum pel_held_what what,
                    const struct pel_endpoint *endpoint)
{
    return row->what == what && (what == PEL_HELD_CONNECT || row->endpoint.port == endpoint->port) &&
           strncmp(row->user, or_empty(who->user), sizeof row->user - 1) == 0 &&
           strncmp(row->job, or_empty(who->job), sizeof row->job - 1) == 0;
}

static struct pel_held_row *row_of(struct pel_held *held, const struct pel_identity *who,
                                   enum pel_held_what what, const struct pel_endpoint *endpoint,
                                   int64_t now_s)
{
    for (size_t i = 0; i < held->num_rows; i++)
        if (is_same(&held->rows[i], who, what, endpoint))
            return &held->rows[i];
    if (held->num_rows == PEL_HELD_ROWS)
        return NULL;
    struct pel_held_row *row = &held->rows[held->num_rows++];
    *row = (struct pel_held_row){.what = what, .first_s = now_s};
    snprintf(row->user, sizeof row->user, "%s", or_empty(who->user));
    snprintf(row->job, sizeof row->job, "%s", or_empty(who->job));
    return row;
}

void pel_held_note(struct pel_held *held, const struct pel_identity *who, enum pel_held_what what,
                   const struct pel_endpoint *endpoint, int64_t now_s)
{
    pthread_mutex_lock(&held->lock);
    struct pel_held_row *row = row_of(held, who, what, endpoint, now_s);
    if (row != NULL) {
        row->endpoint = *endpoint;
        row->pid = who->pid;
        row->count++;
        row->last_s = now_s;
    } else {
        held->num_others++;
    }
    pthread_mutex_unlock(&held->lock);
}

size_t pel_held_copy(struct pel_held *held, struct pel_held_row ret_rows[PEL_HELD_ROWS],
                     uint64_t *ret_num_others)
{
    pthread_mutex_lock(&held->lock);
    size_t num = held->num_rows;
    memcpy(ret_rows, held->rows, num * sizeof *ret_rows);
    *ret_num_others = held->num_others;
    pthread_mutex_unlock(&held->lock);
    return num;
}

const char *pel_held_what_name(enum pel_held_what what)
{
    static const char *const names[] = {
        [PEL_HELD_CONNECT] = "connect", [PEL_HELD_LISTEN] = "listen", [PEL_HELD_ACCEPT] = "accept"};
    return names[what];
}
