/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a client's certificate stands for, and that SAFCheck refuses who stands for nobody. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pellucid/keyring.h>

#include "tests/harness/harness.h"
#include "tls/env.h"
#include "tls/testkit.h"

static const uint32_t versions[] = {PEL_TLS_V1_2, PEL_TLS_V1_3};
static struct pel_error error;

/* A ring of its own with the server's certificate, whose users the tests write. */
static const char *ring(void)
{
    static char dir[128], command[512];
    if (dir[0] != '\0')
        return dir;
    snprintf(dir, sizeof dir, "%s-with-users", kit_ring("server"));
    snprintf(command, sizeof command, "cp -a %s %s", kit_ring("server"), dir);
    if (system(command) != 0)
        abort();
    return dir;
}

static void write_users(const char *text)
{
    char path[192];
    snprintf(path, sizeof path, "%s/users", ring());
    unlink(path);
    FILE *file = text != NULL ? fopen(path, "w") : NULL;
    if (file == NULL)
        return;
    fputs(text, file);
    fclose(file);
}

static const char *client_cert(const char *label)
{
    static char path[192];
    snprintf(path, sizeof path, "%s/%s.crt", kit_ring("client"), label);
    return path;
}

static struct pel_tls_config server_config(enum pel_tls_client_auth auth)
{
    struct pel_tls_config config = kit_config(PEL_TLS_SERVER, "server", "p256");
    config.keyring_path = ring();
    config.client_auth = auth;
    return config;
}

/* Shakes hands; `user` NULL: it must be refused. Then again, resumed where that can be. */
static void expect_user(enum pel_tls_client_auth auth, const char *client_label, const char *user)
{
    for (size_t i = 0; i < 2; i++) {
        struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "client", client_label);
        struct pel_tls_config server = server_config(auth);
        struct kit_pair pair;
        struct pel_tls_info info;
        client.versions = versions[i];
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
        for (int round = 0; round < 2; round++) {
            kit_settle(&pair);
            PEL_EXPECT_ERR(pair.server_err, user != NULL ? PEL_OK : PEL_E_TLS_NO_USER);
            PEL_EXPECT_EQ(pel_tls_is_secure(pair.server), user != NULL);
            pel_tls_info(pair.server, &info);
            if (user != NULL)
                PEL_EXPECT_STR(info.user, user);
            else
                PEL_EXPECT_HAS(info.failure, "\"CN=mersa,O=Pellucid\" stands for no user (RC 5002)");
            if (user == NULL)
                break;
            pel_tls_free(pair.client);
            pel_tls_free(pair.server);
            PEL_REQUIRE_OK(pel_tls_new(pair.server_env, NULL, 0, &pair.server_counters, &pair.server));
            PEL_REQUIRE_OK(
                pel_tls_new(pair.client_env, "server.test", 0, &pair.client_counters, &pair.client));
        }
        kit_pair_fini(&pair);
    }
}

PEL_TEST(saf, who_stands_for_somebody_is_let_in)
{
    write_users(NULL);
    PEL_REQUIRE_OK(pel_keyring_add_user(ring(), "alice", client_cert("me"), NULL, &error));
    PEL_REQUIRE_OK(pel_keyring_add_user(ring(), "bob", NULL, "CN=mersa,O=Pellucid", &error));
    expect_user(PEL_TLS_AUTH_SAFCHECK, "me", "alice");
    expect_user(PEL_TLS_AUTH_SAFCHECK, "mersa", "bob");
    expect_user(PEL_TLS_AUTH_REQUIRED, "me", "alice");
    expect_user(PEL_TLS_AUTH_FULL, "mersa", "bob");
}

PEL_TEST(saf, who_stands_for_nobody_is_refused_by_safcheck_alone)
{
    write_users("# alice alone\n");
    PEL_REQUIRE_OK(pel_keyring_add_user(ring(), "alice", client_cert("me"), NULL, &error));
    expect_user(PEL_TLS_AUTH_SAFCHECK, "mersa", NULL);
    expect_user(PEL_TLS_AUTH_REQUIRED, "mersa", "");
    write_users(NULL);
    expect_user(PEL_TLS_AUTH_REQUIRED, "me", "");
}

