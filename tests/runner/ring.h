/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the runner's flags to an environment of ours: certificate and key are put into a keyring of a
 * temporary directory, which is gone again when the function returns.
 */
#ifndef PEL_TESTS_RUNNER_RING_H
#define PEL_TESTS_RUNNER_RING_H

#include "tests/runner/options.h"
#include "tls/tls.h"

/* shim_env_new makes an environment. `ret_refused` is set, and NULL returned, when what the options ask for
 * is not served by design; else NULL means a failure, said on stderr. */
struct pel_tls_env *shim_env_new(const struct shim_options *options, const char **ret_refused);

#endif
