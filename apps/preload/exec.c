/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another program in the process's place, or in a child. The library goes along: its variables are put back
 * where a program starts another with an environment of its own. A program that the library cannot reach is
 * not started, since its sockets would be the kernel's: clear text where the policy may ask for TLS.
 *
 * Everything here may run in a vfork child: on the stack alone, no lock, no memory from the heap.
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/preload/close.h"
#include "apps/preload/env.h"
#include "apps/preload/exec.h"
#include "apps/preload/real.h"
#include "apps/preload/table.h"
#include "ipc/program.h"

#define NUM_ADDED 5
#define ADDED_LEN (PEL_ENV_PRELOAD_LEN + 16)
#define MAX_ARGS  65536
#define WHY_LEN   1024
#define PATH_LEN  4096

extern char **environ;

static size_t num_of(char *const *list)
{
    size_t num = 0;
    while (list != NULL && list[num] != NULL)
        num++;
    return num;
}

static const char *value_of(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; env != NULL && *env != NULL; env++) {
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    }
    return NULL;
}

static char *join(char *ret, const char *name, const char *value, const char *more)
{
    strcpy(ret, name);
    strcat(ret, "=");
    strcat(ret, value);
    if (more != NULL && more[0] != '\0') {
        strcat(ret, ":");
        strcat(ret, more);
    }
    return ret;
}

/* What is to be added to an environment. */
struct added {
    char preload[2 * ADDED_LEN], attach[PATH_LEN], job[PEL_IPC_NAME_LEN + 32], allow[64], held[32];
};

/* The first entry of our LD_PRELOAD is the library itself. */
static bool has_library(const char *preload)
{
    char own[PEL_ENV_PRELOAD_LEN];
    const char *all = pel_env()->preload;
    size_t len = strcspn(all, ": ");
    memcpy(own, all, len);
    own[len] = '\0';
    return preload != NULL && strstr(preload, own) != NULL;
}

/* Writes `env` and what is missing there into `ret`, which has room for it. */
static void complete(char *const *env, char **ret, struct added *added)
{
    const struct pel_env *ours = pel_env();
    size_t num = 0;
    const char *preload = value_of(env, PEL_ENV_PRELOAD);
    bool is_preloaded = has_library(preload) || ours->preload[0] == '\0';
    bool is_too_long = preload != NULL && strlen(preload) >= ADDED_LEN;
    for (; env != NULL && *env != NULL; env++) {
        bool is_replaced = !is_preloaded && strncmp(*env, PEL_ENV_PRELOAD "=", sizeof PEL_ENV_PRELOAD) == 0;
        if (!is_replaced && strncmp(*env, PEL_ENV_HELD "=", sizeof PEL_ENV_HELD) != 0)
            ret[num++] = *env;
    }
    ret[num] = NULL;
    if (!is_preloaded)
        ret[num++] = join(added->preload, PEL_ENV_PRELOAD, ours->preload, is_too_long ? NULL : preload);
    ret[num] = NULL;
    if (value_of(ret, PEL_ENV_ATTACH) == NULL)
        ret[num++] = join(added->attach, PEL_ENV_ATTACH, ours->attach.sun_path, NULL);
    ret[num] = NULL;
    if (ours->job[0] != '\0' && value_of(ret, PEL_ENV_JOB) == NULL)
        ret[num++] = join(added->job, PEL_ENV_JOB, ours->job, NULL);
    ret[num] = NULL;
    if (ours->is_kernel_allowed && value_of(ret, PEL_ENV_ALLOW_KERNEL) == NULL)
        ret[num++] = join(added->allow, PEL_ENV_ALLOW_KERNEL, "1", NULL);
    if (pel_table_num_files() > 0)
        ret[num++] = join(added->held, PEL_ENV_HELD, "1", NULL);
    ret[num] = NULL;
}

/* Refuses what cannot be reached; 0 or an errno. */
static int judge(const char *path)
{
    char why[WHY_LEN],
        line[WHY_LEN + 128] = "pellucid: not started, since its network would be the kernel's: ";
    enum pel_program_reach reach = pel_program_judge(path, why, sizeof why);
    if (reach == PEL_REACH_OK || pel_env()->is_kernel_allowed)
        return 0;
    /* What is not there, or may not be executed, the kernel refuses with the right error. */
    if (reach == PEL_REACH_UNREADABLE && access(path, X_OK) != 0)
        return 0;
    strcat(line, why);
    strcat(line, " (" PEL_ENV_ALLOW_KERNEL "=1 allows it)\n");
    pel_raw(SYS_write, 2, (long)line, (long)strlen(line), 0, 0, 0);
    return EACCES;
}

