/* SPDX-License-Identifier: Apache-2.0 */
/* When the policy is asked, what its answers do, and that no clear text leaves where it asks for TLS. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

#define SECOND_US 1000000u

struct scene {
    struct world world;
    struct peer peers[NUM_HOSTS];
    struct pel_listener *listener;
    enum pel_err connected;
};

static bool open_scene(struct scene *scene, const struct world_config *config, const char *server_name)
{
    memset(scene, 0, sizeof *scene);
    if (!world_open(&scene->world, config))
        return false;
    peers_transfer(&scene->world, scene->peers, 20000);
    scene->peers[HOST_A].marker = scene->peers[HOST_B].marker = true;
    if (!peer_listen(&scene->peers[HOST_B], &scene->listener))
        return false;
    scene->connected = peer_connect(&scene->peers[HOST_A], server_name);
    return true;
}

static void close_scene(struct scene *scene)
{
    pel_listener_close(scene->listener);
    PEL_EXPECT(world_close(&scene->world));
}

static uint64_t num_markers(const struct scene *scene)
{
    return scene->world.num_markers[HOST_A] + scene->world.num_markers[HOST_B];
}

/* Not one byte reached an application, and none left a host whose policy asks for TLS. A client without a
 * rule may have sent its own in clear before it was refused. */
static void expect_refused(struct scene *scene, enum pel_err at_client, enum pel_err at_server)
{
    world_pass(&scene->world, 5 * SECOND_US);
    PEL_EXPECT_EQ(scene->world.num_markers[HOST_B], 0);
    if (world_stat(&scene->world, HOST_A, PEL_STAT_map_tls) > 0)
        PEL_EXPECT_EQ(scene->world.num_markers[HOST_A], 0);
    PEL_EXPECT_EQ(scene->peers[HOST_A].received_len + scene->peers[HOST_B].received_len, 0);
    if (at_client != PEL_OK)
        PEL_EXPECT_ERR(scene->peers[HOST_A].error, at_client);
    if (at_server != PEL_OK)
        PEL_EXPECT(world_err(&scene->world, HOST_B, at_server) > 0);
    PEL_EXPECT(scene->peers[HOST_A].closed || scene->connected != PEL_OK);
}

PEL_TEST(mapping, tls_on_both_sides_hides_the_text)
{
    struct world_config config = {.seed = 1, .policies = {world_client_policy, world_server_policy}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, "server.test"));
    PEL_REQUIRE_OK(scene.connected);
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 20000);
    PEL_EXPECT_EQ(num_markers(&scene), 0);
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_A, PEL_STAT_tls_handshakes_client), 1);
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_B, PEL_STAT_tls_handshakes_server), 1);
    close_scene(&scene);
}

static const char clear_on_purpose[] =
    "TTLSRule CLEAR\n{\n LocalPortRange 4433\n Direction Inbound\n TTLSGroupActionRef off\n}\n"
    "TTLSGroupAction off\n{\n TTLSEnabled Off\n}\n";

PEL_TEST(mapping, no_rule_is_clear_and_counted)
{
    struct world_config config = {.seed = 1, .policies = {"", ""}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, NULL));
    PEL_REQUIRE_OK(scene.connected);
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 20000);
    PEL_EXPECT(num_markers(&scene) > 10);
    PEL_EXPECT_EQ(world_err(&scene.world, HOST_B, PEL_E_NO_RULE_CLEAR), 1);
    PEL_EXPECT_EQ(scene.world.engines[HOST_B]->no_rule[0].port, WORLD_PORT);
    PEL_EXPECT_EQ(scene.world.engines[HOST_B]->no_rule[0].count, 1);
    PEL_EXPECT(scene.world.engines[HOST_A]->no_rule[0].outbound);
    close_scene(&scene);
}