/* PassThru validates nothing: a subject is anybody's word there, but a certificate is its holder's. */
PEL_TEST(saf, what_was_not_validated_is_known_by_its_fingerprint_alone)
{
    write_users("bob subject:CN=mersa,O=Pellucid\n");
    expect_user(PEL_TLS_AUTH_PASSTHRU, "mersa", "");
    PEL_REQUIRE_OK(pel_keyring_add_user(ring(), "alice", client_cert("me"), NULL, &error));
    expect_user(PEL_TLS_AUTH_PASSTHRU, "me", "alice");
}

PEL_TEST(saf, a_file_that_is_missing_or_wrong_is_said_when_the_ring_is_read)
{
    struct pel_tls_config config = server_config(PEL_TLS_AUTH_SAFCHECK);
    struct pel_tls_env *env = NULL;
    write_users(NULL);
    PEL_EXPECT_ERR(pel_tls_env_new(&config, &env, &error), PEL_E_KEYRING_USERS);
    PEL_EXPECT_HAS(error.text,
                   "/users: does not exist; with ClientAuthType SAFCheck it says whom certificates "
                   "stand for: `pel keyring user`");
    write_users("alice\n");
    PEL_EXPECT_ERR(pel_tls_env_new(&config, &env, &error), PEL_E_KEYRING_USERS);
    PEL_EXPECT_HAS(error.text, "/users:1: behind the user's name");
    config.client_auth = PEL_TLS_AUTH_REQUIRED;
    PEL_EXPECT_ERR(pel_tls_env_new(&config, &env, &error), PEL_E_KEYRING_USERS);
    config.client_auth = PEL_TLS_AUTH_NONE;
    PEL_EXPECT_ERR(pel_tls_env_new(&config, &env, &error), PEL_OK);
    pel_tls_env_unref(env);
}

PEL_TEST(saf, adding_users)
{
    char path[192], text[4096] = "";
    write_users("# by hand, without an end of line");
    PEL_EXPECT_ERR(pel_keyring_add_user(ring(), "alice", client_cert("me"), NULL, &error), PEL_OK);
    PEL_EXPECT_ERR(pel_keyring_add_user(ring(), "alice", client_cert("me"), NULL, &error), PEL_OK);
    PEL_EXPECT_ERR(pel_keyring_add_user(ring(), "bob", client_cert("me"), NULL, &error), PEL_E_KEYRING_USERS);
    PEL_EXPECT_HAS(error.text, "the same certificate is bob's here and alice's on line 2");
    PEL_EXPECT_ERR(pel_keyring_add_user(ring(), "carol", NULL, "CN=carol", &error), PEL_OK);
    PEL_EXPECT_ERR(pel_keyring_add_user(ring(), "", NULL, "CN=x", &error), PEL_E_ARG);
    PEL_EXPECT_ERR(pel_keyring_add_user(ring(), "two words", NULL, "CN=x", &error), PEL_E_ARG);
    PEL_EXPECT_ERR(pel_keyring_add_user(ring(), "x", NULL, "CN=x\nroot subject:CN=y", &error), PEL_E_ARG);
    PEL_EXPECT_ERR(pel_keyring_add_user(ring(), "x", NULL, NULL, &error), PEL_E_ARG);
    PEL_EXPECT_ERR(pel_keyring_add_user(ring(), "x", "/no/such.crt", NULL, &error), PEL_E_NOT_FOUND);
    snprintf(path, sizeof path, "%s/users", ring());
    FILE *file = fopen(path, "r");
    PEL_REQUIRE(file != NULL);
    PEL_EXPECT(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    PEL_EXPECT_HAS(text, "# by hand, without an end of line\nalice sha256:");
    PEL_EXPECT_HAS(text, "\ncarol subject:CN=carol\n");
    PEL_EXPECT(strstr(text, "bob") == NULL);
    PEL_EXPECT(strstr(strstr(text, "alice") + 1, "alice") == NULL);
}
