/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK explains failures in its log only. The log goes to a small buffer, from which an error's text takes
 * the last lines: nothing is printed by a library.
 */
#define LOG_LEN 320

#include <bpf/libbpf.h>
#include <ctype.h>
#include <pthread.h>
#include <rte_log.h>
#include <stdio.h>
#include <string.h>
#include <xdp/libxdp.h>

#include "drivers/dpdk/internal.h"

static struct {
    pthread_mutex_t lock;
    size_t len;
    char text[LOG_LEN]; /* the newest */
} dpdk_log = {.lock = PTHREAD_MUTEX_INITIALIZER};

static ssize_t log_write(void *cookie, const char *bytes, size_t len)
{
    size_t new_len = len < LOG_LEN ? len : LOG_LEN;
    (void)cookie;
    pthread_mutex_lock(&dpdk_log.lock);
    size_t old_len = dpdk_log.len < LOG_LEN - new_len ? dpdk_log.len : LOG_LEN - new_len;
    memmove(dpdk_log.text, dpdk_log.text + dpdk_log.len - old_len, old_len);
    memcpy(dpdk_log.text + old_len, bytes + len - new_len, new_len);
    dpdk_log.len = old_len + new_len;
    pthread_mutex_unlock(&dpdk_log.lock);
    return (ssize_t)len;
}

/* What af_xdp's libraries say goes the same way, and what only tells what they try, nowhere. */
static void log_vprint(int is_worth, const char *format, va_list args)
{
    char line[LOG_LEN];
    int len = is_worth ? vsnprintf(line, sizeof line, format, args) : 0;
    if (len > 0)
        log_write(NULL, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
}

static int bpf_print(enum libbpf_print_level level, const char *format, va_list args)
{
    log_vprint(level == LIBBPF_WARN, format, args);
    return 0;
}

static int xdp_print(enum libxdp_print_level level, const char *format, va_list args)
{
    log_vprint(level == LIBXDP_WARN, format, args);
    return 0;
}

void dpdk_log_open(void)
{
    libbpf_set_print(bpf_print);
    libxdp_set_print(xdp_print);
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = log_write});
    if (stream == NULL)
        return;
    setvbuf(stream, NULL, _IOLBF, 1024);
    rte_openlog_stream(stream);
    rte_log_set_global_level(RTE_LOG_NOTICE);
}

void dpdk_log_forget(void)
{
    pthread_mutex_lock(&dpdk_log.lock);
    dpdk_log.len = 0;
    pthread_mutex_unlock(&dpdk_log.lock);
}

const char *dpdk_log_said(char *ret_text, size_t cap)
{
    size_t len = 0, start = 0;
    pthread_mutex_lock(&dpdk_log.lock);
    /* A full buffer begins in the middle of a line. */
    while (dpdk_log.len == LOG_LEN && start < LOG_LEN - 1 && (start == 0 || dpdk_log.text[start - 1] != '\n'))
        start++;
    for (size_t i = start; i < dpdk_log.len && len + 2 < cap; i++) {
        char c = dpdk_log.text[i];
        bool ends_line = c == '\n';
        if (ends_line && len > 0 && i + 1 < dpdk_log.len)
            ret_text[len++] = ';';
        if (!ends_line || i + 1 < dpdk_log.len)
            ret_text[len++] = isprint((unsigned char)c) ? c : ' ';
    }
    pthread_mutex_unlock(&dpdk_log.lock);
    ret_text[len] = 0;
    return len > 0 ? ret_text : "nothing";
}
