/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that BoringSSL's protocol test runner drives: a session of ours (tls/tls.h) that connects to
 * the runner and sends back what comes, every byte turned over. tests/runner/README.md tells what is and is
 * not tested.
 *
 * Exit: 0 all went as the flags say; 1 it did not, with the reason on stderr; 89 a flag that is not known,
 * which is also appended to the file that PEL_RUNNER_REFUSED names.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/runner/link.h"
#include "tests/runner/options.h"
#include "tests/runner/ring.h"
#include "tests/runner/verdict.h"
#include "tls/boringssl/testpeer.h"
#include "tls/key_cache.h"

enum { UNIMPLEMENTED = 89, MAX_READ = 32768 };
enum { ALERT_DECOMPRESSION_FAILURE = 30 };
/* When the certificates of the runner were in force: 24 April 2014, and later ones not yet. */
static const int64_t SOME_TIME_S = 1398300000;

static bool expect(bool fine, const char *what)
{
    if (!fine)
        fprintf(stderr, "not as expected: %s\n", what);
    return fine;
}

static uint32_t version_of(const char *name)
{
    return name[0] == '\0' ? 0 : 0x0301u + (uint32_t)(name[strlen(name) - 1] - '0');
}

static bool check_agreed(const struct link *link, const struct shim_options *options, bool resume)
{
    struct pel_tls_info info;
    pel_tls_info(link->tls, &info);
    return expect(options->expect_version == 0 || version_of(info.version) == options->expect_version,
                  "version") &&
           expect(options->expect_cipher == 0 || info.cipher == options->expect_cipher, "cipher") &&
           expect(options->expect_curve_id == 0 || info.group == options->expect_curve_id, "group") &&
           expect(options->expect_server_name == NULL ||
                      strcmp(info.server_name, options->expect_server_name) == 0,
                  "server name") &&
           expect(info.resumed == (resume && !options->expect_session_miss), "resumption");
}

static bool echo(struct link *link, const struct shim_options *options)
{
    static uint8_t bytes[MAX_READ];
    size_t cap = options->read_size > 0 && options->read_size < MAX_READ ? options->read_size : 512, len = 0;
    bool clean = false;
    while (link_read(link, bytes, cap, &len, &clean)) {
        link->held = false;
        if (len == 0)
            return expect(clean || !options->check_close_notify, "no close_notify");
        if (options->key_update && !testpeer_key_update(link->tls, false))
            return expect(false, "KeyUpdate");
        for (size_t i = 0; i < len; i++)
            bytes[i] ^= 0xff;
        if (!link_write(link, bytes, len))
            return false;
    }
    return false;
}

