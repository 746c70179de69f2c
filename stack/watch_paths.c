/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/watch_paths.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tls/keyring.h"

#define LINKS_MAX 40

#define ON_THE_WAY                                                                                           \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define AT_THE_END (ON_THE_WAY | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB)

/* ---- places ---- */

static void add_place(struct pel_watch_paths *paths, const char *dir, const char *name, bool last)
{
    if (paths->num == paths->cap) {
        size_t cap = paths->cap == 0 ? 32 : paths->cap * 2;
        struct pel_watch_place *places = reallocarray(paths->places, cap, sizeof *places);
        if (places == NULL) {
            paths->failed = true;
            return;
        }
        paths->places = places;
        paths->cap = cap;
    }
    struct pel_watch_place place = {.dir = strdup(dir),
                                    .name = name != NULL ? strdup(name) : NULL,
                                    .last = last,
                                    .ring = paths->in_ring,
                                    .wd = -1};
    if (place.dir == NULL || (name != NULL && place.name == NULL)) {
        free(place.dir);
        free(place.name);
        paths->failed = true;
        return;
    }
    paths->places[paths->num++] = place;
}

static int compare_places(const void *a, const void *b)
{
    const struct pel_watch_place *left = a, *right = b;
    int order = strcmp(left->dir, right->dir);
    if (order != 0)
        return order;
    if (left->name == NULL || right->name == NULL)
        return (left->name != NULL) - (right->name != NULL);
    order = strcmp(left->name, right->name);
    if (order == 0)
        order = (int)right->last - (int)left->last;
    return order != 0 ? order : (int)left->ring - (int)right->ring;
}

static void free_place(struct pel_watch_place *place)
{
    free(place->dir);
    free(place->name);
}

static void sort_places(struct pel_watch_paths *paths)
{
    size_t num = 0;
    if (paths->num > 1)
        qsort(paths->places, paths->num, sizeof *paths->places, compare_places);
    for (size_t i = 0; i < paths->num; i++) {
        struct pel_watch_place *place = &paths->places[i], *prev = num > 0 ? &paths->places[num - 1] : NULL;
        bool same = prev != NULL && strcmp(prev->dir, place->dir) == 0 &&
                    (prev->name == NULL) == (place->name == NULL) &&
                    (place->name == NULL || strcmp(prev->name, place->name) == 0);
        if (same)
            free_place(place);
        else
            paths->places[num++] = *place;
    }
    paths->num = num;
}

/* ---- what files look like ---- */

#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME  0x100000001b3u

/* How old a file's time may be although it was changed only now: the kernel's clock for them ticks. */
#define TICK_NS 10000000

static int64_t ns_of(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Begins the look that mix and note_time are about. */
static void begin_look(struct pel_watch_paths *paths, const char *path, bool is_ring)
{
    struct pel_watch_seen *seen = &paths->seen;
    if (seen->num == seen->cap) {
        size_t cap = seen->cap == 0 ? 8 : seen->cap * 2;
        struct pel_watch_look *looks = reallocarray(seen->looks, cap, sizeof *looks);
        if (looks == NULL) {
            paths->failed = seen->failed = true;
            return;
        }
        seen->looks = looks;
        seen->cap = cap;
    }
    struct pel_watch_look look = {.path = strdup(path), .is_ring = is_ring, .print = FNV_OFFSET};
    if (look.path == NULL)
        paths->failed = seen->failed = true;
    else
        seen->looks[seen->num++] = look;
}

/* After want of memory for a look the one before gets what is the next one's: nothing of it counts then. */
static struct pel_watch_look *look_of(struct pel_watch_paths *paths)
{
    return paths->seen.num > 0 ? &paths->seen.looks[paths->seen.num - 1] : &paths->nowhere;
}

/* FNV-1a: it tells apart what changes by itself, not what somebody forges. */
static void mix(struct pel_watch_look *look, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i++)
        look->print = (look->print ^ at[i]) * FNV_PRIME;
}