/* Host A speaks TLS, host B is clear: B's operator is told. */
PEL_TEST(mapping, tls_that_comes_to_who_is_clear)
{
    static const char *const policies[] = {"", clear_on_purpose};
    static const char *const words[] = {"no rule matched", "TTLSEnabled Off"};
    for (size_t i = 0; i < 2; i++) {
        struct world_config config = {.seed = 1, .policies = {world_client_policy, policies[i]}};
        struct scene scene;
        PEL_REQUIRE(open_scene(&scene, &config, "server.test"));
        world_pass(&scene.world, SECOND_US);
        PEL_EXPECT_EQ(world_stat(&scene.world, HOST_B, PEL_STAT_own_tls), 1);
        const struct pel_conn_report *ended = &scene.world.engines[HOST_B]->recent[0];
        PEL_REQUIRE(scene.peers[HOST_B].closed);
        PEL_EXPECT_HAS(ended->note, "TLS is spoken where policy leaves the connection clear");
        PEL_EXPECT_HAS(ended->note, words[i]);
        close_scene(&scene);
    }
}

/* An owner that says nothing by itself, and counts what it gets. */
static size_t count_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    (void)conn, (void)bytes;
    *(size_t *)arg += len;
    return len;
}

static void do_nothing(void *arg, struct pel_conn *conn)
{
    (void)arg, (void)conn;
}

static void note_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    (void)conn;
    *(size_t *)arg += err == PEL_OK || err == PEL_E_EOF ? 0 : 1000000;
}

static const struct pel_conn_events quiet_events = {.on_open = do_nothing,
                                                    .on_data = count_data,
                                                    .on_eof = do_nothing,
                                                    .on_writable = do_nothing,
                                                    .on_closed = note_closed};

static struct pel_conn *accepted;

static enum pel_err accept_quietly(void *arg, struct pel_conn *conn)
{
    accepted = conn;
    pel_conn_attach(conn, &quiet_events, arg);
    pel_conn_map(conn, NULL);
    return PEL_OK;
}

/* Keys that are a minute old, renewed by the next byte either way. */
PEL_TEST(mapping, old_keys_are_renewed)
{
    static const char client_policy[] =
        "TTLSRule C\n{\n RemotePortRange 4433\n Direction Outbound\n TTLSGroupAction\n {\n  TTLSEnabled On\n "
        "}\n"
        " TTLSEnvironmentAction\n {\n  HandshakeRole Client\n  TTLSKeyringParms\n  {\n   Keyring client\n  "
        "}\n"
        "  TTLSEnvironmentAdvancedParms\n  {\n   ResetCipherTimer 1\n  }\n }\n}\n";
    struct world_config config = {.seed = 1, .policies = {client_policy, world_server_policy}};
    struct world world;
    struct sockaddr_storage address;
    struct pel_listener *listener = NULL;
    struct pel_conn *client = NULL;
    size_t got[NUM_HOSTS] = {0}, n = 0;
    PEL_REQUIRE(world_open(&world, &config));
    socklen_t len = world_address(&world, HOST_B, WORLD_PORT, &address);
    PEL_REQUIRE_OK(pel_engine_listen(world.engines[HOST_B], (struct sockaddr *)&address, len, 16,
                                     accept_quietly, &got[HOST_B], &listener));
    PEL_REQUIRE_OK(pel_engine_connect(world.engines[HOST_A], NULL, 0, (struct sockaddr *)&address, len,
                                      "server.test", NULL, &quiet_events, &got[HOST_A], &client));
    world_pass(&world, 30 * SECOND_US);
    PEL_REQUIRE(pel_conn_is(client, PEL_CONN_SECURE) && pel_conn_is(accepted, PEL_CONN_SECURE));
    PEL_EXPECT(pel_tls_sealed_len(client->tls, 1) > 0);
    for (int round = 0; round < 4; round++) {
        world_pass(&world, 61 * SECOND_US);
        PEL_EXPECT_EQ(pel_tls_sealed_len(client->tls, 1), 0); /* due, and idle */
        struct pel_conn *who = round % 2 == 0 ? client : accepted;
        PEL_REQUIRE_OK(pel_conn_write(who, (const uint8_t *)"x", 1, &n));
        world_pass(&world, 2 * SECOND_US);
        PEL_EXPECT(pel_tls_sealed_len(client->tls, 1) > 0);
    }
    PEL_EXPECT(got[HOST_A] == 2 && got[HOST_B] == 2);
    pel_conn_close(client);
    pel_conn_close(accepted);
    world_pass(&world, 5 * SECOND_US);
    pel_listener_close(listener);
    PEL_EXPECT(world_close(&world));
}

