/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SecondaryMap: connections of which no rule can tell, as FTP's data connections, follow the one that the
 * program had before to the same address. Host B is a file server, whose control port is WORLD_PORT; host A
 * its client.
 */
#include <stdio.h>
#include <string.h>

#include "stack/secondary.h"
#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

#define SECOND_US 1000000u
#define DATA_PORT 20021
#define SEND_LEN  20000

/* The rule that holds for control connections, at priority 10; `more` are other rules. */
#define SERVER(role, map, more)                                                                              \
    "TTLSRule CONTROL\n{\n LocalPortRange 4433\n Direction Inbound\n Priority 10\n TTLSGroupActionRef on\n"  \
    " TTLSEnvironmentActionRef server\n}\n"                                                                  \
    "TTLSGroupAction on\n{\n TTLSEnabled On\n}\nTTLSGroupAction off\n{\n TTLSEnabled Off\n}\n"               \
    "TTLSEnvironmentAction server\n{\n HandshakeRole " role "\n TTLSKeyringParms\n {\n Keyring server\n }\n" \
    " TTLSEnvironmentAdvancedParms\n {\n SecondaryMap " map "\n }\n}\n" more

static const char client[] =
    "TTLSRule CONTROL\n{\n RemotePortRange 4433\n Direction Outbound\n Priority 10\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef client\n}\n"
    "TTLSGroupAction on\n{\n TTLSEnabled On\n TTLSGroupAdvancedParms\n {\n SecondaryMap On\n }\n}\n"
    "TTLSEnvironmentAction client\n{\n HandshakeRole Client\n TTLSKeyringParms\n {\n Keyring client\n }\n}\n";

static const char server[] = SERVER("Server", "On", "");

/* ---- sessions ---- */

/* One connection, with both its ends. */
struct link {
    struct world *world;
    struct peer peers[NUM_HOSTS];
    struct pel_listener *listener;
    const struct pel_identity *identities[NUM_HOSTS];
    int from; /* which host connects */
    uint16_t port;
    enum pel_err connected;
};

struct session {
    struct world world;
    struct link control, data;
};

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    struct link *link = arg;
    int host = !link->from;
    struct peer *peer = &link->peers[host];
    peer->conn = conn;
    pel_conn_attach(conn, &peer_events, peer);
    pel_conn_map(conn, link->identities[host]);
    return PEL_OK;
}

/* Makes it as far as it comes. Where both ends are open each has sent SEND_LEN bytes of the marker. */
static bool make(struct link *link)
{
    struct world *world = link->world;
    struct sockaddr_storage address;
    socklen_t len = world_address(world, !link->from, link->port, &address);
    const char *server_name = link->from == HOST_A ? "server.test" : NULL;
    for (int host = 0; host < NUM_HOSTS; host++)
        link->peers[host] = (struct peer){
            .world = world, .marker = true, .keep_open = true, .send_len = SEND_LEN, .shut = true};
    if (pel_engine_listen(world->engines[!link->from], (struct sockaddr *)&address, len, 4, on_accept, link,
                          &link->listener) != PEL_OK)
        return false;
    link->connected = pel_engine_connect(world->engines[link->from], NULL, 0, (struct sockaddr *)&address,
                                         len, server_name, link->identities[link->from], &peer_events,
                                         &link->peers[link->from], &link->peers[link->from].conn);
    world_pass(world, SECOND_US);
    pel_listener_close(link->listener);
    return true;
}

static bool is_open(const struct link *link)
{
    return link->peers[HOST_A].received_len == SEND_LEN && link->peers[HOST_B].received_len == SEND_LEN &&
           !link->peers[HOST_A].wrong && !link->peers[HOST_B].wrong;
}

static void end(struct link *link)
{
    for (int host = 0; host < NUM_HOSTS; host++)
        if (link->peers[host].conn != NULL && !link->peers[host].closed) {
            link->peers[host].closed = true;
            pel_conn_close(link->peers[host].conn);
        }
    world_pass(link->world, SECOND_US);
}

static struct pel_conn_report report_of(const struct link *link, int host)
{
    struct pel_conn_report report;
    pel_conn_fill_report(link->peers[host].conn, &report);
    return report;
}

/* Two hosts, and no connection yet. */
static bool open_hosts(struct session *session, const char *client_policy, const char *server_policy)
{
    const struct world_config config = {.seed = 1, .policies = {client_policy, server_policy}};
    memset(session, 0, sizeof *session);
    session->control.world = session->data.world = &session->world;
    session->control.port = WORLD_PORT;
    session->data.port = DATA_PORT;
    return world_open(&session->world, &config);
}

