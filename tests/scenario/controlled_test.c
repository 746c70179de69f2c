/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that control TLS themselves (ApplicationControlled On): clear, TLS and clear again on one
 * connection, what may be asked when, and that nothing written for one state leaves in another.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "stack/conn_control.h"
#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"
#include "tests/scenario/world.h"

#define SECOND_US 1000000u

#define POLICY(rule, role, keyring, more)                                                                    \
    "TTLSRule R\n{\n " rule "\n TTLSGroupActionRef on\n TTLSEnvironmentActionRef env\n}\n"                   \
    "TTLSGroupAction on\n{\n TTLSEnabled On\n}\n"                                                            \
    "TTLSEnvironmentAction env\n{\n HandshakeRole " role "\n TTLSKeyringParms\n {\n Keyring " keyring        \
    "\n }\n TTLSEnvironmentAdvancedParms\n {\n" more "\n }\n}\n"
#define SERVER(more) POLICY("LocalPortRange 4433\n Direction Inbound", "Server", "server", more)
#define CLIENT(more) POLICY("RemotePortRange 4433\n Direction Outbound", "Client", "client", more)
#define ASKED        "ApplicationControlled On\n"

/* One end: what it heard, and what it does from within when it hears something. */
struct talker {
    struct world *world;
    struct pel_conn *conn;
    char heard[4096];
    size_t heard_len;
    unsigned num_opened, num_eofs;
    bool closed, held;
    bool lines; /* takes whole lines alone, as a program that awaits a handshake behind the next one */
    enum pel_err error;
    void (*on_line)(struct talker *talker); /* from within on_data, when a line has ended */
    void (*on_end)(struct talker *talker);  /* from within on_eof */
    int result;
};

struct scene {
    struct world world;
    struct talker talkers[NUM_HOSTS];
    struct pel_listener *listener;
};

static void on_open(void *arg, struct pel_conn *conn)
{
    struct talker *talker = arg;
    talker->conn = conn;
    talker->num_opened++;
}

static size_t on_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct talker *talker = arg;
    (void)conn;
    const uint8_t *line_end = bytes[0] == 0x16 ? NULL : memchr(bytes, '\n', len); /* a handshake is no line */
    size_t take_len = len;
    if ((talker->on_line != NULL || talker->lines) && line_end != NULL)
        take_len = (size_t)(line_end - bytes) + 1;
    else if (talker->lines)
        take_len = 0;
    if (take_len > sizeof talker->heard - 1 - talker->heard_len)
        take_len = sizeof talker->heard - 1 - talker->heard_len;
    memcpy(talker->heard + talker->heard_len, bytes, take_len);
    talker->heard_len += take_len;
    if (talker->on_line != NULL && line_end != NULL)
        talker->on_line(talker);
    talker->held = take_len < len;
    return take_len;
}

static void on_eof(void *arg, struct pel_conn *conn)
{
    struct talker *talker = arg;
    (void)conn;
    talker->num_eofs++;
    if (talker->on_end != NULL)
        talker->on_end(talker);
}

static void on_writable(void *arg, struct pel_conn *conn)
{
    (void)arg, (void)conn;
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct talker *talker = arg;
    (void)conn;
    talker->closed = true;
    talker->error = err;
    talker->conn = NULL;
}

static const struct pel_conn_events events = {.on_open = on_open,
                                              .on_data = on_data,
                                              .on_eof = on_eof,
                                              .on_writable = on_writable,
                                              .on_closed = on_closed};

static enum pel_err on_accept(void *arg, struct pel_conn *conn)
{
    struct talker *talker = arg;
    talker->conn = conn;
    pel_conn_attach(conn, &events, talker);
    return PEL_OK;
}

static bool is_accepted(void *arg)
{
    struct talker *talkers = arg;
    return talkers[HOST_B].conn != NULL;
}

