/* SPDX-License-Identifier: Apache-2.0 */
/* socket(): what it takes and refuses, and what a fresh socket is. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/conformance/case.h"

struct socket_row {
    int family, type, protocol;
};

static const struct socket_row rows[] = {
    {AF_INET, SOCK_STREAM, 0},
    {AF_INET, SOCK_STREAM, IPPROTO_TCP},
    {AF_INET, SOCK_STREAM, IPPROTO_UDP},
    {AF_INET, SOCK_DGRAM, 0},
    {AF_INET, SOCK_DGRAM, IPPROTO_UDP},
    {AF_INET, SOCK_DGRAM, IPPROTO_TCP},
    {AF_INET, SOCK_SEQPACKET, 0},
    {AF_INET, 0, 0},
    {AF_INET, 77, 0},
    {AF_INET, SOCK_STREAM, 999},
    {AF_INET, SOCK_STREAM, -1},
    {AF_INET, SOCK_STREAM | 0x100000, 0},
    {999, SOCK_STREAM, 0},
    {-1, SOCK_STREAM, 0},
    {AF_UNSPEC, SOCK_STREAM, 0},
    {AF_INET6, SOCK_STREAM, 0},
    {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
    {AF_INET6, SOCK_DGRAM, 0},
    {AF_INET6, SOCK_STREAM, IPPROTO_UDP},
    {AF_UNIX, SOCK_STREAM, 0},
    {AF_UNIX, SOCK_SEQPACKET, 0},
};

static void make(int row)
{
    say_fd("socket", socket(rows[row].family, rows[row].type, rows[row].protocol));
}

static void make_with_flags(int type)
{
    int fd = (int)must("socket", socket(AF_INET, type, 0));
    say("nonblock=%d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    say("access=%d", fcntl(fd, F_GETFL) & O_ACCMODE);
    say("cloexec=%d", fcntl(fd, F_GETFD));
}

static void lowest_number(int arg)
{
    int first = tcp_socket(AF_INET);
    int second = tcp_socket(AF_INET);
    say("next=%d", second == first + 1);
    close(first);
    say("again=%d", tcp_socket(AF_INET) == first);
    close(second);
    int duplicate = dup(0);
    say("dup-again=%d", duplicate == second);
}

static void stat_kind(int family)
{
    struct stat status;
    int fd = tcp_socket(family);
    say_rc("fstat", fstat(fd, &status));
    say("socket=%d", S_ISSOCK(status.st_mode));
    say("size=%lld", (long long)status.st_size);
}

static void seek(int arg)
{
    int fd = tcp_socket(AF_INET);
    say_rc("lseek", lseek(fd, 0, SEEK_CUR));
    say_rc("ftruncate", ftruncate(fd, 0));
    char byte;
    say_rc("pread", pread(fd, &byte, 1, 0));
    say_rc("pwrite", pwrite(fd, "x", 1, 0));
    say_rc("fsync", fsync(fd));
}

static void pair_of_inet(int arg)
{
    int fds[2] = {-5, -5};
    say_rc("socketpair", socketpair(AF_INET, SOCK_STREAM, 0, fds));
    say("kept=%d", fds[0] == -5 && fds[1] == -5);
}

static void many(int arg)
{
    int fds[100], made = 0;
    for (int i = 0; i < 100; i++)
        made += (fds[i] = socket(AF_INET, SOCK_STREAM, 0)) >= 0;
    say("made=%d", made);
    int closed = 0;
    for (int i = 0; i < 100; i++)
        closed += close(fds[i]) == 0;
    say("closed=%d", closed);
    say_rc("again", close(fds[50]));
}

static void no_descriptors_left(int arg)
{
    struct rlimit limit;
    int last = dup(0);
    must("getrlimit", getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = (rlim_t)last + 1;
    must("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
    say_fd("socket", socket(AF_INET, SOCK_STREAM, 0));
    close(last);
    say_fd("socket", socket(AF_INET, SOCK_STREAM, 0));
    say_fd("socket", socket(AF_INET, SOCK_STREAM, 0));
}

static void is_a_tty(int arg)
{
    int rc = isatty(tcp_socket(AF_INET));
    say("isatty=%d %s", rc, error_name(errno));
}

static const struct conf_case cases[] = {
    {"socket.inet.stream", make, 0},
    {"socket.inet.stream.tcp", make, 1},
    {"socket.inet.stream.udp", make, 2},
    {"socket.inet.dgram", make, 3},
    {"socket.inet.dgram.udp", make, 4},
    {"socket.inet.dgram.tcp", make, 5},
    {"socket.inet.seqpacket", make, 6},
    {"socket.inet.type.zero", make, 7},
    {"socket.inet.type.unknown", make, 8},
    {"socket.inet.protocol.unknown", make, 9},
    {"socket.inet.protocol.negative", make, 10},
    {"socket.inet.flag.unknown", make, 11},
    {"socket.family.unknown", make, 12},
    {"socket.family.negative", make, 13},
    {"socket.family.unspec", make, 14},
    {"socket.inet6.stream", make, 15},
    {"socket.inet6.stream.tcp", make, 16},
    {"socket.inet6.dgram", make, 17},
    {"socket.inet6.stream.udp", make, 18},
    {"socket.unix.stream", make, 19},
    {"socket.unix.seqpacket", make, 20},
    {"socket.flags.none", make_with_flags, SOCK_STREAM},
    {"socket.flags.nonblock", make_with_flags, SOCK_STREAM | SOCK_NONBLOCK},
    {"socket.flags.cloexec", make_with_flags, SOCK_STREAM | SOCK_CLOEXEC},
    {"socket.flags.both", make_with_flags, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC},
    {"socket.flags.dgram", make_with_flags, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC},
    {"socket.lowest-number", lowest_number, 0},
    {"socket.fstat", stat_kind, AF_INET},
    {"socket.fstat.inet6", stat_kind, AF_INET6},
    {"socket.not-a-file", seek, 0},
    {"socket.socketpair.inet", pair_of_inet, 0},
    {"socket.many", many, 0},
    {"socket.no-descriptors-left", no_descriptors_left, 0},
    {"socket.isatty", is_a_tty, 0},
};

CONF_GROUP(socket_cases, cases);
