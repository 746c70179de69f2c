/* SPDX-License-Identifier: Apache-2.0 */
/* Which directories are watched, what an event of them means, and whether files have changed. */
#include "stack/watch_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/harness.h"

/* A directory of its own, and what is followed in it. */
struct place {
    char dir[64];
    int fd; /* inotify's */
    struct pel_watch_paths paths;
};

static char path_buffer[PATH_MAX];

static const char *in(const struct place *place, const char *name)
{
    snprintf(path_buffer, sizeof path_buffer, "%s/%s", place->dir, name);
    return path_buffer;
}

static bool open_place(struct place *place)
{
    memset(place, 0, sizeof *place);
    strcpy(place->dir, "/tmp/pel-watch-XXXXXX");
    place->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return place->fd >= 0 && mkdtemp(place->dir) != NULL;
}

static void close_place(struct place *place)
{
    char command[128];
    pel_watch_paths_free(&place->paths);
    close(place->fd);
    snprintf(command, sizeof command, "rm -r %s", place->dir);
    PEL_EXPECT_EQ(system(command), 0);
}

static void write_file(const struct place *place, const char *name, const char *text)
{
    int fd = open(in(place, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    PEL_REQUIRE(fd >= 0);
    PEL_EXPECT_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void link_to(const struct place *place, const char *name, const char *target)
{
    char beside[PATH_MAX];
    snprintf(beside, sizeof beside, "%s/.link", place->dir);
    PEL_EXPECT_EQ(symlink(target, beside), 0);
    PEL_EXPECT_EQ(rename(beside, in(place, name)), 0);
}

/* Follows anew, as the thread does. */
static void follow(struct place *place, const char *file, const char *ring)
{
    struct pel_watch_paths before = place->paths;
    size_t num_failed = 0;
    struct pel_error why = {0};
    memset(&place->paths, 0, sizeof place->paths);
    if (file != NULL)
        pel_watch_paths_file(&place->paths, in(place, file));
    if (ring != NULL)
        pel_watch_paths_ring(&place->paths, in(place, ring));
    pel_watch_paths_watch(&place->paths, &before, place->fd, &num_failed, &why);
    PEL_EXPECT_EQ(num_failed, 0);
    PEL_EXPECT(!place->paths.failed);
    pel_watch_paths_free(&before);
}

static uint64_t print_of(const struct place *place)
{
    PEL_EXPECT_EQ(place->paths.seen.num, 1);
    return place->paths.seen.num > 0 ? place->paths.seen.looks[0].print : 0;
}

/* Takes the events that have come; returns whether one of them matters. */
static bool hears(struct place *place)
{
    _Alignas(struct inotify_event) char bytes[8192];
    bool matters = false;
    ssize_t len;
    while ((len = read(place->fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *event = (const struct inotify_event *)(bytes + at);
            const char *name = event->len > 0 ? event->name : NULL;
            matters |= pel_watch_paths_matter(&place->paths, event->wd, name) != PEL_WATCH_NOTHING;
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    return matters;
}

PEL_TEST(watch_paths, a_file)
{
    struct place place;
    PEL_REQUIRE(open_place(&place));
    follow(&place, "policy", NULL);
    uint64_t missing = print_of(&place);
    PEL_EXPECT(!hears(&place));
    write_file(&place, "other", "x");
    PEL_EXPECT(!hears(&place));
    write_file(&place, "policy", "one");
    PEL_EXPECT(hears(&place));
    follow(&place, "policy", NULL);
    uint64_t one = print_of(&place);
    PEL_EXPECT(one != missing && place.paths.seen.looks[0].newest_ns > 0);
    follow(&place, "policy", NULL);
    PEL_EXPECT_EQ(print_of(&place), one);
    /* Renamed over it, with the same size. */
    write_file(&place, "new", "two");
    char new_path[PATH_MAX];
    strcpy(new_path, in(&place, "new"));
    (void)hears(&place);
    PEL_EXPECT_EQ(rename(new_path, in(&place, "policy")), 0);
    PEL_EXPECT(hears(&place));
    follow(&place, "policy", NULL);
    PEL_EXPECT(print_of(&place) != one);
    PEL_EXPECT_EQ(unlink(in(&place, "policy")), 0);
    PEL_EXPECT(hears(&place));
    follow(&place, "policy", NULL);
    PEL_EXPECT_EQ(print_of(&place), missing);
    close_place(&place);
}

/* A link on the way is switched, and what it leads to is changed. */
PEL_TEST(watch_paths, links_on_the_way)
{
    struct place place;
    PEL_REQUIRE(open_place(&place));
    PEL_REQUIRE(mkdir(in(&place, "v1"), 0700) == 0 && mkdir(in(&place, "v2"), 0700) == 0);
    write_file(&place, "v1/policy", "same");
    write_file(&place, "v2/policy", "same");
    link_to(&place, "data", "v1");
    link_to(&place, "policy", "./data/../data//policy");
    follow(&place, "policy", NULL);
    uint64_t first = print_of(&place);
    PEL_EXPECT(!hears(&place));
    write_file(&place, "v2/policy", "other");
    PEL_EXPECT(!hears(&place));
    link_to(&place, "data", "v2");
    PEL_EXPECT(hears(&place));
    follow(&place, "policy", NULL);
    PEL_EXPECT(print_of(&place) != first);
    /* Now that one is watched, and the first no more. */
    (void)hears(&place);
    write_file(&place, "v1/policy", "again");
    PEL_EXPECT(!hears(&place));
    write_file(&place, "v2/policy", "again");
    PEL_EXPECT(hears(&place));
    /* Links that lead in a circle, or nowhere. */
    link_to(&place, "data", "data");
    follow(&place, "policy", NULL);
    link_to(&place, "data", "nowhere");
    PEL_EXPECT(hears(&place));
    follow(&place, "policy", NULL);
    (void)hears(&place);
    PEL_EXPECT_EQ(mkdir(in(&place, "nowhere"), 0700), 0);
    PEL_EXPECT(hears(&place));
    char absolute[PATH_MAX];
    strcpy(absolute, in(&place, "v1"));
    link_to(&place, "data", absolute);
    follow(&place, "policy", NULL);
    (void)hears(&place);
    write_file(&place, "v1/policy", "x");
    PEL_EXPECT(hears(&place));
    close_place(&place);
}

PEL_TEST(watch_paths, a_keyring)
{
    struct place place;
    PEL_REQUIRE(open_place(&place));
    follow(&place, NULL, "ring"); /* it is not there yet */
    (void)hears(&place);
    PEL_REQUIRE(mkdir(in(&place, "ring"), 0700) == 0);
    PEL_EXPECT(hears(&place));
    follow(&place, NULL, "ring");
    uint64_t empty = print_of(&place);
    write_file(&place, "ring/web.crt", "x");
    PEL_EXPECT(hears(&place));
    follow(&place, NULL, "ring");
    uint64_t with_cert = print_of(&place);
    PEL_EXPECT(with_cert != empty);
    /* What is none of a ring's does not matter, and is no change. */
    (void)hears(&place);
    write_file(&place, "ring/notes", "x");
    write_file(&place, "ring/.web.crt.swp", "x");
    PEL_EXPECT(!hears(&place));
    follow(&place, NULL, "ring");
    PEL_EXPECT_EQ(print_of(&place), with_cert);
    PEL_REQUIRE(mkdir(in(&place, "ring/trust"), 0700) == 0);
    PEL_EXPECT(hears(&place));
    follow(&place, NULL, "ring");
    (void)hears(&place);
    write_file(&place, "ring/trust/ca.crt", "x");
    PEL_EXPECT(hears(&place));
    follow(&place, NULL, "ring");
    PEL_EXPECT(print_of(&place) != with_cert);
    uint64_t whole = print_of(&place);
    /* A key's mode matters. */
    write_file(&place, "ring/web.key", "x");
    follow(&place, NULL, "ring");
    uint64_t with_key = print_of(&place);
    PEL_EXPECT(with_key != whole);
    (void)hears(&place);
    PEL_EXPECT_EQ(chmod(in(&place, "ring/web.key"), 0644), 0);
    PEL_EXPECT(hears(&place));
    follow(&place, NULL, "ring");
    PEL_EXPECT(print_of(&place) != with_key);
    /* A keyring that is a file, and the machine's authorities. */
    follow(&place, NULL, "ring/web.crt");
    pel_watch_paths_ring(&place.paths, "*AUTH*");
    PEL_EXPECT(!place.paths.failed);
    close_place(&place);
}

PEL_TEST(watch_paths, what_cannot_be_watched_is_counted_and_named)
{
    struct place place;
    const struct pel_watch_paths none = {0};
    struct pel_error why = {0};
    size_t num_failed = 0;
    PEL_REQUIRE(open_place(&place));
    pel_watch_paths_file(&place.paths, in(&place, "policy"));
    pel_watch_paths_watch(&place.paths, &none, -1, &num_failed, &why);
    PEL_EXPECT_EQ(num_failed, 3); /* the root, /tmp, and the directory */
    PEL_EXPECT_STR(why.text, "/: Bad file descriptor");
    /* A path that is too long is followed as far as it is a path. */
    char *path = malloc(PATH_MAX + 100);
    memset(path, 'x', PATH_MAX + 99);
    path[0] = '/';
    path[PATH_MAX + 99] = '\0';
    pel_watch_paths_file(&place.paths, path);
    for (int i = 200; i < PATH_MAX; i += 200)
        path[i] = '/';
    path[PATH_MAX - 1] = '\0';
    pel_watch_paths_file(&place.paths, path);
    PEL_EXPECT(!place.paths.failed);
    free(path);
    close_place(&place);
}

static void look_at(struct pel_watch_seen *seen, const struct place *place, const char *file)
{
    struct pel_watch_paths paths = {0};
    pel_watch_paths_file(&paths, in(place, file));
    pel_watch_paths_ring(&paths, in(place, file));
    pel_watch_seen_take(seen, &paths.seen);
    pel_watch_paths_free(&paths);
}

PEL_TEST(watch_paths, looks_are_compared)
{
    struct place place;
    struct pel_watch_seen seen = {0}, now = {0};
    PEL_REQUIRE(open_place(&place));
    PEL_EXPECT(!pel_watch_seen_differs(&seen, &now));
    look_at(&seen, &place, "b");
    look_at(&seen, &place, "a");
    PEL_EXPECT(seen.num == 4 && !seen.failed); /* as a file and as a keyring each */
    look_at(&now, &place, "a");
    PEL_EXPECT(!pel_watch_seen_differs(&seen, &now));
    PEL_EXPECT(pel_watch_seen_differs(&now, &seen)); /* it has none at b */
    write_file(&place, "a", "x");
    pel_watch_seen_free(&now);
    look_at(&now, &place, "a");
    PEL_EXPECT(pel_watch_seen_differs(&seen, &now) && now.looks[0].is_there);
    /* The first look stays. */
    look_at(&seen, &place, "a");
    PEL_EXPECT_EQ(seen.num, 4);
    PEL_EXPECT(pel_watch_seen_differs(&seen, &now));
    /* What is as new as that may be something else already; what is from the future is not new. */
    const struct pel_watch_look look = now.looks[0];
    pel_watch_seen_doubt(&now, look.newest_ns + 1000000000);
    PEL_EXPECT_EQ(now.looks[0].print, look.print);
    now.looks[0].newest_ns += 3600ll * 1000000000;
    pel_watch_seen_doubt(&now, look.newest_ns);
    PEL_EXPECT_EQ(now.looks[0].print, look.print);
    now.looks[0].newest_ns = look.newest_ns;
    pel_watch_seen_doubt(&now, look.newest_ns + 1000000);
    PEL_EXPECT_EQ(now.looks[0].print, 0);
    pel_watch_seen_free(&now);
    pel_watch_seen_free(&seen);
    close_place(&place);
}
