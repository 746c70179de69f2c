/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/generation.h"

#include <stdlib.h>
#include <string.h>

#include "tls/keyring.h"

#define KEYRING_PATH_LEN 4096
#define FIPS_RSA_BITS    2048u /* FIPS 186-5 section 5.1, for signing */

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

static enum pel_tls_demand demand_of(enum pel_demand demand)
{
    static const enum pel_tls_demand by_demand[] = {
        [PEL_DEMAND_OFF] = PEL_TLS_OFF,
        [PEL_DEMAND_OPTIONAL] = PEL_TLS_OPTIONAL,
        [PEL_DEMAND_REQUIRED] = PEL_TLS_REQUIRED,
    };
    return by_demand[demand];
}

/* In the policy 0 is a number of its own; for an environment it is a default. */
static struct pel_tls_sessions sessions_of(const struct pel_effective *effective)
{
    const struct pel_effective_sessions *from = &effective->sessions;
    const bool client = effective->role == PEL_ROLE_CLIENT;
    bool no_tickets =
        client
            ? !from->client_tickets || from->client_ticket_max_len == 0 || from->client_tickets_max_kept == 0
            : !from->server_tickets || from->server_ticket_count == 0 || from->server_ticket_timeout_s == 0;
    return (struct pel_tls_sessions){
        .off = from->timeout_s == 0 || from->max_kept == 0,
        .timeout_s = from->timeout_s,
        .max_kept = from->max_kept,
        .tickets_off = no_tickets,
        .max_ticket_len = from->client_ticket_max_len,
        .max_tickets = from->client_tickets_max_kept,
        .num_tickets = from->server_ticket_count,
        .ticket_timeout_s = from->server_ticket_timeout_s,
        .key_refresh_s = from->server_ticket_refresh_s,
        .aes256 = from->server_ticket_aes256,
    };
}

/* What a rule's values are to TLS; strings and lists stay the policy's. */
static struct pel_tls_config tls_config_of(const struct pel_effective *effective)
{
    return (struct pel_tls_config){
        .role = effective->role == PEL_ROLE_CLIENT ? PEL_TLS_CLIENT : PEL_TLS_SERVER,
        .client_auth = client_auth_of(effective),
        .versions = versions_of(effective->versions),
        .ciphers = effective->ciphers,
        .num_ciphers = effective->num_ciphers,
        .groups = effective->groups,
        .num_groups = effective->num_groups,
        .tls13_groups = effective->tls13_groups,
        .num_tls13_groups = effective->num_tls13_groups,
        .key_shares = effective->key_shares,
        .num_key_shares = effective->num_key_shares,
        .signatures = effective->signatures,
        .num_signatures = effective->num_signatures,
        .cert_signatures = effective->cert_signatures,
        .num_cert_signatures = effective->num_cert_signatures,
        .keyring_password = effective->keyring_pw,
        .keyring_stash_file = effective->keyring_stash_file,
        .label = effective->certificate_label,
        .more_labels = effective->server_certificate_labels,
        .num_more_labels = effective->num_server_certificate_labels,
        .sni = demand_of(effective->sni),
        .sni_match = effective->sni_match,
        .sni_name = effective->client_sni_name,
        .sni_hosts = effective->server_sni_hosts,
        .sni_labels = effective->server_sni_labels,
        .num_sni = effective->num_server_sni,
        .reference_dns = effective->host_reference_dns,
        .reference_cn = effective->host_reference_cn,
        .reference_wildcards = effective->host_reference_wildcards,
        .min_rsa_bits = effective->min_rsa_bits,
        .min_ecc_bits = effective->min_ecc_bits,
        .min_own_rsa_bits = effective->fips ? FIPS_RSA_BITS : 0,
        .cert_version_3 = effective->cert_version_3,
        .extended_master_secret = effective->extended_master_secret_required,
        .renegotiation_indicated = effective->renegotiation_indicated,
        .des_key_check = effective->des_key_check,
        .handshake_timeout_us = (uint64_t)effective->handshake_timeout_s * 1000000u,
        .reset_cipher_us = (uint64_t)effective->reset_cipher_s * 1000000u,
        .sessions = sessions_of(effective),
    };
}

static enum pel_err open_env(const struct pel_effective *effective,
                             const struct pel_generation_config *config, struct pel_tls_env **ret_env,
                             struct pel_error *reterr)
{
    char path[KEYRING_PATH_LEN];
    PEL_TRY(pel_keyring_resolve(config->keyring_dir, config->owner, effective->keyring, path, sizeof path,
                                reterr));
    struct pel_tls_config tls = tls_config_of(effective);
    tls.keyring_path = path;
    tls.now_s = config->now_s;
    return pel_tls_env_new(&tls, ret_env, reterr);
}

/* Rules of one class of settings share an environment, or the problem of having none: what it is made of
 * are their settings and what is the same for all (struct pel_generation_config). Sessions and tickets are
 * bound to the rule all the same (pel_tls_new_bound): one that was given by one rule must not resume at
 * another. */
