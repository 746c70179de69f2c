/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back of policy/value.h: a parameter's value as the text that a policy would write.
 */
#ifndef PEL_POLICY_VIEW_VALUE_WRITE_H
#define PEL_POLICY_VIEW_VALUE_WRITE_H

#include "policy/model.h"
#include "policy/view/out.h"

/* pel_value_write appends the value in canonical form: keywords spelled as the schema spells them, addresses
 * as RFC 5952 has them, ranges as n-m, groups as four digits each. What it writes reads back as the same
 * value. A label may be empty. Not for PEL_V_BLOCK. */
void pel_value_write(struct pel_out *out, const struct pel_param *param);

/* pel_value_write_canonical appends what the value comes to: one text for what has the same effect, though a
 * policy may write it in several ways. `scratch` is used. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_value_write_canonical(struct pel_out *out, struct pel_arena *scratch,
                                                    const struct pel_param *param);

/* pel_value_write_range appends addresses: one, ADDRESS/LENGTH when they are a prefix, or ADDRESS-ADDRESS;
 * All4 and All6 for a whole version. */
void pel_value_write_range(struct pel_out *out, const struct pel_ip_range *range);

/* pel_value_write_ports appends n or n-m; 0 for all. */
void pel_value_write_ports(struct pel_out *out, struct pel_port_range ports);

#endif
