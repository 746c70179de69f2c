/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong in the runner's words. It looks for BoringSSL's reason (":BAD_ALERT:") on a shim's stderr.
 */
#ifndef PEL_TESTS_RUNNER_VERDICT_H
#define PEL_TESTS_RUNNER_VERDICT_H

#include "tls/tls.h"

/* verdict_print writes one line on stderr: our error, the reasons as the runner writes them, our text. A
 * handshake's failure has BoringSSL's reason in its text; for what our own session and record layer find
 * there is a table of which of BoringSSL's reasons says the same. */
void verdict_print(enum pel_err err, const char *failure);

#endif
