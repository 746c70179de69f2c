/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a process that hosts engines: a Unix stream socket on which `pel` asks
 * (pellucid/control.h is the asking side). One JSON object on a line in, one on a line back, as often as the
 * client likes.
 *
 * Happy path: start binds beside the final name, listens, renames into place (so that a name that can be seen
 * also answers), and a thread of its own serves with one poll loop; the handler runs on that thread, one
 * request at a time.
 *
 * Failure: what a client does wrong is answered with {"ok":false,"error":...} and, where the rest of its
 * bytes cannot be trusted, the end of its connection: no JSON object, no "verb", a request over 1 MiB,
 * another user than root or our own. A client that does not finish its request, or does not take its reply,
 * loses its connection 5 s after its last sign of life or 5 s after the request began.
 *
 * It knows no verbs: they are the handler's.
 */
#ifndef PEL_STACK_CONTROL_SERVER_H
#define PEL_STACK_CONTROL_SERVER_H

#include <stddef.h>

#include "base/err.h"

/* A request is at most so long; so many clients are served at once, more wait in the backlog; and a client
 * has so long. */
#define PEL_CONTROL_REQUEST_MAX_LEN   ((size_t)1 << 20)
#define PEL_CONTROL_NUM_CLIENTS_MAX   32
#define PEL_CONTROL_CLIENT_TIMEOUT_MS 5000

struct pel_control_server;

/* Answers one request. `request_json` is a JSON object with a string "verb", borrowed for the call. Writes a
 * JSON object without a newline, which the server frees; leaves NULL when it is out of memory. On the control
 * thread. */
typedef void pel_control_handler_fn(void *arg, const char *request_json, char **ret_reply_json);

/* pel_control_server_start serves at `path_or_dir`: a socket's path, or, when it is a directory or ends in
 * '/' (NULL: PEL_CONTROL_DIR), "<program_name>-<pid>.sock" in it. The directory is made, mode 0755, when only
 * its last part is missing. A socket file that nobody answers on any more is replaced. Errors, with text:
 * EXISTS (a live process answers there), TOO_BIG (path too long for a socket), IO, NO_MEMORY. Any thread;
 * blocks no signals but in its own thread, which takes none. */
PEL_MUST_USE enum pel_err pel_control_server_start(const char *path_or_dir, const char *program_name,
                                                   pel_control_handler_fn *handler, void *arg,
                                                   struct pel_control_server **ret_server,
                                                   struct pel_error *reterr);

/* pel_control_server_path returns where it listens; the server's. */
const char *pel_control_server_path(const struct pel_control_server *server);

/* pel_control_server_stop ends the thread, waiting for a handler that runs, drops the clients, removes the
 * socket file and frees everything. Not from the handler. NULL is harmless. */
void pel_control_server_stop(struct pel_control_server *server);

#endif
