/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that looks after the policy of a running stack: it loads again when a file changes (with
 * policy.watch: on), says once a day which certificates end soon, and logs, for engines, whose threads must
 * not, ports that have connections without a rule.
 *
 *     pel_watch_open, before the engines -> pel_watch_start, after them -> pel_watch_stop, before they stop
 * ->
 *     pel_watch_close
 *
 * Watching: the kernel's events (inotify) of every directory on the way to a file are hints that something
 * may have changed; whether it has, a look at the files says, compared with the one that the last load took
 * before it read them (pel_policy_live.seen). So it does not matter how a file is written: in
 * place, renamed over the old one, by a link that is switched on the way. Events that follow each other are
 * waited for, and a file that is being written is not taken before it is closed.
 *
 * Failure: what cannot be watched is said, once, and looked at every few seconds instead. A load that fails
 * leaves the policy as it is; the next change is another attempt.
 */
#ifndef PEL_STACK_WATCH_H
#define PEL_STACK_WATCH_H

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct pel_policy_certs;
struct pel_stack;
struct pel_watch;
struct pel_watch_paths;

/* pel_watch_open makes what pel_watch_note needs. `clock` says when things are due, but not for how long the
 * kernel is waited for. Errors, with text: IO, NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_watch_open(struct pel_stack *stack, const struct pel_clock *clock,
                                         struct pel_watch **ret_watch, struct pel_error *reterr);

/* pel_watch_start starts the thread. Errors, with text: IO. */
PEL_MUST_USE enum pel_err pel_watch_start(struct pel_watch *watch, struct pel_error *reterr);

/* pel_watch_stop ends the thread; pel_watch_close frees everything. NULL is harmless. */
void pel_watch_stop(struct pel_watch *watch);
void pel_watch_close(struct pel_watch *watch);

/* pel_watch_again tells it that other files may be in force now. NULL is harmless. Any thread. */
void pel_watch_again(struct pel_watch *watch);

/* pel_watch_note tells it that an engine has noted a port whose connections have no rule; `watch` is what
 * pel_watch_open returned. Any thread, an engine's too: it writes to an eventfd. */
void pel_watch_note(void *watch);

/* pel_watch_follow adds all that a watch follows: the policy files and keyrings of what is in force, or,
 * before there is anything, of the configuration; and those of a policy that was refused.
 * pel_watch_follow_files adds the policy files alone. Under the lock of the stack's pel_policy_live. */
void pel_watch_follow(const struct pel_stack *stack, struct pel_watch_paths *paths);
void pel_watch_follow_files(const struct pel_stack *stack, struct pel_watch_paths *paths);

/* pel_watch_follow_list adds files, pel_watch_follow_rings keyrings and the files of their passwords. Paths
 * may be relative. Any thread. */
void pel_watch_follow_list(struct pel_watch_paths *paths, const char *const *list, size_t num);
void pel_watch_follow_rings(struct pel_watch_paths *paths, const struct pel_policy_certs *certs);

#endif
