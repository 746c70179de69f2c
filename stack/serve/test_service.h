/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the service share: the service over a real engine that talks to itself, and the two ends of a
 * connection of programs that are attached to it.
 */
#ifndef PEL_STACK_SERVE_TEST_SERVICE_H
#define PEL_STACK_SERVE_TEST_SERVICE_H

#include "stack/serve/serve.h"
#include "stack/serve/test_program.h"

#define PORT 7100

/* The service under test, and the path of its attach socket. */
extern struct pel_serve *service;
extern char path[64];

/* How long what a program wrote before it closed may take to be delivered, of a service that starts from now
 * on: so long that a thread may be held up, unless a test says otherwise. */
#define SERVICE_PATIENCE_MS 10000
extern uint32_t service_patience_ms;

/* service_start starts engines and the service; service_stop waits until nothing of any program is left, and
 * ends both; service_start_under has a policy, service_start none. service_start_another starts one more at
 * the same path. */
void service_start(int num_engines, uint32_t max_sockets);
void service_start_under(const char *policy_file, const char *keyring_dir, int num_engines,
                         uint32_t max_sockets);
void service_stop(void);
enum pel_err service_start_another(struct pel_serve **ret_serve, struct pel_error *reterr);

/* What there is now: connections of the engines, what the service has, what engines counted. */
size_t service_num_conns(void);
struct pel_serve_report service_report(void);
uint64_t service_num_errs(enum pel_err err);
uint64_t service_num_stats(enum pel_stat stat);
bool service_is_dialogue(void); /* of the first engine */

struct ends {
    struct test_socket listener, client, server;
};

/* ends_open makes a listener, connects to it and accepts, all in one program; ends_close closes the three. */
bool ends_open(struct test_program *program, struct ends *ends);
bool ends_open_at(struct test_program *program, uint16_t port, struct ends *ends);
void ends_close(struct ends *ends);

#endif
