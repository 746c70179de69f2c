/* SPDX-License-Identifier: Apache-2.0 */
/* write(), writev(), send(), sendto() and their flags; SIGPIPE; a peer that does not read. */
#include <fcntl.h>
#include <signal.h>
#include <sys/uio.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static volatile sig_atomic_t num_pipe_signals;

static void on_pipe(int number)
{
    num_pipe_signals++;
}

static void catch_pipe(void)
{
    struct sigaction action = {.sa_handler = on_pipe};
    sigaction(SIGPIPE, &action, NULL);
}

static void basic(int kind)
{
    int fd = pair(kind);
    say_rc("write", write(fd, "hello", 5));
    peer_says(CONN, 5);
    say_rc("send", send(fd, "world", 5, 0));
    peer_says(CONN, 5);
    close(fd);
    peer_says(CONN, 5);
}

static void zero_length(int arg)
{
    int fd = pair(OUT4);
    say_rc("write", write(fd, "", 0));
    say_rc("send", send(fd, "", 0, 0));
    say_rc("null", write(fd, NULL, 0));
    say_rc("write", write(fd, "x", 1));
    peer_says(CONN, 1);
}

static void not_connected(int arg)
{
    uint16_t port;
    catch_pipe();
    int fd = tcp_socket(AF_INET);
    say_rc("fresh", write(fd, "x", 1));
    say("signals=%d", (int)num_pipe_signals);
    say_rc("fresh.nosignal", send(fd, "x", 1, MSG_NOSIGNAL));
    say("signals=%d", (int)num_pipe_signals);
    say_rc("listening", write(listener(AF_INET, &port), "x", 1));
    say("signals=%d", (int)num_pipe_signals);
}

static void bad_descriptor(int arg)
{
    int pipes[2];
    must("pipe", pipe(pipes));
    say_rc("write.closed", write(150, "x", 1));
    say_rc("send.closed", send(150, "x", 1, 0));
    say_rc("send.negative", send(-1, "x", 1, 0));
    say_rc("send.pipe", send(pipes[1], "x", 1, 0));
    say_rc("sendto.pipe", sendto(pipes[1], "x", 1, 0, NULL, 0));
}

static void after_shutdown(int arg)
{
    catch_pipe();
    int fd = pair(OUT4);
    must("shutdown", shutdown(fd, SHUT_WR));
    say_rc("write", write(fd, "x", 1));
    say("signals=%d", (int)num_pipe_signals);
    say_rc("send.nosignal", send(fd, "x", 1, MSG_NOSIGNAL));
    say("signals=%d", (int)num_pipe_signals);
    say_rc("zero", write(fd, "x", 0));
    say("signals=%d", (int)num_pipe_signals);
}

static void pipe_signal_kills(int arg)
{
    int fd = pair(OUT4);
    must("shutdown", shutdown(fd, SHUT_WR));
    say("before");
    say_rc("write", write(fd, "x", 1));
}

static void pipe_signal_ignored(int arg)
{
    int fd = pair(OUT4);
    signal(SIGPIPE, SIG_IGN);
    must("shutdown", shutdown(fd, SHUT_WR));
    say_rc("write", write(fd, "x", 1));
    struct iovec part = {(char *)(uintptr_t) "x", 1};
    say_rc("writev", writev(fd, &part, 1));
}

static void pipe_signal_blocked(int arg)
{
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    int fd = pair(OUT4);
    sigprocmask(SIG_BLOCK, &set, NULL);
    must("shutdown", shutdown(fd, SHUT_WR));
    say_rc("nosignal", send(fd, "x", 1, MSG_NOSIGNAL));
    sigpending(&pending);
    say("pending=%d", sigismember(&pending, SIGPIPE));
    say_rc("write", write(fd, "x", 1));
    sigpending(&pending);
    say("pending=%d", sigismember(&pending, SIGPIPE));
}

static void after_reset(int kind)
{
    catch_pipe();
    int fd = pair(kind);
    peer_reset(CONN);
    await_reset(fd);
    say_rc("write", write(fd, "x", 1));
    say("signals=%d", (int)num_pipe_signals);
    say_rc("write", write(fd, "x", 1));
    say("signals=%d", (int)num_pipe_signals);
}

static void after_reset_read_first(int arg)
{
    catch_pipe();
    int fd = pair(OUT4);
    char byte;
    peer_reset(CONN);
    await_reset(fd);
    say_rc("read", read(fd, &byte, 1));
    say_rc("write", write(fd, "x", 1));
    say("signals=%d", (int)num_pipe_signals);
}

