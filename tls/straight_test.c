/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The straight way: records sealed in place and opened from pieces, for every suite of ours, against the
 * ordinary way and against BoringSSL's record layer; cut at every byte; spoiled in every piece.
 */
#include <stdlib.h>

#include "tests/harness/harness.h"
#include "tls/own_record.h"
#include "tls/session.h"
#include "tls/testkit.h"

#define MAX_LEN 20000

static const uint16_t ours[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9};

static bool make_secure(struct kit_pair *pair, uint16_t cipher, bool client_library)
{
    struct pel_tls_config client = kit_config(PEL_TLS_CLIENT, "trusting", NULL);
    struct pel_tls_config server = kit_config(PEL_TLS_SERVER, "server", NULL);
    client.versions = cipher >> 8 == 0x13 ? PEL_TLS_V1_3 : PEL_TLS_V1_2;
    client.ciphers = &cipher;
    client.num_ciphers = 1;
    if (kit_pair_init(pair, &client, &server, "server.test") != PEL_OK)
        return false;
    pair->client_env->library_records = client_library;
    kit_settle(pair);
    return pel_tls_is_secure(pair->client) && pel_tls_is_secure(pair->server);
}

static void fill(uint8_t *bytes, size_t len, uint64_t seed)
{
    struct pel_prng prng;
    pel_prng_seed(&prng, seed);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)pel_prng_next(&prng);
}

/* Seals `len` bytes straight at `record`; returns the record's length. */
static size_t seal(struct pel_tls *from, const uint8_t *plain, size_t len, uint8_t *record)
{
    size_t sealed_len = pel_tls_sealed_len(from, len);
    PEL_EXPECT(sealed_len > len && sealed_len <= len + 5 + 8 + 1 + 16);
    PEL_EXPECT_ERR(pel_tls_seal(from, plain, len, record), PEL_OK);
    return sealed_len;
}

/* Each piece in memory of its exact size. */
static size_t cut(const uint8_t *record, size_t len, const size_t *cuts, size_t num_cuts,
                  struct pel_piece *pieces)
{
    size_t num = 0, at = 0;
    for (size_t i = 0; i <= num_cuts; i++) {
        size_t end = i < num_cuts && cuts[i] < len ? cuts[i] : len;
        uint8_t *bytes = malloc(end - at + 1);
        memcpy(bytes, record + at, end - at);
        pieces[num++] = (struct pel_piece){bytes, end - at};
        at = end;
    }
    return num;
}

static void free_pieces(struct pel_piece *pieces, size_t num)
{
    for (size_t i = 0; i < num; i++)
        free((void *)(uintptr_t)pieces[i].bytes);
}

static void expect_opens(struct pel_tls *to, const uint8_t *record, size_t record_len, const size_t *cuts,
                         size_t num_cuts, const uint8_t *plain, size_t len)
{
    struct pel_piece pieces[PEL_RECORD_MAX_PIECES];
    uint8_t *room = malloc(PEL_TLS_ROOM_LEN);
    size_t used_len = 0, opened_len = 0, num = cut(record, record_len, cuts, num_cuts, pieces);
    PEL_EXPECT(pel_tls_is_straight(to));
    PEL_EXPECT_ERR(pel_tls_open(to, pieces, num, room, PEL_TLS_ROOM_LEN, &used_len, &opened_len), PEL_OK);
    PEL_EXPECT_EQ(used_len, record_len);
    PEL_EXPECT_EQ(opened_len, len);
    PEL_EXPECT_MEM(room, plain, len);
    free_pieces(pieces, num);
    free(room);
}

PEL_TEST(straight, opens_what_is_cut_at_every_byte)
{
    uint8_t plain[100], record[200];
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        struct kit_pair pair;
        PEL_REQUIRE(make_secure(&pair, ours[i], false));
        for (size_t at = 0; at < 140; at++) {
            size_t cuts[3] = {at, at + 1, at + 9};
            fill(plain, sizeof plain, at);
            size_t len = seal(pair.server, plain, sizeof plain, record);
            expect_opens(pair.client, record, len, cuts, 1 + at % 3, plain, sizeof plain);
        }
        kit_pair_fini(&pair);
    }
}

/* Records of all lengths, straight and ordinary mixed at random, to BoringSSL's record layer and to ours. */
PEL_TEST(straight, is_one_stream_with_the_ordinary_way)
{
    uint8_t *plain = malloc(MAX_LEN), *record = malloc(MAX_LEN), *out = malloc(MAX_LEN);
    for (size_t i = 0; i < 2 * (sizeof ours / sizeof ours[0]); i++) {
        struct kit_pair pair;
        struct pel_prng prng;
        bool library = i % 2 == 1;
        PEL_REQUIRE(make_secure(&pair, ours[i / 2], library));
        pel_prng_seed(&prng, i + 1);
        pel_test_say("suite %04x seed %zu", ours[i / 2], i + 1);
        for (int round = 0; round < 200 && !pel_test_has_failed(); round++) {
            size_t len = 1 + pel_prng_below(&prng, pel_prng_below(&prng, 2) ? 16384 : 64), done_len = 0;
            size_t used_len = 0, cuts[20];
            fill(plain, len, pel_prng_next(&prng));
            bool straight = pel_prng_below(&prng, 3) > 0;
            if (straight) {
                size_t record_len = seal(pair.server, plain, len, record);
                for (size_t c = 0; c < 20; c++)
                    cuts[c] = (c + 1) * record_len / 21;
                if (!library && pel_prng_below(&prng, 2)) {
                    expect_opens(pair.client, record, record_len, cuts, 20, plain, len);
                    continue;
                }
                PEL_EXPECT_ERR(pel_tls_feed(pair.client, record, record_len, 0, &used_len), PEL_OK);
                PEL_EXPECT_EQ(used_len, record_len);
            } else {
                PEL_EXPECT_ERR(pel_tls_write(pair.server, plain, len, &used_len), PEL_OK);
                PEL_EXPECT_EQ(pel_tls_sealed_len(pair.server, 1), 0); /* that must leave first */
                kit_settle(&pair);
            }
            while (done_len < len &&
                   pel_tls_read(pair.client, out + done_len, len - done_len, &used_len) == PEL_OK)
                done_len += used_len;
            PEL_EXPECT_EQ(done_len, len);
            PEL_EXPECT_MEM(out, plain, len);
        }
        kit_pair_fini(&pair);
    }
    free(plain);
    free(record);
    free(out);
}