static bool open_session(struct session *session, const char *client_policy, const char *server_policy)
{
    return open_hosts(session, client_policy, server_policy) && make(&session->control) &&
           is_open(&session->control);
}

static uint32_t num_primaries(const struct session *session)
{
    return session->world.slots[HOST_A].primaries.num + session->world.slots[HOST_B].primaries.num;
}

static void close_session(struct session *session)
{
    end(&session->data);
    end(&session->control);
    PEL_EXPECT_EQ(num_primaries(session), 0);
    PEL_EXPECT(world_close(&session->world));
}

static uint64_t num_markers(const struct session *session)
{
    return session->world.num_markers[HOST_A] + session->world.num_markers[HOST_B];
}

static void expect_followed(const struct session *session, int host)
{
    struct pel_conn_report control = report_of(&session->control, host),
                           data = report_of(&session->data, host);
    PEL_EXPECT_STR(control.map, "primary");
    PEL_EXPECT_EQ(control.follows_id, 0);
    PEL_EXPECT_STR(data.map, "secondary");
    PEL_EXPECT_EQ(data.follows_id, control.id);
    PEL_EXPECT_EQ(data.follows_engine, session->world.engines[host]->config.index);
    PEL_EXPECT_STR(data.rule, "CONTROL");
    PEL_EXPECT_STR(data.state, "SECURE");
    PEL_EXPECT_EQ(data.generation, control.generation);
    PEL_EXPECT_EQ(world_stat(&session->world, host, PEL_STAT_map_secondary), 1);
    PEL_EXPECT_EQ(world_stat(&session->world, host, PEL_STAT_map_no_rule), 0);
}

/* Whether the data connection of a session went clear at the server, as one that follows none. */
static bool is_clear(const struct session *session)
{
    return is_open(&session->data) && num_markers(session) > 10 &&
           strcmp(report_of(&session->data, HOST_B).state, "CLEAR") == 0;
}

/* ---- who follows ---- */

PEL_TEST(secondary, a_data_connection_follows_its_control_connection)
{
    struct session session;
    PEL_REQUIRE(open_session(&session, client, server));
    PEL_EXPECT_EQ(num_primaries(&session), 2);
    PEL_REQUIRE(make(&session.data));
    PEL_EXPECT(is_open(&session.data));
    PEL_EXPECT_EQ(num_markers(&session), 0);
    expect_followed(&session, HOST_A);
    expect_followed(&session, HOST_B);
    PEL_EXPECT_EQ(num_primaries(&session), 2); /* a secondary leads nobody */
    close_session(&session);
}

/* Who was the TLS server stays it: the rule says so, not who connects. */
PEL_TEST(secondary, a_server_that_connects_follows_too)
{
    struct session session;
    PEL_REQUIRE(open_session(&session, client, server));
    session.data.from = HOST_B;
    PEL_REQUIRE(make(&session.data));
    PEL_EXPECT(is_open(&session.data));
    PEL_EXPECT_EQ(num_markers(&session), 0);
    expect_followed(&session, HOST_A);
    expect_followed(&session, HOST_B);
    PEL_EXPECT_STR(report_of(&session.data, HOST_B).role, "server");
    PEL_EXPECT_EQ(world_stat(&session.world, HOST_B, PEL_STAT_tls_handshakes_server), 2);
    close_session(&session);
}

PEL_TEST(secondary, without_the_parameter_nobody_follows)
{
    struct session session;
    PEL_REQUIRE(open_session(&session, world_client_policy, SERVER("Server", "Off", "")));
    PEL_EXPECT_EQ(num_primaries(&session), 0);
    PEL_REQUIRE(make(&session.data));
    PEL_EXPECT(is_clear(&session));
    PEL_EXPECT_STR(report_of(&session.data, HOST_B).map, "");
    PEL_EXPECT_EQ(world_stat(&session.world, HOST_B, PEL_STAT_map_secondary), 0);
    PEL_EXPECT_EQ(world_stat(&session.world, HOST_B, PEL_STAT_map_no_rule), 1);
    close_session(&session);
}

#define DATA_RULE(priority)                                                                                  \
    "TTLSRule DATA\n{\n LocalPortRange 20021\n Direction Inbound\n Priority " priority                       \
    "\n TTLSGroupActionRef off\n}\n"

PEL_TEST(secondary, a_rule_of_lower_priority_gives_way)
{
    struct session session;
    PEL_REQUIRE(open_session(&session, client, SERVER("Server", "On", DATA_RULE("9"))));
    PEL_REQUIRE(make(&session.data));
    PEL_EXPECT(is_open(&session.data));
    PEL_EXPECT_EQ(num_markers(&session), 0);
    expect_followed(&session, HOST_B);
    PEL_EXPECT_EQ(world_stat(&session.world, HOST_B, PEL_STAT_map_clear), 0);
    close_session(&session);
}

