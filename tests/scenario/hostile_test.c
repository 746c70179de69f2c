/* SPDX-License-Identifier: Apache-2.0 */
/* Owners that misbehave: in each event they do each thing that the API has, on each kind of connection.
 * Nothing may crash or leak, no event may come after the last, and everything must end. */
#include <stdio.h>
#include <string.h>

#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

#define SECOND_US 1000000u
#define BULK_LEN  600000u /* more than the buffers on the way hold, so that a writer has to wait */

enum event { ON_ACCEPT, ON_OPEN, ON_DATA, ON_PART, ON_EOF, ON_WRITABLE, ON_CLOSED, NUM_EVENTS };
enum action { NOTHING, CLOSE, ABORT, SHUTDOWN, WRITE, WRITE_NONE, RESUME, MAP, ATTACH, NUM_ACTIONS };
enum kind { KIND_CLEAR, KIND_TLS, KIND_REFUSED, NUM_KINDS };

static const char *const event_names[] = {"accept", "open", "data", "part", "eof", "writable", "closed"};
static const char *const action_names[] = {"nothing", "close",  "abort", "shutdown", "write",
                                           "write 0", "resume", "map",   "attach"};
static const char *const kind_names[] = {"clear", "TLS", "refused"};

struct owner {
    struct world *world;
    struct pel_conn *conn;
    struct owner *heir; /* to whom ATTACH gives the connection */
    enum event when;
    enum action what;
    bool armed;
    bool is_over; /* given up, given away or closed: no event may come any more */
    bool eof, shut, accepted, late_event, wrong, resume_posted;
    uint64_t sent_len, received_len, num_closed, num_opened;
    struct pel_task resume;
};

struct stage {
    struct world world;
    struct owner owners[NUM_HOSTS], heir;
    struct pel_listener *listener;
};

static const struct pel_conn_events owner_events;

static uint8_t marker_at(uint64_t at)
{
    static const char marker[] = WORLD_MARKER;
    return (uint8_t)marker[at % (sizeof marker - 1)];
}

static void write_on(struct owner *owner)
{
    uint8_t bytes[8192];
    size_t taken_len = 0;
    while (!owner->is_over && owner->sent_len < BULK_LEN) {
        size_t len = BULK_LEN - owner->sent_len < sizeof bytes ? BULK_LEN - owner->sent_len : sizeof bytes;
        for (size_t i = 0; i < len; i++)
            bytes[i] = marker_at(owner->sent_len + i);
        if (pel_conn_write(owner->conn, bytes, len, &taken_len) != PEL_OK)
            return;
        owner->sent_len += taken_len;
        if (taken_len < len)
            return;
    }
    if (!owner->is_over && !owner->shut) {
        owner->shut = true;
        pel_conn_shutdown(owner->conn);
    }
}

static void give_to_heir(struct owner *owner)
{
    *owner->heir = (struct owner){.world = owner->world,
                                  .conn = owner->conn,
                                  .eof = owner->eof,
                                  .shut = owner->shut,
                                  .sent_len = owner->sent_len,
                                  .received_len = owner->received_len};
    owner->is_over = true;
    pel_conn_attach(owner->conn, &owner_events, owner->heir);
}

static void act(struct owner *owner)
{
    uint8_t byte = marker_at(owner->sent_len);
    size_t taken_len = 0;
    switch (owner->what) {
    case CLOSE:
        owner->is_over = true;
        pel_conn_close(owner->conn);
        break;
    case ABORT:
        owner->is_over = true;
        pel_conn_abort(owner->conn);
        break;
    case SHUTDOWN:
        owner->shut = true;
        pel_conn_shutdown(owner->conn);
        break;
    case WRITE:
        if (!owner->shut && pel_conn_write(owner->conn, &byte, 1, &taken_len) == PEL_OK)
            owner->sent_len += taken_len;
        break;
    case WRITE_NONE: (void)!pel_conn_write(owner->conn, &byte, 0, &taken_len); break;
    case RESUME: pel_conn_resume(owner->conn); break;
    case MAP: pel_conn_map(owner->conn, NULL); break;
    case ATTACH: give_to_heir(owner); break;
    default: break;
    }
}

