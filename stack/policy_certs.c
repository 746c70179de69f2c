/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/policy_certs.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_S 86400

/* A keyring that rules name, and the labels that they take from it. */
struct use {
    const char *keyring; /* the policy's */
    const char *label;   /* NULL: the default one */
};

struct collect {
    const struct pel_policy *policy;
    const struct pel_generation_config *config;
    struct pel_policy_certs *certs;
    void *uses;                          /* tsearch: struct use */
    void *keyrings;                      /* tsearch: the first rule that names each */
    const struct pel_effective **namers; /* those rules, in the order of the list's names */
    size_t num_names;
    const char *keyring;
    enum pel_err err;
};

/* ---- which keyrings and labels the rules name ---- */

static int compare_uses(const void *a, const void *b)
{
    const struct use *left = a, *right = b;
    int order = strcmp(left->keyring, right->keyring);
    if (order != 0 || (left->label == NULL && right->label == NULL))
        return order;
    if (left->label == NULL || right->label == NULL)
        return left->label == NULL ? -1 : 1;
    return strcmp(left->label, right->label);
}

static int compare_names(const void *a, const void *b)
{
    const struct pel_effective *left = a, *right = b;
    return strcmp(left->keyring, right->keyring);
}

static enum pel_err note_use(struct collect *collect, const char *keyring, const char *label)
{
    const struct use wanted = {keyring, label};
    if (tfind(&wanted, &collect->uses, compare_uses) != NULL)
        return PEL_OK;
    struct use *use = malloc(sizeof *use);
    if (use == NULL)
        return PEL_E_NO_MEMORY;
    *use = wanted;
    if (tsearch(use, &collect->uses, compare_uses) == NULL) {
        free(use);
        return PEL_E_NO_MEMORY;
    }
    return PEL_OK;
}

static enum pel_err note_rule(struct collect *collect, const struct pel_effective *effective)
{
    if (!effective->ttls_enabled || effective->keyring[0] == '\0')
        return PEL_OK;
    if (tfind(effective, &collect->keyrings, compare_names) == NULL) {
        if (tsearch(effective, &collect->keyrings, compare_names) == NULL)
            return PEL_E_NO_MEMORY;
        collect->num_names++;
    }
    const char *label = effective->certificate_label;
    PEL_TRY(note_use(collect, effective->keyring, label != NULL && label[0] != '\0' ? label : NULL));
    for (size_t i = 0; i < effective->num_server_certificate_labels; i++)
        PEL_TRY(note_use(collect, effective->keyring, effective->server_certificate_labels[i]));
    if (effective->role == PEL_ROLE_CLIENT || effective->sni == PEL_DEMAND_OFF)
        return PEL_OK;
    for (size_t i = 0; i < effective->num_server_sni; i++)
        PEL_TRY(note_use(collect, effective->keyring, effective->server_sni_labels[i]));
    return PEL_OK;
}

/* ---- what is in them ---- */

static bool is_used(struct collect *collect, const struct pel_keyring_cert *cert)
{
    const struct use named = {collect->keyring, cert->label}, by_default = {collect->keyring, NULL};
    return cert->place == PEL_KEYRING_TRUST || tfind(&named, &collect->uses, compare_uses) != NULL ||
           (cert->is_default && tfind(&by_default, &collect->uses, compare_uses) != NULL);
}

static struct pel_policy_cert *add_row(struct collect *collect)
{
    struct pel_policy_certs *certs = collect->certs;
    if (certs->num == certs->cap) {
        size_t cap = certs->cap == 0 ? 16 : certs->cap * 2;
        struct pel_policy_cert *rows = reallocarray(certs->rows, cap, sizeof *rows);
        if (rows == NULL) {
            collect->err = PEL_E_NO_MEMORY;
            return NULL;
        }
        certs->rows = rows;
        certs->cap = cap;
    }
    struct pel_policy_cert *row = &certs->rows[certs->num++];
    *row = (struct pel_policy_cert){.keyring = collect->keyring};
    return row;
}

static void set_problem(struct collect *collect, struct pel_policy_cert *row, enum pel_err problem,
                        const char *text)
{
    row->problem = problem;
    row->problem_text = strdup(text);
    if (row->problem_text == NULL)
        collect->err = PEL_E_NO_MEMORY;
}

static void on_cert(void *arg, const struct pel_keyring_cert *cert)
{
    struct collect *collect = arg;
    struct pel_policy_cert *row = add_row(collect);
    if (row == NULL)
        return;
    snprintf(row->label, sizeof row->label, "%s", cert->label);
    snprintf(row->subject, sizeof row->subject, "%s", cert->subject);
    row->place = cert->place;
    row->used = is_used(collect, cert);
    row->not_before_s = cert->not_before_s;
    row->not_after_s = cert->not_after_s;
    if (cert->sha256 != NULL)
        memcpy(row->sha256, cert->sha256, sizeof row->sha256);
    if (cert->problem != PEL_OK)
        set_problem(collect, row, cert->problem, cert->problem_text);
}

