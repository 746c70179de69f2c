/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FILE streams over sockets. The C library reads and writes inside itself, past our names: a stream over a
 * socket that is, or may become, the stack's is one of cookies that lead back here.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/preload/file.h"
#include "apps/preload/io.h"
#include "apps/preload/real.h"
#include "apps/preload/table.h"

static bool is_ours(int fd)
{
    struct pel_file *file = pel_io_file(fd);
    if (file != NULL)
        pel_file_put(file);
    return file != NULL;
}

static int fd_of(void *cookie)
{
    return (int)(intptr_t)cookie;
}

static ssize_t read_cookie(void *cookie, char *bytes, size_t len)
{
    return read(fd_of(cookie), bytes, len);
}

static ssize_t write_all(int fd, const char *bytes, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t now_len = write(fd, bytes + done, len - done);
        if (now_len < 0)
            return done > 0 ? (ssize_t)done : -1;
        done += (size_t)now_len;
    }
    return (ssize_t)done;
}

/* The stream takes less than everything for an error, and -1 for nothing written. */
static ssize_t write_cookie(void *cookie, const char *bytes, size_t len)
{
    ssize_t done = write_all(fd_of(cookie), bytes, len);
    return done < 0 ? 0 : done;
}

static int close_cookie(void *cookie)
{
    return close(fd_of(cookie));
}

static int seek_cookie(void *cookie, off64_t *offset, int whence)
{
    (void)cookie, (void)offset, (void)whence;
    return (int)pel_result(-ESPIPE);
}

static FILE *open_cookie(int fd, const char *mode, bool is_owner)
{
    const cookie_io_functions_t functions = {.read = read_cookie,
                                             .write = write_cookie,
                                             .seek = seek_cookie,
                                             .close = is_owner ? close_cookie : NULL};
    FILE *stream = fopencookie((void *)(intptr_t)fd, mode, functions);
    if (stream != NULL)
        stream->_fileno = fd; /* what fileno() tells; a cookie's stream uses it for nothing else */
    return stream;
}

PEL_EXPORT FILE *fdopen(int fd, const char *mode)
{
    struct pel_file *file = pel_file_get(fd);
    if (file == NULL)
        return pel_real()->fdopen(fd, mode);
    bool is_socket = pel_file_kind(file) != PEL_FILE_EPOLL;
    pel_file_put(file);
    return is_socket ? open_cookie(fd, mode, true) : pel_real()->fdopen(fd, mode);
}

/* ---- stdin, stdout, stderr ---- */

#define NUM_STANDARD 3

/* A standard stream over a socket: inetd's way to start a server. */
static struct {
    FILE *own, *ours;
} standard[NUM_STANDARD];

static pthread_mutex_t standard_lock = PTHREAD_MUTEX_INITIALIZER;

static void choose_locked(int fd, bool is_socket)
{
    FILE **places[NUM_STANDARD] = {&stdin, &stdout, &stderr};
    if (standard[fd].own == NULL)
        standard[fd].own = *places[fd];
    if (is_socket && standard[fd].ours == NULL) {
        standard[fd].ours = open_cookie(fd, fd == 0 ? "r" : "w", false);
        if (standard[fd].ours != NULL && fd == 2)
            setvbuf(standard[fd].ours, NULL, _IONBF, 0);
    }
    FILE *before = *places[fd], *after = is_socket ? standard[fd].ours : standard[fd].own;
    /* A program that has put a stream of its own there knows what it does. */
    if (after != NULL && (before == standard[fd].own || before == standard[fd].ours))
        *places[fd] = after;
}

void pel_stdio_moved(int fd)
{
    if ((unsigned)fd >= NUM_STANDARD)
        return;
    bool is_socket = is_ours(fd);
    pthread_mutex_lock(&standard_lock);
    if (is_socket || standard[fd].ours != NULL)
        choose_locked(fd, is_socket);
    pthread_mutex_unlock(&standard_lock);
}

void pel_stdio_forked(void)
{
    pthread_mutex_init(&standard_lock, NULL);
}

static int print(int fd, const char *format, va_list list)
{
    char *text = NULL;
    int len = vasprintf(&text, format, list);
    if (len < 0)
        return -1;
    ssize_t done = write_all(fd, text, (size_t)len);
    free(text);
    return done < 0 ? -1 : len;
}

PEL_EXPORT int vdprintf(int fd, const char *restrict format, va_list list)
{
    return is_ours(fd) ? print(fd, format, list) : pel_real()->vdprintf(fd, format, list);
}

PEL_EXPORT int dprintf(int fd, const char *restrict format, ...)
{
    va_list list;
    va_start(list, format);
    int result = vdprintf(fd, format, list);
    va_end(list);
    return result;
}

int __vdprintf_chk(int fd, int flag, const char *format, va_list list);
int __dprintf_chk(int fd, int flag, const char *format, ...);

PEL_EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list list)
{
    return is_ours(fd) ? print(fd, format, list) : pel_real()->__vdprintf_chk(fd, flag, format, list);
}

PEL_EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int result = __vdprintf_chk(fd, flag, format, list);
    va_end(list);
    return result;
}

/* ---- what a compiler makes of read and recv when it knows the buffer's length ---- */

extern void __chk_fail(void) __attribute__((noreturn));
ssize_t __read_chk(int fd, void *bytes, size_t len, size_t room_len);
ssize_t __recv_chk(int fd, void *bytes, size_t len, size_t room_len, int flags);
ssize_t __recvfrom_chk(int fd, void *bytes, size_t len, size_t room_len, int flags,
                       struct sockaddr *ret_address, socklen_t *ret_len);

PEL_EXPORT ssize_t __read_chk(int fd, void *bytes, size_t len, size_t room_len)
{
    if (len > room_len)
        __chk_fail();
    return read(fd, bytes, len);
}

PEL_EXPORT ssize_t __recv_chk(int fd, void *bytes, size_t len, size_t room_len, int flags)
{
    if (len > room_len)
        __chk_fail();
    return recv(fd, bytes, len, flags);
}

PEL_EXPORT ssize_t __recvfrom_chk(int fd, void *bytes, size_t len, size_t room_len, int flags,
                                  struct sockaddr *ret_address, socklen_t *ret_len)
{
    if (len > room_len)
        __chk_fail();
    return recvfrom(fd, bytes, len, flags, ret_address, ret_len);
}
