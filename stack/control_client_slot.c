/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/control_client_slot.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t now_ms(const struct pel_clock *clock)
{
    return pel_clock_now_us(clock) / 1000;
}

/* Takes over `reply` (may be NULL: out of memory) and appends the newline. */
static void queue_reply(struct pel_control_slot *slot, char *reply, uint64_t at_ms)
{
    size_t len = reply != NULL ? strlen(reply) : 0;
    char *line = reply != NULL ? realloc(reply, len + 2) : NULL;
    if (line == NULL) {
        free(reply);
        slot->is_broken = true;
        return;
    }
    line[len] = '\n';
    line[len + 1] = '\0';
    slot->out = line;
    slot->out_len = len + 1;
    slot->out_sent = 0;
    slot->deadline_ms = at_ms + PEL_CONTROL_CLIENT_TIMEOUT_MS;
}

static void queue_error(struct pel_control_slot *slot, const char *text, uint64_t at_ms)
{
    json_t *reply = json_pack("{s:b, s:s}", "ok", 0, "error", text);
    char *line = reply != NULL ? json_dumps(reply, JSON_COMPACT) : NULL;
    json_decref(reply);
    queue_reply(slot, line, at_ms);
}

static bool peer_is_allowed(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
           (cred.uid == 0 || cred.uid == geteuid());
}

void pel_control_slot_open(struct pel_control_slot *slot, int fd, uint64_t at_ms)
{
    *slot = (struct pel_control_slot){.fd = fd, .deadline_ms = at_ms + PEL_CONTROL_CLIENT_TIMEOUT_MS};
    if (peer_is_allowed(fd))
        return;
    slot->is_last = true;
    queue_error(slot, "only root and the user that runs the stack may ask", at_ms);
}

short pel_control_slot_events(const struct pel_control_slot *slot)
{
    /* What was read with an earlier request and not looked at yet brings no POLLIN: being writable wakes us
     * for it. */
    return slot->out != NULL || slot->in_len > slot->in_scanned ? POLLOUT : POLLIN;
}

bool pel_control_slot_is_done(const struct pel_control_slot *slot, uint64_t at_ms)
{
    return slot->is_broken || at_ms >= slot->deadline_ms;
}

void pel_control_slot_close(struct pel_control_slot *slot)
{
    close(slot->fd);
    free(slot->in);
    free(slot->out);
}

/* Sends what is left of the reply. Returns true when all of it has gone. */
static bool send_reply(struct pel_control_slot *slot, uint64_t at_ms)
{
    while (slot->out_sent < slot->out_len) {
        ssize_t num =
            send(slot->fd, slot->out + slot->out_sent, slot->out_len - slot->out_sent, MSG_NOSIGNAL);
        if (num < 0 && errno == EINTR)
            continue;
        if (num < 0) {
            slot->is_broken = errno != EAGAIN;
            return false;
        }
        slot->out_sent += (size_t)num;
        slot->deadline_ms = at_ms + PEL_CONTROL_CLIENT_TIMEOUT_MS;
    }
    free(slot->out);
    slot->out = NULL;
    slot->is_broken = slot->is_last;
    return !slot->is_broken;
}

/* Room for more of the request: doubling, and at most one byte over the limit, by which the excess is
 * seen. */
static bool grow(struct pel_control_slot *slot)
{
    size_t cap = slot->in_cap == 0 ? 4096 : slot->in_cap * 2;
    if (cap > PEL_CONTROL_REQUEST_MAX_LEN + 1)
        cap = PEL_CONTROL_REQUEST_MAX_LEN + 1;
    char *in = realloc(slot->in, cap);
    if (in == NULL)
        return false;
    slot->in = in;
    slot->in_cap = cap;
    return true;
}

/* Reads once. Returns true when bytes came. */
static bool receive(struct pel_control_slot *slot)
{
    if (slot->in_len == slot->in_cap && !grow(slot)) {
        slot->is_broken = true;
        return false;
    }
    ssize_t num = recv(slot->fd, slot->in + slot->in_len, slot->in_cap - slot->in_len, 0);
    if (num > 0) {
        slot->in_len += (size_t)num;
        return true;
    }
    slot->is_broken = num == 0 || (errno != EAGAIN && errno != EINTR);
    return false;
}

/* Answers the request `line`, or says what is wrong with it. */
static void answer(struct pel_control_slot *slot, const char *line, size_t len,
                   pel_control_handler_fn *handler, void *arg, const struct pel_clock *clock)
{
    json_error_t json_error;
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &json_error);
    char *text = NULL, *reply = NULL;
    if (request == NULL) {
        char message[JSON_ERROR_TEXT_LENGTH + 64];
        snprintf(message, sizeof message, "the request is no JSON object: column %d: %s", json_error.column,
                 json_error.text);
        queue_error(slot, message, now_ms(clock));
    } else if (!json_is_string(json_object_get(request, "verb"))) {
        queue_error(slot, "the request has no \"verb\"", now_ms(clock));
    } else {
        text = json_dumps(request, JSON_COMPACT);
        if (text != NULL)
            handler(arg, text, &reply);
        queue_reply(slot, reply, now_ms(clock));
    }
    free(text);
    json_decref(request);
}

/* Answers the first whole line, if there is one. Returns true when it did. */
static bool take_line(struct pel_control_slot *slot, pel_control_handler_fn *handler, void *arg,
                      const struct pel_clock *clock)
{
    if (slot->in_len == slot->in_scanned)
        return false;
    char *end = memchr(slot->in + slot->in_scanned, '\n', slot->in_len - slot->in_scanned);
    slot->in_scanned = slot->in_len;
    if (end == NULL && slot->in_len <= PEL_CONTROL_REQUEST_MAX_LEN)
        return false;
    if (end == NULL) {
        slot->is_last = true;
        slot->in_len = slot->in_scanned = 0;
        queue_error(slot, "the request is longer than 1 MiB", now_ms(clock));
        return true;
    }
    size_t len = (size_t)(end - slot->in);
    answer(slot, slot->in, len, handler, arg, clock);
    memmove(slot->in, end + 1, slot->in_len - len - 1);
    slot->in_len -= len + 1;
    slot->in_scanned = 0;
    return true;
}

void pel_control_slot_run(struct pel_control_slot *slot, pel_control_handler_fn *handler, void *arg,
                          const struct pel_clock *clock)
{
    /* One request a turn, so that a client that asks without end cannot keep the others waiting. */
    if (slot->out != NULL && !send_reply(slot, now_ms(clock)))
        return;
    while (!take_line(slot, handler, arg, clock)) {
        if (!receive(slot))
            return;
    }
    if (!slot->is_broken)
        (void)send_reply(slot, now_ms(clock));
}
