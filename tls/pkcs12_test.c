/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyrings that are PKCS#12 files: what an environment takes from them, what is refused, and their
 * certificates one by one.
 */
#include "tls/pkcs12.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/harness.h"
#include "tls/boringssl/testpeer.h"
#include "tls/testkit.h"

struct place {
    char dir[64], file[96], stash[96], cert[256], key[256], ca[256];
};

static bool open_place(struct place *place)
{
    const char *server = kit_ring("server"), *ca = kit_ring("ca");
    strcpy(place->dir, "/tmp/pel-pkcs12-XXXXXX");
    if (server == NULL || ca == NULL || mkdtemp(place->dir) == NULL)
        return false;
    snprintf(place->file, sizeof place->file, "%s/site.p12", place->dir);
    snprintf(place->stash, sizeof place->stash, "%s/stash", place->dir);
    snprintf(place->cert, sizeof place->cert, "%s/p256.crt", server);
    snprintf(place->key, sizeof place->key, "%s/p256.key", server);
    snprintf(place->ca, sizeof place->ca, "%s/ca.crt", ca);
    return true;
}

static void close_place(const struct place *place)
{
    unlink(place->file);
    unlink(place->stash);
    PEL_EXPECT_EQ(rmdir(place->dir), 0);
}

static bool make_site(const struct place *place, const char *password, const char *name)
{
    return testpeer_make_pkcs12(&(struct testpeer_pkcs12){.path = place->file,
                                                          .password = password,
                                                          .cert_path = place->cert,
                                                          .key_path = place->key,
                                                          .name = name,
                                                          .ca_path = place->ca});
}

static bool make_authorities(const struct place *place)
{
    return testpeer_make_pkcs12(
        &(struct testpeer_pkcs12){.path = place->file, .password = "secret", .ca_path = place->ca});
}

static void write_stash(const struct place *place, const char *text, mode_t mode)
{
    FILE *file = fopen(place->stash, "w");
    PEL_REQUIRE(file != NULL);
    fputs(text, file);
    fclose(file);
    PEL_EXPECT_EQ(chmod(place->stash, mode), 0);
}

static struct pel_tls_config config_of(const struct place *place, enum pel_tls_role role, const char *label)
{
    struct pel_tls_config config = kit_config(role, "server", label);
    config.keyring_path = place->file;
    config.keyring_password = "secret";
    return config;
}

static void expect_env(const struct pel_tls_config *config, enum pel_err expected, const char *text)
{
    struct pel_tls_env *env = NULL;
    struct pel_error error = {0};
    PEL_EXPECT_ERR(pel_tls_env_new(config, &env, &error), expected);
    PEL_EXPECT_HAS(error.text, text);
    pel_tls_env_unref(env);
}

PEL_TEST(pkcs12, both_ends_of_a_handshake)
{
    struct place place;
    PEL_REQUIRE(open_place(&place) && make_site(&place, "secret", "site"));
    const struct pel_tls_config server = config_of(&place, PEL_TLS_SERVER, NULL),
                                client = config_of(&place, PEL_TLS_CLIENT, NULL);
    struct kit_pair pair;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
    kit_settle(&pair);
    PEL_EXPECT(pel_tls_is_secure(pair.client) && pel_tls_is_secure(pair.server));
    PEL_EXPECT(pel_tls_env_cert_expiry_s(pair.server_env) > server.now_s);
    kit_pair_fini(&pair);
    close_place(&place);
}

PEL_TEST(pkcs12, labels)
{
    static const char *const more[] = {"site", "else"};
    struct place place;
    PEL_REQUIRE(open_place(&place) && make_site(&place, "secret", "site"));
    struct pel_tls_config config = config_of(&place, PEL_TLS_SERVER, "site");
    expect_env(&config, PEL_OK, "");
    config.label = "else";
    expect_env(&config, PEL_E_KEYRING_NO_LABEL,
               "site.p12: no label \"else\"; the certificate with a key is \"site\"");
    config.label = NULL;
    config.more_labels = more;
    config.num_more_labels = 1;
    expect_env(&config, PEL_OK, "");
    config.num_more_labels = 2;
    expect_env(&config, PEL_E_KEYRING_NO_LABEL, "no label \"else\"");
    /* Without a name it is the default all the same. */
    PEL_REQUIRE(make_site(&place, "secret", NULL));
    config = config_of(&place, PEL_TLS_SERVER, NULL);
    expect_env(&config, PEL_OK, "");
    close_place(&place);
}

PEL_TEST(pkcs12, passwords)
{
    struct place place;
    PEL_REQUIRE(open_place(&place) && make_site(&place, "secret", "site"));
    struct pel_tls_config config = config_of(&place, PEL_TLS_SERVER, NULL);
    config.keyring_password = "Secret";
    expect_env(&config, PEL_E_KEYRING_CERT_MALFORMED, "the password of this PKCS#12 file is another one");
    config.keyring_password = NULL;
    expect_env(&config, PEL_E_KEYRING_CERT_MALFORMED, "the password of this PKCS#12 file is another one");
    config.keyring_stash_file = place.stash;
    expect_env(&config, PEL_E_KEYRING_MISSING, place.stash);
    write_stash(&place, "secret\nsecond line\n", 0600);
    expect_env(&config, PEL_OK, "");
    write_stash(&place, "secret", 0644);
    expect_env(&config, PEL_E_KEYRING_MODE, place.stash);
    write_stash(&place, "", 0600);
    expect_env(&config, PEL_E_KEYRING_CERT_MALFORMED, "is another one");
    /* An empty password keeps no secret: the file must. */
    PEL_REQUIRE(make_site(&place, "", "site"));
    config.keyring_stash_file = NULL;
    expect_env(&config, PEL_OK, "");
    PEL_EXPECT_EQ(chmod(place.file, 0644), 0);
    expect_env(&config, PEL_E_KEYRING_MODE, place.file);
    close_place(&place);
}

