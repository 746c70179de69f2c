/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writing half of <pellucid/keyring.h>.
 */
#include <pellucid/keyring.h>

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tls/issue.h"
#include "tls/keyring.h"

#define DAY_S 86400

enum pel_err pel_key_type_parse(const char *text, enum pel_key_type *ret_type)
{
    static const char *const names[] = {
        [PEL_KEY_P256] = "p256", [PEL_KEY_RSA2048] = "rsa2048", [PEL_KEY_RSA3072] = "rsa3072"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_type = (enum pel_key_type)i;
            return PEL_OK;
        }
    return PEL_E_ARG;
}

static enum pel_err put(const char *dir, const char *name, const char *suffix, const struct pel_file *file,
                        unsigned mode, bool force, struct pel_error *reterr)
{
    char path[PEL_PATH_CAP];
    PEL_TRY(pel_path_join(dir, name, suffix, path, sizeof path, reterr));
    return pel_file_write(path, file->bytes, file->len, mode, force, reterr);
}

static enum pel_err put_trust(const char *dir, const char *label, const struct pel_file *cert, bool force,
                              struct pel_error *reterr)
{
    char trust[PEL_PATH_CAP];
    PEL_TRY(pel_path_join(dir, "trust", "", trust, sizeof trust, reterr));
    PEL_TRY(pel_dir_make(trust, reterr));
    return put(trust, label, ".crt", cert, 0644, force, reterr);
}

static enum pel_err put_default(const char *dir, const char *label, bool force, struct pel_error *reterr)
{
    char line[PEL_KEYRING_MAX_LABEL_LEN + 2];
    int len = snprintf(line, sizeof line, "%s\n", label);
    struct pel_file file = {(uint8_t *)line, (size_t)len};
    enum pel_err err = put(dir, "default", "", &file, 0644, force, reterr);
    return err == PEL_E_EXISTS ? PEL_OK : err;
}

/* Refuses before anything is written, so that a certificate is never left without its key. */
static enum pel_err check_free(const struct pel_keyring_request *request, struct pel_error *reterr)
{
    static const char *const suffixes[] = {".crt", ".key"};
    char path[PEL_PATH_CAP];
    PEL_TRY(pel_keyring_check_label(request->label, reterr));
    for (size_t i = 0; i < 2 && !request->force; i++) {
        PEL_TRY(pel_path_join(request->dir, request->label, suffixes[i], path, sizeof path, reterr));
        if (access(path, F_OK) == 0)
            return pel_error_set(reterr, PEL_E_EXISTS, "%s: exists already; give --force to replace it",
                                 path);
    }
    return PEL_OK;
}

static void set_times(struct pel_keyring_request *request, int64_t days)
{
    struct pel_clock clock = pel_clock_real();
    int64_t now_s = pel_clock_wall_s(&clock);
    if (request->not_before_s == 0 && request->not_after_s == 0) {
        request->not_before_s = now_s - 3600;
        request->not_after_s = now_s + days * DAY_S;
    }
}

static enum pel_err check_request(const struct pel_keyring_request *request, struct pel_error *reterr)
{
    if (request->dir == NULL || request->label == NULL || request->subject == NULL)
        return pel_error_set(reterr, PEL_E_ARG, "the ring's directory, a label and a subject are needed");
    if (request->not_after_s < request->not_before_s)
        return pel_error_set(reterr, PEL_E_ARG, "the certificate would end before it begins");
    return check_free(request, reterr);
}

static enum pel_err put_pair(const struct pel_keyring_request *request, const struct pel_file *cert,
                             const struct pel_file *key, struct pel_error *reterr)
{
    PEL_TRY(pel_dir_make(request->dir, reterr));
    PEL_TRY(put(request->dir, request->label, ".key", key, 0600, request->force, reterr));
    return put(request->dir, request->label, ".crt", cert, 0644, request->force, reterr);
}

enum pel_err pel_keyring_make_ca(const struct pel_keyring_request *request, struct pel_error *reterr)
{
    struct pel_keyring_request full = *request;
    struct pel_file cert = {0}, key = {0};
    set_times(&full, 3650);
    PEL_TRY(check_request(&full, reterr));
    PEL_TRY(pel_cert_issue(&full, NULL, NULL, &cert, &key, reterr));
    enum pel_err err = put_pair(&full, &cert, &key, reterr);
    if (err == PEL_OK)
        err = put_trust(full.dir, full.label, &cert, full.force, reterr);
    if (err == PEL_OK)
        err = put_default(full.dir, full.label, full.make_default, reterr);
    pel_file_free(&cert);
    pel_file_free(&key);
    return err;
}

