/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "policy/value.h"

enum { IP_TEXT_LEN = 46 };

static bool parse_ip(const char *text, size_t text_len, struct pel_ip *ret_ip)
{
    char copy[IP_TEXT_LEN];
    if (text_len == 0 || text_len >= sizeof copy)
        return false;
    memcpy(copy, text, text_len);
    copy[text_len] = '\0';
    return pel_ip_parse(copy, ret_ip) == PEL_OK;
}

static bool is_mapped(const struct pel_ip *ip)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return ip->version == 6 && memcmp(ip->bytes, prefix, sizeof prefix) == 0;
}

static void fail_form(struct pel_value_ctx *ctx)
{
    static const char *const forms[] = {
        [PEL_V_ADDR] = "an IP address",
        [PEL_V_PREFIX] = "ADDRESS/LENGTH",
        [PEL_V_RANGE] = "ADDRESS-ADDRESS",
        [PEL_V_ADDRSPEC] = "an IP address, ADDRESS/LENGTH, ADDRESS-ADDRESS or All",
    };
    struct pel_shown shown = pel_diag_show(ctx->word.text, ctx->word.len);
    pel_value_fail(ctx, ctx->word.pos, "\"%s\" is not %s", shown.text, forms[ctx->param->row->type]);
}

/* The original takes a number for an address, 6793 for 0.0.26.137; it is always a port in the wrong place. */
static void fail_number(struct pel_value_ctx *ctx)
{
    bool local = ctx->param->row->slot == PEL_SLOT_LOCAL_ADDR;
    pel_value_fail(ctx, ctx->word.pos, "\"%s\" is a number, not an IP address; a port goes into %s",
                   pel_diag_show(ctx->word.text, ctx->word.len).text,
                   local ? "LocalPortRange" : "RemotePortRange");
}

/* Whether IPv4 is written as IPv6, which would match nothing; reported then. */
static bool fails_as_ipv4(struct pel_value_ctx *ctx, const struct pel_ip *ip)
{
    static const uint8_t zeros[12] = {0};
    bool mapped = is_mapped(ip);
    bool compatible = ip->version == 6 && memcmp(ip->bytes, zeros, sizeof zeros) == 0 &&
                      memcmp(ip->bytes + 12, zeros, 3) != 0; /* not :: or ::1 */
    if (mapped || compatible)
        pel_value_fail(ctx, ctx->word.pos, "\"%s\" is an IPv4-%s IPv6 address; write it as IPv4",
                       pel_diag_show(ctx->word.text, ctx->word.len).text, mapped ? "mapped" : "compatible");
    return mapped || compatible;
}

/* ::/96 and what lies in it, but for single addresses, of which :: and ::1 are no IPv4. */
static void fail_as_block(struct pel_value_ctx *ctx, const struct pel_ip_range *range)
{
    static const uint8_t zeros[12] = {0};
    bool compatible = range->version == 6 && memcmp(range->high, zeros, sizeof zeros) == 0 &&
                      memcmp(range->low, range->high, sizeof range->low) != 0;
    if (compatible)
        pel_value_fail(ctx, ctx->word.pos, "\"%s\" is IPv4-compatible IPv6 (::/96); write it as IPv4",
                       pel_diag_show(ctx->word.text, ctx->word.len).text);
}

static void set_prefix(struct pel_ip_range *range, const struct pel_ip *ip, size_t prefix_len)
{
    size_t ip_len = ip->version == 4 ? 4 : 16;
    range->version = ip->version;
    for (size_t i = 0; i < ip_len; i++) {
        size_t bits = prefix_len > i * 8 ? prefix_len - i * 8 : 0;
        uint8_t mask = bits >= 8 ? 0xff : (uint8_t)(0xff00u >> bits);
        range->low[i] = ip->bytes[i] & mask;
        range->high[i] = (uint8_t)(ip->bytes[i] | (uint8_t)~mask);
    }
}

