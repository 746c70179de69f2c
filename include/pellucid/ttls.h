/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control interface: how a program asks what TLS its connection has, and, where the policy says
 * ApplicationControlled On, starts and stops it (STARTTLS of SMTP, AUTH TLS and CCC of FTP). Names, meanings
 * and errors are those of z/OS (IP Programmer's Guide, "Application Transparent Transport Layer Security
 * (AT-TLS)": SIOCTTLSCTL), the numbers and the layout are our own: a program is compiled with this header.
 *
 *     struct TTLS_IOCTL ttls = {.TTLSi_Ver = TTLS_VERSION1, .TTLSi_Req_Type = TTLS_INIT_CONNECTION};
 *     if (ioctl(fd, SIOCTTLSCTL, &ttls) != 0) ...
 *
 * Called as ioctl under `pel run`, where it reaches the stack (a socket of the kernel's answers ENOTTY or
 * EINVAL), as pel_ioctl (pellucid/socket.h), or as pel_conn_ttls (pellucid/engine.h). It is one of the points
 * at which an accepted connection is mapped.
 *
 * TTLS_INIT_CONNECTION: what was written before leaves in clear first. What the peer has sent and the program
 * has not read is taken as the peer's handshake: nothing that was sent in clear can be read as if it had come
 * under TLS. A blocking socket waits until the handshake is done (0) or has failed (ECONNRESET); another one,
 * and one whose SO_SNDTIMEO is over, gets EINPROGRESS and is writable when it is done. A failed handshake
 * resets the connection.
 *
 * TTLS_STOP_CONNECTION: what was written before leaves under TLS first; then close_notify, and the connection
 * is in clear once the peer's has come as well. Waits, or EINPROGRESS, as above. A peer that sends its
 * close_notify first is read as an end of file (0); TTLS_STOP_CONNECTION after that answers it, and the
 * stream goes on in clear. A peer that does not answer for a minute is reset.
 *
 * errno, with the fields filled in all the same:
 *     EACCES      the policy says ApplicationControlled Off: the program may ask, not control
 *     EALREADY    INIT: TLS is there; STOP: it was stopped
 *     EBADF, ENOTTY, EFAULT as usual
 *     ECONNRESET  a blocking call: the handshake failed
 *     EDEADLK     from a signal handler that interrupted a call on the same socket
 *     EINPROGRESS an INIT or STOP has begun, and is not waited for or not done within SO_SNDTIMEO
 *     EWOULDBLOCK a handshake or a stop is under way already, and is not waited for, as above
 *     EINTR       a signal handler ended the wait; what was begun goes on
 *     EINVAL      version, request or buffer that cannot be
 *     ENOBUFS     the buffer is too small; TTLSi_Cert_Len or BytesNeeded says what it wants
 *     ENOMEM      out of memory: nothing was begun, or no certificate copied
 *     ENOTCONN    not connected yet
 *     EOPNOTSUPP  the policy enables no TLS here; new keys before TLS 1.3; TTLS_SEND_SESSION_TICKET: the
 *                 handshake library sends tickets with the handshake alone (see
 *                 GSK_SESSION_TICKET_SERVER_COUNT)
 *     EPERM       INIT with RESET or STOP; STOP with RESET; ALLOW_HSTIMEOUT without INIT
 *     EPIPE       the connection, or the direction that is needed, has ended
 *     EPROTO      RESET or STOP before INIT; STOP with unread data; ALLOW_HSTIMEOUT as a client, or without
 *                 HandshakeTimeout
 *     EPROTOTYPE  not a TCP socket
 *     ETIMEDOUT   a blocking INIT with ALLOW_HSTIMEOUT: the peer did not begin; the connection is in clear
 */
#ifndef PELLUCID_TTLS_H
#define PELLUCID_TTLS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIOCTTLSCTL 0xC038D90BUL

/* TTLSi_Ver. With version 2 the buffer begins with struct TTLSHeader. */
#define TTLS_VERSION1 1
#define TTLS_VERSION2 2

/* TTLSi_Req_Type: a sum of these. */
#define TTLS_QUERY_ONLY          0x00000000u
#define TTLS_RETURN_CERTIFICATE  0x00000001u /* the peer's, as DER, into the buffer */
#define TTLS_INIT_CONNECTION     0x00000002u
#define TTLS_RESET_SESSION       0x00000004u /* the peer's next handshake is a full one */
#define TTLS_RESET_CIPHER        0x00000008u /* TLS 1.3: new keys, both ways */
#define TTLS_RESET_WRITE_CIPHER  0x00000010u /* TLS 1.3: new keys of what is sent */
#define TTLS_SEND_SESSION_TICKET 0x00000020u
#define TTLS_STOP_CONNECTION     0x00000040u
#define TTLS_ALLOW_HSTIMEOUT     0x00000080u /* with INIT: a client that does not begin is no failure */

/* TTLSi_Stat_Policy */
#define TTLS_POL_OFF         1
#define TTLS_POL_NO_POLICY   2 /* no rule matched */
#define TTLS_POL_NOT_ENABLED 3 /* the rule says TTLSEnabled Off */
#define TTLS_POL_ENABLED     4
#define TTLS_POL_APPLCNTRL   5 /* ApplicationControlled On */

/* TTLSi_Stat_Conn */
#define TTLS_CONN_NOTSECURE     1
#define TTLS_CONN_HS_INPROGRESS 2 /* also: a stop is under way */
#define TTLS_CONN_SECURE        3

/* TTLSi_Sec_Type: the policy's HandshakeRole and ClientAuthType */
#define TTLS_SEC_UNKNOWN       0
#define TTLS_SEC_CLIENT        1
#define TTLS_SEC_SERVER        2
#define TTLS_SEC_SRV_CA_PASS   3
#define TTLS_SEC_SRV_CA_FULL   4
#define TTLS_SEC_SRV_CA_REQD   5
#define TTLS_SEC_SRV_CA_SAFCHK 6

/* 56 bytes, the same everywhere. */
struct TTLS_IOCTL {
    uint8_t TTLSi_Ver;         /* in: TTLS_VERSION1 or TTLS_VERSION2 */
    uint8_t TTLSi_Stat_Policy; /* out, as all others but those marked "in" */
    uint8_t TTLSi_Stat_Conn;
    uint8_t TTLSi_Sec_Type;
    uint32_t TTLSi_Req_Type;   /* in */
    uint8_t TTLSi_SSL_ProtVer; /* 3, 4 for TLS 1.3; 0, 0: not secure */
    uint8_t TTLSi_SSL_ProtMod;
    char TTLSi_Neg_Cipher[2];   /* "2F"; "4X": it stands in the next field */
    char TTLSi_Neg_Cipher4[4];  /* "1301", "C02F": the IANA number */
    char TTLSi_Neg_KeyShare[4]; /* "0029": the named group in decimal digits, as policies write them */
    uint8_t TTLSi_FIPS140;      /* 1: FIPS140 On */
    uint8_t TTLSi_UserID_Len;   /* 0: the client's certificate stands for no user, or one of a longer name */
    uint8_t TTLSi_Reserved[2];
    char TTLSi_UserID[16];
    uint64_t TTLSi_BufferPtr; /* in: (uintptr_t) of the buffer; 0: none */
    uint32_t TTLSi_BufferLen; /* in */
    uint32_t TTLSi_Cert_Len;  /* of the peer's certificate; 0: it has shown none */
};

/* The buffer of version 2: this, GetCount entries of struct TTLSQuadruplet, and behind them the values that
 * they lead to. */
#define TTLS_HEADER_IDENT "TTLSHDR "
struct TTLSHeader {
    char TTLSHdr_Ident[8]; /* in */
    uint8_t TTLSHdr_Reserved[8];
    uint32_t TTLSHdr_BytesNeeded; /* out: how long the whole buffer has to be */
    uint32_t TTLSHdr_SetCount;    /* in: 0, there is nothing to set */
    uint32_t TTLSHdr_GetCount;    /* in */
    uint8_t TTLSHdr_Reserved2[16];
};

#define TTLS_KEY_HOST_STATUS                                                                                 \
    4000 /* Rcode alone: 0 the certificate is for the name, 1 there is none, 2 it is not */
#define TTLS_KEY_CERTIFICATE        4001
#define TTLS_KEY_RULE               4002 /* names: 48 bytes, ending in NULs */
#define TTLS_KEY_GROUP_ACTION       4003
#define TTLS_KEY_ENVIRONMENT_ACTION 4004
#define TTLS_KEY_CONNECTION_ACTION  4005
#define TTLS_NAME_LEN               48

struct TTLSQuadruplet {
    uint32_t TTLSQ_Key;    /* in */
    uint32_t TTLSQ_Offset; /* out: from the header's first byte; 0: no value */
    uint32_t TTLSQ_Length;
    uint32_t TTLSQ_Rcode;
};

#ifdef __cplusplus
}
#endif
#endif
