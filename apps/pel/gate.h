/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start gate of running stacks, and the programs that it has turned away: what the control socket says of
 * it, judged and printed.
 */
#ifndef PEL_APPS_PEL_GATE_H
#define PEL_APPS_PEL_GATE_H

#include <jansson.h>
#include <pellucid/doctor.h>
#include <stdbool.h>

/* gate_ask asks the stack at `socket_path` (NULL: every one that answers in PEL_CONTROL_DIR) and returns a
 * list, which the caller owns, of an object for each: "socket"; "severity", "found", "meaning" and "remedy"
 * as of a check; and of one that answers "program", "pid", "generation" and "start_gate" ("closed", "held",
 * "others"). NULL: out of memory. */
json_t *gate_ask(const char *socket_path);

/* gate_worst returns the gravest severity of such a list. */
enum pel_doctor_severity gate_worst(const json_t *stacks);

/* gate_print prints such a list as checks are printed, with everybody who was held. */
void gate_print(const json_t *stacks, bool verbose);

/* gate_print_held prints the rows of a "start_gate", each behind `indent`. */
void gate_print_held(const json_t *start_gate, const char *indent);

#endif