/* Connects; the server's end is not mapped yet. */
static bool open_scene(struct scene *scene, const struct world_config *config)
{
    struct sockaddr_storage to;
    memset(scene, 0, sizeof *scene);
    if (!world_open(&scene->world, config))
        return false;
    for (int host = 0; host < NUM_HOSTS; host++)
        scene->talkers[host].world = &scene->world;
    socklen_t len = world_address(&scene->world, HOST_B, WORLD_PORT, &to);
    return pel_engine_listen(scene->world.engines[HOST_B], (struct sockaddr *)&to, len, 4, on_accept,
                             &scene->talkers[HOST_B], &scene->listener) == PEL_OK &&
           pel_engine_connect(scene->world.engines[HOST_A], NULL, 0, (struct sockaddr *)&to, len,
                              "server.test", NULL, &events, &scene->talkers[HOST_A],
                              &scene->talkers[HOST_A].conn) == PEL_OK &&
           world_run(&scene->world, is_accepted, scene->talkers, 30 * SECOND_US);
}

static void close_scene(struct scene *scene)
{
    for (int host = 0; host < NUM_HOSTS; host++)
        if (scene->talkers[host].conn != NULL)
            pel_conn_abort(scene->talkers[host].conn);
    pel_listener_close(scene->listener);
    PEL_EXPECT(world_close(&scene->world));
}

static struct TTLS_IOCTL last;

static int ask(struct talker *talker, uint32_t request)
{
    last = (struct TTLS_IOCTL){.TTLSi_Ver = TTLS_VERSION1, .TTLSi_Req_Type = request};
    return pel_conn_ttls(talker->conn, NULL, &last);
}

static int stat_of(struct talker *talker)
{
    int error = talker->conn == NULL ? EPIPE : ask(talker, TTLS_QUERY_ONLY);
    return error != 0 ? -error : last.TTLSi_Stat_Conn;
}

static bool say(struct talker *talker, const char *text)
{
    size_t len = 0;
    return pel_conn_write(talker->conn, (const uint8_t *)text, strlen(text), &len) == PEL_OK &&
           len == strlen(text);
}

struct wanted {
    struct talker *talker;
    const char *text;
    int stat;
};

static bool has_heard(void *arg)
{
    struct wanted *wanted = arg;
    struct talker *talker = wanted->talker;
    size_t len = strlen(wanted->text);
    if (talker->held && talker->on_line == NULL)
        pel_conn_resume(talker->conn);
    return talker->closed || (talker->heard_len >= len &&
                              memcmp(talker->heard + talker->heard_len - len, wanted->text, len) == 0);
}

/* That `text` is the last that it hears. */
static bool hears(struct talker *talker, const char *text)
{
    struct wanted wanted = {.talker = talker, .text = text};
    return world_run(talker->world, has_heard, &wanted, 30 * SECOND_US) && !talker->closed;
}

static bool has_stat(void *arg)
{
    struct wanted *wanted = arg;
    return wanted->talker->closed || stat_of(wanted->talker) == wanted->stat;
}

static bool becomes(struct talker *talker, int stat)
{
    struct wanted wanted = {.talker = talker, .stat = stat};
    return world_run(talker->world, has_stat, &wanted, 30 * SECOND_US) && !talker->closed;
}

static bool both_become(struct scene *scene, int stat)
{
    return becomes(&scene->talkers[HOST_A], stat) && becomes(&scene->talkers[HOST_B], stat);
}

/* ---- the way there and back ---- */

static const struct world_config both_asked = {.seed = 1, .policies = {CLIENT(ASKED), SERVER(ASKED)}};

static void expect_fields_of_secure(struct talker *talker, int sec_type)
{
    PEL_EXPECT_EQ(stat_of(talker), TTLS_CONN_SECURE);
    PEL_EXPECT_EQ(last.TTLSi_Stat_Policy, TTLS_POL_APPLCNTRL);
    PEL_EXPECT_EQ(last.TTLSi_Sec_Type, sec_type);
    PEL_EXPECT_EQ(last.TTLSi_SSL_ProtVer, 3);
    PEL_EXPECT_EQ(last.TTLSi_SSL_ProtMod, 4);
    PEL_EXPECT_MEM(last.TTLSi_Neg_Cipher, "4X", 2);
    PEL_EXPECT_MEM(last.TTLSi_Neg_Cipher4, "130", 3);
    PEL_EXPECT_MEM(last.TTLSi_Neg_KeyShare, "0029", 4);
}

static void talk_both_ways(struct scene *scene, const char *text)
{
    struct talker *a = &scene->talkers[HOST_A], *b = &scene->talkers[HOST_B];
    pel_conn_map(b->conn, NULL);
    a->heard_len = b->heard_len = 0;
    PEL_EXPECT(say(a, text) && hears(b, text));
    PEL_EXPECT(say(b, text) && hears(a, text));
}

