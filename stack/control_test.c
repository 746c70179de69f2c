/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/control_server.h"

#include <pellucid/control.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "stack/control_path.h"
#include "tests/harness/harness.h"

/* A server in a directory of its own, whose handler echoes. */
struct fixture {
    char dir[64];
    char path[80];
    struct pel_control_server *server;
    atomic_int num_calls;
};

static void echo(void *arg, const char *request, char **ret_reply)
{
    struct fixture *f = arg;
    atomic_fetch_add(&f->num_calls, 1);
    char *reply = NULL;
    if (strstr(request, "\"slow\"") != NULL)
        usleep((PEL_CONTROL_CLIENT_TIMEOUT_MS + 200) * 1000);
    if (strstr(request, "\"big\"") != NULL) {
        size_t len = (size_t)8 << 20;
        reply = malloc(len);
        memset(reply, 'x', len);
        memcpy(reply, "{\"a\":\"", 6);
        memcpy(reply + len - 3, "\"}", 3);
    } else if (strstr(request, "\"nothing\"") == NULL &&
               asprintf(&reply, "{\"ok\":true,\"echo\":%s}", request) < 0) {
        reply = NULL;
    }
    *ret_reply = reply;
}

static bool fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    strcpy(f->dir, "/tmp/pel-control-XXXXXX");
    struct pel_error error;
    if (mkdtemp(f->dir) == NULL)
        return false;
    snprintf(f->path, sizeof f->path, "%s/c.sock", f->dir);
    return pel_control_server_start(f->path, "test", echo, f, &f->server, &error) == PEL_OK;
}

static void fixture_close(struct fixture *f)
{
    pel_control_server_stop(f->server);
    unlink(f->path);
    rmdir(f->dir);
}

static int raw_connect(const char *path)
{
    int fd = -1;
    struct pel_error error;
    return pel_control_path_connect(path, &fd, &error) == PEL_OK ? fd : -1;
}

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whether the server has not ended the connection yet. */
static bool is_connected(int fd)
{
    struct pollfd row = {.fd = fd, .events = POLLRDHUP};
    return poll(&row, 1, 0) == 0;
}

/* Sends bytes, waits for the reply's first `cap` - 1 bytes or its newline or the end. */
static ssize_t raw_ask(int fd, const char *bytes, size_t len, char *reply, size_t cap)
{
    size_t num = 0;
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0)
            break;
        bytes += sent;
        len -= (size_t)sent;
    }
    while (num + 1 < cap) {
        ssize_t got = recv(fd, reply + num, cap - 1 - num, 0);
        if (got <= 0)
            break;
        num += (size_t)got;
        if (memchr(reply, '\n', num) != NULL)
            break;
    }
    reply[num] = '\0';
    return (ssize_t)num;
}

PEL_TEST(control, call_and_reply)
{
    struct fixture f;
    PEL_REQUIRE(fixture_open(&f));
    PEL_EXPECT_STR(pel_control_server_path(f.server), f.path);
    struct stat st;
    PEL_REQUIRE(stat(f.path, &st) == 0);
    PEL_EXPECT_EQ(st.st_mode & 0777, 0600);
    char *reply = NULL;
    struct pel_error error;
    /* A newline inside the request is layout: it goes out as one line. */
    PEL_REQUIRE_OK(pel_control_call(f.path, "{\"verb\":\"ping\",\n \"x\":1}", &reply, &error));
    PEL_EXPECT_STR(reply, "{\"ok\":true,\"echo\":{\"verb\":\"ping\",\"x\":1}}");
    free(reply);
    PEL_REQUIRE_OK(pel_control_call(f.path, "{\"verb\":\"big\"}", &reply, &error));
    PEL_EXPECT_EQ(strlen(reply), ((size_t)8 << 20) - 1);
    free(reply);
    /* A directory stands for the only live socket in it. */
    PEL_REQUIRE_OK(pel_control_call(f.dir, "{\"verb\":\"ping\"}", &reply, &error));
    free(reply);
    fixture_close(&f);
    PEL_EXPECT(access(f.path, F_OK) != 0);
}

PEL_TEST(control, bad_requests_are_told_what_is_wrong)
{
    static const struct {
        const char *request, *part;
    } cases[] = {
        {"\n", "no JSON object"},
        {"hello\n", "no JSON object"},
        {"[1,2]\n", "no \\\"verb\\\""},
        {"{\"verb\":7}\n", "no \\\"verb\\\""},
        {"{}\n", "no \\\"verb\\\""},
        {"{\"verb\":\"a\",\"verb\":\"b\"}\n", "no JSON object"},
        {"{\"verb\":\"ping\"} trailing\n", "no JSON object"},
        {"{\"verb\":\"\xff\"}\n", "no JSON object"},
    };
    struct fixture f;
    PEL_REQUIRE(fixture_open(&f));
    char reply[512];
    int fd = raw_connect(f.path);
    PEL_REQUIRE(fd >= 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        raw_ask(fd, cases[i].request, strlen(cases[i].request), reply, sizeof reply);
        PEL_EXPECT_HAS(reply, "{\"ok\":false,\"error\":");
        PEL_EXPECT_HAS(reply, cases[i].part);
    }
    PEL_EXPECT_EQ(atomic_load(&f.num_calls), 0);
    /* The connection has survived them all. */
    raw_ask(fd, "{\"verb\":\"ping\"}\n", 16, reply, sizeof reply);
    PEL_EXPECT_HAS(reply, "\"ok\":true");
    close(fd);
    fixture_close(&f);
}

