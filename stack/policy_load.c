/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/policy_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/view/keep.h"
#include "stack/stack.h"
#include "stack/watch.h"

/* So many changes are logged one by one; `pel policy load` shows all. */
#define CHANGES_LOGGED  20
#define PROBLEMS_LOGGED 100

/* Keyrings that change while they are read are read so often. */
#define RING_READS 3

struct load {
    struct pel_stack *stack;
    const struct pel_load_request *request;
    pel_policy_diag_fn *diag;
    void *diag_arg;
    struct pel_load_result result;
    struct pel_policy_certs certs;
    struct pel_policy_certs rings; /* that the policy names, without certificates */
    struct pel_policy_files read;  /* by the load, those that an agent file names too */
    struct pel_watch_seen seen;    /* how the files looked before they were read, with policy.watch */
    bool is_of_current;            /* the files asked for are those in force */
    char *messages[PEL_LOAD_MESSAGES_KEPT];
    size_t num_messages, num_errors;
    int64_t now_s, began_ns;
};

const char *pel_load_how_name(enum pel_load_how how)
{
    static const char *const names[] = {
        [PEL_LOAD_START] = "start", [PEL_LOAD_ASKED] = "load",      [PEL_LOAD_SIGHUP] = "SIGHUP",
        [PEL_LOAD_WATCH] = "watch", [PEL_LOAD_KEYRING] = "keyring",
    };
    return names[how];
}

struct pel_policy_options pel_policy_options_of(const struct pel_config *config)
{
    return (struct pel_policy_options){.flags = config->policy.compat_zos ? PEL_POLICY_COMPAT_ZOS : 0,
                                       .image = config->policy.image};
}

/* ---- lists of strings ---- */

static void free_list(char **list, size_t num)
{
    for (size_t i = 0; list != NULL && i < num; i++)
        free(list[i]);
    free(list);
}

static char **copy_list(const char *const *list, size_t num)
{
    char **copy = calloc(num + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < num; i++) {
        copy[i] = strdup(list[i]);
        if (copy[i] == NULL) {
            free_list(copy, i);
            return NULL;
        }
    }
    return copy;
}

/* ---- what is kept of loads ---- */

void pel_policy_live_init(struct pel_policy_live *live)
{
    memset(live, 0, sizeof *live);
    pthread_mutex_init(&live->lock, NULL);
}

static void forget_awaited(struct pel_policy_live *live)
{
    pel_policy_files_free(&live->awaited.read);
    pel_policy_certs_free(&live->awaited.rings);
}

static void forget_failure(struct pel_policy_live *live)
{
    free_list(live->failure.files, live->failure.num_files);
    for (size_t i = 0; i < live->failure.num_messages; i++)
        free(live->failure.messages[i]);
    memset(&live->failure, 0, sizeof live->failure);
}

void pel_policy_live_fini(struct pel_policy_live *live)
{
    forget_failure(live);
    forget_awaited(live);
    free_list(live->files, live->num_files);
    pel_policy_files_free(&live->read);
    pel_load_result_free(&live->result);
    pel_policy_certs_free(&live->certs);
    pel_watch_seen_free(&live->seen);
    pthread_mutex_destroy(&live->lock);
}

void pel_load_result_free(struct pel_load_result *result)
{
    pel_load_changes_free(&result->changes);
    *result = (struct pel_load_result){0};
}

/* Under the lock of `live`. Want of memory costs the names of the files, nothing else. */
static void keep_success(struct pel_policy_live *live, struct load *load)
{
    const struct pel_load_request *request = load->request;
    char **files = copy_list(request->files, request->num_files); /* they may be the old list's */
    free_list(live->files, live->num_files);
    forget_failure(live);
    forget_awaited(live);
    pel_policy_certs_free(&live->certs);
    live->files = files;
    live->num_files = files != NULL ? request->num_files : 0;
    pel_policy_files_free(&live->read);
    live->read = load->read;
    load->read = (struct pel_policy_files){0};
    live->generation = load->result.generation;
    live->loaded_s = load->now_s;
    live->how = request->how;
    live->result = load->result;
    memset(&live->result.changes, 0, sizeof live->result.changes);
    live->certs = load->certs;
    load->certs = (struct pel_policy_certs){0};
}

