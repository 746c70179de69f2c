/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/held.h"

#include <string.h>

#include "tests/harness/harness.h"

static struct pel_held held;
static struct pel_held_row rows[PEL_HELD_ROWS];

static void note(const char *job, int pid, enum pel_held_what what, uint16_t port, int64_t now_s)
{
    const struct pel_identity who = {.user = "u", .job = job, .pid = pid};
    const struct pel_endpoint endpoint = {.ip = {4, {10, 0, 0, 1}}, .port = port};
    pel_held_note(&held, &who, what, &endpoint, now_s);
}

PEL_TEST(held, one_row_for_each_program_and_what_it_does)
{
    uint64_t num_others = 7;
    pel_held_init(&held);
    PEL_EXPECT_EQ(pel_held_copy(&held, rows, &num_others), 0);
    PEL_EXPECT_EQ(num_others, 0);
    note("curl", 1, PEL_HELD_CONNECT, 80, 100);
    note("curl", 2, PEL_HELD_CONNECT, 81, 105); /* started again, and elsewhere */
    note("wget", 3, PEL_HELD_CONNECT, 80, 106);
    note("curl", 4, PEL_HELD_LISTEN, 80, 107);
    note("curl", 4, PEL_HELD_ACCEPT, 80, 108);
    note("curl", 4, PEL_HELD_ACCEPT, 81, 109);
    note("curl", 4, PEL_HELD_ACCEPT, 80, 110);
    PEL_REQUIRE(pel_held_copy(&held, rows, &num_others) == 5);
    PEL_EXPECT_STR(rows[0].user, "u");
    PEL_EXPECT_STR(rows[0].job, "curl");
    PEL_EXPECT_EQ(rows[0].count, 2);
    PEL_EXPECT_EQ(rows[0].pid, 2);
    PEL_EXPECT_EQ(rows[0].endpoint.port, 81);
    PEL_EXPECT_EQ(rows[0].first_s, 100);
    PEL_EXPECT_EQ(rows[0].last_s, 105);
    PEL_EXPECT_STR(rows[1].job, "wget");
    PEL_EXPECT_EQ(rows[2].what, PEL_HELD_LISTEN);
    PEL_EXPECT_EQ(rows[3].count, 2);
    PEL_EXPECT_EQ(rows[4].endpoint.port, 81);
    pel_held_fini(&held);
}

PEL_TEST(held, more_than_there_are_rows_are_counted)
{
    uint64_t num_others;
    pel_held_init(&held);
    for (int i = 0; i < PEL_HELD_ROWS + 10; i++)
        note("server", 1, PEL_HELD_ACCEPT, (uint16_t)(1000 + i), i);
    note("server", 1, PEL_HELD_ACCEPT, 1000, 1000); /* whose row there is */
    PEL_EXPECT_EQ(pel_held_copy(&held, rows, &num_others), PEL_HELD_ROWS);
    PEL_EXPECT_EQ(num_others, 10);
    PEL_EXPECT_EQ(rows[0].count, 2);
    pel_held_fini(&held);
}

PEL_TEST(held, names_that_are_long_or_unknown)
{
    char name[200];
    uint64_t num_others;
    const struct pel_identity nobody = {.user = NULL};
    const struct pel_endpoint endpoint = {.port = 1};
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    pel_held_init(&held);
    note(name, 1, PEL_HELD_CONNECT, 1, 1);
    note(name, 1, PEL_HELD_CONNECT, 1, 2);
    pel_held_note(&held, &nobody, PEL_HELD_CONNECT, &endpoint, 3);
    pel_held_note(&held, &nobody, PEL_HELD_CONNECT, &endpoint, 3);
    PEL_REQUIRE(pel_held_copy(&held, rows, &num_others) == 2);
    PEL_EXPECT_EQ(strlen(rows[0].job), sizeof rows[0].job - 1);
    PEL_EXPECT_EQ(rows[0].count, 2);
    PEL_EXPECT_STR(rows[1].user, "");
    PEL_EXPECT_STR(rows[1].job, "");
    PEL_EXPECT_STR(pel_held_what_name(PEL_HELD_CONNECT), "connect");
    PEL_EXPECT_STR(pel_held_what_name(PEL_HELD_LISTEN), "listen");
    PEL_EXPECT_STR(pel_held_what_name(PEL_HELD_ACCEPT), "accept");
    pel_held_fini(&held);
}
