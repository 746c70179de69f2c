/* SPDX-License-Identifier: Apache-2.0 */
#include <pellucid/keyring.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/harness.h"
#include "tls/keyring.h"
#include "tls/testkit.h"

static enum pel_err resolve(const char *name, char *path, size_t cap, struct pel_error *error)
{
    return pel_keyring_resolve("/etc/pellucid/keyrings", "alice", name, path, cap, error);
}

PEL_TEST(keyring, resolve)
{
    static const struct {
        const char *name, *path;
    } good[] = {
        {"web", "/etc/pellucid/keyrings/alice/web"},
        {"BOB/Ring1", "/etc/pellucid/keyrings/BOB/Ring1"},
        {"/srv/ring", "/srv/ring"},
        {"/etc/passwd", "/etc/passwd"},
        {"*AUTH*/*", "*AUTH*"},
        {"*AUTH*", "*AUTH*"},
        {"my ring", "/etc/pellucid/keyrings/alice/my ring"},
    };
    static const struct {
        const char *name;
        enum pel_err err;
    } bad[] = {
        {"", PEL_E_ARG},
        {"..", PEL_E_ARG},
        {"../x", PEL_E_ARG},
        {"a/..", PEL_E_ARG},
        {"a/b/c", PEL_E_ARG},
        {"/a/../b", PEL_E_ARG},
        {"a/", PEL_E_ARG},
        {"/a/..", PEL_E_ARG},
        {"a\nb", PEL_E_ARG},
        {"*SITE*/*", PEL_E_UNSUPPORTED},
        {"*TOKEN*/t", PEL_E_UNSUPPORTED},
        {".hidden", PEL_E_ARG},
    };
    char path[PEL_PATH_CAP], long_name[600];
    struct pel_error error;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        PEL_EXPECT_ERR(resolve(good[i].name, path, sizeof path, &error), PEL_OK);
        PEL_EXPECT_STR(path, good[i].path);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        PEL_EXPECT_ERR(resolve(bad[i].name, path, sizeof path, &error), bad[i].err);
        if (pel_test_has_failed())
            pel_test_say("%s", bad[i].name);
    }
    PEL_EXPECT_ERR(resolve("ring", path, 10, &error), PEL_E_TOO_BIG);
    memset(long_name, 'r', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    PEL_EXPECT_ERR(resolve(long_name, path, sizeof path, &error), PEL_E_ARG);
    PEL_EXPECT_ERR(pel_keyring_resolve("/k", NULL, "ring", path, sizeof path, &error), PEL_E_ARG);
}

/* A server environment of `ring` and `label`, with what `expected` says of the text. */
static void expect_env(enum pel_tls_role role, const char *ring, const char *label,
                       enum pel_tls_client_auth auth, enum pel_err expected, const char *text)
{
    struct pel_tls_config config = kit_config(role, ring, label);
    struct pel_tls_env *env = NULL;
    struct pel_error error = {0};
    config.client_auth = auth;
    PEL_REQUIRE(config.keyring_path != NULL);
    PEL_EXPECT_ERR(pel_tls_env_new(&config, &env, &error), expected);
    PEL_EXPECT((env != NULL) == (expected == PEL_OK));
    if (expected != PEL_OK) {
        PEL_EXPECT_EQ(error.code, expected);
        PEL_EXPECT_HAS(error.text, text);
    }
    pel_tls_env_unref(env);
}

static bool copy_file(const char *from_ring, const char *from, const char *to_ring, const char *to,
                      unsigned mode)
{
    char from_path[300], to_path[300];
    struct pel_file file = {0};
    snprintf(from_path, sizeof from_path, "%s/%s", kit_ring(from_ring), from);
    snprintf(to_path, sizeof to_path, "%s/%s", kit_ring(to_ring), to);
    if (pel_file_read(from_path, false, &file, NULL) != PEL_OK)
        return false;
    enum pel_err err = pel_file_write(to_path, file.bytes, file.len, mode, true, NULL);
    pel_file_free(&file);
    return err == PEL_OK;
}

static bool write_text(const char *ring, const char *name, const char *text, unsigned mode)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", kit_ring(ring), name);
    return pel_file_write(path, (const uint8_t *)text, strlen(text), mode, true, NULL) == PEL_OK;
}