static void keep_failure(struct pel_policy_live *live, struct load *load, const struct pel_error *error)
{
    const struct pel_load_request *request = load->request;
    char **files = copy_list(request->files, request->num_files);
    forget_failure(live);
    live->failure.is_last = true;
    live->failure.at_s = load->now_s;
    live->failure.how = request->how;
    live->failure.files = files;
    live->failure.num_files = files != NULL ? request->num_files : 0;
    if (load->is_of_current || request->how != PEL_LOAD_ASKED) {
        forget_awaited(live);
        live->awaited.read = load->read;
        load->read = (struct pel_policy_files){0};
        live->awaited.rings = load->rings;
        load->rings = (struct pel_policy_certs){0};
    }
    snprintf(live->failure.text, sizeof live->failure.text, "%s", error->text);
    memcpy(live->failure.messages, load->messages, sizeof load->messages);
    live->failure.num_messages = load->num_messages;
    load->num_messages = 0;
}

/* ---- how files looked before they were read ---- */

static int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Whether the load is of the files in force, or, before there are any, of the configured ones. Under the lock
 * of `live`. */
static bool is_of_current(const struct load *load)
{
    const struct pel_policy_live *live = &load->stack->live;
    const struct pel_config *config = &load->stack->config;
    bool has = live->generation > 0;
    char *const *files = has ? live->files : config->policy.files;
    size_t num = has ? live->num_files : config->policy.num_files;
    bool same = num == load->request->num_files;
    for (size_t i = 0; i < num && same; i++)
        same = strcmp(files[i], load->request->files[i]) == 0;
    return same;
}

static void see(struct load *load, struct pel_watch_paths *paths, int64_t since_ns)
{
    pel_watch_seen_doubt(&paths->seen, since_ns);
    pel_watch_seen_take(&load->seen, &paths->seen);
    pel_watch_paths_free(paths);
}

static void see_files(struct load *load)
{
    struct pel_stack *stack = load->stack;
    struct pel_watch_paths paths = {0};
    bool watches = stack->config.policy.watch;
    pthread_mutex_lock(&stack->live.lock);
    load->is_of_current = is_of_current(load);
    if (load->is_of_current && watches)
        pel_watch_follow_files(stack, &paths);
    pthread_mutex_unlock(&stack->live.lock);
    if (!watches)
        return;
    pel_watch_follow_list(&paths, load->request->files, load->request->num_files);
    see(load, &paths, load->began_ns);
}

/* Files that an agent's file names for the first time are known only when they have been read, and are what
 * they were then unless they have changed since, or, where `all_were_there`, are gone. */
static void see_files_read(struct load *load, bool all_were_there)
{
    struct pel_watch_paths paths = {0};
    if (!load->stack->config.policy.watch)
        return;
    pel_watch_follow_list(&paths, (const char *const *)load->read.paths, load->read.num_paths);
    for (size_t i = 0; i < paths.seen.num; i++)
        if (all_were_there && !paths.seen.looks[i].is_there)
            paths.seen.looks[i].print = 0;
    see(load, &paths, load->began_ns);
}

/* Under the lock of `live`, when it knows what the load came to. */
static void keep_seen(struct load *load, enum pel_err err)
{
    struct pel_policy_live *live = &load->stack->live;
    struct pel_watch_paths paths = {0};
    if (!load->stack->config.policy.watch ||
        (err != PEL_OK && !load->is_of_current && load->request->how == PEL_LOAD_ASKED))
        return;
    /* What a load has not got to counts as tried, lest it is tried for ever. */
    if (err != PEL_OK && load->is_of_current)
        pel_watch_follow(load->stack, &paths);
    pel_watch_seen_take(&load->seen, &paths.seen);
    if (err != PEL_OK && !load->is_of_current)
        pel_watch_seen_take(&load->seen, &live->seen);
    pel_watch_paths_free(&paths);
    pel_watch_seen_free(&live->seen);
    live->seen = load->seen;
    load->seen = (struct pel_watch_seen){0};
}

/* ---- one load ---- */

static void keep_message(struct load *load, const struct pel_policy_diag *diag)
{
    char *text = NULL;
    load->num_errors += diag->severity == PEL_SEV_ERROR;
    if (diag->severity != PEL_SEV_ERROR || load->num_messages == PEL_LOAD_MESSAGES_KEPT)
        return;
    if (asprintf(&text, "%s:%u:%u: error: %s", diag->file, diag->line, diag->column, diag->message) > 0)
        load->messages[load->num_messages++] = text;
}

