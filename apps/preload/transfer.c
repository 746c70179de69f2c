/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sendfile and splice: bytes go between a file or a pipe and a socket's ring without a buffer in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "apps/preload/io.h"
#include "apps/preload/real.h"
#include "apps/preload/stream.h"
#include "apps/preload/table.h"

#define MAX_COUNT 0x7ffff000ul
/* A pipe that is writable has room for a page at least. */
#define PIPE_STEP 4096

/* The other side of a transfer. */
struct side {
    int fd;
    off_t *offset;
    bool is_nonblock;
};

static ssize_t read_file(void *arg, void *bytes, size_t len)
{
    struct side *side = arg;
    ssize_t got = side->offset != NULL
                      ? pel_raw(SYS_pread64, side->fd, (long)bytes, (long)len, *side->offset, 0, 0)
                      : pel_raw(SYS_read, side->fd, (long)bytes, (long)len, 0, 0, 0);
    if (got > 0 && side->offset != NULL)
        *side->offset += got;
    return got;
}

static ssize_t send_file(struct pel_file *file, struct side *side, size_t count)
{
    size_t done = 0;
    if (pel_file_kind(file) != PEL_FILE_STREAM)
        return -EINVAL;
    while (done < count) {
        ssize_t len = pel_stream_send_piece(file, count - done, 0, read_file, side);
        if (len < 0)
            return done > 0 ? (ssize_t)done : len;
        if (len == 0)
            break;
        done += (size_t)len;
    }
    return (ssize_t)done;
}

PEL_EXPORT ssize_t sendfile(int out_fd, int in_fd, off_t *offset, size_t count)
{
    if (pel_table_peek(out_fd) == NULL && pel_table_peek(in_fd) == NULL)
        return pel_real()->sendfile(out_fd, in_fd, offset, count);
    struct pel_file *file = pel_io_file(out_fd), *in_file = pel_io_file(in_fd);
    ssize_t result = -EINVAL; /* a socket is no source */
    struct stat about;
    if (in_file != NULL)
        pel_file_put(in_file);
    else if (file == NULL)
        return pel_real()->sendfile(out_fd, in_fd, offset, count);
    else if (fstat(in_fd, &about) != 0)
        result = -errno;
    else if (S_ISREG(about.st_mode) || S_ISBLK(about.st_mode))
        result = send_file(file, &(struct side){.fd = in_fd, .offset = offset},
                           count < MAX_COUNT ? count : MAX_COUNT);
    if (file != NULL)
        pel_file_put(file);
    return pel_result(result);
}

PEL_EXPORT ssize_t sendfile64(int out_fd, int in_fd, off64_t *offset, size_t count)
{
    return sendfile(out_fd, in_fd, offset, count);
}

static bool is_ready(int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    return pel_raw(SYS_poll, (long)&pfd, 1, 0, 0, 0, 0) > 0;
}

/* Fills the pipe as far as it goes without waiting; waits for the first byte when it may. */
static ssize_t write_pipe(void *arg, void *bytes, size_t len)
{
    struct side *side = arg;
    size_t done = 0;
    while (done < len && ((done == 0 && !side->is_nonblock) || is_ready(side->fd, POLLOUT))) {
        size_t step = len - done < PIPE_STEP ? len - done : PIPE_STEP;
        long put = pel_raw(SYS_write, side->fd, (long)bytes + (long)done, (long)step, 0, 0, 0);
        if (put < 0)
            return done > 0 ? (ssize_t)done : put;
        done += (size_t)put;
    }
    return done > 0 ? (ssize_t)done : -EAGAIN;
}

static ssize_t read_pipe(void *arg, void *bytes, size_t len)
{
    struct side *side = arg;
    if (side->is_nonblock && !is_ready(side->fd, POLLIN))
        return -EAGAIN;
    return pel_raw(SYS_read, side->fd, (long)bytes, (long)len, 0, 0, 0);
}

static bool is_pipe(int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode);
}

PEL_EXPORT ssize_t splice(int in_fd, off64_t *in_offset, int out_fd, off64_t *out_offset, size_t len,
                          unsigned flags)
{
    struct pel_file *in_file = pel_io_file(in_fd), *out_file = pel_io_file(out_fd);
    if (in_file == NULL && out_file == NULL)
        return pel_real()->splice(in_fd, in_offset, out_fd, out_offset, len, flags);
    bool is_nonblock = flags & SPLICE_F_NONBLOCK;
    int other_fd = in_file != NULL ? out_fd : in_fd;
    struct side side = {.fd = other_fd, .is_nonblock = is_nonblock};
    ssize_t result = -EINVAL;
    if ((in_file != NULL && in_offset != NULL) || (out_file != NULL && out_offset != NULL))
        result = -EINVAL;
    else if (in_offset != NULL || out_offset != NULL)
        result = -ESPIPE;
    else if (len == 0)
        result = 0;
    else if (in_file != NULL && out_file == NULL && is_pipe(out_fd) &&
             pel_file_kind(in_file) == PEL_FILE_STREAM)
        result = pel_stream_recv_piece(in_file, len, is_nonblock ? MSG_DONTWAIT : 0, write_pipe, &side);
    else if (out_file != NULL && in_file == NULL && is_pipe(in_fd) &&
             pel_file_kind(out_file) == PEL_FILE_STREAM)
        result = pel_stream_send_piece(out_file, len, is_nonblock ? MSG_DONTWAIT : 0, read_pipe, &side);
    if (in_file != NULL)
        pel_file_put(in_file);
    if (out_file != NULL)
        pel_file_put(out_file);
    return pel_result(result);
}

PEL_EXPORT ssize_t tee(int in_fd, int out_fd, size_t len, unsigned flags)
{
    if (pel_table_peek(in_fd) != NULL || pel_table_peek(out_fd) != NULL)
        return pel_result(-EINVAL);
    return pel_real()->tee(in_fd, out_fd, len, flags);
}
