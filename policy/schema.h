/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of the policy language: which statements there are, which parameters each takes, of what
 * type, in which bounds, with which default, and whether Pellucid acts on it. It drives the parser, every
 * error text and the nearest known word; nothing else in the project knows a keyword. Source of the rows: IBM
 * z/OS 3.1 IP Configuration Reference, with Pellucid's own defaults where it differs.
 *
 * To make a parameter effective: give its row a slot, drop `no_effect`, and read the slot where rules are
 * compiled.
 */
#ifndef PEL_POLICY_SCHEMA_H
#define PEL_POLICY_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pel_stmt_type {
    PEL_S_SKIPPED, /* an unknown block, read over */
    PEL_S_RULE,
    PEL_S_GROUP_ACTION,
    PEL_S_ENV_ACTION,
    PEL_S_CONN_ACTION,
    PEL_S_GROUP_ADV,
    PEL_S_ENV_ADV,
    PEL_S_CONN_ADV,
    PEL_S_KEYRING,
    PEL_S_CIPHERS,
    PEL_S_SIGNATURE,
    PEL_S_GSK_ADV,
    PEL_S_GSK_LDAP,
    PEL_S_GSK_OCSP,
    PEL_S_GSK_CDP,
    PEL_S_IP_ADDR,
    PEL_S_IP_ADDR_SET,
    PEL_S_IP_ADDR_GROUP,
    PEL_S_PORT_RANGE,
    PEL_S_PORT_GROUP,
    PEL_S_IP_TIME,
    PEL_S_NR
};

enum pel_value_type {
    PEL_V_ENUM,       /* one of `values` */
    PEL_V_UINT,       /* min to max */
    PEL_V_ADDR,       /* one address */
    PEL_V_PREFIX,     /* ADDRESS/LENGTH */
    PEL_V_RANGE,      /* ADDRESS-ADDRESS */
    PEL_V_ADDRSPEC,   /* any of these, or All, All4, All6 */
    PEL_V_PORTS,      /* n, n-m, n:m, n m */
    PEL_V_PATTERN,    /* up to max bytes, a * at the end matches any rest */
    PEL_V_LABEL,      /* the rest of the line, which may be empty */
    PEL_V_WORD,       /* one word of up to max bytes */
    PEL_V_TEXT,       /* the rest of the line, not empty, up to max bytes */
    PEL_V_CIPHERS2,   /* names, or codes of two hexadecimal digits */
    PEL_V_CIPHERS4,   /* names, or codes of four */
    PEL_V_GROUPS,     /* named groups as four decimal digits each, or Any */
    PEL_V_SIGNATURES, /* signature algorithms as four hexadecimal digits each, or Any */
    PEL_V_NAME_LABEL, /* a host name and the label of a certificate */
    PEL_V_MASK,       /* min or max digits 0 or 1 */
    PEL_V_HOURS,      /* hh:mm-hh:mm, several with commas */
    PEL_V_SPAN,       /* yyyymmddhhmmss:yyyymmddhhmmss */
    PEL_V_OFFSET,     /* +hh:mm or -hh:mm */
    PEL_V_REF,        /* the name of a statement of type `target` */
    PEL_V_BLOCK,      /* a statement of type `target` in its own braces */
};

/* Parameters with one slot fill one place: the last of them in a block holds. */
enum pel_slot {
    PEL_SLOT_NONE,
    PEL_SLOT_LOCAL_ADDR,
    PEL_SLOT_REMOTE_ADDR,
    PEL_SLOT_LOCAL_PORT,
    PEL_SLOT_REMOTE_PORT,
    PEL_SLOT_JOB,
    PEL_SLOT_USER,
    PEL_SLOT_DIRECTION,
    PEL_SLOT_PRIORITY,
    PEL_SLOT_TIME,
    PEL_SLOT_GROUP_ACTION,
    PEL_SLOT_ENV_ACTION,
    PEL_SLOT_CONN_ACTION,
    PEL_SLOT_ENABLED,
    PEL_SLOT_TRACE,
    PEL_SLOT_ROLE,
    PEL_SLOT_KEYRING_PARMS,
    PEL_SLOT_CIPHER_PARMS,
    PEL_SLOT_SIGNATURE_PARMS,
    PEL_SLOT_ADVANCED,
    PEL_SLOT_GSK,
    PEL_SLOT_SESSION_TIMEOUT,
    PEL_SLOT_SESSION_CACHE,
    PEL_SLOT_CLIENT_TICKETS,
    PEL_SLOT_CLIENT_TICKET_LEN,
    PEL_SLOT_CLIENT_TICKETS_KEPT,
    PEL_SLOT_SERVER_TICKETS,
    PEL_SLOT_SERVER_TICKET_CIPHER,
    PEL_SLOT_SERVER_TICKET_COUNT,
    PEL_SLOT_SERVER_TICKET_TIMEOUT,
    PEL_SLOT_SERVER_TICKET_REFRESH,
    PEL_SLOT_LDAP,
    PEL_SLOT_OCSP,
    PEL_SLOT_CDP,
    PEL_SLOT_SSLV2,
    PEL_SLOT_SSLV3,
    PEL_SLOT_TLSV1,
    PEL_SLOT_TLSV1_1,
    PEL_SLOT_TLSV1_2,
    PEL_SLOT_TLSV1_3,
    PEL_SLOT_APPL_CONTROLLED,
    PEL_SLOT_SECONDARY_MAP,
    PEL_SLOT_HANDSHAKE_TIMEOUT,
    PEL_SLOT_CERT_LABEL,
    PEL_SLOT_SERVER_CERT_LABEL,
    PEL_SLOT_CLIENT_AUTH,
    PEL_SLOT_REF_DNS,
    PEL_SLOT_REF_CN,
    PEL_SLOT_REF_WILDCARDS,
    PEL_SLOT_RESET_CIPHER,
    PEL_SLOT_CLIENT_SNI,
    PEL_SLOT_SERVER_SNI,
    PEL_SLOT_CLIENT_SNI_MATCH,
    PEL_SLOT_SERVER_SNI_MATCH,
    PEL_SLOT_CLIENT_SNI_NAME,
    PEL_SLOT_SERVER_SNI_NAME,
    PEL_SLOT_RENEGOTIATION_INDICATOR,
    PEL_SLOT_DES_KEY_CHECK,
    PEL_SLOT_MIN_CERT_VERSION,
    PEL_SLOT_MIN_RSA,
    PEL_SLOT_MIN_ECC,
    PEL_SLOT_CLIENT_MASTER_SECRET,
    PEL_SLOT_SERVER_MASTER_SECRET,
    PEL_SLOT_SUITE_B,
    PEL_SLOT_FIPS,
    PEL_SLOT_KEYRING,
    PEL_SLOT_KEYRING_PW,
    PEL_SLOT_KEYRING_STASH,
    PEL_SLOT_CIPHERS,
    PEL_SLOT_CLIENT_CURVES,
    PEL_SLOT_SERVER_CURVES,
    PEL_SLOT_CLIENT_SHARES,
    PEL_SLOT_SERVER_SHARES,
    PEL_SLOT_SIGNATURES,
    PEL_SLOT_CERT_SIGNATURES,
    PEL_SLOT_ADDR_ITEM,
    PEL_SLOT_PORT_ITEM,
    PEL_SLOT_TIME_DAYS,
    PEL_SLOT_TIME_MONTHS,
    PEL_SLOT_TIME_WEEKDAYS,
    PEL_SLOT_TIME_OF_DAY,
    PEL_SLOT_TIME_SPAN,
    PEL_SLOT_TIME_OFFSET,
    PEL_SLOT_TIME_ZONE,
    PEL_SLOT_NR
};

