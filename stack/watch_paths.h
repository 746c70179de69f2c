/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files are followed, where events of them come from, and whether they have changed.
 *
 * A path is followed through every link on it: a directory that holds a name on the way is watched for that
 * name, and the keyrings' own directories for the names of a ring's files.
 */
#ifndef PEL_STACK_WATCH_PATHS_H
#define PEL_STACK_WATCH_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A directory, and one name in it, or NULL for whatever can be a keyring's file. Rows of one directory stand
 * together. */
struct pel_watch_place {
    char *dir;
    char *name;
    bool last; /* what is followed itself stands here, not only the way to it: its writing matters too */
    bool ring; /* that is a keyring, or a part of one */
    int wd;    /* inotify's; -1: not watched */
};

/* What a file, or a keyring with all its files, looked like. */
struct pel_watch_look {
    char *path;
    bool is_ring, is_there;
    uint64_t print;    /* of identity, size and times: another one, and something has changed; 0: unknown */
    int64_t newest_ns; /* the latest change of a file, or of a link on the way to one */
    size_t order;
};

/* Looks at many. Those of pel_watch_seen_take are sorted, and each is there once. */
struct pel_watch_seen {
    struct pel_watch_look *looks;
    size_t num, cap;
    bool failed; /* out of memory: some are missing */
};

struct pel_watch_paths {
    struct pel_watch_place *places; /* sorted by directory and name, without doubles once they are watched */
    size_t num, cap;
    bool failed;                   /* out of memory */
    bool in_ring;                  /* what is added now is a keyring's */
    struct pel_watch_seen seen;    /* one for each that was added */
    struct pel_watch_look nowhere; /* where the first would be for which there was no memory */
};

/* pel_watch_paths_file adds a file; pel_watch_paths_ring a keyring: a directory (its certificates and keys,
 * and those in trust/), a file, or PEL_KEYRING_AUTH. Paths are absolute. What is missing is followed too. */
void pel_watch_paths_file(struct pel_watch_paths *paths, const char *path);
void pel_watch_paths_ring(struct pel_watch_paths *paths, const char *path);

/* pel_watch_paths_watch has inotify `fd` watch all places, and no longer those of `before`, unless they are
 * among them. `ret_num_failed` is how many directories cannot be watched, `ret_why` (may be NULL) names the
 * first. */
void pel_watch_paths_watch(struct pel_watch_paths *paths, const struct pel_watch_paths *before, int fd,
                           size_t *ret_num_failed, struct pel_error *ret_why);

/* What an event is about, the most important last. */
enum pel_watch_matter {
    PEL_WATCH_NOTHING,
    PEL_WATCH_WAY,  /* the way to something that is followed */
    PEL_WATCH_RING, /* a keyring's file */
    PEL_WATCH_FILE, /* a policy file, or another that is followed by its name */
};

/* pel_watch_paths_matter tells what an event at `name` (NULL: of the directory itself) of the directory `wd`
 * is about; what stands beside a keyring's files is nothing. */
enum pel_watch_matter pel_watch_paths_matter(const struct pel_watch_paths *paths, int wd, const char *name);

/* pel_watch_paths_free frees what it holds; harmless when zeroed. */
void pel_watch_paths_free(struct pel_watch_paths *paths);

/* pel_watch_seen_take adds the looks of `more` at what `seen` has no look at yet, and leaves `more` empty; of
 * two in `more` the first counts. */
void pel_watch_seen_take(struct pel_watch_seen *seen, struct pel_watch_seen *more);

/* pel_watch_seen_doubt makes unknown what was changed at or after `since_ns` (wall clock): what read the
 * files since then may have read them before the change. A time in the future says nothing. */
void pel_watch_seen_doubt(struct pel_watch_seen *seen, int64_t since_ns);

/* pel_watch_seen_differs tells whether one of `now` looks other than in `seen`, which pel_watch_seen_take
 * has made, or is not there. */
bool pel_watch_seen_differs(const struct pel_watch_seen *seen, const struct pel_watch_seen *now);

/* pel_watch_seen_free frees the looks; harmless when zeroed. */
void pel_watch_seen_free(struct pel_watch_seen *seen);

#endif
