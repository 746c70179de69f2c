/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS session over a kernel socket of 127.0.0.1, for tests against other libraries
 * (tests/interop/tls_peers.py):
 *
 *     interop_peer rings DIR
 *     interop_peer server|client RING LABEL VERSIONS AUTH NAME PORT IN OUT NUM [SUITE…]
 *
 * VERSIONS is 12, 13 or both; AUTH none, passthru or required; NAME the server's name or "-"; LABEL "-"
 * for the default; IN the file whose bytes are sent, or "echo"; OUT where received bytes go; NUM how many
 * of them end the connection; SUITE the IANA number of one, in hexadecimal. A server of port 0 prints
 * "port N" and serves connections, one after the other, until its standard input ends; each connection
 * prints one line of what was agreed and how it ended. PEL_PEER_WANTS names what the other end must have up
 * to TLS 1.2: "ems" (RFC 7627), "reneg" (RFC 5746), or both.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <pellucid/keyring.h>

#include "base/clock.h"
#include "tls/files.h"
#include "tls/tls.h"

enum { MAX_SUITES = 8 };

struct job {
    struct pel_tls_env *env;
    const char *name;
    const char *out_path;
    struct pel_file in;
    bool echo;
    size_t want_len;
};

struct link {
    int fd;
    struct pel_tls *tls;
    FILE *out;
    uint8_t *echo; /* received and not yet sent back */
    size_t echo_len, sent_len, got_len;
    bool ended, closed;
    enum pel_err err;
};

static void note(struct link *link, enum pel_err err)
{
    if (err != PEL_OK && err != PEL_E_AGAIN && err != PEL_E_EOF && link->err == PEL_OK)
        link->err = err;
}

static void receive(struct link *link, const struct job *job)
{
    uint8_t plain[16384];
    size_t len = 0;
    enum pel_err err = PEL_OK;
    while ((err = pel_tls_read(link->tls, plain, sizeof plain, &len)) == PEL_OK) {
        fwrite(plain, 1, len, link->out);
        link->got_len += len;
        if (!job->echo)
            continue;
        link->echo = realloc(link->echo, link->echo_len + len);
        memcpy(link->echo + link->echo_len, plain, len);
        link->echo_len += len;
    }
    link->ended = link->ended || err == PEL_E_EOF;
    note(link, err);
}

static void send_more(struct link *link, const struct job *job)
{
    const uint8_t *bytes = job->echo ? link->echo : job->in.bytes;
    size_t left_len = (job->echo ? link->echo_len : job->in.len) - link->sent_len, len = 0;
    enum pel_err err =
        left_len > 0 ? pel_tls_write(link->tls, bytes + link->sent_len, left_len, &len) : PEL_OK;
    if (left_len > 0 && err == PEL_OK)
        link->sent_len += len;
    bool done =
        link->got_len >= job->want_len && (job->echo ? link->echo_len : job->in.len) == link->sent_len;
    if ((done || link->ended) && !link->closed && pel_tls_is_secure(link->tls)) {
        note(link, pel_tls_close(link->tls));
        link->closed = true;
    }
    note(link, err);
}

static void flush_out(struct link *link)
{
    size_t len = 0;
    const uint8_t *bytes = pel_tls_out_peek(link->tls, &len);
    ssize_t n = len > 0 ? send(link->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (n > 0)
        pel_tls_out_consume(link->tls, (size_t)n);
    else if (n < 0 && errno != EAGAIN)
        link->ended = link->closed = true;
}

static void take_in(struct link *link, const struct job *job, uint64_t now_us)
{
    uint8_t bytes[20000];
    ssize_t n = recv(link->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        note(link, pel_tls_feed_fin(link->tls));
        receive(link, job);
        link->ended = link->closed = true;
        return;
    }
    for (size_t at = 0; at < (size_t)n && link->err == PEL_OK;) {
        size_t used_len = 0;
        note(link, pel_tls_feed(link->tls, bytes + at, (size_t)n - at, now_us, &used_len));
        at += used_len;
        receive(link, job);
    }
}

static void say(const struct link *link)
{
    struct pel_tls_info info;
    pel_tls_info(link->tls, &info);
    printf("version=%s cipher=%s group=%u resumed=%d subject=%s got=%zu sent=%zu result=%s text=%s\n",
           info.version, info.cipher_name, info.group, info.resumed, info.peer_subject, link->got_len,
           link->sent_len, pel_err_name(link->err), info.failure);
    fflush(stdout);
}

static int serve(int fd, const struct job *job)
{
    struct pel_clock clock = pel_clock_real();
    struct link link = {.fd = fd, .out = fopen(job->out_path, "w")};
    uint64_t end_us = pel_clock_now_us(&clock) + 60000000; /* some peers write 4 KB at a time */
    size_t len = 0;
    if (link.out == NULL ||
        pel_tls_new(job->env, job->name, pel_clock_now_us(&clock), NULL, &link.tls) != PEL_OK)
        return 1;
    flush_out(&link);
    while (link.err == PEL_OK && !(link.ended && link.closed) && pel_clock_now_us(&clock) < end_us) {
        (void)pel_tls_out_peek(link.tls, &len);
        struct pollfd poll_fd = {.fd = fd, .events = (short)(POLLIN | (len > 0 ? POLLOUT : 0))};
        poll(&poll_fd, 1, 100);
        if (poll_fd.revents & (POLLIN | POLLHUP | POLLERR))
            take_in(&link, job, pel_clock_now_us(&clock));
        if (link.err == PEL_OK)
            send_more(&link, job);
        flush_out(&link);
    }
    for (int i = 0; i < 50 && pel_tls_out_peek(link.tls, &len) != NULL; i++) { /* the alert */
        flush_out(&link);
        usleep(1000);
    }
    say(&link);
    int status = link.err == PEL_OK && link.got_len >= job->want_len ? 0 : 1;
    pel_tls_free(link.tls);
    free(link.echo);
    fclose(link.out);
    shutdown(fd, SHUT_WR);
    close(fd);
    return status;
}

static int listen_and_serve(const struct job *job)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return 1;
    printf("port %u\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct pollfd fds[2] = {{.fd = listener, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 || fds[1].revents != 0)
            break;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            (void)serve(fd, job);
    }
    close(listener);
    return 0;
}

