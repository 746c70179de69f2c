/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's parts that need no daemon: addresses, names, the table of descriptors, the locks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/preload/address.h"
#include "apps/preload/close.h"
#include "apps/preload/names.h"
#include "apps/preload/shared.h"
#include "apps/preload/table.h"
#include "apps/preload/wait.h"
#include "tests/harness/harness.h"

/* ---- what the table needs of the others ---- */

static unsigned num_ended;

void pel_close_last(struct pel_file *file)
{
    (void)file;
    __atomic_fetch_add(&num_ended, 1, __ATOMIC_SEQ_CST);
}

void pel_epoll_free(struct pel_epoll *epoll)
{
    (void)epoll;
}

/* ---- addresses ---- */

static union pel_ipc_address v4(const char *text, uint16_t port)
{
    union pel_ipc_address address = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};
    PEL_EXPECT_EQ(inet_pton(AF_INET, text, &address.in.sin_addr), 1);
    return address;
}

static union pel_ipc_address v6(const char *text, uint16_t port)
{
    union pel_ipc_address address = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
    PEL_EXPECT_EQ(inet_pton(AF_INET6, text, &address.in6.sin6_addr), 1);
    return address;
}

PEL_TEST(preload_core, an_address_is_taken_as_the_kernel_takes_it)
{
    union pel_ipc_address in = v4("192.0.2.1", 80), in6 = v6("2001:db8::1", 80), out;
    PEL_EXPECT_EQ(pel_address_take(AF_INET, &in.sa, sizeof in.in, &out), 0);
    PEL_EXPECT_EQ(pel_address_port(&out), 80);
    PEL_EXPECT_EQ(pel_address_take(AF_INET, &in.sa, sizeof in.in - 1, &out), EINVAL);
    PEL_EXPECT_EQ(pel_address_take(AF_INET, &in.sa, (socklen_t)-1, &out), EINVAL);
    PEL_EXPECT_EQ(pel_address_take(AF_INET, &in.sa, sizeof(struct sockaddr_storage) + 1, &out), EINVAL);
    PEL_EXPECT_EQ(pel_address_take(AF_INET, NULL, sizeof in.in, &out), EFAULT);
    PEL_EXPECT_EQ(pel_address_take(AF_INET, &in6.sa, sizeof in6.in6, &out), EAFNOSUPPORT);
    PEL_EXPECT_EQ(pel_address_take(AF_INET6, &in6.sa, 24, &out), 0); /* without a scope, as of old */
    PEL_EXPECT_EQ(pel_address_take(AF_INET6, &in.sa, sizeof in.in, &out), EINVAL);
    in.family = AF_UNSPEC;
    PEL_EXPECT_EQ(pel_address_take(AF_INET, &in.sa, sizeof in.in, &out), EAFNOSUPPORT);
    in.in.sin_addr.s_addr = INADDR_ANY;
    PEL_EXPECT_EQ(pel_address_take(AF_INET, &in.sa, sizeof in.in, &out), 0);
    PEL_EXPECT_EQ(out.family, AF_INET);
}

PEL_TEST(preload_core, an_address_is_given_in_the_sockets_family)
{
    union pel_ipc_address in = v4("192.0.2.1", 80), none = {.family = AF_UNSPEC};
    struct sockaddr_in6 out;
    socklen_t len = sizeof out;
    char text[INET6_ADDRSTRLEN];
    pel_address_give(AF_INET6, &in, (struct sockaddr *)&out, &len);
    PEL_EXPECT_EQ(len, sizeof out);
    PEL_EXPECT_EQ(ntohs(out.sin6_port), 80);
    PEL_EXPECT_STR(inet_ntop(AF_INET6, &out.sin6_addr, text, sizeof text), "::ffff:192.0.2.1");
    memset(&out, 0xee, sizeof out);
    len = 3;
    pel_address_give(AF_INET, &none, (struct sockaddr *)&out, &len);
    PEL_EXPECT_EQ(len, sizeof(struct sockaddr_in));
    PEL_EXPECT_EQ(((uint8_t *)&out)[2], 0);
    PEL_EXPECT_EQ(((uint8_t *)&out)[3], 0xee); /* no further than there was room */
}

