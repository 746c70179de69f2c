/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile bytes to a TLS session. The first byte of an input chooses role, versions and way; the rest is
 *
 *     raw     fed to a fresh session as it is
 *     bent    a list of 3-byte changes (distance, new value, kind) to what an honest peer sends
 *
 * Whatever comes, a session ends with a named error or goes on, never delivers a byte that the peer did
 * not write, and keeps its bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "tls/testkit.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { FLAG_CLIENT = 1, FLAG_TLS12 = 2, FLAG_BENT = 4, FLAG_AUTH = 8, FLAG_RSA = 16, FLAG_SINGLE = 32 };

/* Environments are made once for each kind; they are immutable. */
static struct pel_tls_env *env_of(uint8_t flags, bool client)
{
    static struct pel_tls_env *envs[64];
    unsigned slot = (flags & (FLAG_TLS12 | FLAG_AUTH | FLAG_RSA)) | (client ? 1u : 0u);
    if (envs[slot] != NULL)
        return envs[slot];
    struct pel_tls_config config =
        kit_config(client ? PEL_TLS_CLIENT : PEL_TLS_SERVER, client ? "client" : "server",
                   client               ? NULL
                   : (flags & FLAG_RSA) ? "rsa"
                                        : "p256");
    config.versions = (flags & FLAG_TLS12) ? PEL_TLS_V1_2 : PEL_TLS_V1_3;
    config.client_auth = (flags & FLAG_AUTH) ? PEL_TLS_AUTH_REQUIRED : PEL_TLS_AUTH_NONE;
    if (pel_tls_env_new(&config, &envs[slot], NULL) != PEL_OK)
        abort();
    return envs[slot];
}

static void check_out(const struct pel_tls *tls)
{
    size_t len = 0;
    (void)pel_tls_out_peek(tls, &len);
    if (len > 128 * 1024)
        abort();
}

/* Reads everything; the only clear text that may come is the letter 'p'. */
static void drain(struct pel_tls *tls)
{
    uint8_t plain[4096];
    size_t len = 0;
    while (pel_tls_read(tls, plain, sizeof plain, &len) == PEL_OK)
        for (size_t i = 0; i < len; i++)
            if (plain[i] != 'p')
                abort();
}

static void feed(struct pel_tls *tls, const uint8_t *bytes, size_t len, size_t step)
{
    for (size_t at = 0; at < len;) {
        size_t part_len = len - at < step ? len - at : step, used_len = 0;
        if (pel_tls_feed(tls, bytes + at, part_len, 0, &used_len) != PEL_OK)
            break;
        check_out(tls);
        drain(tls);
        at += used_len;
    }
}

static void run_raw(uint8_t flags, const uint8_t *bytes, size_t len)
{
    struct pel_tls *tls = NULL;
    bool client = flags & FLAG_CLIENT;
    if (pel_tls_new(env_of(flags, client), client ? "server.test" : NULL, 0, NULL, &tls) != PEL_OK)
        abort();
    feed(tls, bytes, len, (flags & FLAG_SINGLE) ? 1 : len);
    (void)pel_tls_feed_fin(tls);
    drain(tls);
    pel_tls_free(tls);
}

struct bender {
    const uint8_t *changes;
    size_t left_len;
    size_t until; /* bytes before the next change */
};

static void next_change(struct bender *bender)
{
    bender->until =
        bender->left_len >= 3 ? bender->changes[0] * (bender->changes[2] & 0x80 ? 16u : 1u) : SIZE_MAX;
}

/* Changes, drops or doubles bytes on their way; returns how many are in `bent` (room for twice `len`). */
static size_t bend(struct bender *bender, const uint8_t *bytes, size_t len, uint8_t *bent)
{
    size_t bent_len = 0;
    for (size_t i = 0; i < len; i++) {
        if (bender->until > 0) {
            bender->until -= bender->until != SIZE_MAX;
            bent[bent_len++] = bytes[i];
            continue;
        }
        uint8_t kind = bender->changes[2] & 3;
        if (kind != 1)
            bent[bent_len++] = kind == 0 ? bender->changes[1] : (uint8_t)(bytes[i] ^ bender->changes[1]);
        if (kind == 3)
            bent[bent_len++] = bytes[i];
        bender->changes += 3;
        bender->left_len -= 3;
        next_change(bender);
    }
    return bent_len;
}

static size_t move(struct pel_tls *from, struct pel_tls *to, struct bender *bender, size_t step)
{
    size_t len = 0;
    const uint8_t *bytes = pel_tls_out_peek(from, &len);
    if (len == 0)
        return 0;
    uint8_t *bent = malloc(2 * len);
    size_t bent_len = len;
    if (bender != NULL)
        bent_len = bend(bender, bytes, len, bent);
    else
        memcpy(bent, bytes, len);
    pel_tls_out_consume(from, len);
    feed(to, bent, bent_len, step > 0 ? step : bent_len);
    free(bent);
    return len;
}

/* The target gets bent bytes; the honest peer gets true ones. */
static void run_bent(uint8_t flags, const uint8_t *bytes, size_t len)
{
    struct pel_tls *client = NULL, *server = NULL;
    struct bender bender = {.changes = bytes, .left_len = len};
    static const uint8_t letters[300] = {[0 ... 299] = 'p'};
    size_t n = 0, step = (flags & FLAG_SINGLE) ? 1 : 0;
    next_change(&bender);
    if (pel_tls_new(env_of(flags, false), NULL, 0, NULL, &server) != PEL_OK ||
        pel_tls_new(env_of(flags, true), "server.test", 0, NULL, &client) != PEL_OK)
        abort();
    struct pel_tls *target = (flags & FLAG_CLIENT) ? client : server;
    struct pel_tls *peer = (flags & FLAG_CLIENT) ? server : client;
    for (int round = 0; round < 12; round++) {
        size_t moved = move(peer, target, &bender, step) + move(target, peer, NULL, step);
        (void)pel_tls_write(peer, letters, sizeof letters, &n);
        if (round == 10)
            (void)pel_tls_close(peer);
        if (moved == 0)
            break;
    }
    pel_tls_free(client);
    pel_tls_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 1)
        return 0;
    if (bytes[0] & FLAG_BENT)
        run_bent(bytes[0], bytes + 1, len - 1);
    else
        run_raw(bytes[0], bytes + 1, len - 1);
    return 0;
}
