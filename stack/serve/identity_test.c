/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who connected: children of the test are the peers, over a socket in the abstract name space. A child that
 * shall run another program connects first and then executes it; a pipe that closes on exec says when.
 */
#include "stack/serve/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/harness.h"

#define NOBODY 65534

struct peer {
    pid_t pid;
    int fd; /* the accepted end */
};

struct wishes {
    uid_t uid;
    const char *comm;    /* what the child calls itself; NULL: nothing */
    const char *program; /* what it executes; NULL: it stays */
    bool keeps_bind;     /* it keeps CAP_NET_BIND_SERVICE */
};

static socklen_t address_of(struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                       (size_t)snprintf(ret->sun_path + 1, 60, "pellucid-identity-%d", (int)getpid()));
}

static bool keep_bind(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    data[0].effective = data[0].permitted = 1u << CAP_NET_BIND_SERVICE;
    return syscall(SYS_capset, &header, data) == 0;
}

static void be_peer(const struct wishes *wishes, int ready_fd, const struct sockaddr_un *address,
                    socklen_t address_len)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_KEEPCAPS, 1);
    if (wishes->uid != getuid() && setresuid(wishes->uid, wishes->uid, wishes->uid) != 0)
        _exit(2);
    if (wishes->keeps_bind && !keep_bind())
        _exit(3);
    if (wishes->comm != NULL)
        prctl(PR_SET_NAME, wishes->comm);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, address_len) != 0)
        _exit(4);
    if (wishes->program != NULL)
        execl(wishes->program, "liar", "1000", NULL); /* the pipe closes */
    close(ready_fd);
    pause();
    _exit(5);
}

static void start_peer(const struct wishes *wishes, struct peer *ret_peer)
{
    struct sockaddr_un address;
    socklen_t len = address_of(&address);
    int ready[2], listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte;
    PEL_REQUIRE(bind(listen_fd, (const struct sockaddr *)&address, len) == 0 && listen(listen_fd, 1) == 0);
    PEL_REQUIRE(pipe2(ready, O_CLOEXEC) == 0);
    ret_peer->pid = fork();
    if (ret_peer->pid == 0)
        be_peer(wishes, ready[1], &address, len);
    close(ready[1]);
    ret_peer->fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    close(listen_fd);
    PEL_REQUIRE(ret_peer->fd >= 0 && read(ready[0], &byte, 1) == 0);
    close(ready[0]);
}

static void end_peer(struct peer *peer)
{
    kill(peer->pid, SIGKILL);
    waitpid(peer->pid, NULL, 0);
    close(peer->fd);
}

