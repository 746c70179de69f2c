/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/serve/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; not yet in the headers of Debian 12 */
#endif

#define PATH_LEN           4096
#define UNPRIVILEGED_PORTS 1024 /* the kernel's default */

/* ---- the user ---- */

void pel_client_user_name(uid_t uid, char ret_name[PEL_CLIENT_NAME_LEN])
{
    char buffer[4096];
    struct passwd passwd, *found = NULL;
    if (getpwuid_r(uid, &passwd, buffer, sizeof buffer, &found) == 0 && found != NULL &&
        passwd.pw_name[0] != '\0' && strlen(passwd.pw_name) < PEL_CLIENT_NAME_LEN)
        memcpy(ret_name, passwd.pw_name, strlen(passwd.pw_name) + 1);
    else
        snprintf(ret_name, PEL_CLIENT_NAME_LEN, "%u", (unsigned)uid);
}

/* ---- the program ---- */

/* A number that the kernel gives away again is not the same process: a pidfd tells, where the kernel has one
 * of the peer; else when the process began, and that the user is the peer's. */
struct peer {
    struct ucred cred;
    int pidfd;             /* -1: the kernel gives none */
    char began[32];        /* field 22 of stat */
    struct pel_error *err; /* the caller's; may be NULL */
};

static ssize_t read_small(const char *path, char *text, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t len = read(fd, text, cap - 1);
    close(fd);
    if (len >= 0)
        text[len] = '\0';
    return len;
}

/* The name in parentheses may hold anything, so fields are counted from the last one. */
static bool read_began(pid_t pid, char ret_began[32])
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const char *at = read_small(path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    if (at == NULL)
        return false;
    for (int field = 2; field < 22 && at != NULL; field++)
        at = strchr(at + 1, ' ');
    return at != NULL && sscanf(at, " %31[0-9]", ret_began) == 1;
}

static bool is_still_the_same(const struct peer *peer)
{
    char path[64], began[32];
    struct stat stat_of;
    if (peer->pidfd >= 0) {
        struct pollfd pollfd = {.fd = peer->pidfd, .events = POLLIN};
        return poll(&pollfd, 1, 0) == 0;
    }
    snprintf(path, sizeof path, "/proc/%d", (int)peer->cred.pid);
    return read_began(peer->cred.pid, began) && strcmp(began, peer->began) == 0 &&
           stat(path, &stat_of) == 0 && stat_of.st_uid == peer->cred.uid;
}

static enum pel_err gone(const struct peer *peer)
{
    return pel_error_set(peer->err, PEL_E_NOT_FOUND, "process %d ended before it could be identified",
                         (int)peer->cred.pid);
}

static enum pel_err meet(int fd, struct peer *peer)
{
    socklen_t len = sizeof peer->cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer->cred, &len) != 0)
        return pel_error_set(peer->err, PEL_E_NOT_FOUND, "the kernel does not say who connected: %s",
                             strerror(errno));
    if (peer->cred.pid <= 0)
        return pel_error_set(peer->err, PEL_E_NOT_FOUND,
                             "the program runs in a pid namespace that the daemon cannot see");
    len = sizeof peer->pidfd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &peer->pidfd, &len) == 0)
        return PEL_OK;
    peer->pidfd = -1;
    return read_began(peer->cred.pid, peer->began) ? PEL_OK : gone(peer);
}

/* "/usr/sbin/nginx (deleted)" is what the kernel says of a program whose file was replaced meanwhile. */
static void take_base_name(char *path, char ret_job[PEL_CLIENT_NAME_LEN])
{
    static const char deleted[] = " (deleted)";
    size_t len = strlen(path);
    if (len > sizeof deleted - 1 && strcmp(path + len - (sizeof deleted - 1), deleted) == 0)
        path[len - (sizeof deleted - 1)] = '\0';
    const char *slash = strrchr(path, '/');
    snprintf(ret_job, PEL_CLIENT_NAME_LEN, "%.*s", PEL_CLIENT_NAME_LEN - 1, slash != NULL ? slash + 1 : path);
}

