/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our record layer: records that a peer may not send, made with the peer's own keys, beside what BoringSSL's
 * record layer says of the same; messages after the handshake; long random lives against BoringSSL's.
 */
#include <stdlib.h>

#include "tests/harness/harness.h"
#include "tls/boringssl/testpeer.h"
#include "tls/own_record.h"
#include "tls/session.h"
#include "tls/testkit.h"

enum { TICKET_LEN = 20 };

static bool make_secure(struct kit_pair *pair, uint32_t versions, uint16_t cipher, bool client_library,
                        bool server_library)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", cipher == 0xc030 ? "rsa" : NULL);
    client.versions = versions;
    client.ciphers = &cipher;
    client.num_ciphers = cipher != 0;
    if (kit_pair_init(pair, &client, &server, "server.test") != PEL_OK)
        return false;
    pair->client_env->library_records = client_library;
    pair->server_env->library_records = server_library;
    kit_settle(pair);
    return pel_tls_is_secure(pair->client) && pel_tls_is_secure(pair->server);
}

static struct pel_own_record *own_of(struct pel_tls *tls)
{
    return tls->ops == &pel_record_own ? tls->record_ctx : NULL;
}

/* Seals a record with the keys of `from`; `pad_len` zeros follow the inner type of TLS 1.3. */
static size_t craft(struct pel_tls *from, uint8_t type, const void *bytes, size_t len, size_t pad_len,
                    uint8_t *record)
{
    static uint8_t inner[20000];
    struct pel_keys *keys = &own_of(from)->out;
    bool tls13 = keys->suite->tls13;
    size_t inner_len = tls13 ? len + 1 + pad_len : len;
    size_t body_len = keys->suite->explicit_len + inner_len + PEL_AEAD_TAG_LEN;
    uint8_t aad[13];
    memset(inner, 0, sizeof inner);
    if (len > 0)
        memcpy(inner, bytes, len);
    inner[len] = tls13 ? type : 0;
    record[0] = tls13 ? 23 : type;
    record[1] = record[2] = 3;
    record[3] = (uint8_t)(body_len >> 8);
    record[4] = (uint8_t)body_len;
    for (int i = 0; i < 8; i++)
        aad[i] = (uint8_t)(keys->sequence >> (56 - 8 * i));
    memcpy(aad + 8, record, 3);
    aad[11] = (uint8_t)(len >> 8);
    aad[12] = (uint8_t)len;
    struct pel_aead_job job = {.aad = tls13 ? record : aad,
                               .aad_len = tls13 ? 5 : 13,
                               .in = inner,
                               .in_len = inner_len,
                               .out = record + 5 + keys->suite->explicit_len};
    PEL_EXPECT_ERR(pel_keys_seal(keys, &job, record + 5), PEL_OK);
    return 5 + body_len;
}

static enum pel_err feed(struct pel_tls *tls, const uint8_t *bytes, size_t len)
{
    size_t used_len = 0;
    return pel_tls_feed(tls, bytes, len, 0, &used_len);
}

static enum pel_err feed_crafted(struct pel_tls *from, struct pel_tls *to, uint8_t type, const void *bytes,
                                 size_t len, size_t pad_len)
{
    static uint8_t record[20000];
    size_t record_len = craft(from, type, bytes, len, pad_len, record);
    return feed(to, record, record_len);
}

struct bad_row {
    uint8_t type;
    const char *bytes;
    size_t len, pad_len;
    enum pel_err err;
    const char *alert;        /* that the other side gets; NULL: none */
    enum pel_err library_err; /* when BoringSSL says something else, or says it with another alert */
    bool library_takes_it;    /* BoringSSL takes it, or ends it with an alert of its own */
};