PEL_TEST(keyring, what_is_wrong_is_said)
{
    PEL_REQUIRE(kit_ring("bad") != NULL);
    PEL_REQUIRE(mkdir(kit_ring("bad"), 0700) == 0);
    PEL_REQUIRE(copy_file("server", "p256.crt", "bad", "nokey.crt", 0644));
    PEL_REQUIRE(copy_file("server", "p256.crt", "bad", "mixed.crt", 0644));
    PEL_REQUIRE(copy_file("server", "rsa.key", "bad", "mixed.key", 0600));
    PEL_REQUIRE(copy_file("server", "p256.crt", "bad", "open.crt", 0644));
    PEL_REQUIRE(copy_file("server", "p256.key", "bad", "open.key", 0640));
    PEL_REQUIRE(write_text("bad", "junk.crt", "not PEM at all\n", 0644));
    PEL_REQUIRE(copy_file("server", "p256.key", "bad", "junk.key", 0600));
    PEL_REQUIRE(copy_file("server", "p256.crt", "bad", "junkkey.crt", 0644));
    PEL_REQUIRE(write_text("bad", "junkkey.key",
                           "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0600));
    expect_env(PEL_TLS_SERVER, "nowhere", NULL, PEL_TLS_AUTH_NONE, PEL_E_KEYRING_MISSING,
               "nowhere: no such keyring directory");
    expect_env(PEL_TLS_SERVER, "empty", NULL, PEL_TLS_AUTH_NONE, PEL_E_KEYRING_NO_LABEL, "no default label");
    expect_env(PEL_TLS_SERVER, "empty", "x", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_NO_LABEL,
               "holds no certificate");
    expect_env(PEL_TLS_SERVER, "server", "p265", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_NO_LABEL,
               "no label \"p265\"; did you mean \"p256\"? (there are: expired, future, p256, rsa)");
    expect_env(PEL_TLS_SERVER, "server", "quite-different", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_NO_LABEL,
               "there are: expired");
    expect_env(PEL_TLS_SERVER, "server", "../ca/ca", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_NO_LABEL,
               "cannot be one");
    expect_env(PEL_TLS_SERVER, "bad", "nokey", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_NO_KEY, "bad/nokey.key");
    expect_env(PEL_TLS_SERVER, "bad", "mixed", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_KEY_MISMATCH,
               "does not belong");
    expect_env(PEL_TLS_SERVER, "bad", "open", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_MODE,
               "mode 0640 lets others at a private key; do `chmod 600");
    expect_env(PEL_TLS_SERVER, "bad", "junk", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_CERT_MALFORMED,
               "bad/junk.crt: cannot be read as PEM");
    expect_env(PEL_TLS_SERVER, "bad", "junkkey", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_CERT_MALFORMED,
               "bad/junkkey.key");
    expect_env(PEL_TLS_SERVER, "server", "expired", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_CERT_EXPIRED,
               "expired less than a day ago");
    expect_env(PEL_TLS_SERVER, "server", "future", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_CERT_EXPIRED,
               "not valid for another");
    expect_env(PEL_TLS_CLIENT, "bad", "", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_NO_TRUST, "checked against");
    PEL_REQUIRE(copy_file("server", "p256.key", "bad", "mixed.key", 0600));
    expect_env(PEL_TLS_SERVER, "bad", "mixed", PEL_TLS_AUTH_NONE, PEL_OK, "");
    expect_env(PEL_TLS_SERVER, "bad", "mixed", PEL_TLS_AUTH_PASSTHRU, PEL_OK, "");
    expect_env(PEL_TLS_SERVER, "bad", "mixed", PEL_TLS_AUTH_FULL, PEL_E_KEYRING_NO_TRUST,
               "bad/trust: holds no *.crt");
    expect_env(PEL_TLS_SERVER, "bad", "mixed", PEL_TLS_AUTH_SAFCHECK, PEL_E_KEYRING_NO_TRUST,
               "the client is checked");
    PEL_REQUIRE(write_text("bad", "default", "gone\n", 0644));
    expect_env(PEL_TLS_SERVER, "bad", NULL, PEL_TLS_AUTH_NONE, PEL_E_KEYRING_NO_LABEL, "no label \"gone\"");
    PEL_REQUIRE(write_text("bad", "default", "../../x\n", 0644));
    expect_env(PEL_TLS_SERVER, "bad", NULL, PEL_TLS_AUTH_NONE, PEL_E_KEYRING_NO_LABEL, "cannot be one");
}

PEL_TEST(keyring, an_unreadable_ring)
{
    PEL_REQUIRE(kit_ring("shut") != NULL && mkdir(kit_ring("shut"), 0700) == 0);
    PEL_REQUIRE(copy_file("server", "p256.crt", "shut", "x.crt", 0));
    PEL_REQUIRE(copy_file("server", "p256.key", "shut", "x.key", 0));
    bool root = geteuid() == 0;
    PEL_REQUIRE(!root || seteuid(65534) == 0); /* root reads everything: be nobody, who may not enter */
    expect_env(PEL_TLS_SERVER, "shut", "x", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_UNREADABLE,
               "check who runs the stack");
    PEL_REQUIRE(!root || seteuid(0) == 0);
}

PEL_TEST(keyring, what_is_no_file)
{
    char path[300];
    PEL_REQUIRE(kit_ring("odd") != NULL && mkdir(kit_ring("odd"), 0700) == 0);
    snprintf(path, sizeof path, "%s/dir.crt", kit_ring("odd"));
    PEL_REQUIRE(mkdir(path, 0700) == 0);
    expect_env(PEL_TLS_SERVER, "odd", "dir", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_UNREADABLE,
               "not a regular file");
    snprintf(path, sizeof path, "%s/fifo.crt", kit_ring("odd"));
    PEL_REQUIRE(mkfifo(path, 0600) == 0); /* must not hang */
    expect_env(PEL_TLS_SERVER, "odd", "fifo", PEL_TLS_AUTH_NONE, PEL_E_KEYRING_UNREADABLE,
               "not a regular file");
}

PEL_TEST(keyring, lists_that_cannot_be_used_together)
{
    static const uint16_t only13[] = {0x1301}, only12[] = {0xc02b}, none[] = {0x0005, 0x009e},
                          bad_groups[] = {30, 19};
    static const struct {
        uint32_t versions;
        const uint16_t *ciphers;
        enum pel_err err;
        const char *text;
    } rows[] = {
        {0, NULL, PEL_E_TLS_CONFIG, "no TLS version is left"},
        {PEL_TLS_V1_1 | PEL_TLS_V1_3, NULL, PEL_E_TLS_CONFIG, "gap"},
        {PEL_TLS_V1_2, only13, PEL_E_TLS_CONFIG, "no TLS version is left"},
        {PEL_TLS_V1_3, only12, PEL_E_TLS_CONFIG, "no TLS version is left"},
        {PEL_TLS_V1_2 | PEL_TLS_V1_3, none, PEL_E_TLS_CONFIG, "no cipher suite is left"},
        {PEL_TLS_V1_2 | PEL_TLS_V1_3, only12, PEL_OK, ""},
        {PEL_TLS_V1_2 | PEL_TLS_V1_3, only13, PEL_OK, ""},
        {PEL_TLS_V1_0 | PEL_TLS_V1_1 | PEL_TLS_V1_2 | PEL_TLS_V1_3, NULL, PEL_OK, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pel_tls_config config = kit_config(PEL_TLS_SERVER, "server", NULL);
        struct pel_tls_env *env = NULL;
        struct pel_error error = {0};
        config.versions = rows[i].versions;
        config.ciphers = rows[i].ciphers;
        config.num_ciphers = rows[i].ciphers == NULL ? 0 : rows[i].ciphers == none ? 2 : 1;
        PEL_EXPECT_ERR(pel_tls_env_new(&config, &env, &error), rows[i].err);
        if (rows[i].err != PEL_OK)
            PEL_EXPECT_HAS(error.text, rows[i].text);
        pel_tls_env_unref(env);
    }
    struct pel_tls_config config = kit_config(PEL_TLS_SERVER, "server", NULL);
    struct pel_tls_env *env = NULL;
    config.groups = bad_groups;
    config.num_groups = 2;
    PEL_EXPECT_ERR(pel_tls_env_new(&config, &env, NULL), PEL_E_TLS_CONFIG);
    config.keyring_path = NULL;
    PEL_EXPECT_ERR(pel_tls_env_new(&config, &env, NULL), PEL_E_TLS_CONFIG);
}

PEL_TEST(keyring, expiry_and_references)
{
    struct pel_tls_config config = kit_config(PEL_TLS_SERVER, "server", NULL);
    struct pel_tls_env *env = NULL;
    PEL_REQUIRE_OK(pel_tls_env_new(&config, &env, NULL));
    int64_t left_s = pel_tls_env_cert_expiry_s(env) - config.now_s;
    PEL_EXPECT(left_s > 364 * 86400 && left_s <= 365 * 86400);
    PEL_EXPECT(pel_tls_env_ref(env) == env);
    pel_tls_env_unref(env);
    pel_tls_env_unref(env);
    config = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    PEL_REQUIRE_OK(pel_tls_env_new(&config, &env, NULL));
    PEL_EXPECT(pel_tls_env_cert_expiry_s(env) == INT64_MAX);
    pel_tls_env_unref(env);
}

PEL_TEST(keyring, the_machines_authorities)
{
    struct pel_tls_config config = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    struct pel_tls_env *env = NULL;
    struct pel_error error = {0};
    config.keyring_path = PEL_KEYRING_AUTH;
    bool there = access(PEL_KEYRING_MACHINE_CAS, R_OK) == 0;
    PEL_EXPECT_ERR(pel_tls_env_new(&config, &env, &error), there ? PEL_OK : PEL_E_KEYRING_NO_TRUST);
    pel_tls_env_unref(env);
    config.role = PEL_TLS_SERVER;
    PEL_EXPECT_ERR(pel_tls_env_new(&config, &env, &error), PEL_E_KEYRING_NO_LABEL);
}

struct seen {
    unsigned num_certs, num_trust, num_problems;
    char text[2000];
};

static void see(void *arg, const struct pel_keyring_entry *entry)
{
    struct seen *seen = arg;
    size_t len = strlen(seen->text);
    seen->num_certs += !entry->trusted;
    seen->num_trust += entry->trusted;
    seen->num_problems += entry->problem != PEL_OK;
    snprintf(seen->text + len, sizeof seen->text - len, "%s|%s|%s|%s|%s|%d%d%d\n", entry->label,
             entry->subject, entry->names, entry->key_type, entry->problem_text, entry->is_default,
             entry->has_key, entry->is_ca);
}

PEL_TEST(keyring, list)
{
    struct seen seen = {0};
    struct pel_clock clock = pel_clock_real();
    int64_t now_s = pel_clock_wall_s(&clock);
    PEL_REQUIRE(kit_ring("server") != NULL);
    PEL_EXPECT_ERR(pel_keyring_list(kit_ring("server"), now_s, see, &seen, NULL), PEL_OK);
    PEL_EXPECT_EQ(seen.num_certs, 4);
    PEL_EXPECT_EQ(seen.num_trust, 1);
    PEL_EXPECT_EQ(seen.num_problems, 2);
    PEL_EXPECT_HAS(seen.text, "p256|CN=p256,O=Pellucid|DNS:server.test, DNS:*.wild.test, IP:192.0.2.1, "
                              "IP:2001:db8::1|EC P-256||110");
    PEL_EXPECT_HAS(
        seen.text,
        "rsa|CN=rsa,O=Pellucid|DNS:server.test, DNS:*.wild.test, IP:192.0.2.1, IP:2001:db8::1|RSA 2048||010");
    PEL_EXPECT_HAS(seen.text, "expired less than a day ago; renew");
    PEL_EXPECT_HAS(seen.text, "ca|CN=Test Authority,O=Pellucid||EC P-256||001");
    memset(&seen, 0, sizeof seen);
    PEL_EXPECT_ERR(pel_keyring_list(kit_ring("."), now_s, see, &seen, NULL), PEL_OK);
    PEL_EXPECT(seen.num_certs >= 10);
    struct pel_error error = {0};
    PEL_EXPECT_ERR(pel_keyring_list(kit_ring("empty"), now_s, see, &seen, &error), PEL_E_KEYRING_MISSING);
    PEL_EXPECT_ERR(pel_keyring_list(kit_ring("nowhere"), now_s, see, &seen, &error), PEL_E_KEYRING_MISSING);
}

static unsigned mode_of(const char *ring, const char *name)
{
    char path[300];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", kit_ring(ring), name);
    return stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

PEL_TEST(keyring, modes_and_no_overwriting)
{
    struct pel_error error = {0};
    PEL_REQUIRE(kit_ring("server") != NULL);
    PEL_EXPECT_EQ(mode_of("server", "p256.key"), 0600);
    PEL_EXPECT_EQ(mode_of("server", "p256.crt"), 0644);
    PEL_EXPECT_EQ(mode_of("server", "."), 0700);
    PEL_EXPECT_EQ(mode_of("server", "trust"), 0700);
    struct pel_keyring_request request = {
        .dir = kit_ring("server"), .label = "p256", .subject = "CN=x", .ca_dir = kit_ring("ca")};
    PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_E_EXISTS);
    PEL_EXPECT_HAS(error.text, "--force");
    request.dir = kit_ring("again");
    PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_OK);
    PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_E_EXISTS);
    request.force = true;
    PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_OK);
    expect_env(PEL_TLS_SERVER, "again", NULL, PEL_TLS_AUTH_NONE, PEL_OK, "");
    PEL_EXPECT_ERR(pel_keyring_set_default(kit_ring("again"), "y", &error), PEL_E_KEYRING_NO_LABEL);
    PEL_EXPECT_ERR(pel_keyring_set_default(kit_ring("again"), "p256", &error), PEL_OK);
}

