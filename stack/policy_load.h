/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading policy into a running stack: files -> checked policy -> generation, with the keyrings read anew ->
 * published. Either all of it or nothing: on any error the generation before stays in force.
 *
 * What a load came to is the caller's to show, is logged, and is kept for `pel policy status`.
 */
#ifndef PEL_STACK_POLICY_LOAD_H
#define PEL_STACK_POLICY_LOAD_H

#include <pthread.h>
#include <stdbool.h>

#include "policy/files.h"
#include "stack/config.h"
#include "stack/generation.h"
#include "stack/policy_certs.h"
#include "stack/policy_changes.h"
#include "stack/watch_paths.h"

struct pel_stack;

/* Who asked for a load. */
enum pel_load_how { PEL_LOAD_START, PEL_LOAD_ASKED, PEL_LOAD_SIGHUP, PEL_LOAD_WATCH, PEL_LOAD_KEYRING };

struct pel_load_request {
    const char *const *files;
    size_t num_files;
    enum pel_load_how how;
};

/* What a policy load came to, for whoever asked. */
struct pel_load_result {
    uint64_t generation; /* the new one, or the one that stays */
    size_t num_rules;
    size_t num_warnings;
    size_t num_unusable;       /* rules whose keyring cannot be used */
    size_t num_kept;           /* rules that are in no file any more, and stay (NOFLUSH) */
    size_t num_certs_replaced; /* certificates that were not there before */
    struct pel_load_changes changes;
};

#define PEL_LOAD_MESSAGES_KEPT 20

/* What is in force, and how the last attempt failed, if it did. Under `lock`, which is held for moments. */
struct pel_policy_live {
    pthread_mutex_t lock;
    uint64_t generation; /* 0: none yet */
    int64_t loaded_s;
    enum pel_load_how how;
    char **files; /* that were named */
    size_t num_files;
    struct pel_policy_files read;  /* and what was read for them */
    struct pel_load_result result; /* its changes are those of the last load */
    struct pel_policy_certs certs;
    /* With policy.watch: how the files looked before the last attempt read them, whatever it came to. One
     * that somebody asked for with other files than those in force, and that failed, does not count. */
    struct pel_watch_seen seen;
    /* What the last load could not take, files that it read and keyrings that its policy names, until one
     * succeeds. One that somebody asked for with other files than those in force does not count. */
    struct {
        struct pel_policy_files read;
        struct pel_policy_certs rings; /* without certificates */
    } awaited;
    struct {
        bool is_last; /* the last attempt failed */
        int64_t at_s;
        enum pel_load_how how;
        char **files;
        size_t num_files;
        char text[sizeof((struct pel_error *)NULL)->text];
        char *messages[PEL_LOAD_MESSAGES_KEPT]; /* "FILE:LINE:COLUMN: error: TEXT" */
        size_t num_messages;
    } failure;
};

void pel_policy_live_init(struct pel_policy_live *live);
void pel_policy_live_fini(struct pel_policy_live *live);

/* pel_policy_options_of is how the configuration has policy files read; borrows from it. */
struct pel_policy_options pel_policy_options_of(const struct pel_config *config);

/* pel_load_how_name returns "start", "load", "SIGHUP", "watch" or "keyring". */
const char *pel_load_how_name(enum pel_load_how how);

/* pel_stack_load_policy reads, checks, binds and publishes the files. Every message goes to `diag` (may be
 * NULL) and to the log. On any error the old generation stays. The caller frees the result, also then, with
 * pel_load_result_free. Errors, with text: POLICY_SYNTAX, NOT_FOUND, IO, ARG, TOO_BIG, NO_MEMORY. Any thread
 * but an engine's. */
PEL_MUST_USE enum pel_err pel_stack_load_policy(struct pel_stack *stack,
                                                const struct pel_load_request *request,
                                                pel_policy_diag_fn *diag, void *diag_arg,
                                                struct pel_load_result *ret_result, struct pel_error *reterr);

/* pel_load_result_free frees what a result holds; harmless on a zeroed one. */
void pel_load_result_free(struct pel_load_result *result);

/* pel_stack_reload_current loads again what is in force, or, before there is anything, the configured files.
 * `ret_result` may be NULL. As pel_stack_load_policy. */
PEL_MUST_USE enum pel_err pel_stack_reload_current(struct pel_stack *stack, enum pel_load_how how,
                                                   struct pel_load_result *ret_result,
                                                   struct pel_error *reterr);

/* pel_stack_log_certs logs each certificate of the policy in force that ends soon, has ended, or cannot be
 * used. Any thread but an engine's. */
void pel_stack_log_certs(struct pel_stack *stack, int64_t now_s);

#endif
