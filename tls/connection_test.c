/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a connection besides data: clear text, hostile records, floods, ends of every kind, timers.
 */
#include <stdlib.h>

#include "tests/harness/harness.h"
#include "tls/boringssl/testpeer.h"
#include "tls/session.h"
#include "tls/testkit.h"

static bool make_pair(struct kit_pair *pair, uint32_t versions)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", NULL);
    client.versions = versions;
    return kit_pair_init(pair, &client, &server, "server.test") == PEL_OK;
}

static bool make_secure(struct kit_pair *pair, uint32_t versions)
{
    if (!make_pair(pair, versions))
        return false;
    kit_settle(pair);
    return pel_tls_is_secure(pair->client) && pel_tls_is_secure(pair->server);
}

static enum pel_err feed(struct pel_tls *tls, const void *bytes, size_t len)
{
    size_t used_len = 0;
    return pel_tls_feed(tls, bytes, len, 0, &used_len);
}

static enum pel_err feed_single(struct pel_tls *tls, const char *bytes, size_t len)
{
    enum pel_err err = PEL_OK;
    for (size_t i = 0; i < len && err == PEL_OK; i++)
        err = feed(tls, bytes + i, 1);
    return err;
}

PEL_TEST(connection, clear_text_is_named)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *what;
    } rows[] = {
        {"GET / HTTP/1.1\r\n", 16, "an HTTP request line"},
        {"SSH-2.0-x\r\n", 11, "an SSH banner"},
        {"\0\0\0\x08\x04\xd2\x16\x2f", 8, "a PostgreSQL SSLRequest"},
        {"\xff\xfd\x28", 3, "TN3270"},
        {"hello\n", 6, "plain text"},
        {"\x01\x02\x03", 3, "no protocol known"},
        {"\x16\x05", 2, "no protocol known"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit_pair pair;
        struct pel_tls_info info;
        size_t out_len = 1;
        PEL_REQUIRE(make_pair(&pair, PEL_TLS_V1_3));
        PEL_EXPECT_ERR(feed(pair.server, rows[i].bytes, rows[i].len), PEL_E_TLS_CLEARTEXT_RECEIVED);
        pel_tls_info(pair.server, &info);
        PEL_EXPECT_HAS(info.failure, rows[i].what);
        (void)pel_tls_out_peek(pair.server, &out_len);
        PEL_EXPECT_EQ(out_len, 0);
        PEL_EXPECT_ERR(feed(pair.client, rows[i].bytes, rows[i].len), PEL_E_TLS_CLEARTEXT_RECEIVED);
        kit_pair_fini(&pair);
    }
}

PEL_TEST(connection, first_records_that_cannot_be)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum pel_err err;
    } rows[] = {
        {"\x80\x2e\x01\x00\x02", 5, PEL_E_TLS_NO_COMMON_VERSION}, /* SSLv2 */
        {"\x15\x03\x01\x00\x02\x02\x28", 7, PEL_E_TLS_PROTOCOL},
        {"\x17\x03\x03\x00\x01x", 6, PEL_E_TLS_PROTOCOL},
        {"\x14\x03\x03\x00\x01\x01", 6, PEL_E_TLS_PROTOCOL},
        {"\x16\x03\x01\x40\x01", 5, PEL_E_TLS_RECORD_TOO_LONG},
        {"\x16\x03\x01\x00\x00", 5, PEL_E_TLS_RECORD_MALFORMED},
        {"\x16\x03\x01\x00\x05\x02\0\0\1\0", 10, PEL_E_TLS_PROTOCOL}, /* a ServerHello */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit_pair pair;
        PEL_REQUIRE(make_pair(&pair, PEL_TLS_V1_3));
        PEL_EXPECT_ERR(feed(pair.server, rows[i].bytes, rows[i].len), rows[i].err);
        pel_tls_free(pair.server);
        PEL_REQUIRE_OK(pel_tls_new(pair.server_env, NULL, 0, NULL, &pair.server));
        PEL_EXPECT_ERR(feed_single(pair.server, rows[i].bytes, rows[i].len), rows[i].err);
        kit_pair_fini(&pair);
    }
}

/* RFC 5246 appendix E.1: "servers [...] MUST accept any value {03,XX} as the record layer version number for
 * ClientHello"; RFC 8446 section 5.1: it "MUST be ignored for all purposes". */