static void on_diag(void *arg, const struct pel_policy_diag *diag)
{
    struct load *load = arg;
    pel_stack_log(load->stack, "%s:%u:%u: %s: %s", diag->file, diag->line, diag->column,
                  pel_severity_name(diag->severity), diag->message);
    keep_message(load, diag);
    if (load->diag != NULL)
        load->diag(load->diag_arg, diag);
}

/* The files have been read once, and all was said of them. */
static void on_diag_of_both(void *arg, const struct pel_policy_diag *diag)
{
    if (diag->severity == PEL_SEV_ERROR)
        on_diag(arg, diag);
}

static void on_problem(void *arg, const struct pel_rule *rule, const struct pel_error *problem)
{
    struct load *load = arg;
    (void)rule;
    (void)problem;
    load->result.num_unusable++;
}

static struct pel_generation_config generation_config_of(const struct pel_stack *stack, int64_t now_s)
{
    return (struct pel_generation_config){
        .keyring_dir = stack->config.policy.keyring_dir, .owner = stack->user, .now_s = now_s};
}

static bool flushes(const struct load *load)
{
    const struct pel_agent_settings *agent = &load->read.agent;
    return agent->is_agent ? agent->flush : !load->stack->config.policy.no_flush;
}

/* Makes one policy of the files and of the rules in force that are not among them. */
static enum pel_err keep_others(struct load *load, const struct pel_generation *before,
                                const struct pel_policy_options *options, struct pel_policy **policy,
                                struct pel_error *reterr)
{
    const struct pel_load_request *request = load->request;
    struct pel_policy_kept kept;
    struct pel_policy *both = NULL;
    char label[64];
    snprintf(label, sizeof label, "(kept from generation %llu)", (unsigned long long)before->number);
    enum pel_err err = pel_policy_keep(before->policy, *policy, label, &kept);
    if (err != PEL_OK)
        return pel_error_set(reterr, err, "%s", pel_err_text(err));
    if (kept.num_rules > 0) {
        err = pel_policy_load_files_beside(request->files, request->num_files, kept.sources, kept.num_sources,
                                           options, on_diag_of_both, load, &both, NULL, NULL, reterr);
        pel_policy_unref(*policy);
        *policy = both;
    }
    load->result.num_kept = kept.num_rules;
    pel_policy_kept_free(&kept);
    return err;
}

/* Connections that no rule matches are in clear, unless the configuration refuses them: a file that has
 * become empty must not do that to all of them. */
static enum pel_err read_policy(struct load *load, const struct pel_generation *before,
                                struct pel_policy **ret_policy, struct pel_error *reterr)
{
    const struct pel_load_request *request = load->request;
    struct pel_policy *policy = NULL;
    const struct pel_policy_options options = pel_policy_options_of(&load->stack->config);
    see_files(load);
    if (request->num_files == 0)
        return pel_error_set(reterr, PEL_E_ARG,
                             "no policy file was named, and the configuration names none (policy.files)");
    enum pel_err err = pel_policy_load_files(request->files, request->num_files, &options, on_diag, load,
                                             &policy, &load->result.num_warnings, &load->read, reterr);
    see_files_read(load, err == PEL_OK);
    if (err == PEL_E_POLICY_SYNTAX && load->num_errors > 0)
        return pel_error_set(reterr, err, "the policy has %zu error%s", load->num_errors,
                             load->num_errors == 1 ? "" : "s");
    PEL_TRY(err);
    if (before != NULL && !flushes(load))
        err = keep_others(load, before, &options, &policy, reterr);
    if (err != PEL_OK) {
        pel_policy_unref(policy);
        return err;
    }
    if (pel_policy_num_rules(policy) == 0 && before != NULL && pel_policy_num_rules(before->policy) > 0 &&
        !load->stack->config.policy.no_match_refuse) {
        pel_policy_unref(policy);
        return pel_error_set(reterr, PEL_E_POLICY_EMPTY,
                             "%s%s: no rule is left, so that every connection would be in clear; "
                             "write a rule with TTLSEnabled Off if that is meant, or set policy.no_match: "
                             "refuse",
                             request->files[0], request->num_files > 1 ? " and others" : "");
    }
    *ret_policy = policy;
    return PEL_OK;
}

