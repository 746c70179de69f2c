/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.3 handshakes in memory: what a server spends on each, ours and BoringSSL by itself, full or resumed,
 * with the same client. The client resets nothing and sends nothing: the server's new session, its handshake,
 * its tickets, one byte of data and the end of the session are timed.
 *
 *     bench_handshakes --cert FILE --key FILE --keyring DIR --label LABEL [--resume] [--seconds S]
 *
 * Two threads do the same on two cores at once: the first, which is reported, is as little alone
 * on the machine as an engine of a pair is.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "bench/rivals/boringssl_peer.h"
#include "tls/tls.h"

#define BATCH    8 /* handshakes of one side between two of the other */
#define MAX_LEN  65536u
#define MAX_MOVE 16 /* flights until a handshake is given up */

struct options {
    const char *cert, *key, *keyring, *label;
    bool resume;
    double seconds;
};

/* One kind of server. `run` gets the client's bytes and writes its own; false: failed. */
struct side {
    const char *name;
    bool (*start)(struct side *side);
    bool (*run)(struct side *side, const uint8_t *bytes, size_t len, uint8_t *ret_bytes, size_t *ret_len);
    void (*end)(struct side *side);
    struct boringssl_ctx *client; /* its own, for its tickets */
    struct boringssl_ctx *boringssl;
    struct boringssl_peer *peer;
    struct pel_tls_env *env;
    struct pel_tls *tls;
    bool done;
    uint64_t spent_ns, num, num_resumed;
};