static uint64_t num_markers(const struct scene *scene)
{
    return scene->world.num_markers[HOST_A] + scene->world.num_markers[HOST_B];
}

PEL_TEST(controlled, clear_then_tls_then_clear_and_again)
{
    struct scene scene;
    struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
    PEL_REQUIRE(open_scene(&scene, &both_asked));
    PEL_EXPECT_EQ(ask(b, TTLS_QUERY_ONLY), 0); /* maps it */
    PEL_EXPECT_EQ(last.TTLSi_Stat_Policy, TTLS_POL_APPLCNTRL);
    PEL_EXPECT_EQ(last.TTLSi_Stat_Conn, TTLS_CONN_NOTSECURE);
    for (int round = 0; round < 3; round++) {
        uint64_t before = num_markers(&scene);
        talk_both_ways(&scene, WORLD_MARKER "clear\n");
        PEL_EXPECT_EQ(num_markers(&scene), before + 2);
        PEL_EXPECT_EQ(ask(b, TTLS_INIT_CONNECTION), EINPROGRESS);
        PEL_EXPECT_EQ(last.TTLSi_Stat_Conn, TTLS_CONN_HS_INPROGRESS);
        PEL_EXPECT_EQ(ask(a, TTLS_INIT_CONNECTION), EINPROGRESS);
        PEL_REQUIRE(both_become(&scene, TTLS_CONN_SECURE));
        expect_fields_of_secure(a, TTLS_SEC_CLIENT);
        expect_fields_of_secure(b, TTLS_SEC_SERVER);
        talk_both_ways(&scene, WORLD_MARKER "secret\n");
        PEL_EXPECT_EQ(num_markers(&scene), before + 2);
        PEL_EXPECT_EQ(ask(a, TTLS_INIT_CONNECTION), EALREADY);
        PEL_EXPECT_EQ(ask(a, TTLS_STOP_CONNECTION), EINPROGRESS);
        PEL_EXPECT_EQ(ask(a, TTLS_STOP_CONNECTION), EWOULDBLOCK);
        PEL_EXPECT(ask(b, TTLS_STOP_CONNECTION) == EINPROGRESS);
        PEL_REQUIRE(both_become(&scene, TTLS_CONN_NOTSECURE));
        PEL_EXPECT_EQ(ask(a, TTLS_STOP_CONNECTION), EALREADY);
        PEL_EXPECT_EQ(a->num_eofs + b->num_eofs, 0);
    }
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_B, PEL_STAT_map_when_asked), 1);
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_B, PEL_STAT_map_tls), 0);
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_B, PEL_STAT_ttls_starts), 3);
    PEL_EXPECT_EQ(world_stat(&scene.world, HOST_A, PEL_STAT_ttls_stops), 3);
    close_scene(&scene);
}

/* The other end does what RFC 2246 asks of it by itself only when its program stops as well: it reads the end
 * of a file, and goes on in clear after its own stop. */
PEL_TEST(controlled, the_peer_stops_first)
{
    struct scene scene;
    struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
    PEL_REQUIRE(open_scene(&scene, &both_asked));
    ask(b, TTLS_INIT_CONNECTION);
    ask(a, TTLS_INIT_CONNECTION);
    PEL_REQUIRE(both_become(&scene, TTLS_CONN_SECURE));
    PEL_EXPECT(say(a, "bye"));
    PEL_EXPECT_EQ(ask(a, TTLS_STOP_CONNECTION), EINPROGRESS);
    PEL_EXPECT(hears(b, "bye"));
    world_pass(&scene.world, SECOND_US);
    PEL_EXPECT_EQ(b->num_eofs, 1);
    PEL_EXPECT_EQ(stat_of(a), TTLS_CONN_HS_INPROGRESS);
    PEL_EXPECT(!say(a, "too early"));
    PEL_EXPECT_EQ(ask(b, TTLS_STOP_CONNECTION), 0);
    PEL_EXPECT_EQ(stat_of(b), TTLS_CONN_NOTSECURE);
    PEL_REQUIRE(becomes(a, TTLS_CONN_NOTSECURE));
    talk_both_ways(&scene, "clear\n");
    pel_conn_shutdown(a->conn);
    world_pass(&scene.world, SECOND_US);
    PEL_EXPECT_EQ(b->num_eofs, 2);
    close_scene(&scene);
}

