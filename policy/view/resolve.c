/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/resolve.h"

#include <string.h>

/* Whole statements: the connection's takes the place of the environment's. */
static const struct pel_stmt *nearer(const struct pel_levels *levels, enum pel_slot slot)
{
    const struct pel_stmt *stmt = pel_stmt_child(levels->conn, slot);
    return stmt != NULL ? stmt : pel_stmt_child(levels->env, slot);
}

void pel_levels_of(const struct pel_stmt *rule, struct pel_levels *ret_levels)
{
    struct pel_levels levels = {.rule = rule};
    levels.time = pel_stmt_child(rule, PEL_SLOT_TIME);
    levels.group = pel_stmt_child(rule, PEL_SLOT_GROUP_ACTION);
    levels.env = pel_stmt_child(rule, PEL_SLOT_ENV_ACTION);
    levels.conn = pel_stmt_child(rule, PEL_SLOT_CONN_ACTION);
    levels.group_adv = pel_stmt_child(levels.group, PEL_SLOT_ADVANCED);
    levels.env_adv = pel_stmt_child(levels.env, PEL_SLOT_ADVANCED);
    levels.conn_adv = pel_stmt_child(levels.conn, PEL_SLOT_ADVANCED);
    levels.keyring = pel_stmt_child(levels.env, PEL_SLOT_KEYRING_PARMS);
    levels.ciphers = nearer(&levels, PEL_SLOT_CIPHER_PARMS);
    levels.signature = nearer(&levels, PEL_SLOT_SIGNATURE_PARMS);
    levels.gsk = pel_stmt_child(levels.env, PEL_SLOT_GSK);
    levels.ldap = pel_stmt_child(levels.gsk, PEL_SLOT_LDAP);
    levels.ocsp = pel_stmt_child(levels.gsk, PEL_SLOT_OCSP);
    levels.cdp = pel_stmt_child(levels.gsk, PEL_SLOT_CDP);
    *ret_levels = levels;
}

void pel_levels_of_action(const struct pel_stmt *rule, enum pel_level level, struct pel_levels *ret_levels)
{
    struct pel_levels all, levels = {.rule = rule};
    pel_levels_of(rule, &all);
    if (level == PEL_LEVEL_ENVIRONMENT) {
        levels = all;
        levels.conn = levels.conn_adv = NULL;
        levels.ciphers = pel_stmt_child(all.env, PEL_SLOT_CIPHER_PARMS);
        levels.signature = pel_stmt_child(all.env, PEL_SLOT_SIGNATURE_PARMS);
    } else if (level == PEL_LEVEL_CONNECTION) {
        levels.conn = all.conn;
        levels.conn_adv = all.conn_adv;
        levels.ciphers = pel_stmt_child(all.conn, PEL_SLOT_CIPHER_PARMS);
        levels.signature = pel_stmt_child(all.conn, PEL_SLOT_SIGNATURE_PARMS);
    } else {
        levels.group = all.group;
        levels.group_adv = all.group_adv;
    }
    *ret_levels = levels;
}

enum { MOST_LEVELS = 3 };

/* The statements to look in, nearest first. */
static void chain_of(const struct pel_levels *levels, enum pel_stmt_type home,
                     const struct pel_stmt *ret_chain[MOST_LEVELS])
{
    ret_chain[0] = ret_chain[1] = ret_chain[2] = NULL;
    switch (home) {
    case PEL_S_GROUP_ACTION:
    case PEL_S_ENV_ACTION:
    case PEL_S_CONN_ACTION:
        ret_chain[0] = levels->conn;
        ret_chain[1] = levels->env;
        ret_chain[2] = levels->group;
        break;
    case PEL_S_GROUP_ADV:
    case PEL_S_ENV_ADV:
    case PEL_S_CONN_ADV:
        ret_chain[0] = levels->conn_adv;
        ret_chain[1] = levels->env_adv;
        ret_chain[2] = levels->group_adv;
        break;
    case PEL_S_RULE: ret_chain[0] = levels->rule; break;
    case PEL_S_IP_TIME: ret_chain[0] = levels->time; break;
    case PEL_S_KEYRING: ret_chain[0] = levels->keyring; break;
    case PEL_S_CIPHERS: ret_chain[0] = levels->ciphers; break;
    case PEL_S_SIGNATURE: ret_chain[0] = levels->signature; break;
    case PEL_S_GSK_ADV: ret_chain[0] = levels->gsk; break;
    case PEL_S_GSK_LDAP: ret_chain[0] = levels->ldap; break;
    case PEL_S_GSK_OCSP: ret_chain[0] = levels->ocsp; break;
    case PEL_S_GSK_CDP: ret_chain[0] = levels->cdp; break;
    default: break; /* addresses and ports: part of the rule's conditions */
    }
}

