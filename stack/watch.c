/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "stack/no_rule.h"
#include "stack/stack.h"
#include "stack/watch_paths.h"
#include "tls/keyring.h"

/* Events are waited for until there has been none for so long; but no longer than so in all. */
#define SETTLE_MS     100
#define SETTLE_MAX_MS 2000

/* A file that has been written to and not closed is waited for so long after the last writing; one of a
 * keyring also no longer than so after the first event. */
#define WRITING_MAX_MS 10000
#define WRITING_FILES  16

/* How often files are looked at where the kernel tells nothing. */
#define LOOK_MS 2000

#define CERTS_MS (24u * 3600u * 1000u)

/* How long the memory of a generation may wait whose last connection has closed. */
#define REAP_MS 60000

enum { STOP = 1, AGAIN = 2, NOTE = 4 };

struct pel_watch {
    struct pel_stack *stack;
    struct pel_clock clock;
    pthread_t thread;
    bool started;
    int wake_fd, inotify_fd; /* inotify_fd -1: not watching */
    uint32_t asked;          /* atomic: STOP, AGAIN, NOTE */
    struct pel_watch_paths paths;
    bool must_look; /* some directory cannot be watched */
    bool said_must_look;
    uint64_t first_event_ms, due_ms, next_look_ms, next_certs_ms; /* 0: none */
    struct {
        int wd;
        bool is_ring; /* a keyring's file */
        char name[NAME_MAX + 1];
        uint64_t at_ms; /* 0: free */
    } writing[WRITING_FILES];
    struct pel_no_rule_told told;
};

static uint64_t now_ms(const struct pel_watch *watch)
{
    return pel_clock_now_us(&watch->clock) / 1000;
}

/* ---- from other threads ---- */

static void ask(struct pel_watch *watch, uint32_t what)
{
    uint64_t one = 1;
    __atomic_or_fetch(&watch->asked, what, __ATOMIC_SEQ_CST);
    if (write(watch->wake_fd, &one, sizeof one) < 0)
        return; /* it is full: the thread has not looked yet, and will */
}

void pel_watch_again(struct pel_watch *watch)
{
    if (watch != NULL)
        ask(watch, AGAIN);
}

void pel_watch_note(void *watch)
{
    ask(watch, NOTE);
}

/* ---- what is followed ---- */

static void follow_path(struct pel_watch_paths *paths, const char *path,
                        void (*add)(struct pel_watch_paths *paths, const char *path))
{
    char here[PATH_MAX], absolute[PATH_MAX];
    if (path[0] == '/' || getcwd(here, sizeof here) == NULL) {
        add(paths, path);
        return;
    }
    int len = snprintf(absolute, sizeof absolute, "%s/%s", here, path);
    if (len > 0 && (size_t)len < sizeof absolute)
        add(paths, absolute);
}

void pel_watch_follow_list(struct pel_watch_paths *paths, const char *const *list, size_t num)
{
    for (size_t i = 0; i < num; i++)
        follow_path(paths, list[i], pel_watch_paths_file);
}

static void follow_list(struct pel_watch_paths *paths, char *const *list, size_t num)
{
    pel_watch_follow_list(paths, (const char *const *)list, num);
}

void pel_watch_follow_rings(struct pel_watch_paths *paths, const struct pel_policy_certs *certs)
{
    for (size_t i = 0; i < certs->num_keyrings; i++) {
        const char *path = certs->paths[i];
        if (path != NULL && strcmp(path, PEL_KEYRING_AUTH) == 0)
            pel_watch_paths_ring(paths, path); /* a word, and no path */
        else if (path != NULL)
            follow_path(paths, path, pel_watch_paths_ring);
        if (certs->stashes[i] != NULL)
            follow_path(paths, certs->stashes[i], pel_watch_paths_file);
    }
}

/* An agent's files can name others than they did, which could not be taken yet. */
void pel_watch_follow_files(const struct pel_stack *stack, struct pel_watch_paths *paths)
{
    const struct pel_policy_live *live = &stack->live;
    const struct pel_config *config = &stack->config;
    if (live->generation == 0)
        follow_list(paths, config->policy.files, config->policy.num_files);
    follow_list(paths, live->files, live->num_files);
    follow_list(paths, live->read.paths, live->read.num_paths);
    follow_list(paths, live->awaited.read.paths, live->awaited.read.num_paths);
}

void pel_watch_follow(const struct pel_stack *stack, struct pel_watch_paths *paths)
{
    const struct pel_policy_live *live = &stack->live;
    pel_watch_follow_files(stack, paths);
    pel_watch_follow_rings(paths, &live->certs);
    pel_watch_follow_rings(paths, &live->awaited.rings);
}