PEL_TEST(preload_core, networks_know_their_addresses)
{
    struct pel_ipc_network loopback = {.address = v4("127.0.0.0", 0), .prefix_len = 8};
    struct pel_ipc_network odd = {.address = v4("10.1.2.128", 0), .prefix_len = 25};
    struct pel_ipc_network all = {.address = v6("::", 0), .prefix_len = 0};
    union pel_ipc_address address = v4("127.9.9.9", 1);
    PEL_EXPECT(pel_address_is_in(&address, &loopback));
    PEL_EXPECT(!pel_address_is_in(&address, &all));
    PEL_EXPECT(pel_address_is_loopback(&address));
    address = v6("::ffff:127.0.0.1", 1);
    PEL_EXPECT(pel_address_is_in(&address, &loopback));
    PEL_EXPECT(pel_address_is_loopback(&address));
    address = v4("10.1.2.127", 1);
    PEL_EXPECT(!pel_address_is_in(&address, &odd));
    address = v4("10.1.2.200", 1);
    PEL_EXPECT(pel_address_is_in(&address, &odd));
    address = v6("::2", 1);
    PEL_EXPECT(pel_address_is_in(&address, &all));
    PEL_EXPECT(!pel_address_is_loopback(&address));
    address = v6("::ffff:0.0.0.0", 1);
    PEL_EXPECT(pel_address_is_any(&address));
}

/* ---- names ---- */

static const char *name_of(union pel_ipc_address address)
{
    static char name[PEL_IPC_NAME_LEN];
    pel_names_find(&address, name, sizeof name);
    return name;
}

PEL_TEST(preload_core, the_youngest_name_of_an_address_counts)
{
    union pel_ipc_address address = v4("198.51.100.7", 0);
    PEL_EXPECT_STR(name_of(address), "");
    pel_names_add(&address, "first.example");
    pel_names_add(&address, "second.example");
    PEL_EXPECT_STR(name_of(v4("198.51.100.7", 443)), "second.example");
    PEL_EXPECT_STR(name_of(v6("::ffff:198.51.100.7", 443)), "second.example");
    pel_names_add(&address, "198.51.100.7"); /* an address is no name */
    pel_names_add(&address, "2001:db8::7");
    pel_names_add(&address, "");
    PEL_EXPECT_STR(name_of(address), "second.example");
}

PEL_TEST(preload_core, names_have_a_bound_and_the_oldest_go)
{
    char text[INET_ADDRSTRLEN], name[64], longer[PEL_IPC_NAME_LEN + 1];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "10.7.%u.%u", i / 250, i % 250 + 1);
        snprintf(name, sizeof name, "host%u.example", i);
        union pel_ipc_address address = v4(text, 0);
        pel_names_add(&address, name);
        PEL_EXPECT_STR(name_of(address), name);
    }
    unsigned num_found = 0;
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "10.7.%u.%u", i / 250, i % 250 + 1);
        num_found += name_of(v4(text, 0))[0] != '\0';
    }
    PEL_EXPECT(num_found > 100);
    PEL_EXPECT(num_found < 1000);
    union pel_ipc_address address = v4("10.8.0.1", 0);
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    pel_names_add(&address, longer);
    PEL_EXPECT_STR(name_of(address), "");
}

/* ---- table ---- */

static struct pel_file *take_out(int fd)
{
    pel_table_lock();
    struct pel_file *file = pel_table_set(fd, NULL);
    pel_table_unlock();
    return file;
}

