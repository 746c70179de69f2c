/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session of ours over a connected socket, as the runner expects of its shim: everything waits until it is
 * done. Functions return false after a final error, which link->err and the session's info tell.
 */
#ifndef PEL_TESTS_RUNNER_LINK_H
#define PEL_TESTS_RUNNER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/tls.h"

struct link {
    int fd;
    struct pel_tls *tls;
    bool single;   /* move single bytes in and out of the session */
    bool straight; /* open records where they came, and seal them where they leave from, whenever the session
                      can */
    bool held;     /* what the session wants sent waits */
    bool fin;
    enum pel_err err;
    uint8_t in[20000];
    size_t in_at, in_len;
    uint8_t room[PEL_TLS_ROOM_LEN]; /* what was opened straight, and is not read yet */
    size_t room_at, room_len;
};

/* link_open connects to the runner's port on the loopback. */
bool link_open(struct link *link, uint32_t port);

/* link_flush sends all that the session wants sent, unless held. */
bool link_flush(struct link *link);

/* link_shake goes on until the session is secure. */
bool link_shake(struct link *link);

/* link_read reads at least one byte. `ret_len` 0: the peer has ended, with `ret_clean` by a close_notify. */
bool link_read(struct link *link, uint8_t *bytes, size_t cap, size_t *ret_len, bool *ret_clean);

/* link_write writes and sends all. */
bool link_write(struct link *link, const uint8_t *bytes, size_t len);

/* link_send_one sends one byte of what waits, and holds the rest. */
bool link_send_one(struct link *link);

/* link_close sends what waits, ends the stream and waits for the runner to end its own, so that nothing that
 * was sent is lost to a reset. */
void link_close(struct link *link);

#endif
