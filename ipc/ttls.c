/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/ttls.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert(sizeof(struct TTLS_IOCTL) == 56, "the size is part of the request's number");
static_assert(sizeof(struct TTLSHeader) == 44, "part of the layout");

#define REQUESTS                                                                                             \
    (PEL_TTLS_RESETS | TTLS_RETURN_CERTIFICATE | TTLS_INIT_CONNECTION | TTLS_STOP_CONNECTION |               \
     TTLS_ALLOW_HSTIMEOUT)

/* ---- what is asked ---- */

static uint8_t *buffer_of(const struct TTLS_IOCTL *ioctl)
{
    return (uint8_t *)(uintptr_t)ioctl->TTLSi_BufferPtr;
}

static bool has_buffer(const struct TTLS_IOCTL *ioctl)
{
    return ioctl->TTLSi_BufferPtr != 0 && ioctl->TTLSi_BufferLen > 0;
}

/* The buffer has no particular alignment. */
static struct TTLSHeader header_of(const struct TTLS_IOCTL *ioctl)
{
    struct TTLSHeader header;
    memcpy(&header, buffer_of(ioctl), sizeof header);
    return header;
}

static size_t entry_at(uint32_t number)
{
    return sizeof(struct TTLSHeader) + number * sizeof(struct TTLSQuadruplet);
}

static struct TTLSQuadruplet entry_of(const struct TTLS_IOCTL *ioctl, uint32_t number)
{
    struct TTLSQuadruplet entry;
    memcpy(&entry, buffer_of(ioctl) + entry_at(number), sizeof entry);
    return entry;
}

static bool is_header_fine(const struct TTLS_IOCTL *ioctl)
{
    if (ioctl->TTLSi_BufferLen < sizeof(struct TTLSHeader))
        return false;
    const struct TTLSHeader header = header_of(ioctl);
    if (memcmp(header.TTLSHdr_Ident, TTLS_HEADER_IDENT, sizeof header.TTLSHdr_Ident) != 0 ||
        header.TTLSHdr_SetCount != 0 || header.TTLSHdr_GetCount > ioctl->TTLSi_BufferLen ||
        entry_at(header.TTLSHdr_GetCount) > ioctl->TTLSi_BufferLen)
        return false;
    for (uint32_t i = 0; i < header.TTLSHdr_GetCount; i++) {
        uint32_t key = entry_of(ioctl, i).TTLSQ_Key;
        if (key < TTLS_KEY_HOST_STATUS || key > TTLS_KEY_CONNECTION_ACTION)
            return false;
    }
    return true;
}

static bool is_buffer_fine(const struct TTLS_IOCTL *ioctl)
{
    bool wants_cert = ioctl->TTLSi_Req_Type & TTLS_RETURN_CERTIFICATE;
    if (ioctl->TTLSi_Ver == TTLS_VERSION1)
        return has_buffer(ioctl) == wants_cert;
    return !wants_cert && (!has_buffer(ioctl) || is_header_fine(ioctl));
}

int pel_ttls_check(const struct TTLS_IOCTL *ioctl)
{
    uint32_t request = ioctl->TTLSi_Req_Type;
    bool is_init = request & TTLS_INIT_CONNECTION, is_stop = request & TTLS_STOP_CONNECTION;
    if ((ioctl->TTLSi_Ver != TTLS_VERSION1 && ioctl->TTLSi_Ver != TTLS_VERSION2) || (request & ~REQUESTS) ||
        !is_buffer_fine(ioctl))
        return EINVAL;
    if ((is_init && (is_stop || (request & PEL_TTLS_RESETS))) || (is_stop && (request & PEL_TTLS_RESETS)) ||
        ((request & TTLS_ALLOW_HSTIMEOUT) && !is_init))
        return EPERM;
    return 0;
}

bool pel_ttls_wants_cert(const struct TTLS_IOCTL *ioctl)
{
    if (ioctl->TTLSi_Ver == TTLS_VERSION1)
        return ioctl->TTLSi_Req_Type & TTLS_RETURN_CERTIFICATE;
    uint32_t num = has_buffer(ioctl) ? header_of(ioctl).TTLSHdr_GetCount : 0;
    for (uint32_t i = 0; i < num; i++)
        if (entry_of(ioctl, i).TTLSQ_Key == TTLS_KEY_CERTIFICATE)
            return true;
    return false;
}

/* ---- what is answered ---- */

static void put_digits(char *text, size_t len, uint32_t number, uint32_t base)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = len; i-- > 0; number /= base)
        text[i] = digits[number % base];
}

