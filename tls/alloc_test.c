/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nth allocation fails, for every N of a connection's life: environments, handshake, data, close.
 * Nothing may crash, leak, or go on as if nothing had happened.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"
#include "tls/boringssl/testpeer.h"
#include "tls/pkcs12.h"
#include "tls/testkit.h"

struct life {
    struct pel_tls_config client, server;
    bool whole; /* everything worked */
};

/* BoringSSL does not always say that it was memory it lacked: it may call a file unreadable or a list
 * unusable. */
static bool may_follow(enum pel_err err)
{
    return err == PEL_E_NO_MEMORY || err == PEL_E_KEYRING_CERT_MALFORMED || err == PEL_E_TLS_CONFIG ||
           err == PEL_E_KEYRING_KEY_MISMATCH;
}

/* One connection as a program would lead it: every error ends it. */
static void live(struct life *life)
{
    struct kit_pair pair = {0};
    struct pel_error error = {0};
    uint8_t bytes[64];
    size_t n = 0;
    enum pel_err err = pel_tls_env_new(&life->server, &pair.server_env, &error);
    if (err == PEL_OK)
        err = pel_tls_env_new(&life->client, &pair.client_env, &error);
    if (err != PEL_OK && !may_follow(err))
        pel_test_fail(__FILE__, __LINE__, "an environment says %s: %s", pel_err_name(err), error.text);
    if (err == PEL_OK)
        err = pel_tls_new(pair.server_env, NULL, 0, &pair.server_counters, &pair.server);
    if (err == PEL_OK)
        err = pel_tls_new(pair.client_env, "server.test", 0, &pair.client_counters, &pair.client);
    if (err == PEL_OK) {
        kit_settle(&pair);
        if (pel_tls_write(pair.client, (const uint8_t *)"hello", 5, &n) == PEL_OK)
            kit_settle(&pair);
        bool got = pel_tls_read(pair.server, bytes, sizeof bytes, &n) == PEL_OK && n == 5;
        bool closed = pel_tls_close(pair.server) == PEL_OK;
        kit_settle(&pair);
        bool ended =
            pel_tls_is_secure(pair.client) && pel_tls_read(pair.client, bytes, sizeof bytes, &n) == PEL_E_EOF;
        life->whole = got && closed && ended;
    }
    kit_pair_fini(&pair);
}

static void fail_each(uint32_t versions, const char *server_label)
{
    struct life life = {.client = kit_config(PEL_TLS_CLIENT, "client", NULL),
                        .server = kit_config(PEL_TLS_SERVER, "server", server_label)};
    PEL_REQUIRE(life.client.keyring_path != NULL);
    life.client.versions = versions;
    life.server.client_auth = PEL_TLS_AUTH_REQUIRED;
    live(&life); /* what is made once a thread is there afterwards */
    PEL_EXPECT(life.whole);
    long nth = 0;
    unsigned num_whole = 0;
    bool failed = true;
    for (; failed && nth < 100000; nth++) {
        life.whole = false;
        failmalloc_arm((uint64_t)nth + 1);
        live(&life);
        failed = failmalloc_disarm();
        num_whole += failed && life.whole; /* only where the failure costs nothing, as a cache or a message */
        if (pel_test_has_failed()) {
            pel_test_say("allocation %ld", nth);
            return;
        }
    }
    PEL_EXPECT(life.whole);
    PEL_EXPECT(nth > 500);
    PEL_EXPECT(num_whole * 20 < (unsigned)nth);
    pel_test_say("%ld allocations failed in turn, %u of them without effect", nth - 1, num_whole);
}

PEL_TEST(alloc, tls13)
{
    fail_each(PEL_TLS_V1_3, "p256");
}

PEL_TEST(alloc, tls12)
{
    fail_each(PEL_TLS_V1_2, "rsa");
}

PEL_TEST(alloc, many_at_once)
{
    struct life life = {.client = kit_config(PEL_TLS_CLIENT, "client", NULL),
                        .server = kit_config(PEL_TLS_SERVER, "server", NULL)};
    PEL_REQUIRE(life.client.keyring_path != NULL);
    struct pel_prng prng;
    pel_prng_seed(&prng, 7);
    for (int i = 0; i < 200; i++) { /* fails, and again a little later: the ways out allocate too */
        failmalloc_arm(pel_prng_below(&prng, 3000) + 1);
        live(&life);
        failmalloc_disarm();
    }
    live(&life);
    PEL_EXPECT(life.whole);
}

PEL_TEST(alloc, pkcs12)
{
    char path[64] = "/tmp/pel-alloc-XXXXXX", cert[256], key[256], ca[256];
    struct pel_error error = {0};
    struct pel_file file = {0};
    int fd = mkstemp(path);
    const char *server = kit_ring("server"), *authority = kit_ring("ca");
    PEL_REQUIRE(fd >= 0 && server != NULL && authority != NULL);
    close(fd);
    snprintf(cert, sizeof cert, "%s/p256.crt", server);
    snprintf(key, sizeof key, "%s/p256.key", server);
    snprintf(ca, sizeof ca, "%s/ca.crt", authority);
    const struct testpeer_pkcs12 wanted = {path, "secret", cert, key, "site", ca};
    PEL_REQUIRE(testpeer_make_pkcs12(&wanted));
    PEL_REQUIRE_OK(pel_file_read(path, true, &file, &error));
    const struct pel_pem der = {file.bytes, file.len, path};
    for (uint64_t nth = 1;; nth++) {
        struct pel_pkcs12 pkcs12 = {0};
        failmalloc_arm(nth);
        enum pel_err err = pel_pkcs12_parse(&der, "secret", &pkcs12, &error);
        bool failed = failmalloc_disarm();
        /* All of it or nothing; BoringSSL does not always say that it was memory it lacked. */
        PEL_EXPECT((err == PEL_OK) == (pkcs12.chain.len > 0 && pkcs12.key.len > 0 && pkcs12.trust.len > 0));
        PEL_EXPECT(failed || err == PEL_OK);
        pel_pkcs12_free(&pkcs12);
        if (!failed || pel_test_has_failed()) {
            PEL_EXPECT(nth > 50);
            break;
        }
    }
    pel_file_free(&file);
    unlink(path);
}