PEL_TEST(pkcs12, authorities_alone)
{
    struct place place;
    PEL_REQUIRE(open_place(&place) && make_authorities(&place));
    struct pel_tls_config config = config_of(&place, PEL_TLS_CLIENT, NULL);
    expect_env(&config, PEL_OK, "");
    config.label = "site";
    expect_env(&config, PEL_E_KEYRING_NO_LABEL, "no label \"site\"");
    config = config_of(&place, PEL_TLS_SERVER, NULL);
    expect_env(&config, PEL_E_KEYRING_NO_LABEL, "holds authorities only, and no private key");
    /* And none at all. */
    PEL_REQUIRE(testpeer_make_pkcs12(&(struct testpeer_pkcs12){.path = place.file,
                                                               .password = "secret",
                                                               .cert_path = place.cert,
                                                               .key_path = place.key,
                                                               .name = "site"}));
    expect_env(&config, PEL_OK, "");
    config = config_of(&place, PEL_TLS_CLIENT, NULL);
    expect_env(&config, PEL_E_KEYRING_NO_TRUST, "site.p12: holds no authority; put the authority's");
    close_place(&place);
}

PEL_TEST(pkcs12, what_is_none)
{
    struct place place;
    struct pel_file file = {0};
    struct pel_pkcs12 pkcs12 = {0};
    struct pel_error error = {0};
    PEL_REQUIRE(open_place(&place) && make_site(&place, "secret", "site"));
    PEL_REQUIRE_OK(pel_file_read(place.file, true, &file, &error));
    for (size_t len = 0; len < file.len; len += 1 + file.len / 50) {
        const struct pel_pem der = {file.bytes, len, "short.p12"};
        PEL_EXPECT_ERR(pel_pkcs12_parse(&der, "secret", &pkcs12, &error), PEL_E_KEYRING_CERT_MALFORMED);
        PEL_EXPECT_HAS(error.text, "short.p12: cannot be read as a PKCS#12 file");
    }
    pel_file_free(&file);
    PEL_EXPECT(pkcs12.chain.bytes == NULL && pkcs12.key.bytes == NULL && pkcs12.trust.bytes == NULL);
    struct pel_tls_config config = config_of(&place, PEL_TLS_SERVER, NULL);
    config.keyring_path = place.cert; /* a file, but PEM */
    expect_env(&config, PEL_E_KEYRING_CERT_MALFORMED, "cannot be read as a PKCS#12 file");
    PEL_EXPECT(pel_keyring_is_file(place.cert) && !pel_keyring_is_file(place.dir));
    PEL_EXPECT(!pel_keyring_is_file("*AUTH*") && !pel_keyring_is_file("/nothing/there"));
    close_place(&place);
}

/* Each of two keys alone would be derived. */
PEL_TEST(pkcs12, keys_that_take_too_long)
{
    struct place place;
    PEL_REQUIRE(open_place(&place));
    PEL_REQUIRE(testpeer_make_pkcs12(&(struct testpeer_pkcs12){.path = place.file,
                                                               .password = "secret",
                                                               .cert_path = place.cert,
                                                               .key_path = place.key,
                                                               .iterations = 2100000}));
    struct pel_tls_config config = config_of(&place, PEL_TLS_SERVER, NULL);
    expect_env(&config, PEL_E_KEYRING_CERT_MALFORMED, "take more than 4000000 iterations to derive");
    PEL_REQUIRE(make_site(&place, "secret", "site"));
    expect_env(&config, PEL_OK, "");
    close_place(&place);
}

struct seen {
    size_t num;
    char text[1000];
};

static void see(void *arg, const struct pel_keyring_cert *cert)
{
    struct seen *seen = arg;
    size_t len = strlen(seen->text);
    seen->num++;
    snprintf(seen->text + len, sizeof seen->text - len, "%s %d%s %s %s;", cert->label, (int)cert->place,
             cert->is_default ? " default" : "", cert->subject,
             cert->problem == PEL_OK && cert->not_after_s > cert->not_before_s && cert->sha256 != NULL
                 ? "fine"
                 : "bad");
}

PEL_TEST(pkcs12, certificates_one_by_one)
{
    struct place place;
    struct seen seen = {0};
    struct pel_error error = {0};
    const struct pel_keyring_secret secret = {.password = "secret"}, wrong = {.password = "x"};
    PEL_REQUIRE(open_place(&place) && make_site(&place, "secret", "site"));
    PEL_REQUIRE_OK(pel_keyring_certs(place.file, &secret, see, &seen, &error));
    PEL_EXPECT_STR(seen.text, "site 0 default CN=p256,O=Pellucid fine;"
                              "site.p12 2 CN=Test Authority,O=Pellucid fine;");
    PEL_REQUIRE(make_site(&place, "secret", "a\nb"));
    seen = (struct seen){0};
    PEL_REQUIRE_OK(pel_keyring_certs(place.file, &secret, see, &seen, &error));
    PEL_EXPECT_HAS(seen.text, "a?b 0 default");
    PEL_REQUIRE(make_site(&place, "secret", NULL));
    seen = (struct seen){0};
    PEL_REQUIRE_OK(pel_keyring_certs(place.file, &secret, see, &seen, &error));
    PEL_EXPECT_HAS(seen.text, "site.p12 0 default");
    seen = (struct seen){0};
    PEL_EXPECT_ERR(pel_keyring_certs(place.file, &wrong, see, &seen, &error), PEL_E_KEYRING_CERT_MALFORMED);
    PEL_EXPECT_EQ(seen.num, 0);
    close_place(&place);
}
