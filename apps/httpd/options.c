/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/httpd/options.h"

#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_key {
    KEY_UPLOAD_DIR = 256,
    KEY_MAX_UPLOAD,
    KEY_IDLE_TIMEOUT,
    KEY_MAX_CONNECTIONS,
};

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "the stack's configuration (required)"},
    {"root", 'r', "DIR", 0, "the directory that is served (required)"},
    {"listen", 'l', "ADDRESS:PORT", 0,
     "listen there: [::]:443, 10.0.0.1:80, :8080 (every address); may be repeated"},
    {"workers", 'w', "N", 0, "threads that serve (1)"},
    {"upload-dir", KEY_UPLOAD_DIR, "DIR", 0, "take files in, by PUT and POST, below this directory"},
    {"max-upload", KEY_MAX_UPLOAD, "BYTES", 0, "the longest file that is taken in (4294967296)"},
    {"idle-timeout", KEY_IDLE_TIMEOUT, "SECONDS", 0, "end connections that stand still so long (30)"},
    {"max-connections", KEY_MAX_CONNECTIONS, "N", 0, "connections of one worker at a time (16384)"},
    {0},
};

static int parse_port(const char *text, uint16_t *ret_port)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    unsigned long port = strtoul(text, &end, 10);
    if (*end != '\0' || port == 0 || port > 65535)
        return -1;
    *ret_port = (uint16_t)port;
    return 0;
}

static int fill_address(const char *host, uint16_t port, struct http_listen *listen)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memset(&listen->address, 0, sizeof listen->address);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&listen->address, &v4, sizeof v4);
        listen->address_len = sizeof v4;
        return 0;
    }
    if (*host != '\0' && inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
        return -1;
    memcpy(&listen->address, &v6, sizeof v6);
    listen->address_len = sizeof v6;
    return 0;
}

int http_listen_parse(const char *text, struct http_listen *ret_listen)
{
    char host[INET6_ADDRSTRLEN];
    uint16_t port;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || parse_port(colon + 1, &port) != 0)
        return -1;
    const char *start = text;
    size_t len = (size_t)(colon - text);
    bool is_bracketed = len >= 2 && text[0] == '[' && colon[-1] == ']';
    if (is_bracketed) {
        start++;
        len -= 2;
    }
    if (len >= sizeof host)
        return -1;
    memcpy(host, start, len);
    host[len] = '\0';
    bool has_colon = strchr(host, ':') != NULL;
    if (has_colon != is_bracketed)
        return -1;
    ret_listen->text = text;
    return fill_address(host, port, ret_listen);
}

static uint64_t parse_number(struct argp_state *state, const char *what, const char *text, uint64_t min,
                             uint64_t max)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number < min || number > max)
        argp_error(state, "--%s %s is no number from %llu to %llu", what, text, (unsigned long long)min,
                   (unsigned long long)max);
    return number;
}

static void add_listen(struct argp_state *state, struct http_options *parsed, const char *text)
{
    if (parsed->num_listens == HTTP_NUM_LISTENERS_MAX)
        argp_error(state, "--listen may be given %d times", HTTP_NUM_LISTENERS_MAX);
    if (http_listen_parse(text, &parsed->listens[parsed->num_listens]) != 0)
        argp_error(state, "--listen %s is no ADDRESS:PORT (such as [::]:443, 10.0.0.1:80 or :8080)", text);
    parsed->num_listens++;
}

static void check(struct argp_state *state, const struct http_options *parsed)
{
    if (parsed->config_path == NULL)
        argp_error(state, "--config FILE is missing");
    if (parsed->root == NULL)
        argp_error(state, "--root DIR is missing");
    if (parsed->num_listens == 0)
        argp_error(state, "--listen ADDRESS:PORT is missing");
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct http_options *parsed = state->input;
    switch (key) {
    case 'c': parsed->config_path = arg; return 0;
    case 'r': parsed->root = arg; return 0;
    case 'l': add_listen(state, parsed, arg); return 0;
    case 'w':
        parsed->num_workers = (size_t)parse_number(state, "workers", arg, 1, HTTP_NUM_WORKERS_MAX);
        return 0;
    case KEY_UPLOAD_DIR: parsed->upload_dir = arg; return 0;
    case KEY_MAX_UPLOAD:
        parsed->upload_max_len = parse_number(state, "max-upload", arg, 1, INT64_MAX);
        return 0;
    case KEY_IDLE_TIMEOUT:
        parsed->idle_timeout_ms = 1000 * (uint32_t)parse_number(state, "idle-timeout", arg, 1, 86400);
        return 0;
    case KEY_MAX_CONNECTIONS:
        parsed->num_connections_max = (size_t)parse_number(state, "max-connections", arg, 1, 1 << 20);
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "what is '%s'?", arg); return 0;
    case ARGP_KEY_END: check(state, parsed); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

void http_options_parse(int argc, char **argv, struct http_options *ret_options)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .doc = "Serves the files of a directory over HTTP/1.1.",
    };
    *ret_options = (struct http_options){
        .num_workers = 1,
        .upload_max_len = UINT64_C(1) << 32,
        .idle_timeout_ms = 30000,
        .num_connections_max = 16384,
    };
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, ret_options);
}