/* ---- from within callbacks, as programs do it ---- */

static void start_at_command(struct talker *talker)
{
    if (strcmp(talker->heard, "STARTTLS\n") == 0) {
        say(talker, "220 go\n");
        talker->result = ask(talker, TTLS_INIT_CONNECTION);
    } else if (strcmp(talker->heard, "220 go\n") == 0) {
        talker->result = ask(talker, TTLS_INIT_CONNECTION);
    } else if (strstr(talker->heard, "STOP\n") != NULL) {
        talker->result = ask(talker, TTLS_STOP_CONNECTION);
    }
}

static void start_at_once(struct talker *talker)
{
    talker->result = ask(talker, TTLS_INIT_CONNECTION);
}

static void stop_too(struct talker *talker)
{
    talker->result = ask(talker, TTLS_STOP_CONNECTION);
}

PEL_TEST(controlled, starts_and_stops_from_within_callbacks)
{
    struct scene scene;
    struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
    PEL_REQUIRE(open_scene(&scene, &both_asked));
    a->on_line = b->on_line = start_at_command;
    a->on_end = b->on_end = stop_too;
    pel_conn_map(b->conn, NULL);
    PEL_EXPECT(say(a, "STARTTLS\n"));
    PEL_REQUIRE(both_become(&scene, TTLS_CONN_SECURE));
    PEL_EXPECT_EQ(a->result, EINPROGRESS);
    PEL_EXPECT_EQ(b->result, EINPROGRESS);
    talk_both_ways(&scene, "secret\n");
    PEL_EXPECT(say(a, "STOP\n"));
    world_pass(&scene.world, SECOND_US);
    PEL_REQUIRE(both_become(&scene, TTLS_CONN_NOTSECURE));
    PEL_EXPECT_EQ(a->num_eofs, 1);
    PEL_EXPECT_EQ(b->num_eofs, 0);
    a->on_line = b->on_line = NULL;
    talk_both_ways(&scene, "clear\n");
    close_scene(&scene);
}

/* The client does not wait for the answer: its hello stands behind the command in what the server is shown.
 */
PEL_TEST(controlled, a_hello_behind_the_command_is_taken_for_the_handshake)
{
    for (int takes_all = 0; takes_all < 2; takes_all++) {
        struct scene scene;
        struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
        PEL_REQUIRE(open_scene(&scene, &both_asked));
        PEL_EXPECT(say(a, "STARTTLS\n"));
        PEL_EXPECT_EQ(ask(a, TTLS_INIT_CONNECTION), EINPROGRESS);
        world_pass(&scene.world, SECOND_US / 10); /* both are there before the server is mapped */
        b->on_line = takes_all ? NULL : start_at_once;
        if (!takes_all) {
            pel_conn_map(b->conn, NULL);
        } else { /* as a socket does, whose reader has had the first nine bytes only */
            pel_conn_map(b->conn, NULL);
            const struct pel_piece pieces[2] = {{(uint8_t *)b->heard + 9, 20},
                                                {(uint8_t *)b->heard + 29, b->heard_len - 29}};
            PEL_REQUIRE(b->heard_len > 40);
            PEL_REQUIRE_OK(pel_conn_give_back(b->conn, pieces, 2));
            pel_conn_start_tls(b->conn, false);
        }
        PEL_REQUIRE(both_become(&scene, TTLS_CONN_SECURE));
        b->heard_len = 0;
        talk_both_ways(&scene, "secret\n");
        close_scene(&scene);
    }
}

/* ---- what goes wrong ---- */

PEL_TEST(controlled, clear_text_is_never_taken_for_what_came_under_tls)
{
    struct scene scene;
    struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
    PEL_REQUIRE(open_scene(&scene, &both_asked));
    b->on_line = start_at_command;
    PEL_EXPECT(say(a, "STARTTLS\nMAIL FROM: an injected command\n"));
    pel_conn_map(b->conn, NULL);
    world_pass(&scene.world, SECOND_US);
    PEL_EXPECT(b->closed);
    PEL_EXPECT_ERR(b->error, PEL_E_TLS_CLEARTEXT_RECEIVED);
    PEL_EXPECT_STR(b->heard, "STARTTLS\n");
    close_scene(&scene);
}

