/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mail server with STARTTLS that has no TLS library: it asks the stack it runs on (pellucid/ttls.h). Takes
 * mail and throws it away; a process for each connection.
 *
 *     pel run -- starttls PORT
 *
 * Beyond RFC 5321 and 3207: CCC goes back to clear text, INFO says what TLS the connection has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pellucid/ttls.h>

struct session {
    int fd;
    char line[4096];
    size_t len;
};

static void answer(const struct session *session, const char *text)
{
    size_t len = strlen(text), sent_len = 0;
    while (sent_len < len) {
        ssize_t now_len = send(session->fd, text + sent_len, len - sent_len, MSG_NOSIGNAL);
        if (now_len <= 0)
            exit(0);
        sent_len += (size_t)now_len;
    }
}

/* One byte at a time: what stands behind a command must stay in the socket, it may be a handshake. */
static char *read_line(struct session *session)
{
    for (session->len = 0; session->len < sizeof session->line - 1;) {
        ssize_t now_len = recv(session->fd, session->line + session->len, 1, 0);
        if (now_len <= 0)
            return NULL;
        if (session->line[session->len++] != '\n')
            continue;
        while (session->len > 0 && strchr("\r\n", session->line[session->len - 1]) != NULL)
            session->len--;
        session->line[session->len] = '\0';
        return session->line;
    }
    return NULL;
}

static int ask(const struct session *session, uint32_t request, struct TTLS_IOCTL *ret)
{
    *ret = (struct TTLS_IOCTL){.TTLSi_Ver = TTLS_VERSION1, .TTLSi_Req_Type = request};
    return ioctl(session->fd, SIOCTTLSCTL, ret) == 0 ? 0 : errno;
}

static void start_tls(struct session *session)
{
    struct TTLS_IOCTL ttls;
    answer(session, "220 go ahead\r\n");
    int error = ask(session, TTLS_INIT_CONNECTION, &ttls);
    if (error != 0) {
        printf("start: %s\n", strerrorname_np(error));
        exit(0);
    }
    printf("secure: %.4s, key share %.4s\n", ttls.TTLSi_Neg_Cipher4, ttls.TTLSi_Neg_KeyShare);
}

static void stop_tls(struct session *session)
{
    struct TTLS_IOCTL ttls;
    answer(session, "200 in clear from here on\r\n");
    int error = ask(session, TTLS_STOP_CONNECTION, &ttls);
    /* The peer may close TLS before we do, which reads as an end of file; or after. */
    if (error != 0)
        printf("stop: %s\n", strerrorname_np(error));
}

static void info(const struct session *session)
{
    struct TTLS_IOCTL ttls;
    char text[128];
    int error = ask(session, TTLS_QUERY_ONLY, &ttls);
    snprintf(text, sizeof text, "211 error %d policy %u conn %u type %u version %u.%u\r\n", error,
             ttls.TTLSi_Stat_Policy, ttls.TTLSi_Stat_Conn, ttls.TTLSi_Sec_Type, ttls.TTLSi_SSL_ProtVer,
             ttls.TTLSi_SSL_ProtMod);
    answer(session, text);
}

static void take_mail(struct session *session)
{
    size_t num_bytes = 0;
    const char *line;
    answer(session, "354 end with a dot\r\n");
    while ((line = read_line(session)) != NULL && strcmp(line, ".") != 0)
        num_bytes += strlen(line);
    printf("mail: %zu bytes\n", num_bytes);
    answer(session, "250 taken\r\n");
}

static void serve(struct session *session)
{
    const char *line;
    answer(session, "220 mail.example ESMTP\r\n");
    while ((line = read_line(session)) != NULL) {
        printf("heard: %s\n", line);
        if (strncasecmp(line, "EHLO", 4) == 0)
            answer(session, "250-mail.example\r\n250 STARTTLS\r\n");
        else if (strcasecmp(line, "STARTTLS") == 0)
            start_tls(session);
        else if (strcasecmp(line, "CCC") == 0)
            stop_tls(session);
        else if (strcasecmp(line, "INFO") == 0)
            info(session);
        else if (strcasecmp(line, "DATA") == 0)
            take_mail(session);
        else if (strcasecmp(line, "QUIT") == 0)
            break;
        else
            answer(session, "250 fine\r\n");
    }
    answer(session, "221 bye\r\n");
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 2) {
        fprintf(stderr, "usage: starttls PORT\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGCHLD, SIG_IGN);
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0) {
        perror("starttls");
        return 1;
    }
    printf("listening\n");
    for (;;) {
        struct session session = {.fd = accept(listener, NULL, NULL)};
        if (session.fd < 0) {
            perror("accept");
            return 1;
        }
        if (fork() == 0) {
            close(listener);
            serve(&session);
            exit(0);
        }
        close(session.fd);
    }
}