static void on_keyring_problem(struct collect *collect, const struct pel_error *error)
{
    struct pel_policy_cert *row = add_row(collect);
    if (row == NULL)
        return;
    row->used = true;
    set_problem(collect, row, error->code, error->text);
}

static enum pel_err resolve(struct collect *collect, const char *keyring, char *path, size_t cap,
                            struct pel_error *reterr)
{
    return pel_keyring_resolve(collect->config->keyring_dir, collect->config->owner, keyring, path, cap,
                               reterr);
}

/* `i` is the keyring's row in the list of names. */
static enum pel_err read_keyring(struct collect *collect, size_t i)
{
    char path[PEL_PATH_CAP];
    struct pel_error error = {0};
    const struct pel_keyring_secret secret = {collect->namers[i]->keyring_pw,
                                              collect->namers[i]->keyring_stash_file};
    collect->keyring = collect->certs->keyrings[i];
    enum pel_err err = resolve(collect, collect->keyring, path, sizeof path, &error);
    if (err == PEL_OK)
        err = pel_keyring_certs(path, &secret, on_cert, collect, &error);
    if (err != PEL_OK && err != PEL_E_NO_MEMORY) {
        error.code = err;
        on_keyring_problem(collect, &error);
    }
    return err == PEL_E_NO_MEMORY ? err : collect->err;
}

static void take_name(const void *node, VISIT which, void *arg)
{
    struct collect *collect = arg;
    struct pel_policy_certs *certs = collect->certs;
    if (which != postorder && which != leaf)
        return;
    const struct pel_effective *namer = *(const struct pel_effective *const *)node;
    const char *stash = namer->keyring_stash_file;
    char path[PEL_PATH_CAP];
    struct pel_error error = {0};
    size_t i = certs->num_keyrings++;
    collect->namers[i] = namer;
    certs->keyrings[i] = strdup(namer->keyring);
    certs->stashes[i] = stash != NULL ? strdup(stash) : NULL;
    bool has_path = resolve(collect, namer->keyring, path, sizeof path, &error) == PEL_OK;
    certs->paths[i] = has_path ? strdup(path) : NULL;
    if (certs->keyrings[i] == NULL || (stash != NULL && certs->stashes[i] == NULL) ||
        (has_path && certs->paths[i] == NULL))
        collect->err = PEL_E_NO_MEMORY;
}

/* The names, in the list's own memory: it outlives the policy. */
static enum pel_err take_names(struct collect *collect)
{
    struct pel_policy_certs *certs = collect->certs;
    certs->keyrings = calloc(collect->num_names + 1, sizeof *certs->keyrings);
    certs->paths = calloc(collect->num_names + 1, sizeof *certs->paths);
    certs->stashes = calloc(collect->num_names + 1, sizeof *certs->stashes);
    collect->namers = calloc(collect->num_names + 1, sizeof(void *));
    if (certs->keyrings == NULL || certs->paths == NULL || certs->stashes == NULL || collect->namers == NULL)
        return PEL_E_NO_MEMORY;
    twalk_r(collect->keyrings, take_name, collect);
    return collect->err;
}

static int compare_rows(const void *a, const void *b)
{
    const struct pel_policy_cert *left = a, *right = b;
    if (left->not_after_s != right->not_after_s)
        return left->not_after_s < right->not_after_s ? -1 : 1;
    int order = strcmp(left->keyring, right->keyring);
    if (order == 0)
        order = strcmp(left->label, right->label);
    if (order == 0)
        order = (int)left->place - (int)right->place;
    return order != 0 ? order : memcmp(left->sha256, right->sha256, sizeof left->sha256);
}

static enum pel_err name_all(struct collect *collect)
{
    size_t num_rules = pel_policy_num_rules(collect->policy);
    for (size_t i = 0; i < num_rules; i++)
        PEL_TRY(note_rule(collect, &pel_policy_rule(collect->policy, i)->effective));
    return take_names(collect);
}

static enum pel_err read_all(struct collect *collect)
{
    for (size_t i = 0; i < collect->certs->num_keyrings; i++)
        PEL_TRY(read_keyring(collect, i));
    if (collect->certs->num > 1)
        qsort(collect->certs->rows, collect->certs->num, sizeof *collect->certs->rows, compare_rows);
    return PEL_OK;
}

static void forget(void *namer)
{
    (void)namer; /* the policy's */
}