/* The server must refuse the record, with the alert; BoringSSL's record layer must agree. */
static void expect_bad(const struct bad_row *row, uint32_t versions, uint16_t cipher, bool library)
{
    struct kit_pair pair;
    struct pel_tls_info info;
    PEL_REQUIRE(make_secure(&pair, versions, cipher, false, library));
    enum pel_err wanted = library && row->library_err != PEL_OK ? row->library_err : row->err;
    PEL_EXPECT_ERR(feed_crafted(pair.client, pair.server, row->type, row->bytes, row->len, row->pad_len),
                   wanted);
    PEL_EXPECT_EQ(pair.server_counters.err[wanted], 1);
    kit_move(&pair, pair.server, pair.client, &pair.client_err);
    PEL_EXPECT_ERR(pair.client_err, row->alert != NULL ? PEL_E_TLS_ALERT_RECEIVED : PEL_OK);
    pel_tls_info(pair.client, &info);
    if (row->alert != NULL && !(library && row->library_err != PEL_OK))
        PEL_EXPECT_HAS(info.failure, row->alert);
    kit_pair_fini(&pair);
}

static char big[17000];

PEL_TEST(own_record, bad_records_of_tls13)
{
    static const struct bad_row rows[] = {
        {0, "", 0, 0, PEL_E_TLS_PROTOCOL, "alert 10", PEL_E_TLS_BAD_RECORD_MAC}, /* padding alone */
        {0, "", 0, 300, PEL_E_TLS_PROTOCOL, "alert 10", PEL_E_TLS_BAD_RECORD_MAC},
        {20, "\1", 1, 0, PEL_E_TLS_PROTOCOL, "alert 10", PEL_OK},
        {24, "\1\0\1x", 4, 0, PEL_E_TLS_PROTOCOL, "alert 10", PEL_OK},
        {21, "", 0, 0, PEL_E_TLS_PROTOCOL, "alert 10", PEL_E_TLS_RECORD_MALFORMED},
        {21, "\2", 1, 0, PEL_E_TLS_RECORD_MALFORMED, "alert 50", PEL_OK},
        {21, "\2\12\0", 3, 0, PEL_E_TLS_RECORD_MALFORMED, "alert 50", PEL_OK},
        {21, "\2\50", 2, 0, PEL_E_TLS_ALERT_RECEIVED, NULL, PEL_OK},
        {21, "\1\50", 2, 7, PEL_E_TLS_ALERT_RECEIVED, NULL, PEL_OK, true}, /* whatever its level */
        {21, "\2\376", 2, 0, PEL_E_TLS_ALERT_RECEIVED, NULL, PEL_OK},
        {22, "", 0, 0, PEL_E_TLS_PROTOCOL, "alert 10", PEL_OK, true},
        {22, "\30\0\0\1\2", 5, 0, PEL_E_TLS_PROTOCOL, "alert 47", PEL_E_TLS_PROTOCOL},
        {22, "\30\0\0\0", 4, 0, PEL_E_TLS_PROTOCOL, "alert 50", PEL_OK},
        {22, "\30\0\0\2\0\0", 6, 0, PEL_E_TLS_PROTOCOL, "alert 50", PEL_OK},
        {22, "\30\0\0\1\0\30", 6, 0, PEL_E_TLS_PROTOCOL, "alert 10", PEL_OK},
        {22, "\4\0\0\16zzzzzzzzzzzzzz", 18, 0, PEL_E_TLS_PROTOCOL, "alert 10",
         PEL_OK}, /* a ticket to a server */
        {22, "\1\0\0\0", 4, 0, PEL_E_TLS_PROTOCOL, "alert 10", PEL_OK},
        {22, "\15\0\0\3\0\0\0", 7, 0, PEL_E_TLS_PROTOCOL, "alert 10", PEL_OK},
        {22, "\24\0\0\0", 4, 0, PEL_E_TLS_PROTOCOL, "alert 10", PEL_OK},
        {23, big, 16384, 1, PEL_E_TLS_RECORD_TOO_LONG, "alert 22", PEL_OK},
        {23, big, 16385, 0, PEL_E_TLS_RECORD_TOO_LONG, "alert 22", PEL_OK},
        {23, big, 1000, 16384, PEL_E_TLS_RECORD_TOO_LONG, "alert 22", PEL_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int library = 0; library < (rows[i].library_takes_it ? 1 : 2); library++) {
            bool failed = pel_test_has_failed();
            expect_bad(&rows[i], PEL_TLS_V1_3, i % 2 ? 0x1302 : 0, library);
            if (!failed && pel_test_has_failed())
                pel_test_say("row %zu, %s", i, library ? "library" : "own");
        }
}

PEL_TEST(own_record, bad_records_of_tls12)
{
    static const struct bad_row rows[] = {
        {20, "\1", 1, 0, PEL_E_TLS_PROTOCOL, "alert 10", PEL_OK},
        {22, "\1\0\0\0", 4, 0, PEL_E_TLS_RENEGOTIATION, "alert 100", PEL_OK},
        {21, "\2", 1, 0, PEL_E_TLS_RECORD_MALFORMED, "alert 50", PEL_OK},
        {21, "\3\50", 2, 0, PEL_E_TLS_PROTOCOL, "alert 47", PEL_OK},
        {21, "\2\50", 2, 0, PEL_E_TLS_ALERT_RECEIVED, NULL, PEL_OK},
        {23, big, 16385, 0, PEL_E_TLS_RECORD_TOO_LONG, "alert 22", PEL_OK},
    };
    static const uint16_t ciphers[] = {0xc02b, 0xc02c, 0xcca9};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int library = 0; library < 2; library++) {
            bool failed = pel_test_has_failed();
            expect_bad(&rows[i], PEL_TLS_V1_2, ciphers[i % 3], library);
            if (!failed && pel_test_has_failed())
                pel_test_say("row %zu, %s", i, library ? "library" : "own");
        }
}

