/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/fetch/client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pellucid/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "apps/fetch/reply.h"

#define BUFFER_LEN ((size_t)256 << 10)
#define GATE_RETRY_MS 100

struct client {
    const struct fetch_options *options;
    int fd;     /* -1: no connection */
    int out_fd;
    char *buffer;
    size_t start, len; /* bytes in it that have been read and not used */
    struct fetch_reply *reply;
};

static bool failed(const struct client *client, const char *what, const char *why)
{
    fprintf(stderr, "fetch: %s: %s%s%s\n", client->options->url_text, what, *why != '\0' ? ": " : "", why);
    return false;
}

static void disconnect(struct client *client)
{
    if (client->fd >= 0)
        pel_close(client->fd);
    client->fd = -1;
    client->start = client->len = 0;
}

/* The address to ask for: of --resolve, or the host itself. */
static const char *host_to_look_up(const struct fetch_options *options)
{
    for (size_t i = 0; i < options->num_resolves; i++) {
        const struct fetch_resolve *resolve = &options->resolves[i];
        if (resolve->port == options->url.port && strcasecmp(resolve->host, options->url.host) == 0)
            return resolve->address;
    }
    return options->url.host;
}

static bool prepare_socket(struct client *client)
{
    const struct fetch_options *options = client->options;
    struct timeval timeout = {.tv_sec = (time_t)options->timeout_s};
    const char *name = options->name != NULL ? options->name : options->url.host;
    bool is_address =
        options->name == NULL && (options->url.is_bracketed || strspn(name, "0123456789.") == strlen(name));
    return pel_setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
           pel_setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
           (is_address || pel_set_server_name(client->fd, name) == 0);
}

/* Connects to one address. False with errno; EAGAIN: the stack has no policy yet. */
static bool connect_once(struct client *client, const struct addrinfo *address)
{
    client->fd = pel_socket(address->ai_family, SOCK_STREAM, 0);
    if (client->fd >= 0 && prepare_socket(client) &&
        pel_connect(client->fd, address->ai_addr, address->ai_addrlen) == 0)
        return true;
    int error = errno;
    disconnect(client);
    errno = error;
    return false;
}

static bool connect_patiently(struct client *client, const struct addrinfo *address)
{
    uint32_t num_tries = client->options->timeout_s * 1000 / GATE_RETRY_MS;
    while (!connect_once(client, address)) {
        if (errno != EAGAIN || num_tries-- == 0)
            return false;
        const struct timespec pause = {.tv_nsec = GATE_RETRY_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
    return true;
}

static const char *connect_error_text(int error)
{
    switch (error) {
    case EACCES:
        return "Permission denied (the policy refuses this connection)";
    case EAGAIN:
        return "no policy is loaded";
    case ECONNRESET:
        return "Connection reset (by the peer, or because policy's demands were not met)";
    default:
        return strerror(error);
    }
}

static bool connect_to_host(struct client *client)
{
    char port[8];
    const char *host = host_to_look_up(client->options);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses = NULL;
    snprintf(port, sizeof port, "%u", (unsigned)client->options->url.port);
    int error = getaddrinfo(host, port, &hints, &addresses);
    if (error != 0)
        return failed(client, "cannot find the host", gai_strerror(error));
    int last_errno = EHOSTUNREACH;
    for (const struct addrinfo *address = addresses; address != NULL && client->fd < 0;
         address = address->ai_next) {
        if (!connect_patiently(client, address))
            last_errno = errno;
    }
    freeaddrinfo(addresses);
    return client->fd >= 0 || failed(client, "cannot connect", connect_error_text(last_errno));
}

static bool send_all(struct client *client, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t num = pel_write(client->fd, bytes, len);
        if (num < 0 && errno == EINTR)
            continue;
        if (num < 0)
            return false;
        bytes += num;
        len -= (size_t)num;
    }
    return true;
}

static bool send_request(struct client *client)
{
    const struct fetch_options *options = client->options;
    const struct fetch_url *url = &options->url;
    char request[4096], port[8] = "";
    if (url->port != 80)
        snprintf(port, sizeof port, ":%u", (unsigned)url->port);
    const char *host = options->name != NULL ? options->name : url->host;
    bool is_bracketed = options->name == NULL && url->is_bracketed;
    int len = snprintf(request, sizeof request,
                       "%s %s HTTP/1.1\r\nHost: %s%s%s%s\r\nUser-Agent: fetch\r\nAccept: */*\r\n%s\r\n",
                       options->is_head ? "HEAD" : "GET", url->target, is_bracketed ? "[" : "", host,
                       is_bracketed ? "]" : "", port, options->is_closing ? "Connection: close\r\n" : "");
    if (len <= 0 || (size_t)len >= sizeof request) {
        errno = ENAMETOOLONG;
        return false;
    }
    return send_all(client, request, (size_t)len);
}

static bool write_out(struct client *client, struct http_text data)
{
    while (data.len > 0) {
        ssize_t num = write(client->out_fd, data.bytes, data.len);
        if (num < 0 && errno == EINTR)
            continue;
        if (num < 0)
            return failed(client, "cannot write the body", strerror(errno));
        data.bytes += num;
        data.len -= (size_t)num;
    }
    return true;
}

/* Reads once. False when that failed; the end of the stream is told to the reply. */
static bool receive(struct client *client)
{
    ssize_t num;
    do {
        num = pel_read(client->fd, client->buffer, BUFFER_LEN);
    } while (num < 0 && errno == EINTR);
    if (num < 0)
        return failed(client, "cannot read", errno == EAGAIN ? "nothing came in time" : strerror(errno));
    client->start = 0;
    client->len = (size_t)num;
    if (num == 0)
        fetch_reply_end(client->reply);
    return true;
}

/* Reads the response; bodies of errors are not for the output. */
static bool receive_reply(struct client *client)
{
    struct fetch_reply *reply = client->reply;
    fetch_reply_start(reply, client->options->is_head);
    while (reply->state != FETCH_REPLY_DONE && reply->state != FETCH_REPLY_BAD) {
        if (client->len == 0 && !receive(client))
            return false;
        struct http_text data;
        size_t num = fetch_reply_feed(reply, client->buffer + client->start, client->len, &data);
        client->start += num;
        client->len -= num;
        if (reply->status < 400 && !write_out(client, data))
            return false;
    }
    if (reply->state == FETCH_REPLY_BAD)
        return failed(client, reply->error, "");
    char status[96];
    snprintf(status, sizeof status, "%d %s", reply->status, reply->reason);
    if (client->options->is_head)
        printf("%s\n", status);
    return reply->status < 400 || failed(client, "the server answered", status);
}

static bool fetch_once(struct client *client)
{
    if (client->fd < 0 && !connect_to_host(client))
        return false;
    if (!send_request(client))
        return failed(client, "cannot send the request", strerror(errno));
    bool is_fine = receive_reply(client);
    if (!is_fine || !client->reply->keep_alive || client->options->is_closing)
        disconnect(client);
    return is_fine;
}

bool fetch_run(const struct fetch_options *options, int out_fd)
{
    struct client client = {
        .options = options,
        .fd = -1,
        .out_fd = out_fd,
        .buffer = malloc(BUFFER_LEN),
        .reply = malloc(sizeof *client.reply),
    };
    bool is_fine = client.buffer != NULL && client.reply != NULL;
    if (!is_fine)
        failed(&client, "out of memory", "");
    for (uint32_t i = 0; i < options->num_repeats && is_fine; i++)
        is_fine = fetch_once(&client);
    disconnect(&client);
    free(client.reply);
    free(client.buffer);
    return is_fine;
}
