/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model that `pel policy build` reads: reusable objects, and for each stack the connectivity rules that
 * put them together. docs/POLICY-MODEL.md describes the file. Pointers are NULL, and numbers of items 0,
 * where nothing is written.
 */
#ifndef PEL_APPS_PEL_POLICY_MODEL_H
#define PEL_APPS_PEL_POLICY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "apps/pel/policy/yaml_file.h"

enum { MODEL_NAME_MAX = 64 }; /* of an object; a statement's has 32 */

struct model_address_group {
    char *name;
    char **addresses;
    unsigned num_addresses;
};

/* What the traffic is. */
struct model_traffic {
    char *name, *app, *side, *direction, *role, *job, *user;
    char **local_ports, **remote_ports;
    unsigned num_local_ports, num_remote_ports;
    char *application_controlled, *secondary_map; /* true or false: model_flag */
    uint32_t *handshake_timeout_s;
};

/* How it is protected. The lists named for statements hold lines of these, as a policy writes them. */
struct model_level {
    char *name, *client_authentication, *fips140, *suite_b, *clear;
    char **versions, **ciphers, **signature, **group, **group_advanced, **environment, **connection,
        **advanced, **gsk, **ldap, **ocsp, **http_cdp;
    unsigned num_versions, num_ciphers, num_signature, num_group, num_group_advanced, num_environment,
        num_connection, num_advanced, num_gsk, num_ldap, num_ocsp, num_http_cdp;
};

struct model_pair {
    char *traffic, *security;
};

struct model_map {
    char *name;
    struct model_pair *map;
    unsigned num_map;
};

struct model_time {
    char *name;
    char **days, **hours, **lines;
    unsigned num_days, num_hours, num_lines;
};

struct model_keyring {
    char *keyring, *keyring_password, *keyring_stash_file;
};

struct model_rule {
    char *name, *local, *remote, *requirement_map, *traffic, *security, *certificate_label, *server_name,
        *time;
    char *keyring, *keyring_password, *keyring_stash_file;
    char **server_certificate_labels;
    unsigned num_server_certificate_labels;
    uint32_t *trace, *priority;
};

struct model_stack {
    char *name;
    char *keyring, *keyring_password, *keyring_stash_file;
    struct model_rule *connectivity_rules;
    unsigned num_connectivity_rules;
};

struct model {
    struct model_address_group *address_groups;
    struct model_traffic *traffic_descriptors;
    struct model_level *security_levels;
    struct model_map *requirement_maps;
    struct model_time *time_conditions;
    struct model_stack *stacks;
    unsigned num_address_groups, num_traffic_descriptors, num_security_levels, num_requirement_maps,
        num_time_conditions, num_stacks;
};

extern const cyaml_schema_value_t model_schema;

/* Kinds of objects that have names. */
enum model_kind {
    MODEL_ADDRESS_GROUP,
    MODEL_TRAFFIC,
    MODEL_LEVEL,
    MODEL_MAP,
    MODEL_TIME,
    MODEL_NUM_KINDS,
};

/* A model that was read, with what is found by name. */
struct model_file {
    struct yaml_file yaml;
    struct model *model; /* in yaml */
    struct model_index {
        struct model_entry {
            const char *name;
            unsigned index;
        } * entries; /* sorted by name */
        size_t num;
        bool *used; /* by index */
    } indexes[MODEL_NUM_KINDS];
};

/* model_read reads the file, and checks every object and every reference; false: reported. Free with
 * model_free, also then. */
bool model_read(struct model_file *file, struct yaml_report *report);

/* model_read_text is the same for a text. */
bool model_read_text(struct model_file *file, const char *text, size_t len, struct yaml_report *report);
void model_free(struct model_file *file);

/* model_find returns the number of the object of that name, or -1; predefined levels are in no index. */
int model_find(const struct model_file *file, enum model_kind kind, const char *name);

/* model_list_key returns the key of a kind's list, and model_kind_name what one object is called. */
const char *model_list_key(enum model_kind kind);
const char *model_kind_name(enum model_kind kind);

/* What the checks and the build agree on. */
bool model_is_address(const char *text); /* an address, ADDRESS/PREFIX, LOW-HIGH, All, All4, All6 */
int model_day(const char *text);         /* 0: Sunday; -1: no day */

/* true and false in YAML's spellings: 1, 0, -1 when it is neither; 0 for NULL. libcyaml's own takes any other
 * word for true. */
int model_flag(const char *text);

/* The schema's words, and -1 when it is none of them. */
int model_word(const char *text, const char *const *words);
extern const char *const model_roles[];      /* client, server, server-with-client-auth */
extern const char *const model_directions[]; /* inbound, outbound, both */
extern const char *const model_days[];

#endif