/* Records that are bad before anything is decrypted. */
PEL_TEST(own_record, bad_outsides)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum pel_err err;
        const char *alert;
    } rows[] = {
        {"\24\3\3\0\1\1", 6, PEL_E_TLS_PROTOCOL, "alert 10"},   /* change_cipher_spec after the handshake */
        {"\25\3\3\0\2\1\0", 7, PEL_E_TLS_PROTOCOL, "alert 10"}, /* close_notify in clear */
        {"\26\3\3\0\4\1\0\0\0", 9, PEL_E_TLS_PROTOCOL, "alert 10"},
        {"\27\3\1\0\40aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 37, PEL_E_TLS_RECORD_MALFORMED, "alert 70"},
        {"\27\3\3\0\17aaaaaaaaaaaaaaa", 20, PEL_E_TLS_BAD_RECORD_MAC, "alert 20"},
        {"\27\3\3\0\0", 5, PEL_E_TLS_BAD_RECORD_MAC, "alert 20"},
        {"\27\3\3\0\20aaaaaaaaaaaaaaaa", 21, PEL_E_TLS_BAD_RECORD_MAC, "alert 20"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit_pair pair;
        struct pel_tls_info info;
        PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3, 0, false, false));
        PEL_EXPECT_ERR(feed(pair.server, (const uint8_t *)rows[i].bytes, rows[i].len), rows[i].err);
        kit_move(&pair, pair.server, pair.client, &pair.client_err);
        pel_tls_info(pair.client, &info);
        PEL_EXPECT_HAS(info.failure, rows[i].alert);
        kit_pair_fini(&pair);
    }
}

/* 2^14 + 256 bytes may come, if they are true; one more not. */
PEL_TEST(own_record, the_longest_body)
{
    static uint8_t record[5 + 16641] = {23, 3, 3};
    for (size_t len = 16640; len <= 16641; len++) {
        struct kit_pair pair;
        PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3, 0, false, false));
        record[3] = (uint8_t)(len >> 8);
        record[4] = (uint8_t)len;
        PEL_EXPECT_ERR(feed(pair.server, record, 5 + len),
                       len > 16640 ? PEL_E_TLS_RECORD_TOO_LONG : PEL_E_TLS_BAD_RECORD_MAC);
        kit_pair_fini(&pair);
    }
}

PEL_TEST(own_record, padding_and_full_records)
{
    static const size_t rows[][2] = {{5, 0},     {5, 1},   {5, 255},    {5, 16379},
                                     {16384, 0}, {0, 100}, {16000, 384}};
    struct kit_pair pair;
    uint8_t *got = malloc(20000);
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3, 0, false, false));
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)i;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = 0;
        PEL_EXPECT_ERR(feed_crafted(pair.client, pair.server, 23, big, rows[i][0], rows[i][1]), PEL_OK);
        PEL_EXPECT_ERR(pel_tls_read(pair.server, got, 20000, &n), rows[i][0] > 0 ? PEL_OK : PEL_E_AGAIN);
        PEL_EXPECT_EQ(n, rows[i][0]);
        PEL_EXPECT_MEM(got, big, n);
    }
    free(got);
    kit_pair_fini(&pair);
}

