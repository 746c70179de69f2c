/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets over exec(): this program runs itself again, with one verb and one descriptor. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include "tests/conformance/case.h"
#include "tests/conformance/peer.h"

static char text[64];

/* ---- What the program does that was run ---- */

int child_main(const char *verb, int fd)
{
    if (strcmp(verb, "write") == 0)
        say_rc("run-write", write(fd, "after-exec", 10));
    else if (strcmp(verb, "read") == 0)
        say_bytes("run-read", read(fd, text, sizeof(text)), text);
    else if (strcmp(verb, "accept") == 0)
        say_rc("run-write", write(say_fd("run-accept", accept(fd, NULL, NULL)), "accepted", 8));
    else if (strcmp(verb, "wait") == 0)
        say_rc("run-wait", epoll_wait(fd, &(struct epoll_event){.events = 0}, 1, PATIENCE_MS));
    else if (strcmp(verb, "flags") == 0)
        say("run-flags=%d,%d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, fcntl(fd, F_GETFD));
    else if (strcmp(verb, "stay") == 0)
        pause_ms(2 * PATIENCE_MS);
    else
        return 2;
    return 0;
}

/* ---- Cases ---- */

static void run(const char *verb, int fd)
{
    pid_t child = fork();
    if (child == 0)
        exec_child(verb, fd);
    end_child("child", child);
}

static void kept(int kind)
{
    int fd = pair(kind);
    run("write", fd);
    peer_says(CONN, 10);
    say_rc("write", write(fd, "still-mine", 10));
    peer_says(CONN, 10);
}

static void kept_for_reading(int arg)
{
    int fd = pair(OUT4);
    peer_send(CONN, "hello");
    await_bytes(fd, 5);
    run("read", fd);
    peer_send(CONN, "again");
    say_bytes("read", read(fd, text, sizeof(text)), text);
}

static void closed_on_exec(int arg)
{
    int fd = pair(OUT4);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    run("write", fd);
    say_rc("write", write(fd, "mine", 4));
    peer_says(CONN, 4);
}

static void closed_on_exec_from_start(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_connect(CONN, AF_INET, port);
    int fd = say_fd("accept4", accept4(door, NULL, NULL, SOCK_CLOEXEC));
    run("write", fd);
    int fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    run("flags", fresh);
}

static void last_is_closed_by_exec(int arg)
{
    /* The program that runs itself anew loses what is closed on exec: its peer sees the end. */
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    pid_t child = fork();
    if (child == 0) {
        int fd = (int)must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        must("connect", connect(fd, SA(to)));
        exec_child("stay", fd);
    }
    peer_accept(CONN, LISTENER);
    peer_says(CONN, 1);
    say("runs=%d", kill(child, SIGTERM) == 0);
    end_child("child", child);
}

static void listener_kept(int arg)
{
    uint16_t port;
    int door = listener(AF_INET, &port);
    peer_connect(CONN, AF_INET, port);
    run("accept", door);
    peer_says(CONN, 100);
}

static void flags_kept(int arg)
{
    int fd = nonblocking_pair(OUT4);
    run("flags", fd);
}

static void set_kept(int arg)
{
    int fd = pair(OUT4), set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLOUT};
    must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    run("wait", set);
}

static void itself(int arg)
{
    /* The connection is that of the program which this process becomes. */
    struct address to = address_of_peer(AF_INET, peer_listen(LISTENER, AF_INET));
    pid_t child = fork();
    if (child == 0) {
        int fd = tcp_socket(AF_INET);
        must("connect", connect(fd, SA(to)));
        must("write", write(fd, "before,", 7));
        exec_child("write", fd);
    }
    peer_accept(CONN, LISTENER);
    end_child("child", child);
    peer_says(CONN, 17);
    peer_says(CONN, 1);
}

static void standard_streams(int arg)
{
    /* As inetd would: a program that knows nothing of sockets talks over 0 and 1. */
    int fd = pair(IN4);
    pid_t child = fork();
    if (child == 0) {
        dup2(fd, 0);
        dup2(fd, 1);
        close(fd);
        execl("/bin/sh", "sh", "-c", "read line; echo \"got $line\"", NULL);
        _exit(127);
    }
    close(fd);
    peer_send(CONN, "a line\n");
    peer_says(CONN, 100);
    end_child("child", child);
}

static void cat_streams(int arg)
{
    int fd = pair(IN4);
    pid_t child = fork();
    if (child == 0) {
        dup2(fd, 0);
        dup2(fd, 1);
        close(fd);
        execlp("cat", "cat", NULL);
        _exit(127);
    }
    close(fd);
    peer_send(CONN, "meow");
    peer_says(CONN, 4);
    peer_shutdown(CONN, SHUT_WR);
    peer_says(CONN, 1);
    end_child("child", child);
}

static void spawned(int arg)
{
    pid_t child;
    int fd = pair(OUT4);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    char *words[] = {(char *)"echo", (char *)"spawned", NULL};
    int rc = posix_spawnp(&child, "echo", &actions, NULL, words, environ);
    say("posix_spawnp=%s", error_name(rc));
    if (rc == 0)
        end_child("child", child);
    peer_says(CONN, 8);
}

static void by_vfork(int arg)
{
    int fd = pair(OUT4);
    pid_t child = vfork();
    if (child == 0) {
        dup2(fd, 1);
        execlp("echo", "echo", "vforked", NULL);
        _exit(127);
    }
    end_child("child", child);
    peer_says(CONN, 8);
    say_rc("write", write(fd, "mine", 4));
    peer_says(CONN, 4);
}

static void by_system(int arg)
{
    int fd = pair(OUT4);
    char command[64];
    snprintf(command, sizeof(command), "echo systematic >&%d", fd);
    say_rc("system", system(command));
    peer_says(CONN, 11);
    FILE *words = popen("echo words", "r");
    say("%s", words != NULL && fgets(text, sizeof(text), words) != NULL ? text : "nothing");
    say_rc("pclose", words != NULL ? pclose(words) : -1);
    say_rc("write", write(fd, "mine", 4));
    peer_says(CONN, 4);
}

static const struct conf_case cases[] = {
    {"exec.kept", kept, OUT4},
    {"exec.kept.accepted", kept, IN4},
    {"exec.kept.reading", kept_for_reading, 0},
    {"exec.cloexec", closed_on_exec, 0},
    {"exec.cloexec.from-start", closed_on_exec_from_start, 0},
    {"exec.cloexec.last", last_is_closed_by_exec, 0},
    {"exec.listener", listener_kept, 0},
    {"exec.flags", flags_kept, 0},
    {"exec.epoll-set", set_kept, 0},
    {"exec.itself", itself, 0},
    {"exec.standard-streams", standard_streams, 0},
    {"exec.cat", cat_streams, 0},
    {"exec.spawn", spawned, 0},
    {"exec.vfork", by_vfork, 0},
    {"exec.system", by_system, 0},
};

CONF_GROUP(exec_cases, cases);