static void note_time(struct pel_watch_look *look, const struct stat *st)
{
    int64_t changed_ns = ns_of(st->st_ctim);
    if (changed_ns > look->newest_ns)
        look->newest_ns = changed_ns;
}

static void print_file(struct pel_watch_look *look, const char *path)
{
    struct stat st;
    mix(look, path, strlen(path) + 1);
    if (stat(path, &st) != 0)
        return;
    const int64_t facts[] = {(int64_t)st.st_dev, (int64_t)st.st_ino, (int64_t)st.st_size,
                             ns_of(st.st_mtim),  ns_of(st.st_ctim),  (int64_t)st.st_mode};
    look->is_there = true;
    /* A directory's times change with whatever is made in it. */
    mix(look, facts, S_ISDIR(st.st_mode) ? 2 * sizeof *facts : sizeof facts);
    if (!S_ISDIR(st.st_mode))
        note_time(look, &st);
}

static int compare_looks(const void *a, const void *b)
{
    const struct pel_watch_look *left = a, *right = b;
    int order = strcmp(left->path, right->path);
    return order != 0 ? order : (int)left->is_ring - (int)right->is_ring;
}

static int compare_in_order(const void *a, const void *b)
{
    const struct pel_watch_look *left = a, *right = b;
    int order = compare_looks(a, b);
    return order != 0 ? order : (left->order > right->order) - (left->order < right->order);
}

void pel_watch_seen_take(struct pel_watch_seen *seen, struct pel_watch_seen *more)
{
    struct pel_watch_look *looks = reallocarray(seen->looks, seen->num + more->num + 1, sizeof *looks);
    seen->failed |= more->failed || looks == NULL;
    if (looks != NULL) {
        size_t all = seen->num + more->num, num = 0;
        if (more->num > 0)
            memcpy(looks + seen->num, more->looks, more->num * sizeof *looks);
        more->num = 0;
        for (size_t i = 0; i < all; i++)
            looks[i].order = i;
        qsort(looks, all, sizeof *looks, compare_in_order);
        for (size_t i = 0; i < all; i++) {
            if (num > 0 && compare_looks(&looks[num - 1], &looks[i]) == 0)
                free(looks[i].path);
            else
                looks[num++] = looks[i];
        }
        *seen = (struct pel_watch_seen){looks, num, all + 1, seen->failed};
    }
    pel_watch_seen_free(more);
}

void pel_watch_seen_doubt(struct pel_watch_seen *seen, int64_t since_ns)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (size_t i = 0; i < seen->num; i++)
        if (seen->looks[i].newest_ns >= since_ns - TICK_NS &&
            seen->looks[i].newest_ns <= ns_of(now) + TICK_NS)
            seen->looks[i].print = 0;
}

bool pel_watch_seen_differs(const struct pel_watch_seen *seen, const struct pel_watch_seen *now)
{
    for (size_t i = 0; i < now->num; i++) {
        const struct pel_watch_look *look = &now->looks[i];
        const struct pel_watch_look *before =
            seen->num > 0 ? bsearch(look, seen->looks, seen->num, sizeof *look, compare_looks) : NULL;
        if (before == NULL || before->print != look->print)
            return true;
    }
    return false;
}

void pel_watch_seen_free(struct pel_watch_seen *seen)
{
    for (size_t i = 0; i < seen->num; i++)
        free(seen->looks[i].path);
    free(seen->looks);
    *seen = (struct pel_watch_seen){0};
}

/* ---- the way to a file ---- */

struct walk {
    char at[PATH_MAX];   /* a directory without links on its way; "" is the root */
    char rest[PATH_MAX]; /* what is still to be walked */
    int num_links;
};

/* Takes the first word of what is left. False: none is left. */
static bool next_word(struct walk *walk, char *word, size_t cap, bool *ret_is_last)
{
    const char *begin = walk->rest + strspn(walk->rest, "/");
    size_t len = strcspn(begin, "/");
    if (len == 0 || len >= cap)
        return false;
    memcpy(word, begin, len);
    word[len] = '\0';
    const char *after = begin + len + strspn(begin + len, "/");
    *ret_is_last = *after == '\0';
    memmove(walk->rest, after, strlen(after) + 1);
    return true;
}

