/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/httpd/conn_state.h"
#include "apps/httpd/response.h"

/* A body that comes with a request that has no use for it is read past up to here. */
#define DISCARD_MAX_LEN (1 << 20)

/* Queues the head and a body in memory; the body is left out for HEAD. Without memory for it the connection
 * ends. */
static void send_response(struct http_conn *conn, const struct http_response *response, const char *body,
                          const struct http_conn_env *env)
{
    size_t head_cap =
        HTTP_RESPONSE_HEAD_MAX_LEN + (response->location != NULL ? strlen(response->location) : 0);
    bool is_head_only = conn->exchange != NULL && conn->exchange->request.method == HTTP_HEAD;
    size_t body_len = body != NULL && !is_head_only ? (size_t)response->content_length : 0;
    conn->state = HTTP_CONN_SEND;
    conn->after_send = response->keep_alive ? HTTP_CONN_HEAD : HTTP_CONN_LINGER;
    free(conn->out);
    conn->out_sent = conn->out_len = 0;
    conn->out = malloc(head_cap + body_len);
    size_t head_len =
        conn->out != NULL ? http_response_format(response, env->wall_s, conn->out, head_cap) : 0;
    if (head_len == 0) {
        conn->after_send = HTTP_CONN_LINGER;
        return;
    }
    if (body_len > 0)
        memcpy(conn->out + head_len, body, body_len);
    conn->out_len = head_len + body_len;
}

static bool may_keep_alive(const struct http_conn *conn, const struct http_conn_env *env)
{
    return conn->exchange->request.keep_alive && !env->is_stopping;
}

static void send_text(struct http_conn *conn, int status, bool keep_alive, const char *text,
                      const struct http_conn_env *env)
{
    struct http_response response = {
        .status = status,
        .keep_alive = keep_alive,
        .content_type = "text/plain; charset=utf-8",
        .content_length = strlen(text),
        .modified_s = INT64_MIN,
        .allow =
            status == 405 ? (env->settings->upload_fd >= 0 ? "GET, HEAD, PUT, POST" : "GET, HEAD") : NULL,
    };
    send_response(conn, &response, text, env);
}

static void send_status(struct http_conn *conn, int status, bool keep_alive, const struct http_conn_env *env)
{
    char text[80];
    snprintf(text, sizeof text, "%d %s\n", status, http_status_text(status));
    send_text(conn, status, keep_alive, text, env);
}

void http_answer_error(struct http_conn *conn, int status, const struct http_conn_env *env)
{
    http_upload_abandon(&conn->upload);
    send_status(conn, status, false, env);
}

/* Fits the asked range into `size` bytes. False when nothing of it is there. */
static bool resolve_range(const struct http_request *request, uint64_t size, uint64_t *ret_first,
                          uint64_t *ret_last)
{
    if (request->range == HTTP_RANGE_LAST) {
        if (request->range_last == 0 || size == 0)
            return false;
        *ret_first = request->range_last < size ? size - request->range_last : 0;
        *ret_last = size - 1;
        return true;
    }
    if (request->range_first >= size)
        return false;
    *ret_first = request->range_first;
    *ret_last =
        request->range == HTTP_RANGE_SPAN && request->range_last < size ? request->range_last : size - 1;
    return true;
}

/* If-Range: a range of another version than the client has would not fit what it has. */
static bool wants_range(const struct http_request *request, const struct http_file *file)
{
    bool is_same = request->if_range_s == INT64_MIN || request->if_range_s == file->modified_s;
    return request->range != HTTP_RANGE_NONE && is_same && request->method == HTTP_GET;
}

/* Takes over the file's descriptor. */
static void send_file(struct http_conn *conn, const struct http_file *file, const char *type,
                      const struct http_conn_env *env)
{
    const struct http_request *request = &conn->exchange->request;
    struct http_response response = {
        .status = 200,
        .keep_alive = may_keep_alive(conn, env),
        .content_type = type,
        .content_length = file->size,
        .modified_s = file->modified_s,
        .range_size = file->size,
    };
    uint64_t first = 0;
    if (request->modified_since_s != INT64_MIN && file->modified_s <= request->modified_since_s) {
        response.status = 304;
        response.content_type = NULL;
    } else if (wants_range(request, file)) {
        response.has_range = true;
        response.status = resolve_range(request, file->size, &first, &response.range_last) ? 206 : 416;
        response.range_first = first;
        response.content_length = response.status == 206 ? response.range_last - first + 1 : 0;
    }
    send_response(conn, &response, NULL, env);
    bool has_body = request->method == HTTP_GET && (response.status == 200 || response.status == 206) &&
                    conn->out_len > 0;
    if (!has_body) {
        close(file->fd);
        return;
    }
    conn->file_fd = file->fd;
    conn->file_offset = first;
    conn->file_remaining = response.content_length;
}

