/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/rss.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/harness/harness.h"

/* The key and the results of "Verifying the RSS hash calculation" (Windows Driver Kit). */
static const uint8_t published_key[PEL_RSS_KEY_LEN] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct {
    const char *remote, *local;
    uint32_t with_ports, without;
} published[] = {
    {"66.9.149.187:2794", "161.142.100.80:1766", 0x51ccc178, 0x323e8fc2},
    {"199.92.111.2:14230", "65.69.140.83:4739", 0xc626b0ea, 0xd718262a},
    {"24.19.198.95:12898", "12.22.207.184:38024", 0x5c2b394a, 0xd2d0a5de},
    {"38.27.205.30:48228", "209.142.163.6:2217", 0xafc7327f, 0x82989176},
    {"153.39.163.191:44251", "202.188.127.2:1303", 0x10e828a2, 0x5d1809c5},
    {"[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766", 0x40207d3d, 0x2cc18cd5},
    {"[3ffe:501:8::260:97ff:fe40:efab]:14230", "[ff02::1]:4739", 0xdde51bbf, 0x0f0c461c},
    {"[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251", "[fe80::200:f8ff:fe21:67cf]:38024", 0x02d1feef,
     0x4b61e985},
};

static struct pel_endpoint endpoint(const char *text)
{
    struct pel_endpoint e = {0};
    PEL_EXPECT_EQ(pel_endpoint_parse(text, &e), PEL_OK);
    return e;
}

/* A frame with both endpoints; `protocol` and what stands behind the IP header are the caller's. */
static size_t make_frame(uint8_t *frame, const struct pel_endpoint *from, const struct pel_endpoint *to,
                         uint8_t protocol, size_t l4_len)
{
    bool is_ip4 = from->ip.version == 4;
    size_t addr_len = is_ip4 ? 4 : 16, ip_len = is_ip4 ? 20 : 40;
    memset(frame, 0, 14 + ip_len + l4_len);
    frame[12] = is_ip4 ? 0x08 : 0x86;
    frame[13] = is_ip4 ? 0x00 : 0xdd;
    uint8_t *ip = frame + 14;
    ip[0] = is_ip4 ? 0x45 : 0x60;
    if (is_ip4) {
        ip[3] = (uint8_t)(20 + l4_len);
        ip[9] = protocol;
    } else {
        ip[5] = (uint8_t)l4_len;
        ip[6] = protocol;
    }
    memcpy(ip + (is_ip4 ? 12 : 8), from->ip.bytes, addr_len);
    memcpy(ip + (is_ip4 ? 16 : 24), to->ip.bytes, addr_len);
    uint8_t *l4 = ip + ip_len;
    l4[0] = (uint8_t)(from->port >> 8);
    l4[1] = (uint8_t)from->port;
    l4[2] = (uint8_t)(to->port >> 8);
    l4[3] = (uint8_t)to->port;
    return 14 + ip_len + l4_len;
}

PEL_TEST(rss, hash_is_the_published_one)
{
    struct pel_rss rss;
    pel_rss_init(&rss, published_key, 4, 128);
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        struct pel_endpoint remote = endpoint(published[i].remote), local = endpoint(published[i].local);
        struct pel_rss_frame parsed;
        uint8_t frame[128];
        size_t len = make_frame(frame, &remote, &local, 6, 20);
        pel_rss_parse(frame, len, &parsed);
        PEL_EXPECT_EQ(parsed.kind, PEL_RSS_FLOW);
        PEL_EXPECT_EQ(pel_rss_hash(&rss, parsed.tuple, parsed.tuple_len), published[i].with_ports);
        PEL_EXPECT_EQ(pel_rss_flow_queue(&rss, &remote, &local), published[i].with_ports % 128 % 4);
        len = make_frame(frame, &remote, &local, 132, 20);
        pel_rss_parse(frame, len, &parsed);
        PEL_EXPECT_EQ(parsed.kind, PEL_RSS_HOST);
        PEL_EXPECT_EQ(pel_rss_hash(&rss, parsed.tuple, parsed.tuple_len), published[i].without);
    }
}

PEL_TEST(rss, symmetric_key_gives_both_directions_one_queue)
{
    struct pel_rss rss;
    pel_rss_init(&rss, pel_rss_symmetric_key, 3, 128);
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        struct pel_endpoint remote = endpoint(published[i].remote), local = endpoint(published[i].local);
        PEL_EXPECT_EQ(pel_rss_flow_queue(&rss, &remote, &local), pel_rss_flow_queue(&rss, &local, &remote));
    }
}

