/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/httpd/conn.h"

#include <errno.h>
#include <pellucid/socket.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/httpd/conn_state.h"

/* Steps in one turn, so that one busy connection leaves the others theirs. */
#define NUM_STEPS_A_TURN 16

/* After our end: read on for so long and so much. */
#define LINGER_MS 2000
#define LINGER_MAX_LEN (1 << 20)

enum step {
    STEP_ON, /* something was done: step again */
    STEP_READ,
    STEP_WRITE,
    STEP_CLOSED,
};

struct http_conn *http_conn_new(int fd, const struct http_conn_env *env)
{
    struct http_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return NULL;
    conn->fd = fd;
    conn->file_fd = conn->upload.fd = conn->upload.dir_fd = -1;
    conn->deadline_ms = env->now_ms + env->settings->idle_timeout_ms;
    return conn;
}

void http_conn_free(struct http_conn *conn)
{
    pel_close(conn->fd);
    if (conn->file_fd >= 0)
        close(conn->file_fd);
    http_upload_abandon(&conn->upload);
    free(conn->exchange);
    free(conn->out);
    free(conn);
}

int http_conn_fd(const struct http_conn *conn)
{
    return conn->fd;
}

bool http_conn_is_idle(const struct http_conn *conn)
{
    return conn->state == HTTP_CONN_HEAD && conn->exchange == NULL;
}

bool http_conn_is_late(const struct http_conn *conn, uint64_t now_ms)
{
    return now_ms >= conn->deadline_ms;
}

static void made_progress(struct http_conn *conn, const struct http_conn_env *env)
{
    conn->deadline_ms = env->now_ms + env->settings->idle_timeout_ms;
}

/* Reads into `bytes`. STEP_ON: `*ret_len` bytes came, 0 at the end of the stream. */
static enum step receive(struct http_conn *conn, char *bytes, size_t cap, size_t *ret_len)
{
    ssize_t num = pel_read(conn->fd, bytes, cap);
    if (num >= 0) {
        *ret_len = (size_t)num;
        return STEP_ON;
    }
    return errno == EAGAIN || errno == EINTR ? STEP_READ : STEP_CLOSED;
}

/* Reads more of the request behind what is there already. */
static enum step fill(struct http_conn *conn)
{
    struct http_exchange *x = conn->exchange;
    if (x->in_start > 0) {
        memmove(x->in, x->in + x->in_start, x->in_len);
        x->in_start = 0;
    }
    size_t len;
    enum step step = receive(conn, x->in + x->in_len, HTTP_IN_LEN - x->in_len, &len);
    if (step == STEP_ON && len == 0)
        return STEP_CLOSED;
    if (step == STEP_ON)
        x->in_len += len;
    return step;
}

static void consume(struct http_exchange *x, size_t len)
{
    x->in_start += len;
    x->in_len -= len;
    x->in_scanned = 0;
}

/* An idle connection gets its memory when there is something to put into it. */
static enum step begin_exchange(struct http_conn *conn, const struct http_conn_env *env)
{
    size_t len;
    enum step step = receive(conn, env->scratch, HTTP_IN_LEN, &len);
    if (step != STEP_ON || len == 0)
        return step != STEP_ON ? step : STEP_CLOSED;
    struct http_exchange *x = malloc(sizeof *x);
    if (x == NULL)
        return STEP_CLOSED;
    x->in_start = x->in_scanned = 0;
    x->request.method = HTTP_GET;
    x->in_len = len;
    memcpy(x->in, env->scratch, len);
    conn->exchange = x;
    made_progress(conn, env);
    return STEP_ON;
}

/* RFC 9112 section 2.2: an empty line before the request is ignored. */
static void skip_empty_lines(struct http_exchange *x)
{
    while (x->in_len >= 2 && memcmp(x->in + x->in_start, "\r\n", 2) == 0)
        consume(x, 2);
}

static int too_long_status(const struct http_exchange *x)
{
    return memchr(x->in + x->in_start, '\n', x->in_len) == NULL ? 414 : 431;
}

