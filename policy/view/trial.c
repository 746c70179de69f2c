/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/trial.h"

#include <pellucid/policy.h>
#include <string.h>

#include "base/addr.h"
#include "policy/tables/times.h"
#include "policy/view/value_write.h"

/* More values than a person reads are cut. */
enum { MOST_SHOWN = 4 };

static bool fail_port(struct pel_out *out, const char *which, uint16_t port,
                      const struct pel_port_ranges *ports, struct pel_port_range hull)
{
    size_t num = ports != NULL ? ports->num : 1;
    pel_out_format(out, "%s port %u is not ", which, port);
    for (size_t i = 0; i < num && i < MOST_SHOWN; i++) {
        pel_out_text(out, i == 0 ? "" : i + 1 == num ? " or " : ", ");
        pel_value_write_ports(out, ports != NULL ? ports->ranges[i] : hull);
    }
    if (num > MOST_SHOWN)
        pel_out_format(out, " or one of %zu more", num - MOST_SHOWN);
    return false;
}

static bool try_port(struct pel_out *out, const char *which, uint16_t port,
                     const struct pel_port_ranges *ports, struct pel_port_range hull)
{
    if (port >= hull.low && port <= hull.high && pel_port_ranges_has(ports, port))
        return true;
    return fail_port(out, which, port, ports, hull);
}

static bool try_address(struct pel_out *out, const char *which, const struct pel_ip *ip,
                        const struct pel_ip_ranges *ranges)
{
    char text[46];
    if (pel_ip_ranges_has(ranges, ip))
        return true;
    pel_out_format(out, "%s address %s is not ", which, pel_ip_format(ip, text, sizeof text));
    for (size_t i = 0; i < ranges->num && i < MOST_SHOWN; i++) {
        pel_out_text(out, i == 0 ? "" : i + 1 == ranges->num ? " or " : ", ");
        pel_value_write_range(out, &ranges->ranges[i]);
    }
    if (ranges->num > MOST_SHOWN)
        pel_out_format(out, " or one of %zu more", ranges->num - MOST_SHOWN);
    return false;
}

static bool try_name(struct pel_out *out, const char *which, const char *name,
                     const struct pel_pattern *pattern)
{
    if (pel_pattern_match(pattern, name))
        return true;
    if (name == NULL || name[0] == '\0')
        pel_out_format(out, "%s unknown, not ", which);
    else
        pel_out_format(out, "%s \"%s\" is not ", which, pel_diag_show(name, strlen(name)).text);
    pel_out_add(out, pattern->text, pattern->len);
    pel_out_text(out, pattern->prefix ? "*" : "");
    return false;
}

static bool try_direction(struct pel_out *out, enum pel_direction is, enum pel_direction wanted)
{
    if ((is & wanted) != 0)
        return true;
    pel_out_text(out, is == PEL_INBOUND ? "inbound, not Outbound" : "outbound, not Inbound");
    return false;
}

static bool try_time(struct pel_out *out, int64_t wall_s, const struct pel_time *time)
{
    int64_t until_s;
    if (pel_time_holds(time, wall_s, &until_s))
        return true;
    pel_out_text(out, "its IpTimeCondition does not hold at that time");
    return false;
}

bool pel_trial_explain(const struct pel_policy *policy, size_t index, const struct pel_policy_query *query,
                       struct pel_out *ret_reason)
{
    const struct pel_conditions *conditions = &policy->conditions[index];
    pel_out_clear(ret_reason);
    return try_direction(ret_reason, query->direction, conditions->direction) &&
           try_address(ret_reason, "local", &query->local.ip, conditions->local_ips) &&
           try_port(ret_reason, "local", query->local.port, conditions->local_ports,
                    conditions->local_port_hull) &&
           try_address(ret_reason, "remote", &query->remote.ip, conditions->remote_ips) &&
           try_port(ret_reason, "remote", query->remote.port, conditions->remote_ports,
                    conditions->remote_port_hull) &&
           try_name(ret_reason, "job", query->job, &conditions->job) &&
           try_name(ret_reason, "user", query->user, &conditions->user) &&
           try_time(ret_reason, query->wall_s, conditions->time);
}

static enum pel_err read_connection(const struct pel_policy_connection *connection,
                                    struct pel_policy_query *ret_query)
{
    struct pel_policy_query query = {.direction = connection->inbound ? PEL_INBOUND : PEL_OUTBOUND,
                                     .user = connection->user,
                                     .job = connection->job,
                                     .wall_s = connection->wall_s};
    PEL_TRY(pel_endpoint_from_sockaddr((const struct sockaddr *)&connection->local, sizeof connection->local,
                                       &query.local));
    PEL_TRY(pel_endpoint_from_sockaddr((const struct sockaddr *)&connection->remote,
                                       sizeof connection->remote, &query.remote));
    *ret_query = query;
    return PEL_OK;
}

/* Tells of every rule; `matched` is the one that the connection gets, or the number of rules. */
static enum pel_err tell_all(const struct pel_policy *policy, const struct pel_policy_query *query,
                             size_t matched, pel_policy_trial_fn *fn, void *arg)
{
    struct pel_out reason = {0};
    bool failed = false;
    for (size_t i = 0; i < policy->num_rules && !failed; i++) {
        bool matches = pel_trial_explain(policy, i, query, &reason);
        struct pel_policy_trial trial = {.index = i,
                                         .rule = policy->rules[i].name,
                                         .reached = i <= matched,
                                         .matches = matches,
                                         .reason = matches ? NULL : reason.text};
        failed = reason.failed;
        if (!failed)
            fn(arg, &trial);
    }
    pel_out_free(&reason);
    return failed ? PEL_E_NO_MEMORY : PEL_OK;
}

enum pel_err pel_policy_match(const struct pel_policy *policy, const struct pel_policy_connection *connection,
                              pel_policy_trial_fn *fn, void *arg, struct pel_policy_outcome *ret_outcome)
{
    struct pel_policy_query query;
    struct pel_policy_info info;
    struct pel_policy_outcome outcome = {.verdict = PEL_POLICY_VERDICT_CLEAR_NO_RULE};
    PEL_TRY(read_connection(connection, &query));
    const struct pel_rule *rule = pel_policy_lookup(policy, &query);
    if (rule != NULL) {
        PEL_TRY(pel_policy_describe(policy, rule->index, &info));
        outcome = (struct pel_policy_outcome){.verdict = info.verdict, .has_rule = 1, .index = rule->index};
    }
    *ret_outcome = outcome;
    return fn == NULL ? PEL_OK
                      : tell_all(policy, &query, rule != NULL ? rule->index : policy->num_rules, fn, arg);
}
