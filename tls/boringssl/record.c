/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BoringSSL's own record layer as an engine: it keeps the handshake object. All suites.
 */
#include "tls/record.h"

#include <assert.h>
#include <stdlib.h>

#include "tls/boringssl/vendor.h"

/* Beyond the session's own limit on data: an alert and a close_notify must always fit. */
#define OUT_MAX_LEN (96u * 1024u)

struct context {
    struct pel_hs *hs;
};

static enum pel_err record_init(void *ctx, struct pel_hs *hs, const struct pel_tls_env *env,
                                struct pel_key_cache *cache, uint16_t cipher)
{
    (void)env, (void)cache, (void)cipher;
    struct context *context = ctx;
    hs->out_limit = OUT_MAX_LEN > hs->out->len + 2048 ? OUT_MAX_LEN : hs->out->len + OUT_MAX_LEN;
    context->hs = hs;
    return PEL_OK;
}

static void record_fini(void *ctx)
{
    struct context *context = ctx;
    pel_hs_free(context->hs);
    context->hs = NULL;
}

static enum pel_err open_whole(void *ctx, const uint8_t *record, size_t record_len, uint8_t *plain,
                               size_t cap, struct pel_buffer *out, struct pel_record_opened *ret_opened,
                               struct pel_error *reterr)
{
    struct pel_hs *hs = ((struct context *)ctx)->hs;
    ERR_clear_error();
    hs->out = out;
    hs->in = record;
    hs->in_len = record_len;
    int ret = SSL_read(hs->ssl, plain, (int)cap);
    size_t left_len = hs->in_len;
    hs->in = NULL;
    hs->in_len = 0;
    if (ret > 0) {
        assert(left_len == 0 && SSL_pending(hs->ssl) == 0);
        *ret_opened = (struct pel_record_opened){.kind = PEL_RECORD_DATA, .len = (size_t)ret};
        return PEL_OK;
    }
    enum pel_err err = pel_hs_error(hs, ret, reterr); /* a KeyUpdate is answered with the next write */
    if (err != PEL_OK && err != PEL_E_EOF)
        return err;
    *ret_opened =
        (struct pel_record_opened){.kind = err == PEL_E_EOF ? PEL_RECORD_CLOSE_NOTIFY : PEL_RECORD_HANDLED};
    return PEL_OK;
}

/* BoringSSL reads a record in one piece. */
static enum pel_err record_open(void *ctx, const struct pel_piece *pieces, size_t num, size_t record_len,
                                uint8_t *plain, size_t cap, struct pel_buffer *out,
                                struct pel_record_opened *ret_opened, struct pel_error *reterr)
{
    if (pieces[0].len >= record_len)
        return open_whole(ctx, pieces[0].bytes, record_len, plain, cap, out, ret_opened, reterr);
    uint8_t *record = malloc(record_len);
    if (record == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "%s", pel_err_text(PEL_E_NO_MEMORY));
    pel_pieces_copy(pieces, num, 0, record, record_len);
    enum pel_err err = open_whole(ctx, record, record_len, plain, cap, out, ret_opened, reterr);
    free(record);
    return err;
}

static size_t record_sealed_len(const void *ctx, size_t len)
{
    (void)ctx, (void)len;
    return 0; /* BoringSSL writes where it wants */
}

static enum pel_err record_seal(void *ctx, const uint8_t *plain, size_t len, struct pel_buffer *out)
{
    struct pel_hs *hs = ((struct context *)ctx)->hs;
    struct pel_error error;
    ERR_clear_error();
    hs->out = out;
    int ret = SSL_write(hs->ssl, plain, (int)len);
    if (ret == (int)len)
        return PEL_OK;
    enum pel_err err = pel_hs_error(hs, ret, &error);
    return err == PEL_E_NO_MEMORY ? err : PEL_E_TLS_INTERNAL;
}

/* The KeyUpdate goes out before the next record. */
static enum pel_err record_update(void *ctx, bool ask_peer, struct pel_buffer *out)
{
    struct pel_hs *hs = ((struct context *)ctx)->hs;
    ERR_clear_error();
    hs->out = out;
    if (SSL_version(hs->ssl) < TLS1_3_VERSION ||
        SSL_key_update(hs->ssl, ask_peer ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED))
        return PEL_OK;
    ERR_clear_error();
    return PEL_E_TLS_INTERNAL;
}

/* Here no ticket of TLS 1.3 is kept anyway. */
static void record_forget(void *ctx)
{
    (void)ctx;
}

static enum pel_err record_close(void *ctx, struct pel_buffer *out)
{
    struct pel_hs *hs = ((struct context *)ctx)->hs;
    ERR_clear_error();
    hs->out = out;
    int ret = SSL_shutdown(hs->ssl);
    ERR_clear_error();
    if (ret >= 0)
        return PEL_OK;
    return hs->out_err == PEL_E_NO_MEMORY ? PEL_E_NO_MEMORY : PEL_E_TLS_INTERNAL;
}

static enum pel_err record_alert(void *ctx, uint8_t description, struct pel_buffer *out)
{
    struct pel_hs *hs = ((struct context *)ctx)->hs;
    hs->out = out;
    pel_hs_alert(hs, description);
    return hs->out_err == PEL_OK ? PEL_OK : PEL_E_NO_MEMORY;
}

const struct pel_record_ops pel_record_library = {
    .name = "boringssl",
    .ctx_len = sizeof(struct context),
    .init = record_init,
    .fini = record_fini,
    .open = record_open,
    .seal = record_seal,
    .update = record_update,
    .forget = record_forget,
    .sealed_len = record_sealed_len,
    .close = record_close,
    .alert = record_alert,
};
