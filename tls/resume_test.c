/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client resumes its sessions: with the same name in the same environment, each once, no longer than the
 * certificate, and never at the cost of a connection.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/harness.h"
#include "tls/boringssl/testpeer.h"
#include "tls/env.h"
#include "tls/own_record.h"
#include "tls/session.h"
#include "tls/testkit.h"

static const uint32_t versions[] = {PEL_TLS_V1_2, PEL_TLS_V1_3};

/* BoringSSL's record layer takes no tickets: what needs them says that it is left out there. */
static bool own_takes_tickets(const struct kit_pair *pair)
{
    if (!pair->client_env->library_records)
        return true;
    pel_test_say("left out: the client has BoringSSL's record layer, which keeps no tickets");
    return false;
}

static void end_both(struct kit_pair *pair)
{
    pel_tls_free(pair->client);
    pel_tls_free(pair->server);
    pair->client = pair->server = NULL;
}

static void begin_both(struct kit_pair *pair, const char *name)
{
    end_both(pair);
    PEL_REQUIRE_OK(pel_tls_new(pair->server_env, NULL, 0, &pair->server_counters, &pair->server));
    PEL_REQUIRE_OK(pel_tls_new(pair->client_env, name, 0, &pair->client_counters, &pair->client));
}

static bool is_resumed(const struct pel_tls *tls)
{
    struct pel_tls_info info;
    pel_tls_info(tls, &info);
    return info.resumed;
}

/* Shakes hands, and tells whether both ends say that it resumed. */
static bool shake(struct kit_pair *pair)
{
    kit_settle(pair);
    PEL_EXPECT_ERR(pair->client_err, PEL_OK);
    PEL_EXPECT_ERR(pair->server_err, PEL_OK);
    PEL_EXPECT(pel_tls_is_secure(pair->client) && pel_tls_is_secure(pair->server));
    PEL_EXPECT_EQ(is_resumed(pair->client), is_resumed(pair->server));
    return is_resumed(pair->client);
}

static bool shake_again(struct kit_pair *pair, const char *name)
{
    begin_both(pair, name);
    return shake(pair);
}

static void open_pair(struct kit_pair *pair, uint32_t version, const char *server_label, const char *name)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "client", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", server_label);
    client.versions = version;
    server.client_auth = PEL_TLS_AUTH_REQUIRED;
    PEL_REQUIRE_OK(kit_pair_init(pair, &client, &server, name));
}

PEL_TEST(resume, facts_and_data_of_a_resumed_connection)
{
    for (size_t i = 0; i < 2; i++) {
        struct kit_pair pair;
        struct pel_tls_info info;
        open_pair(&pair, versions[i], "p256", "server.test");
        pair.chunks = KIT_RANDOM;
        PEL_EXPECT(!shake(&pair));
        bool able = versions[i] == PEL_TLS_V1_2 || own_takes_tickets(&pair);
        for (int k = 0; k < 3 && able; k++) {
            PEL_EXPECT(shake_again(&pair, "server.test"));
            pel_tls_info(pair.client, &info);
            PEL_EXPECT_STR(info.peer_subject, "CN=p256,O=Pellucid");
            PEL_EXPECT_STR(info.server_name, "server.test");
            PEL_EXPECT(info.name_checked && info.cipher != 0);
            pel_tls_info(pair.server, &info);
            PEL_EXPECT_STR(info.peer_subject, "CN=me,O=Pellucid");
            PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 100000, 1));
            PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 100000, 2));
        }
        PEL_EXPECT_EQ(pair.client_counters.stat[PEL_STAT_tls_resumed], able ? 3 : 0);
        kit_pair_fini(&pair);
    }
}

PEL_TEST(resume, a_session_stays_with_its_name_and_its_environment)
{
    static const char *const others[] = {"a.wild.test", "192.0.2.1", NULL};
    for (size_t i = 0; i < 2; i++) {
        struct kit_pair pair, other;
        open_pair(&pair, versions[i], "p256", "server.test");
        open_pair(&other, versions[i], "p256", "server.test");
        PEL_EXPECT(!shake(&pair));
        for (size_t k = 0; k < 3; k++)
            PEL_EXPECT(!shake_again(&pair, others[k]));
        struct pel_tls_env *own_env = pair.client_env;
        pair.client_env = other.client_env; /* the same configuration, the same server */
        PEL_EXPECT(!shake_again(&pair, "server.test"));
        end_both(&pair);
        pair.client_env = own_env;
        if (versions[i] == PEL_TLS_V1_2 || own_takes_tickets(&pair)) {
            PEL_EXPECT(shake_again(&pair, "server.test."));
            for (size_t k = 0; k < 3; k++)
                PEL_EXPECT(shake_again(&pair, others[k]));
        }
        kit_pair_fini(&pair);
        kit_pair_fini(&other);
    }
}