static bool follow_link(struct walk *walk, const char *path)
{
    char target[PATH_MAX], rest[PATH_MAX];
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len <= 0 || ++walk->num_links > LINKS_MAX)
        return false;
    target[len] = '\0';
    int needed = snprintf(rest, sizeof rest, "%s/%s", target, walk->rest);
    if (needed < 0 || (size_t)needed >= sizeof rest)
        return false;
    if (target[0] == '/')
        walk->at[0] = '\0';
    memcpy(walk->rest, rest, (size_t)needed + 1);
    return true;
}

/* One step; false: the way ends here, because it is done or there is no more of it. */
static bool step(struct pel_watch_paths *paths, struct walk *walk)
{
    char word[NAME_MAX + 1], path[PATH_MAX + NAME_MAX + 2];
    struct stat st;
    bool is_last = false;
    if (!next_word(walk, word, sizeof word, &is_last))
        return false;
    if (strcmp(word, ".") == 0)
        return true;
    if (strcmp(word, "..") == 0) {
        char *slash = strrchr(walk->at, '/');
        if (slash != NULL)
            *slash = '\0';
        return true;
    }
    add_place(paths, walk->at[0] != '\0' ? walk->at : "/", word, is_last);
    snprintf(path, sizeof path, "%s/%s", walk->at, word);
    if (strlen(path) >= sizeof walk->at || lstat(path, &st) != 0)
        return false;
    if (S_ISLNK(st.st_mode)) {
        note_time(look_of(paths), &st);
        return follow_link(walk, path);
    }
    memcpy(walk->at, path, strlen(path) + 1);
    return S_ISDIR(st.st_mode);
}

/* `ret_at` (may be NULL) gets where the way has ended. */
static void walk_to(struct pel_watch_paths *paths, const char *path, char *ret_at)
{
    struct walk walk = {.at = ""};
    int len = snprintf(walk.rest, sizeof walk.rest, "%s", path);
    if (len > 0 && (size_t)len < sizeof walk.rest)
        while (step(paths, &walk)) {
        }
    if (ret_at != NULL)
        memcpy(ret_at, walk.at, strlen(walk.at) + 1);
}

static void follow_file(struct pel_watch_paths *paths, const char *path)
{
    walk_to(paths, path, NULL);
    print_file(look_of(paths), path);
}

void pel_watch_paths_file(struct pel_watch_paths *paths, const char *path)
{
    begin_look(paths, path, false);
    follow_file(paths, path);
}

/* ---- keyrings ---- */

static bool is_ring_file(const char *name)
{
    size_t len = strlen(name);
    const char *end = len > 4 ? name + len - 4 : "";
    return name[0] != '.' && (strcmp(end, ".crt") == 0 || strcmp(end, ".key") == 0 ||
                              strcmp(name, "default") == 0 || strcmp(name, "users") == 0);
}

static int is_ring_entry(const struct dirent *entry)
{
    return is_ring_file(entry->d_name);
}

static void follow_dir(struct pel_watch_paths *paths, const char *dir)
{
    char at[PATH_MAX], path[PATH_MAX + NAME_MAX + 2];
    struct dirent **entries = NULL;
    walk_to(paths, dir, at);
    add_place(paths, at[0] != '\0' ? at : "/", NULL, true);
    int num = scandir(dir, &entries, is_ring_entry, alphasort);
    for (int i = 0; i < num; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        if (entries[i]->d_type == DT_LNK || entries[i]->d_type == DT_UNKNOWN)
            walk_to(paths, path, NULL);
        print_file(look_of(paths), path);
        free(entries[i]);
    }
    free(entries);
}

