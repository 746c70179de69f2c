/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files are followed, where events of them come from, and whether they have changed.
 *
 * A path is followed through every link on it: a directory that holds a name on the way is watched for that
 * name, and the keyrings' own directories for all.
 */
#ifndef PEL_STACK_WATCH_PATHS_H
#define PEL_STACK_WATCH_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A directory, and one name in it, or NULL for all. Rows of one directory stand together. */
struct pel_watch_place {
    char *dir;
    char *name;
    bool last; /* what is followed itself stands here, not only the way to it: its writing matters too */
    int wd;    /* inotify's; -1: not watched */
};

struct pel_watch_paths {
    struct pel_watch_place *places; /* sorted by directory and name, without doubles once they are watched */
    size_t num, cap;
    uint64_t print;    /* of the files' identity, size and times: another one, and something has changed */
    int64_t newest_ns; /* the latest change of a file, or of a link on the way to one */
    bool failed;       /* out of memory */
};

/* pel_watch_paths_file adds a file; pel_watch_paths_ring a keyring: a directory (its certificates and keys,
 * and those in trust/), or a file. Paths are absolute. What is missing is followed too. */
void pel_watch_paths_file(struct pel_watch_paths *paths, const char *path);
void pel_watch_paths_ring(struct pel_watch_paths *paths, const char *path);

/* pel_watch_paths_watch has inotify `fd` watch all places, and no longer those of `before`, unless they are
 * among them. `ret_num_failed` is how many directories cannot be watched, `ret_why` (may be NULL) names the
 * first. */
void pel_watch_paths_watch(struct pel_watch_paths *paths, const struct pel_watch_paths *before, int fd,
                           size_t *ret_num_failed, struct pel_error *ret_why);

/* pel_watch_paths_has tells whether an event at `name` (NULL: of the directory itself) of the directory `wd`
 * matters; `ret_last` whether it is one of what is followed itself. */
bool pel_watch_paths_has(const struct pel_watch_paths *paths, int wd, const char *name, bool *ret_last);

/* pel_watch_paths_free frees what it holds; harmless when zeroed. */
void pel_watch_paths_free(struct pel_watch_paths *paths);

#endif
