/* SPDX-License-Identifier: Apache-2.0 */
/* A policy beside the keyrings that it names, without a stack: a generation is built as a load would build
 * it, and its problems are told at the rules that have them. */
#include <pellucid/policy.h>
#include <pwd.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "stack/generation.h"

enum { SOON_DAYS = 30, DAY_S = 86400 };

struct keyring_check {
    struct pel_policy *policy;
    pel_policy_message_fn *fn;
    void *arg;
    size_t num_unusable;
};

static void say(struct keyring_check *check, size_t index, enum pel_policy_severity severity,
                const char *text)
{
    struct pel_policy_info info = {0};
    if (check->fn == NULL || pel_policy_describe(check->policy, index, &info) != PEL_OK)
        return;
    struct pel_policy_message message = {
        .severity = severity, .file = info.file, .line = info.line, .column = info.column, .text = text};
    check->fn(check->arg, &message);
}

static void on_problem(void *arg, const struct pel_rule *rule, const struct pel_error *problem)
{
    struct keyring_check *check = arg;
    char text[sizeof problem->text + 120];
    snprintf(text, sizeof text, "TTLSRule \"%s\": its connections would be refused: %s", rule->name,
             problem->text);
    check->num_unusable++;
    say(check, rule->index, PEL_POLICY_ERROR, text);
}

/* Certificates that will end soon. */
static void look_ahead(struct keyring_check *check, const struct pel_generation *generation, int64_t now_s)
{
    char text[200];
    for (size_t i = 0; i < pel_policy_num_rules(check->policy); i++) {
        const struct pel_tls_env *env = generation->bindings[i].env;
        int64_t expiry_s = env != NULL ? pel_tls_env_cert_expiry_s(env) : 0;
        if (expiry_s == 0 || expiry_s - now_s >= (int64_t)SOON_DAYS * DAY_S)
            continue;
        long long days = (long long)(expiry_s - now_s) / DAY_S;
        snprintf(text, sizeof text, "TTLSRule \"%s\": its certificate ends in %lld day%s",
                 pel_policy_rule(check->policy, i)->name, days, days == 1 ? "" : "s");
        say(check, i, PEL_POLICY_WARNING, text);
    }
}

enum pel_err pel_policy_check_keyrings(struct pel_policy *policy, const char *keyring_dir, const char *owner,
                                       pel_policy_message_fn *fn, void *arg, size_t *ret_num_unusable,
                                       struct pel_error *reterr)
{
    struct keyring_check check = {.policy = policy, .fn = fn, .arg = arg};
    struct pel_generation *generation = NULL;
    struct passwd self, *found = NULL;
    char names[4096];
    if (owner == NULL && getpwuid_r(geteuid(), &self, names, sizeof names, &found) == 0 && found != NULL)
        owner = self.pw_name;
    const struct pel_generation_config config = {
        .keyring_dir = keyring_dir, .owner = owner != NULL ? owner : "", .now_s = (int64_t)time(NULL)};
    enum pel_err err = pel_generation_build(pel_policy_ref(policy), &config, on_problem, &check, &generation);
    if (err != PEL_OK)
        return pel_error_set(reterr, err, "keyrings: %s", pel_err_text(err));
    look_ahead(&check, generation, config.now_s);
    pel_generation_unref(generation);
    if (ret_num_unusable != NULL)
        *ret_num_unusable = check.num_unusable;
    return PEL_OK;
}
