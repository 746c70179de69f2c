/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/model_addresses.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t len_of(const struct address_range *range)
{
    return range->family == 4 ? 4 : 16;
}

static bool is_number(const char *text, const char **ret_end, unsigned *ret_number)
{
    char *end = NULL;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long number = strtoul(text, &end, 10);
    *ret_end = end;
    *ret_number = number <= 65535 ? (unsigned)number : 65536;
    return true;
}

/* ---- addresses ---- */

static unsigned char parse_ip(const char *text, size_t len, unsigned char bytes[16])
{
    char ip[INET6_ADDRSTRLEN];
    if (len == 0 || len >= sizeof ip)
        return 0;
    memcpy(ip, text, len);
    ip[len] = '\0';
    return inet_pton(AF_INET, ip, bytes) == 1 ? 4 : inet_pton(AF_INET6, ip, bytes) == 1 ? 6 : 0;
}

bool address_parse(const char *text, struct address_range *ret_range)
{
    struct address_range range = {0};
    size_t len = strcspn(text, "/-");
    const char *rest = text + len, *end = NULL;
    unsigned prefix_len = 0;
    range.family = parse_ip(text, len, range.low);
    if (range.family == 0)
        return false;
    memcpy(range.high, range.low, sizeof range.high);
    if (*rest == '-' && (parse_ip(rest + 1, strlen(rest + 1), range.high) != range.family ||
                         memcmp(range.low, range.high, len_of(&range)) > 0))
        return false;
    if (*rest == '/') {
        size_t bits = len_of(&range) * 8;
        if (!is_number(rest + 1, &end, &prefix_len) || *end != '\0' || prefix_len > bits)
            return false;
        for (size_t i = prefix_len; i < bits; i++) {
            range.low[i / 8] &= (unsigned char)~(0x80 >> i % 8);
            range.high[i / 8] |= (unsigned char)(0x80 >> i % 8);
        }
    }
    *ret_range = range;
    return true;
}

static int compare_addresses(const void *a, const void *b)
{
    const struct address_range *left = a, *right = b;
    if (left->family != right->family)
        return left->family < right->family ? -1 : 1;
    int order = memcmp(left->low, right->low, sizeof left->low);
    return order != 0 ? order : memcmp(left->high, right->high, sizeof left->high);
}

/* Whether `next`, which does not begin before `range`, begins in it or right behind it. */
static bool touches(const struct address_range *range, const struct address_range *next)
{
    unsigned char behind[16];
    size_t i = len_of(range);
    if (range->family != next->family)
        return false;
    memcpy(behind, range->high, sizeof behind);
    while (i > 0 && ++behind[i - 1] == 0)
        i--;
    return i == 0 || memcmp(next->low, behind, len_of(range)) <= 0; /* 0: it ends with the last address */
}

size_t addresses_join(struct address_range *ranges, size_t num)
{
    size_t kept = 0;
    qsort(ranges, num, sizeof *ranges, compare_addresses);
    for (size_t i = 0; i < num; i++) {
        struct address_range *last = kept > 0 ? &ranges[kept - 1] : NULL;
        if (last == NULL || !touches(last, &ranges[i]))
            ranges[kept++] = ranges[i];
        else if (memcmp(last->high, ranges[i].high, sizeof last->high) < 0)
            memcpy(last->high, ranges[i].high, sizeof last->high);
    }
    return kept;
}

/* The length of the prefix that the range is, or -1. */
static int prefix_of(const struct address_range *range)
{
    size_t bits = len_of(range) * 8, len = 0;
    while (len < bits && ((range->low[len / 8] ^ range->high[len / 8]) >> (7 - len % 8) & 1) == 0)
        len++;
    for (size_t i = len; i < bits; i++) {
        if ((range->low[i / 8] >> (7 - i % 8) & 1) != 0 || (range->high[i / 8] >> (7 - i % 8) & 1) != 1)
            return -1;
    }
    return (int)len;
}

void address_print(const struct address_range *range, char ret_text[ADDRESS_TEXT_MAX])
{
    char low[INET6_ADDRSTRLEN], high[INET6_ADDRSTRLEN];
    int af = range->family == 4 ? AF_INET : AF_INET6, prefix_len = prefix_of(range);
    inet_ntop(af, range->low, low, sizeof low);
    inet_ntop(af, range->high, high, sizeof high);
    if (prefix_len == (int)len_of(range) * 8)
        snprintf(ret_text, ADDRESS_TEXT_MAX, "%s", low);
    else if (prefix_len >= 0)
        snprintf(ret_text, ADDRESS_TEXT_MAX, "%s/%d", low, prefix_len);
    else
        snprintf(ret_text, ADDRESS_TEXT_MAX, "%s-%s", low, high);
}

/* ---- ports ---- */

bool port_parse(const char *text, struct port_range *ret_range)
{
    const char *end = NULL;
    if (!is_number(text, &end, &ret_range->low))
        return false;
    ret_range->high = ret_range->low;
    if (*end == '-' && !is_number(end + 1, &end, &ret_range->high))
        return false;
    return *end == '\0' && ret_range->low >= 1 && ret_range->low <= ret_range->high &&
           ret_range->high <= 65535;
}

static int compare_ports(const void *a, const void *b)
{
    const struct port_range *left = a, *right = b;
    if (left->low != right->low)
        return left->low < right->low ? -1 : 1;
    return left->high < right->high ? -1 : left->high > right->high;
}

size_t ports_join(struct port_range *ranges, size_t num)
{
    size_t kept = 0;
    qsort(ranges, num, sizeof *ranges, compare_ports);
    for (size_t i = 0; i < num; i++) {
        if (kept == 0 || ranges[i].low > ranges[kept - 1].high + 1)
            ranges[kept++] = ranges[i];
        else if (ranges[i].high > ranges[kept - 1].high)
            ranges[kept - 1].high = ranges[i].high;
    }
    return kept;
}