static enum step step_head(struct http_conn *conn, const struct http_conn_env *env)
{
    if (conn->exchange == NULL)
        return begin_exchange(conn, env);
    struct http_exchange *x = conn->exchange;
    x->request.method = HTTP_GET; /* until the head says otherwise: an error has a body */
    skip_empty_lines(x);
    if (x->in_len == 0) {
        free(x);
        conn->exchange = NULL;
        return env->is_stopping ? STEP_CLOSED : STEP_ON;
    }
    size_t head_len = 0;
    enum http_find found = http_head_find(x->in + x->in_start, x->in_len, &x->in_scanned, &head_len);
    int status = 0;
    if (found == HTTP_FIND_MORE && x->in_len < HTTP_HEAD_MAX_LEN)
        return fill(conn);
    if (found == HTTP_FIND_BAD)
        status = 400;
    else if (found == HTTP_FIND_MORE || head_len > HTTP_HEAD_MAX_LEN)
        status = too_long_status(x);
    else
        status = http_request_parse(x->in + x->in_start, head_len, &x->request);
    if (status != 0) {
        http_answer_error(conn, status, env);
        return STEP_ON;
    }
    consume(x, head_len);
    http_answer_begin(conn, env);
    return STEP_ON;
}

/* Takes a piece of the body: into the upload, or nowhere. False when it ended the request. */
static bool take_body(struct http_conn *conn, const char *bytes, size_t len, const struct http_conn_env *env)
{
    conn->exchange->body_len += len;
    int status = 0;
    if (conn->exchange->body_len > env->settings->upload_max_len)
        status = 413;
    else if (conn->upload.fd >= 0)
        status = http_upload_write(&conn->upload, bytes, len);
    if (status != 0)
        http_answer_error(conn, status, env);
    return status == 0;
}

static enum step step_chunked(struct http_conn *conn, const struct http_conn_env *env)
{
    struct http_exchange *x = conn->exchange;
    if (x->in_len == 0 && x->chunked.state != HTTP_CHUNK_DONE) {
        enum step step = fill(conn);
        if (step == STEP_ON)
            made_progress(conn, env);
        return step;
    }
    struct http_text data;
    size_t num = http_chunked_next(&x->chunked, x->in + x->in_start, x->in_len, &data);
    if (x->chunked.state == HTTP_CHUNK_BAD) {
        http_answer_error(conn, 400, env);
        return STEP_ON;
    }
    if (data.len > 0 && !take_body(conn, data.bytes, data.len, env))
        return STEP_ON;
    consume(x, num);
    if (x->chunked.state == HTTP_CHUNK_DONE)
        http_answer_finish(conn, env);
    return STEP_ON;
}

/* A body with a length goes through the worker's buffer, of which no byte belongs to the next request. */
static enum step step_sized(struct http_conn *conn, const struct http_conn_env *env)
{
    struct http_exchange *x = conn->exchange;
    const char *bytes = x->in + x->in_start;
    size_t len = x->in_len < x->body_remaining ? x->in_len : (size_t)x->body_remaining;
    if (len == 0) {
        size_t cap = env->scratch_len < x->body_remaining ? env->scratch_len : (size_t)x->body_remaining;
        enum step step = receive(conn, env->scratch, cap, &len);
        if (step != STEP_ON || len == 0)
            return step != STEP_ON ? step : STEP_CLOSED;
        bytes = env->scratch;
    } else {
        consume(x, len);
    }
    made_progress(conn, env);
    x->body_remaining -= len;
    if (take_body(conn, bytes, len, env) && x->body_remaining == 0)
        http_answer_finish(conn, env);
    return STEP_ON;
}

static enum step step_body(struct http_conn *conn, const struct http_conn_env *env)
{
    return conn->exchange->request.is_chunked ? step_chunked(conn, env) : step_sized(conn, env);
}

