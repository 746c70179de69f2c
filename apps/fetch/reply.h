/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A response, read from bytes that arrive piecewise (RFC 9112): head, then the body in pieces, by length,
 * chunked, or to the end of the stream.
 *
 *     start; feed bytes until all are consumed or the state is DONE or BAD; at the end of the stream: end
 *
 * Failure: BAD, with a sentence in `error`. Interim responses (1xx) are skipped. No input or output of its
 * own. Any thread.
 */
#ifndef PEL_APPS_FETCH_REPLY_H
#define PEL_APPS_FETCH_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/http/chunked.h"

#define FETCH_HEAD_MAX_LEN 65536

enum fetch_reply_state {
    FETCH_REPLY_HEAD,
    FETCH_REPLY_SIZED,
    FETCH_REPLY_CHUNKED,
    FETCH_REPLY_TO_END,
    FETCH_REPLY_DONE,
    FETCH_REPLY_BAD,
};

struct fetch_reply {
    enum fetch_reply_state state;
    bool is_for_head; /* no body follows */
    int status;
    char reason[64];
    bool keep_alive;
    uint64_t remaining; /* SIZED */
    struct http_chunked chunked;
    const char *error;
    size_t head_len, scanned;
    char head[FETCH_HEAD_MAX_LEN];
};

/* fetch_reply_start expects a new response, to HEAD if `is_for_head`. */
void fetch_reply_start(struct fetch_reply *reply, bool is_for_head);

/* fetch_reply_feed consumes from `bytes` and returns how many bytes it took; `*ret_data` is the piece of the
 * body among them (length 0: none). Takes nothing when DONE or BAD. */
size_t fetch_reply_feed(struct fetch_reply *reply, const char *bytes, size_t len, struct http_text *ret_data);

/* fetch_reply_end says that the stream has ended: DONE if that is where the body ends, else BAD. */
void fetch_reply_end(struct fetch_reply *reply);

#endif