PEL_TEST(keyring, an_authority_does_not_take_another_ones_place)
{
    struct pel_error error = {0};
    char path[300];
    struct pel_keyring_request other = {.dir = kit_ring("other-ca"), .label = "ca", .subject = "CN=other"};
    struct pel_keyring_request request = {.dir = kit_ring("between"),
                                          .label = "one",
                                          .subject = "CN=x",
                                          .ca_dir = kit_ring("ca"),
                                          .ca_label = "ca"};
    PEL_REQUIRE_OK(pel_keyring_make_ca(&other, &error));
    PEL_REQUIRE_OK(pel_keyring_make_cert(&request, &error));
    request.label = "two"; /* of the same authority: its place is its own */
    PEL_REQUIRE_OK(pel_keyring_make_cert(&request, &error));
    request.label = "three";
    request.ca_dir = other.dir;
    PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_E_EXISTS);
    PEL_EXPECT_HAS(error.text, "trust/ca.crt: another authority");
    snprintf(path, sizeof path, "%s/three.crt", request.dir);
    PEL_EXPECT(access(path, F_OK) != 0); /* nothing was made */
    request.force = true;
    PEL_REQUIRE_OK(pel_keyring_make_cert(&request, &error));
}

PEL_TEST(keyring, requests_that_cannot_be)
{
    static const char *const bad_dns[] = {"no spaces"}, *const bad_ip[] = {"1.2.3"};
    static const char *const subjects[] = {"", "CN", "CN=", "X=1", "=", "CN=a,,=", "C=toolong"};
    struct pel_error error = {0};
    PEL_REQUIRE(kit_ring("reject") != NULL);
    struct pel_keyring_request request = {.dir = kit_ring("reject"), .label = "l", .ca_dir = kit_ring("ca")};
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        request.subject = subjects[i];
        PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_E_ARG);
        if (pel_test_has_failed())
            pel_test_say("subject \"%s\"", subjects[i]);
    }
    request.subject = "CN=fine";
    request.dns_names = bad_dns;
    request.num_dns_names = 1;
    PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_E_ARG);
    request.num_dns_names = 0;
    request.ip_addresses = bad_ip;
    request.num_ip_addresses = 1;
    PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_E_ARG);
    request.num_ip_addresses = 0;
    request.label = "a/b";
    PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_E_KEYRING_NO_LABEL);
    request.label = "l";
    request.ca_dir = kit_ring("client"); /* its default is no authority */
    PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_E_ARG);
    PEL_EXPECT_HAS(error.text, "no certificate authority");
    request.ca_dir = kit_ring("trusting");
    PEL_EXPECT_ERR(pel_keyring_make_cert(&request, &error), PEL_E_KEYRING_NO_LABEL);
    PEL_EXPECT_EQ(mode_of("reject", "l.crt"), 0);
    enum pel_key_type type;
    PEL_EXPECT_ERR(pel_key_type_parse("rsa3072", &type), PEL_OK);
    PEL_EXPECT_EQ(type, PEL_KEY_RSA3072);
    PEL_EXPECT_ERR(pel_key_type_parse("dsa", &type), PEL_E_ARG);
}