PEL_TEST(connection, any_record_version_of_a_hello)
{
    static const uint8_t minors[] = {0, 1, 4, 5, 0xff};
    for (uint32_t versions = PEL_TLS_V1_2; versions <= PEL_TLS_V1_3; versions *= 2)
        for (size_t i = 0; i < sizeof minors; i++) {
            struct kit_pair pair;
            uint8_t hello[2048];
            size_t len = 0, half_len = 0;
            PEL_REQUIRE(make_pair(&pair, versions));
            const uint8_t *bytes = pel_tls_out_peek(pair.client, &len);
            PEL_REQUIRE(len > 10 && len + 5 <= sizeof hello);
            /* in two records, each with that version */
            half_len = (len - 5) / 2;
            memcpy(hello, (const uint8_t[]){22, 3, minors[i], (uint8_t)(half_len >> 8), (uint8_t)half_len},
                   5);
            memcpy(hello + 5, bytes + 5, half_len);
            size_t rest_len = len - 5 - half_len;
            memcpy(hello + 5 + half_len,
                   (const uint8_t[]){22, 3, minors[i], (uint8_t)(rest_len >> 8), (uint8_t)rest_len}, 5);
            memcpy(hello + 10 + half_len, bytes + 5 + half_len, rest_len);
            PEL_EXPECT_ERR(feed(pair.server, hello, len + 5), PEL_OK);
            pel_tls_out_consume(pair.client, len);
            kit_settle(&pair);
            PEL_EXPECT(pel_tls_is_secure(pair.client) && pel_tls_is_secure(pair.server));
            kit_pair_fini(&pair);
        }
}

/* A hello of 2^24 bytes by its header, and one in records of one byte: both bounded. */
PEL_TEST(connection, oversized_and_shredded_hello)
{
    struct kit_pair pair;
    size_t len = 0, used_len = 0;
    PEL_REQUIRE(make_pair(&pair, PEL_TLS_V1_3));
    PEL_EXPECT_ERR(feed(pair.server, "\x16\x03\x01\x00\x06\x01\xff\xff\xff\x03\x03", 11), PEL_E_TLS_PROTOCOL);
    kit_pair_fini(&pair);
    PEL_REQUIRE(make_pair(&pair, PEL_TLS_V1_3));
    const uint8_t *hello = pel_tls_out_peek(pair.client, &len);
    enum pel_err err = PEL_OK;
    for (size_t i = 5; i < len && err == PEL_OK; i++) {
        const uint8_t record[] = {22, 3, 1, 0, 1, hello[i]};
        err = pel_tls_feed(pair.server, record, sizeof record, 0, &used_len);
    }
    PEL_EXPECT_ERR(err, PEL_OK);
    pel_tls_out_consume(pair.client, len);
    kit_settle(&pair);
    PEL_EXPECT(pel_tls_is_secure(pair.client) && pel_tls_is_secure(pair.server));
    kit_pair_fini(&pair);
}

/* A header may promise 18 KiB, but the memory held is that of one record. */
PEL_TEST(connection, a_stalled_record_holds_bounded_memory)
{
    struct kit_pair pair;
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3));
    PEL_EXPECT_ERR(feed(pair.server, "\x17\x03\x03\x40\x11", 5), PEL_OK);
    for (size_t i = 0; i < 0x4010; i++)
        PEL_EXPECT_ERR(feed(pair.server, "x", 1), PEL_OK);
    PEL_EXPECT(pair.server->in.cap <= 32768);
    PEL_EXPECT_ERR(feed(pair.server, "x", 1), PEL_E_TLS_BAD_RECORD_MAC);
    kit_pair_fini(&pair);
}

PEL_TEST(connection, record_lengths)
{
    static const struct {
        const char *header;
        enum pel_err err;
    } rows[] = {
        {"\x17\x03\x03\x48\x01", PEL_E_TLS_RECORD_TOO_LONG},
        {"\x18\x03\x03\x00\x01", PEL_E_TLS_RECORD_MALFORMED},
        {"\x17\x02\x03\x00\x01", PEL_E_TLS_RECORD_MALFORMED},
        {"\x16\x03\x03\x00\x00", PEL_E_TLS_RECORD_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit_pair pair;
        size_t out_len = 0;
        PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3));
        PEL_EXPECT_ERR(feed(pair.server, rows[i].header, 5), rows[i].err);
        (void)pel_tls_out_peek(pair.server, &out_len);
        PEL_EXPECT(out_len > 7); /* the alert, sealed */
        kit_move(&pair, pair.server, pair.client, &pair.client_err);
        PEL_EXPECT_ERR(pair.client_err, PEL_E_TLS_ALERT_RECEIVED);
        kit_pair_fini(&pair);
    }
}