static void follow_ring(struct pel_watch_paths *paths, const char *path)
{
    char more[PATH_MAX];
    struct stat st;
    begin_look(paths, path, true);
    if (strcmp(path, PEL_KEYRING_AUTH) == 0) {
        follow_file(paths, PEL_KEYRING_MACHINE_CAS);
        return;
    }
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        follow_file(paths, path);
        if (snprintf(more, sizeof more, "%s.users", path) < (int)sizeof more)
            follow_file(paths, more);
        return;
    }
    follow_dir(paths, path);
    if (snprintf(more, sizeof more, "%s/trust", path) >= (int)sizeof more)
        return;
    if (stat(more, &st) == 0 && S_ISDIR(st.st_mode))
        follow_dir(paths, more);
    else
        walk_to(paths, more, NULL); /* it may come */
}

void pel_watch_paths_ring(struct pel_watch_paths *paths, const char *path)
{
    paths->in_ring = true;
    follow_ring(paths, path);
    paths->in_ring = false;
}

/* ---- the kernel's events ---- */

static int watch_dir(int fd, const char *dir, uint32_t mask, struct pel_error *ret_why)
{
    int wd = inotify_add_watch(fd, dir, mask);
    if (wd >= 0 || errno == ENOENT || errno == ENOTDIR)
        return wd;
    const char *more = errno == ENOSPC   ? " (raise fs.inotify.max_user_watches)"
                       : errno == EACCES ? " (the daemon must be able to read the directory)"
                                         : "";
    pel_error_set(ret_why, PEL_E_IO, "%s: %m%s", dir, more);
    return -2;
}

static int compare_wds(const void *a, const void *b)
{
    const int *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* Without memory for it they stay, and their events mean nothing. */
static void drop_others(const struct pel_watch_paths *paths, const struct pel_watch_paths *before, int fd)
{
    int *kept = calloc(paths->num + 1, sizeof *kept);
    if (kept == NULL)
        return;
    for (size_t i = 0; i < paths->num; i++)
        kept[i] = paths->places[i].wd;
    qsort(kept, paths->num, sizeof *kept, compare_wds);
    for (size_t i = 0; i < before->num; i++) {
        int wd = before->places[i].wd;
        bool is_first = i == 0 || before->places[i - 1].wd != wd;
        if (wd >= 0 && is_first && bsearch(&wd, kept, paths->num, sizeof *kept, compare_wds) == NULL)
            inotify_rm_watch(fd, wd);
    }
    free(kept);
}

void pel_watch_paths_watch(struct pel_watch_paths *paths, const struct pel_watch_paths *before, int fd,
                           size_t *ret_num_failed, struct pel_error *ret_why)
{
    sort_places(paths);
    *ret_num_failed = 0;
    for (size_t i = 0, end; i < paths->num; i = end) {
        uint32_t mask = ON_THE_WAY;
        for (end = i; end < paths->num && strcmp(paths->places[i].dir, paths->places[end].dir) == 0; end++)
            mask |= paths->places[end].last ? AT_THE_END : 0;
        int wd = watch_dir(fd, paths->places[i].dir, mask, *ret_num_failed == 0 ? ret_why : NULL);
        *ret_num_failed += wd == -2;
        for (size_t k = i; k < end; k++)
            paths->places[k].wd = wd;
    }
    drop_others(paths, before, fd);
}

static enum pel_watch_matter matter_of(const struct pel_watch_place *place)
{
    if (!place->last)
        return PEL_WATCH_WAY;
    return place->ring ? PEL_WATCH_RING : PEL_WATCH_FILE;
}

enum pel_watch_matter pel_watch_paths_matter(const struct pel_watch_paths *paths, int wd, const char *name)
{
    enum pel_watch_matter most = PEL_WATCH_NOTHING;
    for (size_t i = 0; i < paths->num; i++) {
        const struct pel_watch_place *place = &paths->places[i];
        bool is_it = place->name != NULL ? name == NULL || strcmp(place->name, name) == 0
                                         : name == NULL || is_ring_file(name);
        if (place->wd == wd && is_it && matter_of(place) > most)
            most = matter_of(place);
    }
    return most;
}

void pel_watch_paths_free(struct pel_watch_paths *paths)
{
    for (size_t i = 0; i < paths->num; i++)
        free_place(&paths->places[i]);
    free(paths->places);
    pel_watch_seen_free(&paths->seen);
    *paths = (struct pel_watch_paths){0};
}
