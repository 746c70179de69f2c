/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/testkit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pellucid/keyring.h>

#include "tls/boringssl/testpeer.h"
#include "tls/env.h"

static char root[64];
static bool made;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_root(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static bool say(enum pel_err err, const struct pel_error *error)
{
    if (err != PEL_OK)
        fprintf(stderr, "testkit: %s\n", error->text);
    return err == PEL_OK;
}

static bool make_ca(const char *ring)
{
    struct pel_error error = {0};
    struct pel_keyring_request request = {
        .dir = path_of(ring), .label = ring, .subject = "CN=Test Authority,O=Pellucid"};
    return say(pel_keyring_make_ca(&request, &error), &error);
}

static bool make_cert(const char *ring, const char *label, const char *ca, enum pel_key_type type,
                      bool client, int64_t from_s, int64_t to_s)
{
    static const char *const dns[] = {"server.test", "*.wild.test"};
    static const char *const ip[] = {"192.0.2.1", "2001:db8::1"};
    struct pel_error error = {0};
    struct pel_clock clock = pel_clock_real();
    int64_t now_s = pel_clock_wall_s(&clock);
    char subject[64];
    snprintf(subject, sizeof subject, "CN=%s,O=Pellucid", label);
    struct pel_keyring_request request = {
        .dir = path_of(ring),
        .label = label,
        .subject = subject,
        .key_type = type,
        .ca_dir = path_of(ca),
        .client = client,
        .dns_names = dns,
        .num_dns_names = client ? 0 : 2,
        .ip_addresses = ip,
        .num_ip_addresses = client ? 0 : 2,
        .not_before_s = from_s != 0 ? now_s + from_s : 0,
        .not_after_s = to_s != 0 ? now_s + to_s : 0,
    };
    return say(pel_keyring_make_cert(&request, &error), &error);
}

static bool trust(const char *ring, const char *label, const char *ca)
{
    char path[256];
    struct pel_error error = {0};
    snprintf(path, sizeof path, "%s/%s/%s.crt", root, ca, ca);
    return say(pel_keyring_trust(path_of(ring), label, path, true, &error), &error);
}

static bool make_version_1(const char *label)
{
    char cert[256], key[256];
    snprintf(cert, sizeof cert, "%s/version1/%s.crt", root, label);
    snprintf(key, sizeof key, "%s/ca/ca.key", root);
    return make_cert("version1", label, "ca", PEL_KEY_P256, true, 0, 0) && testpeer_make_old(cert, key);
}

static bool make_all(void)
{
    snprintf(root, sizeof root, "/tmp/pel-tls-test.XXXXXX");
    if (mkdtemp(root) == NULL)
        return false;
    atexit(remove_root);
    return make_ca("ca") && make_ca("otherca") &&
           make_cert("server", "p256", "ca", PEL_KEY_P256, false, 0, 0) &&
           make_cert("server", "rsa", "ca", PEL_KEY_RSA2048, false, 0, 0) &&
           make_cert("server", "expired", "ca", PEL_KEY_P256, false, -7200, -3600) &&
           make_cert("brief_server", "short", "ca", PEL_KEY_P256, false, -60, 3600) &&
           make_cert("server", "future", "ca", PEL_KEY_P256, false, 86400, 2 * 86400) &&
           make_cert("client", "me", "ca", PEL_KEY_P256, true, 0, 0) &&
           make_cert("client", "mersa", "ca", PEL_KEY_RSA2048, true, 0, 0) &&
           make_cert("client", "old", "ca", PEL_KEY_P256, true, -7200, -3600) && make_version_1("server") &&
           make_version_1("client") && make_cert("stranger", "they", "otherca", PEL_KEY_P256, true, 0, 0) &&
           trust("stranger", "ca", "ca") &&
           make_cert("strange_server", "p256", "otherca", PEL_KEY_P256, false, 0, 0) &&
           trust("trusting", "ca", "ca") && mkdir(path_of("empty"), 0700) == 0;
}

const char *kit_ring(const char *name)
{
    if (root[0] == '\0')
        made = make_all();
    return made ? path_of(name) : NULL;
}

struct pel_tls_config kit_config(enum pel_tls_role role, const char *ring, const char *label)
{
    struct pel_clock clock = pel_clock_real();
    return (struct pel_tls_config){
        .role = role,
        .versions = PEL_TLS_V1_2 | PEL_TLS_V1_3,
        .keyring_path = kit_ring(ring),
        .label = label,
        .handshake_timeout_us = 10000000,
        .now_s = pel_clock_wall_s(&clock),
    };
}

/* PEL_TEST_LIBRARY_RECORDS=client, server or both: who keeps BoringSSL's record layer. */
static bool keeps_library_records(const char *who)
{
    const char *ends = getenv("PEL_TEST_LIBRARY_RECORDS");
    return ends != NULL && (strcmp(ends, who) == 0 || strcmp(ends, "both") == 0);
}

bool kit_takes_tickets(void)
{
    if (!keeps_library_records("client"))
        return true;
    fprintf(stderr, "left out: the client has BoringSSL's record layer, which keeps no tickets of TLS 1.3\n");
    return false;
}

enum pel_err kit_pair_init(struct kit_pair *pair, const struct pel_tls_config *client,
                           const struct pel_tls_config *server, const char *server_name)
{
    struct pel_error error = {0};
    *pair = (struct kit_pair){0};
    pel_prng_seed(&pair->prng, 42);
    enum pel_err err = pel_tls_env_new(server, &pair->server_env, &error);
    if (err == PEL_OK)
        err = pel_tls_env_new(client, &pair->client_env, &error);
    if (err == PEL_OK) {
        pair->server_env->library_records = keeps_library_records("server");
        pair->client_env->library_records = keeps_library_records("client");
    }
    if (err == PEL_OK)
        err = pel_tls_new(pair->server_env, NULL, 0, &pair->server_counters, &pair->server);
    if (err == PEL_OK)
        err = pel_tls_new(pair->client_env, server_name, 0, &pair->client_counters, &pair->client);
    if (err != PEL_OK)
        fprintf(stderr, "kit_pair_init: %s %s\n", pel_err_name(err), error.text);
    return err;
}

void kit_pair_fini(struct kit_pair *pair)
{
    pel_tls_free(pair->client);
    pel_tls_free(pair->server);
    pel_tls_env_unref(pair->client_env);
    pel_tls_env_unref(pair->server_env);
    *pair = (struct kit_pair){0};
}

size_t kit_move(struct kit_pair *pair, struct pel_tls *from, struct pel_tls *to, enum pel_err *err)
{
    size_t len = 0, used_len = 0;
    const uint8_t *bytes = pel_tls_out_peek(from, &len);
    if (len == 0)
        return 0;
    if (pair->chunks == KIT_SINGLE)
        len = 1;
    else if (pair->chunks == KIT_RANDOM)
        len = 1 + pel_prng_below(&pair->prng, len < 4000 ? len : 4000);
    enum pel_err fed = pel_tls_feed(to, bytes, len, pair->now_us, &used_len);
    if (fed != PEL_OK) {
        if (*err == PEL_OK)
            *err = fed;
        used_len = len; /* a dead session takes nothing more: the bytes are lost with it */
    }
    pel_tls_out_consume(from, used_len);
    return used_len;
}

void kit_settle(struct kit_pair *pair)
{
    size_t moved = 1;
    while (moved > 0) {
        moved = kit_move(pair, pair->client, pair->server, &pair->server_err);
        moved += kit_move(pair, pair->server, pair->client, &pair->client_err);
    }
}

bool kit_transfer(struct kit_pair *pair, struct pel_tls *from, struct pel_tls *to, size_t len, uint64_t seed)
{
    uint8_t *sent = malloc(len), *got = malloc(len + 1);
    size_t sent_len = 0, got_len = 0, n = 0;
    struct pel_prng prng;
    bool moved = true;
    pel_prng_seed(&prng, seed);
    for (size_t i = 0; i < len; i++)
        sent[i] = (uint8_t)pel_prng_next(&prng);
    enum pel_err *err = to == pair->server ? &pair->server_err : &pair->client_err;
    while (moved && got_len <= len) {
        moved = false;
        size_t part_len = 1 + pel_prng_below(&pair->prng, 40000);
        part_len = part_len < len - sent_len ? part_len : len - sent_len;
        if (part_len > 0 && pel_tls_write(from, sent + sent_len, part_len, &n) == PEL_OK) {
            sent_len += n;
            moved = true;
        }
        moved = kit_move(pair, from, to, err) > 0 || moved;
        while (pel_tls_read(to, got + got_len, 1 + pel_prng_below(&pair->prng, len + 1 - got_len), &n) ==
               PEL_OK) {
            got_len += n;
            moved = true;
            if (got_len > len)
                break;
        }
    }
    bool same = sent_len == len && got_len == len && memcmp(sent, got, len) == 0;
    free(sent);
    free(got);
    return same;
}
