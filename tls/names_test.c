/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: which a client sends (SNI), which it checks, and which certificate a server chooses by them.
 */
#include "tests/harness/harness.h"
#include "tls/testkit.h"

static const uint32_t both_versions[] = {PEL_TLS_V1_2, PEL_TLS_V1_3};

static struct pel_tls_config client_config(uint32_t versions)
{
    struct pel_tls_config config = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    config.versions = versions;
    return config;
}

/* A server that shows p256, and rsa to who asks for a.wild.test. */
static struct pel_tls_config named_server(enum pel_tls_demand demand, bool match)
{
    static const char *const hosts[] = {"A.wild.test"}, *const labels[] = {"rsa"};
    struct pel_tls_config config = kit_config(PEL_TLS_SERVER, "server", "p256");
    config.sni = demand;
    config.sni_match = match;
    config.sni_hosts = hosts;
    config.sni_labels = labels;
    config.num_sni = 1;
    return config;
}

struct expected {
    enum pel_err client, server;
    const char *subject;     /* of the server, as the client sees it */
    const char *server_name; /* as the server hears it */
    const char *text;        /* of who failed first */
};

static void expect(const struct pel_tls_config *client, const struct pel_tls_config *server, const char *name,
                   const struct expected *expected)
{
    struct kit_pair pair;
    struct pel_tls_info info;
    PEL_REQUIRE_OK(kit_pair_init(&pair, client, server, name));
    kit_settle(&pair);
    PEL_EXPECT_ERR(pair.client_err, expected->client);
    PEL_EXPECT_ERR(pair.server_err, expected->server);
    pel_tls_info(pair.client, &info);
    if (expected->subject != NULL)
        PEL_EXPECT_STR(info.peer_subject, expected->subject);
    if (expected->text != NULL && expected->client != PEL_E_TLS_ALERT_RECEIVED)
        PEL_EXPECT_HAS(info.failure, expected->text);
    pel_tls_info(pair.server, &info);
    if (expected->server_name != NULL)
        PEL_EXPECT_STR(info.server_name, expected->server_name);
    if (expected->text != NULL && expected->client == PEL_E_TLS_ALERT_RECEIVED)
        PEL_EXPECT_HAS(info.failure, expected->text);
    kit_pair_fini(&pair);
}

PEL_TEST(names, which_name_a_client_sends)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(both_versions[i]);
        struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", NULL);
        expect(&client, &server, "server.test", &(struct expected){.server_name = "server.test"});
        client.sni = PEL_TLS_OFF;
        expect(&client, &server, "server.test", &(struct expected){.server_name = ""});
        /* The name is checked all the same. */
        expect(&client, &server, "other.test",
               &(struct expected){PEL_E_TLS_CERT_NAME, PEL_E_TLS_ALERT_RECEIVED, .text = "mismatch"});
        client.sni = PEL_TLS_OPTIONAL;
        client.sni_name = "b.example.";
        expect(&client, &server, "server.test", &(struct expected){.server_name = "b.example"});
        expect(&client, &server, "192.0.2.1", &(struct expected){.server_name = "b.example"});
        client.sni_name = NULL;
        client.reference_dns = "server.test";
        expect(&client, &server, "other.test", &(struct expected){.server_name = "server.test"});
        client.reference_dns = NULL;
        client.reference_cn = "p256";
        expect(&client, &server, NULL, &(struct expected){.server_name = "p256"});
        expect(&client, &server, "b.example", &(struct expected){.server_name = "b.example"});
    }
}

PEL_TEST(names, a_name_that_is_required_and_not_known)
{
    struct pel_tls_config client = client_config(PEL_TLS_V1_3);
    struct pel_tls_env *env = NULL;
    struct pel_tls *tls = NULL;
    client.sni = PEL_TLS_REQUIRED;
    PEL_REQUIRE_OK(pel_tls_env_new(&client, &env, NULL));
    PEL_EXPECT_ERR(pel_tls_new(env, NULL, 0, NULL, &tls), PEL_E_TLS_SERVER_NAME);
    PEL_EXPECT_ERR(pel_tls_new(env, "2001:db8::1", 0, NULL, &tls), PEL_E_TLS_SERVER_NAME);
    pel_tls_env_unref(env);
    client.reference_cn = "My Server"; /* no host's name */
    PEL_REQUIRE_OK(pel_tls_env_new(&client, &env, NULL));
    PEL_EXPECT_ERR(pel_tls_new(env, NULL, 0, NULL, &tls), PEL_E_TLS_SERVER_NAME);
    PEL_EXPECT(tls == NULL);
    pel_tls_env_unref(env);
}