/* A load that was not asked for as such may find files of which one is new and another, its key perhaps, not
 * yet. What is served is not given up for that. */
static enum pel_err check_still_served(const struct load *load, const struct pel_generation *generation,
                                       const struct pel_generation *before, struct pel_error *reterr)
{
    const struct pel_load_changes *changes = &load->result.changes;
    for (size_t i = 0; i < load->result.num_rules; i++) {
        const struct pel_error *problem = &generation->bindings[i].problem;
        if (problem->code == PEL_OK || changes->before[i] == PEL_POLICY_NO_RULE ||
            before->bindings[changes->before[i]].problem.code != PEL_OK)
            continue;
        return pel_error_set(reterr, PEL_E_POLICY_UNUSABLE,
                             "rule %s could not be served any more: %.300s; pel policy load takes it "
                             "nevertheless",
                             pel_policy_rule(generation->policy, i)->name, problem->text);
    }
    return PEL_OK;
}

static void see_rings(const struct load *load, struct pel_watch_seen *seen)
{
    struct pel_watch_paths paths = {0};
    pel_watch_seen_free(seen);
    pel_watch_follow_rings(&paths, &load->rings);
    pel_watch_seen_take(seen, &paths.seen);
    pel_watch_paths_free(&paths);
}

/* The environments, and the list of their certificates: two readings of the same files. */
static enum pel_err read_rings_once(struct load *load, struct pel_policy *policy,
                                    const struct pel_generation_config *config,
                                    struct pel_generation **ret_generation)
{
    struct pel_generation *generation = NULL;
    load->result.num_unusable = 0;
    pel_policy_certs_free(&load->certs);
    PEL_TRY(pel_generation_build(pel_policy_ref(policy), config, on_problem, load, &generation));
    enum pel_err err = pel_policy_certs_collect(policy, config, &load->certs);
    if (err != PEL_OK) {
        pel_generation_unref(generation);
        return err;
    }
    *ret_generation = generation;
    return PEL_OK;
}

/* Where a file has changed meanwhile both are done anew: what is shown is what is served. With somebody who
 * writes all the time it is what it is; then who watches loads again. */
static enum pel_err read_rings(struct load *load, struct pel_policy *policy,
                               const struct pel_generation_config *config,
                               struct pel_generation **ret_generation)
{
    struct pel_watch_seen before = {0}, after = {0};
    bool differs = true;
    int64_t began_ns = 0;
    PEL_TRY(pel_policy_certs_name(policy, config, &load->rings));
    enum pel_err err = PEL_OK;
    for (int i = 0; i < RING_READS && differs && err == PEL_OK; i++) {
        pel_generation_unref(*ret_generation);
        *ret_generation = NULL;
        began_ns = wall_ns();
        see_rings(load, &before);
        err = before.failed ? PEL_E_NO_MEMORY : read_rings_once(load, policy, config, ret_generation);
        see_rings(load, &after);
        differs = pel_watch_seen_differs(&before, &after);
    }
    if (load->stack->config.policy.watch) {
        pel_watch_seen_doubt(&before, began_ns);
        pel_watch_seen_take(&load->seen, &before);
    }
    pel_watch_seen_free(&before);
    pel_watch_seen_free(&after);
    return err;
}

/* Everything that can fail, before anything is in force. Takes over the policy. */
static enum pel_err prepare(struct load *load, struct pel_policy *policy, struct pel_generation *before,
                            struct pel_generation **ret_generation, struct pel_error *reterr)
{
    struct pel_stack *stack = load->stack;
    const struct pel_generation_config config = generation_config_of(stack, load->now_s);
    struct pel_generation *generation = NULL;
    load->result.num_rules = pel_policy_num_rules(policy);
    enum pel_err err = read_rings(load, policy, &config, &generation);
    pel_policy_unref(policy); /* the generation has it */
    if (err == PEL_OK)
        err = pel_load_changes_find(before != NULL ? before->policy : NULL, generation->policy,
                                    &load->result.changes);
    if (err == PEL_OK)
        err = pel_generation_take_over(generation, before, load->result.changes.before,
                                       load->result.changes.same, pel_generation_number(&stack->slot) + 1,
                                       stack->config.engine.count);
    enum pel_load_how how = load->request->how;
    if (err == PEL_OK && (how == PEL_LOAD_WATCH || how == PEL_LOAD_KEYRING) && before != NULL)
        err = check_still_served(load, generation, before, reterr);
    if (err != PEL_OK) {
        pel_generation_unref(generation);
        return err;
    }
    *ret_generation = generation;
    return PEL_OK;
}

