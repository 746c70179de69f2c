/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scenario/rings.h"

#include <ftw.h>
#include <pellucid/keyring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

/* 2026-01-01 and 2036-01-01: scenarios live in between, in virtual time. */
#define BEGIN_S 1767225600
#define END_S   2082758400

static char dir[64];

static void must(enum pel_err err, const struct pel_error *error)
{
    if (err == PEL_OK)
        return;
    fprintf(stderr, "the rings for scenarios cannot be made: %s\n", error->text);
    abort();
}

static const char *ring_path(const char *ring, char *path, size_t cap)
{
    snprintf(path, cap, "%s/tester/%s", dir, ring);
    return path;
}

static void make_ca(const char *ring)
{
    char path[128];
    struct pel_error error = {0};
    struct pel_keyring_request request = {.dir = ring_path(ring, path, sizeof path),
                                          .label = "ca",
                                          .subject = "CN=Test CA,O=Pellucid",
                                          .not_before_s = BEGIN_S,
                                          .not_after_s = END_S};
    must(pel_keyring_make_ca(&request, &error), &error);
}

static void make_cert(const char *ring, const char *ca, bool client, int64_t end_s)
{
    static const char *const names[] = {"server.test"};
    char path[128], ca_path[128], subject[64];
    struct pel_error error = {0};
    snprintf(subject, sizeof subject, "CN=%s,O=Pellucid", ring);
    struct pel_keyring_request request = {
        .dir = ring_path(ring, path, sizeof path),
        .label = "mine",
        .subject = subject,
        .not_before_s = BEGIN_S,
        .not_after_s = end_s,
        .dns_names = names,
        .num_dns_names = client ? 0 : 1,
        .ca_dir = ring_path(ca, ca_path, sizeof ca_path),
        .client = client,
    };
    must(pel_keyring_make_cert(&request, &error), &error);
}

static int remove_one(const char *path, const struct stat *stat_of, int kind, struct FTW *at)
{
    (void)stat_of;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_all(void)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void spoil(void)
{
    char path[192], other[192];
    snprintf(path, sizeof path, "%s/tester/badmode/mine.key", dir);
    if (chmod(path, 0644) != 0)
        abort();
    snprintf(path, sizeof path, "%s/tester/mismatch/mine.key", dir);
    snprintf(other, sizeof other, "%s/tester/client/mine.key", dir);
    if (unlink(path) != 0 || link(other, path) != 0)
        abort();
    snprintf(path, sizeof path, "%s/tester/empty", dir);
    if (mkdir(path, 0700) != 0)
        abort();
}

const char *rings_dir(void)
{
    if (dir[0] != '\0')
        return dir;
    snprintf(dir, sizeof dir, "/tmp/pellucid-rings-XXXXXX");
    if (mkdtemp(dir) == NULL)
        abort();
    atexit(remove_all);
    make_ca("authority");
    make_ca("other-authority");
    make_cert("server", "authority", false, END_S);
    make_cert("client", "authority", true, END_S);
    make_cert("stranger", "other-authority", true, END_S);
    make_cert("expired", "authority", false, BEGIN_S + 86400);
    make_cert("badmode", "authority", false, END_S);
    make_cert("mismatch", "authority", false, END_S);
    spoil();
    return dir;
}