/* What every event does first. Returns whether the owner goes on as a good one would. */
static bool enter(struct owner *owner, struct pel_conn *conn, enum event event)
{
    owner->late_event |= owner->is_over;
    owner->conn = conn;
    if (owner->armed && owner->when == event) {
        owner->armed = false;
        act(owner);
        if (owner->what == ATTACH && (event == ON_OPEN || event == ON_WRITABLE))
            write_on(owner->heir);
        if (owner->what == ATTACH && event == ON_EOF && owner->heir->shut) {
            owner->heir->is_over = true;
            pel_conn_close(conn);
        }
    }
    return !owner->is_over;
}

static void on_open(void *arg, struct pel_conn *conn)
{
    struct owner *owner = arg;
    owner->num_opened++;
    if (enter(owner, conn, ON_OPEN))
        write_on(owner);
}

static void resume(struct pel_engine *engine, struct pel_task *task)
{
    struct owner *owner = (struct owner *)((char *)task - offsetof(struct owner, resume));
    (void)engine;
    owner->resume_posted = false;
    if (!owner->is_over)
        pel_conn_resume(owner->conn);
    else if (owner->what == ATTACH && !owner->heir->is_over)
        pel_conn_resume(owner->heir->conn);
}

static size_t on_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct owner *owner = arg;
    bool in_part = owner->armed && owner->when == ON_PART && len > 1;
    size_t taken_len = in_part ? len / 2 : len;
    for (size_t i = 0; i < taken_len; i++)
        owner->wrong |= bytes[i] != marker_at(owner->received_len + i);
    owner->received_len += taken_len;
    enter(owner, conn, in_part ? ON_PART : ON_DATA);
    for (size_t i = 0; i < len; i++) /* still there, whatever was done */
        owner->wrong |= bytes[i] != marker_at(owner->received_len - taken_len + i);
    if (in_part && !owner->resume_posted) {
        owner->resume_posted = true;
        owner->resume.run = resume;
        pel_engine_post(conn->engine, &owner->resume);
    }
    return taken_len;
}

static void on_eof(void *arg, struct pel_conn *conn)
{
    struct owner *owner = arg;
    owner->eof = true;
    if (!enter(owner, conn, ON_EOF) || (!owner->shut && owner->sent_len < BULK_LEN))
        return;
    owner->is_over = true;
    pel_conn_close(conn);
}

static void on_writable(void *arg, struct pel_conn *conn)
{
    struct owner *owner = arg;
    if (!enter(owner, conn, ON_WRITABLE))
        return;
    if (!owner->shut)
        write_on(owner);
    if (owner->eof && owner->shut && !owner->is_over) {
        owner->is_over = true;
        pel_conn_close(conn);
    }
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct owner *owner = arg;
    (void)err;
    owner->num_closed++;
    enter(owner, conn, ON_CLOSED);
    owner->is_over = true;
}

static const struct pel_conn_events owner_events = {.on_open = on_open,
                                                    .on_data = on_data,
                                                    .on_eof = on_eof,
                                                    .on_writable = on_writable,
                                                    .on_closed = on_closed};

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    struct owner *owner = arg;
    if (owner->accepted)
        return PEL_E_BACKLOG_FULL;
    owner->accepted = true;
    owner->conn = conn;
    pel_conn_attach(conn, &owner_events, owner);
    if (enter(owner, conn, ON_ACCEPT))
        pel_conn_map(conn, NULL);
    else if (owner->what == ATTACH)
        pel_conn_map(conn, NULL);
    return PEL_OK;
}

/* ---- one play ---- */

static struct world_config config_of(enum kind kind, bool inbound)
{
    struct world_config config = {.seed = 3, .policies = {"", ""}, .exact_buffers = true};
    if (kind == KIND_TLS || (kind == KIND_REFUSED && !inbound))
        config.policies[HOST_A] = world_client_policy;
    if (kind == KIND_TLS || (kind == KIND_REFUSED && inbound))
        config.policies[HOST_B] = world_server_policy;
    return config;
}