PEL_TEST(controlled, what_may_be_asked_depends_on_the_policy)
{
    static const struct {
        const char *policy;
        int error, stat_policy;
    } rows[] = {
        {"", EOPNOTSUPP, TTLS_POL_NO_POLICY},
        {"TTLSRule OFF\n{\n RemotePortRange 4433\n Direction Outbound\n TTLSGroupActionRef off\n}\n"
         "TTLSGroupAction off\n{\n TTLSEnabled Off\n}\n",
         EOPNOTSUPP, TTLS_POL_NOT_ENABLED},
        {CLIENT(""), EACCES, TTLS_POL_ENABLED},
        {CLIENT(ASKED), EPROTO, TTLS_POL_APPLCNTRL},
    };
    static const uint32_t requests[] = {TTLS_STOP_CONNECTION, TTLS_RESET_CIPHER, TTLS_RESET_SESSION,
                                        TTLS_SEND_SESSION_TICKET, TTLS_RESET_WRITE_CIPHER};
    for (size_t i = 0; i < 4; i++) {
        struct scene scene;
        struct world_config config = {.seed = 1, .policies = {rows[i].policy, NULL}};
        config.policies[HOST_B] = i == 2 ? SERVER("") : SERVER(ASKED);
        PEL_REQUIRE(open_scene(&scene, &config));
        struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
        if (i == 2) {
            pel_conn_map(b->conn, NULL);
            PEL_EXPECT(becomes(a, TTLS_CONN_SECURE));
        }
        PEL_EXPECT_EQ(ask(a, TTLS_QUERY_ONLY), 0);
        PEL_EXPECT_EQ(last.TTLSi_Stat_Policy, rows[i].stat_policy);
        for (size_t k = 0; k < sizeof requests / sizeof *requests; k++)
            PEL_EXPECT_EQ(ask(a, requests[k]), rows[i].error);
        close_scene(&scene);
    }
}

PEL_TEST(controlled, requests_that_cannot_be)
{
    struct scene scene;
    struct talker *a = &scene.talkers[HOST_A];
    PEL_REQUIRE(open_scene(&scene, &both_asked));
    PEL_EXPECT_EQ(ask(a, TTLS_INIT_CONNECTION | TTLS_STOP_CONNECTION), EPERM);
    PEL_EXPECT_EQ(ask(a, TTLS_INIT_CONNECTION | TTLS_RESET_CIPHER), EPERM);
    PEL_EXPECT_EQ(ask(a, TTLS_STOP_CONNECTION | TTLS_RESET_SESSION), EPERM);
    PEL_EXPECT_EQ(ask(a, TTLS_ALLOW_HSTIMEOUT), EPERM);
    PEL_EXPECT_EQ(ask(a, 0x100), EINVAL);
    PEL_EXPECT_EQ(ask(a, TTLS_RETURN_CERTIFICATE), EINVAL);                     /* without a buffer */
    PEL_EXPECT_EQ(ask(a, TTLS_INIT_CONNECTION | TTLS_ALLOW_HSTIMEOUT), EPROTO); /* a client */
    pel_conn_shutdown(a->conn);
    PEL_EXPECT_EQ(ask(a, TTLS_INIT_CONNECTION), EPIPE);
    close_scene(&scene);
}

PEL_TEST(controlled, a_failed_handshake_ends_the_connection)
{
    struct scene scene;
    struct world_config config = both_asked;
    config.policies[HOST_B] = SERVER(ASKED "TLSv1.3 Off\n TLSv1.2 Off\n TLSv1.1 On\n");
    PEL_REQUIRE(open_scene(&scene, &config));
    struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
    talk_both_ways(&scene, "clear\n");
    PEL_EXPECT_EQ(ask(b, TTLS_INIT_CONNECTION), EINPROGRESS);
    PEL_EXPECT_EQ(ask(a, TTLS_INIT_CONNECTION), EINPROGRESS);
    world_pass(&scene.world, 5 * SECOND_US);
    PEL_EXPECT(a->closed && b->closed);
    PEL_EXPECT_ERR(b->error, PEL_E_TLS_NO_COMMON_VERSION);
    close_scene(&scene);
}