static void read_prefix(struct pel_value_ctx *ctx, const char *slash, struct pel_ip_range *range)
{
    const struct pel_word *word = &ctx->word;
    struct pel_ip ip;
    uint64_t prefix_len;
    size_t ip_len = (size_t)(slash - word->text);
    if (!parse_ip(word->text, ip_len, &ip) ||
        !pel_value_number(slash + 1, word->len - ip_len - 1, &prefix_len)) {
        fail_form(ctx);
        return;
    }
    unsigned longest = ip.version == 4 ? 32 : 128;
    if (fails_as_ipv4(ctx, &ip))
        return;
    if (prefix_len > longest)
        pel_value_fail(ctx, ctx->word.pos, "the prefix length %llu is out of range (0 to %u)",
                       (unsigned long long)prefix_len, longest);
    else
        set_prefix(range, &ip, (size_t)prefix_len);
    if (!ctx->param->bad)
        fail_as_block(ctx, range);
}

static void read_range(struct pel_value_ctx *ctx, const char *dash, struct pel_ip_range *range)
{
    const struct pel_word *word = &ctx->word;
    struct pel_ip low, high;
    size_t low_len = (size_t)(dash - word->text);
    if (!parse_ip(word->text, low_len, &low) || !parse_ip(dash + 1, word->len - low_len - 1, &high)) {
        fail_form(ctx);
    } else if (fails_as_ipv4(ctx, &low) || fails_as_ipv4(ctx, &high)) {
        return;
    } else if (low.version != high.version) {
        pel_value_fail(ctx, word->pos, "a range of IPv4 and IPv6 together");
    } else if (memcmp(low.bytes, high.bytes, sizeof low.bytes) > 0) {
        struct pel_shown shown = pel_diag_show(word->text, word->len);
        pel_value_fail(ctx, word->pos, "the range \"%s\" runs backwards", shown.text);
    } else {
        range->version = low.version;
        memcpy(range->low, low.bytes, sizeof range->low);
        memcpy(range->high, high.bytes, sizeof range->high);
        fail_as_block(ctx, range);
    }
}

static void read_single(struct pel_value_ctx *ctx, struct pel_ip_range *range)
{
    struct pel_ip ip;
    uint64_t number;
    if (ctx->param->row->type == PEL_V_ADDRSPEC && pel_value_number(ctx->word.text, ctx->word.len, &number))
        fail_number(ctx);
    else if (!parse_ip(ctx->word.text, ctx->word.len, &ip))
        fail_form(ctx);
    else if (!fails_as_ipv4(ctx, &ip))
        set_prefix(range, &ip, ip.version == 4 ? 32 : 128);
}

static bool is_text(const struct pel_word *word, const char *text)
{
    return word->len == strlen(text) && strncasecmp(word->text, text, word->len) == 0;
}

enum pel_err pel_value_addr(struct pel_value_ctx *ctx)
{
    enum pel_value_type type = ctx->param->row->type;
    const struct pel_word *word = &ctx->word;
    bool any_form = type == PEL_V_ADDRSPEC;
    const char *slash = memchr(word->text, '/', word->len), *dash = memchr(word->text, '-', word->len);
    const struct pel_ip v4 = {.version = 4}, v6 = {.version = 6};
    if (any_form && is_text(word, "All"))
        return PEL_OK;
    struct pel_ip_range *range = pel_arena_alloc(&ctx->parse->model->arena, sizeof *range);
    if (range == NULL)
        return PEL_E_NO_MEMORY;
    ctx->param->range = range;
    if (any_form && is_text(word, "All4"))
        set_prefix(range, &v4, 0);
    else if (any_form && is_text(word, "All6"))
        set_prefix(range, &v6, 0);
    else if (slash != NULL && (any_form || type == PEL_V_PREFIX))
        read_prefix(ctx, slash, range);
    else if (dash != NULL && (any_form || type == PEL_V_RANGE))
        read_range(ctx, dash, range);
    else if (any_form || type == PEL_V_ADDR)
        read_single(ctx, range);
    else
        fail_form(ctx);
    if (!ctx->param->bad)
        pel_value_no_dash(ctx, "ADDRESS-ADDRESS");
    return PEL_OK;
}