PEL_TEST(connection, a_flipped_bit_is_never_delivered)
{
    for (uint32_t versions = PEL_TLS_V1_2; versions <= PEL_TLS_V1_3; versions *= 2)
        for (size_t at = 5; at < 60; at++) {
            struct kit_pair pair;
            uint8_t record[128], got[128];
            size_t len = 0, n = 0;
            PEL_REQUIRE(make_secure(&pair, versions));
            PEL_EXPECT_ERR(pel_tls_write(pair.client,
                                         (const uint8_t *)"attack at dawn, or so they say; bring tea", 41,
                                         &n),
                           PEL_OK);
            const uint8_t *bytes = pel_tls_out_peek(pair.client, &len);
            PEL_REQUIRE(len >= 60 && len <= sizeof record);
            memcpy(record, bytes, len);
            record[at] ^= 1;
            PEL_EXPECT_ERR(feed(pair.server, record, len), PEL_E_TLS_BAD_RECORD_MAC);
            PEL_EXPECT_ERR(pel_tls_read(pair.server, got, sizeof got, &n), PEL_E_TLS_BAD_RECORD_MAC);
            kit_pair_fini(&pair);
        }
}

PEL_TEST(connection, floods_are_bounded)
{
    struct kit_pair pair;
    enum pel_err err = PEL_OK;
    unsigned num = 0;
    PEL_REQUIRE(make_pair(&pair, PEL_TLS_V1_3));
    kit_move(&pair, pair.client, pair.server, &pair.server_err);
    while (err == PEL_OK && num < 1000) { /* change_cipher_spec, which TLS 1.3 ignores */
        err = feed(pair.server, "\x14\x03\x03\x00\x01\x01", 6);
        num++;
    }
    PEL_EXPECT_ERR(err, PEL_E_TLS_TOO_MANY_EMPTY);
    PEL_EXPECT(num <= 40);
    kit_pair_fini(&pair);
    PEL_REQUIRE(make_pair(&pair, PEL_TLS_V1_2));
    kit_move(&pair, pair.client, pair.server, &pair.server_err);
    for (err = PEL_OK, num = 0; err == PEL_OK && num < 1000; num++)
        err = feed(pair.server, "\x15\x03\x03\x00\x02\x01\x5a", 7); /* warning user_canceled */
    PEL_EXPECT_ERR(err, PEL_E_TLS_TOO_MANY_EMPTY);
    PEL_EXPECT(num <= 40);
    kit_pair_fini(&pair);
}

PEL_TEST(connection, key_updates)
{
    struct kit_pair pair;
    unsigned num = 0;
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3));
    for (int i = 0; i < 100; i++) { /* with data between them there is no limit; each request is answered */
        PEL_EXPECT(testpeer_key_update(pair.client, true));
        kit_settle(&pair);
        PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 100, 3));
        PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 100, 4));
    }
    PEL_EXPECT_ERR(pair.server_err, PEL_OK);
    while (pair.server_err == PEL_OK && num < 1000) {
        PEL_EXPECT(testpeer_key_update(pair.client, true));
        kit_move(&pair, pair.client, pair.server, &pair.server_err);
        num++;
    }
    PEL_EXPECT_ERR(pair.server_err, PEL_E_TLS_TOO_MANY_EMPTY);
    PEL_EXPECT(num <= 40);
    kit_pair_fini(&pair);
}

/* RFC 8446 section 4.6.3: the answer is due before the next application data, so that an end "which receives
 * multiple KeyUpdates while it is silent" responds "with a single update". */
PEL_TEST(connection, key_updates_of_a_silent_end_are_answered_once)
{
    struct kit_pair pair;
    uint8_t byte = 'x';
    size_t n = 0, len = 0;
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3));
    PEL_EXPECT_ERR(pel_tls_write(pair.server, &byte, 1, &n), PEL_OK);
    (void)pel_tls_out_peek(pair.server, &len);
    const size_t data_len = len; /* of a record of one byte; a KeyUpdate's has four more */
    kit_settle(&pair);
    for (int i = 0; i < 5; i++) {
        PEL_REQUIRE(testpeer_key_update(pair.client, true));
        kit_move(&pair, pair.client, pair.server, &pair.server_err);
        (void)pel_tls_out_peek(pair.server, &len);
        PEL_EXPECT_EQ(len, 0);
    }
    PEL_EXPECT_ERR(pel_tls_write(pair.server, &byte, 1, &n), PEL_OK);
    (void)pel_tls_out_peek(pair.server, &len);
    PEL_EXPECT_EQ(len, 2 * data_len + 4);
    kit_settle(&pair);
    PEL_EXPECT_ERR(pair.client_err, PEL_OK);
    for (size_t got_len = 0; got_len < 2; got_len += n)
        PEL_REQUIRE_OK(pel_tls_read(pair.client, &byte, 1, &n));
    PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 100, 5));
    kit_pair_fini(&pair);
}