PEL_TEST(control, two_requests_in_one_write_get_two_replies)
{
    struct fixture f;
    PEL_REQUIRE(fixture_open(&f));
    int fd = raw_connect(f.path);
    const char *requests = "{\"verb\":\"a\"}\n{\"verb\":\"b\"}\n";
    PEL_REQUIRE(send(fd, requests, strlen(requests), 0) == (ssize_t)strlen(requests));
    char replies[512] = "";
    size_t len = 0;
    long start = now_ms();
    while (strstr(replies, "\"b\"}}\n") == NULL && now_ms() - start < 20000) {
        ssize_t num = recv(fd, replies + len, sizeof replies - 1 - len, 0);
        PEL_REQUIRE(num > 0);
        len += (size_t)num;
        replies[len] = '\0';
    }
    PEL_EXPECT_STR(replies,
                   "{\"ok\":true,\"echo\":{\"verb\":\"a\"}}\n{\"ok\":true,\"echo\":{\"verb\":\"b\"}}\n");
    close(fd);
    fixture_close(&f);
}

PEL_TEST(control, a_request_without_end_is_cut_off)
{
    struct fixture f;
    PEL_REQUIRE(fixture_open(&f));
    int fd = raw_connect(f.path);
    size_t len = PEL_CONTROL_REQUEST_MAX_LEN + 1;
    char *bytes = malloc(len);
    memset(bytes, ' ', len);
    char reply[512];
    raw_ask(fd, bytes, len, reply, sizeof reply);
    PEL_EXPECT_HAS(reply, "longer than 1 MiB");
    PEL_EXPECT(recv(fd, reply, 1, 0) <= 0);
    free(bytes);
    close(fd);
    fixture_close(&f);
}

/* Silent and half-spoken clients, as many as are served at once: a further one waits until they are dropped,
 * no longer. */
PEL_TEST(control, silent_clients_are_dropped_and_block_nobody_for_long)
{
    struct fixture f;
    PEL_REQUIRE(fixture_open(&f));
    int fds[PEL_CONTROL_NUM_CLIENTS_MAX];
    char *reply = NULL;
    struct pel_error error;
    for (size_t i = 0; i + 1 < PEL_CONTROL_NUM_CLIENTS_MAX; i++) {
        fds[i] = raw_connect(f.path);
        PEL_REQUIRE(fds[i] >= 0);
        PEL_EXPECT(send(fds[i], "{\"verb\"", 7, 0) == 7);
    }
    PEL_REQUIRE_OK(pel_control_call(f.path, "{\"verb\":\"ping\"}", &reply, &error));
    PEL_EXPECT(is_connected(fds[PEL_CONTROL_NUM_CLIENTS_MAX - 2])); /* answered beside them */
    free(reply);
    fds[PEL_CONTROL_NUM_CLIENTS_MAX - 1] = raw_connect(f.path);
    long start = now_ms();
    PEL_REQUIRE_OK(pel_control_call(f.path, "{\"verb\":\"ping\"}", &reply, &error)); /* or it gives up */
    PEL_EXPECT(now_ms() - start < 2 * PEL_CONTROL_CLIENT_TIMEOUT_MS);
    free(reply);
    for (size_t i = 0; i < PEL_CONTROL_NUM_CLIENTS_MAX; i++) {
        char byte;
        PEL_EXPECT(recv(fds[i], &byte, 1, 0) <= 0);
        close(fds[i]);
    }
    fixture_close(&f);
}

/* A client that does not take its 8 MiB does not keep another waiting, and stopping does not wait for it. */
PEL_TEST(control, a_client_that_does_not_read_blocks_nobody)
{
    struct fixture f;
    PEL_REQUIRE(fixture_open(&f));
    int fd = raw_connect(f.path);
    PEL_EXPECT(send(fd, "{\"verb\":\"big\"}\n", 15, 0) == 15);
    char *reply = NULL;
    struct pel_error error;
    PEL_REQUIRE_OK(pel_control_call(f.path, "{\"verb\":\"ping\"}", &reply, &error));
    PEL_EXPECT(is_connected(fd)); /* answered beside it */
    free(reply);
    long start = now_ms();
    pel_control_server_stop(f.server);
    PEL_EXPECT(now_ms() - start < PEL_CONTROL_CLIENT_TIMEOUT_MS - 500); /* its time is not over yet */
    f.server = NULL;
    close(fd);
    fixture_close(&f);
}