static bool write_sizes(struct link *link)
{
    static const size_t sizes[] = {0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769};
    static uint8_t bytes[32769];
    memset(bytes, 0x42, sizeof bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (!link_write(link, bytes, sizes[i]))
            return false;
    return true;
}

static bool send_export(struct link *link, struct testpeer_export *export)
{
    return export->len == 0 || (expect(testpeer_export(link->tls, export), "keying material") &&
                                link_write(link, export->bytes, export->len));
}

/* What is to be done with a secure session; then what the end must be. */
static bool use(struct link *link, const struct shim_options *options, struct testpeer_export *export)
{
    static const uint8_t hello[] = {'h', 'e', 'l', 'l', 'o'};
    uint8_t rest[512];
    size_t len = 0;
    bool clean = false;
    if (!send_export(link, export))
        return false;
    if (options->send_alert)
        return testpeer_alert(link->tls, ALERT_DECOMPRESSION_FAILURE) && link_flush(link);
    if (options->write_different_record_sizes) {
        if (!write_sizes(link))
            return false;
    } else {
        if (options->read_with_unfinished_write) {
            link->held = true;
            if (!link_write(link, hello, sizeof hello) || !link_send_one(link))
                return false;
        } else if (options->shim_writes_first && !link_write(link, hello, sizeof hello)) {
            return false;
        }
        if (!options->shim_shuts_down && !echo(link, options))
            return false;
    }
    if (!options->check_close_notify)
        return true; /* the runner wants the stream to end, and no close_notify */
    if (pel_tls_close(link->tls) != PEL_OK || !link_flush(link))
        return expect(false, "pel_tls_close");
    while (options->shim_shuts_down && link_read(link, rest, sizeof rest, &len, &clean))
        if (len == 0)
            return expect(clean, "no close_notify");
    return !options->shim_shuts_down;
}

static bool connection(struct pel_tls_env *env, const struct shim_options *options, bool resume)
{
    static struct link link;
    static uint8_t material[MAX_READ];
    struct pel_tls_info info;
    struct testpeer_export export = {
        .label = options->export_label,
        .context = options->export_context,
        .use_context = options->use_export_context,
        .bytes = material,
        .len = options->export_keying_material,
    };
    struct pel_key_cache *cache = NULL;
    link = (struct link){.single = options->async, .straight = getenv("PEL_RUNNER_STRAIGHT") != NULL};
    /* The runner's certificates have expired and are nobody's: the test says what to think of them. */
    testpeer_judge_certs(env, !options->verify_fail);
    testpeer_export_begin(export.len > 0 ? &export : NULL);
    enum pel_err err = pel_tls_new(env, options->host_name, 0, NULL, &link.tls);
    if (err != PEL_OK) {
        verdict_print(err, "no session");
        return false;
    }
    if (link.straight && (cache = pel_key_cache_new(1, NULL)) != NULL) /* each way drives out the other */
        pel_tls_set_key_cache(link.tls, cache);
    bool fine = link_open(&link, options->port);
    if (fine) {
        fine = link_shake(&link) && check_agreed(&link, options, resume) && use(&link, options, &export);
        pel_tls_info(link.tls, &info);
        if (link.err != PEL_OK)
            verdict_print(link.err, info.failure);
        link_close(&link);
    }
    testpeer_export_begin(NULL);
    pel_tls_free(link.tls);
    pel_key_cache_free(cache);
    return fine;
}

static int refuse(const char *what)
{
    const char *path = getenv("PEL_RUNNER_REFUSED");
    FILE *file = path != NULL ? fopen(path, "a") : NULL;
    if (file != NULL) {
        fprintf(file, "%s\n", what);
        fclose(file);
    }
    return UNIMPLEMENTED;
}

static int run(const struct shim_options *initial, const struct shim_options *later)
{
    const char *refused = NULL;
    if (initial->export_keying_material > MAX_READ || later->export_keying_material > MAX_READ)
        return refuse("-export-keying-material");
    if (!initial->server && initial->verify_fail && !initial->verify_peer)
        return refuse("a client that verifies nothing");
    if (initial->resume_count > 0 && !shim_options_same_env(initial, later))
        return refuse("another configuration for the resumption");
    struct pel_tls_env *env = shim_env_new(initial, &refused);
    if (refused != NULL)
        return refuse(refused);
    if (env != NULL && !initial->server) /* no session lives longer than its certificate */
        testpeer_set_time(env, SOME_TIME_S);
    bool fine = env != NULL && (initial->ticket_key == NULL ||
                                expect(testpeer_set_ticket_key(env, initial->ticket_key), "a ticket key"));
    fine = fine && connection(env, initial, false);
    for (uint32_t i = 0; i < initial->resume_count && fine; i++)
        fine = connection(env, later, true);
    pel_tls_env_unref(env);
    testpeer_thread_fini();
    return fine ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct shim_options initial, later;
    const char *refused = NULL;
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "-is-handshaker-supported") == 0) {
        puts("No");
        return 0;
    }
    int status =
        shim_options_parse(argc, argv, &initial, &later, &refused) ? run(&initial, &later) : refuse(refused);
    /* What a sanitizer says from here on is no part of the verdict. */
    fprintf(stderr, "--- DONE ---\n");
    return status;
}
