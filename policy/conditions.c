/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/conditions.h"

#include <string.h>

#include "policy/tables/times.h"

/* The lists of an address or port statement are made once and kept with it: any number of rules may share a
 * group. */

static size_t count_items(const struct pel_stmt *stmt)
{
    size_t num = 1;
    for (const struct pel_param *item = stmt->items; item != NULL; item = item->next)
        num++;
    return num;
}

/* The addresses of an IpAddr or IpAddrSet. */
static const struct pel_ip_range *range_of(const struct pel_stmt *stmt)
{
    const struct pel_param *param = pel_stmt_get(stmt, PEL_SLOT_ADDR_ITEM);
    return param == NULL ? NULL : param->range;
}

static struct pel_ip_ranges *new_ip_ranges(struct pel_arena *kept, size_t cap)
{
    struct pel_ip_ranges *ranges = pel_arena_alloc(kept, sizeof *ranges);
    if (ranges != NULL)
        ranges->ranges = pel_arena_alloc(kept, cap * sizeof *ranges->ranges);
    return ranges == NULL || ranges->ranges == NULL ? NULL : ranges;
}

static enum pel_err statement_ips(struct pel_parse *parse, struct pel_stmt *stmt)
{
    struct pel_ip_ranges *ranges = new_ip_ranges(parse->kept, count_items(stmt));
    if (ranges == NULL)
        return PEL_E_NO_MEMORY;
    if (stmt->type == PEL_S_IP_ADDR_GROUP) {
        for (const struct pel_param *item = stmt->items; item != NULL; item = item->next) {
            if (item->child != NULL && range_of(item->child) != NULL)
                ranges->ranges[ranges->num++] = *range_of(item->child);
        }
    } else if (range_of(stmt) != NULL) {
        ranges->ranges[ranges->num++] = *range_of(stmt);
    }
    pel_ip_ranges_normalize(ranges);
    stmt->compiled = ranges;
    return PEL_OK;
}

static enum pel_err compile_ips(struct pel_parse *parse, const struct pel_param *param,
                                struct pel_ip_ranges **ret_ranges)
{
    if (param == NULL || (param->row->type == PEL_V_ADDRSPEC && param->range == NULL))
        return PEL_OK; /* any */
    if (param->row->type == PEL_V_ADDRSPEC) {
        struct pel_ip_ranges *ranges = new_ip_ranges(parse->kept, 1);
        if (ranges == NULL)
            return PEL_E_NO_MEMORY;
        ranges->ranges[ranges->num++] = *param->range;
        *ret_ranges = ranges;
        return PEL_OK;
    }
    if (param->child->compiled == NULL)
        PEL_TRY(statement_ips(parse, param->child));
    *ret_ranges = param->child->compiled;
    return PEL_OK;
}

static struct pel_port_range port_range(const struct pel_param *param)
{
    return (struct pel_port_range){(uint16_t)param->number, (uint16_t)param->number_high};
}

static enum pel_err group_ports(struct pel_parse *parse, struct pel_stmt *stmt)
{
    struct pel_port_ranges *ports = pel_arena_alloc(parse->kept, sizeof *ports);
    if (ports != NULL)
        ports->ranges = pel_arena_alloc(parse->kept, count_items(stmt) * sizeof *ports->ranges);
    if (ports == NULL || ports->ranges == NULL)
        return PEL_E_NO_MEMORY;
    for (const struct pel_param *item = stmt->items; item != NULL; item = item->next) {
        const struct pel_param *port = pel_stmt_get(item->child, PEL_SLOT_PORT_ITEM);
        if (port != NULL)
            ports->ranges[ports->num++] = port_range(port);
    }
    pel_port_ranges_normalize(ports);
    stmt->compiled = ports;
    return PEL_OK;
}

/* A single range needs no list: the hull says all. */
static enum pel_err compile_ports(struct pel_parse *parse, const struct pel_param *param,
                                  struct pel_port_range *ret_hull, struct pel_port_ranges **ret_ports)
{
    *ret_hull = (struct pel_port_range){0, 65535};
    if (param == NULL)
        return PEL_OK;
    if (param->row->type == PEL_V_PORTS) {
        *ret_hull = port_range(param);
        return PEL_OK;
    }
    struct pel_stmt *stmt = param->child;
    if (stmt->type == PEL_S_PORT_RANGE) {
        *ret_hull = port_range(pel_stmt_get(stmt, PEL_SLOT_PORT_ITEM));
        return PEL_OK;
    }
    if (stmt->compiled == NULL)
        PEL_TRY(group_ports(parse, stmt));
    struct pel_port_ranges *ports = stmt->compiled;
    *ret_hull = (struct pel_port_range){ports->ranges[0].low, ports->ranges[ports->num - 1].high};
    *ret_ports = ports->num > 1 ? ports : NULL;
    return PEL_OK;
}

static struct pel_pattern compile_pattern(const struct pel_param *param)
{
    struct pel_pattern pattern = {0};
    if (param == NULL)
        return pattern;
    pattern.text = param->text;
    pattern.len = param->text_len;
    pattern.prefix = pattern.text[pattern.len - 1] == '*';
    pattern.len -= pattern.prefix;
    return pattern;
}

enum pel_err pel_conditions_compile(struct pel_parse *parse, const struct pel_stmt *rule,
                                    struct pel_conditions *ret_conditions)
{
    static const enum pel_direction directions[] = {PEL_INBOUND, PEL_OUTBOUND, PEL_BOTH};
    struct pel_conditions conditions = {0};
    conditions.direction = directions[pel_stmt_get(rule, PEL_SLOT_DIRECTION)->number];
    conditions.user = compile_pattern(pel_stmt_get(rule, PEL_SLOT_USER));
    conditions.job = compile_pattern(pel_stmt_get(rule, PEL_SLOT_JOB));
    struct pel_stmt *time = pel_stmt_child(rule, PEL_SLOT_TIME);
    if (time != NULL)
        PEL_TRY(pel_time_compile(parse, time, &conditions.time));
    PEL_TRY(compile_ips(parse, pel_stmt_get(rule, PEL_SLOT_LOCAL_ADDR), &conditions.local_ips));
    PEL_TRY(compile_ips(parse, pel_stmt_get(rule, PEL_SLOT_REMOTE_ADDR), &conditions.remote_ips));
    PEL_TRY(compile_ports(parse, pel_stmt_get(rule, PEL_SLOT_LOCAL_PORT), &conditions.local_port_hull,
                          &conditions.local_ports));
    PEL_TRY(compile_ports(parse, pel_stmt_get(rule, PEL_SLOT_REMOTE_PORT), &conditions.remote_port_hull,
                          &conditions.remote_ports));
    *ret_conditions = conditions;
    return PEL_OK;
}

bool pel_conditions_coded(const struct pel_stmt *rule)
{
    static const enum pel_slot slots[] = {PEL_SLOT_LOCAL_ADDR,  PEL_SLOT_REMOTE_ADDR, PEL_SLOT_LOCAL_PORT,
                                          PEL_SLOT_REMOTE_PORT, PEL_SLOT_JOB,         PEL_SLOT_USER,
                                          PEL_SLOT_TIME};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        if (pel_stmt_get(rule, slots[i]) != NULL)
            return true;
    }
    return false;
}