PEL_TEST(own_record, empty_records_and_harmless_alerts_are_bounded)
{
    static const struct {
        uint32_t versions;
        uint8_t type;
        const char *bytes;
        size_t len;
    } rows[] = {
        {PEL_TLS_V1_3, 23, "", 0},
        {PEL_TLS_V1_2, 23, "", 0},
        {PEL_TLS_V1_3, 21, "\1\132", 2},
        {PEL_TLS_V1_2, 21, "\1\132", 2}, /* user_canceled */
        {PEL_TLS_V1_3, 22, "\30\0\0\1\0", 5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit_pair pair;
        unsigned num = 0;
        PEL_REQUIRE(make_secure(&pair, rows[i].versions, 0, false, false));
        enum pel_err err = PEL_OK;
        for (; err == PEL_OK && num < 100; num++) {
            err = feed_crafted(pair.client, pair.server, rows[i].type, rows[i].bytes, rows[i].len, 0);
            if (rows[i].type == 22)
                PEL_REQUIRE_OK(pel_keys_update(&own_of(pair.client)->out));
        }
        PEL_EXPECT_ERR(err, PEL_E_TLS_TOO_MANY_EMPTY);
        PEL_EXPECT_EQ(num, PEL_MAX_EMPTY_RECORDS + 1);
        kit_pair_fini(&pair);
    }
}

/* Tickets, and pieces of messages, are not empty: they have a limit of their own, which a peer that sends a
 * byte a record can live with; and they do not count beside empty records. */
PEL_TEST(own_record, pieces_and_tickets_are_bounded_apart)
{
    uint8_t ticket[4 + TICKET_LEN] = {4, 0, 0, TICKET_LEN};
    for (size_t part_len = 1; part_len <= sizeof ticket; part_len += sizeof ticket - 1) {
        struct kit_pair pair;
        size_t at = 0, num = 0;
        enum pel_err err = PEL_OK;
        PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3, 0, false, false));
        for (; err == PEL_OK && num < 10000; num++, at = (at + part_len) % sizeof ticket)
            err = feed_crafted(pair.server, pair.client, 22, ticket + at, part_len, 0);
        PEL_EXPECT_ERR(err, PEL_E_TLS_TOO_MANY_EMPTY);
        PEL_EXPECT_EQ(num, PEL_MAX_HANDSHAKE_RECORDS); /* the server's own tickets were a record too */
        kit_pair_fini(&pair);
    }
    struct kit_pair pair;
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3, 0, false, false));
    for (size_t i = 0; i < PEL_MAX_EMPTY_RECORDS; i++) {
        PEL_EXPECT_ERR(feed_crafted(pair.server, pair.client, 22, ticket, sizeof ticket, 0), PEL_OK);
        PEL_EXPECT_ERR(feed_crafted(pair.server, pair.client, 23, "", 0, 0), PEL_OK);
    }
    PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 100, 1));
    kit_pair_fini(&pair);
}

/* A ticket and a KeyUpdate, in one record and a byte a record, padded. */
PEL_TEST(own_record, messages_in_pieces)
{
    uint8_t messages[4 + TICKET_LEN + 5] = {4, 0, 0, TICKET_LEN};
    memcpy(messages + 4 + TICKET_LEN, "\30\0\0\1\1", 5);
    for (size_t part_len = 1; part_len <= sizeof messages; part_len++) {
        struct kit_pair pair;
        PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3, 0, false, false));
        for (size_t at = 0; at < sizeof messages; at += part_len) {
            size_t len = sizeof messages - at < part_len ? sizeof messages - at : part_len;
            PEL_EXPECT_ERR(feed_crafted(pair.server, pair.client, 22, messages + at, len, at % 3), PEL_OK);
        }
        PEL_REQUIRE_OK(pel_keys_update(&own_of(pair.server)->out));
        PEL_EXPECT_EQ(own_of(pair.client)->in.sequence, 0);
        PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 50000, 1));
        PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 16384, 2));
        PEL_EXPECT_EQ(own_of(pair.client)->out.sequence, 1); /* it was asked, and has answered before that */
        PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 50000, 3));
        kit_pair_fini(&pair);
    }
}

