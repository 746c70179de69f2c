/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpd's command line. Wrong usage ends the program with status 2 and a line that says what is wrong.
 */
#ifndef PEL_APPS_HTTPD_OPTIONS_H
#define PEL_APPS_HTTPD_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "apps/httpd/server.h"

struct http_listen {
    const char *text; /* as it was given */
    struct sockaddr_storage address;
    socklen_t address_len;
};

struct http_options {
    const char *config_path;
    const char *root;
    const char *upload_dir; /* NULL: nothing is taken in */
    struct http_listen listens[HTTP_NUM_LISTENERS_MAX];
    size_t num_listens;
    size_t num_workers;
    uint64_t upload_max_len;
    uint32_t idle_timeout_ms;
    size_t num_connections_max;
};

/* http_options_parse reads the command line; its strings are borrowed. Does not return on wrong usage and for
 * --help. */
void http_options_parse(int argc, char **argv, struct http_options *ret_options);

/* http_listen_parse reads ":8080" (every address, IPv6 and IPv4), "10.0.0.1:80" or "[fd00::1]:443". Returns
 * 0, or -1 when it is none of them. */
int http_listen_parse(const char *text, struct http_listen *ret_listen);

#endif