struct worker {
    const struct options *options;
    int core;
    struct side sides[2];
    bool failed;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- BoringSSL's server ---- */

static bool boringssl_start(struct side *side)
{
    side->peer = boringssl_peer_new(side->boringssl, false);
    return side->peer != NULL;
}

static bool boringssl_run(struct side *side, const uint8_t *bytes, size_t len, uint8_t *ret_bytes,
                          size_t *ret_len)
{
    boringssl_peer_feed(side->peer, bytes, len);
    int outcome = boringssl_peer_run(side->peer);
    *ret_len = boringssl_peer_take(side->peer, ret_bytes, MAX_LEN);
    return outcome >= 0;
}

static void boringssl_end(struct side *side)
{
    boringssl_peer_free(side->peer);
    side->peer = NULL;
}

/* ---- ours ---- */

static bool ours_start(struct side *side)
{
    side->done = false;
    return pel_tls_new(side->env, NULL, 0, NULL, &side->tls) == PEL_OK;
}

static bool ours_run(struct side *side, const uint8_t *bytes, size_t len, uint8_t *ret_bytes, size_t *ret_len)
{
    static const uint8_t byte;
    size_t used_len = 0, out_len = 0, total_len = 0;
    if (pel_tls_feed(side->tls, bytes, len, 0, &used_len) != PEL_OK || used_len != len)
        return false;
    if (!side->done && pel_tls_is_secure(side->tls)) {
        side->done = true;
        if (pel_tls_write(side->tls, &byte, 1, &used_len) != PEL_OK)
            return false;
    }
    for (const uint8_t *out = pel_tls_out_peek(side->tls, &out_len); out_len > 0;
         out = pel_tls_out_peek(side->tls, &out_len)) {
        if (total_len + out_len > MAX_LEN)
            return false;
        for (size_t i = 0; i < out_len; i++)
            ret_bytes[total_len + i] = out[i];
        total_len += out_len;
        pel_tls_out_consume(side->tls, out_len);
    }
    *ret_len = total_len;
    return true;
}

static void ours_end(struct side *side)
{
    pel_tls_free(side->tls);
    side->tls = NULL;
}

/* ---- a handshake ---- */

/* Moves flights until the client is done. Returns the server's time, 0 for a failure. */
static uint64_t shake_hands(struct side *side, struct boringssl_peer *client)
{
    static __thread uint8_t to_server[MAX_LEN], to_client[MAX_LEN];
    size_t to_client_len = 0;
    int outcome = boringssl_peer_run(client);
    uint64_t begin_ns = now_ns(), spent_ns;
    bool is_fine = side->start(side);
    spent_ns = now_ns() - begin_ns;
    for (int i = 0; is_fine && outcome == 0 && i < MAX_MOVE; i++) {
        size_t to_server_len = boringssl_peer_take(client, to_server, sizeof to_server);
        begin_ns = now_ns();
        is_fine = side->run(side, to_server, to_server_len, to_client, &to_client_len);
        spent_ns += now_ns() - begin_ns;
        boringssl_peer_feed(client, to_client, to_client_len);
        outcome = boringssl_peer_run(client);
    }
    begin_ns = now_ns();
    side->end(side);
    spent_ns += now_ns() - begin_ns;
    return is_fine && outcome == 1 ? spent_ns : 0;
}

static bool shake_batch(struct side *side, bool resume)
{
    for (int i = 0; i < BATCH; i++) {
        struct boringssl_peer *client = boringssl_peer_new(side->client, resume);
        uint64_t spent_ns = client != NULL ? shake_hands(side, client) : 0;
        bool resumed = spent_ns > 0 && boringssl_peer_resumed(client);
        boringssl_peer_free(client);
        if (spent_ns == 0)
            return false;
        side->spent_ns += spent_ns;
        side->num++;
        side->num_resumed += resumed;
    }
    return true;
}

/* ---- both sides in turn, on one core ---- */

static bool make_sides(struct worker *worker)
{
    const struct options *options = worker->options;
    struct side *ours = &worker->sides[0], *theirs = &worker->sides[1];
    struct pel_clock clock = pel_clock_real();
    struct pel_error error = {0};
    const struct pel_tls_config config = {.role = PEL_TLS_SERVER,
                                          .versions = PEL_TLS_V1_3,
                                          .keyring_path = options->keyring,
                                          .label = options->label,
                                          .now_s = pel_clock_wall_s(&clock)};
    *ours = (struct side){.name = "pellucid", .start = ours_start, .run = ours_run, .end = ours_end};
    *theirs = (struct side){
        .name = "boringssl", .start = boringssl_start, .run = boringssl_run, .end = boringssl_end};
    ours->client = boringssl_ctx_new(NULL, NULL);
    theirs->client = boringssl_ctx_new(NULL, NULL);
    theirs->boringssl = boringssl_ctx_new(options->cert, options->key);
    if (ours->client == NULL || theirs->client == NULL || theirs->boringssl == NULL)
        return false;
    if (pel_tls_env_new(&config, &ours->env, &error) == PEL_OK)
        return true;
    fprintf(stderr, "bench_handshakes: %s\n", error.text);
    return false;
}

static void *run(void *arg)
{
    struct worker *worker = arg;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((unsigned)worker->core, &cores);
    pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
    worker->failed = !make_sides(worker);
    /* The first batches warm up, and bring the tickets. */
    for (int i = 0; i < 2 && !worker->failed; i++)
        worker->failed = !shake_batch(&worker->sides[i], false);
    for (int i = 0; i < 2; i++)
        worker->sides[i].spent_ns = worker->sides[i].num = worker->sides[i].num_resumed = 0;
    uint64_t begin_ns = now_ns();
    while (!worker->failed && (double)(now_ns() - begin_ns) < worker->options->seconds * 1e9)
        for (int i = 0; i < 2 && !worker->failed; i++)
            worker->failed = !shake_batch(&worker->sides[i], worker->options->resume);
    for (int i = 0; i < 2; i++) {
        struct side *side = &worker->sides[i];
        worker->failed |= side->num_resumed != (worker->options->resume ? side->num : 0);
        boringssl_ctx_free(side->client);
        boringssl_ctx_free(side->boringssl);
        pel_tls_env_unref(side->env);
    }
    return NULL;
}

static bool read_options(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"keyring", required_argument, NULL, 'r'},
        {"label", required_argument, NULL, 'l'},
        {"resume", no_argument, NULL, 'R'},
        {"seconds", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c': options->cert = optarg; break;
        case 'k': options->key = optarg; break;
        case 'r': options->keyring = optarg; break;
        case 'l': options->label = optarg; break;
        case 'R': options->resume = true; break;
        case 's': options->seconds = atof(optarg); break;
        default: return false;
        }
    }
    return options->cert != NULL && options->key != NULL && options->keyring != NULL;
}

int main(int argc, char **argv)
{
    struct options options = {.seconds = 1};
    struct worker workers[2];
    pthread_t threads[2];
    if (!read_options(argc, argv, &options)) {
        fprintf(stderr,
                "usage: bench_handshakes --cert FILE --key FILE --keyring DIR [--label LABEL] [--resume] "
                "[--seconds S]\n");
        return 2;
    }
    for (int i = 0; i < 2; i++) {
        workers[i] = (struct worker){.options = &options, .core = i};
        if (pthread_create(&threads[i], NULL, run, &workers[i]) != 0)
            return 1;
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    if (workers[0].failed || workers[1].failed) {
        fprintf(stderr, "bench_handshakes: a handshake failed, or was not resumed when it should be\n");
        return 1;
    }
    const struct side *sides = workers[0].sides;
    printf("{");
    for (int i = 0; i < 2; i++)
        printf("%s\"%s\": {\"handshakes\": %llu, \"us_per_handshake\": %f}", i == 0 ? "" : ", ",
               sides[i].name, (unsigned long long)sides[i].num,
               (double)sides[i].spent_ns / (double)sides[i].num / 1e3);
    printf("}\n");
    return 0;
}