static void fill_fields(struct TTLS_IOCTL *ioctl, const struct pel_ttls_facts *facts)
{
    ioctl->TTLSi_Stat_Policy = facts->stat_policy;
    ioctl->TTLSi_Stat_Conn = facts->stat_conn;
    ioctl->TTLSi_Sec_Type = facts->sec_type;
    ioctl->TTLSi_SSL_ProtVer = (uint8_t)(facts->version >> 8);
    ioctl->TTLSi_SSL_ProtMod = (uint8_t)facts->version;
    ioctl->TTLSi_FIPS140 = facts->is_fips;
    size_t user_len = strnlen(facts->user, sizeof facts->user);
    bool fits = user_len <= sizeof ioctl->TTLSi_UserID;
    memset(ioctl->TTLSi_UserID, 0, sizeof ioctl->TTLSi_UserID);
    ioctl->TTLSi_UserID_Len = fits ? (uint8_t)user_len : 0;
    memcpy(ioctl->TTLSi_UserID, facts->user, ioctl->TTLSi_UserID_Len);
    memset(ioctl->TTLSi_Neg_Cipher, ' ', sizeof ioctl->TTLSi_Neg_Cipher);
    memset(ioctl->TTLSi_Neg_Cipher4, ' ', sizeof ioctl->TTLSi_Neg_Cipher4);
    memset(ioctl->TTLSi_Neg_KeyShare, ' ', sizeof ioctl->TTLSi_Neg_KeyShare);
    ioctl->TTLSi_Cert_Len = facts->cert_len;
    if (facts->cipher != 0)
        put_digits(ioctl->TTLSi_Neg_Cipher4, 4, facts->cipher, 16);
    if (facts->cipher > 0xff)
        memcpy(ioctl->TTLSi_Neg_Cipher, "4X", 2);
    else if (facts->cipher != 0)
        put_digits(ioctl->TTLSi_Neg_Cipher, 2, facts->cipher, 16);
    if (facts->group != 0 && facts->group < 10000)
        put_digits(ioctl->TTLSi_Neg_KeyShare, 4, facts->group, 10);
}

struct value {
    const void *bytes;
    uint32_t len, rcode;
};

static struct value value_of(uint32_t key, const struct pel_ttls_facts *facts, const uint8_t *cert)
{
    switch (key) {
    case TTLS_KEY_HOST_STATUS:
        return (struct value){.rcode = facts->cert_len == 0 ? 1 : facts->is_name_checked ? 0 : 2};
    case TTLS_KEY_CERTIFICATE: return (struct value){cert, cert != NULL ? facts->cert_len : 0, cert == NULL};
    case TTLS_KEY_RULE: return (struct value){facts->rule, TTLS_NAME_LEN, 0};
    case TTLS_KEY_GROUP_ACTION: return (struct value){facts->group_action, TTLS_NAME_LEN, 0};
    case TTLS_KEY_ENVIRONMENT_ACTION: return (struct value){facts->environment_action, TTLS_NAME_LEN, 0};
    default: return (struct value){facts->connection_action, TTLS_NAME_LEN, 0};
    }
}

/* Writes what fits and says how much would have been needed. */
static int fill_values(struct TTLS_IOCTL *ioctl, const struct pel_ttls_facts *facts, const uint8_t *cert)
{
    struct TTLSHeader header = header_of(ioctl);
    size_t at = entry_at(header.TTLSHdr_GetCount);
    for (uint32_t i = 0; i < header.TTLSHdr_GetCount; i++) {
        struct TTLSQuadruplet entry = entry_of(ioctl, i);
        const struct value value = value_of(entry.TTLSQ_Key, facts, cert);
        bool fits = value.len > 0 && at + value.len <= ioctl->TTLSi_BufferLen;
        entry.TTLSQ_Offset = fits ? (uint32_t)at : 0;
        entry.TTLSQ_Length = fits ? value.len : 0;
        entry.TTLSQ_Rcode = value.rcode;
        if (fits)
            memcpy(buffer_of(ioctl) + at, value.bytes, value.len);
        memcpy(buffer_of(ioctl) + entry_at(i), &entry, sizeof entry);
        at += value.len;
    }
    header.TTLSHdr_BytesNeeded = (uint32_t)at;
    memcpy(buffer_of(ioctl), &header, sizeof header);
    return at <= ioctl->TTLSi_BufferLen ? 0 : ENOBUFS;
}

int pel_ttls_fill(struct TTLS_IOCTL *ioctl, const struct pel_ttls_facts *facts, const uint8_t *cert)
{
    fill_fields(ioctl, facts);
    if (!has_buffer(ioctl))
        return 0;
    if (ioctl->TTLSi_Ver == TTLS_VERSION2)
        return fill_values(ioctl, facts, cert);
    if (facts->cert_len > ioctl->TTLSi_BufferLen)
        return ENOBUFS;
    if (cert != NULL)
        memcpy(buffer_of(ioctl), cert, facts->cert_len);
    return 0;
}
