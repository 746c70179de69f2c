/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/policy/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { LINE_ROOM = 4096, NUM_NAMES = 512, NAME_LEN = 16, GROUP_ITEMS = 8 };

static struct pel_prng prng;
static char names[2][NUM_NAMES][NAME_LEN]; /* users, programs */

static uint32_t throw(uint32_t below)
{
    return (uint32_t)pel_prng_below(&prng, below);
}

static void *alloc(void *old, size_t len)
{
    void *bytes = realloc(old, len);
    if (bytes == NULL) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return bytes;
}

/* ---- addresses ---- */

struct span {
    struct pel_ip low, high;
    unsigned prefix_len; /* 0: a range */
};

static void set_bits(struct pel_ip *ip, unsigned from, bool on)
{
    unsigned bits = ip->version == 4 ? 32 : 128;
    for (unsigned i = from; i < bits; i++) {
        uint8_t bit = (uint8_t)(0x80u >> i % 8);
        ip->bytes[i / 8] = (uint8_t)(on ? ip->bytes[i / 8] | bit : ip->bytes[i / 8] & ~bit);
    }
}

static struct pel_ip throw_ip(bool v6)
{
    static const uint8_t nets[][2] = {{10, 0}, {10, 0}, {172, 16}, {192, 168}, {0, 0}};
    struct pel_ip ip = {.version = v6 ? 6 : 4};
    unsigned net = throw(5);
    if (v6) {
        memcpy(ip.bytes, "\x20\x01\x0d\xb8", 4);
        ip.bytes[4] = (uint8_t) throw(4);
        for (int i = 5; i < 16; i++)
            ip.bytes[i] = i < 8 || i > 13 ? (uint8_t) throw(256) : 0;
        return ip;
    }
    for (int i = 0; i < 4; i++)
        ip.bytes[i] = (uint8_t) throw(256);
    if (net < 4)
        ip.bytes[0] = nets[net][0];
    else
        ip.bytes[0] = (uint8_t)(20 + throw(180));
    if (net == 2)
        ip.bytes[1] = (uint8_t)(16 + throw(16));
    if (net == 3)
        ip.bytes[1] = 168;
    return ip;
}

static struct span throw_span(bool v6)
{
    static const unsigned v4_lens[] = {32, 32, 32, 30, 29, 28, 27, 26, 24, 24, 24, 23, 22, 20, 16},
                          v6_lens[] = {128, 128, 128, 126, 120, 112, 64, 64, 64, 64, 60, 56, 48, 48, 44};
    struct span span = {.low = throw_ip(v6), .prefix_len = (v6 ? v6_lens : v4_lens)[throw(15)]};
    set_bits(&span.low, span.prefix_len, false);
    span.high = span.low;
    set_bits(&span.high, span.prefix_len, true);
    if (throw(4) == 0) { /* a range about there */
        uint8_t *last = &span.high.bytes[v6 ? 15 : 3];
        *last = (uint8_t)(*last + throw(256u - *last));
        span.prefix_len = 0;
    }
    return span;
}

static struct pel_ip throw_inside(const struct span *span)
{
    struct pel_ip ip = span->low;
    int last = ip.version == 4 ? 3 : 15;
    if (span->low.bytes[last] < span->high.bytes[last])
        ip.bytes[last] = (uint8_t)(ip.bytes[last] + throw(span->high.bytes[last] - ip.bytes[last] + 1u));
    return ip;
}

/* ---- text ---- */

__attribute__((format(printf, 2, 3))) static void put(struct rules *rules, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    rules->text_len += (size_t)vsnprintf(rules->text + rules->text_len, LINE_ROOM, format, args);
    va_end(args);
}

static void put_span(struct rules *rules, const struct span *span)
{
    char low[46], high[46];
    pel_ip_format(&span->low, low, sizeof low);
    pel_ip_format(&span->high, high, sizeof high);
    if (span->prefix_len != 0)
        put(rules, "%s/%u\n", low, span->prefix_len);
    else
        put(rules, "%s-%s\n", low, high);
}

static void put_addr_group(struct rules *rules, const char *name, size_t number, bool v6,
                           struct pel_ip *ret_ip)
{
    unsigned num = 2 + throw(GROUP_ITEMS - 1), inside = throw(num);
    put(rules, "IpAddrGroup %s%zu\n{\n", name, number);
    for (unsigned i = 0; i < num; i++) {
        struct span span = throw_span(v6);
        put(rules, "IpAddrSet\n{\n%s ", span.prefix_len != 0 ? "Prefix" : "Range");
        put_span(rules, &span);
        put(rules, "}\n");
        if (i == inside)
            *ret_ip = throw_inside(&span);
    }
    put(rules, "}\n");
}

static uint16_t throw_port(void)
{
    static const uint16_t known[] = {443,  80,   25,  23,  992,  5432, 3306, 6379,
                                     9092, 8443, 389, 636, 1414, 446,  21,   990};
    return throw(2) == 0 ? known[throw(16)] : (uint16_t)(1024 + throw(64000));
}

/* "LocalPortRange 443" or a range, or a group. */
static void put_ports(struct rules *rules, const char *side, size_t number, uint16_t *ret_port)
{
    uint16_t port = throw_port();
    unsigned kind = throw(5), width = throw(100);
    *ret_port = port;
    if (kind == 0)
        put(rules, "%sPortRange %u-%u\n", side, port, port + width > 65535 ? 65535 : port + width);
    else if (kind == 1)
        put(rules, "%sPortGroupRef P%zu\n", side, number % 50);
    else
        put(rules, "%sPortRange %u\n", side, port);
    if (kind == 1)
        *ret_port = (uint16_t)(2000 + number % 50 * 100);
}

