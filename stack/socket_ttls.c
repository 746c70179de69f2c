/* SPDX-License-Identifier: Apache-2.0 */
/* SIOCTTLSCTL on a socket: the request goes to the engine; a blocking socket waits for what was begun. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/socket_engine.h"

/* One way to the engine and back. Nobody else reads meanwhile: what is unread may become the peer's
 * handshake. */
static int ask(struct pel_stream *stream, struct pel_stream_control_args *args)
{
    args->stream = stream;
    args->cert = NULL;
    pthread_mutex_lock(&stream->rx_lock);
    bool is_asked = pel_home_call(stream->home, pel_stream_control, args);
    pthread_mutex_unlock(&stream->rx_lock);
    return is_asked ? args->error : EPIPE;
}

static int wait_done(struct pel_stream *stream, uint64_t deadline_us)
{
    int error = pel_sock_wait(&stream->sock, EPOLLOUT, deadline_us, NULL, NULL);
    if (error == 0 && (pel_stream_state(stream) & PEL_STREAM_GONE)) {
        error = pel_stream_take_error(stream);
        error = error != 0 ? error : ECONNRESET;
    }
    return error;
}

/* What came of a start or a stop that a blocking socket has waited for. */
static int result_of(struct pel_stream *stream, struct pel_stream_control_args *args)
{
    bool was_init = args->request & TTLS_INIT_CONNECTION;
    args->request = TTLS_QUERY_ONLY;
    int error = ask(stream, args);
    if (error == 0 && was_init && args->facts.stat_conn != TTLS_CONN_SECURE)
        error = ETIMEDOUT;
    return error;
}

static int control(struct pel_stream *stream, struct pel_stream_control_args *args)
{
    bool is_nonblock = __atomic_load_n(&stream->sock.is_nonblock, __ATOMIC_ACQUIRE);
    uint64_t deadline_us = pel_sock_send_deadline(&stream->sock);
    for (;;) {
        int error = ask(stream, args);
        if (is_nonblock || (error != EINPROGRESS && error != EWOULDBLOCK))
            return error;
        free(args->cert);
        args->cert = NULL;
        int wait_error = wait_done(stream, deadline_us);
        if (wait_error != 0)
            return wait_error == EAGAIN ? error : wait_error;
        if (error == EINPROGRESS)
            return result_of(stream, args);
    }
}

int pel_stream_ttls(struct pel_stream *stream, struct TTLS_IOCTL *ioctl)
{
    int error = pel_ttls_check(ioctl);
    if (error != 0)
        return error;
    if (pel_stream_phase(stream) != PEL_PHASE_CONN)
        return ENOTCONN;
    struct pel_stream_control_args args = {.request = ioctl->TTLSi_Req_Type,
                                           .wants_cert = pel_ttls_wants_cert(ioctl)};
    error = control(stream, &args);
    int fill_error = pel_ttls_fill(ioctl, &args.facts, args.cert);
    free(args.cert);
    return error != 0 ? error : fill_error;
}