PEL_TEST(secondary, a_rule_of_the_same_or_higher_priority_holds)
{
    static const char *const policies[] = {SERVER("Server", "On", DATA_RULE("10")),
                                           SERVER("Server", "On", DATA_RULE("11"))};
    for (size_t i = 0; i < 2; i++) {
        struct session session;
        PEL_REQUIRE(open_session(&session, world_client_policy, policies[i]));
        PEL_REQUIRE(make(&session.data));
        PEL_EXPECT(is_clear(&session));
        PEL_EXPECT_STR(report_of(&session.data, HOST_B).rule, "DATA");
        PEL_EXPECT_STR(report_of(&session.data, HOST_B).map, "primary");
        close_session(&session);
    }
}

/* The data connection of each case differs from the control connection in one thing at the server. */
PEL_TEST(secondary, only_the_same_process_between_the_same_addresses_follows)
{
    const uint64_t former[] = {9, 7};
    const struct pel_identity owners[] = {
        {.user = "ftp", .process = 7},
        {.user = "ftp", .process = 8},
        {.user = "ftp", .process = 8, .also = former, .num_also = 1},
        {.user = "ftp", .process = 8, .also = former, .num_also = 2},
        {.user = "other", .process = 7}, /* a server that has become the user whom it serves */
    };
    static const bool follows[] = {true, false, false, true, true};
    for (size_t i = 0; i < sizeof follows; i++) {
        struct session session;
        PEL_REQUIRE(open_hosts(&session, follows[i] ? client : world_client_policy, server));
        session.control.identities[HOST_B] = &owners[0];
        session.data.identities[HOST_B] = &owners[i];
        PEL_REQUIRE(make(&session.control) && is_open(&session.control));
        uint64_t num_before = num_markers(&session);
        PEL_REQUIRE(make(&session.data));
        PEL_EXPECT(is_open(&session.data));
        PEL_EXPECT_STR(report_of(&session.data, HOST_B).map, follows[i] ? "secondary" : "");
        PEL_EXPECT_EQ(num_markers(&session) == num_before, follows[i]);
        close_session(&session);
    }
}

PEL_TEST(secondary, another_address_is_another_matter)
{
    struct session session;
    PEL_REQUIRE(open_session(&session, world_client_policy, server));
    session.world.config.ipv6 = true; /* from here on */
    PEL_REQUIRE(make(&session.data));
    PEL_EXPECT(is_clear(&session));
    close_session(&session);
}

/* ---- how long ---- */

PEL_TEST(secondary, nobody_follows_one_that_has_ended)
{
    struct session session;
    PEL_REQUIRE(open_session(&session, client, server));
    end(&session.control);
    PEL_EXPECT_EQ(num_primaries(&session), 0);
    PEL_REQUIRE(make(&session.data));
    PEL_EXPECT(is_clear(&session));
    close_session(&session);
}

/* Given up by its program, though the peer has not taken all yet. */
PEL_TEST(secondary, nobody_follows_one_that_was_given_up)
{
    struct session session;
    PEL_REQUIRE(open_session(&session, world_client_policy, server));
    struct pel_conn *control = session.control.peers[HOST_B].conn;
    session.world.cut_after[HOST_A] = session.world.num_frames[HOST_A]; /* A says nothing more for a while */
    session.control.peers[HOST_B].closed = true;
    pel_conn_close(control);
    world_pass(&session.world, SECOND_US);
    PEL_EXPECT(pel_conn_is(control, PEL_CONN_ENDING));
    PEL_EXPECT_EQ(session.world.slots[HOST_B].primaries.num, 0);
    session.world.cut_after[HOST_A] = 0;
    PEL_REQUIRE(make(&session.data));
    PEL_EXPECT(is_clear(&session));
    close_session(&session);
}

PEL_TEST(secondary, nobody_follows_one_whose_handshake_failed)
{
    struct session session;
    PEL_REQUIRE(open_hosts(&session, "", server));
    PEL_REQUIRE(make(&session.control)); /* clear text to a TLS port */
    PEL_EXPECT(!is_open(&session.control));
    world_pass(&session.world, 5 * SECOND_US);
    PEL_EXPECT_EQ(num_primaries(&session), 0);
    close_session(&session);
}