static void begin_bound(struct kit_pair *pair, uint32_t client, uint32_t server)
{
    end_both(pair);
    PEL_REQUIRE_OK(
        pel_tls_new_bound(pair->server_env, server, NULL, 0, &pair->server_counters, &pair->server));
    PEL_REQUIRE_OK(
        pel_tls_new_bound(pair->client_env, client, "server.test", 0, &pair->client_counters, &pair->client));
}

/* Rules may share an environment, and its ticket keys: a session is good at the rule that gave it alone,
 * and a client offers it for its own rule alone. */
PEL_TEST(resume, a_session_stays_with_its_binding)
{
    static const struct {
        uint32_t client, server;
        bool resumed; /* but for a client without tickets */
    } rows[] = {
        {1, 1, false}, {1, 1, true},  {1, 2, false}, /* given by 1, offered to 2 */
        {1, 2, true},  {1, 1, false},                /* the other way round */
        {2, 1, false},                               /* another client's rule has none */
        {2, 1, true},  {1, 1, true},  {0x01000001, 1, false}, {1, 0x01000001, false}, {1, 0x01000001, true},
    };
    for (size_t i = 0; i < 2; i++) {
        struct kit_pair pair;
        open_pair(&pair, versions[i], "p256", "server.test");
        bool able = versions[i] == PEL_TLS_V1_2 || own_takes_tickets(&pair);
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
            begin_bound(&pair, rows[k].client, rows[k].server);
            PEL_EXPECT_EQ(shake(&pair), able && rows[k].resumed);
            PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 1000, k));
            PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 1000, k));
            if (pel_test_has_failed())
                pel_test_say("row %zu", k);
        }
        kit_pair_fini(&pair);
    }
}

PEL_TEST(resume, a_client_may_keep_no_tickets)
{
    struct kit_pair pair;
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "client", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", NULL);
    client.sessions.tickets_off = true;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
    PEL_EXPECT(!shake(&pair));
    PEL_EXPECT(!shake_again(&pair, "server.test"));
    kit_pair_fini(&pair);
}

/* Offered once: a connection that came to nothing takes its session with it. */
PEL_TEST(resume, an_offered_session_is_gone)
{
    for (size_t i = 0; i < 2; i++) {
        struct kit_pair pair;
        open_pair(&pair, versions[i], "p256", "server.test");
        PEL_EXPECT(!shake(&pair));
        begin_both(&pair, "server.test");
        PEL_EXPECT(!shake_again(&pair, "server.test"));
        kit_pair_fini(&pair);
    }
}

/* A server with other keys for its tickets, as after a restart. */
PEL_TEST(resume, a_refused_session_costs_a_full_handshake)
{
    for (size_t i = 0; i < 2; i++) {
        struct kit_pair pair, other;
        open_pair(&pair, versions[i], "p256", "server.test");
        open_pair(&other, versions[i], "rsa", "server.test");
        PEL_EXPECT(!shake(&pair));
        struct pel_tls_env *own_env = pair.server_env;
        struct pel_tls_info info;
        pair.server_env = other.server_env;
        PEL_EXPECT(!shake_again(&pair, "server.test"));
        pel_tls_info(pair.client, &info);
        PEL_EXPECT_STR(info.peer_subject, "CN=rsa,O=Pellucid");
        PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 10000, 1));
        end_both(&pair);
        pair.server_env = own_env;
        kit_pair_fini(&pair);
        kit_pair_fini(&other);
    }
}