PEL_TEST(names, a_server_that_does_not_acknowledge_the_name)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(both_versions[i]);
        struct pel_tls_config deaf = kit_config(PEL_TLS_SERVER, "server", NULL);
        struct pel_tls_config server = named_server(PEL_TLS_OPTIONAL, false);
        const struct expected refused = {PEL_E_TLS_SERVER_NAME, PEL_E_TLS_ALERT_RECEIVED,
                                         .text = "did not acknowledge the name"};
        client.sni = PEL_TLS_REQUIRED;
        expect(&client, &deaf, "server.test", &refused);
        expect(&client, &server, "server.test", &refused);
        expect(&client, &server, "a.wild.test", &(struct expected){.subject = "CN=rsa,O=Pellucid"});
        client.sni = PEL_TLS_OPTIONAL;
        client.sni_match = true;
        expect(&client, &server, "server.test", &refused);
        expect(&client, &server, "192.0.2.1", &(struct expected){.server_name = ""});
    }
}

PEL_TEST(names, a_server_chooses_by_the_name)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(both_versions[i]), nameless = client;
        struct pel_tls_config server = named_server(PEL_TLS_OPTIONAL, false);
        const struct expected usual = {.subject = "CN=p256,O=Pellucid"};
        nameless.sni = PEL_TLS_OFF;
        expect(&client, &server, "a.WILD.test", &(struct expected){.subject = "CN=rsa,O=Pellucid"});
        expect(&client, &server, "b.wild.test", &usual);
        expect(&nameless, &server, "a.wild.test", &usual);
        server = named_server(PEL_TLS_OFF, true);
        expect(&client, &server, "a.wild.test", &usual);
        server = named_server(PEL_TLS_OPTIONAL, true);
        expect(&client, &server, "b.wild.test",
               &(struct expected){PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_SERVER_NAME,
                                  .text = "the client wants \"b.wild.test\""});
        expect(&nameless, &server, "b.wild.test", &usual);
        server = named_server(PEL_TLS_REQUIRED, false);
        expect(&client, &server, "b.wild.test", &usual);
        expect(&nameless, &server, "b.wild.test",
               &(struct expected){PEL_E_TLS_ALERT_RECEIVED, PEL_E_TLS_SERVER_NAME,
                                  .text = "the client names no server"});
    }
}

PEL_TEST(names, the_alerts_of_a_server)
{
    struct pel_tls_config client = client_config(PEL_TLS_V1_3), server = named_server(PEL_TLS_REQUIRED, true);
    for (int named = 0; named < 2; named++) {
        struct kit_pair pair;
        struct pel_tls_info info;
        client.sni = named ? PEL_TLS_OPTIONAL : PEL_TLS_OFF;
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "b.wild.test"));
        kit_settle(&pair);
        pel_tls_info(pair.client, &info);
        PEL_EXPECT_HAS(info.failure, named ? "alert 112 unrecognized_name" : "alert 109 missing_extension");
        kit_pair_fini(&pair);
    }
}

/* Of several certificates for a name the client gets the one that it can check. */
PEL_TEST(names, two_certificates_for_one_name)
{
    static const char *const hosts[] = {"a.wild.test", "a.wild.test"}, *const labels[] = {"p256", "rsa"};
    static const uint16_t rsa_only[] = {0x0804};
    struct pel_tls_config client = client_config(PEL_TLS_V1_3),
                          server = named_server(PEL_TLS_OPTIONAL, false);
    server.sni_hosts = hosts;
    server.sni_labels = labels;
    server.num_sni = 2;
    expect(&client, &server, "a.wild.test", &(struct expected){.subject = "CN=p256,O=Pellucid"});
    client.signatures = rsa_only;
    client.num_signatures = 1;
    expect(&client, &server, "a.wild.test", &(struct expected){.subject = "CN=rsa,O=Pellucid"});
}

