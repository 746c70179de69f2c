/* SPDX-License-Identifier: Apache-2.0 */
/* What a program asks of its connection's TLS: to the engine and back. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stack/engine.h"
#include "stack/serve/parts.h"

/* A certificate is longer than a message should be. */
static int file_of(const uint8_t *bytes, size_t len)
{
    int fd = memfd_create("certificate", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, bytes, len) == (ssize_t)len)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int pel_served_ttls(struct pel_served *served, uint32_t request, struct pel_ipc_reply *reply, int *ret_fd)
{
    struct pel_served_control_args args = {.served = served, .request = request};
    if (served->kind == PEL_SERVED_DGRAM)
        return EPROTOTYPE;
    if (served->kind != PEL_SERVED_STREAM)
        return ENOTCONN;
    pel_engine_call(served->home->engine, pel_served_stream_control, &args);
    reply->ttls = args.facts;
    reply->rx_tail = args.rx_tail;
    reply->is_taken_back = args.is_taken_back;
    if (args.cert != NULL && (*ret_fd = file_of(args.cert, args.facts.cert_len)) < 0)
        args.error = ENOMEM;
    free(args.cert);
    return args.error;
}