static void send_redirect(struct http_conn *conn, const char *path, const struct http_conn_env *env)
{
    char *encoded = http_path_encode(path), *location = NULL;
    if (encoded == NULL || asprintf(&location, "%s/", encoded) < 0) {
        free(encoded);
        send_status(conn, 503, may_keep_alive(conn, env), env);
        return;
    }
    /* "//host" would be another server. */
    const char *start = location;
    while (start[0] == '/' && start[1] == '/')
        start++;
    struct http_response response = {
        .status = 301,
        .keep_alive = may_keep_alive(conn, env),
        .content_type = "text/plain; charset=utf-8",
        .content_length = strlen(start),
        .modified_s = INT64_MIN,
        .location = start,
    };
    send_response(conn, &response, start, env);
    free(encoded);
    free(location);
}

static void send_listing(struct http_conn *conn, int dir_fd, const char *path,
                         const struct http_conn_env *env)
{
    size_t len = 0;
    char *page = http_file_listing(dir_fd, path, &len);
    if (page == NULL) {
        send_status(conn, 503, may_keep_alive(conn, env), env);
        return;
    }
    struct http_response response = {
        .status = 200,
        .keep_alive = may_keep_alive(conn, env),
        .content_type = "text/html; charset=utf-8",
        .content_length = len,
        .modified_s = INT64_MIN,
    };
    send_response(conn, &response, page, env);
    free(page);
}

/* A directory is its index.html, or else a list. Takes over the descriptor. */
static void send_directory(struct http_conn *conn, int dir_fd, const char *path,
                           const struct http_conn_env *env)
{
    struct http_file index;
    if (path[strlen(path) - 1] != '/') {
        send_redirect(conn, path, env);
    } else if (http_file_open(dir_fd, "index.html", &index) != 0) {
        send_listing(conn, dir_fd, path, env);
    } else if (index.is_directory) {
        close(index.fd);
        send_listing(conn, dir_fd, path, env);
    } else {
        send_file(conn, &index, http_content_type("index.html"), env);
    }
    close(dir_fd);
}

static void answer_get(struct http_conn *conn, const struct http_conn_env *env)
{
    const char *path = conn->exchange->request.path;
    struct http_file file;
    int status = http_file_open(env->settings->root_fd, path, &file);
    if (status != 0)
        send_status(conn, status, may_keep_alive(conn, env), env);
    else if (file.is_directory)
        send_directory(conn, file.fd, path, env);
    else
        send_file(conn, &file, http_content_type(path), env);
}

static void answer_upload(struct http_conn *conn, const struct http_conn_env *env)
{
    char text[80];
    uint64_t len = conn->upload.len;
    int status = http_upload_finish(&conn->upload);
    if (status >= 300) {
        send_status(conn, status, may_keep_alive(conn, env), env);
        return;
    }
    snprintf(text, sizeof text, "received %" PRIu64 " bytes\n", len);
    send_text(conn, status, may_keep_alive(conn, env), text, env);
}

void http_answer_finish(struct http_conn *conn, const struct http_conn_env *env)
{
    if (conn->upload.fd >= 0)
        answer_upload(conn, env);
    else
        answer_get(conn, env);
}

/* Goes on to the body; a client that waits for the word gets it. */
static void begin_body(struct http_conn *conn)
{
    struct http_exchange *x = conn->exchange;
    x->body_len = 0;
    x->body_remaining = x->request.content_length;
    http_chunked_start(&x->chunked);
    conn->state = HTTP_CONN_BODY;
    if (!x->request.expects_continue || x->in_len > 0)
        return;
    static const char word[] = "HTTP/1.1 100 Continue\r\n\r\n";
    free(conn->out);
    conn->out = strdup(word);
    conn->out_len = conn->out != NULL ? sizeof word - 1 : 0;
    conn->out_sent = 0;
    conn->state = HTTP_CONN_SEND;
    conn->after_send = HTTP_CONN_BODY;
}

/* Whether the request may be served before its body has come: 0, or the refusal. */
static int check(struct http_conn *conn, const struct http_conn_env *env)
{
    const struct http_request *request = &conn->exchange->request;
    bool is_upload = request->method == HTTP_PUT || request->method == HTTP_POST;
    if (request->method == HTTP_OTHER || (is_upload && env->settings->upload_fd < 0))
        return 405;
    if (request->content_length > (is_upload ? env->settings->upload_max_len : DISCARD_MAX_LEN))
        return 413;
    return is_upload ? http_upload_start(env->settings->upload_fd, request->path, &conn->upload) : 0;
}

void http_answer_begin(struct http_conn *conn, const struct http_conn_env *env)
{
    const struct http_request *request = &conn->exchange->request;
    bool has_body = request->is_chunked || request->content_length > 0;
    int status = check(conn, env);
    if (status != 0 && has_body)
        http_answer_error(conn, status, env);
    else if (status != 0)
        send_status(conn, status, may_keep_alive(conn, env), env);
    else if (has_body)
        begin_body(conn);
    else
        http_answer_finish(conn, env);
}