PEL_TEST(names, resumed_under_the_same_name)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = client_config(both_versions[i]),
                              server = named_server(PEL_TLS_REQUIRED, true);
        struct kit_pair pair;
        struct pel_tls_info info = {0};
        client.sni = PEL_TLS_REQUIRED;
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "a.wild.test"));
        for (int k = 0; k < 2; k++) {
            kit_settle(&pair);
            PEL_EXPECT(pel_tls_is_secure(pair.client) && pel_tls_is_secure(pair.server));
            pel_tls_info(pair.client, &info);
            pel_tls_free(pair.client);
            pel_tls_free(pair.server);
            PEL_REQUIRE_OK(pel_tls_new(pair.server_env, NULL, 0, NULL, &pair.server));
            PEL_REQUIRE_OK(pel_tls_new(pair.client_env, "a.wild.test", 0, NULL, &pair.client));
        }
        PEL_EXPECT_EQ(info.resumed, i == 0 || kit_takes_tickets());
        kit_pair_fini(&pair);
    }
}

PEL_TEST(names, reference_names)
{
    static const struct {
        const char *dns, *cn;
        bool wildcards, fits;
    } rows[] = {
        {"server.test", NULL, false, true},  {"SERVER.test", NULL, false, true},
        {"other.test", NULL, false, false},  {"a.wild.test", NULL, false, false},
        {"a.wild.test", NULL, true, true},   {"a.b.wild.test", NULL, true, false},
        {"wild.test", NULL, true, false},    {".wild.test", NULL, true, false},
        {NULL, "p256", false, true},         {NULL, "P256", false, true},
        {NULL, "server.test", false, false}, {"p256", NULL, false, false},
        {"other.test", "p256", false, true}, {"server.test", "other", false, true},
        {"other.test", "rsa", false, false}, {"192.0.2.1", NULL, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pel_tls_config client = client_config(both_versions[i % 2]);
        struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", "p256");
        client.sni = PEL_TLS_OFF;
        client.reference_dns = rows[i].dns;
        client.reference_cn = rows[i].cn;
        client.reference_wildcards = rows[i].wildcards;
        /* What the program resolved counts no more. */
        expect(&client, &server, rows[i].fits ? "not.this" : "server.test",
               rows[i].fits ? &(struct expected){.subject = "CN=p256,O=Pellucid"}
                            : &(struct expected){PEL_E_TLS_CERT_NAME, PEL_E_TLS_ALERT_RECEIVED,
                                                 .text = "name mismatch: the policy wants HostReferenceId"});
        if (pel_test_has_failed()) {
            pel_test_say("row %zu", i);
            return;
        }
    }
}

/* A wildcard in the certificate is for what a program resolved, whatever the policy says of references. */
PEL_TEST(names, resolved_names_and_wildcards)
{
    struct pel_tls_config client = client_config(PEL_TLS_V1_3);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", "p256");
    expect(&client, &server, "a.wild.test", &(struct expected){.server_name = "a.wild.test"});
}

static void expect_no_env(const struct pel_tls_config *config, enum pel_err err, const char *text)
{
    struct pel_tls_env *env = NULL;
    struct pel_error error = {0};
    PEL_EXPECT_ERR(pel_tls_env_new(config, &env, &error), err);
    PEL_EXPECT_HAS(error.text, text);
}

PEL_TEST(names, labels_of_a_server)
{
    static const char *const rsa[] = {"rsa"}, *const missing[] = {"nobody"};
    struct pel_tls_config client = client_config(PEL_TLS_V1_3);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", "");
    expect_no_env(&server, PEL_E_KEYRING_NO_LABEL, "CertificateLabel is empty, but a server must show");
    server.more_labels = rsa;
    server.num_more_labels = 1;
    expect(&client, &server, "server.test", &(struct expected){.subject = "CN=rsa,O=Pellucid"});
    server.label = NULL; /* the ring's default, p256, is not in the list */
    expect(&client, &server, "server.test", &(struct expected){.subject = "CN=rsa,O=Pellucid"});
    server.more_labels = missing;
    expect_no_env(&server, PEL_E_KEYRING_NO_LABEL, "nobody");
    server = named_server(PEL_TLS_OPTIONAL, false);
    server.sni_labels = missing;
    expect_no_env(&server, PEL_E_KEYRING_NO_LABEL, "nobody");
}

PEL_TEST(names, a_client_with_an_empty_label_sends_no_certificate)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "client", "");
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", NULL);
    struct kit_pair pair;
    struct pel_tls_info info;
    server.client_auth = PEL_TLS_AUTH_FULL;
    PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, NULL));
    kit_settle(&pair);
    pel_tls_info(pair.server, &info);
    PEL_EXPECT(pel_tls_is_secure(pair.server));
    PEL_EXPECT_STR(info.peer_subject, "");
    kit_pair_fini(&pair);
}