static void log_problems(struct pel_stack *stack, const struct pel_generation *generation)
{
    size_t num = 0;
    for (size_t i = 0; i < pel_policy_num_rules(generation->policy) && num < PROBLEMS_LOGGED; i++) {
        const struct pel_error *problem = &generation->bindings[i].problem;
        if (problem->code == PEL_OK)
            continue;
        num++;
        pel_stack_log(stack, "rule %s cannot be served, its connections are refused: %s",
                      pel_policy_rule(generation->policy, i)->name, problem->text);
    }
}

static enum pel_err load_locked(struct load *load, struct pel_error *reterr)
{
    struct pel_stack *stack = load->stack;
    struct pel_policy *policy = NULL;
    struct pel_generation *generation = NULL, *before = pel_generation_current(&stack->slot);
    enum pel_err err = read_policy(load, before, &policy, reterr);
    if (err == PEL_OK) {
        err = prepare(load, policy, before, &generation, reterr);
        if (err != PEL_OK && reterr->text[0] == '\0')
            err = pel_error_set(reterr, err, "policy: %s", pel_err_text(err));
    }
    pel_generation_unref(before);
    if (err == PEL_OK) {
        log_problems(stack, generation);
        load->result.generation = pel_generation_publish(&stack->slot, generation);
    } else {
        load->result.generation = pel_generation_number(&stack->slot);
    }
    return err;
}

/* ---- what is said of it ---- */

static void log_changes(struct pel_stack *stack, const struct pel_load_result *result)
{
    const struct pel_load_changes *changes = &result->changes;
    for (size_t i = 0; i < changes->num && i < CHANGES_LOGGED; i++) {
        const struct pel_load_change *row = &changes->rows[i];
        pel_stack_log(stack, "policy generation %llu: rule %s %s%s%s", (unsigned long long)result->generation,
                      row->rule, pel_load_change_name(row->kind), row->detail != NULL ? ": " : "",
                      row->detail != NULL ? row->detail : "");
    }
    if (changes->num > CHANGES_LOGGED)
        pel_stack_log(stack, "policy generation %llu: … and %zu more", (unsigned long long)result->generation,
                      changes->num - CHANGES_LOGGED);
}

static void log_success(struct pel_stack *stack, const struct load *load)
{
    const struct pel_load_result *result = &load->result;
    const size_t *num_of = result->changes.num_of;
    char what[160];
    if (result->generation == 1)
        what[0] = '\0';
    else if (!pel_load_changes_any(&result->changes))
        snprintf(what, sizeof what, "; nothing changed in effect");
    else
        snprintf(what, sizeof what, "; rules: %zu added, %zu removed, %zu changed, %zu moved",
                 num_of[PEL_CHANGE_ADDED], num_of[PEL_CHANGE_REMOVED], num_of[PEL_CHANGE_CHANGED],
                 num_of[PEL_CHANGE_MOVED]);
    pel_stack_log(stack, "policy generation %llu: %zu rules, %zu warnings, %zu rules that cannot be served%s",
                  (unsigned long long)result->generation, result->num_rules, result->num_warnings,
                  result->num_unusable, what);
    if (result->num_certs_replaced > 0)
        pel_stack_log(stack, "policy generation %llu: %zu certificates are new",
                      (unsigned long long)result->generation, result->num_certs_replaced);
    log_changes(stack, result);
}

static void log_failure(struct pel_stack *stack, const struct load *load, const struct pel_error *error)
{
    if (load->result.generation > 0)
        pel_stack_log(stack, "policy not loaded (%s): %s; generation %llu stays in force",
                      pel_load_how_name(load->request->how), error->text,
                      (unsigned long long)load->result.generation);
    else
        pel_stack_log(stack, "policy not loaded (%s): %s; no policy is in force",
                      pel_load_how_name(load->request->how), error->text);
}