PEL_TEST(own_record, nothing_comes_between_the_pieces_of_a_message)
{
    static const uint8_t types[] = {21, 23};
    for (size_t i = 0; i < 2; i++) {
        struct kit_pair pair;
        PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3, 0, false, false));
        PEL_EXPECT_ERR(feed_crafted(pair.client, pair.server, 22, "\30\0\0", 3, 0), PEL_OK);
        PEL_EXPECT_ERR(feed_crafted(pair.client, pair.server, types[i], "\1\0", 2, 0), PEL_E_TLS_PROTOCOL);
        kit_pair_fini(&pair);
    }
}

/* Our own limit of records under one key: a new one comes before it, and the nonce begins again. */
PEL_TEST(own_record, a_key_is_updated_before_its_limit)
{
    static const uint16_t ciphers[] = {0x1301, 0x1302};
    for (size_t i = 0; i < 2; i++) {
        struct kit_pair pair;
        PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3, ciphers[i], true, false));
        struct pel_own_record *own = own_of(pair.server);
        PEL_EXPECT_EQ(own->max_records, 1u << 24);
        own->max_records = 4;
        uint8_t first[PEL_MAX_SECRET_LEN];
        memcpy(first, own->out.secret, sizeof first);
        for (int k = 0; k < 50; k++) {
            PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 100, 4));
            PEL_EXPECT(own->out.sequence <= 4);
        }
        PEL_EXPECT(memcmp(first, own->out.secret, sizeof first) != 0);
        kit_pair_fini(&pair);
    }
}

PEL_TEST(own_record, which_suites_are_ours)
{
    static const struct {
        uint16_t cipher;
        uint32_t versions;
        bool ours;
    } rows[] = {
        {0x1301, PEL_TLS_V1_3, true}, {0x1302, PEL_TLS_V1_3, true},  {0x1303, PEL_TLS_V1_3, true},
        {0xc02b, PEL_TLS_V1_2, true}, {0xc02c, PEL_TLS_V1_2, true},  {0xcca9, PEL_TLS_V1_2, true},
        {0xc030, PEL_TLS_V1_2, true}, {0xc009, PEL_TLS_V1_2, false}, {0xc00a, PEL_TLS_V1_2, false},
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        const bool library = i % 2; /* the client's */
        struct kit_pair pair;
        struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
        struct pel_tls_config server =
            kit_config(PEL_TLS_SERVER, "server", rows[i / 2].cipher == 0xc030 ? "rsa" : NULL);
        client.versions = server.versions = rows[i / 2].versions;
        client.ciphers = server.ciphers = &rows[i / 2].cipher;
        client.num_ciphers = server.num_ciphers = 1;
        PEL_REQUIRE_OK(kit_pair_init(&pair, &client, &server, "server.test"));
        pair.client_env->library_records = library;
        pair.server_env->library_records = false;
        kit_settle(&pair);
        PEL_REQUIRE(pel_tls_is_secure(pair.client) && pel_tls_is_secure(pair.server));
        PEL_EXPECT_EQ(own_of(pair.server) != NULL, rows[i / 2].ours);
        PEL_EXPECT_EQ(own_of(pair.client) != NULL, rows[i / 2].ours && !library);
        PEL_EXPECT(kit_transfer(&pair, pair.client, pair.server, 100000, 1));
        PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 100000, 2));
        kit_pair_fini(&pair);
    }
}

/* A stream of one direction, made again at the other end. */
struct stream {
    struct pel_tls *from, *to;
    enum pel_err *err;
    struct pel_prng sent, got;
    uint64_t sent_len, got_len;
};

