/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/ttls.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "apps/preload/daemon.h"
#include "apps/preload/stream.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"

/* The peer's certificate, in a file that the daemon has sent; -1: none. */
struct answer {
    struct pel_ipc_reply reply;
    int cert_fd;
};

/* Nobody reads meanwhile: what is unread may become the peer's handshake. */
static int ask(struct pel_file *file, uint32_t asked, struct answer *answer)
{
    struct pel_ipc_request request = {
        .op = PEL_IPC_TTLS, .slot = file->number, .serial = file->serial, .value = asked};
    struct pel_shared *shared = pel_shared_of(file);
    size_t num_fds = 0;
    answer->cert_fd = -1;
    answer->reply = (struct pel_ipc_reply){.error = 0};
    if (!pel_lock_take(&shared->rx_lock))
        return EDEADLK;
    int error = pel_daemon_ask(file->app, &request, &answer->reply, &answer->cert_fd, 1, &num_fds);
    if (num_fds == 0)
        answer->cert_fd = -1;
    if (answer->reply.is_taken_back)
        pel_stream_consume(file, answer->reply.rx_tail);
    pel_lock_give(&shared->rx_lock);
    return error;
}

static void drop(struct answer *answer)
{
    if (answer->cert_fd >= 0)
        pel_daemon_unhide(answer->cert_fd);
    answer->cert_fd = -1;
}

static int wait_done(struct pel_file *file, int64_t *deadline_us)
{
    int64_t timeout_us = pel_shared_of(file)->send_timeout_us;
    int error = -pel_wait_until(file, PEL_OUT_EVENTS, timeout_us, false, deadline_us);
    if (error == 0 && ((pel_file_state(file) & PEL_SLOT_GONE) || pel_file_is_dead(file))) {
        error = pel_file_take_error(file);
        error = error != 0 ? error : ECONNRESET;
    }
    return error;
}

/* What came of a start or a stop that a blocking socket has waited for. */
static int result_of(struct pel_file *file, uint32_t asked, struct answer *answer)
{
    int error = ask(file, TTLS_QUERY_ONLY | (asked & TTLS_RETURN_CERTIFICATE), answer);
    if (error == 0 && (asked & TTLS_INIT_CONNECTION) && answer->reply.ttls.stat_conn != TTLS_CONN_SECURE)
        error = ETIMEDOUT;
    return error;
}

static int control(struct pel_file *file, uint32_t asked, struct answer *answer)
{
    int64_t deadline_us = 0;
    for (;;) {
        int error = ask(file, asked, answer);
        if ((pel_shared_flags(file) & PEL_SHARED_NONBLOCK) || (error != EINPROGRESS && error != EWOULDBLOCK))
            return error;
        drop(answer);
        int wait_error = wait_done(file, &deadline_us);
        if (wait_error != 0)
            return wait_error == EAGAIN ? error : wait_error;
        if (error == EINPROGRESS)
            return result_of(file, asked, answer);
    }
}

static int fill(struct TTLS_IOCTL *ioctl, const struct answer *answer)
{
    const struct pel_ttls_facts *facts = &answer->reply.ttls;
    if (answer->cert_fd < 0)
        return pel_ttls_fill(ioctl, facts, NULL);
    void *cert = mmap(NULL, facts->cert_len, PROT_READ, MAP_PRIVATE, answer->cert_fd, 0);
    if (cert == MAP_FAILED)
        return ENOMEM;
    int error = pel_ttls_fill(ioctl, facts, cert);
    munmap(cert, facts->cert_len);
    return error;
}

int pel_file_ttls(struct pel_file *file, struct TTLS_IOCTL *ioctl)
{
    struct answer answer;
    enum pel_file_kind kind = pel_file_kind(file);
    if (kind == PEL_FILE_EPOLL)
        return ENOTTY;
    if (kind == PEL_FILE_DGRAM || (kind == PEL_FILE_UNDECIDED && file->type == SOCK_DGRAM))
        return EPROTOTYPE;
    int error = pel_ttls_check(ioctl);
    if (error != 0)
        return error;
    if (kind != PEL_FILE_STREAM || !(pel_shared_flags(file) & PEL_SHARED_CONNECTING))
        return ENOTCONN;
    pel_file_map(file);
    uint32_t asked = ioctl->TTLSi_Req_Type | (pel_ttls_wants_cert(ioctl) ? TTLS_RETURN_CERTIFICATE : 0);
    error = control(file, asked, &answer);
    int fill_error = fill(ioctl, &answer);
    drop(&answer);
    return error != 0 ? error : fill_error;
}
