/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control verbs' files share: pieces of answers.
 */
#ifndef PEL_STACK_CONTROL_JSON_H
#define PEL_STACK_CONTROL_JSON_H

#include <jansson.h>

#include "base/addr.h"

struct pel_stack;

/* pel_json_refusal is an answer that says why there is none. */
json_t *pel_json_refusal(const char *why);

/* pel_json_text is a string. Bytes from outside (a certificate's subject, a path) may be no UTF-8: JSON gets
 * "?" for each such string. */
json_t *pel_json_text(const char *text);

/* pel_json_endpoint is "1.2.3.4:80". */
json_t *pel_json_endpoint(const struct pel_endpoint *endpoint);

/* The verbs of stack/control_policy.c. */
json_t *pel_control_policy_load(struct pel_stack *stack, const json_t *request);
json_t *pel_control_policy_status(struct pel_stack *stack, const json_t *request);

/* The verbs of stack/control_keyring.c and stack/control_match.c. */
json_t *pel_control_keyring_changed(struct pel_stack *stack, const json_t *request);
json_t *pel_control_policy_match(struct pel_stack *stack, const json_t *request);

#endif
