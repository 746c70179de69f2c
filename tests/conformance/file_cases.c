/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets as files: sendfile(), splice(), streams of stdio, dprintf(). */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

/* A file of `len` bytes of the pattern. */
static int file_of(size_t len)
{
    int fd = (int)must("memfd_create", memfd_create("conformance", MFD_CLOEXEC));
    uint8_t *bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = peer_pattern((int64_t)i);
    must("write", write(fd, bytes, len));
    free(bytes);
    must("lseek", lseek(fd, 0, SEEK_SET));
    return fd;
}

static void send_file(int kind)
{
    int fd = pair(kind), file = file_of(50000);
    say_rc("sendfile", sendfile(fd, file, NULL, 50000));
    say_rc("position", lseek(file, 0, SEEK_CUR));
    peer_says(CONN, 50000);
    say_rc("end", sendfile(fd, file, NULL, 10));
}

static void send_file_from(int arg)
{
    off_t offset = 0;
    int fd = pair(OUT4), file = file_of(300);
    say_rc("sendfile", sendfile(fd, file, &offset, 100));
    say("offset=%lld", (long long)offset);
    say_rc("position", lseek(file, 0, SEEK_CUR));
    say_rc("sendfile", sendfile(fd, file, &offset, 1000));
    say("offset=%lld", (long long)offset);
    peer_says(CONN, 300);
    offset = -1;
    say_rc("negative", sendfile(fd, file, &offset, 10));
}

static void send_file_errors(int arg)
{
    int fd = pair(OUT4), file = file_of(100), pipes[2];
    must("pipe", pipe(pipes));
    signal(SIGPIPE, SIG_IGN);
    say_rc("closed", sendfile(150, file, NULL, 10));
    say_rc("no-file", sendfile(fd, 150, NULL, 10));
    say_rc("fresh", sendfile(tcp_socket(AF_INET), file, NULL, 10));
    say_rc("from-socket", sendfile(fd, fd, NULL, 10));
    say_rc("zero", sendfile(fd, file, NULL, 0));
    must("shutdown", shutdown(fd, SHUT_WR));
    say_rc("shut", sendfile(fd, file, NULL, 10));
}

static void send_file_until_full(int arg)
{
    int fd = nonblocking_pair(OUT4), file = file_of(64u << 20);
    ssize_t rc = sendfile(fd, file, NULL, 64u << 20);
    say("partial=%d", rc > 0 && rc < (64 << 20));
    say("position=%d", lseek(file, 0, SEEK_CUR) == rc);
    peer_has(CONN, rc);
}

static void splice_out(int arg)
{
    int fd = pair(OUT4), pipes[2];
    must("pipe", pipe(pipes));
    must("write", write(pipes[1], "through a pipe", 14));
    say_rc("splice", splice(pipes[0], NULL, fd, NULL, 14, 0));
    peer_says(CONN, 14);
    close(pipes[1]);
    say_rc("end", splice(pipes[0], NULL, fd, NULL, 14, 0));
}

static void splice_in(int arg)
{
    char text[32];
    int fd = pair(OUT4), pipes[2];
    must("pipe", pipe(pipes));
    peer_send(CONN, "into a pipe");
    await_bytes(fd, 11);
    say_rc("splice", splice(fd, NULL, pipes[1], NULL, 100, 0));
    say_bytes("read", read(pipes[0], text, sizeof(text)), text);
    set_nonblocking(fd);
    say_rc("nothing", splice(fd, NULL, pipes[1], NULL, 100, SPLICE_F_NONBLOCK));
    peer_close(CONN);
    await_end(fd);
    say_rc("end", splice(fd, NULL, pipes[1], NULL, 100, 0));
}

static void splice_errors(int arg)
{
    int fd = pair(OUT4), file = file_of(10);
    off_t offset = 0;
    say_rc("no-pipe", splice(fd, NULL, file, NULL, 10, 0));
    int pipes[2];
    must("pipe", pipe(pipes));
    must("write", write(pipes[1], "x", 1));
    say_rc("offset", splice(pipes[0], NULL, fd, &offset, 1, 0));
    say_rc("closed", splice(pipes[0], NULL, 150, NULL, 1, 0));
}

