/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch's command line. Wrong usage ends the program with status 2 and a line that says what is wrong.
 */
#ifndef PEL_APPS_FETCH_OPTIONS_H
#define PEL_APPS_FETCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/fetch/url.h"

#define FETCH_NUM_RESOLVES_MAX 16

/* --resolve HOST:PORT:ADDRESS */
struct fetch_resolve {
    char host[256];
    uint16_t port;
    char address[64];
};

struct fetch_options {
    const char *config_path;
    const char *output; /* NULL: standard output */
    const char *name;   /* NULL: the URL's host */
    const char *url_text;
    struct fetch_url url;
    bool is_head;
    bool is_closing; /* a connection for each repetition */
    uint32_t num_repeats;
    uint32_t timeout_s;
    uint32_t stay_s; /* keep the stack so long afterwards, so that it can be asked */
    struct fetch_resolve resolves[FETCH_NUM_RESOLVES_MAX];
    size_t num_resolves;
};

/* fetch_options_parse reads the command line; its strings are borrowed. Does not return on wrong usage and
 * for --help. */
void fetch_options_parse(int argc, char **argv, struct fetch_options *ret_options);

/* fetch_resolve_parse reads "host:443:10.0.0.1" or "host:443:[fd00::1]" (brackets may be left out). False
 * when it is none. */
bool fetch_resolve_parse(const char *text, struct fetch_resolve *ret_resolve);

#endif
