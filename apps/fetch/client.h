/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetching itself: names to addresses, a connection, a request, and the body to a file. Blocking.
 * Failures are told on stderr, in one line.
 */
#ifndef PEL_APPS_FETCH_CLIENT_H
#define PEL_APPS_FETCH_CLIENT_H

#include <stdbool.h>

#include "apps/fetch/options.h"

/* fetch_run fetches what `options` ask for, as often as they ask, and writes the bodies to `out_fd`. False
 * when anything failed. */
bool fetch_run(const struct fetch_options *options, int out_fd);

#endif
