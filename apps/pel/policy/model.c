/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a model's file, and finding objects by their names. */
#include "apps/pel/policy/model.h"

#include <stdlib.h>
#include <string.h>

#define T struct model_address_group
static const cyaml_schema_field_t address_group_fields[] = {
    YAML_TEXT(name, T),
    YAML_TEXTS(addresses, T),
    CYAML_FIELD_END,
};
#undef T
#define T struct model_traffic
static const cyaml_schema_field_t traffic_fields[] = {
    YAML_TEXT(name, T),
    YAML_TEXT(app, T),
    YAML_TEXT(side, T),
    YAML_TEXTS(local_ports, T),
    YAML_TEXTS(remote_ports, T),
    YAML_TEXT(direction, T),
    YAML_TEXT(role, T),
    YAML_TEXT(job, T),
    YAML_TEXT(user, T),
    YAML_TEXT(application_controlled, T),
    YAML_TEXT(secondary_map, T),
    YAML_NUMBER(handshake_timeout_s, T),
    CYAML_FIELD_END,
};
#undef T
#define T struct model_level
static const cyaml_schema_field_t level_fields[] = {
    YAML_TEXT(name, T),
    YAML_TEXT(clear, T),
    YAML_TEXTS(versions, T),
    YAML_TEXTS(ciphers, T),
    YAML_TEXT(client_authentication, T),
    YAML_TEXT(fips140, T),
    YAML_TEXT(suite_b, T),
    YAML_TEXTS(signature, T),
    YAML_TEXTS(group, T),
    YAML_TEXTS(group_advanced, T),
    YAML_TEXTS(environment, T),
    YAML_TEXTS(connection, T),
    YAML_TEXTS(advanced, T),
    YAML_TEXTS(gsk, T),
    YAML_TEXTS(ldap, T),
    YAML_TEXTS(ocsp, T),
    YAML_TEXTS(http_cdp, T),
    CYAML_FIELD_END,
};
#undef T
static const cyaml_schema_field_t pair_fields[] = {
    YAML_TEXT(traffic, struct model_pair),
    YAML_TEXT(security, struct model_pair),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t pair_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct model_pair, pair_fields),
};
static const cyaml_schema_field_t map_fields[] = {
    YAML_TEXT(name, struct model_map),
    YAML_LIST(map, struct model_map, &pair_value),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t time_fields[] = {
    YAML_TEXT(name, struct model_time),
    YAML_TEXTS(days, struct model_time),
    YAML_TEXTS(hours, struct model_time),
    YAML_TEXTS(lines, struct model_time),
    CYAML_FIELD_END,
};
#define T struct model_rule
static const cyaml_schema_field_t rule_fields[] = {
    YAML_TEXT(name, T),
    YAML_TEXT(local, T),
    YAML_TEXT(remote, T),
    YAML_TEXT(requirement_map, T),
    YAML_TEXT(traffic, T),
    YAML_TEXT(security, T),
    YAML_TEXT(keyring, T),
    YAML_TEXT(keyring_password, T),
    YAML_TEXT(keyring_stash_file, T),
    YAML_TEXT(certificate_label, T),
    YAML_TEXTS(server_certificate_labels, T),
    YAML_TEXT(server_name, T),
    YAML_TEXT(time, T),
    YAML_NUMBER(trace, T),
    YAML_NUMBER(priority, T),
    CYAML_FIELD_END,
};
#undef T
static const cyaml_schema_value_t rule_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct model_rule, rule_fields),
};
static const cyaml_schema_field_t stack_fields[] = {
    YAML_TEXT(name, struct model_stack),
    YAML_TEXT(keyring, struct model_stack),
    YAML_TEXT(keyring_password, struct model_stack),
    YAML_TEXT(keyring_stash_file, struct model_stack),
    YAML_LIST(connectivity_rules, struct model_stack, &rule_value),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t address_group_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct model_address_group, address_group_fields),
};
static const cyaml_schema_value_t traffic_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct model_traffic, traffic_fields),
};
static const cyaml_schema_value_t level_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct model_level, level_fields),
};
static const cyaml_schema_value_t map_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct model_map, map_fields),
};
static const cyaml_schema_value_t time_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct model_time, time_fields),
};
static const cyaml_schema_value_t stack_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct model_stack, stack_fields),
};
static const cyaml_schema_field_t model_fields[] = {
    YAML_LIST(address_groups, struct model, &address_group_value),
    YAML_LIST(traffic_descriptors, struct model, &traffic_value),
    YAML_LIST(security_levels, struct model, &level_value),
    YAML_LIST(requirement_maps, struct model, &map_value),
    YAML_LIST(time_conditions, struct model, &time_value),
    YAML_LIST(stacks, struct model, &stack_value),
    CYAML_FIELD_END,
};
const cyaml_schema_value_t model_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct model, model_fields),
};

const char *const model_roles[] = {"client", "server", "server-with-client-auth", NULL};
const char *const model_directions[] = {"inbound", "outbound", "both", NULL};
const char *const model_days[] = {"Sunday",   "Monday", "Tuesday",  "Wednesday",
                                  "Thursday", "Friday", "Saturday", NULL};

static const struct {
    const char *list_key, *name;
} kinds[MODEL_NUM_KINDS] = {
    [MODEL_ADDRESS_GROUP] = {"address_groups", "address group"},
    [MODEL_TRAFFIC] = {"traffic_descriptors", "traffic descriptor"},
    [MODEL_LEVEL] = {"security_levels", "security level"},
    [MODEL_MAP] = {"requirement_maps", "requirement map"},
    [MODEL_TIME] = {"time_conditions", "time condition"},
};

const char *model_list_key(enum model_kind kind)
{
    return kinds[kind].list_key;
}

const char *model_kind_name(enum model_kind kind)
{
    return kinds[kind].name;
}

int model_find(const struct model_file *file, enum model_kind kind, const char *name)
{
    const struct model_index *index = &file->indexes[kind];
    size_t low = 0, high = index->num;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(index->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_found = low < index->num && strcmp(index->entries[low].name, name) == 0;
    return is_found ? (int)index->entries[low].index : -1;
}

void model_free(struct model_file *file)
{
    for (int kind = 0; kind < MODEL_NUM_KINDS; kind++) {
        free(file->indexes[kind].entries);
        free(file->indexes[kind].used);
    }
    yaml_file_free(&file->yaml);
    *file = (struct model_file){0};
}