static int connect_and_serve(const struct job *job, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        return 1;
    }
    return serve(fd, job);
}

static enum pel_err make_rings(const char *root, struct pel_error *reterr)
{
    static const char *const dns[] = {"server.test"}, *const ip[] = {"127.0.0.1"};
    char ca[512], server[512], client[512];
    snprintf(ca, sizeof ca, "%s/ca", root);
    snprintf(server, sizeof server, "%s/server", root);
    snprintf(client, sizeof client, "%s/client", root);
    struct pel_keyring_request request = {.dir = ca, .label = "ca", .subject = "CN=Interop Authority"};
    enum pel_err err = pel_keyring_make_ca(&request, reterr);
    request = (struct pel_keyring_request){.dir = server,
                                           .label = "p256",
                                           .subject = "CN=server.test",
                                           .ca_dir = ca,
                                           .dns_names = dns,
                                           .num_dns_names = 1,
                                           .ip_addresses = ip,
                                           .num_ip_addresses = 1};
    if (err == PEL_OK)
        err = pel_keyring_make_cert(&request, reterr);
    request.label = "rsa";
    request.key_type = PEL_KEY_RSA2048;
    if (err == PEL_OK)
        err = pel_keyring_make_cert(&request, reterr);
    request = (struct pel_keyring_request){
        .dir = client, .label = "me", .subject = "CN=me", .ca_dir = ca, .client = true};
    return err == PEL_OK ? pel_keyring_make_cert(&request, reterr) : err;
}

static bool wants(const char *what)
{
    const char *all = getenv("PEL_PEER_WANTS");
    return all != NULL && strstr(all, what) != NULL;
}

static struct pel_tls_config config_of(char **argv)
{
    struct pel_clock clock = pel_clock_real();
    struct pel_tls_config config = {
        .role = strcmp(argv[1], "server") == 0 ? PEL_TLS_SERVER : PEL_TLS_CLIENT,
        .keyring_path = argv[2],
        .label = strcmp(argv[3], "-") == 0      ? NULL
                 : strcmp(argv[3], "none") == 0 ? ""
                                                : argv[3],
        .versions = strcmp(argv[4], "12") == 0   ? PEL_TLS_V1_2
                    : strcmp(argv[4], "13") == 0 ? PEL_TLS_V1_3
                                                 : PEL_TLS_V1_2 | PEL_TLS_V1_3,
        .client_auth = strcmp(argv[5], "required") == 0   ? PEL_TLS_AUTH_REQUIRED
                       : strcmp(argv[5], "passthru") == 0 ? PEL_TLS_AUTH_PASSTHRU
                                                          : PEL_TLS_AUTH_NONE,
        .extended_master_secret = wants("ems"),
        .renegotiation_indicated = wants("reneg"),
        .handshake_timeout_us = 10000000,
        .now_s = pel_clock_wall_s(&clock),
    };
    return config;
}

int main(int argc, char **argv)
{
    struct pel_error error = {0};
    if (argc == 3 && strcmp(argv[1], "rings") == 0) {
        if (make_rings(argv[2], &error) == PEL_OK)
            return 0;
        fprintf(stderr, "interop_peer: %s\n", error.text);
        return 1;
    }
    if (argc < 11 || argc > 11 + MAX_SUITES) {
        fprintf(stderr,
                "usage: interop_peer server|client RING LABEL VERSIONS AUTH NAME PORT IN OUT NUM [SUITE…]\n");
        return 2;
    }
    uint16_t suites[MAX_SUITES];
    struct pel_tls_config config = config_of(argv);
    config.ciphers = suites;
    for (int i = 11; i < argc; i++)
        suites[config.num_ciphers++] = (uint16_t)strtoul(argv[i], NULL, 16);
    struct job job = {
        .name = strcmp(argv[6], "-") == 0 ? NULL : argv[6],
        .echo = strcmp(argv[8], "echo") == 0,
        .out_path = argv[9],
        .want_len = strtoul(argv[10], NULL, 10),
    };
    enum pel_err err = job.echo ? PEL_OK : pel_file_read(argv[8], false, &job.in, &error);
    if (err == PEL_OK)
        err = pel_tls_env_new(&config, &job.env, &error);
    if (err != PEL_OK) {
        fprintf(stderr, "interop_peer: %s\n", error.text);
        return 1;
    }
    int status = config.role == PEL_TLS_SERVER ? listen_and_serve(&job) : connect_and_serve(&job, argv[7]);
    pel_tls_env_unref(job.env);
    pel_file_free(&job.in);
    return status;
}