PEL_TEST(preload_core, numbers_lead_to_files_until_the_last_goes)
{
    unsigned before = num_ended;
    uint32_t num_before = pel_table_num_files();
    struct pel_file *file = pel_table_make(PEL_FILE_UNDECIDED);
    PEL_EXPECT_EQ(pel_file_install(5, file), 0);
    PEL_EXPECT(pel_file_get(4) == NULL);
    PEL_EXPECT(pel_file_get(-1) == NULL);
    PEL_EXPECT(pel_file_get(PEL_TABLE_MAX) == NULL);
    struct pel_file *got = pel_file_get(5);
    PEL_EXPECT(got == file);
    PEL_EXPECT_EQ(pel_file_install(70000, got), 0); /* its reference becomes the number's */
    PEL_EXPECT_EQ(pel_file_install(PEL_TABLE_MAX, got), ENFILE);
    PEL_EXPECT_EQ(file->num_fds, 2);
    PEL_EXPECT_EQ(file->fd, 5);
    PEL_EXPECT_EQ(pel_table_num_files(), num_before + 2);
    pel_file_put(take_out(5));
    PEL_EXPECT_EQ(file->fd, 70000);
    PEL_EXPECT_EQ(num_ended, before);
    struct pel_file *found = NULL;
    pel_table_lock();
    PEL_EXPECT_EQ(pel_table_next(0, &found), 70000);
    PEL_EXPECT_EQ(pel_table_next(70001, &found), -1);
    pel_table_unlock();
    PEL_EXPECT(found == file);
    pel_file_put(take_out(70000));
    PEL_EXPECT_EQ(num_ended, before + 1);
    PEL_EXPECT(pel_file_get(70000) == NULL);
    PEL_EXPECT_EQ(pel_table_num_files(), num_before);
}

PEL_TEST(preload_core, hidden_numbers_are_nobodys)
{
    PEL_EXPECT(pel_table_reserve(9));
    pel_table_lock();
    pel_table_set(9, PEL_TABLE_HIDDEN);
    pel_table_unlock();
    PEL_EXPECT(pel_table_peek(9) == PEL_TABLE_HIDDEN);
    PEL_EXPECT(pel_file_get(9) == NULL);
    take_out(9);
    PEL_EXPECT(pel_table_peek(9) == NULL);
}

#define NUM_ROUNDS 200000
static bool is_over;

/* Looks up a number that another thread makes lead to ever new files, and finds one that is alive, or none.
 */
static void *look_up(void *arg)
{
    unsigned *num_found = arg;
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
        struct pel_file *file = pel_file_get(77);
        if (file == NULL)
            continue;
        PEL_EXPECT(__atomic_load_n(&file->refs, __ATOMIC_RELAXED) > 0);
        PEL_EXPECT_EQ(file->type, 1234);
        pel_file_put(file);
        ++*num_found;
    }
    return NULL;
}

PEL_TEST(preload_core, looking_up_meets_closing)
{
    unsigned before = num_ended, num_found = 0;
    pthread_t thread;
    is_over = false;
    PEL_EXPECT_EQ(pthread_create(&thread, NULL, look_up, &num_found), 0);
    for (int i = 0; i < NUM_ROUNDS; i++) {
        struct pel_file *file = pel_table_make(PEL_FILE_UNDECIDED);
        file->type = 1234;
        PEL_EXPECT_EQ(pel_file_install(77, file), 0);
        pel_file_put(take_out(77));
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    PEL_EXPECT_EQ(num_ended - before, NUM_ROUNDS);
    pel_test_say("%u found alive", num_found);
}

/* ---- locks ---- */

static uint32_t word;
static unsigned counted;

static void *count(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100000; i++) {
        PEL_EXPECT(pel_lock_take(&word));
        counted++;
        pel_lock_give(&word);
    }
    return NULL;
}

PEL_TEST(preload_core, one_at_a_time_has_a_lock)
{
    pthread_t threads[2];
    counted = 0;
    for (int i = 0; i < 2; i++)
        PEL_EXPECT_EQ(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    PEL_EXPECT_EQ(counted, 200000);
    PEL_EXPECT(pel_lock_take(&word));
    PEL_EXPECT(!pel_lock_take(&word)); /* a signal handler of the same thread */
    pel_lock_give(&word);
}

PEL_TEST(preload_core, the_lock_of_the_dead_is_free)
{
    pid_t child = fork();
    PEL_REQUIRE(child >= 0);
    if (child == 0)
        _exit(0);
    PEL_EXPECT_EQ(waitpid(child, NULL, 0), child);
    word = (uint32_t)child;
    PEL_EXPECT(pel_lock_take(&word));
    pel_lock_give(&word);
}
