/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stack: the configuration, the packet port, one engine a core with its thread, the policy, and a control
 * socket on which `pel` asks. A process starts one, then uses sockets (pellucid/socket.h) or the engines'
 * callbacks (pellucid/engine.h).
 *
 *     pel_stack_start -> sockets or callbacks; pel_stack_reload on SIGHUP -> pel_stack_stop
 *
 * Failure: start says what is wrong with which line of the configuration or which device, and leaves nothing
 * behind. A policy with errors does not stop the stack: the old one stays in force (at start: none, and the
 * start gate stays closed).
 */
#ifndef PELLUCID_STACK_H
#define PELLUCID_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pellucid/engine.h>
#include <pellucid/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct pel_stack;

struct pel_stack_options {
    const char *config_path; /* the configuration file (docs/CONFIGURATION.md); NULL with config_text */
    const char *config_text; /* or its text */
    /* Where programs attach when the configuration has no attach.socket; NULL: nowhere. */
    const char *attach_socket;
    /* What is used instead of the configuration's policy.files, attach.socket and control.socket; NULL: that.
     */
    const char *instead_policy, *instead_attach, *instead_control;
    /* Called on each engine's thread before its first packet; may be NULL. */
    void (*on_engine)(void *arg, struct pel_engine *engine);
    void *arg;
    /* Takes each line that the stack has to say (policy loaded, errors, warnings), without a newline; NULL:
     * stderr. Any of the stack's threads may call it, one at a time. */
    void (*log)(void *arg, const char *line);
};

/* pel_stack_start reads the configuration, opens the port, loads the policy, starts the engines and the
 * control socket, and returns when the interface is up (with DHCP: when it has its address, or after 10 s).
 * The first stack of a process becomes the one that pel_socket uses. One stack a process at a time. Errors,
 * with text: CONFIG_SYNTAX, PORT_START, PORT_OPEN, IO, NO_MEMORY, STATE. Any thread. */
PEL_MUST_USE enum pel_err pel_stack_start(const struct pel_stack_options *options,
                                          struct pel_stack **ret_stack, struct pel_error *reterr);

/* pel_stack_check reads the configuration and checks the policy files that it names, without starting
 * anything; every message goes to `log`. Errors, with text: CONFIG_SYNTAX, POLICY_SYNTAX, IO, NOT_FOUND,
 * NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_stack_check(const struct pel_stack_options *options, struct pel_error *reterr);

/* pel_stack_control_path and pel_stack_attach_path return where the stack answers `pel`, and where programs
 * attach (NULL: nowhere). The strings live as long as the stack. Any thread. */
const char *pel_stack_control_path(const struct pel_stack *stack);
const char *pel_stack_attach_path(const struct pel_stack *stack);

/* pel_stack_drain closes every listener, refuses new connections from now on, and waits until the last
 * connection has ended or `timeout_ms` have passed; returns how many are left. pel_stack_stop follows. `poll`
 * (may be NULL) is asked again and again meanwhile; true ends the wait. Not from an engine's thread. */
uint32_t pel_stack_drain(struct pel_stack *stack, uint32_t timeout_ms, bool (*poll)(void *arg), void *arg);

/* pel_stack_drain_ms is how long the configuration lets connections end by themselves (stop.drain_s). Any
 * thread. */
uint32_t pel_stack_drain_ms(const struct pel_stack *stack);

/* pel_stack_stop resets what is still connected, stops the engines and frees everything. Sockets of the stack
 * get ECONNRESET. Not from an engine's thread. NULL is harmless. */
void pel_stack_stop(struct pel_stack *stack);

/* pel_stack_reload loads the configured policy files again (what SIGHUP asks for). POLICY_SYNTAX: the old
 * policy stays. Not from an engine's thread, nor from a signal handler. */
PEL_MUST_USE enum pel_err pel_stack_reload(struct pel_stack *stack, struct pel_error *reterr);

/* pel_stack_num_engines and pel_stack_engine give the engines. Any thread. */
size_t pel_stack_num_engines(const struct pel_stack *stack);
struct pel_engine *pel_stack_engine(const struct pel_stack *stack, size_t index);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