static enum pel_err collect_all(const struct pel_policy *policy, const struct pel_generation_config *config,
                                bool read, struct pel_policy_certs *ret_certs)
{
    struct pel_policy_certs certs = {0};
    struct collect collect = {.policy = policy, .config = config, .certs = &certs};
    enum pel_err err = name_all(&collect);
    if (err == PEL_OK && read)
        err = read_all(&collect);
    tdestroy(collect.uses, free);
    tdestroy(collect.keyrings, forget);
    free(collect.namers);
    if (err != PEL_OK) {
        pel_policy_certs_free(&certs);
        return err;
    }
    *ret_certs = certs;
    return PEL_OK;
}

enum pel_err pel_policy_certs_name(const struct pel_policy *policy,
                                   const struct pel_generation_config *config,
                                   struct pel_policy_certs *ret_certs)
{
    return collect_all(policy, config, false, ret_certs);
}

enum pel_err pel_policy_certs_collect(const struct pel_policy *policy,
                                      const struct pel_generation_config *config,
                                      struct pel_policy_certs *ret_certs)
{
    return collect_all(policy, config, true, ret_certs);
}

void pel_policy_certs_free(struct pel_policy_certs *certs)
{
    for (size_t i = 0; i < certs->num; i++)
        free(certs->rows[i].problem_text);
    for (size_t i = 0; i < certs->num_keyrings; i++) {
        free(certs->keyrings[i]);
        free(certs->paths[i]);
        free(certs->stashes[i]);
    }
    free(certs->rows);
    free(certs->keyrings);
    free(certs->paths);
    free(certs->stashes);
    *certs = (struct pel_policy_certs){0};
}

/* ---- what there is to say of them ---- */

enum pel_cert_state pel_policy_cert_state(const struct pel_policy_cert *cert, int64_t now_s,
                                          int64_t *ret_days)
{
    int64_t left_s = cert->not_after_s - now_s;
    *ret_days = cert->not_after_s == 0 ? 0 : left_s / DAY_S;
    if (cert->problem != PEL_OK || cert->not_after_s == 0)
        return PEL_CERT_BAD;
    if (left_s < 0)
        return PEL_CERT_EXPIRED;
    if (now_s < cert->not_before_s)
        return PEL_CERT_NOT_YET;
    return left_s < (int64_t)PEL_CERT_WARN_DAYS * DAY_S ? PEL_CERT_SOON : PEL_CERT_FINE;
}

static void format_day(int64_t time_s, char *text, size_t cap)
{
    struct tm tm;
    time_t time = (time_t)time_s;
    if (gmtime_r(&time, &tm) == NULL || strftime(text, cap, "%Y-%m-%d", &tm) == 0)
        snprintf(text, cap, "%lld s", (long long)time_s);
}

const char *pel_policy_cert_describe(const struct pel_policy_cert *cert, int64_t now_s, char *text,
                                     size_t cap)
{
    static const char *const whose[] = {
        [PEL_KEYRING_OWN] = "certificate",
        [PEL_KEYRING_CHAIN] = "certificate sent along with",
        [PEL_KEYRING_TRUST] = "authority",
    };
    char day[32];
    int64_t days = 0;
    enum pel_cert_state state = pel_policy_cert_state(cert, now_s, &days);
    if (cert->label[0] == '\0') {
        snprintf(text, cap, "keyring %s cannot be used: %s", cert->keyring, cert->problem_text);
        return text;
    }
    int len = snprintf(text, cap, "keyring %s: %s %s (%s) ", cert->keyring, whose[cert->place], cert->label,
                       cert->subject);
    if (len < 0 || (size_t)len >= cap)
        return text;
    text += len;
    cap -= (size_t)len;
    format_day(state == PEL_CERT_NOT_YET ? cert->not_before_s : cert->not_after_s, day, sizeof day);
    if (state == PEL_CERT_EXPIRED && days == 0)
        snprintf(text, cap, "has expired today");
    else if (state == PEL_CERT_EXPIRED)
        snprintf(text, cap, "has expired %lld days ago, on %s", (long long)-days, day);
    else if (state == PEL_CERT_NOT_YET)
        snprintf(text, cap, "is not valid before %s", day);
    else if (state == PEL_CERT_BAD)
        snprintf(text, cap, "cannot be used: %s", cert->problem_text != NULL ? cert->problem_text : "?");
    else
        snprintf(text, cap, "expires in %lld days, on %s", (long long)days, day);
    return text - len;
}

size_t pel_policy_certs_replaced(const struct pel_policy_certs *before, const struct pel_policy_certs *now)
{
    size_t num = 0;
    for (size_t i = 0; i < now->num; i++)
        if (before->num == 0 ||
            bsearch(&now->rows[i], before->rows, before->num, sizeof *before->rows, compare_rows) == NULL)
            num++;
    return num;
}