static void say_what_must_be_looked_at(struct pel_watch *watch, size_t num_failed,
                                       const struct pel_error *why)
{
    watch->must_look = num_failed > 0;
    if (watch->must_look && !watch->said_must_look)
        pel_stack_log(watch->stack,
                      "policy.watch: %zu directories cannot be watched, and are looked at every %d s: %s",
                      num_failed, LOOK_MS / 1000, why->text);
    watch->said_must_look = watch->must_look;
}

/* Between the look at the ways and their watches something may have happened: this is a look behind them. */
static bool look_again(struct pel_watch *watch, bool *ret_failed)
{
    struct pel_policy_live *live = &watch->stack->live;
    struct pel_watch_paths now = {0};
    pthread_mutex_lock(&live->lock);
    pel_watch_follow(watch->stack, &now);
    bool differs = pel_watch_seen_differs(&live->seen, &now.seen);
    pthread_mutex_unlock(&live->lock);
    *ret_failed = now.failed;
    pel_watch_paths_free(&now);
    return differs;
}

/* Follows the files as they are now. What changes after this is heard of. Returns whether they are others
 * than the last load found. */
static bool follow(struct pel_watch *watch)
{
    struct pel_watch_paths before = watch->paths;
    struct pel_error why = {0};
    size_t num_failed = 0;
    bool failed = false;
    watch->paths = (struct pel_watch_paths){0};
    pthread_mutex_lock(&watch->stack->live.lock);
    pel_watch_follow(watch->stack, &watch->paths);
    pthread_mutex_unlock(&watch->stack->live.lock);
    pel_watch_paths_watch(&watch->paths, &before, watch->inotify_fd, &num_failed, &why);
    bool differs = look_again(watch, &failed);
    if (failed || watch->paths.failed) {
        num_failed++;
        pel_error_set(&why, PEL_E_NO_MEMORY, "out of memory");
    }
    pel_watch_seen_free(&watch->paths.seen);
    pel_watch_paths_free(&before);
    say_what_must_be_looked_at(watch, num_failed, &why);
    return differs;
}

/* ---- loading ---- */

static void set_due(struct pel_watch *watch, uint64_t now)
{
    if (watch->first_event_ms == 0)
        watch->first_event_ms = now;
    watch->due_ms = now + SETTLE_MS;
    if (watch->due_ms > watch->first_event_ms + SETTLE_MAX_MS)
        watch->due_ms = watch->first_event_ms + SETTLE_MAX_MS;
}

/* After somebody's load: other files may be in force, or have changed since it began to read them. */
static void begin_again(struct pel_watch *watch)
{
    if (watch->inotify_fd >= 0 && follow(watch))
        set_due(watch, now_ms(watch));
}

/* A keyring may be an ordinary user's: who writes to it again and again holds a load up no longer than one
 * who has stopped. Of a policy, half of the rules would be none. */
static bool is_being_written(struct pel_watch *watch, uint64_t now)
{
    bool found = false, is_late = now - watch->first_event_ms >= WRITING_MAX_MS;
    for (size_t i = 0; i < WRITING_FILES; i++) {
        if (watch->writing[i].at_ms != 0 && now - watch->writing[i].at_ms >= WRITING_MAX_MS)
            watch->writing[i].at_ms = 0;
        found |= watch->writing[i].at_ms != 0 && (!watch->writing[i].is_ring || !is_late);
    }
    return found;
}

static void look(struct pel_watch *watch, uint64_t now)
{
    watch->first_event_ms = watch->due_ms = 0;
    watch->next_look_ms = now + LOOK_MS;
    if (!follow(watch))
        return;
    /* Its errors are in the log and in the status; the next change is another attempt. */
    if (pel_stack_reload_current(watch->stack, PEL_LOAD_WATCH, NULL, NULL) != PEL_OK)
        return;
}

/* ---- events ---- */

static void note_writing(struct pel_watch *watch, const struct inotify_event *event, bool is_ring,
                         uint64_t now)
{
    size_t at = WRITING_FILES;
    for (size_t i = 0; i < WRITING_FILES; i++) {
        bool same = watch->writing[i].at_ms != 0 && watch->writing[i].wd == event->wd &&
                    strcmp(watch->writing[i].name, event->name) == 0;
        if (same || (watch->writing[i].at_ms == 0 && at == WRITING_FILES))
            at = i;
        if (same)
            break;
    }
    if (at == WRITING_FILES)
        return; /* too many at once: they are not waited for */
    watch->writing[at].wd = event->wd;
    watch->writing[at].is_ring = is_ring;
    snprintf(watch->writing[at].name, sizeof watch->writing[at].name, "%s", event->name);
    watch->writing[at].at_ms = (event->mask & IN_MODIFY) != 0 ? now : 0;
}