/* A copy of /bin/sleep under another name. */
static void copy_sleep(const char *name, char ret_path[128])
{
    char buffer[65536];
    ssize_t len;
    snprintf(ret_path, 128, "/tmp/pellucid-identity-%d-%s", (int)getpid(), name);
    int in = open("/bin/sleep", O_RDONLY | O_CLOEXEC);
    int out = open(ret_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    PEL_REQUIRE(in >= 0 && out >= 0);
    while ((len = read(in, buffer, sizeof buffer)) > 0)
        PEL_REQUIRE(write(out, buffer, (size_t)len) == len);
    close(in);
    close(out);
}

PEL_TEST(identity, a_program_cannot_rename_itself)
{
    const struct wishes wishes = {.uid = getuid(), .comm = "nginx"};
    struct pel_client_identity identity;
    struct pel_error error;
    struct peer peer;
    char user[PEL_CLIENT_NAME_LEN];
    start_peer(&wishes, &peer);
    PEL_REQUIRE_OK(pel_client_identify(peer.fd, NULL, NULL, 0, &identity, &error));
    PEL_EXPECT_STR(identity.job, program_invocation_short_name);
    pel_client_user_name(getuid(), user);
    PEL_EXPECT_STR(identity.user, user);
    PEL_EXPECT(identity.pid == peer.pid && identity.uid == getuid());
    end_peer(&peer);
}

PEL_TEST(identity, the_job_is_the_file_that_runs)
{
    char path[128], name[64];
    struct pel_client_identity identity;
    struct pel_error error;
    struct peer peer;
    copy_sleep("exact", path);
    snprintf(name, sizeof name, "pellucid-identity-%d-exact", (int)getpid());
    const struct wishes wishes = {.uid = getuid(), .program = path};
    start_peer(&wishes, &peer);
    PEL_REQUIRE_OK(pel_client_identify(peer.fd, "", NULL, 0, &identity, &error));
    PEL_EXPECT_STR(identity.job, name);
    unlink(path); /* an upgrade while it runs */
    PEL_REQUIRE_OK(pel_client_identify(peer.fd, NULL, NULL, 0, &identity, &error));
    PEL_EXPECT_STR(identity.job, name);
    end_peer(&peer);
}

PEL_TEST(identity, one_that_is_gone)
{
    const struct wishes wishes = {.uid = getuid()};
    struct pel_client_identity identity;
    struct pel_error error;
    struct peer peer;
    start_peer(&wishes, &peer);
    kill(peer.pid, SIGKILL);
    waitpid(peer.pid, NULL, 0);
    PEL_EXPECT_ERR(pel_client_identify(peer.fd, NULL, NULL, 0, &identity, &error), PEL_E_NOT_FOUND);
    PEL_EXPECT_HAS(error.text, "ended before it could be identified");
    close(peer.fd);
}

PEL_TEST(identity, names_that_root_may_choose)
{
    const struct wishes wishes = {.uid = getuid()};
    struct pel_client_identity identity;
    struct pel_error error;
    struct peer peer;
    if (getuid() != 0)
        PEL_SKIP("takes root");
    start_peer(&wishes, &peer);
    PEL_REQUIRE_OK(pel_client_identify(peer.fd, "PAYROLL", NULL, 0, &identity, &error));
    PEL_EXPECT_STR(identity.job, "PAYROLL");
    static const char *const bad[] = {"a b", "*",        "x*",
                                      "a\n", "\xc3\xa4", "123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        PEL_EXPECT_ERR(pel_client_identify(peer.fd, bad[i], NULL, 0, &identity, &error), PEL_E_ARG);
        PEL_EXPECT_HAS(error.text, "no job name");
    }
    end_peer(&peer);
}

PEL_TEST(identity, names_that_others_may_choose)
{
    const struct wishes wishes = {.uid = NOBODY};
    char user[PEL_CLIENT_NAME_LEN];
    char all[] = "*", root[] = "root";
    char *const nobody_list[] = {root, user}, *const all_list[] = {all}, *const root_list[] = {root};
    struct pel_client_identity identity;
    struct pel_error error;
    struct peer peer;
    if (getuid() != 0)
        PEL_SKIP("takes root");
    pel_client_user_name(NOBODY, user);
    start_peer(&wishes, &peer);
    PEL_EXPECT_ERR(pel_client_identify(peer.fd, "X", NULL, 0, &identity, &error), PEL_E_NOT_ALLOWED);
    PEL_EXPECT_HAS(error.text, "attach.jobs_named");
    PEL_EXPECT_ERR(pel_client_identify(peer.fd, "X", root_list, 1, &identity, &error), PEL_E_NOT_ALLOWED);
    PEL_REQUIRE_OK(pel_client_identify(peer.fd, "X", nobody_list, 2, &identity, &error));
    PEL_EXPECT_STR(identity.user, user);
    PEL_REQUIRE_OK(pel_client_identify(peer.fd, "X", all_list, 1, &identity, &error));
    PEL_EXPECT_STR(identity.job, "X");
    end_peer(&peer);
}

PEL_TEST(identity, users_without_a_name_are_numbers)
{
    char name[PEL_CLIENT_NAME_LEN];
    pel_client_user_name(3999999999u, name);
    PEL_EXPECT_STR(name, "3999999999");
}

PEL_TEST(identity, low_ports_are_for_those_who_may)
{
    const struct wishes plain = {.uid = NOBODY}, able = {.uid = NOBODY, .keeps_bind = true};
    struct peer peer;
    PEL_EXPECT(pel_client_may_bind(getpid(), 0, 1));
    if (getuid() != 0)
        PEL_SKIP("takes root");
    start_peer(&plain, &peer);
    PEL_EXPECT(!pel_client_may_bind(peer.pid, NOBODY, 1));
    PEL_EXPECT(pel_client_may_bind(peer.pid, NOBODY, 0));
    PEL_EXPECT(pel_client_may_bind(peer.pid, NOBODY, 60000));
    end_peer(&peer);
    start_peer(&able, &peer);
    PEL_EXPECT(pel_client_may_bind(peer.pid, NOBODY, 1));
    end_peer(&peer);
}