PEL_TEST(mapping, no_rule_is_refused_when_so_configured)
{
    struct world_config config = {.seed = 1, .policies = {"", ""}, .no_match_refuse = true};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, NULL));
    PEL_EXPECT_ERR(scene.connected, PEL_E_NO_RULE_REFUSED);
    expect_refused(&scene, PEL_OK, PEL_OK);
    close_scene(&scene);
}

PEL_TEST(mapping, ttls_enabled_off_is_clear_on_purpose)
{
    struct world_config config = {.seed = 1, .policies = {"", clear_on_purpose}, .no_match_refuse = false};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, NULL));
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    PEL_EXPECT(num_markers(&scene) > 10);
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_B, PEL_STAT_map_clear), 1);
    PEL_EXPECT_EQ(world_err(&scene.world, HOST_B, PEL_E_NO_RULE_CLEAR), 0);
    close_scene(&scene);
}

/* The one that was turned away at the gate is known. */
static void expect_held(struct scene *scene, int host, const char *job, enum pel_held_what what)
{
    struct pel_held_row rows[PEL_HELD_ROWS];
    uint64_t num_others;
    PEL_REQUIRE(pel_held_copy(&scene->world.slots[host].held, rows, &num_others) == 1);
    PEL_EXPECT_STR(rows[0].user, "tester");
    PEL_EXPECT_STR(rows[0].job, job);
    PEL_EXPECT_EQ(rows[0].pid, getpid());
    PEL_EXPECT_EQ(rows[0].what, what);
    PEL_EXPECT_EQ(rows[0].endpoint.port, WORLD_PORT);
    PEL_EXPECT_EQ(rows[0].count, 1);
    PEL_EXPECT(rows[0].first_s > 0 && rows[0].last_s == rows[0].first_s);
    PEL_EXPECT_EQ(num_others, 0);
}

PEL_TEST(mapping, the_start_gate_is_closed_until_a_policy_is_loaded)
{
    struct world_config config = {.seed = 1, .policies = {"", NULL}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, NULL));
    expect_refused(&scene, PEL_E_CONN_RESET, PEL_E_START_GATE);
    expect_held(&scene, HOST_B, "server", PEL_HELD_ACCEPT);
    PEL_EXPECT_EQ(world_load(&scene.world, HOST_B, ""), 0);
    peers_transfer(&scene.world, scene.peers, 1000);
    PEL_REQUIRE_OK(peer_connect(&scene.peers[HOST_A], NULL));
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 1000);
    close_scene(&scene);
}

PEL_TEST(mapping, the_start_gate_holds_outbound_connections_too)
{
    struct world_config config = {.seed = 1, .policies = {NULL, ""}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, NULL));
    PEL_EXPECT_ERR(scene.connected, PEL_E_START_GATE);
    expect_held(&scene, HOST_A, "client", PEL_HELD_CONNECT);
    world_pass(&scene.world, SECOND_US);
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_B, PEL_STAT_tcp_opened_in), 0);
    close_scene(&scene);
}

PEL_TEST(mapping, an_open_gate_lets_clear_through)
{
    struct world_config config = {.seed = 1, .start_gate_open = true};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, NULL));
    PEL_REQUIRE_OK(scene.connected);
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 20000);
    close_scene(&scene);
}

/* A server policy whose keyring is `ring`. */
static const char *server_with_ring(const char *ring, char *text, size_t cap)
{
    snprintf(text, cap,
             "TTLSRule S\n{\n LocalPortRange 4433\n Direction Inbound\n TTLSGroupActionRef on\n "
             "TTLSEnvironmentActionRef e\n}\n"
             "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
             "TTLSEnvironmentAction e\n{\n HandshakeRole Server\n TTLSKeyringParms\n {\n Keyring %s\n }\n}\n",
             ring);
    return text;
}

PEL_TEST(mapping, a_rule_whose_keyring_cannot_be_used_refuses)
{
    static const char *const rings[] = {"nosuchring", "expired", "badmode", "mismatch", "empty"};
    for (size_t i = 0; i < sizeof rings / sizeof *rings; i++) {
        char text[512];
        struct world_config config = {.seed = 1,
                                      .policies = {"", server_with_ring(rings[i], text, sizeof text)}};
        struct scene scene;
        PEL_REQUIRE(open_scene(&scene, &config, NULL));
        expect_refused(&scene, PEL_E_CONN_RESET, PEL_E_POLICY_UNUSABLE);
        const struct pel_engine *server = scene.world.engines[HOST_B];
        PEL_EXPECT(strlen(server->recent[0].failure) > 10);
        close_scene(&scene);
    }
}