PEL_TEST(secondary, a_refused_connection_leads_nobody)
{
    struct session session;
    PEL_REQUIRE(open_hosts(&session, "", ""));
    PEL_REQUIRE(world_load(&session.world, HOST_B,
                           "TTLSRule CONTROL\n{\n LocalPortRange 4433\n Direction Inbound\n"
                           " TTLSGroupAction\n {\n TTLSEnabled On\n TTLSGroupAdvancedParms\n {\n"
                           " SecondaryMap On\n }\n }\n TTLSEnvironmentAction\n {\n HandshakeRole Server\n"
                           " TTLSKeyringParms\n {\n Keyring nosuchring\n }\n }\n}\n") == 1);
    PEL_REQUIRE(make(&session.control));
    PEL_EXPECT_EQ(world_err(&session.world, HOST_B, PEL_E_POLICY_UNUSABLE), 1);
    PEL_EXPECT_EQ(num_primaries(&session), 0);
    close_session(&session);
}

/* The secondary stays as it is when its primary ends. */
PEL_TEST(secondary, a_follower_outlives_its_leader)
{
    struct session session;
    PEL_REQUIRE(open_session(&session, client, server));
    PEL_REQUIRE(make(&session.data));
    end(&session.control);
    PEL_EXPECT_STR(report_of(&session.data, HOST_B).state, "SECURE");
    PEL_EXPECT_STR(report_of(&session.data, HOST_B).map, "secondary");
    PEL_EXPECT_EQ(num_primaries(&session), 0);
    close_session(&session);
}

/* A new policy that knows neither the rule nor SecondaryMap: the session goes on as it began. */
PEL_TEST(secondary, a_session_keeps_its_generation)
{
    struct session session;
    PEL_REQUIRE(open_session(&session, client, server));
    PEL_REQUIRE(world_load(&session.world, HOST_A, "") == 0);
    PEL_REQUIRE(world_load(&session.world, HOST_B, "") == 0);
    PEL_REQUIRE(make(&session.data));
    PEL_EXPECT(is_open(&session.data));
    PEL_EXPECT_EQ(num_markers(&session), 0);
    expect_followed(&session, HOST_A);
    expect_followed(&session, HOST_B);
    PEL_EXPECT_EQ(report_of(&session.data, HOST_B).generation, 1);
    end(&session.data);
    end(&session.control);
    PEL_REQUIRE(make(&session.data));
    PEL_EXPECT(is_clear(&session));
    close_session(&session);
}

/* ---- several, and none ---- */

PEL_TEST(secondary, of_several_the_last_leads)
{
    struct session session;
    struct link first;
    PEL_REQUIRE(open_session(&session, client, server));
    first = session.control;
    /* Its owners move with it. */
    for (int host = 0; host < NUM_HOSTS; host++)
        pel_conn_attach(first.peers[host].conn, &peer_events, &first.peers[host]);
    PEL_REQUIRE(make(&session.control) && is_open(&session.control));
    PEL_EXPECT_EQ(num_primaries(&session), 4);
    PEL_REQUIRE(make(&session.data));
    expect_followed(&session, HOST_A);
    expect_followed(&session, HOST_B);
    end(&session.data);
    end(&session.control);
    session.control = first;
    for (int host = 0; host < NUM_HOSTS; host++)
        pel_conn_attach(first.peers[host].conn, &peer_events, &session.control.peers[host]);
    PEL_REQUIRE(make(&session.data));
    PEL_EXPECT(is_open(&session.data));
    PEL_EXPECT_EQ(report_of(&session.data, HOST_B).follows_id, report_of(&session.control, HOST_B).id);
    close_session(&session);
}

/* One that cannot be entered is refused: what belongs to it would go clear. */
PEL_TEST(secondary, without_memory_a_primary_is_refused)
{
    for (uint64_t nth = 1, num = 2; nth <= num; nth++) {
        struct session session;
        PEL_REQUIRE(open_hosts(&session, world_client_policy, server));
        struct pel_conn conn = {.engine = session.world.engines[HOST_B],
                                .local = {.ip = {4, {10, 9, 0, 2}}},
                                .remote = {.ip = {4, {10, 9, 0, 1}}}};
        conn.generation = pel_generation_current(&session.world.slots[HOST_B]);
        conn.rule = pel_policy_rule(conn.generation->policy, 0);
        failmalloc_arm(nth);
        PEL_EXPECT_ERR(pel_secondary_lead(&conn, NULL), PEL_E_NO_MEMORY);
        PEL_EXPECT(failmalloc_disarm());
        PEL_EXPECT_EQ(num_primaries(&session), 0);
        PEL_EXPECT_ERR(pel_secondary_lead(&conn, NULL), PEL_OK);
        PEL_EXPECT_EQ(num_primaries(&session), 1);
        pel_secondary_end(&conn);
        pel_generation_unref(conn.generation);
        close_session(&session);
    }
}