/* The authority's files, read once for issuing and for trust/. */
struct authority {
    char label[PEL_KEYRING_MAX_LABEL_LEN + 1];
    char cert_path[PEL_PATH_CAP], key_path[PEL_PATH_CAP];
    struct pel_file cert, key;
};

static void free_authority(struct authority *ca)
{
    pel_file_free(&ca->cert);
    pel_file_free(&ca->key);
}

static enum pel_err read_authority(const struct pel_keyring_request *request, struct authority *ca,
                                   struct pel_error *reterr)
{
    if (request->ca_dir == NULL)
        return pel_error_set(reterr, PEL_E_ARG, "the ring of the authority is needed (--ca DIR)");
    if (request->ca_label != NULL) {
        PEL_TRY(pel_keyring_check_label(request->ca_label, reterr));
        snprintf(ca->label, sizeof ca->label, "%s", request->ca_label);
    } else {
        PEL_TRY(pel_keyring_default_label(request->ca_dir, ca->label, sizeof ca->label, reterr));
    }
    PEL_TRY(pel_keyring_read_cert(request->ca_dir, ca->label, &ca->cert, ca->cert_path, sizeof ca->cert_path,
                                  reterr));
    return pel_keyring_read_key(request->ca_dir, ca->label, &ca->key, ca->key_path, sizeof ca->key_path,
                                reterr);
}

/* Refuses to take the place of another authority that is trusted already. */
static enum pel_err check_trust(const struct pel_keyring_request *request, const struct authority *ca,
                                struct pel_error *reterr)
{
    char trust[PEL_PATH_CAP], path[PEL_PATH_CAP];
    struct pel_file there = {0};
    PEL_TRY(pel_path_join(request->dir, "trust", "", trust, sizeof trust, reterr));
    PEL_TRY(pel_path_join(trust, ca->label, ".crt", path, sizeof path, reterr));
    if (request->force || access(path, F_OK) != 0)
        return PEL_OK;
    PEL_TRY(pel_file_read(path, false, &there, reterr));
    bool same = there.len == ca->cert.len && memcmp(there.bytes, ca->cert.bytes, there.len) == 0;
    pel_file_free(&there);
    if (same)
        return PEL_OK;
    return pel_error_set(reterr, PEL_E_EXISTS,
                         "%s: another authority is trusted by that name; give --force to replace it", path);
}

static enum pel_err make_from(const struct pel_keyring_request *request, const struct authority *ca,
                              struct pel_error *reterr)
{
    struct pel_file cert = {0}, key = {0};
    struct pel_pem ca_cert = {ca->cert.bytes, ca->cert.len, ca->cert_path};
    struct pel_pem ca_key = {ca->key.bytes, ca->key.len, ca->key_path};
    PEL_TRY(check_trust(request, ca, reterr));
    PEL_TRY(pel_cert_issue(request, &ca_cert, &ca_key, &cert, &key, reterr));
    enum pel_err err = put_pair(request, &cert, &key, reterr);
    if (err == PEL_OK)
        err = put_trust(request->dir, ca->label, &ca->cert, true, reterr); /* the same, or forced */
    if (err == PEL_OK)
        err = put_default(request->dir, request->label, request->make_default, reterr);
    pel_file_free(&cert);
    pel_file_free(&key);
    return err;
}

enum pel_err pel_keyring_make_cert(const struct pel_keyring_request *request, struct pel_error *reterr)
{
    struct pel_keyring_request full = *request;
    struct authority ca = {0};
    set_times(&full, 365);
    PEL_TRY(check_request(&full, reterr));
    enum pel_err err = read_authority(&full, &ca, reterr);
    if (err == PEL_OK)
        err = make_from(&full, &ca, reterr);
    free_authority(&ca);
    return err;
}

enum pel_err pel_keyring_trust(const char *dir, const char *label, const char *cert_path, bool force,
                               struct pel_error *reterr)
{
    struct pel_file file = {0};
    struct pel_cert_facts facts;
    PEL_TRY(pel_keyring_check_label(label, reterr));
    PEL_TRY(pel_file_read(cert_path, false, &file, reterr));
    struct pel_pem pem = {file.bytes, file.len, cert_path};
    enum pel_err err = pel_cert_facts(&pem, &facts, reterr);
    if (err == PEL_OK)
        err = pel_dir_make(dir, reterr);
    if (err == PEL_OK)
        err = put_trust(dir, label, &file, force, reterr);
    pel_file_free(&file);
    return err;
}

enum pel_err pel_keyring_set_default(const char *dir, const char *label, struct pel_error *reterr)
{
    char path[PEL_PATH_CAP];
    struct pel_file file = {0};
    PEL_TRY(pel_keyring_read_cert(dir, label, &file, path, sizeof path, reterr));
    pel_file_free(&file);
    return put_default(dir, label, true, reterr);
}
