/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/generation.h"

#include <stdlib.h>
#include <string.h>

#include "tls/keyring.h"

#define KEYRING_PATH_LEN 4096

static enum pel_tls_client_auth client_auth_of(const struct pel_effective *effective)
{
    static const enum pel_tls_client_auth by_type[] = {
        [PEL_CLIENT_AUTH_PASSTHRU] = PEL_TLS_AUTH_PASSTHRU,
        [PEL_CLIENT_AUTH_FULL] = PEL_TLS_AUTH_FULL,
        [PEL_CLIENT_AUTH_REQUIRED] = PEL_TLS_AUTH_REQUIRED,
        [PEL_CLIENT_AUTH_SAFCHECK] = PEL_TLS_AUTH_SAFCHECK,
    };
    if (effective->role != PEL_ROLE_SERVER_WITH_CLIENT_AUTH)
        return PEL_TLS_AUTH_NONE;
    return by_type[effective->client_auth];
}

static uint32_t versions_of(uint32_t policy_versions)
{
    uint32_t versions = 0;
    if (policy_versions & PEL_POLICY_TLS1_0)
        versions |= PEL_TLS_V1_0;
    if (policy_versions & PEL_POLICY_TLS1_1)
        versions |= PEL_TLS_V1_1;
    if (policy_versions & PEL_POLICY_TLS1_2)
        versions |= PEL_TLS_V1_2;
    if (policy_versions & PEL_POLICY_TLS1_3)
        versions |= PEL_TLS_V1_3;
    return versions;
}

static enum pel_err open_env(const struct pel_effective *effective,
                             const struct pel_generation_config *config, struct pel_tls_env **ret_env,
                             struct pel_error *reterr)
{
    char path[KEYRING_PATH_LEN];
    PEL_TRY(pel_keyring_resolve(config->keyring_dir, config->owner, effective->keyring, path, sizeof path,
                                reterr));
    struct pel_tls_config tls = {
        .role = effective->role == PEL_ROLE_CLIENT ? PEL_TLS_CLIENT : PEL_TLS_SERVER,
        .client_auth = client_auth_of(effective),
        .versions = versions_of(effective->versions),
        .ciphers = effective->ciphers,
        .num_ciphers = effective->num_ciphers,
        .groups = effective->groups,
        .num_groups = effective->num_groups,
        .keyring_path = path,
        .label = effective->certificate_label,
        .more_labels = effective->server_certificate_labels,
        .num_more_labels = effective->num_server_certificate_labels,
        .handshake_timeout_us = (uint64_t)effective->handshake_timeout_s * 1000000u,
        .now_s = config->now_s,
        .no_tickets = !effective->sessions.client_tickets,
    };
    return pel_tls_env_new(&tls, ret_env, reterr);
}

/* Each rule has an environment of its own, also where it shares its actions with others: session tickets are
 * bound to the rule, and one that was given by one rule must not resume at another. */
static enum pel_err bind_rule(struct pel_generation *generation, const struct pel_rule *rule,
                              const struct pel_generation_config *config)
{
    struct pel_binding *binding = &generation->bindings[rule->index];
    if (!rule->effective.ttls_enabled)
        return PEL_OK;
    enum pel_err err = open_env(&rule->effective, config, &binding->env, &binding->problem);
    if (err == PEL_E_NO_MEMORY)
        return err;
    binding->problem.code = err;
    return PEL_OK;
}

enum pel_err pel_generation_build(struct pel_policy *policy, const struct pel_generation_config *config,
                                  pel_generation_problem_fn *on_problem, void *arg,
                                  struct pel_generation **ret_generation)
{
    size_t num_rules = pel_policy_num_rules(policy);
    struct pel_generation *generation = calloc(1, sizeof *generation);
    if (generation == NULL) {
        pel_policy_unref(policy);
        return PEL_E_NO_MEMORY;
    }
    generation->num_refs = 1;
    generation->policy = policy;
    generation->bindings = calloc(num_rules + 1, sizeof *generation->bindings);
    if (generation->bindings == NULL) {
        pel_generation_unref(generation);
        return PEL_E_NO_MEMORY;
    }
    for (size_t i = 0; i < num_rules; i++) {
        const struct pel_rule *rule = pel_policy_rule(policy, i);
        enum pel_err err = bind_rule(generation, rule, config);
        if (err != PEL_OK) {
            pel_generation_unref(generation);
            return err;
        }
        if (generation->bindings[i].problem.code != PEL_OK && on_problem != NULL)
            on_problem(arg, rule, &generation->bindings[i].problem);
    }
    *ret_generation = generation;
    return PEL_OK;
}

struct pel_generation *pel_generation_ref(struct pel_generation *generation)
{
    __atomic_add_fetch(&generation->num_refs, 1, __ATOMIC_RELAXED);
    return generation;
}

void pel_generation_unref(struct pel_generation *generation)
{
    if (generation == NULL || __atomic_sub_fetch(&generation->num_refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    size_t num_rules = generation->bindings != NULL ? pel_policy_num_rules(generation->policy) : 0;
    for (size_t i = 0; i < num_rules; i++)
        pel_tls_env_unref(generation->bindings[i].env);
    free(generation->bindings);
    pel_policy_unref(generation->policy);
    free(generation);
}

void pel_generation_slot_init(struct pel_generation_slot *slot)
{
    memset(slot, 0, sizeof *slot);
    pthread_mutex_init(&slot->lock, NULL);
}

void pel_generation_slot_fini(struct pel_generation_slot *slot)
{
    pel_generation_unref(slot->current);
    pthread_mutex_destroy(&slot->lock);
}

uint64_t pel_generation_publish(struct pel_generation_slot *slot, struct pel_generation *generation)
{
    pthread_mutex_lock(&slot->lock);
    struct pel_generation *old = slot->current;
    uint64_t number = slot->number + 1;
    generation->number = number;
    slot->current = generation;
    __atomic_store_n(&slot->number, number, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&slot->lock);
    pel_generation_unref(old);
    return number;
}

struct pel_generation *pel_generation_current(struct pel_generation_slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    struct pel_generation *generation = slot->current != NULL ? pel_generation_ref(slot->current) : NULL;
    pthread_mutex_unlock(&slot->lock);
    return generation;
}

uint64_t pel_generation_number(const struct pel_generation_slot *slot)
{
    return __atomic_load_n(&slot->number, __ATOMIC_ACQUIRE);
}