static void stream_write(struct stream *stream, size_t len)
{
    static uint8_t bytes[40000];
    struct pel_prng before = stream->sent;
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)pel_prng_next(&stream->sent);
    enum pel_err err = pel_tls_write(stream->from, bytes, len, &n);
    PEL_EXPECT(err == PEL_OK || err == PEL_E_AGAIN);
    stream->sent = before; /* it may have taken less */
    for (size_t i = 0; i < n; i++)
        (void)pel_prng_next(&stream->sent);
    stream->sent_len += n;
}

static void stream_read(struct stream *stream)
{
    static uint8_t bytes[40000];
    size_t n = 0;
    while (pel_tls_read(stream->to, bytes, sizeof bytes, &n) == PEL_OK) {
        for (size_t i = 0; i < n; i++)
            if (bytes[i] != (uint8_t)pel_prng_next(&stream->got)) {
                pel_test_fail(__FILE__, __LINE__, "another byte came than was sent");
                return;
            }
        stream->got_len += n;
    }
}

static void step(struct kit_pair *pair, struct stream *stream, struct pel_prng *prng)
{
    unsigned what = (unsigned)pel_prng_below(prng, 100);
    if (what < 40)
        stream_write(stream, 1 + pel_prng_below(prng, what < 5 ? 40000 : 600));
    else if (what < 80)
        (void)kit_move(pair, stream->from, stream->to, stream->err);
    else if (what < 93)
        stream_read(stream);
    else if (what < 97 && stream->from->out.len == 0) /* the library's own output must not be split */
        PEL_EXPECT(testpeer_key_update(stream->from, what < 95));
}

/* A long life: writes, reads, KeyUpdates that ask and that do not, key limits; then both ends close. */
static void live(uint16_t cipher, bool client_library, bool server_library, uint64_t seed)
{
    struct kit_pair pair;
    struct pel_prng prng;
    uint8_t byte = 0;
    size_t n = 0;
    PEL_REQUIRE(make_secure(&pair, PEL_TLS_V1_3, cipher, client_library, server_library));
    pair.chunks = KIT_RANDOM;
    pel_prng_seed(&prng, seed);
    struct stream streams[] = {{.from = pair.client, .to = pair.server, .err = &pair.server_err},
                               {.from = pair.server, .to = pair.client, .err = &pair.client_err}};
    for (int i = 0; i < 2; i++) {
        pel_prng_seed(&streams[i].sent, seed + 1000 + (uint64_t)i);
        streams[i].got = streams[i].sent;
        if (own_of(streams[i].from) != NULL)
            own_of(streams[i].from)->max_records = 1 + pel_prng_below(&prng, 40);
    }
    for (int i = 0; i < 4000 && !pel_test_has_failed(); i++)
        step(&pair, &streams[pel_prng_below(&prng, 2)], &prng);
    PEL_EXPECT_ERR(pel_tls_close(pair.client), PEL_OK);
    PEL_EXPECT_ERR(pel_tls_close(pair.server), PEL_OK);
    for (size_t moved = 1; moved > 0;) {
        moved = 0;
        for (int i = 0; i < 2; i++) {
            moved += kit_move(&pair, streams[i].from, streams[i].to, streams[i].err);
            stream_read(&streams[i]);
        }
    }
    for (int i = 0; i < 2; i++) {
        PEL_EXPECT_ERR(*streams[i].err, PEL_OK);
        PEL_EXPECT_EQ(streams[i].got_len, streams[i].sent_len);
        PEL_EXPECT(streams[i].got_len > 100000);
        PEL_EXPECT_ERR(pel_tls_read(streams[i].to, &byte, 1, &n), PEL_E_EOF);
    }
    kit_pair_fini(&pair);
}

PEL_TEST(own_record, long_lives_against_the_library)
{
    static const uint16_t ciphers[] = {0x1301, 0x1302, 0x1303};
    for (uint64_t seed = 1; seed <= 24 && !pel_test_has_failed(); seed++) {
        live(ciphers[seed % 3], seed % 2, !(seed % 2), seed);
        live(ciphers[seed % 3], false, false, seed);
        if (pel_test_has_failed())
            pel_test_say("seed %d", (int)seed);
    }
}
