/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/value_write.h"

#include <ctype.h>
#include <string.h>

#include "base/addr.h"
#include "policy/ciphers.h"
#include "policy/tables/times.h"

static void write_ip(struct pel_out *out, uint8_t version, const uint8_t bytes[16])
{
    struct pel_ip ip = {.version = version};
    char text[46];
    memcpy(ip.bytes, bytes, sizeof ip.bytes);
    pel_out_text(out, pel_ip_format(&ip, text, sizeof text));
}

/* The length of the prefix that the range is, or -1. */
static int prefix_len(const struct pel_ip_range *range)
{
    int bits = range->version == 4 ? 32 : 128, len = 0;
    while (len < bits && ((range->low[len / 8] ^ range->high[len / 8]) >> (7 - len % 8) & 1) == 0)
        len++;
    for (int i = len; i < bits; i++) {
        if ((range->low[i / 8] >> (7 - i % 8) & 1) != 0 || (range->high[i / 8] >> (7 - i % 8) & 1) != 1)
            return -1;
    }
    return len;
}

static void write_prefix(struct pel_out *out, const struct pel_ip_range *range)
{
    write_ip(out, range->version, range->low);
    pel_out_format(out, "/%d", prefix_len(range));
}

static void write_both_ends(struct pel_out *out, const struct pel_ip_range *range)
{
    write_ip(out, range->version, range->low);
    pel_out_text(out, "-");
    write_ip(out, range->version, range->high);
}

void pel_value_write_range(struct pel_out *out, const struct pel_ip_range *range)
{
    int len = prefix_len(range);
    if (len == 0)
        pel_out_text(out, range->version == 4 ? "All4" : "All6");
    else if (len == (range->version == 4 ? 32 : 128))
        write_ip(out, range->version, range->low);
    else if (len > 0)
        write_prefix(out, range);
    else
        write_both_ends(out, range);
}

void pel_value_write_ports(struct pel_out *out, struct pel_port_range ports)
{
    if (ports.low == 0)
        pel_out_text(out, "0");
    else if (ports.low == ports.high)
        pel_out_format(out, "%u", ports.low);
    else
        pel_out_format(out, "%u-%u", ports.low, ports.high);
}

/* A name as the table spells it, or codes in capitals. */
static void write_cipher(struct pel_out *out, const struct pel_param *param)
{
    const struct pel_cipher *cipher = pel_cipher_by_name(param->text, param->text_len);
    if (cipher != NULL) {
        pel_out_text(out, cipher->name);
        return;
    }
    for (uint32_t i = 0; i < param->text_len; i++) {
        char digit = (char)toupper((unsigned char)param->text[i]);
        pel_out_add(out, &digit, 1);
    }
}

/* Four digits a code, with a blank between them; or Any. */
static void write_codes(struct pel_out *out, const struct pel_param *param)
{
    size_t digits = 0;
    if (param->groups == NULL) {
        pel_out_text(out, "Any");
        return;
    }
    for (uint32_t i = 0; i < param->text_len; i++) {
        if (!isxdigit((unsigned char)param->text[i]))
            continue;
        if (digits > 0 && digits % 4 == 0)
            pel_out_text(out, " ");
        char digit = (char)toupper((unsigned char)param->text[i]);
        pel_out_add(out, &digit, 1);
        digits++;
    }
}

void pel_value_write(struct pel_out *out, const struct pel_param *param)
{
    const struct pel_row *row = param->row;
    switch (row->type) {
    case PEL_V_ENUM: pel_out_text(out, row->values[param->number]); break;
    case PEL_V_UINT: pel_out_format(out, "%u", param->number); break;
    case PEL_V_PORTS:
        pel_value_write_ports(out,
                              (struct pel_port_range){(uint16_t)param->number, (uint16_t)param->number_high});
        break;
    case PEL_V_ADDR: write_ip(out, param->range->version, param->range->low); break;
    case PEL_V_PREFIX: write_prefix(out, param->range); break;
    case PEL_V_RANGE: write_both_ends(out, param->range); break;
    case PEL_V_ADDRSPEC:
        if (param->range == NULL)
            pel_out_text(out, "All");
        else
            pel_value_write_range(out, param->range);
        break;
    case PEL_V_CIPHERS2:
    case PEL_V_CIPHERS4: write_cipher(out, param); break;
    case PEL_V_GROUPS:
    case PEL_V_SIGNATURES: write_codes(out, param); break;
    case PEL_V_PATTERN:
    case PEL_V_LABEL:
    case PEL_V_WORD:
    case PEL_V_TEXT:
    case PEL_V_NAME_LABEL:
    case PEL_V_MASK:
    case PEL_V_HOURS:
    case PEL_V_SPAN:
    case PEL_V_OFFSET:
    case PEL_V_REF: pel_out_add(out, param->text, param->text_len); break;
    case PEL_V_BLOCK: break;
    }
}

/* ---- what a value comes to ---- */

/* 22:00-06:00, though it is two ranges of a day. */
static enum pel_err write_hours(struct pel_out *out, struct pel_arena *scratch, const struct pel_param *param)
{
    struct pel_minutes *ranges = NULL;
    size_t num = 0;
    PEL_TRY(pel_time_minutes(scratch, param, &ranges, &num));
    if (num > 1 && ranges[0].from == 0 && ranges[num - 1].to == 24 * 60) {
        ranges[num - 1].to = ranges[0].to;
        ranges++;
        num--;
    }
    for (size_t i = 0; i < num; i++)
        pel_out_format(out, "%s%02u:%02u-%02u:%02u", i > 0 ? "," : "", ranges[i].from / 60,
                       ranges[i].from % 60, ranges[i].to / 60, ranges[i].to % 60);
    return PEL_OK;
}

/* The second half of a mask of days counts only when it has a 1. */
static void write_mask(struct pel_out *out, const struct pel_param *param)
{
    enum { DAYS = 31 };
    bool every =
        param->row->slot == PEL_SLOT_TIME_DAYS && pel_time_is_every_day(param->number, param->number_high);
    size_t len = param->text_len > DAYS && (param->number_high == 0 || every) ? DAYS : param->text_len;
    for (size_t i = 0; i < len; i++)
        pel_out_add(out, every ? "1" : param->text + i, 1);
}

enum pel_err pel_value_write_canonical(struct pel_out *out, struct pel_arena *scratch,
                                       const struct pel_param *param)
{
    switch (param->row->type) {
    case PEL_V_HOURS: return write_hours(out, scratch, param);
    case PEL_V_MASK: write_mask(out, param); return PEL_OK;
    case PEL_V_NAME_LABEL:
        pel_out_text(out, param->pair);
        pel_out_text(out, " ");
        pel_out_text(out, param->pair + strlen(param->pair) + 1);
        return PEL_OK;
    default: pel_value_write(out, param); return PEL_OK;
    }
}