void pel_stack_log_certs(struct pel_stack *stack, int64_t now_s)
{
    char text[1024];
    int64_t days;
    pthread_mutex_lock(&stack->live.lock);
    for (size_t i = 0; i < stack->live.certs.num; i++) {
        const struct pel_policy_cert *cert = &stack->live.certs.rows[i];
        enum pel_cert_state state = pel_policy_cert_state(cert, now_s, &days);
        if (cert->used && state != PEL_CERT_FINE)
            pel_stack_log(stack, "%s: %s", state == PEL_CERT_SOON ? "warning" : "error",
                          pel_policy_cert_describe(cert, now_s, text, sizeof text));
    }
    pthread_mutex_unlock(&stack->live.lock);
}

static void finish(struct load *load, enum pel_err err, const struct pel_error *error)
{
    struct pel_stack *stack = load->stack;
    struct pel_policy_live *live = &stack->live;
    pthread_mutex_lock(&live->lock);
    if (err == PEL_OK) {
        if (live->generation > 0)
            load->result.num_certs_replaced = pel_policy_certs_replaced(&live->certs, &load->certs);
        keep_success(live, load);
    } else {
        keep_failure(live, load, error);
    }
    keep_seen(load, err);
    pthread_mutex_unlock(&live->lock);
    if (err == PEL_OK) {
        log_success(stack, load);
        pel_stack_log_certs(stack, load->now_s);
    } else {
        log_failure(stack, load, error);
    }
    pel_policy_certs_free(&load->certs);
    pel_policy_certs_free(&load->rings);
    pel_policy_files_free(&load->read);
    pel_watch_seen_free(&load->seen);
    for (size_t i = 0; i < load->num_messages; i++)
        free(load->messages[i]);
    pel_watch_again(stack->watch);
}

enum pel_err pel_stack_load_policy(struct pel_stack *stack, const struct pel_load_request *request,
                                   pel_policy_diag_fn *diag, void *diag_arg,
                                   struct pel_load_result *ret_result, struct pel_error *reterr)
{
    struct load load = {.stack = stack, .request = request, .diag = diag, .diag_arg = diag_arg};
    struct pel_error error = {0};
    pthread_mutex_lock(&stack->load_lock);
    load.began_ns = wall_ns();
    load.now_s = load.began_ns / 1000000000;
    enum pel_err err = load_locked(&load, &error);
    finish(&load, err, &error);
    pthread_mutex_unlock(&stack->load_lock);
    if (err != PEL_OK && reterr != NULL)
        *reterr = error;
    *ret_result = load.result;
    return err;
}

/* The files that are in force, else those of the configuration. The caller frees the list. */
static char **current_files(struct pel_stack *stack, size_t *ret_num)
{
    pthread_mutex_lock(&stack->live.lock);
    bool has = stack->live.generation > 0;
    *ret_num = has ? stack->live.num_files : stack->config.policy.num_files;
    char **files =
        copy_list((const char *const *)(has ? stack->live.files : stack->config.policy.files), *ret_num);
    pthread_mutex_unlock(&stack->live.lock);
    return files;
}

enum pel_err pel_stack_reload_current(struct pel_stack *stack, enum pel_load_how how,
                                      struct pel_load_result *ret_result, struct pel_error *reterr)
{
    struct pel_load_request request = {.how = how};
    struct pel_load_result result = {0};
    char **files = current_files(stack, &request.num_files);
    if (ret_result != NULL)
        *ret_result = result;
    if (files == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    request.files = (const char *const *)files;
    enum pel_err err = pel_stack_load_policy(stack, &request, NULL, NULL, &result, reterr);
    if (ret_result != NULL)
        *ret_result = result;
    else
        pel_load_result_free(&result);
    free_list(files, request.num_files);
    return err;
}

enum pel_err pel_stack_reload(struct pel_stack *stack, struct pel_error *reterr)
{
    if (stack->config.policy.num_files == 0)
        return pel_stack_reload_current(stack, PEL_LOAD_SIGHUP, NULL, reterr);
    const struct pel_load_request request = {.files = (const char *const *)stack->config.policy.files,
                                             .num_files = stack->config.policy.num_files,
                                             .how = PEL_LOAD_SIGHUP};
    struct pel_load_result result;
    enum pel_err err = pel_stack_load_policy(stack, &request, NULL, NULL, &result, reterr);
    pel_load_result_free(&result);
    return err;
}