PEL_TEST(controlled, a_client_that_does_not_begin_is_no_failure_where_that_was_said)
{
    for (int allowed = 0; allowed < 2; allowed++) {
        struct scene scene;
        struct world_config config = both_asked;
        config.policies[HOST_B] = SERVER(ASKED "HandshakeTimeout 5\n");
        PEL_REQUIRE(open_scene(&scene, &config));
        struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
        PEL_EXPECT_EQ(ask(b, TTLS_INIT_CONNECTION | (allowed ? TTLS_ALLOW_HSTIMEOUT : 0)), EINPROGRESS);
        world_pass(&scene.world, 4 * SECOND_US);
        PEL_EXPECT_EQ(stat_of(b), TTLS_CONN_HS_INPROGRESS);
        world_pass(&scene.world, 2 * SECOND_US);
        PEL_EXPECT_EQ(b->closed, !allowed);
        if (allowed) {
            PEL_EXPECT_EQ(stat_of(b), TTLS_CONN_NOTSECURE);
            talk_both_ways(&scene, "clear after all\n");
            PEL_EXPECT_EQ(ask(b, TTLS_INIT_CONNECTION), EINPROGRESS);
            PEL_EXPECT_EQ(ask(a, TTLS_INIT_CONNECTION), EINPROGRESS);
            PEL_EXPECT(both_become(&scene, TTLS_CONN_SECURE));
        } else {
            PEL_EXPECT_ERR(b->error, PEL_E_TLS_HANDSHAKE_START_TIMEOUT);
        }
        close_scene(&scene);
    }
}

PEL_TEST(controlled, a_peer_that_does_not_answer_a_stop_is_reset)
{
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &both_asked));
    struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
    ask(b, TTLS_INIT_CONNECTION);
    ask(a, TTLS_INIT_CONNECTION);
    PEL_REQUIRE(both_become(&scene, TTLS_CONN_SECURE));
    PEL_EXPECT_EQ(ask(a, TTLS_STOP_CONNECTION), EINPROGRESS);
    world_pass(&scene.world, 59 * SECOND_US);
    PEL_EXPECT(!a->closed);
    world_pass(&scene.world, 5 * SECOND_US);
    PEL_EXPECT(a->closed && b->closed);
    PEL_EXPECT_ERR(a->error, PEL_E_CONN_TIMEOUT);
    close_scene(&scene);
}

PEL_TEST(controlled, either_end_may_close_or_vanish_while_it_starts_or_stops)
{
    for (int at = 0; at < 8; at++) {
        struct scene scene;
        PEL_REQUIRE(open_scene(&scene, &both_asked));
        struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
        struct talker *ends = at & 1 ? a : b, *other = at & 1 ? b : a;
        ask(b, TTLS_INIT_CONNECTION);
        ask(a, TTLS_INIT_CONNECTION);
        if (at & 2) {
            PEL_REQUIRE(both_become(&scene, TTLS_CONN_SECURE));
            PEL_EXPECT_EQ(ask(ends, TTLS_STOP_CONNECTION), EINPROGRESS);
        }
        struct pel_conn *conn = ends->conn;
        ends->conn = NULL;
        if (at & 4)
            pel_conn_close(conn);
        else
            pel_conn_abort(conn);
        world_pass(&scene.world, 90 * SECOND_US);
        PEL_EXPECT(other->closed || other->num_eofs == 1);
        close_scene(&scene);
    }
}

/* ---- new keys, no resumption, the certificate ---- */

