/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stack from the inside: what pellucid/stack.h starts, and what the control socket's verbs look at.
 */
#ifndef PEL_STACK_STACK_H
#define PEL_STACK_STACK_H

#include <pellucid/stack.h>
#include <pthread.h>
#include <semaphore.h>

#include "stack/config.h"
#include "stack/control_server.h"
#include "stack/engine.h"
#include "stack/policy_load.h"
#include "stack/serve/serve.h"

#define PEL_STACK_ENGINES_MAX PEL_CONFIG_ENGINES_MAX

struct pel_stack_engine {
    struct pel_stack *stack;
    struct pel_engine *engine; /* NULL when it could not be opened: see error */
    struct pel_engine_config config;
    struct pel_error error;
    pthread_t thread;
    int core; /* -1: not bound to one */
    sem_t opened, ended, may_close;
    bool started;
};

struct pel_stack {
    struct pel_config config;
    struct pel_stack_options options;
    struct pel_generation_slot slot;
    pthread_mutex_t load_lock; /* one policy load at a time */
    struct pel_policy_live live;
    struct pel_watch *watch; /* NULL until it has started */
    pthread_mutex_t log_lock;
    struct pel_port *port;
    struct pel_control_server *control; /* atomic; NULL until it has started */
    struct pel_serve *serve;            /* NULL: no program can attach */
    char user[64], job[32];
    size_t num_engines;
    struct pel_stack_engine engines[PEL_STACK_ENGINES_MAX];
    bool packet_started, sockets_started;
};

/* pel_stack_log hands one line to the stack's log. Any thread. */
void pel_stack_log(struct pel_stack *stack, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* pel_stack_control answers a request on the control socket; `arg` is the stack. */
void pel_stack_control(void *arg, const char *request_json, char **ret_reply_json);

#endif