static void put_head(struct rules *rules)
{
    put(rules, "TTLSGroupAction G\n{\nTTLSEnabled On\n}\nTTLSGroupAction Clear\n{\nTTLSEnabled Off\n}\n"
               "TTLSEnvironmentAction Server\n{\nHandshakeRole Server\nTTLSKeyringParmsRef K\n}\n"
               "TTLSEnvironmentAction Client\n{\nHandshakeRole Client\nTTLSKeyringParmsRef C\n}\n"
               "TTLSKeyringParms K\n{\nKeyring p256\n}\nTTLSKeyringParms C\n{\nKeyring user\n}\n");
    for (unsigned i = 0; i < 50; i++)
        put(rules, "PortGroup P%u\n{\nPortRange\n{\nPort %u-%u\n}\nPortRange\n{\nPort %u\n}\n}\n", i,
            2000 + i * 100, 2000 + i * 100 + i, 30000 + i * 7);
}

/* ---- rules ---- */

static void put_remote(struct rules *rules, size_t number, bool group, bool v6,
                       struct pel_policy_query *inside)
{
    struct span span = throw_span(v6);
    inside->remote.ip = throw_inside(&span);
    if (group) {
        put(rules, "RemoteAddrGroupRef A%zu\n", number);
        return;
    }
    put(rules, "RemoteAddr ");
    put_span(rules, &span);
}

/* `kind` of 100 says what the rule is about. */
static void put_rule(struct rules *rules, size_t number)
{
    struct pel_policy_query *inside = &rules->inside[number];
    bool v6 = throw(5) >= 3;
    uint32_t kind = throw(100), user = throw(NUM_NAMES), job = throw(NUM_NAMES);
    bool outbound = kind >= 45 && kind < 75, group = kind % 5 == 0;
    *inside = (struct pel_policy_query){.local = {.ip = throw_ip(v6), .port = throw_port()},
                                        .remote = {.ip = throw_ip(v6), .port = throw_port()},
                                        .direction = outbound ? PEL_OUTBOUND : PEL_INBOUND,
                                        .user = names[0][user],
                                        .job = names[1][job]};
    struct pel_ip of_group = {0};
    if (group)
        put_addr_group(rules, "A", number, v6, &of_group);
    put(rules, "TTLSRule R%zu\n{\nDirection %s\nPriority %u\n", number, outbound ? "Outbound" : "Inbound",
        1 + throw(100000));
    if (kind < 97 || group)
        put_remote(rules, number, group, v6, inside);
    if (group)
        inside->remote.ip = of_group;
    if (kind < 75 || kind >= 97)
        put_ports(rules, outbound ? "Remote" : "Local", number,
                  outbound ? &inside->remote.port : &inside->local.port);
    if (kind >= 75 && kind < 90) {
        char text[46];
        put(rules, "LocalAddr %s\n", pel_ip_format(&inside->local.ip, text, sizeof text));
    }
    if (kind >= 85 && kind < 92)
        put(rules, "Userid %s\n", names[0][user]);
    if (kind >= 92 && kind < 97)
        put(rules, "Jobname %s%s\n", names[1][job], throw(3) == 0 ? "*" : "");
    put(rules, "TTLSGroupActionRef %s\nTTLSEnvironmentActionRef %s\n}\n", throw(10) == 0 ? "Clear" : "G",
        outbound ? "Client" : "Server");
}

void rules_make(size_t num, uint64_t seed, struct rules *ret_rules)
{
    size_t cap = 1 << 20;
    struct rules rules = {.num = num, .seed = seed, .text = alloc(NULL, cap)};
    rules.inside = alloc(NULL, (num + 1) * sizeof *rules.inside);
    pel_prng_seed(&prng, seed);
    for (unsigned i = 0; i < NUM_NAMES; i++) {
        snprintf(names[0][i], NAME_LEN, "user%u", i);
        snprintf(names[1][i], NAME_LEN, "app%u", i);
    }
    put_head(&rules);
    for (size_t i = 0; i < num; i++) {
        if (cap - rules.text_len < 4 * LINE_ROOM)
            rules.text = alloc(rules.text, cap *= 2);
        put_rule(&rules, i);
    }
    *ret_rules = rules;
}

void rules_free(struct rules *rules)
{
    free(rules->text);
    free(rules->inside);
}

struct pel_policy_query rules_query(struct rules *rules)
{
    struct pel_policy_query query = rules->inside[throw((uint32_t)rules->num)];
    uint32_t kind = throw(10), what = throw(4);
    bool v6 = throw(5) >= 3;
    if (kind < 6)
        return query;
    if (kind >= 8 || what == 0)
        query.local.port = throw_port();
    if (kind >= 8 || what == 1)
        query.remote.port = throw_port();
    if (kind >= 8)
        query.local.ip = throw_ip(v6);
    if (kind >= 8)
        query.remote.ip = throw_ip(v6);
    else if (what == 2)
        query.remote.ip = throw_ip(query.remote.ip.version == 6);
    if (kind >= 8 || what == 3)
        query.job = names[1][throw(NUM_NAMES)];
    return query;
}
