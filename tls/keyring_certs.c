/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ring holds, certificate by certificate, for whoever watches their dates.
 */
#include <stdio.h>
#include <string.h>

#include "tls/issue.h"
#include "tls/keyring.h"
#include "tls/pkcs12.h"

struct visit {
    pel_keyring_certs_fn *fn;
    void *arg;
    const char *ring, *default_label;
    struct pel_keyring_cert cert;
};

static void on_dates(void *arg, size_t index, const struct pel_cert_dates *dates)
{
    struct visit *visit = arg;
    struct pel_keyring_cert *cert = &visit->cert;
    if (cert->place == PEL_KEYRING_OWN && index > 0)
        cert->place = PEL_KEYRING_CHAIN;
    cert->subject = dates->subject;
    cert->not_before_s = dates->not_before_s;
    cert->not_after_s = dates->not_after_s;
    cert->sha256 = dates->sha256;
    visit->fn(visit->arg, cert);
    cert->problem = PEL_OK; /* a key's problem is the first certificate's */
    cert->problem_text = "";
}

static enum pel_err check_key(const char *ring, const char *label, const struct pel_pem *cert,
                              struct pel_error *reterr)
{
    char path[PEL_PATH_CAP];
    struct pel_file key = {0};
    PEL_TRY(pel_keyring_read_key(ring, label, &key, path, sizeof path, reterr));
    struct pel_pem key_pem = {key.bytes, key.len, path};
    enum pel_err err = pel_cert_check_key(cert, &key_pem, reterr);
    pel_file_free(&key);
    return err;
}

static void begin(struct visit *visit, const char *label, enum pel_keyring_place place)
{
    visit->cert = (struct pel_keyring_cert){.label = label,
                                            .place = place,
                                            .is_default = place == PEL_KEYRING_OWN &&
                                                          strcmp(label, visit->default_label) == 0,
                                            .subject = "",
                                            .problem_text = ""};
}

static void visit_file(struct visit *visit, const char *path, const char *label, enum pel_keyring_place place)
{
    struct pel_file file = {0};
    struct pel_error error = {0};
    begin(visit, label, place);
    enum pel_err err = pel_file_read(path, false, &file, &error);
    struct pel_pem pem = {file.bytes, file.len, path};
    if (err == PEL_OK && place == PEL_KEYRING_OWN) {
        visit->cert.problem = check_key(visit->ring, label, &pem, &error);
        visit->cert.problem_text = visit->cert.problem != PEL_OK ? error.text : "";
    }
    struct pel_error dates_error = {0};
    if (err == PEL_OK)
        err = pel_cert_dates_each(&pem, on_dates, visit, &dates_error);
    else
        dates_error = error;
    pel_file_free(&file);
    if (err == PEL_OK)
        return;
    begin(visit, label, place);
    visit->cert.problem = err;
    visit->cert.problem_text = dates_error.text;
    visit->fn(visit->arg, &visit->cert);
}

static enum pel_err visit_text(struct visit *visit, const struct pel_file *text, const char *label,
                               enum pel_keyring_place place, struct pel_error *reterr)
{
    const struct pel_pem pem = {text->bytes, text->len, visit->ring};
    begin(visit, label, place);
    return text->len > 0 ? pel_cert_dates_each(&pem, on_dates, visit, reterr) : PEL_OK;
}

static enum pel_err visit_pkcs12(struct visit *visit, const struct pel_keyring_secret *secret,
                                 struct pel_error *reterr)
{
    struct pel_pkcs12 pkcs12 = {0};
    const char *slash = strrchr(visit->ring, '/'), *name = slash != NULL ? slash + 1 : visit->ring;
    char trusted[PEL_KEYRING_MAX_LABEL_LEN + 1];
    PEL_TRY(pel_pkcs12_read(visit->ring, secret, &pkcs12, reterr));
    snprintf(trusted, sizeof trusted, "%s", name);
    if (pkcs12.label[0] == '\0')
        snprintf(pkcs12.label, sizeof pkcs12.label, "%s", trusted);
    visit->default_label = pkcs12.label;
    enum pel_err err = visit_text(visit, &pkcs12.chain, pkcs12.label, PEL_KEYRING_OWN, reterr);
    if (err == PEL_OK)
        err = visit_text(visit, &pkcs12.trust, trusted, PEL_KEYRING_TRUST, reterr);
    pel_pkcs12_free(&pkcs12);
    return err;
}

static enum pel_err visit_dir(struct visit *visit, const char *dir, enum pel_keyring_place place,
                              struct pel_error *reterr)
{
    char path[PEL_PATH_CAP];
    struct pel_names names = {0};
    PEL_TRY(pel_dir_list(dir, ".crt", PEL_KEYRING_MAX_FILES, &names, reterr));
    enum pel_err err = PEL_OK;
    for (size_t i = 0; i < names.num && err == PEL_OK; i++) {
        err = pel_path_join(dir, names.names[i], ".crt", path, sizeof path, reterr);
        if (err == PEL_OK)
            visit_file(visit, path, names.names[i], place);
    }
    pel_names_free(&names);
    return err;
}

enum pel_err pel_keyring_certs(const char *path, const struct pel_keyring_secret *secret,
                               pel_keyring_certs_fn *fn, void *arg, struct pel_error *reterr)
{
    char label[PEL_KEYRING_MAX_LABEL_LEN + 1] = "", trust[PEL_PATH_CAP];
    struct visit visit = {.fn = fn, .arg = arg, .ring = path, .default_label = label};
    if (strcmp(path, PEL_KEYRING_AUTH) == 0) {
        visit_file(&visit, PEL_KEYRING_MACHINE_CAS, "ca-certificates", PEL_KEYRING_TRUST);
        return PEL_OK;
    }
    if (pel_keyring_is_file(path))
        return visit_pkcs12(&visit, secret, reterr);
    enum pel_err err = pel_keyring_default_label(path, label, sizeof label, reterr);
    if (err == PEL_E_KEYRING_MISSING || err == PEL_E_NO_MEMORY)
        return err;
    if (err != PEL_OK)
        label[0] = '\0'; /* a ring may do without */
    PEL_TRY(visit_dir(&visit, path, PEL_KEYRING_OWN, reterr));
    PEL_TRY(pel_path_join(path, "trust", "", trust, sizeof trust, reterr));
    err = visit_dir(&visit, trust, PEL_KEYRING_TRUST, reterr);
    return err == PEL_E_KEYRING_MISSING ? PEL_OK : err;
}
