/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports whose connections no rule matches: collected from the engines, and said once a port and policy
 * generation, with the command that tells why.
 */
#ifndef PEL_STACK_NO_RULE_H
#define PEL_STACK_NO_RULE_H

#include "stack/engine.h"

struct pel_stack;

/* pel_no_rule_add adds an engine's rows to those of others, one row a port and direction; each has
 * PEL_ENGINE_NO_RULE_PORTS; what does not fit is the last's. The later generation's first connection stays.
 * Any thread. */
void pel_no_rule_add(struct pel_no_rule_port *into, const struct pel_no_rule_port *from);

/* pel_no_rule_collect adds up the rows of all engines. Not from an engine's thread. */
void pel_no_rule_collect(struct pel_stack *stack, struct pel_no_rule_port *ret_rows);

/* pel_no_rule_command writes the command that tells which conditions failed for the row's connection; returns
 * `text`, empty when there is none to ask about. */
const char *pel_no_rule_command(struct pel_stack *stack, const struct pel_no_rule_port *row, char *text,
                                size_t cap);

/* What has been said already. */
struct pel_no_rule_told {
    struct pel_no_rule_port rows[PEL_ENGINE_NO_RULE_PORTS];
};

/* pel_no_rule_log logs what has not been said yet. Not from an engine's thread. */
void pel_no_rule_log(struct pel_stack *stack, struct pel_no_rule_told *told);

#endif