static void to_closed_peer(int arg)
{
    /* The first is taken and answered with a RST; what comes after it finds none there. */
    catch_pipe();
    int fd = pair(OUT4);
    peer_close(CONN);
    await_end(fd);
    say_rc("write", write(fd, "x", 1));
    await_reset(fd);
    say_rc("write", write(fd, "x", 1));
    say("signals=%d", (int)num_pipe_signals);
}

static void to_half_closed_peer(int kind)
{
    int fd = pair(kind);
    peer_shutdown(CONN, SHUT_WR);
    await_end(fd);
    say_rc("write", write(fd, "still", 5));
    peer_says(CONN, 5);
}

static void nonblocking_fills(int kind)
{
    int fd = nonblocking_pair(kind);
    peer_buffer(CONN, 4096);
    size_t len = fill(fd);
    say("took=%d", len > 0);
    say_rc("write", write(fd, "x", 1));
    say_rc("send", send(fd, "x", 1, 0));
    say_poll("poll", await_for(fd, POLLOUT, 0));
    peer_has(CONN, (int64_t)len);
    say_poll("poll", await(fd, POLLOUT));
    say_rc("write", write(fd, "x", 1));
}

static void partial(int arg)
{
    /* More than any buffer holds: a part is taken, and the rest after the peer has read. */
    int fd = nonblocking_pair(OUT4);
    size_t len = 64u << 20, done = 0;
    char *bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)peer_pattern((int64_t)i);
    ssize_t rc = write(fd, bytes, len);
    say("partial=%d", rc > 0 && rc < (ssize_t)len);
    done = (size_t)rc;
    peer_has(CONN, rc);
    rc = write(fd, bytes + done, 100);
    while (rc == -1 && errno == EAGAIN && await(fd, POLLOUT) != 0)
        rc = write(fd, bytes + done, 100);
    say_rc("more", rc);
    peer_has(CONN, 100);
}

static void blocking_takes_all(int arg)
{
    int fd = pair(OUT4);
    size_t len = 8u << 20;
    char *bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)peer_pattern((int64_t)i);
    pid_t child = fork();
    if (child == 0) {
        peer_has(CONN, (int64_t)len);
        _exit(0);
    }
    say_rc("write", write(fd, bytes, len));
    end_child("reader", child);
}

static void timeout(int arg)
{
    int fd = nonblocking_pair(OUT4);
    fill(fd);
    set_timeout(fd, SO_SNDTIMEO, SKIP_NOTHING_MS);
    say_rc("fcntl", fcntl(fd, F_SETFL, 0));
    int64_t start_ms = now_ms();
    static char bytes[1 << 20];
    ssize_t rc = write(fd, bytes, sizeof(bytes));
    say("stopped=%d", rc < (ssize_t)sizeof(bytes));
    say("waited=%d", now_ms() - start_ms >= SKIP_NOTHING_MS - 1);
    /* The peer's kernel may have taken some more meanwhile. */
    for (int i = 0; i < 20 && rc > 0; i++)
        rc = write(fd, bytes, sizeof(bytes));
    say_rc("write", rc);
}

static void reset_while_blocked(int arg)
{
    catch_pipe();
    int fd = nonblocking_pair(OUT4);
    static char bytes[1 << 20];
    fill(fd);
    fcntl(fd, F_SETFL, 0);
    peer_later(60);
    peer_reset(CONN);
    ssize_t rc = write(fd, bytes, sizeof(bytes));
    if (rc > 0)
        rc = write(fd, bytes, sizeof(bytes));
    say("failed=%d", rc == -1 && (errno == ECONNRESET || errno == EPIPE));
}

static void vector(int kind)
{
    int fd = pair(kind);
    char abc[] = "abc", defgh[] = "defgh", i[] = "i";
    struct iovec parts[4] = {{abc, 3}, {NULL, 0}, {defgh, 5}, {i, 1}};
    say_rc("writev", writev(fd, parts, 4));
    peer_says(CONN, 9);
}

static void vector_long(int arg)
{
    /* As many parts as the kernel takes at once. */
    static struct iovec parts[1024];
    static char letters[1024];
    for (int i = 0; i < 1024; i++) {
        letters[i] = (char)peer_pattern(i);
        parts[i] = (struct iovec){&letters[i], 1};
    }
    int fd = pair(OUT4);
    say_rc("writev", writev(fd, parts, 1024));
    peer_says(CONN, 1024);
}