PEL_TEST(mapping, an_outbound_rule_that_cannot_be_served_refuses)
{
    static const char policy[] =
        "TTLSRule C\n{\n RemotePortRange 4433\n Direction Outbound\n TTLSGroupActionRef on\n"
        " TTLSEnvironmentActionRef e\n}\nTTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
        "TTLSEnvironmentAction e\n{\n HandshakeRole Client\n TTLSKeyringParms\n {\n Keyring nosuchring\n "
        "}\n}\n";
    struct world_config config = {.seed = 1, .policies = {policy, ""}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, NULL));
    PEL_EXPECT_ERR(scene.connected, PEL_E_POLICY_UNUSABLE);
    expect_refused(&scene, PEL_OK, PEL_OK);
    close_scene(&scene);
}

PEL_TEST(mapping, clear_text_on_a_tls_port_is_refused)
{
    struct world_config config = {.seed = 1, .policies = {"", world_server_policy}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, NULL));
    PEL_REQUIRE_OK(scene.connected);
    world_pass(&scene.world, 5 * SECOND_US);
    PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 0);
    PEL_EXPECT_ERR(scene.peers[HOST_B].error, PEL_E_TLS_CLEARTEXT_RECEIVED);
    PEL_EXPECT_EQ(world_err(&scene.world, HOST_B, PEL_E_TLS_CLEARTEXT_RECEIVED), 1);
    PEL_EXPECT(scene.peers[HOST_A].closed);
    close_scene(&scene);
}

PEL_TEST(mapping, tls_to_a_clear_port_fails_closed)
{
    struct world_config config = {.seed = 1, .policies = {world_client_policy, ""}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, "server.test"));
    world_pass(&scene.world, 60 * SECOND_US);
    PEL_EXPECT_EQ(scene.peers[HOST_A].received_len, 0);
    PEL_EXPECT(!scene.peers[HOST_A].opened && scene.peers[HOST_A].closed);
    PEL_EXPECT(scene.peers[HOST_A].error != PEL_OK);
    close_scene(&scene);
}

static const char *client_with(const char *ring, const char *more, char *text, size_t cap)
{
    snprintf(
        text, cap,
        "TTLSRule C\n{\n RemotePortRange 4433\n Direction Outbound\n TTLSGroupActionRef on\n "
        "TTLSEnvironmentActionRef e\n}\n"
        "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
        "TTLSEnvironmentAction e\n{\n HandshakeRole Client\n TTLSKeyringParms\n {\n Keyring %s\n }\n%s}\n",
        ring, more);
    return text;
}

PEL_TEST(mapping, a_stranger_to_the_ca_refuses_the_server)
{
    char text[512];
    struct world_config config = {
        .seed = 1, .policies = {client_with("stranger", "", text, sizeof text), world_server_policy}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, "server.test"));
    expect_refused(&scene, PEL_E_TLS_CERT_UNTRUSTED, PEL_E_TLS_ALERT_RECEIVED);
    close_scene(&scene);
}

PEL_TEST(mapping, the_name_that_the_program_resolved_is_checked)
{
    struct world_config config = {.seed = 1, .policies = {world_client_policy, world_server_policy}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, "other.test"));
    expect_refused(&scene, PEL_E_TLS_CERT_NAME, PEL_OK);
    close_scene(&scene);
}

PEL_TEST(mapping, a_client_certificate_that_policy_demands)
{
    static const char demanding[] =
        "TTLSRule S\n{\n LocalPortRange 4433\n Direction Inbound\n TTLSGroupActionRef on\n"
        " TTLSEnvironmentActionRef e\n}\nTTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
        "TTLSEnvironmentAction e\n{\n HandshakeRole ServerWithClientAuth\n"
        " TTLSKeyringParms\n {\n Keyring server\n }\n"
        " TTLSEnvironmentAdvancedParms\n {\n ClientAuthType Required\n }\n}\n";
    char text[512];
    struct world_config without = {
        .seed = 1,
        .policies = {client_with("client", " TTLSEnvironmentAdvancedParms\n {\n CertificateLabel\n }\n", text,
                                 sizeof text),
                     demanding}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &without, "server.test"));
    world_pass(&scene.world, 5 * SECOND_US);
    PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 0);
    PEL_EXPECT_EQ(world_err(&scene.world, HOST_B, PEL_E_TLS_NO_CLIENT_CERT), 1);
    close_scene(&scene);

    struct world_config with = {.seed = 1, .policies = {world_client_policy, demanding}};
    PEL_REQUIRE(open_scene(&scene, &with, "server.test"));
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 20000);
    world_pass(&scene.world, SECOND_US); /* until the last byte is acknowledged */
    PEL_EXPECT_HAS(scene.world.engines[HOST_B]->recent[0].peer_subject, "client");
    close_scene(&scene);
}

