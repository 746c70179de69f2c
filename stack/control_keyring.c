/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control verb "keyring-changed": somebody has changed the keyring in the directory "ring". Where a rule
 * in force takes from it, or one of the policy that was refused last, what is in force is loaded again.
 *
 * The stack judges, and not who asks: only it knows where its own relative paths lead.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack/control_json.h"
#include "stack/stack.h"

/* What the changed directory is to the stack; the worse match is the smaller. */
enum relation { UNRELATED, NEAR, USED };

static const char *relation_name(enum relation relation)
{
    static const char *const names[] = {[UNRELATED] = "none", [NEAR] = "keyring_dir", [USED] = "used"};
    return names[relation];
}

static bool is_among(const struct pel_policy_certs *certs, const char *ring)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < certs->num_keyrings; i++)
        if (certs->paths[i] != NULL && realpath(certs->paths[i], path) != NULL && strcmp(path, ring) == 0)
            return true;
    return false;
}

/* A policy that was refused may have waited for just this ring. */
static enum relation relation_of(struct pel_stack *stack, const char *ring)
{
    char path[PATH_MAX];
    enum relation relation = UNRELATED;
    size_t len = realpath(stack->config.policy.keyring_dir, path) != NULL ? strlen(path) : 0;
    if (len > 0 && strncmp(ring, path, len) == 0 && ring[len] == '/')
        relation = NEAR;
    pthread_mutex_lock(&stack->live.lock);
    if (is_among(&stack->live.certs, ring) || is_among(&stack->live.awaited.rings, ring))
        relation = USED;
    pthread_mutex_unlock(&stack->live.lock);
    return relation;
}

/* The answer that every request gets; "loaded" is added where there was a load. */
static json_t *answer_of(const struct pel_stack *stack, enum relation relation)
{
    return json_pack("{s:b, s:s, s:I, s:s, s:b}", "ok", 1, "program", stack->job, "pid", (json_int_t)getpid(),
                     "relation", relation_name(relation), "watch", (int)stack->config.policy.watch);
}

json_t *pel_control_keyring_changed(struct pel_stack *stack, const json_t *request)
{
    const char *ring = json_string_value(json_object_get(request, "ring"));
    struct pel_load_result result;
    struct pel_error error = {0};
    if (ring == NULL || ring[0] != '/')
        return pel_json_refusal("\"ring\" must be the absolute path of a directory");
    enum relation relation = relation_of(stack, ring);
    json_t *reply = answer_of(stack, relation);
    /* Who watches loads by itself, and twice would be once too often. */
    if (relation != USED || stack->config.policy.watch)
        return reply;
    enum pel_err err = pel_stack_reload_current(stack, PEL_LOAD_KEYRING, &result, &error);
    json_object_set_new(reply, "loaded", json_boolean(err == PEL_OK));
    json_object_set_new(reply, "generation", json_integer((json_int_t)result.generation));
    json_object_set_new(reply, "unusable", json_integer((json_int_t)result.num_unusable));
    json_object_set_new(reply, "certificates_replaced", json_integer((json_int_t)result.num_certs_replaced));
    if (err != PEL_OK)
        json_object_set_new(reply, "error", pel_json_text(error.text));
    pel_load_result_free(&result);
    return reply;
}