int pel_exec(const char *path, char *const *argv, char *const *env, enum pel_exec_kind kind, int fd)
{
    char found[PATH_LEN];
    struct added added;
    const char *judged = path;
    if (kind == PEL_EXEC_FD) {
        snprintf(found, sizeof found, "/proc/self/fd/%d", fd);
        judged = found;
    } else if (kind == PEL_EXEC_SEARCH) {
        judged = pel_program_find(path, found, sizeof found) == 0 ? found : NULL;
    }
    int error = judged != NULL && judged[0] != '\0' ? judge(judged) : 0;
    if (error != 0)
        return (int)pel_result(-error);
    char **whole = alloca((num_of(env) + NUM_ADDED + 1) * sizeof *whole);
    complete(env, whole, &added);
    /* In a vfork child the sockets are the parent's: it has not been counted. */
    bool is_own = !pel_close_is_borrowed();
    if (is_own)
        pel_close_leave_all(false);
    int result = kind == PEL_EXEC_FD       ? pel_real()->fexecve(fd, argv, whole)
                 : kind == PEL_EXEC_SEARCH ? pel_real()->execvpe(path, argv, whole)
                                           : pel_real()->execve(path, argv, whole);
    if (is_own)
        pel_close_enter_all();
    return result;
}

static int start(const char *path, char *const *argv, char *const *env, enum pel_exec_kind kind, int fd)
{
    if (pel_env()->is_active)
        return pel_exec(path, argv, env, kind, fd);
    return kind == PEL_EXEC_FD       ? pel_real()->fexecve(fd, argv, env)
           : kind == PEL_EXEC_SEARCH ? pel_real()->execvpe(path, argv, env)
                                     : pel_real()->execve(path, argv, env);
}

PEL_EXPORT int execve(const char *path, char *const argv[], char *const env[])
{
    return start(path, argv, env, PEL_EXEC_PATH, -1);
}

PEL_EXPORT int execv(const char *path, char *const argv[])
{
    return start(path, argv, environ, PEL_EXEC_PATH, -1);
}

PEL_EXPORT int execvp(const char *name, char *const argv[])
{
    return start(name, argv, environ, PEL_EXEC_SEARCH, -1);
}

PEL_EXPORT int execvpe(const char *name, char *const argv[], char *const env[])
{
    return start(name, argv, env, PEL_EXEC_SEARCH, -1);
}

PEL_EXPORT int fexecve(int fd, char *const argv[], char *const env[])
{
    return start("", argv, env, PEL_EXEC_FD, fd);
}

PEL_EXPORT int execveat(int dir_fd, const char *path, char *const argv[], char *const env[], int flags)
{
    char whole[PATH_LEN], link[1];
    if (path[0] == '\0')
        return flags & AT_EMPTY_PATH ? start("", argv, env, PEL_EXEC_FD, dir_fd) : (int)pel_result(-ENOENT);
    if (path[0] == '/' || dir_fd == AT_FDCWD)
        snprintf(whole, sizeof whole, "%s", path);
    else
        snprintf(whole, sizeof whole, "/proc/self/fd/%d/%s", dir_fd, path);
    if ((flags & AT_SYMLINK_NOFOLLOW) && readlink(whole, link, sizeof link) >= 0)
        return (int)pel_result(-ELOOP);
    return start(whole, argv, env, PEL_EXEC_PATH, -1);
}

/* ---- with their arguments one by one ---- */

static size_t num_args(va_list list)
{
    size_t num = 1;
    while (num < MAX_ARGS && va_arg(list, char *) != NULL)
        num++;
    return num;
}

static char *const *take_args(const char *first, va_list list, size_t num, char **ret)
{
    ret[0] = (char *)first;
    for (size_t i = 1; i <= num; i++)
        ret[i] = va_arg(list, char *); /* with the NULL at the end */
    ret[num] = NULL;
    return ret;
}

