/* SPDX-License-Identifier: Apache-2.0 */
/* What a program may fill in, what it gets back, and what garbage does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/ttls.h"
#include "tests/harness/harness.h"

static const struct pel_ttls_facts secure = {.stat_policy = TTLS_POL_APPLCNTRL,
                                             .stat_conn = TTLS_CONN_SECURE,
                                             .sec_type = TTLS_SEC_CLIENT,
                                             .is_fips = 1,
                                             .is_name_checked = 1,
                                             .version = 0x0303,
                                             .cipher = 0xc02f,
                                             .group = 23,
                                             .cert_len = 5,
                                             .rule = "RULE",
                                             .connection_action = "CONN"};

static struct TTLS_IOCTL with(uint8_t version, uint32_t request, void *buffer, uint32_t len)
{
    return (struct TTLS_IOCTL){.TTLSi_Ver = version,
                               .TTLSi_Req_Type = request,
                               .TTLSi_BufferPtr = (uintptr_t)buffer,
                               .TTLSi_BufferLen = len};
}

PEL_TEST(ttls, what_may_be_asked)
{
    uint8_t buffer[8];
    static const struct {
        uint8_t version;
        uint32_t request;
        bool has_buffer;
        int error;
    } rows[] = {
        {1, TTLS_QUERY_ONLY, false, 0},
        {2, TTLS_QUERY_ONLY, false, 0},
        {0, TTLS_QUERY_ONLY, false, EINVAL},
        {3, TTLS_QUERY_ONLY, false, EINVAL},
        {1, TTLS_QUERY_ONLY, true, EINVAL},
        {1, TTLS_RETURN_CERTIFICATE, true, 0},
        {1, TTLS_RETURN_CERTIFICATE, false, EINVAL},
        {2, TTLS_RETURN_CERTIFICATE, false, EINVAL},
        {2, TTLS_QUERY_ONLY, true, EINVAL}, /* no header */
        {1, 0x100, false, EINVAL},
        {1, TTLS_INIT_CONNECTION, false, 0},
        {1, TTLS_INIT_CONNECTION | TTLS_ALLOW_HSTIMEOUT, false, 0},
        {1, TTLS_ALLOW_HSTIMEOUT, false, EPERM},
        {1, TTLS_STOP_CONNECTION | TTLS_ALLOW_HSTIMEOUT, false, EPERM},
        {1, TTLS_INIT_CONNECTION | TTLS_STOP_CONNECTION, false, EPERM},
        {1, TTLS_INIT_CONNECTION | TTLS_RESET_SESSION, false, EPERM},
        {1, TTLS_STOP_CONNECTION | TTLS_SEND_SESSION_TICKET, false, EPERM},
        {1, TTLS_RESET_SESSION | TTLS_RESET_CIPHER, false, 0},
    };
    memset(buffer, 0, sizeof buffer);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct TTLS_IOCTL ioctl = with(rows[i].version, rows[i].request, rows[i].has_buffer ? buffer : NULL,
                                       rows[i].has_buffer ? sizeof buffer : 0);
        PEL_EXPECT_EQ(pel_ttls_check(&ioctl), rows[i].error);
    }
}

PEL_TEST(ttls, the_fields)
{
    struct TTLS_IOCTL ioctl = with(1, 0, NULL, 0);
    struct pel_ttls_facts old = {.version = 0x0303, .cipher = 0x2f};
    PEL_EXPECT_EQ(pel_ttls_fill(&ioctl, &secure, NULL), 0);
    PEL_EXPECT_EQ(ioctl.TTLSi_SSL_ProtVer, 3);
    PEL_EXPECT_EQ(ioctl.TTLSi_SSL_ProtMod, 3);
    PEL_EXPECT_MEM(ioctl.TTLSi_Neg_Cipher, "4X", 2);
    PEL_EXPECT_MEM(ioctl.TTLSi_Neg_Cipher4, "C02F", 4);
    PEL_EXPECT_MEM(ioctl.TTLSi_Neg_KeyShare, "0023", 4);
    PEL_EXPECT_EQ(ioctl.TTLSi_FIPS140, 1);
    PEL_EXPECT_EQ(ioctl.TTLSi_Cert_Len, 5);
    PEL_EXPECT_EQ(pel_ttls_fill(&ioctl, &old, NULL), 0);
    PEL_EXPECT_MEM(ioctl.TTLSi_Neg_Cipher, "2F", 2);
    PEL_EXPECT_MEM(ioctl.TTLSi_Neg_Cipher4, "002F", 4);
    PEL_EXPECT_MEM(ioctl.TTLSi_Neg_KeyShare, "    ", 4);
    PEL_EXPECT_EQ(ioctl.TTLSi_FIPS140, 0);
}

