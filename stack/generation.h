/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation: one policy with what its rules need to run, immutable from the moment it is published. For
 * each rule there is a binding: the TLS environment that serves it, or the problem why it cannot be served
 * (then its connections are refused, never let through in clear).
 *
 * The slot is where the current generation stands. It is swapped whole; an engine notices at the top of its
 * loop by the number, and a connection keeps the generation it was mapped by until it closes.
 *
 * To free a generation takes long: of 100,000 rules tens of milliseconds. So whoever drops the last reference
 * of one that was published only retires it, and those who may wait free it (pel_generation_reap): never an
 * engine.
 */
#ifndef PEL_STACK_GENERATION_H
#define PEL_STACK_GENERATION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "policy/policy.h"
#include "stack/held.h"
#include "stack/rule_hits.h"
#include "stack/secondary.h"
#include "tls/tls.h"

struct pel_binding {
    struct pel_tls_env *env;    /* NULL: clear on purpose (TTLSEnabled Off), or problem.code is not PEL_OK */
    struct pel_error problem;   /* code PEL_OK: none */
    struct pel_rule_hits *hits; /* NULL: not counted */
    uint64_t since;             /* the number of the first generation that had the rule as it is */
};

struct pel_generation {
    uint32_t num_refs;
    uint64_t number; /* 1 for the first that was published, then counting up */
    struct pel_policy *policy;
    struct pel_binding *bindings;     /* by pel_rule.index */
    struct pel_generation_slot *slot; /* where it was published; NULL: not yet */
    struct pel_generation *next_retired;
};

struct pel_generation_config {
    const char *keyring_dir; /* where keyrings stand; "" for none */
    const char *owner;       /* user whose rings relative names mean */
    int64_t now_s;
};

/* Takes the problem of a rule that cannot be served. */
typedef void pel_generation_problem_fn(void *arg, const struct pel_rule *rule,
                                       const struct pel_error *problem);

/* pel_generation_build makes a generation of `policy`, taking over the caller's reference (also on failure),
 * and opens every keyring that its rules name. A keyring that cannot be used is a binding's problem, told to
 * `on_problem` (may be NULL), not an error. Errors: NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_generation_build(struct pel_policy *policy,
                                               const struct pel_generation_config *config,
                                               pel_generation_problem_fn *on_problem, void *arg,
                                               struct pel_generation **ret_generation);

/* pel_generation_take_over tells a new generation, which will have the number `number`, what it has of the
 * one before (NULL: there was none): with `same[i]` rule `i` is unchanged, and `index[i]` its place there.
 * Such a rule keeps its counts and the number since when it is so; the others begin anew, with counts for
 * `num_engines`. Before it is published. Errors: NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_generation_take_over(struct pel_generation *generation,
                                                   const struct pel_generation *before, const uint32_t *index,
                                                   const bool *same, uint64_t number, uint32_t num_engines);

/* pel_generation_ref takes a reference; pel_generation_unref drops one. The last one frees a generation
 * that was never published, and retires one that was. NULL is harmless. Any thread; takes no lock. */
struct pel_generation *pel_generation_ref(struct pel_generation *generation);
void pel_generation_unref(struct pel_generation *generation);

struct pel_generation_slot {
    pthread_mutex_t lock;
    struct pel_generation *current; /* under the lock; NULL before the first */
    uint64_t number;                /* of `current`, read without the lock; 0 before the first */
    struct pel_generation *retired; /* nobody has a reference of them: a stack, pushed to by any thread */
    struct pel_primaries primaries; /* of whatever generation: connections that others may follow */
    struct pel_held held;           /* who came before the first */
};

void pel_generation_slot_init(struct pel_generation_slot *slot);
void pel_generation_slot_fini(struct pel_generation_slot *slot);

/* pel_generation_publish makes `generation` the current one, numbered after the last, and takes the caller's
 * reference. Reaps. Returns the number. Any thread but an engine's. */
uint64_t pel_generation_publish(struct pel_generation_slot *slot, struct pel_generation *generation);

/* pel_generation_reap frees what was retired since. The slot's end does so too, when nobody holds a
 * generation of it any more. Any thread but an engine's. */
void pel_generation_reap(struct pel_generation_slot *slot);

/* pel_generation_try_current is pel_generation_current for those who must not wait: false when another
 * thread is at the slot in this moment. */
bool pel_generation_try_current(struct pel_generation_slot *slot, struct pel_generation **ret_generation);

/* pel_generation_current returns a reference to the current generation, or NULL. Any thread. */
struct pel_generation *pel_generation_current(struct pel_generation_slot *slot);

/* pel_generation_number returns the current number without taking the lock. Any thread. */
uint64_t pel_generation_number(const struct pel_generation_slot *slot);

#endif