/* Many names: the cache is bounded, the newest are there. */
PEL_TEST(resume, the_cache_is_bounded)
{
    enum { DEFAULT_MAX = 64 };
    struct kit_pair pair;
    char name[32];
    open_pair(&pair, PEL_TLS_V1_2, "p256", "n0.wild.test");
    PEL_EXPECT(!shake(&pair));
    for (unsigned i = 1; i <= DEFAULT_MAX; i++) {
        snprintf(name, sizeof name, "n%u.wild.test", i);
        PEL_EXPECT(!shake_again(&pair, name));
    }
    PEL_EXPECT(!shake_again(&pair, "n0.wild.test")); /* the oldest went for the last; now n1 for n0 */
    PEL_EXPECT(!shake_again(&pair, "n1.wild.test"));
    PEL_EXPECT(shake_again(&pair, "n3.wild.test"));
    PEL_EXPECT(shake_again(&pair, name));
    kit_pair_fini(&pair);
}

/* Connections of one name that begin together have a session each, up to a bound. */
PEL_TEST(resume, several_at_once)
{
    enum { NUM = PEL_SESSIONS_MAX_OF_NAME + 2 };
    struct kit_pair pairs[NUM];
    open_pair(&pairs[0], PEL_TLS_V1_2, "p256", "server.test");
    for (int round = 0; round < 2; round++) {
        unsigned num_resumed = 0;
        for (int i = 1; i < NUM && round == 0; i++)
            pairs[i] = (struct kit_pair){.client_env = pel_tls_env_ref(pairs[0].client_env),
                                         .server_env = pel_tls_env_ref(pairs[0].server_env)};
        for (int i = 0; i < NUM; i++)
            begin_both(&pairs[i], "server.test");
        for (int i = 0; i < NUM; i++)
            num_resumed += shake(&pairs[i]);
        PEL_EXPECT_EQ(num_resumed, round == 0 ? 0 : PEL_SESSIONS_MAX_OF_NAME);
    }
    for (int i = 0; i < NUM; i++)
        kit_pair_fini(&pairs[i]);
}

static struct pel_own_record *own_of(struct pel_tls *tls)
{
    return tls->ops == &pel_record_own ? tls->record_ctx : NULL;
}

/* A secure TLS 1.3 pair of our record layers whose server's flight with the tickets is lost to the test. */
static void open_without_tickets(struct kit_pair *pair)
{
    open_pair(pair, PEL_TLS_V1_3, "p256", "server.test");
    pair->client_env->library_records = pair->server_env->library_records = false;
    while (!pel_tls_is_secure(pair->client))
        PEL_REQUIRE(kit_move(pair, pair->client, pair->server, &pair->server_err) +
                        kit_move(pair, pair->server, pair->client, &pair->client_err) >
                    0);
    kit_move(pair, pair->client, pair->server, &pair->server_err);
    PEL_REQUIRE(pel_tls_is_secure(pair->server));
    size_t len = 0;
    (void)pel_tls_out_peek(pair->server, &len);
    PEL_EXPECT(len > 0);
    pel_tls_out_consume(pair->server, len);
    own_of(pair->client)->in.sequence = own_of(pair->server)->out.sequence;
}

/* A ticket for a server's key that nobody has: the client keeps it, and the server refuses it. */
static size_t make_ticket(uint32_t lifetime_s, size_t ticket_len, uint8_t *message)
{
    size_t body_len = 4 + 4 + 1 + 2 + 2 + ticket_len + 2, at = 0;
    const uint8_t head[] = {4,
                            (uint8_t)(body_len >> 16),
                            (uint8_t)(body_len >> 8),
                            (uint8_t)body_len,
                            (uint8_t)(lifetime_s >> 24),
                            (uint8_t)(lifetime_s >> 16),
                            (uint8_t)(lifetime_s >> 8),
                            (uint8_t)lifetime_s,
                            1,
                            2,
                            3,
                            4,
                            2, /* a nonce of two bytes */
                            0,
                            1,
                            (uint8_t)(ticket_len >> 8),
                            (uint8_t)ticket_len};
    memcpy(message, head, sizeof head);
    at = sizeof head;
    memset(message + at, 0x5a, ticket_len);
    memset(message + at + ticket_len, 0, 2);
    return at + ticket_len + 2;
}