static void vector_errors(int arg)
{
    int fd = pair(OUT4);
    char abc[] = "abc";
    struct iovec part = {abc, 3};
    say_rc("none", writev(fd, &part, 0));
    say_rc("negative", writev(fd, &part, -1));
    say_rc("too-many", writev(fd, &part, 5000));
    part.iov_len = (size_t)-1;
    say_rc("huge", writev(fd, &part, 1));
    say_rc("pwritev", pwritev(fd, &part, 1, 0));
}

static void more(int arg)
{
    int fd = pair(OUT4);
    say_rc("more", send(fd, "head", 4, MSG_MORE));
    say_rc("rest", send(fd, "tail", 4, 0));
    peer_says(CONN, 8);
    say_rc("more", send(fd, "last", 4, MSG_MORE));
    shutdown(fd, SHUT_WR);
    peer_says(CONN, 8);
}

static void address_on_stream(int kind)
{
    int fd = pair(kind);
    struct address other = address_of_peer(AF_INET, 9);
    say_rc("sendto", sendto(fd, "hello", 5, 0, SA(other)));
    peer_says(CONN, 5);
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    say_rc("fresh", sendto(tcp_socket(AF_INET), "hello", 5, MSG_NOSIGNAL, SA(to)));
}

static void out_of_band(int arg)
{
    int fd = pair(OUT4);
    say_rc("send", send(fd, "ab", 2, MSG_OOB));
    peer_awaits(CONN, POLLPRI);
}

static void large(int kind)
{
    int fd = pair(kind);
    size_t len = 3u << 20;
    char *bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)peer_pattern((int64_t)i);
    peer_later(1);
    peer_buffer(CONN, 1 << 20);
    pid_t child = fork();
    if (child == 0) {
        say("wrote=%d", write(fd, bytes, len) == (ssize_t)len);
        _exit(0);
    }
    close(fd);
    peer_says(CONN, 4 << 20);
    end_child("writer", child);
}

static void close_delivers(int arg)
{
    int fd = pair(OUT4);
    say_rc("write", write(fd, "delivered", 9));
    say_rc("close", close(fd));
    peer_says(CONN, 20);
}

static void exit_delivers(int arg)
{
    int fd = pair(OUT4);
    if (fork() == 0) {
        if (write(fd, "delivered", 9) == 9)
            _exit(0);
        _exit(1);
    }
    close(fd);
    peer_says(CONN, 20);
}

static const struct conf_case cases[] = {
    {"write.basic", basic, OUT4},
    {"write.basic.accepted", basic, IN4},
    {"write.zero", zero_length, 0},
    {"write.not-connected", not_connected, 0},
    {"write.descriptor.bad", bad_descriptor, 0},
    {"write.after-shutdown", after_shutdown, 0},
    {"write.sigpipe.kills", pipe_signal_kills, 0},
    {"write.sigpipe.ignored", pipe_signal_ignored, 0},
    {"write.sigpipe.blocked", pipe_signal_blocked, 0},
    {"write.reset", after_reset, OUT4},
    {"write.reset.accepted", after_reset, IN4},
    {"write.reset.read-first", after_reset_read_first, 0},
    {"write.peer-closed", to_closed_peer, 0},
    {"write.peer-half-closed", to_half_closed_peer, OUT4},
    {"write.peer-half-closed.accepted", to_half_closed_peer, IN4},
    {"write.full", nonblocking_fills, OUT4},
    {"write.full.accepted", nonblocking_fills, IN4},
    {"write.partial", partial, 0},
    {"write.blocking-takes-all", blocking_takes_all, 0},
    {"write.timeout", timeout, 0},
    {"write.reset.while-blocked", reset_while_blocked, 0},
    {"write.vector", vector, OUT4},
    {"write.vector.accepted", vector, IN4},
    {"write.vector.long", vector_long, 0},
    {"write.vector.errors", vector_errors, 0},
    {"write.more", more, 0},
    {"write.sendto", address_on_stream, OUT4},
    {"write.oob", out_of_band, 0},
    {"write.large", large, OUT4},
    {"write.large.accepted", large, IN4},
    {"write.close-delivers", close_delivers, 0},
    {"write.exit-delivers", exit_delivers, 0},
};

CONF_GROUP(write_cases, cases);
