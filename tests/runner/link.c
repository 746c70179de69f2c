/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runner/link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { MAX_PIECES = 64 };

static int connect_to(const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, address, len) == 0)
        return fd;
    close(fd);
    return -1;
}

bool link_open(struct link *link, uint32_t port)
{
    struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    link->fd = connect_to((const struct sockaddr *)&six, sizeof six);
    if (link->fd < 0)
        link->fd = connect_to((const struct sockaddr *)&four, sizeof four);
    return link->fd >= 0;
}

static bool note(struct link *link, enum pel_err err)
{
    if (err != PEL_OK && link->err == PEL_OK)
        link->err = err;
    return err == PEL_OK;
}

/* A peer that is gone is no error here: what it sent before may still be read, and its end comes with that.
 */
static void send_bytes(const struct link *link, const uint8_t *bytes, size_t len)
{
    for (ssize_t n = 0; len > 0 && (n = send(link->fd, bytes, len, MSG_NOSIGNAL)) > 0; len -= (size_t)n)
        bytes += n;
}

bool link_flush(struct link *link)
{
    size_t len = 0;
    const uint8_t *bytes = NULL;
    while (!link->held && (bytes = pel_tls_out_peek(link->tls, &len), len > 0)) {
        uint8_t gathered[4096];
        size_t num = 0;
        if (!link->single) {
            send_bytes(link, bytes, len);
            pel_tls_out_consume(link->tls, len);
            continue;
        }
        for (; len > 0 && num < sizeof gathered; bytes = pel_tls_out_peek(link->tls, &len)) {
            gathered[num++] = bytes[0];
            pel_tls_out_consume(link->tls, 1);
        }
        send_bytes(link, gathered, num);
    }
    return true;
}

bool link_send_one(struct link *link)
{
    size_t len = 0;
    const uint8_t *bytes = pel_tls_out_peek(link->tls, &len);
    if (len == 0)
        return false;
    send_bytes(link, bytes, 1);
    pel_tls_out_consume(link->tls, 1);
    link->held = true;
    return true;
}

/* Waits for more bytes; at the end of the stream `fin` is set, and what is there stays. */
static void receive(struct link *link)
{
    if (link->in_len > 0)
        memmove(link->in, link->in + link->in_at, link->in_len);
    link->in_at = 0;
    ssize_t n = recv(link->fd, link->in + link->in_len, sizeof link->in - link->in_len, 0);
    link->fin = n <= 0;
    link->in_len += n > 0 ? (size_t)n : 0;
}

static bool feed_some(struct link *link)
{
    struct pel_clock clock = pel_clock_real();
    size_t used_len = 0, len = link->single ? 1 : link->in_len;
    enum pel_err err =
        pel_tls_feed(link->tls, link->in + link->in_at, len, pel_clock_now_us(&clock), &used_len);
    link->in_at += used_len;
    link->in_len -= used_len;
    return note(link, err);
}

/* The received bytes as pieces: single bytes, or of 1, 3, 5, … bytes; the last has the rest. */
static size_t cut(const struct link *link, struct pel_piece *ret_pieces)
{
    size_t num = 0, at = 0;
    while (at < link->in_len) {
        size_t len = link->single ? 1 : 2 * num + 1;
        if (num == MAX_PIECES - 1 || len > link->in_len - at)
            len = link->in_len - at;
        ret_pieces[num++] = (struct pel_piece){link->in + link->in_at + at, len};
        at += len;
    }
    return num;
}

/* Opens the next record straight. AGAIN: there is no whole one. */
static enum pel_err open_some(struct link *link)
{
    struct pel_piece pieces[MAX_PIECES];
    size_t used_len = 0;
    link->room_at = link->room_len = 0;
    enum pel_err err = pel_tls_open(link->tls, pieces, cut(link, pieces), link->room, sizeof link->room,
                                    &used_len, &link->room_len);
    if (err == PEL_OK) {
        link->in_at += used_len;
        link->in_len -= used_len;
    }
    return err;
}

/* Brings some bytes to the session, waiting for them. */
static bool feed(struct link *link)
{
    (void)link_flush(link);
    if (link->straight && pel_tls_is_straight(link->tls)) {
        enum pel_err err = open_some(link);
        if (err != PEL_E_AGAIN)
            return note(link, err);
    } else if (link->in_len > 0) {
        return feed_some(link);
    }
    receive(link);
    if (!link->fin)
        return true;
    while (link->in_len > 0)
        if (!feed_some(link))
            return false;
    return note(link, pel_tls_feed_fin(link->tls));
}

bool link_shake(struct link *link)
{
    while (!pel_tls_is_secure(link->tls))
        if (!feed(link))
            return false;
    return link_flush(link);
}

bool link_read(struct link *link, uint8_t *bytes, size_t cap, size_t *ret_len, bool *ret_clean)
{
    enum pel_err err = PEL_OK;
    *ret_len = 0;
    while (link->room_at == link->room_len &&
           (err = pel_tls_read(link->tls, bytes, cap, ret_len)) == PEL_E_AGAIN)
        if (!feed(link))
            return false;
    if (link->room_at < link->room_len) {
        size_t left_len = link->room_len - link->room_at;
        *ret_len = left_len < cap ? left_len : cap;
        memcpy(bytes, link->room + link->room_at, *ret_len);
        link->room_at += *ret_len;
        return true;
    }
    *ret_clean = err == PEL_E_EOF;
    if (err == PEL_E_EOF || err == PEL_E_TLS_TRUNCATED)
        return true;
    return note(link, err);
}

/* Seals and sends one record straight. `ret_len` 0: not now. */
static enum pel_err write_straight(struct link *link, const uint8_t *bytes, size_t len, size_t *ret_len)
{
    static uint8_t record[PEL_TLS_RECORD_LEN + 256];
    size_t part_len = len < PEL_TLS_RECORD_LEN ? len : PEL_TLS_RECORD_LEN;
    size_t record_len = link->straight && !link->held ? pel_tls_sealed_len(link->tls, part_len) : 0;
    *ret_len = record_len > 0 ? part_len : 0;
    if (record_len == 0)
        return PEL_OK;
    PEL_TRY(pel_tls_seal(link->tls, bytes, part_len, record));
    send_bytes(link, record, record_len);
    return PEL_OK;
}

bool link_write(struct link *link, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        size_t part_len = 0;
        enum pel_err err = write_straight(link, bytes, len, &part_len);
        if (err == PEL_OK && part_len == 0)
            err = pel_tls_write(link->tls, bytes, len, &part_len);
        if (err != PEL_E_AGAIN && !note(link, err))
            return false;
        bytes += part_len;
        len -= part_len;
        if (!link_flush(link))
            return false;
    }
    return true;
}

void link_close(struct link *link)
{
    uint8_t rest[1024];
    link->held = false;
    (void)link_flush(link);
    (void)shutdown(link->fd, SHUT_WR);
    while (recv(link->fd, rest, sizeof rest, 0) > 0)
        ;
    close(link->fd);
}