PEL_TEST(mapping, an_inbound_connection_waits_for_its_mapping_point)
{
    struct world_config config = {.seed = 1, .policies = {world_client_policy, world_server_policy}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, "server.test"));
    scene.peers[HOST_B].hold_mapping = true;
    world_pass(&scene.world, 3 * SECOND_US);
    PEL_EXPECT(scene.peers[HOST_B].conn != NULL && !pel_conn_is_mapped(scene.peers[HOST_B].conn));
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_B, PEL_STAT_policy_lookups), 0);
    PEL_EXPECT(!scene.peers[HOST_A].opened);
    pel_conn_map(scene.peers[HOST_B].conn, NULL);
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 20000);
    close_scene(&scene);
}

PEL_TEST(mapping, identity_decides)
{
    static const char policy[] =
        "TTLSRule BOB\n{\n LocalPortRange 4433\n Userid BO*\n Jobname SRV\n Direction Inbound\n"
        " TTLSGroupActionRef off\n}\nTTLSGroupAction off\n{\n TTLSEnabled Off\n}\n";
    struct world_config config = {.seed = 1, .policies = {"", policy}};
    const struct pel_identity bob = {.user = "bob", .job = "srv"};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, NULL));
    scene.peers[HOST_B].hold_mapping = true;
    world_pass(&scene.world, SECOND_US);
    PEL_REQUIRE(scene.peers[HOST_B].conn != NULL);
    pel_conn_map(scene.peers[HOST_B].conn, &bob);
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_B, PEL_STAT_map_clear), 1);
    close_scene(&scene);
}

PEL_TEST(mapping, a_new_policy_leaves_living_connections_alone)
{
    struct world_config config = {.seed = 1, .policies = {world_client_policy, world_server_policy}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, "server.test"));
    scene.peers[HOST_A].keep_open = scene.peers[HOST_B].keep_open = true;
    world_pass(&scene.world, SECOND_US);
    PEL_REQUIRE(scene.peers[HOST_B].opened && !scene.peers[HOST_B].closed);
    PEL_EXPECT_EQ(world_load(&scene.world, HOST_B, clear_on_purpose), 0);
    world_pass(&scene.world, SECOND_US);
    struct pel_conn_report report;
    pel_conn_fill_report(scene.peers[HOST_B].conn, &report);
    PEL_EXPECT_EQ(report.generation, 1);
    PEL_EXPECT_STR(report.rule, "SERVER");
    PEL_EXPECT_STR(report.state, "SECURE");
    PEL_EXPECT_EQ(scene.world.engines[HOST_B]->generation->number, 2);
    pel_conn_close(scene.peers[HOST_A].conn);
    pel_conn_close(scene.peers[HOST_B].conn);
    close_scene(&scene);
}

PEL_TEST(mapping, a_policy_with_errors_changes_nothing)
{
    struct world_config config = {.seed = 1, .policies = {world_client_policy, world_server_policy}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, "server.test"));
    PEL_EXPECT_EQ(world_load(&scene.world, HOST_B, "TTLSRule X\n{\n Drection Inbound\n}\n"), -1);
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 20000);
    PEL_EXPECT_EQ(pel_generation_number(&scene.world.slots[HOST_B]), 1);
    close_scene(&scene);
}

/* A policy is swapped every few milliseconds while connections come and go: each is served by the generation
 * that mapped it. */