static enum pel_err bind_rule(struct pel_generation *generation, const struct pel_rule *rule,
                              const struct pel_generation_config *config, const struct pel_binding **first)
{
    struct pel_binding *binding = &generation->bindings[rule->index];
    if (!rule->effective.ttls_enabled)
        return PEL_OK;
    if (first[rule->settings] != NULL) {
        binding->env = pel_tls_env_ref(first[rule->settings]->env);
        binding->problem = first[rule->settings]->problem;
        return PEL_OK;
    }
    enum pel_err err = open_env(&rule->effective, config, &binding->env, &binding->problem);
    if (err == PEL_E_NO_MEMORY)
        return err;
    binding->problem.code = err;
    first[rule->settings] = binding;
    return PEL_OK;
}

static enum pel_err bind_rules(struct pel_generation *generation, const struct pel_generation_config *config,
                               pel_generation_problem_fn *on_problem, void *arg)
{
    size_t num_settings = pel_policy_num_settings(generation->policy);
    const struct pel_binding **first = calloc(num_settings + 1, sizeof *first);
    enum pel_err err = first == NULL ? PEL_E_NO_MEMORY : PEL_OK;
    for (size_t i = 0; i < pel_policy_num_rules(generation->policy) && err == PEL_OK; i++) {
        const struct pel_rule *rule = pel_policy_rule(generation->policy, i);
        err = bind_rule(generation, rule, config, first);
        if (err == PEL_OK && generation->bindings[i].problem.code != PEL_OK && on_problem != NULL)
            on_problem(arg, rule, &generation->bindings[i].problem);
    }
    free(first);
    return err;
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
    enum pel_err err = bind_rules(generation, config, on_problem, arg);
    if (err != PEL_OK) {
        pel_generation_unref(generation);
        return err;
    }
    *ret_generation = generation;
    return PEL_OK;
}

enum pel_err pel_generation_take_over(struct pel_generation *generation, const struct pel_generation *before,
                                      const uint32_t *index, const bool *same, uint64_t number,
                                      uint32_t num_engines)
{
    size_t num_rules = pel_policy_num_rules(generation->policy);
    for (size_t i = 0; i < num_rules; i++) {
        struct pel_binding *binding = &generation->bindings[i];
        const struct pel_binding *old = before != NULL && same[i] ? &before->bindings[index[i]] : NULL;
        binding->since = old != NULL ? old->since : number;
        binding->hits = old != NULL ? pel_rule_hits_ref(old->hits) : pel_rule_hits_new(num_engines);
        if (binding->hits == NULL)
            return PEL_E_NO_MEMORY;
    }
    return PEL_OK;
}

struct pel_generation *pel_generation_ref(struct pel_generation *generation)
{
    __atomic_add_fetch(&generation->num_refs, 1, __ATOMIC_RELAXED);
    return generation;
}

static void free_generation(struct pel_generation *generation)
{
    size_t num_rules = generation->bindings != NULL ? pel_policy_num_rules(generation->policy) : 0;
    for (size_t i = 0; i < num_rules; i++) {
        pel_tls_env_unref(generation->bindings[i].env);
        pel_rule_hits_unref(generation->bindings[i].hits);
    }
    free(generation->bindings);
    pel_policy_unref(generation->policy);
    free(generation);
}

static void retire(struct pel_generation *generation)
{
    struct pel_generation_slot *slot = generation->slot;
    generation->next_retired = __atomic_load_n(&slot->retired, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&slot->retired, &generation->next_retired, generation, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        continue;
}

void pel_generation_unref(struct pel_generation *generation)
{
    if (generation == NULL || __atomic_sub_fetch(&generation->num_refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (generation->slot != NULL)
        retire(generation);
    else
        free_generation(generation);
}

void pel_generation_reap(struct pel_generation_slot *slot)
{
    struct pel_generation *generation = __atomic_exchange_n(&slot->retired, NULL, __ATOMIC_ACQUIRE);
    while (generation != NULL) {
        struct pel_generation *next = generation->next_retired;
        free_generation(generation);
        generation = next;
    }
}

void pel_generation_slot_init(struct pel_generation_slot *slot)
{
    memset(slot, 0, sizeof *slot);
    pthread_mutex_init(&slot->lock, NULL);
    pel_primaries_init(&slot->primaries);
    pel_held_init(&slot->held);
}

void pel_generation_slot_fini(struct pel_generation_slot *slot)
{
    pel_generation_unref(slot->current);
    pel_generation_reap(slot);
    pel_primaries_fini(&slot->primaries);
    pel_held_fini(&slot->held);
    pthread_mutex_destroy(&slot->lock);
}

uint64_t pel_generation_publish(struct pel_generation_slot *slot, struct pel_generation *generation)
{
    pthread_mutex_lock(&slot->lock);
    struct pel_generation *old = slot->current;
    uint64_t number = slot->number + 1;
    generation->number = number;
    generation->slot = slot;
    slot->current = generation;
    __atomic_store_n(&slot->number, number, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&slot->lock);
    pel_generation_unref(old);
    pel_generation_reap(slot);
    return number;
}

bool pel_generation_try_current(struct pel_generation_slot *slot, struct pel_generation **ret_generation)
{
    if (pthread_mutex_trylock(&slot->lock) != 0)
        return false;
    *ret_generation = slot->current != NULL ? pel_generation_ref(slot->current) : NULL;
    pthread_mutex_unlock(&slot->lock);
    return true;
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
