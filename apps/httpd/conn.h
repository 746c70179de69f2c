/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the server: requests in, responses out, in order, until one side has had enough.
 *
 *     HEAD -> (SEND "100 Continue") -> BODY -> SEND -> HEAD ... -> LINGER -> closed
 *
 * It never waits: each call goes as far as it can, and says what to wait for. Memory: about 1 KiB while idle,
 * 40 KiB from a request's first byte to its response's last; files pass through the worker's one buffer.
 *
 * Failure: what is wrong with a request is answered with its status code. Where the rest of what the client
 * sends could be misread, or is not wanted, the connection ends after that: our end first, then reading on
 * for a moment, so that the answer is not lost to a reset.
 *
 * Belongs to its worker's thread.
 */
#ifndef PEL_APPS_HTTPD_CONN_H
#define PEL_APPS_HTTPD_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/httpd/server.h"

struct http_conn;

/* What a connection needs of its worker, and shares with the worker's other connections. */
struct http_conn_env {
    const struct http_settings *settings;
    char *scratch; /* file bytes on their way; holds nothing between two calls */
    size_t scratch_len;
    uint64_t now_ms;
    int64_t wall_s;
    bool is_stopping; /* every response is its connection's last */
};

enum http_wait {
    HTTP_WAIT_READ,
    HTTP_WAIT_WRITE,
    HTTP_WAIT_TURN, /* has had its share; run again when the others had theirs */
    HTTP_WAIT_CLOSED, /* over: free it */
};

/* http_conn_new makes the connection of an accepted, non-blocking socket, which it takes over. NULL when out
 * of memory. */
struct http_conn *http_conn_new(int fd, const struct http_conn_env *env);

/* http_conn_run goes as far as it can. */
enum http_wait http_conn_run(struct http_conn *conn, const struct http_conn_env *env);

/* http_conn_timeout deals with its deadline when that has passed (a late request is answered 408); otherwise,
 * like run. */
bool http_conn_is_late(const struct http_conn *conn, uint64_t now_ms);
enum http_wait http_conn_timeout(struct http_conn *conn, const struct http_conn_env *env);

/* http_conn_is_idle tells whether it is between requests. */
bool http_conn_is_idle(const struct http_conn *conn);

/* http_conn_fd returns its socket. */
int http_conn_fd(const struct http_conn *conn);

/* http_conn_free closes the socket and frees everything. */
void http_conn_free(struct http_conn *conn);

#endif