/* What an error quotes belongs where the answers of the quoted flow arrive. */
PEL_TEST(rss, errors_belong_to_the_flow_that_they_quote)
{
    struct pel_endpoint ours = endpoint("192.0.2.1:50000"), theirs = endpoint("198.51.100.7:443");
    struct pel_endpoint router = endpoint("203.0.113.9:0");
    struct pel_endpoint ours6 = endpoint("[2001:db8::1]:50000"), theirs6 = endpoint("[2001:db8:7::7]:443");
    struct pel_endpoint router6 = endpoint("[2001:db8:9::9]:0");
    struct pel_rss_frame flow, error;
    uint8_t quoted[128], frame[200];
    size_t len = make_frame(quoted, &theirs, &ours, 6, 20);
    pel_rss_parse(quoted, len, &flow);
    len = make_frame(quoted, &ours, &theirs, 6, 8) - 14;
    size_t all_len = make_frame(frame, &router, &ours, 1, 8 + len);
    frame[34] = 3;
    memcpy(frame + 42, quoted + 14, len);
    pel_rss_parse(frame, all_len, &error);
    PEL_EXPECT_EQ(error.kind, PEL_RSS_FLOW);
    PEL_EXPECT_EQ(error.type, 0);
    PEL_EXPECT_EQ(error.tuple_len, flow.tuple_len);
    PEL_EXPECT_EQ(memcmp(error.tuple, flow.tuple, flow.tuple_len), 0);

    len = make_frame(quoted, &theirs6, &ours6, 17, 20);
    pel_rss_parse(quoted, len, &flow);
    len = make_frame(quoted, &ours6, &theirs6, 17, 8) - 14;
    all_len = make_frame(frame, &router6, &ours6, 58, 8 + len);
    frame[54] = 2;
    memcpy(frame + 62, quoted + 14, len);
    pel_rss_parse(frame, all_len, &error);
    PEL_EXPECT_EQ(error.kind, PEL_RSS_FLOW);
    PEL_EXPECT_EQ(error.tuple_len, flow.tuple_len);
    PEL_EXPECT_EQ(memcmp(error.tuple, flow.tuple, flow.tuple_len), 0);
}

static enum pel_rss_kind kind_of(const uint8_t *frame, size_t len)
{
    struct pel_rss_frame parsed;
    pel_rss_parse(frame, len, &parsed);
    return parsed.kind;
}

PEL_TEST(rss, what_is_no_flow)
{
    struct pel_endpoint a = endpoint("192.0.2.1:0"), b = endpoint("192.0.2.2:0");
    struct pel_endpoint a6 = endpoint("[2001:db8::1]:0"), b6 = endpoint("[2001:db8::2]:0");
    uint8_t frame[128] = {[12] = 0x08, [13] = 0x06, [21] = 1, [31] = 1, [41] = 2};
    PEL_EXPECT_EQ(kind_of(frame, 42), PEL_RSS_FIRST); /* who has */
    frame[41] = 1;
    PEL_EXPECT_EQ(kind_of(frame, 42), PEL_RSS_EVERYONE); /* an announcement */
    frame[21] = 2;
    frame[41] = 2;
    PEL_EXPECT_EQ(kind_of(frame, 42), PEL_RSS_EVERYONE); /* is at */
    PEL_EXPECT_EQ(kind_of(frame, 41), PEL_RSS_BROKEN);
    static const struct {
        uint8_t type;
        enum pel_rss_kind kind;
    } rows[] = {{128, PEL_RSS_HOST},     {133, PEL_RSS_FIRST},    {134, PEL_RSS_FIRST}, {135, PEL_RSS_FIRST},
                {136, PEL_RSS_EVERYONE}, {137, PEL_RSS_EVERYONE}, {130, PEL_RSS_FIRST}, {1, PEL_RSS_HOST}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = make_frame(frame, &a6, &b6, 58, 24);
        frame[54] = rows[i].type;
        PEL_EXPECT_EQ(kind_of(frame, len), rows[i].kind);
    }
    size_t len = make_frame(frame, &a, &b, 6, 20);
    frame[20] = 0x20; /* more fragments */
    PEL_EXPECT_EQ(kind_of(frame, len), PEL_RSS_HOST);
    frame[20] = 0x40; /* may not be cut */
    PEL_EXPECT_EQ(kind_of(frame, len), PEL_RSS_FLOW);
    len = make_frame(frame, &a6, &b6, 44, 28); /* a fragment of TCP */
    frame[54] = 6;
    PEL_EXPECT_EQ(kind_of(frame, len), PEL_RSS_HOST);
    len = make_frame(frame, &a6, &b6, 60, 28); /* TCP behind options */
    frame[54] = 6;
    PEL_EXPECT_EQ(kind_of(frame, len), PEL_RSS_FLOW);
}

/* Cut and bent frames: nothing is read beyond the end (the sanitizer looks), and every answer is in range. */
PEL_TEST(rss, bent_frames)
{
    struct pel_prng prng;
    struct pel_rss rss;
    pel_prng_seed(&prng, 4711);
    pel_rss_init(&rss, published_key, 4, 128);
    for (int i = 0; i < 20000; i++) {
        struct pel_endpoint from = endpoint(published[i % 8].remote), to = endpoint(published[i % 8].local);
        static const uint8_t protocols[] = {1, 2, 6, 17, 58, 0, 43, 44, 60};
        uint8_t frame[200];
        struct pel_rss_frame parsed;
        size_t len = make_frame(frame, &from, &to, protocols[pel_prng_below(&prng, sizeof protocols)], 60);
        for (int k = 0; k < 4; k++)
            frame[12 + pel_prng_below(&prng, len - 12)] = (uint8_t)pel_prng_next(&prng);
        len = pel_prng_below(&prng, len + 1);
        uint8_t *exact = malloc(len + 1);
        memcpy(exact + 1, frame, len);
        pel_rss_parse(exact + 1, len, &parsed);
        free(exact);
        PEL_REQUIRE(parsed.tuple_len <= PEL_RSS_TUPLE_MAX);
        PEL_REQUIRE(pel_rss_frame_queue(&rss, &parsed) < 4);
    }
}
