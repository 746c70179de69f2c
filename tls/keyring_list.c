/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The looking half of <pellucid/keyring.h>.
 */
#include <pellucid/keyring.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tls/issue.h"
#include "tls/keyring.h"

struct listing {
    int64_t now_s;
    pel_keyring_visit *visit;
    void *arg;
    size_t num_rings;
};

static enum pel_err check_key(const char *ring, const char *label, const struct pel_pem *cert,
                              bool *ret_has_key, struct pel_error *reterr)
{
    char path[PEL_PATH_CAP];
    struct pel_file key = {0};
    enum pel_err err = pel_keyring_read_key(ring, label, &key, path, sizeof path, reterr);
    *ret_has_key = err != PEL_E_KEYRING_NO_KEY;
    PEL_TRY(err);
    struct pel_pem key_pem = {key.bytes, key.len, path};
    err = pel_cert_check_key(cert, &key_pem, reterr);
    pel_file_free(&key);
    return err;
}

static enum pel_err fill(const char *ring, const char *dir, const char *label, int64_t now_s,
                         struct pel_keyring_entry *entry, struct pel_cert_facts *facts,
                         struct pel_error *reterr)
{
    char path[PEL_PATH_CAP];
    struct pel_file file = {0};
    PEL_TRY(pel_path_join(dir, label, ".crt", path, sizeof path, reterr));
    PEL_TRY(pel_file_read(path, false, &file, reterr));
    struct pel_pem pem = {file.bytes, file.len, path};
    enum pel_err err = pel_cert_facts(&pem, facts, reterr);
    if (err == PEL_OK && !entry->trusted)
        err = check_key(ring, label, &pem, &entry->has_key, reterr);
    if (err == PEL_OK)
        err = pel_keyring_check_times(path, facts->not_before_s, facts->not_after_s, now_s, reterr);
    pel_file_free(&file);
    return err;
}

static void visit_one(const struct listing *listing, const char *ring, const char *dir, const char *label,
                      const char *default_label, bool trusted)
{
    struct pel_cert_facts facts = {0};
    struct pel_error error = {0};
    struct pel_keyring_entry entry = {
        .ring = ring,
        .label = label,
        .trusted = trusted,
        .is_default = !trusted && strcmp(label, default_label) == 0,
    };
    entry.problem = fill(ring, dir, label, listing->now_s, &entry, &facts, &error);
    entry.subject = facts.subject;
    entry.issuer = facts.issuer;
    entry.names = facts.names;
    entry.key_type = facts.key_type;
    entry.is_ca = facts.is_ca;
    entry.not_before_s = facts.not_before_s;
    entry.not_after_s = facts.not_after_s;
    entry.problem_text = entry.problem != PEL_OK ? error.text : "";
    listing->visit(listing->arg, &entry);
}

static enum pel_err list_dir(const struct listing *listing, const char *ring, const char *dir,
                             const char *default_label, bool trusted, struct pel_error *reterr)
{
    struct pel_names names = {0};
    enum pel_err err = pel_dir_list(dir, ".crt", PEL_KEYRING_MAX_FILES, &names, reterr);
    if (err == PEL_E_KEYRING_MISSING && trusted)
        return PEL_OK;
    PEL_TRY(err);
    for (size_t i = 0; i < names.num; i++)
        visit_one(listing, ring, dir, names.names[i], default_label, trusted);
    pel_names_free(&names);
    return PEL_OK;
}

static enum pel_err list_ring(struct listing *listing, const char *ring, struct pel_error *reterr)
{
    char label[PEL_KEYRING_MAX_LABEL_LEN + 1] = "", trust[PEL_PATH_CAP];
    struct pel_error ignored;
    listing->num_rings++;
    if (pel_keyring_default_label(ring, label, sizeof label, &ignored) != PEL_OK)
        label[0] = '\0'; /* a ring may do without */
    PEL_TRY(list_dir(listing, ring, ring, label, false, reterr));
    PEL_TRY(pel_path_join(ring, "trust", "", trust, sizeof trust, reterr));
    return list_dir(listing, ring, trust, label, true, reterr);
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A ring is a directory with certificates or with trust/. */
static bool is_ring(const char *dir)
{
    char trust[PEL_PATH_CAP];
    struct pel_names names = {0};
    struct pel_error ignored;
    if (pel_dir_list(dir, ".crt", PEL_KEYRING_MAX_FILES, &names, &ignored) != PEL_OK)
        return false;
    bool has_certs = names.num > 0;
    pel_names_free(&names);
    return has_certs ||
           (pel_path_join(dir, "trust", "", trust, sizeof trust, &ignored) == PEL_OK && is_dir(trust));
}

static enum pel_err list_below(struct listing *listing, const char *dir, int depth, struct pel_error *reterr)
{
    struct pel_names names = {0};
    if (is_ring(dir))
        return list_ring(listing, dir, reterr);
    if (depth == 0)
        return PEL_OK;
    PEL_TRY(pel_dir_list(dir, "", PEL_KEYRING_MAX_FILES, &names, reterr));
    enum pel_err err = PEL_OK;
    for (size_t i = 0; i < names.num && err == PEL_OK; i++) {
        char path[PEL_PATH_CAP];
        err = pel_path_join(dir, names.names[i], "", path, sizeof path, reterr);
        if (err == PEL_OK && is_dir(path))
            err = list_below(listing, path, depth - 1, reterr);
    }
    pel_names_free(&names);
    return err;
}

enum pel_err pel_keyring_list(const char *dir, int64_t now_s, pel_keyring_visit *visit, void *arg,
                              struct pel_error *reterr)
{
    struct listing listing = {.now_s = now_s, .visit = visit, .arg = arg};
    PEL_TRY(list_below(&listing, dir, 2, reterr));
    if (listing.num_rings == 0)
        return pel_error_set(reterr, PEL_E_KEYRING_MISSING,
                             "%s: holds no keyring; make one with `pel keyring cert --dir RING …`", dir);
    return PEL_OK;
}
