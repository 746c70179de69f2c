/* SPDX-License-Identifier: Apache-2.0 */
/* Words of outcome: each is written at once, so that what came before a crash or a hang is seen. */
#include <arpa/inet.h>
#include <stdarg.h>

#include "tests/conformance/case.h"
#include "tests/conformance/main.h"
#include "tests/conformance/peer.h"

void say(const char *format, ...)
{
    int error = errno;
    char words[1024];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(words + 1, sizeof(words) - 1, format, arguments);
    va_end(arguments);
    words[0] = ' ';
    len = len < (int)sizeof(words) - 2 ? len : (int)sizeof(words) - 2;
    for (int i = 0; i <= len; i++)
        if (words[i] == '\n')
            words[i] = '~';
    if (write(OUTCOME_FD, words, (size_t)len + 1) < 0)
        _exit(3);
    errno = error;
}

const char *error_name(int error)
{
    static char number[16];
    const char *name = strerrorname_np(error);
    if (error == 0)
        return "0";
    if (name != NULL)
        return error == EAGAIN ? "EAGAIN" : name;
    snprintf(number, sizeof(number), "E%d", error);
    return number;
}

long say_rc(const char *what, long rc)
{
    if (rc == -1)
        say("%s=-1 %s", what, error_name(errno));
    else
        say("%s=%ld", what, rc);
    return rc;
}

int say_fd(const char *what, int fd)
{
    if (fd == -1)
        say("%s=-1 %s", what, error_name(errno));
    else
        say("%s=%s", what, fd >= 0 ? "fd" : "WRONG");
    return fd;
}

void say_bytes(const char *what, ssize_t rc, const void *bytes)
{
    if (rc <= 0)
        say_rc(what, rc);
    else
        say("%s=%zd\"%.*s\"", what, rc, rc < 64 ? (int)rc : 64, (const char *)bytes);
}

struct flag_name {
    uint32_t bit;
    const char *name;
};

static void say_flags(const char *what, uint32_t flags, const struct flag_name *names, size_t num_names)
{
    char text[256] = "";
    size_t len = 0;
    for (size_t i = 0; i < num_names; i++)
        if ((flags & names[i].bit) != 0) {
            len +=
                (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len > 0 ? "|" : "", names[i].name);
            flags &= ~names[i].bit;
        }
    if (flags != 0)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s0x%x", len > 0 ? "|" : "", flags);
    say("%s=%s", what, len > 0 ? text : "0");
}

void say_poll(const char *what, int events)
{
    static const struct flag_name names[] = {
        {POLLIN, "IN"},         {POLLPRI, "PRI"},       {POLLOUT, "OUT"},       {POLLERR, "ERR"},
        {POLLHUP, "HUP"},       {POLLNVAL, "NVAL"},     {POLLRDNORM, "RDNORM"}, {POLLRDBAND, "RDBAND"},
        {POLLWRNORM, "WRNORM"}, {POLLWRBAND, "WRBAND"}, {POLLRDHUP, "RDHUP"},
    };
    say_flags(what, (uint32_t)(uint16_t)events, names, sizeof(names) / sizeof(names[0]));
}

void say_epoll(const char *what, uint32_t events)
{
    static const struct flag_name names[] = {
        {EPOLLIN, "IN"},         {EPOLLPRI, "PRI"},       {EPOLLOUT, "OUT"},       {EPOLLERR, "ERR"},
        {EPOLLHUP, "HUP"},       {EPOLLRDNORM, "RDNORM"}, {EPOLLRDBAND, "RDBAND"}, {EPOLLWRNORM, "WRNORM"},
        {EPOLLWRBAND, "WRBAND"}, {EPOLLRDHUP, "RDHUP"},
    };
    say_flags(what, events, names, sizeof(names) / sizeof(names[0]));
}

static const char *host_name(const struct sockaddr_storage *address)
{
    char text[64] = "";
    if (address->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof(text));
    else
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, sizeof(text));
    const char *plain = strncmp(text, "::ffff:", 7) == 0 ? text + 7 : text;
    if (strcmp(plain, self_ip(AF_INET)) == 0 || strcmp(plain, self_ip(AF_INET6)) == 0)
        return plain == text ? "self" : "mapped-self";
    if (strcmp(plain, peer_ip(AF_INET)) == 0 || strcmp(plain, peer_ip(AF_INET6)) == 0)
        return plain == text ? "peer" : "mapped-peer";
    if (strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0)
        return "any";
    return strcmp(text, "127.0.0.1") == 0 || strcmp(text, "::1") == 0 ? "loopback" : "other";
}

void say_address(const char *what, const struct sockaddr_storage *address, uint16_t port)
{
    int family = address->ss_family;
    if (family != AF_INET && family != AF_INET6) {
        say("%s=family%d", what, family);
        return;
    }
    struct address held = {.sa = *address};
    uint16_t has = address_port(&held);
    say("%s=%s/%s:%s", what, family == AF_INET ? "inet" : "inet6", host_name(address),
        has == 0 ? "0" : (has == port ? "same" : "other"));
}