/* Writes; `*ret_len` is what was taken. */
static enum step transmit(struct http_conn *conn, const char *bytes, size_t len, size_t *ret_len,
                          const struct http_conn_env *env)
{
    ssize_t num = pel_write(conn->fd, bytes, len);
    if (num < 0)
        return errno == EAGAIN || errno == EINTR ? STEP_WRITE : STEP_CLOSED;
    *ret_len = (size_t)num;
    made_progress(conn, env);
    return STEP_ON;
}

/* What was read and not taken is read again from the file the next time. */
static enum step send_file(struct http_conn *conn, const struct http_conn_env *env)
{
    size_t cap = conn->file_remaining < env->scratch_len ? (size_t)conn->file_remaining : env->scratch_len;
    ssize_t num = pread(conn->file_fd, env->scratch, cap, (off_t)conn->file_offset);
    if (num <= 0) /* shorter than it was, or unreadable: the promised length cannot be kept */
        return STEP_CLOSED;
    size_t sent = 0;
    enum step step = transmit(conn, env->scratch, (size_t)num, &sent, env);
    conn->file_offset += sent;
    conn->file_remaining -= sent;
    return step;
}

static enum step begin_linger(struct http_conn *conn, const struct http_conn_env *env)
{
    if (pel_shutdown(conn->fd, SHUT_WR) != 0)
        return STEP_CLOSED;
    conn->state = HTTP_CONN_LINGER;
    conn->linger_len = 0;
    conn->deadline_ms = env->now_ms + LINGER_MS;
    return STEP_ON;
}

static enum step step_send(struct http_conn *conn, const struct http_conn_env *env)
{
    if (conn->out_sent < conn->out_len) {
        size_t sent = 0;
        enum step step =
            transmit(conn, conn->out + conn->out_sent, conn->out_len - conn->out_sent, &sent, env);
        conn->out_sent += sent;
        return step;
    }
    if (conn->file_remaining > 0)
        return send_file(conn, env);
    free(conn->out);
    conn->out = NULL;
    conn->out_len = conn->out_sent = 0;
    if (conn->file_fd >= 0)
        close(conn->file_fd);
    conn->file_fd = -1;
    if (conn->after_send == HTTP_CONN_LINGER)
        return begin_linger(conn, env);
    conn->state = conn->after_send;
    return STEP_ON;
}

static enum step step_linger(struct http_conn *conn, const struct http_conn_env *env)
{
    size_t len;
    enum step step = receive(conn, env->scratch, env->scratch_len, &len);
    if (step != STEP_ON)
        return step;
    conn->linger_len += len;
    return len == 0 || conn->linger_len > LINGER_MAX_LEN ? STEP_CLOSED : STEP_ON;
}

static enum step step(struct http_conn *conn, const struct http_conn_env *env)
{
    switch (conn->state) {
    case HTTP_CONN_HEAD:
        return step_head(conn, env);
    case HTTP_CONN_BODY:
        return step_body(conn, env);
    case HTTP_CONN_SEND:
        return step_send(conn, env);
    case HTTP_CONN_LINGER:
        break;
    }
    return step_linger(conn, env);
}

enum http_wait http_conn_run(struct http_conn *conn, const struct http_conn_env *env)
{
    for (int i = 0; i < NUM_STEPS_A_TURN; i++) {
        switch (step(conn, env)) {
        case STEP_ON:
            break;
        case STEP_READ:
            return HTTP_WAIT_READ;
        case STEP_WRITE:
            return HTTP_WAIT_WRITE;
        case STEP_CLOSED:
            return HTTP_WAIT_CLOSED;
        }
    }
    return HTTP_WAIT_TURN;
}

enum http_wait http_conn_timeout(struct http_conn *conn, const struct http_conn_env *env)
{
    bool is_request_late =
        conn->state == HTTP_CONN_BODY || (conn->state == HTTP_CONN_HEAD && conn->exchange != NULL);
    if (!is_request_late)
        return HTTP_WAIT_CLOSED;
    http_answer_error(conn, 408, env);
    made_progress(conn, env);
    return http_conn_run(conn, env);
}
