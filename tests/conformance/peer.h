/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of a case: a process with plain sockets that does what a case asks for, one order at a time,
 * over a Unix socket that keeps the borders of messages. It lives on the other side of the wire.
 */
#ifndef PEL_TESTS_CONFORMANCE_PEER_H
#define PEL_TESTS_CONFORMANCE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum peer_op {
    PEER_LISTEN,    /* port, num: backlog */
    PEER_ACCEPT,    /* other: the listener's slot */
    PEER_CONNECT,   /* port: ours */
    PEER_DATAGRAM,  /* a datagram socket with a port */
    PEER_SEND,      /* bytes */
    PEER_FILL,      /* num bytes of the pattern */
    PEER_RECV,      /* num bytes, or until the end */
    PEER_SEND_TO,   /* bytes to our port */
    PEER_RECV_FROM, /* one datagram */
    PEER_SHUTDOWN,  /* num: how */
    PEER_CLOSE,
    PEER_RESET,
    PEER_AWAIT, /* num: poll's events; other: for so many ms, 0: a while */
    PEER_SECURED,
    PEER_BUFFER, /* num: SO_RCVBUF */
    PEER_URGENT, /* bytes, as urgent data */
};

enum { PEER_SLOTS = 24, PEER_TEXT = 1024 };
enum { LISTENER, CONN, CONN2, CONN3, DGRAM, DGRAM2, HOLE, ECHO };

struct peer_request {
    int op, slot, other, family;
    int later_ms; /* above 0: not answered, and done after this time; orders that follow wait */
    uint16_t port;
    int64_t num;
    char ip[64]; /* whom to connect or send to; where to listen */
    size_t len;
    char bytes[PEER_TEXT];
};

struct peer_reply {
    int64_t rc;
    int error; /* errno when rc is -1; for PEER_RECV how it ended, 0: by the end of file or the count */
    uint16_t port;
    int is_end, is_wrong;
    size_t len;
    char bytes[PEER_TEXT];
};

/* The pattern's byte at an offset. */
static inline uint8_t peer_pattern(int64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8));
}

/* peer_serve listens on a Unix socket at `path` for cases until it is killed; returns an exit status. An
 * eager peer accepts by itself, before it is told to. */
int peer_serve(const char *path, const char *const ips[2], bool is_eager);

/* ---- What a case asks for (peer_client.c); every failure of the peer gives up the case ---- */

uint16_t peer_listen(int slot, int family);
uint16_t peer_listen_on(int slot, int family, uint16_t port, int backlog);
void peer_accept(int slot, int listener_slot);
void peer_connect(int slot, int family, uint16_t port);
uint16_t peer_datagram(int slot, int family);
void peer_send(int slot, const char *text);
void peer_fill(int slot, int64_t num);
void peer_secured(int slot); /* await_secured, at the peer */
void peer_shutdown(int slot, int how);
void peer_close(int slot);
void peer_reset(int slot);
void peer_buffer(int slot, int64_t len);
void peer_urgent(int slot, const char *text);
void peer_send_to(int slot, int family, uint16_t port, const char *text, size_t len);

/* The next order is not waited for: it is done `ms` after those before it. */
void peer_later(int ms);

/* peer_connects is peer_connect whose failure is an outcome: says "peer.connect=...". */
void peer_connects(int slot, int family, uint16_t port);

/* peer_says adds what the peer reads: up to `num` bytes or the end, as text when short, else whether the
 * pattern was right; and how it ended. peer_says_datagram: one datagram. peer_awaits adds the events that it
 * sees of those asked for. */
void peer_says(int slot, int64_t num);
void peer_says_datagram(int slot);
void peer_awaits(int slot, int events);
void peer_awaits_for(int slot, int events, int ms);

/* peer_waits is peer_awaits that says nothing; returns whether one came. peer_counts adds how many of `num`
 * bytes came, whatever they are. */
bool peer_waits(int slot, int events);
void peer_counts(int slot, int64_t num);

/* peer_has reads `num` bytes and gives up when they are not what the pattern says; peer_ends reads on to the
 * end. */
void peer_has(int slot, int64_t num);

/* Connects to the peer process; where the case's addresses come from. */
void peer_attach(const char *path, const char *const self_ips[2], const char *const peer_ips[2]);
const char *self_ip(int family);
const char *peer_ip(int family);

/* An address that nobody has, where a listener with a full queue would not do; NULL: it will. */
extern const char *peer_hole_ip;

#endif