enum pel_row_flag {
    PEL_ROW_REPEAT = 1,   /* may stand several times in a block */
    PEL_ROW_REQUIRED = 2, /* its slot must be filled */
    PEL_ROW_SECRET = 4,   /* never shown in a message */
};

/* What is said when one value of an ENUM is coded. */
enum pel_value_remark_kind {
    PEL_REMARK_NO_EFFECT, /* a note: accepted, no effect: TEXT */
    PEL_REMARK_NOTE,      /* a note: TEXT */
    PEL_REMARK_CANNOT,    /* an error: it cannot be met: TEXT */
};
struct pel_value_remark {
    uint32_t value;
    enum pel_value_remark_kind kind;
    const char *text;
};

struct pel_row {
    const char *name;
    size_t name_len;
    enum pel_value_type type;
    enum pel_slot slot;
    unsigned flags; /* enum pel_row_flag */
    uint64_t min, max;
    const char *const *values; /* PEL_V_ENUM: ends with NULL; the value is the index */
    const char *default_value; /* as a policy would write it; NULL: none */
    enum pel_stmt_type target; /* PEL_V_REF, PEL_V_BLOCK */
    const char *no_effect;     /* why nothing acts on it here; NULL: something does */
    const struct pel_value_remark
        *remarks;     /* PEL_V_ENUM: of single values; ends with a NULL text; may be NULL */
    const char *help; /* for the manual: what it does, in a few words */
};

struct pel_statement_schema {
    const char *name;
    size_t name_len;
    const char *no_effect; /* why nothing acts on the whole statement; NULL: something does */
    const char *help;
    const struct pel_row *rows;
    size_t num_rows;
};

enum { PEL_OFF, PEL_ON };              /* of every On/Off parameter */
enum { PEL_ZONE_LOCAL, PEL_ZONE_UTC }; /* of TimeZone */

/* pel_schema returns the statement's schema. Any thread. */
const struct pel_statement_schema *pel_schema(enum pel_stmt_type type);

/* pel_schema_find returns the statement of that keyword (letters without case), or PEL_S_SKIPPED. Any thread.
 * */
enum pel_stmt_type pel_schema_find(const char *word, size_t word_len);

/* pel_schema_row returns the statement's row of that keyword (letters without case), or NULL. Any thread. */
const struct pel_row *pel_schema_row(enum pel_stmt_type type, const char *word, size_t word_len);

/* pel_schema_nearest returns the keyword nearest to `word` among the parameters of `type`, or among the
 * statements when `type` is PEL_S_SKIPPED; NULL when none is near. Any thread. */
const char *pel_schema_nearest(enum pel_stmt_type type, const char *word);

/* pel_schema_no_effect returns why the row of that statement has no effect here, for itself or with the whole
 * statement, or NULL. Any thread. */
const char *pel_schema_no_effect(enum pel_stmt_type type, const struct pel_row *row);

/* pel_schema_remark returns what is said of an ENUM's value, or NULL. Any thread. */
const struct pel_value_remark *pel_schema_remark(const struct pel_row *row, uint32_t value);

/* pel_schema_places writes the statements that take the parameter, "A, B or C", into `text` and returns their
 * number. Any thread. */
size_t pel_schema_places(const char *word, size_t word_len, char *text, size_t cap);

#endif
