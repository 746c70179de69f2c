/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which statement a rule's parameter comes from: the connection action, else the environment action, else the
 * group action, and the same for what is advanced in each; keyring, ciphers, signatures and GSK parameters
 * come as whole statements. What policy/effective.c compiles and what is shown of a rule must agree; a test
 * compares them.
 */
#ifndef PEL_POLICY_VIEW_RESOLVE_H
#define PEL_POLICY_VIEW_RESOLVE_H

#include "policy/model.h"

/* The statements that a rule uses; any but the rule may be NULL. */
struct pel_levels {
    const struct pel_stmt *rule, *time;
    const struct pel_stmt *group, *env, *conn;
    const struct pel_stmt *group_adv, *env_adv, *conn_adv;
    const struct pel_stmt *keyring, *ciphers, *signature;
    const struct pel_stmt *gsk, *ldap, *ocsp, *cdp;
};

/* pel_levels_of finds the statements of a linked rule. */
void pel_levels_of(const struct pel_stmt *rule, struct pel_levels *ret_levels);

/* The three places where a rule's parameters are coded. */
enum pel_level { PEL_LEVEL_GROUP, PEL_LEVEL_ENVIRONMENT, PEL_LEVEL_CONNECTION, PEL_NUM_LEVELS };

/* pel_levels_of_action finds those that one of the rule's actions uses and inherits from. */
void pel_levels_of_action(const struct pel_stmt *rule, enum pel_level level, struct pel_levels *ret_levels);

/* A parameter and the statement that it stands in; both NULL when it is coded nowhere. Of a repeatable one
 * the first. */
struct pel_found {
    const struct pel_stmt *stmt;
    const struct pel_param *param;
};

/* pel_resolve finds what holds for the parameter of that name in statements of kind `home`. */
struct pel_found pel_resolve(const struct pel_levels *levels, enum pel_stmt_type home,
                             const struct pel_row *row);

/* pel_next_item returns the next value of a repeatable parameter, or NULL. */
const struct pel_param *pel_next_item(const struct pel_param *param);

/* pel_param_ranges appends the addresses that an address parameter comes to, through references and groups,
 * to `ret_ranges`, normalized; none: all addresses. Its memory is from `arena`. pel_param_ports likewise.
 * Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_param_ranges(struct pel_arena *arena, const struct pel_param *param,
                                           struct pel_ip_ranges *ret_ranges);
PEL_MUST_USE enum pel_err pel_param_ports(struct pel_arena *arena, const struct pel_param *param,
                                          struct pel_port_ranges *ret_ports);

#endif
