/* SPDX-License-Identifier: Apache-2.0 */
/* The values of IpTimeCondition. Each keeps its text too, for those who write it again. */
#include <stdio.h>
#include <string.h>

#include "policy/tables/times.h"
#include "policy/value.h"

enum { MOST_RANGES = 32, MOST_OFFSET_MINUTES = 14 * 60, STAMP_LEN = 14 };

static enum pel_err keep_text(struct pel_value_ctx *ctx)
{
    ctx->param->text = pel_arena_strndup(ctx->parse->kept, ctx->word.text, ctx->word.len);
    ctx->param->text_len = (uint32_t)ctx->word.len;
    return ctx->param->text == NULL ? PEL_E_NO_MEMORY : PEL_OK;
}

/* So many digits. */
static bool read_digits(const char *text, size_t len, uint64_t *ret_number)
{
    return len <= 4 && pel_value_number(text, len, ret_number);
}

/* ---- masks ---- */

/* The first digit is bit 0. Bits from 31 on count from the last day of the month. */
static void read_mask(struct pel_value_ctx *ctx)
{
    const struct pel_row *row = ctx->param->row;
    const struct pel_word *word = &ctx->word;
    char lens[32];
    bool right = word->len == row->min || word->len == row->max;
    uint32_t bits[2] = {0, 0};
    for (size_t i = 0; i < word->len && right; i++) {
        right = word->text[i] == '0' || word->text[i] == '1';
        if (word->text[i] == '1')
            bits[i / 31] |= 1u << i % 31;
    }
    if (right) {
        ctx->param->number = bits[0];
        ctx->param->number_high = bits[1];
        if (bits[0] == 0 && bits[1] == 0)
            pel_diag_warning(&ctx->parse->diags, word->pos, "%s: without a 1 the condition never holds",
                             row->name);
        return;
    }
    snprintf(lens, sizeof lens, row->min == row->max ? "%u" : "%u or %u", (unsigned)row->min,
             (unsigned)row->max);
    pel_value_fail(ctx, word->pos, "\"%s\" is not %s digits 0 or 1",
                   pel_diag_show(word->text, word->len).text, lens);
}

/* ---- times of day ---- */

/* hh:mm as minutes; 24:00 is the end of the day. */
static bool read_clock(const char *text, size_t len, uint64_t *ret_minutes)
{
    uint64_t hours, minutes;
    if (len != 5 || text[2] != ':' || !read_digits(text, 2, &hours) || !read_digits(text + 3, 2, &minutes))
        return false;
    *ret_minutes = hours * 60 + minutes;
    return minutes < 60 && *ret_minutes <= 24 * 60;
}

static void read_one_range(struct pel_value_ctx *ctx, const struct pel_word *word, struct pel_minutes *ret)
{
    const size_t len = 5; /* of hh:mm */
    uint64_t from, to;
    struct pel_shown shown = pel_diag_show(word->text, word->len);
    if (word->len != 2 * len + 1 || word->text[len] != '-' || !read_clock(word->text, len, &from) ||
        !read_clock(word->text + len + 1, len, &to) || from == 24 * 60)
        pel_value_fail(ctx, word->pos, "\"%s\" is not hh:mm-hh:mm, from 00:00 to 24:00", shown.text);
    else if (from == to)
        pel_value_fail(ctx, word->pos, "the range %s is empty; the whole day is 00:00-24:00", shown.text);
    else
        *ret = (struct pel_minutes){(uint16_t)from, (uint16_t)to};
}

/* What stands until the next comma, without blanks around. */
static struct pel_word next_item(const struct pel_word *all, size_t *at)
{
    size_t from = *at, to = from;
    while (to < all->len && all->text[to] != ',')
        to++;
    *at = to + 1;
    while (from < to && (all->text[from] == ' ' || all->text[from] == '\t'))
        from++;
    while (to > from && (all->text[to - 1] == ' ' || all->text[to - 1] == '\t'))
        to--;
    struct pel_word item = {.text = all->text + from, .len = to - from, .pos = all->pos};
    item.pos.column += (uint32_t)from;
    return item;
}