/* A large policy may take its time to load, and has much to say then. */
PEL_TEST(control, the_time_of_a_reply_begins_when_it_is_there)
{
    struct fixture f;
    struct pel_error error = {0};
    char *reply = NULL;
    PEL_REQUIRE(fixture_open(&f));
    PEL_EXPECT_ERR(pel_control_call(f.path, "{\"verb\":\"big\",\"how\":\"slow\"}", &reply, &error), PEL_OK);
    PEL_EXPECT_EQ(reply != NULL ? strlen(reply) : 0, ((size_t)8 << 20) - 1); /* a NUL ends it */
    free(reply);
    fixture_close(&f);
}

PEL_TEST(control, a_handler_out_of_memory_ends_the_connection)
{
    struct fixture f;
    PEL_REQUIRE(fixture_open(&f));
    char *reply = NULL;
    struct pel_error error;
    PEL_EXPECT_ERR(pel_control_call(f.path, "{\"verb\":\"nothing\"}", &reply, &error),
                   PEL_E_CONTROL_UNREACHABLE);
    PEL_EXPECT_HAS(error.text, "ended the call");
    PEL_EXPECT_ERR(pel_control_call(f.path, "not json", &reply, &error), PEL_E_CONTROL_SYNTAX);
    PEL_EXPECT_ERR(pel_control_call(f.path, "[]", &reply, &error), PEL_E_CONTROL_SYNTAX);
    PEL_EXPECT(reply == NULL);
    fixture_close(&f);
}

PEL_TEST(control, a_live_socket_is_respected_and_a_dead_one_replaced)
{
    struct fixture f;
    PEL_REQUIRE(fixture_open(&f));
    struct pel_control_server *second = NULL;
    struct pel_error error;
    PEL_EXPECT_ERR(pel_control_server_start(f.path, "test", echo, &f, &second, &error), PEL_E_EXISTS);
    PEL_EXPECT_HAS(error.text, "another process answers");
    pel_control_server_stop(f.server);
    f.server = NULL;

    /* What a killed process leaves: a bound name on which nobody listens. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", f.path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    PEL_REQUIRE(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
    char *reply = NULL;
    PEL_EXPECT_ERR(pel_control_call(f.path, "{\"verb\":\"ping\"}", &reply, &error),
                   PEL_E_CONTROL_UNREACHABLE);
    PEL_EXPECT_HAS(error.text, "its process is gone");
    PEL_EXPECT_ERR(pel_control_call(f.dir, "{\"verb\":\"ping\"}", &reply, &error), PEL_E_CONTROL_UNREACHABLE);
    PEL_EXPECT_HAS(error.text, "no stack answers");
    PEL_REQUIRE_OK(pel_control_server_start(f.path, "test", echo, &f, &f.server, &error));
    PEL_REQUIRE_OK(pel_control_call(f.path, "{\"verb\":\"ping\"}", &reply, &error));
    free(reply);
    fixture_close(&f);
}

PEL_TEST(control, a_directory_gives_each_process_its_name)
{
    struct fixture f;
    PEL_REQUIRE(fixture_open(&f));
    struct pel_control_server *second = NULL;
    struct pel_error error;
    char dir[80], expected[128];
    snprintf(dir, sizeof dir, "%s/new/", f.dir);
    PEL_REQUIRE_OK(pel_control_server_start(dir, "httpd", echo, &f, &second, &error));
    snprintf(expected, sizeof expected, "/new//httpd-%d.sock", (int)getpid());
    PEL_EXPECT_HAS(pel_control_server_path(second), expected);
    pel_control_server_stop(second);
    rmdir(dir);

    /* Two that answer: the caller has to choose, and is told between what. */
    char other[80];
    snprintf(other, sizeof other, "%s/d.sock", f.dir);
    PEL_REQUIRE_OK(pel_control_server_start(other, "test", echo, &f, &second, &error));
    char *reply = NULL;
    PEL_EXPECT_ERR(pel_control_call(f.dir, "{\"verb\":\"ping\"}", &reply, &error), PEL_E_CONTROL_UNREACHABLE);
    PEL_EXPECT_HAS(error.text, other);
    PEL_EXPECT_HAS(error.text, f.path);
    pel_control_server_stop(second);
    fixture_close(&f);
}

PEL_TEST(control, bad_places_are_clear_errors)
{
    struct pel_control_server *server = NULL;
    struct pel_error error;
    char path[300];
    memset(path, 'x', sizeof path - 1);
    memcpy(path, "/tmp/", 5);
    path[sizeof path - 1] = '\0';
    PEL_EXPECT_ERR(pel_control_server_start(path, "test", echo, NULL, &server, &error), PEL_E_TOO_BIG);
    PEL_EXPECT_ERR(pel_control_server_start("/nowhere/at/all.sock", "test", echo, NULL, &server, &error),
                   PEL_E_IO);
    PEL_EXPECT_HAS(error.text, "/nowhere/at");
    PEL_EXPECT_ERR(pel_control_server_start("/proc/self/status", "test", echo, NULL, &server, &error),
                   PEL_E_EXISTS);
    PEL_EXPECT_HAS(error.text, "is no socket");
    PEL_EXPECT(server == NULL);
}