static bool open_stage(struct stage *stage, const struct world_config *config)
{
    struct sockaddr_storage address;
    memset(stage, 0, sizeof *stage);
    if (!world_open(&stage->world, config))
        return false;
    for (int host = 0; host < NUM_HOSTS; host++)
        stage->owners[host] = (struct owner){.world = &stage->world, .heir = &stage->heir};
    socklen_t len = world_address(&stage->world, HOST_B, WORLD_PORT, &address);
    return pel_engine_listen(stage->world.engines[HOST_B], (struct sockaddr *)&address, len, 16, on_accept,
                             &stage->owners[HOST_B], &stage->listener) == PEL_OK;
}

static enum pel_err start_client(struct stage *stage)
{
    struct sockaddr_storage address;
    socklen_t len = world_address(&stage->world, HOST_B, WORLD_PORT, &address);
    struct owner *owner = &stage->owners[HOST_A];
    return pel_engine_connect(stage->world.engines[HOST_A], NULL, 0, (struct sockaddr *)&address, len,
                              "server.test", NULL, &owner_events, owner, &owner->conn);
}

static bool no_conns(void *arg)
{
    const struct world *world = arg;
    return world->engines[HOST_A]->num_conns + world->engines[HOST_B]->num_conns == 0;
}

/* In KIND_REFUSED only `bad` has a rule; what the other is shown is what came in clear. */
static void expect_good_end(struct stage *stage, enum kind kind, int bad)
{
    PEL_EXPECT(world_run(&stage->world, no_conns, &stage->world, 100 * SECOND_US));
    for (int host = 0; host < NUM_HOSTS; host++) {
        const struct owner *owner = &stage->owners[host];
        bool ruled = kind != KIND_REFUSED || host == bad;
        PEL_EXPECT(!owner->late_event && owner->num_closed <= 1 && owner->num_opened <= 1);
        PEL_EXPECT(owner->is_over || owner->conn == NULL);
        PEL_EXPECT(!owner->wrong || !ruled);
        if (kind == KIND_REFUSED && ruled)
            PEL_EXPECT_EQ(owner->received_len + owner->num_opened, 0);
    }
    PEL_EXPECT(!stage->heir.late_event && !stage->heir.wrong && stage->heir.num_closed <= 1);
    if (kind == KIND_TLS)
        PEL_EXPECT_EQ(stage->world.num_markers[HOST_A] + stage->world.num_markers[HOST_B], 0);
    pel_listener_close(stage->listener);
    PEL_EXPECT(world_close(&stage->world));
}

static void play(enum event event, enum action action, enum kind kind, bool inbound)
{
    struct stage stage;
    struct world_config config = config_of(kind, inbound);
    int bad = inbound ? HOST_B : HOST_A;
    PEL_REQUIRE(open_stage(&stage, &config));
    stage.owners[bad].when = event;
    stage.owners[bad].what = action;
    stage.owners[bad].armed = true;
    if (event == ON_CLOSED && kind != KIND_REFUSED) { /* so that there is something to hear */
        stage.owners[!bad].when = ON_DATA;
        stage.owners[!bad].what = ABORT;
        stage.owners[!bad].armed = true;
    }
    PEL_REQUIRE_OK(start_client(&stage));
    world_step(&stage.world);
    world_pass(&stage.world, SECOND_US / 10);
    if (kind != KIND_REFUSED && !(event == ON_ACCEPT && !inbound))
        PEL_EXPECT(!stage.owners[bad].armed); /* it had its chance */
    expect_good_end(&stage, kind, bad);
    if (pel_test_has_failed())
        pel_test_say("%s in %s, %s, %s", action_names[action], event_names[event], kind_names[kind],
                     inbound ? "inbound" : "outbound");
}

static void play_all(enum kind kind)
{
    for (int event = 0; event < NUM_EVENTS; event++)
        for (int action = 0; action < NUM_ACTIONS; action++)
            for (int inbound = 0; inbound < 2; inbound++) {
                play((enum event)event, (enum action)action, kind, inbound != 0);
                if (pel_test_has_failed())
                    return;
            }
}

PEL_TEST(hostile_owner, does_anything_anywhere_in_clear)
{
    play_all(KIND_CLEAR);
}

PEL_TEST(hostile_owner, does_anything_anywhere_under_tls)
{
    play_all(KIND_TLS);
}

PEL_TEST(hostile_owner, does_anything_anywhere_when_the_peer_speaks_no_tls)
{
    play_all(KIND_REFUSED);
}