static void stream_lines(int kind)
{
    char line[32];
    int fd = pair(kind);
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    say("fdopen=%d,%d", in != NULL, out != NULL);
    say("fprintf=%d", fprintf(out, "number %d\n", 7));
    say("fflush=%d", fflush(out));
    peer_says(CONN, 9);
    peer_send(CONN, "first\nsecond\n");
    say("%s", fgets(line, sizeof(line), in) != NULL ? line : "nothing");
    say("%s", fgets(line, sizeof(line), in) != NULL ? line : "nothing");
    peer_shutdown(CONN, SHUT_WR);
    say("%s", fgets(line, sizeof(line), in) != NULL ? line : "nothing");
    say("feof=%d ferror=%d", feof(in) != 0, ferror(in) != 0);
    say("fclose=%d", fclose(in));
    say("fclose=%d", fclose(out));
    peer_says(CONN, 1);
}

static void stream_both_ways(int arg)
{
    char line[32];
    FILE *stream = fdopen(pair(OUT4), "r+");
    setvbuf(stream, NULL, _IOLBF, 0);
    say("fputs=%d", fputs("hello\n", stream) >= 0);
    peer_says(CONN, 6);
    peer_send(CONN, "world\n");
    say("%s", fgets(line, sizeof(line), stream) != NULL ? line : "nothing");
    say("fileno=%d", fileno(stream) >= 0);
    say("fclose=%d", fclose(stream));
    peer_says(CONN, 1);
}

static void stream_of_bytes(int arg)
{
    static char bytes[100000];
    FILE *in = fdopen(pair(OUT4), "r");
    peer_later(1);
    peer_fill(CONN, sizeof(bytes));
    say("fread=%d", fread(bytes, 1, sizeof(bytes), in) == sizeof(bytes));
    size_t i = 0;
    while (i < sizeof(bytes) && (uint8_t)bytes[i] == peer_pattern((int64_t)i))
        i++;
    say("equal=%d", i == sizeof(bytes));
}

static void stream_reset(int arg)
{
    char line[8];
    int fd = pair(OUT4);
    FILE *in = fdopen(fd, "r");
    peer_reset(CONN);
    await_reset(fd);
    errno = 0;
    say("%s", fgets(line, sizeof(line), in) != NULL ? line : error_name(errno));
    say("feof=%d ferror=%d", feof(in) != 0, ferror(in) != 0);
}

static void stream_fclose_delivers(int arg)
{
    FILE *out = fdopen(pair(OUT4), "w");
    fputs("unflushed", out);
    say("fclose=%d", fclose(out));
    peer_says(CONN, 100);
}

static void stream_seek(int arg)
{
    FILE *stream = fdopen(pair(OUT4), "r+");
    say_rc("fseek", fseek(stream, 1, SEEK_SET));
    say_rc("ftell", ftell(stream));
}

static void formatted(int arg)
{
    int fd = pair(OUT4);
    say("dprintf=%d", dprintf(fd, "%s-%d", "printed", 42));
    peer_says(CONN, 10);
}

static void stream_getline(int arg)
{
    char *line = NULL;
    size_t size = 0;
    FILE *in = fdopen(pair(IN4), "r");
    peer_send(CONN, "one\ntwo");
    peer_close(CONN);
    say_rc("getline", getline(&line, &size, in));
    say_rc("getline", getline(&line, &size, in));
    say_rc("getline", getline(&line, &size, in));
    say("getc=%d", getc(in) == EOF);
}

static void by_proc(int arg)
{
    char path[64];
    struct stat status;
    int fd = pair(OUT4);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    say_rc("stat", stat(path, &status));
    say("socket=%d", S_ISSOCK(status.st_mode));
    say_fd("open", open(path, O_RDWR));
    char target[64] = "";
    ssize_t len = readlink(path, target, sizeof(target) - 1);
    say("link=%d", len > 0 && strncmp(target, "socket:[", 8) == 0);
}

static const struct conf_case cases[] = {
    {"file.sendfile", send_file, OUT4},
    {"file.sendfile.accepted", send_file, IN4},
    {"file.sendfile.offset", send_file_from, 0},
    {"file.sendfile.errors", send_file_errors, 0},
    {"file.sendfile.full", send_file_until_full, 0},
    {"file.splice.out", splice_out, 0},
    {"file.splice.in", splice_in, 0},
    {"file.splice.errors", splice_errors, 0},
    {"file.stream.lines", stream_lines, OUT4},
    {"file.stream.lines.accepted", stream_lines, IN4},
    {"file.stream.both-ways", stream_both_ways, 0},
    {"file.stream.bytes", stream_of_bytes, 0},
    {"file.stream.reset", stream_reset, 0},
    {"file.stream.fclose-delivers", stream_fclose_delivers, 0},
    {"file.stream.seek", stream_seek, 0},
    {"file.stream.getline", stream_getline, 0},
    {"file.dprintf", formatted, 0},
    {"file.proc", by_proc, 0},
};

CONF_GROUP(file_cases, cases);
