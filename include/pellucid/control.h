/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking a running stack. Every process that hosts an engine answers on a Unix stream socket: one JSON object
 * on a line in, one JSON object on a line back. Requests have a "verb": "conns", "stats", "policy-load",
 * "policy-status", "policy-match", "keyring-changed", "ping". Replies have "ok": true, or "ok": false with
 * "error".
 */
#ifndef PELLUCID_CONTROL_H
#define PELLUCID_CONTROL_H

#include <pellucid/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Where control sockets are, one per process, named "<program>-<pid>.sock", unless the configuration names
 * another place. */
#define PEL_CONTROL_DIR "/run/pellucid"

/* pel_control_call sends `request` (a JSON object as text) to the stack that answers at `socket_path` and
 * waits, at most 10 s, for the reply, which the caller frees. `socket_path` NULL: the only live socket in
 * PEL_CONTROL_DIR; none or several is an error that lists them. Errors, with text: CONTROL_UNREACHABLE,
 * CONTROL_SYNTAX, TOO_BIG (64 MiB), NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_control_call(const char *socket_path, const char *request, char **ret_reply,
                                           struct pel_error *reterr);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