PEL_TEST(controlled, keys_and_sessions_are_reset_on_request)
{
    struct scene scene;
    PEL_REQUIRE(open_scene(&scene, &both_asked));
    struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
    for (int round = 0; round < 4; round++) {
        ask(b, TTLS_INIT_CONNECTION);
        ask(a, TTLS_INIT_CONNECTION);
        PEL_REQUIRE(both_become(&scene, TTLS_CONN_SECURE));
        talk_both_ways(&scene, "before\n");
        PEL_EXPECT_EQ(ask(a, TTLS_RESET_CIPHER), 0);
        PEL_EXPECT_EQ(ask(b, TTLS_RESET_WRITE_CIPHER), 0);
        talk_both_ways(&scene, "after\n");
        PEL_EXPECT_EQ(ask(b, TTLS_SEND_SESSION_TICKET), EOPNOTSUPP);
        if (round == 1)
            PEL_EXPECT_EQ(ask(b, TTLS_RESET_SESSION), 0);
        ask(a, TTLS_STOP_CONNECTION);
        world_pass(&scene.world, SECOND_US);
        ask(b, TTLS_STOP_CONNECTION);
        PEL_REQUIRE(both_become(&scene, TTLS_CONN_NOTSECURE));
        /* The second and the fourth resume; the third would have, but for the reset. */
        static const uint64_t resumed[] = {0, 1, 1, 2};
        PEL_EXPECT_EQ(world_stat(&scene.world, HOST_B, PEL_STAT_tls_resumed), resumed[round]);
    }
    close_scene(&scene);
}

PEL_TEST(controlled, the_second_version_names_rule_actions_and_certificate)
{
    static const uint32_t keys[] = {TTLS_KEY_HOST_STATUS, TTLS_KEY_CERTIFICATE, TTLS_KEY_RULE,
                                    TTLS_KEY_ENVIRONMENT_ACTION};
    struct {
        struct TTLSHeader header;
        struct TTLSQuadruplet entries[4];
        uint8_t values[4096];
    } buffer = {.header = {.TTLSHdr_Ident = {'T', 'T', 'L', 'S', 'H', 'D', 'R', ' '}, .TTLSHdr_GetCount = 4}};
    struct scene scene;
    struct world_config config = {.seed = 1, .policies = {CLIENT(""), SERVER("")}};
    PEL_REQUIRE(open_scene(&scene, &config));
    struct talker *a = &scene.talkers[HOST_A], *b = &scene.talkers[HOST_B];
    pel_conn_map(b->conn, NULL);
    PEL_REQUIRE(both_become(&scene, TTLS_CONN_SECURE));
    for (size_t i = 0; i < 4; i++)
        buffer.entries[i].TTLSQ_Key = keys[i];
    struct TTLS_IOCTL ttls = {
        .TTLSi_Ver = TTLS_VERSION2, .TTLSi_BufferPtr = (uintptr_t)&buffer, .TTLSi_BufferLen = sizeof buffer};
    PEL_EXPECT_EQ(pel_conn_ttls(a->conn, NULL, &ttls), 0);
    PEL_EXPECT_EQ(buffer.entries[0].TTLSQ_Rcode, 0);
    PEL_EXPECT_EQ(buffer.entries[1].TTLSQ_Length, ttls.TTLSi_Cert_Len);
    PEL_EXPECT_EQ(((uint8_t *)&buffer)[buffer.entries[1].TTLSQ_Offset], 0x30);
    PEL_EXPECT_STR((char *)&buffer + buffer.entries[2].TTLSQ_Offset, "R");
    PEL_EXPECT_STR((char *)&buffer + buffer.entries[3].TTLSQ_Offset, "env");
    ttls.TTLSi_BufferLen = sizeof buffer - sizeof buffer.values + 10;
    PEL_EXPECT_EQ(pel_conn_ttls(a->conn, NULL, &ttls), ENOBUFS);
    PEL_EXPECT_EQ(buffer.header.TTLSHdr_BytesNeeded,
                  sizeof buffer - sizeof buffer.values + ttls.TTLSi_Cert_Len + 2 * TTLS_NAME_LEN);
    close_scene(&scene);
}

/* ---- on a bad wire ---- */

