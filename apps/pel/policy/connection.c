/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Decimal digits alone, at most `max`. */
static bool read_number(const char *text, size_t text_len, unsigned max, unsigned *ret_number)
{
    unsigned number = 0;
    if (text_len == 0 || text_len > 5)
        return false;
    for (size_t i = 0; i < text_len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    *ret_number = number;
    return number <= max;
}

bool policy_read_endpoint(const char *text, struct sockaddr_storage *ret_address)
{
    const char *colon = strrchr(text, ':');
    char ip[INET6_ADDRSTRLEN];
    unsigned port;
    if (colon == NULL || !read_number(colon + 1, strlen(colon + 1), UINT16_MAX, &port))
        return false;
    bool in_brackets = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    size_t ip_len = (size_t)(colon - text) - (in_brackets ? 2 : 0);
    if (ip_len >= sizeof ip)
        return false;
    memcpy(ip, text + in_brackets, ip_len);
    ip[ip_len] = '\0';
    memset(ret_address, 0, sizeof *ret_address);
    struct sockaddr_in *in = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_address;
    if (in_brackets) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        return inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1;
    }
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, ip, &in->sin_addr) == 1;
}

/* "Z", "+hh:mm" or "-hh:mm" at the end of a time, as seconds east of UTC. */
static bool read_zone(const char *text, long *ret_east_s)
{
    unsigned hours, minutes;
    *ret_east_s = 0;
    if (strcasecmp(text, "Z") == 0)
        return true;
    if ((text[0] != '+' && text[0] != '-') || strlen(text) != 6 || text[3] != ':' ||
        !read_number(text + 1, 2, 23, &hours) || !read_number(text + 4, 2, 59, &minutes))
        return false;
    *ret_east_s = (text[0] == '+' ? 1 : -1) * (long)(hours * 3600 + minutes * 60);
    return true;
}

bool policy_read_time(const char *text, int64_t *ret_wall_s)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    unsigned year, month, day, hour, minute, second;
    long east_s;
    size_t len = sizeof form - 1;
    if (strlen(text) <= len)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        bool fits =
            form[i] == 'd' ? digit : text[i] == form[i] || (i == 10 && (text[i] == 't' || text[i] == ' '));
        if (!fits)
            return false;
    }
    if (!read_number(text, 4, 9999, &year) || !read_number(text + 5, 2, 12, &month) ||
        !read_number(text + 8, 2, 31, &day) || !read_number(text + 11, 2, 23, &hour) ||
        !read_number(text + 14, 2, 59, &minute) || !read_number(text + 17, 2, 60, &second))
        return false;
    if (text[len] == '.')
        len += 1 + strspn(text + len + 1, "0123456789");
    struct tm tm = {.tm_year = (int)year - 1900,
                    .tm_mon = (int)month - 1,
                    .tm_mday = (int)day,
                    .tm_hour = (int)hour,
                    .tm_min = (int)minute,
                    .tm_sec = (int)second};
    int64_t wall_s = timegm(&tm);
    /* A day that the month has not was carried over. */
    if (month == 0 || day == 0 || tm.tm_mday != (int)day || !read_zone(text + len, &east_s))
        return false;
    *ret_wall_s = wall_s - east_s;
    return true;
}

bool policy_read_direction(const char *text, int *ret_inbound)
{
    *ret_inbound = strcasecmp(text, "inbound") == 0;
    return *ret_inbound || strcasecmp(text, "outbound") == 0;
}