PEL_TEST(ttls, the_certificate_fits_or_its_length_is_told)
{
    uint8_t buffer[8] = {0};
    struct TTLS_IOCTL ioctl = with(1, TTLS_RETURN_CERTIFICATE, buffer, 5);
    PEL_EXPECT(pel_ttls_wants_cert(&ioctl));
    PEL_EXPECT_EQ(pel_ttls_fill(&ioctl, &secure, (const uint8_t *)"12345"), 0);
    PEL_EXPECT_STR((char *)buffer, "12345");
    ioctl.TTLSi_BufferLen = 4;
    memset(buffer, 0, sizeof buffer);
    PEL_EXPECT_EQ(pel_ttls_fill(&ioctl, &secure, (const uint8_t *)"12345"), ENOBUFS);
    PEL_EXPECT_EQ(ioctl.TTLSi_Cert_Len, 5);
    PEL_EXPECT_EQ(buffer[0], 0);
}

static size_t make_buffer(uint8_t *buffer, const uint32_t *keys, uint32_t num)
{
    struct TTLSHeader header = {.TTLSHdr_GetCount = num};
    memcpy(header.TTLSHdr_Ident, TTLS_HEADER_IDENT, 8);
    memcpy(buffer, &header, sizeof header);
    for (uint32_t i = 0; i < num; i++) {
        struct TTLSQuadruplet entry = {.TTLSQ_Key = keys[i]};
        memcpy(buffer + sizeof header + i * sizeof entry, &entry, sizeof entry);
    }
    return sizeof header + num * sizeof(struct TTLSQuadruplet);
}

/* At an odd address, as the structure allows, and in a heap block of just its length. */
PEL_TEST(ttls, the_second_version)
{
    static const uint32_t keys[] = {TTLS_KEY_HOST_STATUS, TTLS_KEY_RULE, TTLS_KEY_CERTIFICATE,
                                    TTLS_KEY_CONNECTION_ACTION};
    size_t want_len = sizeof(struct TTLSHeader) + 4 * sizeof(struct TTLSQuadruplet) + 2 * TTLS_NAME_LEN + 5;
    for (size_t len = sizeof(struct TTLSHeader) + 4 * sizeof(struct TTLSQuadruplet); len <= want_len; len++) {
        uint8_t *block = calloc(1, len + 1), *buffer = block + 1;
        struct TTLSQuadruplet entries[4];
        struct TTLSHeader header;
        make_buffer(buffer, keys, 4);
        struct TTLS_IOCTL ioctl = with(2, 0, buffer, (uint32_t)len);
        PEL_EXPECT_EQ(pel_ttls_check(&ioctl), 0);
        PEL_EXPECT(pel_ttls_wants_cert(&ioctl));
        PEL_EXPECT_EQ(pel_ttls_fill(&ioctl, &secure, (const uint8_t *)"12345"),
                      len == want_len ? 0 : ENOBUFS);
        memcpy(&header, buffer, sizeof header);
        memcpy(entries, buffer + sizeof header, sizeof entries);
        PEL_EXPECT_EQ(header.TTLSHdr_BytesNeeded, want_len);
        PEL_EXPECT_EQ(entries[0].TTLSQ_Rcode, 0);
        if (len == want_len) {
            PEL_EXPECT_STR((char *)buffer + entries[1].TTLSQ_Offset, "RULE");
            PEL_EXPECT_MEM(buffer + entries[2].TTLSQ_Offset, "12345", 5);
            PEL_EXPECT_EQ(entries[2].TTLSQ_Length, 5);
            PEL_EXPECT_STR((char *)buffer + entries[3].TTLSQ_Offset, "CONN");
        }
        free(block);
    }
}