/* A peer that asks and never reads must not make the output grow. */
PEL_TEST(connection, key_updates_of_a_peer_that_does_not_read)
{
    struct kit_pair pair;
    uint8_t bytes[256];
    size_t n = 0, len = 0;
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3));
    for (int i = 0; i < 2000; i++) {
        PEL_REQUIRE(testpeer_key_update(pair.client, true));
        PEL_EXPECT_ERR(pel_tls_write(pair.client, bytes, 1, &n), PEL_OK);
        kit_move(&pair, pair.client, pair.server, &pair.server_err);
        PEL_EXPECT_ERR(pel_tls_read(pair.server, bytes, sizeof bytes, &n), PEL_OK);
    }
    (void)pel_tls_out_peek(pair.server, &len);
    PEL_EXPECT(len < 4096);
    PEL_EXPECT_ERR(pair.server_err, PEL_OK);
    kit_settle(&pair);
    PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 1000, 4));
    kit_pair_fini(&pair);
}

PEL_TEST(connection, alert_of_the_peer)
{
    struct kit_pair pair;
    struct pel_tls_info info;
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3));
    PEL_EXPECT(testpeer_alert(pair.client, 49));
    kit_move(&pair, pair.client, pair.server, &pair.server_err);
    PEL_EXPECT_ERR(pair.server_err, PEL_E_TLS_ALERT_RECEIVED);
    pel_tls_info(pair.server, &info);
    PEL_EXPECT_HAS(info.failure, "alert 49 access_denied");
    kit_pair_fini(&pair);
}

PEL_TEST(connection, half_close)
{
    for (uint32_t versions = PEL_TLS_V1_2; versions <= PEL_TLS_V1_3; versions *= 2) {
        struct kit_pair pair;
        uint8_t bytes[64];
        size_t n = 0;
        PEL_REQUIRE(make_secure(&pair, versions));
        PEL_EXPECT_ERR(pel_tls_write(pair.client, (const uint8_t *)"last words", 10, &n), PEL_OK);
        PEL_EXPECT_ERR(pel_tls_close(pair.client), PEL_OK);
        PEL_EXPECT_ERR(pel_tls_close(pair.client), PEL_OK);
        PEL_EXPECT_ERR(pel_tls_write(pair.client, bytes, 1, &n), PEL_E_STATE);
        kit_settle(&pair);
        PEL_EXPECT_ERR(pel_tls_read(pair.server, bytes, sizeof bytes, &n), PEL_OK);
        PEL_EXPECT_EQ(n, 10);
        PEL_EXPECT_ERR(pel_tls_read(pair.server, bytes, sizeof bytes, &n), PEL_E_EOF);
        PEL_EXPECT(
            kit_transfer(&pair, pair.server, pair.client, 100000, 9)); /* the other direction is open still */
        PEL_EXPECT_ERR(feed(pair.server, "junk after the end", 18), PEL_OK);
        PEL_EXPECT_ERR(pel_tls_feed_fin(pair.server), PEL_OK);
        PEL_EXPECT_ERR(pel_tls_read(pair.server, bytes, sizeof bytes, &n), PEL_E_EOF);
        PEL_EXPECT_ERR(pel_tls_close(pair.server), PEL_OK);
        kit_settle(&pair);
        PEL_EXPECT_ERR(pel_tls_read(pair.client, bytes, sizeof bytes, &n), PEL_E_EOF);
        PEL_EXPECT_EQ(pair.client->in.cap + pair.client->plain.cap + pair.client->out.cap, 0);
        kit_pair_fini(&pair);
    }
}