PEL_TEST(straight, refuses_a_wrong_bit_in_any_piece)
{
    uint8_t plain[300], record[400], room[400], zeros[400] = {0};
    for (size_t i = 0; i < 60; i++) {
        struct kit_pair pair;
        struct pel_piece pieces[4];
        size_t cuts[3] = {7, 100, 290}, used_len = 0, opened_len = 77;
        PEL_REQUIRE(make_secure(&pair, ours[i % 6], false));
        fill(plain, sizeof plain, i);
        size_t len = seal(pair.server, plain, sizeof plain, record);
        record[5 + i * (len - 5) / 60] ^= 4;
        size_t num = cut(record, len, cuts, 3, pieces);
        memset(room, 0, sizeof room);
        PEL_EXPECT_ERR(pel_tls_open(pair.client, pieces, num, room, sizeof room, &used_len, &opened_len),
                       PEL_E_TLS_BAD_RECORD_MAC);
        PEL_EXPECT_EQ(opened_len, 0);
        PEL_EXPECT_MEM(room, zeros, sizeof room);
        PEL_EXPECT_ERR(pel_tls_open(pair.client, pieces, num, room, sizeof room, &used_len, &opened_len),
                       PEL_E_TLS_BAD_RECORD_MAC); /* final */
        free_pieces(pieces, num);
        kit_pair_fini(&pair);
    }
}

PEL_TEST(straight, waits_for_a_whole_record)
{
    uint8_t plain[100], record[200], room[200];
    struct kit_pair pair;
    size_t used_len = 0, opened_len = 0;
    PEL_REQUIRE(make_secure(&pair, 0x1301, false));
    fill(plain, sizeof plain, 1);
    size_t len = seal(pair.server, plain, sizeof plain, record);
    struct pel_piece piece = {record, 0};
    for (; piece.len < len; piece.len++)
        PEL_EXPECT_ERR(pel_tls_open(pair.client, &piece, 1, room, sizeof room, &used_len, &opened_len),
                       PEL_E_AGAIN);
    PEL_EXPECT_ERR(pel_tls_open(pair.client, &piece, 1, room, len - 1, &used_len, &opened_len), PEL_E_ARG);
    PEL_EXPECT_ERR(pel_tls_open(pair.client, &piece, 1, room, len, &used_len, &opened_len), PEL_OK);
    /* Half a record that went the ordinary way must be finished there. */
    len = seal(pair.server, plain, sizeof plain, record);
    PEL_EXPECT_ERR(pel_tls_feed(pair.client, record, 50, 0, &used_len), PEL_OK);
    PEL_EXPECT(!pel_tls_is_straight(pair.client));
    PEL_EXPECT_ERR(pel_tls_open(pair.client, &piece, 1, room, sizeof room, &used_len, &opened_len),
                   PEL_E_STATE);
    kit_pair_fini(&pair);
}

/* A KeyUpdate that was asked for goes before the next record, which so can't be straight. */
PEL_TEST(straight, lets_a_key_update_go_first)
{
    struct kit_pair pair;
    uint8_t plain[10] = "key update", record[100];
    PEL_REQUIRE(make_secure(&pair, 0x1301, false));
    struct pel_own_record *own = pair.server->record_ctx;
    own->max_records = own->out.sequence + 3;
    for (int i = 0; i < 3; i++) {
        size_t len = seal(pair.server, plain, sizeof plain, record);
        expect_opens(pair.client, record, len, NULL, 0, plain, sizeof plain);
    }
    PEL_EXPECT_EQ(pel_tls_sealed_len(pair.server, 1), 0);
    PEL_EXPECT_ERR(pel_tls_seal(pair.server, plain, sizeof plain, record), PEL_E_STATE);
    PEL_EXPECT(kit_transfer(&pair, pair.server, pair.client, 1, 1));
    size_t len = seal(pair.server, plain, sizeof plain, record);
    expect_opens(pair.client, record, len, NULL, 0, plain, sizeof plain);
    PEL_EXPECT_ERR(pel_tls_close(pair.server), PEL_OK);
    PEL_EXPECT_EQ(pel_tls_sealed_len(pair.server, 1), 0);
    kit_pair_fini(&pair);
}