PEL_EXPORT int execl(const char *path, const char *first, ...)
{
    va_list list;
    va_start(list, first);
    size_t num = num_args(list);
    va_end(list);
    char **argv = alloca((num + 1) * sizeof *argv);
    va_start(list, first);
    take_args(first, list, num, argv);
    va_end(list);
    return start(path, argv, environ, PEL_EXEC_PATH, -1);
}

PEL_EXPORT int execlp(const char *name, const char *first, ...)
{
    va_list list;
    va_start(list, first);
    size_t num = num_args(list);
    va_end(list);
    char **argv = alloca((num + 1) * sizeof *argv);
    va_start(list, first);
    take_args(first, list, num, argv);
    va_end(list);
    return start(name, argv, environ, PEL_EXEC_SEARCH, -1);
}

PEL_EXPORT int execle(const char *path, const char *first, ...)
{
    va_list list;
    va_start(list, first);
    size_t num = num_args(list);
    va_end(list);
    char **argv = alloca((num + 1) * sizeof *argv);
    va_start(list, first);
    take_args(first, list, num, argv);
    char *const *env = va_arg(list, char *const *);
    va_end(list);
    return start(path, argv, env, PEL_EXEC_PATH, -1);
}

/* ---- in a child at once ---- */

typedef int spawn_fn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                     char *const *, char *const *);

struct spawn {
    pid_t *ret_pid;
    const char *path;
    const posix_spawn_file_actions_t *actions;
    const posix_spawnattr_t *attributes;
    char *const *argv;
};

static int spawn(spawn_fn *real, const struct spawn *spawn, const char *judged, char *const *env)
{
    struct added added;
    if (!pel_env()->is_active)
        return real(spawn->ret_pid, spawn->path, spawn->actions, spawn->attributes, spawn->argv, env);
    int error = judged != NULL ? judge(judged) : 0;
    if (error != 0)
        return error;
    char **whole = alloca((num_of(env) + NUM_ADDED + 1) * sizeof *whole);
    complete(env, whole, &added);
    return real(spawn->ret_pid, spawn->path, spawn->actions, spawn->attributes, spawn->argv, whole);
}

PEL_EXPORT int posix_spawn(pid_t *ret_pid, const char *path, const posix_spawn_file_actions_t *actions,
                           const posix_spawnattr_t *attributes, char *const argv[], char *const env[])
{
    const struct spawn what = {ret_pid, path, actions, attributes, argv};
    return spawn(pel_real()->posix_spawn, &what, path, env);
}

PEL_EXPORT int posix_spawnp(pid_t *ret_pid, const char *name, const posix_spawn_file_actions_t *actions,
                            const posix_spawnattr_t *attributes, char *const argv[], char *const env[])
{
    char found[PATH_LEN];
    const struct spawn what = {ret_pid, name, actions, attributes, argv};
    const char *judged = pel_program_find(name, found, sizeof found) == 0 ? found : NULL;
    return spawn(pel_real()->posix_spawnp, &what, judged, env);
}

/* system and popen start a shell with the program's environment, by a way of their own inside the C library.
 */
static void complete_own_env(void)
{
    struct added added;
    if (!pel_env()->is_active)
        return;
    char **whole = alloca((num_of(environ) + NUM_ADDED + 1) * sizeof *whole);
    complete(environ, whole, &added);
    for (; *whole != NULL; whole++) {
        char *value = strchr(*whole, '=');
        char name[32];
        size_t len = value != NULL ? (size_t)(value - *whole) : sizeof name;
        if (len >= sizeof name ||
            (strncmp(*whole, "PELLUCID_", 9) != 0 && strncmp(*whole, "LD_PRELOAD=", 11) != 0))
            continue;
        memcpy(name, *whole, len);
        name[len] = '\0';
        if (value_of(environ, name) != value + 1)
            setenv(name, value + 1, 1);
    }
}

PEL_EXPORT int system(const char *command)
{
    complete_own_env();
    int result = pel_real()->system(command);
    pel_env_forget_held();
    return result;
}

PEL_EXPORT FILE *popen(const char *command, const char *mode)
{
    complete_own_env();
    FILE *stream = pel_real()->popen(command, mode);
    pel_env_forget_held();
    return stream;
}