PEL_TEST(connection, truncation_is_no_end)
{
    struct kit_pair pair;
    struct pel_tls_info info;
    uint8_t bytes[64];
    size_t n = 0;
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3));
    PEL_EXPECT_ERR(pel_tls_write(pair.client, (const uint8_t *)"whole", 5, &n), PEL_OK);
    kit_settle(&pair);
    PEL_EXPECT_ERR(feed(pair.server, "\x17\x03\x03\x00\x20half", 9), PEL_OK);
    PEL_EXPECT_ERR(pel_tls_feed_fin(pair.server), PEL_OK);
    PEL_EXPECT_ERR(pel_tls_read(pair.server, bytes, sizeof bytes, &n), PEL_OK);
    PEL_EXPECT_EQ(n, 5);
    PEL_EXPECT_ERR(pel_tls_read(pair.server, bytes, sizeof bytes, &n), PEL_E_TLS_TRUNCATED);
    PEL_EXPECT_ERR(pel_tls_read(pair.server, bytes, sizeof bytes, &n), PEL_E_TLS_TRUNCATED);
    pel_tls_info(pair.server, &info);
    PEL_EXPECT_STR(info.state, "FAILED");
    PEL_EXPECT_EQ(pair.server_counters.err[PEL_E_TLS_TRUNCATED], 1);
    kit_pair_fini(&pair);
}

/* Stops after `cut` bytes each way in turn: the side that waits must end with one named error, and free
 * cleanly. */
static void cut_handshake(uint32_t versions, size_t cut, bool *ret_finished)
{
    struct kit_pair pair;
    size_t moved = 0, n = 1;
    PEL_REQUIRE(make_pair(&pair, versions));
    pair.chunks = KIT_SINGLE;
    while (moved < cut && n > 0) {
        n = kit_move(&pair, pair.client, pair.server, &pair.server_err);
        if (n == 0)
            n = kit_move(&pair, pair.server, pair.client, &pair.client_err);
        moved += n;
    }
    *ret_finished = n == 0;
    bool secure = pel_tls_is_secure(pair.server);
    PEL_EXPECT_ERR(pel_tls_feed_fin(pair.server), secure ? PEL_OK : PEL_E_TLS_HANDSHAKE_FAILED);
    secure = pel_tls_is_secure(pair.client);
    PEL_EXPECT_ERR(pel_tls_feed_fin(pair.client), secure ? PEL_OK : PEL_E_TLS_HANDSHAKE_FAILED);
    kit_pair_fini(&pair);
}

PEL_TEST(connection, a_reset_at_every_byte_of_the_handshake)
{
    for (uint32_t versions = PEL_TLS_V1_2; versions <= PEL_TLS_V1_3; versions *= 2) {
        bool finished = false;
        size_t cut = 0;
        for (; !finished && !pel_test_has_failed(); cut += cut < 300 ? 7 : 1 + cut % 13)
            cut_handshake(versions, cut, &finished);
        PEL_EXPECT(cut > 1000);
    }
}

PEL_TEST(connection, timers)
{
    struct kit_pair pair;
    size_t n = 0;
    PEL_REQUIRE(make_pair(&pair, PEL_TLS_V1_3));
    PEL_EXPECT_EQ(pel_tls_deadline_us(pair.server), 10000000);
    PEL_EXPECT_EQ(pel_tls_deadline_us(pair.client), 50000000); /* AT-TLS: the active side waits five times */
    PEL_EXPECT_ERR(pel_tls_tick(pair.server, 9999999), PEL_OK);
    PEL_EXPECT_ERR(pel_tls_tick(pair.server, 10000000), PEL_E_TLS_HANDSHAKE_START_TIMEOUT);
    PEL_EXPECT_ERR(pel_tls_tick(pair.client, 50000000), PEL_E_TLS_HANDSHAKE_START_TIMEOUT);
    kit_pair_fini(&pair);
    PEL_REQUIRE(make_pair(&pair, PEL_TLS_V1_3));
    PEL_EXPECT_ERR(pel_tls_feed(pair.server, (const uint8_t *)"\x16", 1, 5000000, &n), PEL_OK);
    PEL_EXPECT_EQ(pel_tls_deadline_us(pair.server), 15000000);
    PEL_EXPECT_ERR(pel_tls_feed(pair.server, (const uint8_t *)"\x03", 1, 9000000, &n), PEL_OK);
    PEL_EXPECT_EQ(pel_tls_deadline_us(pair.server), 15000000); /* from the first byte, not from the last */
    PEL_EXPECT_ERR(pel_tls_tick(pair.server, 15000000), PEL_E_TLS_HANDSHAKE_TIMEOUT);
    (void)pel_tls_out_peek(pair.server, &n);
    PEL_EXPECT_EQ(n, 7); /* an alert */
    kit_pair_fini(&pair);
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3));
    PEL_EXPECT(pel_tls_deadline_us(pair.server) == UINT64_MAX &&
               pel_tls_deadline_us(pair.client) == UINT64_MAX);
    PEL_EXPECT_ERR(pel_tls_tick(pair.server, 1000000000), PEL_OK);
    kit_pair_fini(&pair);
}

