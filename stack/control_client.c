/* SPDX-License-Identifier: Apache-2.0 */
#include <pellucid/control.h>

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "stack/control_path.h"

#define REPLY_MAX_LEN   ((size_t)64 << 20)
#define CALL_TIMEOUT_MS 10000

/* One call under way. */
struct call {
    int fd;
    const char *path;
    struct pel_clock clock;
    uint64_t deadline_ms;
    struct pel_error *reterr;
};

static enum pel_err await(const struct call *call, short events)
{
    for (;;) {
        uint64_t now_ms = pel_clock_now_us(&call->clock) / 1000;
        if (now_ms >= call->deadline_ms)
            return pel_error_set(call->reterr, PEL_E_CONTROL_UNREACHABLE,
                                 "the stack at %s did not answer within %d s", call->path,
                                 CALL_TIMEOUT_MS / 1000);
        struct pollfd fd = {.fd = call->fd, .events = events};
        int num = poll(&fd, 1, (int)(call->deadline_ms - now_ms));
        if (num > 0)
            return PEL_OK;
        if (num < 0 && errno != EINTR)
            return pel_error_set(call->reterr, PEL_E_CONTROL_UNREACHABLE, "cannot wait for %s: %s",
                                 call->path, strerror(errno));
    }
}

static enum pel_err lost(const struct call *call, const char *why)
{
    return pel_error_set(call->reterr, PEL_E_CONTROL_UNREACHABLE, "the stack at %s ended the call: %s",
                         call->path, why);
}

static enum pel_err send_line(const struct call *call, const char *line, size_t len)
{
    while (len > 0) {
        ssize_t num = send(call->fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (num > 0) {
            line += num;
            len -= (size_t)num;
        } else if (errno == EAGAIN) {
            PEL_TRY(await(call, POLLOUT));
        } else if (errno != EINTR) {
            return lost(call, strerror(errno));
        }
    }
    return PEL_OK;
}

struct reply {
    char *bytes;
    size_t len, cap;
};

static enum pel_err grow(const struct call *call, struct reply *reply)
{
    if (reply->cap > REPLY_MAX_LEN)
        return pel_error_set(call->reterr, PEL_E_TOO_BIG, "the reply of %s is longer than 64 MiB",
                             call->path);
    size_t cap = reply->cap == 0 ? 65536 : reply->cap * 2;
    char *bytes = realloc(reply->bytes, cap);
    if (bytes == NULL)
        return pel_error_set(call->reterr, PEL_E_NO_MEMORY, "out of memory for the reply of %s", call->path);
    reply->bytes = bytes;
    reply->cap = cap;
    return PEL_OK;
}

/* Reads up to the newline, which becomes the text's end. */
static enum pel_err receive_line(const struct call *call, struct reply *reply)
{
    for (;;) {
        if (reply->len == reply->cap)
            PEL_TRY(grow(call, reply));
        ssize_t num = recv(call->fd, reply->bytes + reply->len, reply->cap - reply->len, MSG_DONTWAIT);
        if (num == 0)
            return lost(call, "its end of the connection closed before the reply was whole");
        if (num < 0 && errno == EAGAIN) {
            PEL_TRY(await(call, POLLIN));
            continue;
        }
        if (num < 0 && errno == EINTR)
            continue;
        if (num < 0)
            return lost(call, strerror(errno));
        char *end = memchr(reply->bytes + reply->len, '\n', (size_t)num);
        reply->len += (size_t)num;
        if (end != NULL) {
            *end = '\0';
            return PEL_OK;
        }
    }
}

/* The request as one line with its newline; malloc'd in `ret_line`. */
static enum pel_err make_line(const char *request, char **ret_line, struct pel_error *reterr)
{
    json_error_t json_error;
    json_t *json = json_loads(request, 0, &json_error);
    if (!json_is_object(json)) {
        json_decref(json);
        return pel_error_set(reterr, PEL_E_CONTROL_SYNTAX, "the request is no JSON object: %s",
                             json_error.text);
    }
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    size_t len = text != NULL ? strlen(text) : 0;
    char *line = text != NULL ? realloc(text, len + 2) : NULL;
    if (line == NULL) {
        free(text);
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory for the request");
    }
    memcpy(line + len, "\n", 2);
    *ret_line = line;
    return PEL_OK;
}

static enum pel_err converse(const struct call *call, const char *request, char **ret_reply)
{
    char *line = NULL;
    PEL_TRY(make_line(request, &line, call->reterr));
    enum pel_err err = send_line(call, line, strlen(line));
    free(line);
    PEL_TRY(err);
    struct reply reply = {0};
    err = receive_line(call, &reply);
    if (err == PEL_OK && reply.bytes[0] != '{')
        err = pel_error_set(call->reterr, PEL_E_CONTROL_SYNTAX,
                            "what answers on %s is no stack: its reply is no JSON object", call->path);
    if (err != PEL_OK) {
        free(reply.bytes);
        return err;
    }
    *ret_reply = reply.bytes;
    return PEL_OK;
}

/* `socket_path`, or the one live socket of a directory (NULL: the usual one). */
static enum pel_err connect_to(const char *socket_path, char *path, int *ret_fd, struct pel_error *reterr)
{
    struct stat st;
    const char *dir = socket_path != NULL ? socket_path : PEL_CONTROL_DIR;
    if (socket_path == NULL || (stat(socket_path, &st) == 0 && S_ISDIR(st.st_mode))) {
        PEL_TRY(pel_control_path_find(dir, path, reterr));
    } else {
        size_t len = strlen(socket_path);
        if (len > PEL_CONTROL_PATH_MAX_LEN)
            return pel_error_set(reterr, PEL_E_CONTROL_UNREACHABLE, "%s is too long for a socket's path",
                                 socket_path);
        memcpy(path, socket_path, len + 1);
    }
    return pel_control_path_connect(path, ret_fd, reterr);
}

enum pel_err pel_control_call(const char *socket_path, const char *request, char **ret_reply,
                              struct pel_error *reterr)
{
    char path[PEL_CONTROL_PATH_MAX_LEN + 1];
    struct call call = {.path = path, .clock = pel_clock_real(), .reterr = reterr};
    PEL_TRY(connect_to(socket_path, path, &call.fd, reterr));
    call.deadline_ms = pel_clock_now_us(&call.clock) / 1000 + CALL_TIMEOUT_MS;
    enum pel_err err = converse(&call, request, ret_reply);
    close(call.fd);
    return err;
}
