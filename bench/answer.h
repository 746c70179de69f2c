/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server of rps, connections and memory: it answers every LOAD_ASK_LEN bytes with LOAD_REPLY_LEN.
 */
#ifndef PEL_BENCH_ANSWER_H
#define PEL_BENCH_ANSWER_H

#include "bench/load.h"

/* answer_accept is the pel_accept_fn of such a server; its argument is the struct load. */
enum pel_err answer_accept(void *arg, struct pel_conn *conn);

#endif