PEL_TEST(mapping, swaps_under_load)
{
    struct world_config config = {.seed = 11, .policies = {world_client_policy, world_server_policy}};
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &config, "server.test"));
    for (int i = 0; i < 50; i++) {
        PEL_REQUIRE(world_load(&scene.world, HOST_B, world_server_policy) == 0);
        world_pass(&scene.world, 3000);
        PEL_REQUIRE(world_load(&scene.world, HOST_A, world_client_policy) == 0);
        PEL_REQUIRE(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
        PEL_EXPECT_EQ(scene.peers[HOST_B].received_len, 20000);
        PEL_EXPECT_EQ(num_markers(&scene), 0);
        peers_transfer(&scene.world, scene.peers, 20000);
        scene.peers[HOST_A].marker = scene.peers[HOST_B].marker = true;
        PEL_REQUIRE_OK(peer_connect(&scene.peers[HOST_A], "server.test"));
    }
    PEL_EXPECT(world_run(&scene.world, peers_done, scene.peers, 60 * SECOND_US));
    close_scene(&scene);
}

/* Two rules with the same actions, the one now and the other from an hour on. */
static const char *rules_by_time(int64_t wall_s)
{
    static char policy[2048];
    int minute = (int)(wall_s / 60 % 1440), from = (minute + 1440 - 60) % 1440, to = (minute + 60) % 1440;
    snprintf(policy, sizeof policy,
             "TTLSRule NOW\n{\n LocalPortRange 4433\n Direction Inbound\n TTLSGroupActionRef on\n"
             " TTLSEnvironmentActionRef server\n"
             " IpTimeCondition\n {\n  TimeZone UTC\n  TimeOfDayRange %02d:%02d-%02d:%02d\n }\n}\n"
             "TTLSRule LATER\n{\n LocalPortRange 4433\n Direction Inbound\n TTLSGroupActionRef on\n"
             " TTLSEnvironmentActionRef server\n"
             " IpTimeCondition\n {\n  TimeZone UTC\n  TimeOfDayRange %02d:%02d-%02d:%02d\n }\n}\n"
             "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"
             "TTLSEnvironmentAction server\n{\n HandshakeRole Server\n"
             " TTLSKeyringParms\n {\n  Keyring server\n }\n}\n",
             from / 60, from % 60, to / 60, to % 60, to / 60, to % 60, from / 60, from % 60);
    return policy;
}

/* One more connection; returns how many have been resumed so far. */
static uint64_t connect_again(struct scene *scene)
{
    peers_transfer(&scene->world, scene->peers, 20000);
    PEL_EXPECT_ERR(peer_connect(&scene->peers[HOST_A], "server.test"), PEL_OK);
    PEL_EXPECT(world_run(&scene->world, peers_done, scene->peers, 60 * SECOND_US));
    PEL_EXPECT_EQ(scene->peers[HOST_B].received_len, 20000);
    PEL_EXPECT_EQ(world_stat(&scene->world, HOST_A, PEL_STAT_tls_resumed),
                  world_stat(&scene->world, HOST_B, PEL_STAT_tls_resumed));
    return world_stat(&scene->world, HOST_B, PEL_STAT_tls_resumed);
}

PEL_TEST(mapping, a_ticket_of_one_rule_does_not_resume_at_another_that_shares_its_environment)
{
    struct world_config config = {.seed = 1, .policies = {world_client_policy, ""}};
    struct scene scene = {0};
    PEL_REQUIRE(world_open(&scene.world, &config));
    int64_t now_s = pel_clock_wall_s(&scene.world.clock);
    PEL_EXPECT_EQ(world_load(&scene.world, HOST_B, rules_by_time(now_s)), 0);
    peers_transfer(&scene.world, scene.peers, 20000);
    PEL_REQUIRE(peer_listen(&scene.peers[HOST_B], &scene.listener));
    PEL_EXPECT_EQ(connect_again(&scene), 0);
    PEL_EXPECT_EQ(connect_again(&scene), 1);
    const struct pel_generation *generation = scene.world.engines[HOST_B]->generation;
    PEL_EXPECT(generation->bindings[0].env == generation->bindings[1].env);
    scene.world.time.wall_s_at_zero += 2 * 3600;
    PEL_EXPECT_EQ(connect_again(&scene), 1); /* offered to LATER, which does not take it */
    PEL_EXPECT_EQ(connect_again(&scene), 2);
    scene.world.time.wall_s_at_zero -= 2 * 3600;
    PEL_EXPECT_EQ(connect_again(&scene), 2);
    close_scene(&scene);
}