/* Sends handshake bytes to the client in records of at most `part_len`. */
static void send_message(struct kit_pair *pair, const uint8_t *message, size_t len, size_t part_len)
{
    for (size_t at = 0; at < len; at += part_len) {
        size_t used_len = 0, n = len - at < part_len ? len - at : part_len;
        uint8_t record[20000], inner[17000];
        struct pel_keys *keys = &own_of(pair->server)->out;
        size_t body_len = n + 1 + PEL_AEAD_TAG_LEN;
        memcpy(inner, message + at, n);
        inner[n] = 22;
        memcpy(record, (uint8_t[]){23, 3, 3, (uint8_t)(body_len >> 8), (uint8_t)body_len}, 5);
        struct pel_aead_job job = {
            .aad = record, .aad_len = 5, .in = inner, .in_len = n + 1, .out = record + 5};
        PEL_EXPECT_ERR(pel_keys_seal(keys, &job, record + 5), PEL_OK);
        PEL_EXPECT_ERR(pel_tls_feed(pair->client, record, 5 + body_len, 0, &used_len), PEL_OK);
    }
}

/* How long the hello is tells whether it offers a session with a long ticket. */
static size_t hello_len(struct kit_pair *pair)
{
    size_t len = 0;
    begin_both(pair, "server.test");
    (void)pel_tls_out_peek(pair->client, &len);
    return len;
}

PEL_TEST(resume, tickets_and_what_becomes_of_them)
{
    static uint8_t message[20000];
    static const struct {
        uint32_t lifetime_s;
        size_t ticket_len, part_len;
        bool data_first, kept;
    } rows[] = {
        {7200, 1500, 16000, false, true},        {7200, 1500, 100, false, true},
        {7200, 1500, 700, false, true},          {7200, 16384 - 19, 16000, false, true},
        {7200, 16384 - 18, 16000, false, false}, /* one byte too long */
        {7200, 1500, 16000, true, false},        {0, 1500, 16000, false, false},
        {UINT32_MAX, 1500, 16000, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit_pair pair;
        open_without_tickets(&pair);
        PEL_EXPECT(own_of(pair.client)->hs != NULL);
        PEL_EXPECT(own_of(pair.server)->hs == NULL);
        if (rows[i].data_first)
            PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 10, 1));
        size_t len = make_ticket(rows[i].lifetime_s, rows[i].ticket_len, message);
        send_message(&pair, message, len, rows[i].part_len);
        PEL_EXPECT(own_of(pair.client)->hs == NULL && own_of(pair.client)->ticket.bytes == NULL);
        PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 50000, 1));
        PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 50000, 2));
        PEL_EXPECT_EQ(hello_len(&pair) > 1500, rows[i].kept);
        PEL_EXPECT(!shake(&pair)); /* no server knows such a ticket */
        if (pel_test_has_failed())
            pel_test_say("row %zu", i);
        kit_pair_fini(&pair);
    }
}

/* The library wants to send an alert for a ticket that it can't read: nothing may be sealed with keys that
 * are ours by now. */
PEL_TEST(resume, a_broken_ticket_is_dropped_without_a_word)
{
    static uint8_t message[4000];
    for (int i = 0; i < 3; i++) {
        struct kit_pair pair;
        size_t len = 0, out_len = 0;
        open_without_tickets(&pair);
        len = make_ticket(7200, 1500, message);
        if (i == 0)
            message[12] = 255; /* the nonce's length, with what it shifts */
        else if (i == 1)
            message[15] = 0xff; /* the ticket's */
        else
            message[len - 1] = 9; /* the extensions' */
        uint64_t sequence = own_of(pair.client)->out.sequence;
        send_message(&pair, message, len, 16000);
        (void)pel_tls_out_peek(pair.client, &out_len);
        PEL_EXPECT_EQ(out_len, 0);
        PEL_EXPECT_EQ(own_of(pair.client)->out.sequence, sequence);
        PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 50000, 1));
        PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 50000, 2));
        PEL_EXPECT(hello_len(&pair) < 1500);
        kit_pair_fini(&pair);
    }
}

/* The end of a connection that still waits frees all. */
PEL_TEST(resume, a_connection_ends_while_it_waits_for_a_ticket)
{
    static uint8_t message[4000];
    for (int i = 0; i < 3; i++) {
        struct kit_pair pair;
        open_without_tickets(&pair);
        if (i == 1)
            send_message(&pair, message, make_ticket(7200, 1500, message) - 700, 300);
        if (i == 2) {
            PEL_EXPECT_ERR(pel_tls_close(pair.server), PEL_OK);
            kit_settle(&pair);
        }
        PEL_EXPECT_EQ(own_of(pair.client)->hs != NULL, i < 2);
        kit_pair_fini(&pair);
    }
}