static enum pel_err read_program(const struct peer *peer, char ret_job[PEL_CLIENT_NAME_LEN])
{
    char link[64], path[PATH_LEN];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)peer->cred.pid);
    ssize_t len = readlink(link, path, sizeof path - 1);
    int error = errno;
    if (!is_still_the_same(peer))
        return gone(peer);
    if (len <= 0)
        return pel_error_set(peer->err, PEL_E_NOT_FOUND, "the program of process %d cannot be told: %s: %s%s",
                             (int)peer->cred.pid, link, strerror(error),
                             error == EACCES ? " (the daemon needs CAP_SYS_PTRACE for other users' processes)"
                                             : "");
    path[len] = '\0';
    take_base_name(path, ret_job);
    return PEL_OK;
}

/* ---- a job that was asked for ---- */

static bool can_be_job(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '*')
            return false;
    return len > 0 && len <= PEL_CLIENT_JOB_MAX;
}

static bool may_choose(const struct pel_client_identity *identity, char *const *jobs_named,
                       size_t num_jobs_named)
{
    bool yes = identity->uid == 0;
    for (size_t i = 0; i < num_jobs_named; i++)
        yes |= strcmp(jobs_named[i], "*") == 0 || strcmp(jobs_named[i], identity->user) == 0;
    return yes;
}

static enum pel_err take_wanted(const char *wanted, char *const *jobs_named, size_t num_jobs_named,
                                struct pel_client_identity *identity, struct pel_error *reterr)
{
    if (!can_be_job(wanted))
        return pel_error_set(reterr, PEL_E_ARG,
                             "that is no job name: 1 to %d printable characters without a blank and '*'",
                             PEL_CLIENT_JOB_MAX);
    if (!may_choose(identity, jobs_named, num_jobs_named))
        return pel_error_set(reterr, PEL_E_NOT_ALLOWED,
                             "user %s may not choose the job's name (attach.jobs_named in the daemon's "
                             "configuration lists who may)",
                             identity->user);
    memcpy(identity->job, wanted, strlen(wanted) + 1);
    return PEL_OK;
}

enum pel_err pel_client_identify(int fd, const char *wanted_job, char *const *jobs_named,
                                 size_t num_jobs_named, struct pel_client_identity *ret,
                                 struct pel_error *reterr)
{
    struct peer peer = {.pidfd = -1, .err = reterr};
    struct pel_client_identity identity = {0};
    PEL_TRY(meet(fd, &peer));
    identity.uid = peer.cred.uid;
    identity.pid = peer.cred.pid;
    enum pel_err err = read_program(&peer, identity.job);
    if (peer.pidfd >= 0)
        close(peer.pidfd);
    PEL_TRY(err);
    pel_client_user_name(identity.uid, identity.user);
    if (wanted_job != NULL && wanted_job[0] != '\0')
        PEL_TRY(take_wanted(wanted_job, jobs_named, num_jobs_named, &identity, reterr));
    *ret = identity;
    return PEL_OK;
}

/* ---- low ports ---- */

static bool has_bind_capability(pid_t pid)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    const char *at = read_small(path, text, sizeof text) > 0 ? strstr(text, "\nCapEff:") : NULL;
    unsigned long long effective = at != NULL ? strtoull(at + sizeof "\nCapEff:" - 1, NULL, 16) : 0;
    return (effective >> CAP_NET_BIND_SERVICE & 1) != 0;
}

bool pel_client_may_bind(pid_t pid, uid_t uid, uint16_t port)
{
    char text[32];
    long first = UNPRIVILEGED_PORTS;
    if (port == 0 || uid == 0)
        return true;
    if (read_small("/proc/sys/net/ipv4/ip_unprivileged_port_start", text, sizeof text) > 0)
        first = strtol(text, NULL, 10);
    return port >= first || has_bind_capability(pid);
}