/* Rows of different statements are one parameter when their names are the same; those of one slot fill one
 * place, whatever their names. */
static bool is_same(const struct pel_row *a, const struct pel_row *b)
{
    if (a->slot != PEL_SLOT_NONE && (a->flags & PEL_ROW_REPEAT) == 0)
        return a->slot == b->slot;
    return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

struct pel_found pel_resolve(const struct pel_levels *levels, enum pel_stmt_type home,
                             const struct pel_row *row)
{
    const struct pel_stmt *chain[MOST_LEVELS];
    chain_of(levels, home, chain);
    for (size_t i = 0; i < MOST_LEVELS; i++) {
        const struct pel_stmt *stmt = chain[i];
        if (stmt == NULL)
            continue;
        const struct pel_param *param = (row->flags & PEL_ROW_REPEAT) != 0 ? stmt->items : stmt->params;
        while (param != NULL && !is_same(row, param->row))
            param = param->next;
        if (param != NULL)
            return (struct pel_found){stmt, param};
    }
    return (struct pel_found){0};
}

const struct pel_param *pel_next_item(const struct pel_param *param)
{
    const struct pel_row *row = param->row;
    do
        param = param->next;
    while (param != NULL && param->row != row);
    return param;
}

/* What stands in an address or port statement. */
static const struct pel_param *only_item(const struct pel_stmt *stmt)
{
    const struct pel_param *param = pel_stmt_get(stmt, PEL_SLOT_ADDR_ITEM);
    return param != NULL ? param : pel_stmt_get(stmt, PEL_SLOT_PORT_ITEM);
}

static bool is_group(const struct pel_param *param)
{
    return param->child != NULL &&
           (param->child->type == PEL_S_IP_ADDR_GROUP || param->child->type == PEL_S_PORT_GROUP);
}

static size_t count_items(const struct pel_param *param)
{
    size_t num = 0;
    if (!is_group(param))
        return 1;
    for (const struct pel_param *item = param->child->items; item != NULL; item = item->next)
        num++;
    return num;
}

enum pel_err pel_param_ranges(struct pel_arena *arena, const struct pel_param *param,
                              struct pel_ip_ranges *ret_ranges)
{
    struct pel_ip_ranges ranges = {0};
    if (param == NULL || (param->child == NULL && param->range == NULL)) {
        *ret_ranges = ranges;
        return PEL_OK;
    }
    ranges.ranges = pel_arena_alloc(arena, (count_items(param) + 1) * sizeof *ranges.ranges);
    if (ranges.ranges == NULL)
        return PEL_E_NO_MEMORY;
    if (param->child == NULL) {
        ranges.ranges[ranges.num++] = *param->range;
    } else if (!is_group(param)) {
        ranges.ranges[ranges.num++] = *only_item(param->child)->range;
    } else {
        for (const struct pel_param *item = param->child->items; item != NULL; item = item->next)
            ranges.ranges[ranges.num++] = *only_item(item->child)->range;
    }
    pel_ip_ranges_normalize(&ranges);
    *ret_ranges = ranges;
    return PEL_OK;
}

static struct pel_port_range ports_of(const struct pel_param *param)
{
    return (struct pel_port_range){(uint16_t)param->number, (uint16_t)param->number_high};
}

enum pel_err pel_param_ports(struct pel_arena *arena, const struct pel_param *param,
                             struct pel_port_ranges *ret_ports)
{
    struct pel_port_ranges ports = {0};
    if (param == NULL) {
        *ret_ports = ports;
        return PEL_OK;
    }
    ports.ranges = pel_arena_alloc(arena, (count_items(param) + 1) * sizeof *ports.ranges);
    if (ports.ranges == NULL)
        return PEL_E_NO_MEMORY;
    if (param->child == NULL) {
        ports.ranges[ports.num++] = ports_of(param);
    } else if (!is_group(param)) {
        ports.ranges[ports.num++] = ports_of(only_item(param->child));
    } else {
        for (const struct pel_param *item = param->child->items; item != NULL; item = item->next)
            ports.ranges[ports.num++] = ports_of(only_item(item->child));
    }
    pel_port_ranges_normalize(&ports);
    *ret_ports = ports;
    return PEL_OK;
}
