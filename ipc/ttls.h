/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control interface's structure (pellucid/ttls.h) on either side of the way to the stack: what is asked
 * is checked before it goes there, what comes back is written into the program's memory. The stack itself
 * sees requests and gives facts. Nothing here allocates; any thread; async-signal-safe.
 */
#ifndef PEL_IPC_TTLS_H
#define PEL_IPC_TTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pellucid/ttls.h>

/* The requests that renew something within a session. */
#define PEL_TTLS_RESETS                                                                                      \
    (TTLS_RESET_SESSION | TTLS_RESET_CIPHER | TTLS_RESET_WRITE_CIPHER | TTLS_SEND_SESSION_TICKET)

/* pel_ttls_only_asks tells whether TTLSi_Req_Type `request` wants to know something, and nothing done. */
static inline bool pel_ttls_only_asks(uint32_t request)
{
    return (request & ~TTLS_RETURN_CERTIFICATE) == 0;
}

/* All that can be known of a connection. Zeros: not known. */
struct pel_ttls_facts {
    uint8_t stat_policy, stat_conn, sec_type; /* TTLS_POL_*, TTLS_CONN_*, TTLS_SEC_* */
    uint8_t is_fips, is_name_checked;
    uint16_t version, cipher, group; /* 0x0304; IANA numbers */
    uint32_t cert_len;
    char user[33]; /* whom the client's certificate stands for */
    char rule[TTLS_NAME_LEN], group_action[TTLS_NAME_LEN], environment_action[TTLS_NAME_LEN],
        connection_action[TTLS_NAME_LEN];
};

/* pel_ttls_check looks at what a program has filled in. Returns 0 or EINVAL, EPERM. */
int pel_ttls_check(const struct TTLS_IOCTL *ioctl);

/* pel_ttls_wants_cert tells whether the certificate is asked for, in either version. */
bool pel_ttls_wants_cert(const struct TTLS_IOCTL *ioctl);

/* pel_ttls_fill writes the facts into the structure, and what is asked for into its buffer; `cert` (may be
 * NULL) has facts->cert_len bytes. Returns 0 or ENOBUFS. Only after pel_ttls_check. */
int pel_ttls_fill(struct TTLS_IOCTL *ioctl, const struct pel_ttls_facts *facts, const uint8_t *cert);

#endif
