/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runner/ring.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pellucid/keyring.h>

#include "tests/runner/verdict.h"
#include "tls/files.h"
#include "tls/issue.h"

/* Every suite without PSK that the library has: the runner expects them all, weak ones too. */
static const uint16_t suites[] = {0x1301, 0x1302, 0x1303, 0xcca9, 0xcca8, 0xc02b, 0xc02f, 0xc02c, 0xc030,
                                  0xc009, 0xc013, 0xc00a, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035, 0x000a};

static bool is_text(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static uint32_t versions_of(const struct shim_options *options)
{
    static const struct {
        uint32_t code, bit;
    } versions[] = {
        {0x0301, PEL_TLS_V1_0}, {0x0302, PEL_TLS_V1_1}, {0x0303, PEL_TLS_V1_2}, {0x0304, PEL_TLS_V1_3}};
    const bool off[] = {options->no_tls1, options->no_tls11, options->no_tls12, options->no_tls13};
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++)
        if (!off[i] && (options->min_version == 0 || versions[i].code >= options->min_version) &&
            (options->max_version == 0 || versions[i].code <= options->max_version))
            bits |= versions[i].bit;
    return bits;
}

static enum pel_tls_client_auth client_auth_of(const struct shim_options *options)
{
    if (options->require_any_client_certificate)
        return PEL_TLS_AUTH_REQUIRED;
    return options->verify_peer ? PEL_TLS_AUTH_FULL : PEL_TLS_AUTH_NONE;
}

static enum pel_err copy(const char *from, const char *dir, const char *name, unsigned mode,
                         struct pel_file *ret_file, struct pel_error *reterr)
{
    char to[PEL_PATH_CAP];
    PEL_TRY(pel_path_join(dir, name, "", to, sizeof to, reterr));
    PEL_TRY(pel_file_read(from, false, ret_file, reterr));
    return pel_file_write(to, ret_file->bytes, ret_file->len, mode, false, reterr);
}

/* The ring of this connection: an authority that has signed nothing, and the runner's certificate.
 * `ret_now_s` is a time at which that certificate was in force. */
static enum pel_err make_ring(const char *dir, const struct shim_options *options, int64_t *ret_now_s,
                              const char **ret_refused, struct pel_error *reterr)
{
    struct pel_keyring_request ca = {.dir = dir, .label = "ca", .subject = "CN=ca"};
    struct pel_file cert = {0}, key = {0};
    struct pel_cert_facts facts = {0};
    PEL_TRY(pel_keyring_make_ca(&ca, reterr));
    if (!is_text(options->cert_file))
        return PEL_OK;
    enum pel_err err = copy(options->cert_file, dir, "me.crt", 0600, &cert, reterr);
    struct pel_pem pem = {cert.bytes, cert.len, options->cert_file};
    if (err == PEL_OK)
        err = pel_cert_facts(&pem, &facts, reterr);
    if (err == PEL_OK)
        err = copy(options->key_file, dir, "me.key", 0600, &key, reterr);
    if (err == PEL_OK && strncmp(facts.key_type, "RSA", 3) != 0 && strncmp(facts.key_type, "EC", 2) != 0)
        *ret_refused = "a key that is neither RSA nor EC";
    *ret_now_s = facts.not_before_s + 1;
    pel_file_free(&cert);
    pel_file_free(&key);
    return err;
}

static struct pel_tls_env *make_env(const char *dir, const struct shim_options *options, int64_t now_s,
                                    struct pel_error *reterr)
{
    struct pel_tls_env *env = NULL;
    uint16_t cipher = (uint16_t)options->cipher;
    struct pel_tls_config config = {
        .role = options->server ? PEL_TLS_SERVER : PEL_TLS_CLIENT,
        .client_auth = client_auth_of(options),
        .versions = versions_of(options),
        .ciphers = options->cipher != 0 ? &cipher : suites,
        .num_ciphers = options->cipher != 0 ? 1 : sizeof suites / sizeof suites[0],
        .groups = options->curves.codes,
        .num_groups = options->curves.num,
        .keyring_path = dir,
        .label = is_text(options->cert_file) ? "me" : "",
        .now_s = now_s,
    };
    if (pel_tls_env_new(&config, &env, reterr) != PEL_OK)
        return NULL;
    return env;
}

static void remove_files(const char *dir)
{
    char path[PEL_PATH_CAP];
    DIR *stream = opendir(dir);
    for (struct dirent *entry = NULL; stream != NULL && (entry = readdir(stream)) != NULL;)
        if (entry->d_name[0] != '.' &&
            pel_path_join(dir, entry->d_name, "", path, sizeof path, NULL) == PEL_OK)
            (void)unlink(path);
    if (stream != NULL)
        closedir(stream);
}

static void remove_ring(const char *dir)
{
    char trust[PEL_PATH_CAP];
    if (pel_path_join(dir, "trust", "", trust, sizeof trust, NULL) == PEL_OK) {
        remove_files(trust);
        (void)rmdir(trust);
    }
    remove_files(dir);
    (void)rmdir(dir);
}

struct pel_tls_env *shim_env_new(const struct shim_options *options, const char **ret_refused)
{
    const char *tmp = getenv("TMPDIR");
    char dir[PEL_PATH_CAP];
    struct pel_error error = {0};
    struct pel_tls_env *env = NULL;
    int64_t now_s = (int64_t)time(NULL);
    *ret_refused = NULL;
    if (pel_path_join(tmp != NULL ? tmp : "/tmp", "shim-XXXXXX", "", dir, sizeof dir, NULL) != PEL_OK ||
        mkdtemp(dir) == NULL) {
        fprintf(stderr, "no temporary directory\n");
        return NULL;
    }
    if (make_ring(dir, options, &now_s, ret_refused, &error) == PEL_OK && *ret_refused == NULL)
        env = make_env(dir, options, now_s, &error);
    remove_ring(dir);
    if (env == NULL && *ret_refused == NULL)
        verdict_print(error.code, error.text);
    return env;
}
