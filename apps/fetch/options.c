/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/fetch/options.h"

#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum option_key {
    KEY_HEAD = 256,
    KEY_NAME,
    KEY_REPEAT,
    KEY_RESOLVE,
    KEY_CLOSE,
    KEY_TIMEOUT,
    KEY_STAY,
};

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "the stack's configuration (required)"},
    {"output", 'o', "FILE", 0, "write the body there instead of to standard output"},
    {"head", KEY_HEAD, NULL, 0, "ask for the head alone, and print the status"},
    {"name", KEY_NAME, "HOST", 0, "the server's name, when the URL has an address or another name"},
    {"resolve", KEY_RESOLVE, "HOST:PORT:ADDRESS", 0, "use this address for HOST and PORT; may be repeated"},
    {"repeat", KEY_REPEAT, "N", 0,
     "fetch it so often (1), over one connection while the server keeps it open"},
    {"close", KEY_CLOSE, NULL, 0, "a new connection for each repetition"},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0, "give up when nothing moves for so long (30)"},
    {"stay", KEY_STAY, "SECONDS", 0, "keep the stack running so long afterwards, so that it can be asked"},
    {0},
};

bool fetch_resolve_parse(const char *text, struct fetch_resolve *ret_resolve)
{
    const char *first = strchr(text, ':');
    const char *second = first != NULL ? strchr(first + 1, ':') : NULL;
    if (second == NULL || first == text || (size_t)(first - text) >= sizeof ret_resolve->host)
        return false;
    char *end;
    unsigned long port = strtoul(first + 1, &end, 10);
    size_t len = strlen(second + 1);
    const char *address = second + 1;
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (end != second || end == first + 1 || port == 0 || port > 65535 || len >= sizeof ret_resolve->address)
        return false;
    memcpy(ret_resolve->host, text, (size_t)(first - text));
    ret_resolve->host[first - text] = '\0';
    ret_resolve->port = (uint16_t)port;
    memcpy(ret_resolve->address, address, len);
    ret_resolve->address[len] = '\0';
    unsigned char bytes[16];
    return inet_pton(AF_INET, ret_resolve->address, bytes) == 1 ||
           inet_pton(AF_INET6, ret_resolve->address, bytes) == 1;
}

static uint32_t parse_number(struct argp_state *state, const char *what, const char *text, unsigned long max)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number == 0 || number > max)
        argp_error(state, "--%s %s is no number from 1 to %lu", what, text, max);
    return (uint32_t)number;
}

static void add_resolve(struct argp_state *state, struct fetch_options *parsed, const char *text)
{
    if (parsed->num_resolves == FETCH_NUM_RESOLVES_MAX)
        argp_error(state, "--resolve may be given %d times", FETCH_NUM_RESOLVES_MAX);
    if (!fetch_resolve_parse(text, &parsed->resolves[parsed->num_resolves]))
        argp_error(state, "--resolve %s is no HOST:PORT:ADDRESS", text);
    parsed->num_resolves++;
}

static void set_url(struct argp_state *state, struct fetch_options *parsed, const char *text)
{
    if (parsed->url_text != NULL)
        argp_error(state, "one URL at a time: what is '%s'?", text);
    parsed->url_text = text;
    if (!fetch_url_parse(text, &parsed->url))
        argp_error(state, "'%s' is no URL of the form http://HOST[:PORT]/PATH", text);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct fetch_options *parsed = state->input;
    switch (key) {
    case 'c': parsed->config_path = arg; return 0;
    case 'o': parsed->output = arg; return 0;
    case KEY_HEAD: parsed->is_head = true; return 0;
    case KEY_NAME: parsed->name = arg; return 0;
    case KEY_REPEAT: parsed->num_repeats = parse_number(state, "repeat", arg, 100000000); return 0;
    case KEY_RESOLVE: add_resolve(state, parsed, arg); return 0;
    case KEY_CLOSE: parsed->is_closing = true; return 0;
    case KEY_TIMEOUT: parsed->timeout_s = parse_number(state, "timeout", arg, 86400); return 0;
    case KEY_STAY: parsed->stay_s = parse_number(state, "stay", arg, 86400); return 0;
    case ARGP_KEY_ARG: set_url(state, parsed, arg); return 0;
    case ARGP_KEY_END:
        if (parsed->config_path == NULL)
            argp_error(state, "--config FILE is missing");
        if (parsed->url_text == NULL)
            argp_error(state, "the URL is missing");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

void fetch_options_parse(int argc, char **argv, struct fetch_options *ret_options)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "http://HOST[:PORT]/PATH",
        .doc = "Fetches a file over HTTP/1.1. Exit status: 0 fetched, 1 failed, 2 wrong usage.",
    };
    *ret_options = (struct fetch_options){.num_repeats = 1, .timeout_s = 30};
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, ret_options);
}