static enum pel_err read_hours(struct pel_value_ctx *ctx)
{
    struct pel_minutes ranges[MOST_RANGES];
    uint32_t num = 0;
    for (size_t at = 0; at <= ctx->word.len && !ctx->param->bad;) {
        struct pel_word item = next_item(&ctx->word, &at);
        if (num == MOST_RANGES)
            pel_value_fail(ctx, item.pos, "more than %d ranges", MOST_RANGES);
        else
            read_one_range(ctx, &item, &ranges[num++]);
    }
    if (ctx->param->bad)
        return PEL_OK;
    struct pel_minutes *kept = pel_arena_alloc(ctx->parse->kept, num * sizeof *kept);
    if (kept == NULL)
        return PEL_E_NO_MEMORY;
    memcpy(kept, ranges, num * sizeof *kept);
    ctx->param->minutes = kept;
    ctx->param->number = num;
    return PEL_OK;
}

/* ---- dates ---- */

/* yyyymmddhhmmss as seconds since 1970, as if it were UTC. */
static bool read_stamp(const char *text, int64_t *ret_seconds)
{
    static const unsigned char lens[] = {4, 2, 2, 2, 2, 2};
    uint64_t parts[6];
    for (size_t i = 0; i < sizeof lens; text += lens[i], i++) {
        if (!read_digits(text, lens[i], &parts[i]))
            return false;
    }
    if (!pel_time_is_date((int64_t)parts[0], (unsigned)parts[1], (unsigned)parts[2]) || parts[3] > 23 ||
        parts[4] > 59 || parts[5] > 59)
        return false;
    *ret_seconds = pel_time_days((int64_t)parts[0], (unsigned)parts[1], (unsigned)parts[2]) * 86400 +
                   (int64_t)(parts[3] * 3600 + parts[4] * 60 + parts[5]);
    return true;
}

static enum pel_err read_span(struct pel_value_ctx *ctx)
{
    const struct pel_word *word = &ctx->word;
    struct pel_shown shown = pel_diag_show(word->text, word->len);
    int64_t *seconds = pel_arena_alloc(ctx->parse->kept, 2 * sizeof *seconds);
    if (seconds == NULL)
        return PEL_E_NO_MEMORY;
    if (word->len != 2 * STAMP_LEN + 1 || word->text[STAMP_LEN] != ':') {
        pel_value_fail(ctx, word->pos, "\"%s\" is not yyyymmddhhmmss:yyyymmddhhmmss", shown.text);
        return PEL_OK;
    }
    for (int i = 0; i < 2; i++) {
        struct pel_pos pos = word->pos;
        const char *stamp = word->text + i * (STAMP_LEN + 1);
        pos.column += (uint32_t)i * (STAMP_LEN + 1);
        if (!read_stamp(stamp, &seconds[i])) {
            pel_value_fail(ctx, pos, "\"%s\" is no date and time, yyyymmddhhmmss",
                           pel_diag_show(stamp, STAMP_LEN).text);
            return PEL_OK;
        }
    }
    if (seconds[1] < seconds[0])
        pel_value_fail(ctx, word->pos, "it ends before it begins");
    ctx->param->seconds = seconds;
    return PEL_OK;
}

/* ---- zones ---- */

/* +hh:mm or -hh:mm: what clocks of the zone are ahead of UTC. */
static void read_offset(struct pel_value_ctx *ctx)
{
    const struct pel_word *word = &ctx->word;
    uint64_t minutes;
    bool sign = word->len == 6 && (word->text[0] == '+' || word->text[0] == '-');
    if (!sign || !read_clock(word->text + 1, 5, &minutes) || minutes > MOST_OFFSET_MINUTES)
        pel_value_fail(ctx, word->pos, "\"%s\" is not +hh:mm or -hh:mm, up to 14:00",
                       pel_diag_show(word->text, word->len).text);
    else
        ctx->param->number = (uint32_t)((int32_t)minutes * (word->text[0] == '-' ? -60 : 60));
}

enum pel_err pel_value_time(struct pel_value_ctx *ctx)
{
    switch (ctx->param->row->type) {
    case PEL_V_MASK: read_mask(ctx); break;
    case PEL_V_HOURS: PEL_TRY(read_hours(ctx)); break;
    case PEL_V_SPAN: PEL_TRY(read_span(ctx)); break;
    default: read_offset(ctx); break;
    }
    return keep_text(ctx);
}
