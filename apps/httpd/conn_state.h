/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection is made of: shared by conn.c, which moves bytes, and answer.c, which decides what to
 * answer. For nobody else.
 */
#ifndef PEL_APPS_HTTPD_CONN_STATE_H
#define PEL_APPS_HTTPD_CONN_STATE_H

#include "apps/http/chunked.h"
#include "apps/httpd/conn.h"
#include "apps/httpd/files.h"
#include "apps/httpd/request.h"

#define HTTP_IN_LEN 32768

enum http_conn_state {
    HTTP_CONN_HEAD,
    HTTP_CONN_BODY,
    HTTP_CONN_SEND,
    HTTP_CONN_LINGER,
};

/* What a connection needs while a request is under way, and gives back when it is idle. */
struct http_exchange {
    struct http_request request;
    struct http_chunked chunked;
    uint64_t body_remaining; /* of a body with a length */
    uint64_t body_len;       /* so far */
    size_t in_start, in_len, in_scanned;
    char in[HTTP_IN_LEN];
};

struct http_conn {
    int fd;
    enum http_conn_state state;
    enum http_conn_state after_send;
    uint64_t deadline_ms;
    uint64_t linger_len;
    struct http_exchange *exchange; /* NULL while idle */
    char *out;                      /* head, and a body that is in memory */
    size_t out_len, out_sent;
    int file_fd; /* then this part of a file; -1: none */
    uint64_t file_offset, file_remaining;
    struct http_upload upload;
};

/* answer.c: each decides on the response to the request under way, fills out and file, and moves to SEND (or,
 * begin_body, to BODY). */

/* http_answer_begin looks at a request whose head has come, and either answers it or begins to take its
 * body. */
void http_answer_begin(struct http_conn *conn, const struct http_conn_env *env);

/* http_answer_finish answers a request whose body has come. */
void http_answer_finish(struct http_conn *conn, const struct http_conn_env *env);

/* http_answer_error answers with a status alone, and ends the connection after it. */
void http_answer_error(struct http_conn *conn, int status, const struct http_conn_env *env);

#endif
