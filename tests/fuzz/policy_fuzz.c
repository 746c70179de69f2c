/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a policy: no crash, no leak, no message without a place in the text; what is made can be
 * asked, and its canonical text makes the same rules. */
#include <stdlib.h>
#include <string.h>

#include "policy/compiled.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    size_t num_errors, num_lines;
};

static void check_message(void *arg, const struct pel_policy_diag *diag)
{
    struct seen *seen = arg;
    seen->num_errors += diag->severity == PEL_SEV_ERROR;
    if (diag->line < 1 || diag->line > seen->num_lines || diag->column < 1 || diag->message[0] == '\0' ||
        strcmp(diag->file, "fuzz") != 0)
        abort();
}

/* Each rule's values are read, and a few connections looked up. */
static void ask(const struct pel_policy *policy)
{
    static const char *const names[] = {NULL, "", "web", "srv1"};
    size_t num_rules = pel_policy_num_rules(policy);
    for (size_t i = 0; i < num_rules; i++) {
        const struct pel_rule *rule = pel_policy_rule(policy, i);
        const struct pel_effective *e = &rule->effective;
        if (rule->index != i || strlen(rule->name) > 32 || e->keyring == NULL || e->handshake_timeout_s > 600)
            abort();
        if (e->ttls_enabled && (e->versions == 0 || e->keyring[0] == '\0'))
            abort();
        if (i > 0 && rule->priority > pel_policy_rule(policy, i - 1)->priority)
            abort();
    }
    for (unsigned i = 0; i < 64; i++) {
        struct pel_policy_query query = {.direction = i & 1 ? PEL_INBOUND : PEL_OUTBOUND,
                                         .user = names[i >> 1 & 3],
                                         .job = names[i >> 3 & 3]};
        query.local.port = (uint16_t)(i * 443u);
        query.remote.port = (uint16_t)(i * 1021u);
        query.local.ip.version = query.remote.ip.version = i & 32 ? 4 : 6;
        query.local.ip.bytes[0] = query.remote.ip.bytes[0] = (uint8_t)(10 + i);
        query.wall_s = (int64_t)i * 1234567;
        size_t first = 0; /* as naively as can be */
        while (first < num_rules && !pel_conditions_match(&policy->conditions[first], &query))
            first++;
        if (pel_policy_lookup(policy, &query) != pel_policy_rule(policy, first))
            abort();
    }
}

struct text {
    char *bytes;
    size_t len;
};

static enum pel_err append(void *arg, const char *bytes, size_t len)
{
    struct text *text = arg;
    char *more = realloc(text->bytes, text->len + len + 1);
    if (more == NULL)
        return PEL_E_NO_MEMORY;
    memcpy(more + text->len, bytes, len);
    text->bytes = more;
    text->len += len;
    return PEL_OK;
}

static void read_again(const struct pel_policy *policy)
{
    struct text text = {0};
    struct pel_policy *again = NULL;
    if (pel_policy_write(policy, append, &text) != PEL_OK)
        abort();
    struct pel_policy_source source = {.file = "again", .text = text.bytes, .text_len = text.len};
    if (pel_policy_parse(&source, 1, NULL, NULL, NULL, &again, NULL) != PEL_OK ||
        pel_policy_num_rules(again) != pel_policy_num_rules(policy))
        abort();
    for (size_t i = 0; i < pel_policy_num_rules(again); i++) {
        const struct pel_rule *a = pel_policy_rule(policy, i), *b = pel_policy_rule(again, i);
        if (strcmp(a->name, b->name) != 0 || a->priority != b->priority || a->direction != b->direction ||
            a->effective.versions != b->effective.versions ||
            a->effective.num_ciphers != b->effective.num_ciphers ||
            strcmp(a->effective.keyring, b->effective.keyring) != 0)
            abort();
    }
    pel_policy_unref(again);
    free(text.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    /* In memory of its exact size, so that the sanitizer sees a read behind the end. */
    char *text = malloc(len > 0 ? len : 1);
    struct seen seen = {.num_lines = 1};
    struct pel_policy *policy = NULL;
    if (text == NULL)
        return 0;
    if (len > 0)
        memcpy(text, data, len);
    for (size_t i = 0; i < len; i++)
        seen.num_lines += data[i] == '\n';
    struct pel_policy_source source = {.file = "fuzz", .text = text, .text_len = len};
    enum pel_err err = pel_policy_parse(&source, 1, NULL, check_message, &seen, &policy, NULL);
    if ((err == PEL_OK) != (seen.num_errors == 0) || (err == PEL_OK) != (policy != NULL))
        abort();
    free(text); /* the policy keeps nothing of it */
    if (policy != NULL) {
        ask(policy);
        read_again(policy);
    }
    pel_policy_unref(policy);
    return 0;
}
