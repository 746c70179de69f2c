/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back: a policy's rules as a model. What each rule comes to is read (model_facts.c), and written as
 * objects: the same content is the same object. Names come from the comments that a build left, if it was
 * one, else from the statements.
 */
#ifndef PEL_APPS_PEL_POLICY_MODEL_IMPORT_H
#define PEL_APPS_PEL_POLICY_MODEL_IMPORT_H

#include <pellucid/policy.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/pel/policy/yaml_file.h"

struct texts {
    char **items;
    size_t num;
};

/* The lists of a security level, by the key that a model has for each. */
enum fact_list {
    LIST_SIGNATURE,
    LIST_GROUP,
    LIST_GROUP_ADVANCED,
    LIST_ENVIRONMENT,
    LIST_CONNECTION,
    LIST_ADVANCED,
    LIST_GSK,
    LIST_LDAP,
    LIST_OCSP,
    LIST_HTTP_CDP,
    LIST_TIME,
    NUM_LISTS,
};

/* What a build's comment said of a rule; NULL where it said nothing. */
struct hint {
    char *rule, *map, *traffic, *level;
};

/* What one rule comes to. */
struct facts {
    struct pel_policy_info info;
    struct texts local, remote, local_ports, remote_ports, ciphers, server_labels, lists[NUM_LISTS];
    char *local_group, *remote_group, *time_name; /* names of statements; NULL: none */
    char *direction, *role, *job, *user, *time_mask, *time_hours;
    char *keyring, *keyring_password, *keyring_stash_file, *certificate_label, *server_name;
    char *client_authentication, *fips140, *suite_b, *trace, *application_controlled, *secondary_map,
        *timeout;
    bool versions[4], is_clear, has_secret;
    struct hint hint;
};

/* facts_read fills what the policy's settings say of the rule at `index`; false: reported. Free with
 * facts_free, also then. */
bool facts_read(const struct pel_policy *policy, size_t index, struct yaml_report *report,
                struct facts *ret_facts);
void facts_free(struct facts *facts);

/* facts_is_nothing tells whether a parameter of that name is left out: it makes no difference here, and a
 * model has no place for it. */
bool facts_is_nothing(const char *name);

/* What comments of a build say, by the statement below each. */
struct hints {
    void *tree; /* of tsearch */
    char *stack;
};

/* hints_read looks through the text; false: no memory. */
bool hints_read(const char *text, struct hints *ret_hints);
void hints_free(struct hints *hints);

/* hints_object returns the name that a comment gives the object of this statement ("IpAddrGroup", "x"), or
 * NULL. hints_rule fills the hint of a rule; false: there is none, or no memory. */
const char *hints_object(const struct hints *hints, const char *kind, const char *name);
bool hints_rule(const struct hints *hints, const char *name, struct hint *ret_hint);

/* model_write returns the model as YAML, with its end; NULL: no memory. With `hints` NULL names come from the
 * statements. `ret_has_secret`: a password is in it. Free with free. */
char *model_write(struct facts *facts, size_t num_facts, const struct hints *hints, const char *stack,
                  const char *file_name, bool *ret_has_secret);

#endif
