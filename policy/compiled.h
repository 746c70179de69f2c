/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiled form of a policy, as the matcher reads it. Everything is immutable once made and lives in the
 * policy's arena; only the count of references changes.
 */
#ifndef PEL_POLICY_COMPILED_H
#define PEL_POLICY_COMPILED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/arena.h"
#include "policy/policy.h"

/* Addresses of one version, low to high, in network order. */
struct pel_ip_range {
    uint8_t version;
    uint8_t low[16];
    uint8_t high[16];
};

/* From `low` to `high`, both included, in the order of policy/tables/ranks.h. */
struct pel_rank_range {
    uint32_t low, high;
};

/* Sorted by version and address, without overlaps. */
struct pel_ip_ranges {
    size_t num;
    struct pel_ip_range *ranges;
    struct pel_rank_range *ranks[2]; /* the same for the classifier, as local and as remote addresses */
};

struct pel_port_range {
    uint16_t low, high;
};

/* Sorted, without overlaps. */
struct pel_port_ranges {
    size_t num;
    struct pel_port_range *ranges;
    struct pel_rank_range *ranks; /* the same for the classifier */
};

/* A name, or the start of one. */
struct pel_pattern {
    const char *text; /* NULL: any, also none */
    uint32_t len;
    bool prefix;
};

struct pel_time;

/* What a connection must be for a rule to match. NULL: any. */
struct pel_conditions {
    enum pel_direction direction;
    struct pel_port_range local_port_hull, remote_port_hull; /* 0 to 65535: any */
    struct pel_port_ranges *local_ports, *remote_ports;
    struct pel_ip_ranges *local_ips, *remote_ips;
    struct pel_pattern user, job;
    const struct pel_time *time; /* policy/tables/times.h */
};

struct pel_model;
struct pel_tables;

struct pel_policy {
    atomic_size_t num_refs;
    struct pel_arena arena;
    size_t num_rules;
    size_t num_settings;               /* different pel_rule.settings */
    struct pel_rule *rules;            /* in match order */
    struct pel_conditions *conditions; /* beside the rules */
    struct pel_model *model;           /* what the rules were made from; policy/model.h */
    const struct pel_tables *tables;   /* the same for lookups (policy/tables/tables.h) */
};

/* pel_conditions_match tells whether the connection fulfils all conditions. Allocates nothing. Any thread. */
bool pel_conditions_match(const struct pel_conditions *conditions, const struct pel_policy_query *query);

/* pel_pattern_match compares letters without case; an unknown name (NULL or "") matches no pattern. Any
 * thread. */
bool pel_pattern_match(const struct pel_pattern *pattern, const char *name);

/* pel_ip_ranges_normalize sorts the ranges and joins those that touch. pel_port_ranges_normalize likewise. */
void pel_ip_ranges_normalize(struct pel_ip_ranges *ranges);
void pel_port_ranges_normalize(struct pel_port_ranges *ranges);

/* pel_ip_ranges_has and pel_port_ranges_has tell whether the value is in the normalized list (NULL has all).
 * Any thread. */
bool pel_ip_ranges_has(const struct pel_ip_ranges *ranges, const struct pel_ip *ip);
bool pel_port_ranges_has(const struct pel_port_ranges *ranges, uint16_t port);

#endif