PEL_TEST(ttls, no_certificate_and_no_name)
{
    static const uint32_t keys[] = {TTLS_KEY_HOST_STATUS, TTLS_KEY_CERTIFICATE};
    const struct pel_ttls_facts unknown = {.stat_conn = TTLS_CONN_NOTSECURE}, unchecked = {.cert_len = 5};
    struct TTLSQuadruplet entries[2];
    uint8_t buffer[256];
    size_t len = make_buffer(buffer, keys, 2);
    struct TTLS_IOCTL ioctl = with(2, 0, buffer, (uint32_t)len);
    PEL_EXPECT_EQ(pel_ttls_fill(&ioctl, &unknown, NULL), 0);
    memcpy(entries, buffer + sizeof(struct TTLSHeader), sizeof entries);
    PEL_EXPECT_EQ(entries[0].TTLSQ_Rcode, 1);
    PEL_EXPECT_EQ(entries[1].TTLSQ_Rcode, 1);
    PEL_EXPECT_EQ(entries[1].TTLSQ_Offset, 0);
    PEL_EXPECT_EQ(pel_ttls_fill(&ioctl, &unchecked, NULL), 0);
    memcpy(entries, buffer + sizeof(struct TTLSHeader), sizeof entries);
    PEL_EXPECT_EQ(entries[0].TTLSQ_Rcode, 2);
}

/* The structure may lead anywhere as long as it says that nothing is there. */
PEL_TEST(ttls, a_buffer_of_no_length_is_not_looked_at)
{
    struct TTLS_IOCTL ioctl = with(2, TTLS_INIT_CONNECTION, (void *)(uintptr_t)16, 0);
    PEL_EXPECT_EQ(pel_ttls_check(&ioctl), 0);
    PEL_EXPECT(!pel_ttls_wants_cert(&ioctl));
    PEL_EXPECT_EQ(pel_ttls_fill(&ioctl, &secure, NULL), 0);
}

PEL_TEST(ttls, headers_that_cannot_be)
{
    uint32_t key = TTLS_KEY_RULE, wrong = 4006;
    uint8_t buffer[256];
    size_t len = make_buffer(buffer, &key, 1);
    struct TTLS_IOCTL ioctl = with(2, 0, buffer, (uint32_t)len);
    PEL_EXPECT_EQ(pel_ttls_check(&ioctl), 0);
    ioctl.TTLSi_BufferLen--; /* the entry is cut */
    PEL_EXPECT_EQ(pel_ttls_check(&ioctl), EINVAL);
    ioctl.TTLSi_BufferLen = sizeof(struct TTLSHeader) - 1;
    PEL_EXPECT_EQ(pel_ttls_check(&ioctl), EINVAL);
    ioctl.TTLSi_BufferLen = (uint32_t)len;
    static const uint32_t counts[] = {2, 100, 0x0fffffff, 0x10000000, 0xffffffff};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        memcpy(buffer + offsetof(struct TTLSHeader, TTLSHdr_GetCount), &counts[i], 4);
        PEL_EXPECT_EQ(pel_ttls_check(&ioctl), EINVAL);
    }
    make_buffer(buffer, &wrong, 1);
    PEL_EXPECT_EQ(pel_ttls_check(&ioctl), EINVAL);
    make_buffer(buffer, &key, 1);
    buffer[3] = 'X';
    PEL_EXPECT_EQ(pel_ttls_check(&ioctl), EINVAL);
    make_buffer(buffer, &key, 1);
    buffer[offsetof(struct TTLSHeader, TTLSHdr_SetCount)] = 1;
    PEL_EXPECT_EQ(pel_ttls_check(&ioctl), EINVAL);
}