static void on_event(struct pel_watch *watch, const struct inotify_event *event, uint64_t now)
{
    const char *name = event->len > 0 ? event->name : NULL;
    enum pel_watch_matter matter = pel_watch_paths_matter(&watch->paths, event->wd, name);
    if ((event->mask & IN_Q_OVERFLOW) == 0 && matter == PEL_WATCH_NOTHING)
        return;
    if (matter >= PEL_WATCH_RING && name != NULL &&
        (event->mask & (IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM)) != 0)
        note_writing(watch, event, matter == PEL_WATCH_RING, now);
    set_due(watch, now);
}

static void read_events(struct pel_watch *watch)
{
    union {
        struct inotify_event event;
        char bytes[16384];
    } buffer;
    ssize_t len;
    while ((len = read(watch->inotify_fd, buffer.bytes, sizeof buffer.bytes)) > 0) {
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *event = (const struct inotify_event *)(buffer.bytes + at);
            on_event(watch, event, now_ms(watch));
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
}

/* ---- the thread ---- */

static int timeout_ms(const struct pel_watch *watch, uint64_t now)
{
    uint64_t next = watch->next_certs_ms;
    if (watch->due_ms != 0 && watch->due_ms < next)
        next = watch->due_ms;
    if (watch->must_look && watch->next_look_ms < next)
        next = watch->next_look_ms;
    uint64_t left = next > now ? next - now : 0;
    return left > REAP_MS ? REAP_MS : (int)left;
}

static void act_on_time(struct pel_watch *watch, uint64_t now)
{
    if (watch->due_ms != 0 && now >= watch->due_ms) {
        if (is_being_written(watch, now))
            watch->due_ms = now + SETTLE_MS;
        else
            look(watch, now);
    } else if (watch->must_look && now >= watch->next_look_ms) {
        look(watch, now);
    }
    if (now >= watch->next_certs_ms) {
        watch->next_certs_ms = now + CERTS_MS;
        pel_stack_log_certs(watch->stack, pel_clock_wall_s(&watch->clock));
    }
}

static void *run(void *arg)
{
    struct pel_watch *watch = arg;
    uint64_t count;
    prctl(PR_SET_NAME, "pel-watch", 0, 0, 0);
    struct pollfd pollfds[] = {{.fd = watch->wake_fd, .events = POLLIN},
                               {.fd = watch->inotify_fd, .events = POLLIN}};
    watch->next_certs_ms = now_ms(watch) + CERTS_MS;
    begin_again(watch);
    for (;;) {
        int num = poll(pollfds, 2, timeout_ms(watch, now_ms(watch)));
        if (num > 0 && pollfds[0].revents != 0 && read(watch->wake_fd, &count, sizeof count) < 0)
            continue;
        uint32_t asked = __atomic_exchange_n(&watch->asked, 0, __ATOMIC_SEQ_CST);
        if (asked & STOP)
            return NULL;
        if (asked & NOTE)
            pel_no_rule_log(watch->stack, &watch->told);
        if (asked & AGAIN)
            begin_again(watch);
        if (num > 0 && pollfds[1].revents != 0)
            read_events(watch);
        act_on_time(watch, now_ms(watch));
        pel_generation_reap(&watch->stack->slot);
    }
}

/* ---- start and stop ---- */

enum pel_err pel_watch_open(struct pel_stack *stack, const struct pel_clock *clock,
                            struct pel_watch **ret_watch, struct pel_error *reterr)
{
    struct pel_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    watch->stack = stack;
    watch->clock = *clock;
    watch->inotify_fd = -1;
    watch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch->wake_fd < 0) {
        enum pel_err err = pel_error_set(reterr, PEL_E_IO, "eventfd: %s", strerror(errno));
        free(watch);
        return err;
    }
    *ret_watch = watch;
    return PEL_OK;
}

/* With every signal blocked: they are the program's business, but the one by which a sandbox speaks to the
 * very thread. */
static int start_thread(struct pel_watch *watch)
{
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&watch->thread, NULL, run, watch);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

enum pel_err pel_watch_start(struct pel_watch *watch, struct pel_error *reterr)
{
    if (watch->stack->config.policy.watch) {
        watch->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (watch->inotify_fd < 0)
            return pel_error_set(reterr, PEL_E_IO, "policy.watch: %s%s", strerror(errno),
                                 errno == EMFILE ? " (raise fs.inotify.max_user_instances)" : "");
    }
    int error = start_thread(watch);
    if (error != 0)
        return pel_error_set(reterr, PEL_E_IO, "the policy's thread: %s", strerror(error));
    watch->started = true;
    return PEL_OK;
}

void pel_watch_stop(struct pel_watch *watch)
{
    if (watch == NULL || !watch->started)
        return;
    ask(watch, STOP);
    pthread_join(watch->thread, NULL);
    watch->started = false;
}

void pel_watch_close(struct pel_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->inotify_fd >= 0)
        close(watch->inotify_fd);
    close(watch->wake_fd);
    pel_watch_paths_free(&watch->paths);
    free(watch);
}