PEL_TEST(connection, no_timer_when_zero)
{
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", NULL);
    struct pel_tls_env *env = NULL;
    struct pel_tls *tls = NULL;
    server.handshake_timeout_us = 0;
    PEL_REQUIRE_OK(pel_tls_env_new(&server, &env, NULL));
    PEL_REQUIRE_OK(pel_tls_new(env, NULL, 77, NULL, &tls));
    PEL_EXPECT(pel_tls_deadline_us(tls) == UINT64_MAX);
    pel_tls_free(tls);
    pel_tls_env_unref(env);
}

PEL_TEST(connection, both_ends_server_or_both_client)
{
    struct kit_pair pair;
    struct pel_tls *second = NULL;
    size_t len = 0, used_len = 0;
    PEL_REQUIRE(make_pair(&pair, PEL_TLS_V1_3));
    PEL_REQUIRE_OK(pel_tls_new(pair.client_env, NULL, 0, NULL, &second));
    const uint8_t *hello = pel_tls_out_peek(second, &len);
    PEL_EXPECT_ERR(pel_tls_feed(pair.client, hello, len, 0, &used_len), PEL_E_TLS_PROTOCOL);
    pel_tls_free(second);
    kit_pair_fini(&pair);
}

PEL_TEST(connection, calls_before_their_time)
{
    struct kit_pair pair;
    uint8_t byte = 0;
    size_t n = 0;
    PEL_REQUIRE(make_pair(&pair, PEL_TLS_V1_3));
    PEL_EXPECT_ERR(pel_tls_write(pair.server, &byte, 1, &n), PEL_E_AGAIN);
    PEL_EXPECT_ERR(pel_tls_read(pair.server, &byte, 1, &n), PEL_E_AGAIN);
    PEL_EXPECT_ERR(pel_tls_close(pair.server), PEL_OK);
    PEL_EXPECT_ERR(pel_tls_write(pair.server, &byte, 1, &n), PEL_E_STATE);
    (void)pel_tls_out_peek(pair.server, &n);
    PEL_EXPECT_EQ(n, 0);
    kit_settle(&pair);
    PEL_EXPECT(pel_tls_is_secure(pair.server));
    PEL_EXPECT_ERR(pel_tls_write(pair.server, &byte, 1, &n), PEL_E_STATE);
    pel_tls_free(NULL);
    pel_tls_env_unref(NULL);
    kit_pair_fini(&pair);
}

/* The output is bounded when nobody takes it, and the input when nobody reads. */
PEL_TEST(connection, backpressure)
{
    struct kit_pair pair;
    uint8_t *bytes = calloc(1, 1 << 20);
    size_t n = 0, len = 0, used_len = 0;
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3));
    PEL_EXPECT_ERR(pel_tls_write(pair.client, bytes, 1 << 20, &n), PEL_OK);
    PEL_EXPECT(n >= 48 * 1024 && n <= 96 * 1024);
    PEL_EXPECT_ERR(pel_tls_write(pair.client, bytes, 1, &used_len), PEL_E_AGAIN);
    const uint8_t *out = pel_tls_out_peek(pair.client, &len);
    PEL_EXPECT_ERR(pel_tls_feed(pair.server, out, len, 0, &used_len), PEL_OK);
    PEL_EXPECT(used_len < len && used_len > 16384);
    size_t again_len = 1;
    PEL_EXPECT_ERR(pel_tls_feed(pair.server, out + used_len, len - used_len, 0, &again_len), PEL_OK);
    PEL_EXPECT_EQ(again_len, 0);
    size_t got_len = 0;
    while (used_len < len) {
        while (pel_tls_read(pair.server, bytes, 1000, &again_len) == PEL_OK)
            got_len += again_len;
        PEL_REQUIRE_OK(pel_tls_feed(pair.server, out + used_len, len - used_len, 0, &again_len));
        used_len += again_len;
    }
    while (pel_tls_read(pair.server, bytes, 1000, &again_len) == PEL_OK)
        got_len += again_len;
    PEL_EXPECT_EQ(got_len, n);
    PEL_EXPECT_EQ(pair.server->in.cap + pair.server->plain.cap, 0); /* idle: no buffers */
    kit_pair_fini(&pair);
    free(bytes);
}
