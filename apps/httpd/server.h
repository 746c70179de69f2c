/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's workers: each a thread with an epoll set of its own, in which are all listening sockets and
 * the connections that it accepted. A connection stays with its worker.
 *
 * Failure: a connection's troubles end that connection. Out of descriptors or memory, a worker stops
 * accepting for a second.
 */
#ifndef PEL_APPS_HTTPD_SERVER_H
#define PEL_APPS_HTTPD_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_NUM_LISTENERS_MAX 16
#define HTTP_NUM_WORKERS_MAX 64

struct http_settings {
    int root_fd;
    int upload_fd; /* -1: nothing is taken in */
    uint64_t upload_max_len;
    uint32_t
        idle_timeout_ms; /* for a request to come whole, and for each step of its body and of the response */
    size_t num_connections_max; /* of one worker */
};

struct http_worker;

/* http_worker_start starts a worker over `settings` and the listening sockets, all borrowed until it has
 * stopped. False, with errno. */
bool http_worker_start(const struct http_settings *settings, const int *listeners, size_t num_listeners,
                       struct http_worker **ret_worker);

/* http_worker_ask_stop has it accept no more, close what is idle, and end when the rest has finished or after
 * 5 s. */
void http_worker_ask_stop(struct http_worker *worker);

/* http_worker_join waits for its end and frees it. */
void http_worker_join(struct http_worker *worker);

#endif