static void start_and_stop(struct scene *scene, unsigned rounds)
{
    struct talker *a = &scene->talkers[HOST_A], *b = &scene->talkers[HOST_B];
    for (unsigned round = 0; round < rounds; round++) {
        talk_both_ways(scene, WORLD_MARKER "clear\n");
        uint64_t before = num_markers(scene);
        struct talker *first = round % 2 ? a : b, *second = round % 2 ? b : a;
        PEL_EXPECT_EQ(ask(first, TTLS_INIT_CONNECTION), EINPROGRESS);
        world_pass(&scene->world, round * 10000);
        PEL_EXPECT_EQ(ask(second, TTLS_INIT_CONNECTION), EINPROGRESS);
        PEL_REQUIRE(both_become(scene, TTLS_CONN_SECURE));
        /* A copy of a clear frame may still be on its way, or sent again. */
        for (int i = 0; i < 20; i++)
            talk_both_ways(scene, "a secret, again and again\n");
        PEL_EXPECT(num_markers(scene) <= before + 4);
        ask(first, TTLS_STOP_CONNECTION);
        world_pass(&scene->world, round * 10000);
        ask(second, TTLS_STOP_CONNECTION);
        PEL_REQUIRE(both_become(scene, TTLS_CONN_NOTSECURE));
        a->heard_len = b->heard_len = 0;
    }
}

PEL_TEST(controlled, starts_and_stops_on_a_bad_wire)
{
    for (uint64_t seed = 1; seed <= 40 && !pel_test_has_failed(); seed++) {
        struct scene scene;
        struct world_config config = both_asked;
        config.seed = seed;
        config.latency_us = seed % 3 * 5000;
        config.impair = (struct pel_sim_impair){.loss_ppm = 50000, .reorder_ppm = 50000, .dup_ppm = 20000};
        PEL_REQUIRE(open_scene(&scene, &config));
        scene.talkers[HOST_A].lines = scene.talkers[HOST_B].lines = true;
        start_and_stop(&scene, 6);
        if (pel_test_has_failed())
            pel_test_say("seed %llu", (unsigned long long)seed);
        close_scene(&scene);
    }
}

/* ---- faults ---- */

/* A start, a word, a stop and a word, whatever becomes of it; each end may have closed at any moment. */
static void one_life(struct scene *scene)
{
    struct talker *a = &scene->talkers[HOST_A], *b = &scene->talkers[HOST_B];
    static const uint32_t requests[] = {TTLS_INIT_CONNECTION, TTLS_STOP_CONNECTION};
    a->lines = b->lines = true;
    pel_conn_map(b->conn, NULL);
    for (size_t i = 0; i < 2; i++) {
        for (int host = 0; host < NUM_HOSTS; host++) {
            struct talker *talker = &scene->talkers[host];
            if (talker->conn != NULL)
                ask(talker, requests[i]);
            world_pass(&scene->world, 50000);
        }
        if (a->conn != NULL && stat_of(a) == TTLS_CONN_SECURE)
            say(a, i == 0 ? WORLD_MARKER "\n" : "clear\n");
        world_pass(&scene->world, SECOND_US);
    }
}

PEL_TEST(controlled, every_allocation_fails_once)
{
    uint64_t num_failed = 0;
    for (uint64_t nth = 1; nth < 5000 && !pel_test_has_failed(); nth++) {
        struct scene scene;
        PEL_REQUIRE(open_scene(&scene, &both_asked));
        failmalloc_arm(nth);
        one_life(&scene);
        bool has_failed = failmalloc_disarm();
        num_failed += has_failed;
        PEL_EXPECT_EQ(num_markers(&scene), 0);
        if (!has_failed) /* the whole of it has been seen */
            PEL_EXPECT_EQ(world_stat(&scene.world, HOST_A, PEL_STAT_ttls_stops), 1);
        world_pass(&scene.world, 100 * SECOND_US);
        close_scene(&scene);
        if (pel_test_has_failed())
            pel_test_say("allocation %llu", (unsigned long long)nth);
        if (!has_failed)
            break;
    }
    pel_test_say("%llu allocations", (unsigned long long)num_failed);
    PEL_EXPECT(num_failed > 50);
}

PEL_TEST(controlled, either_end_vanishes_after_every_frame)
{
    for (int host = 0; host < NUM_HOSTS; host++) {
        for (uint64_t n = 2; n <= 25 && !pel_test_has_failed(); n++) {
            struct scene scene;
            PEL_REQUIRE(open_scene(&scene, &both_asked));
            scene.world.cut_after[host] = scene.world.num_frames[host] + n - 2;
            one_life(&scene);
            PEL_EXPECT_EQ(num_markers(&scene), 0);
            world_pass(&scene.world, 700 * SECOND_US);
            close_scene(&scene);
            if (pel_test_has_failed())
                pel_test_say("host %d cut after frame %llu", host, (unsigned long long)n);
        }
    }
}
