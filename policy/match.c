/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/model.h"
#include "policy/tables/tables.h"
#include "policy/tables/times.h"

struct pel_policy *pel_policy_ref(struct pel_policy *policy)
{
    if (policy != NULL)
        atomic_fetch_add_explicit(&policy->num_refs, 1, memory_order_relaxed);
    return policy;
}

void pel_policy_unref(struct pel_policy *policy)
{
    /* The last one to let go must see all that the others read before it frees. */
    if (policy == NULL || atomic_fetch_sub_explicit(&policy->num_refs, 1, memory_order_acq_rel) != 1)
        return;
    pel_arena_free(&policy->arena);
    pel_arena_free(&policy->model->arena);
    free(policy->model);
    free(policy);
}

size_t pel_policy_num_rules(const struct pel_policy *policy)
{
    return policy->num_rules;
}

size_t pel_policy_num_settings(const struct pel_policy *policy)
{
    return policy->num_settings;
}

const struct pel_rule *pel_policy_rule(const struct pel_policy *policy, size_t index)
{
    return index < policy->num_rules ? &policy->rules[index] : NULL;
}

bool pel_pattern_match(const struct pel_pattern *pattern, const char *name)
{
    if (pattern->text == NULL)
        return true;
    if (name == NULL || name[0] == '\0' || strncasecmp(pattern->text, name, pattern->len) != 0)
        return false;
    return pattern->prefix || name[pattern->len] == '\0';
}

bool pel_conditions_match(const struct pel_conditions *conditions, const struct pel_policy_query *query)
{
    /* The cheap comparisons first: most rules fail at the ports. */
    uint16_t local = query->local.port, remote = query->remote.port;
    int64_t until_s;
    if ((conditions->direction & query->direction) == 0)
        return false;
    if (local < conditions->local_port_hull.low || local > conditions->local_port_hull.high ||
        remote < conditions->remote_port_hull.low || remote > conditions->remote_port_hull.high)
        return false;
    return pel_port_ranges_has(conditions->local_ports, local) &&
           pel_port_ranges_has(conditions->remote_ports, remote) &&
           pel_ip_ranges_has(conditions->local_ips, &query->local.ip) &&
           pel_ip_ranges_has(conditions->remote_ips, &query->remote.ip) &&
           pel_pattern_match(&conditions->user, query->user) &&
           pel_pattern_match(&conditions->job, query->job) &&
           pel_time_holds(conditions->time, query->wall_s, &until_s);
}

const struct pel_rule *pel_policy_lookup(const struct pel_policy *policy,
                                         const struct pel_policy_query *query)
{
    size_t index = pel_tables_lookup(policy, query);
    return index < policy->num_rules ? &policy->rules[index] : NULL;
}
