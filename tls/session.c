/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tls/names.h"

#define TO PEL_SM_TO

const struct pel_sm_row pel_tls_rows[PEL_TLS_STATE_NR] = {
    [PEL_TLS_HELLO_WAIT] = {"HELLO_WAIT", TO(PEL_TLS_HANDSHAKE) | TO(PEL_TLS_FAILED), PEL_SM_INITIAL},
    [PEL_TLS_HANDSHAKE] = {"HANDSHAKE", TO(PEL_TLS_SECURE) | TO(PEL_TLS_FAILED), 0},
    [PEL_TLS_SECURE] = {"SECURE", TO(PEL_TLS_FAILED), 0},
    [PEL_TLS_FAILED] = {"FAILED", 0, PEL_SM_FINAL},
};

const struct pel_sm_row pel_half_rows[PEL_HALF_NR] = {
    [PEL_HALF_WAIT] = {"WAIT", TO(PEL_HALF_OPEN) | TO(PEL_HALF_ENDED), PEL_SM_INITIAL},
    [PEL_HALF_OPEN] = {"OPEN", TO(PEL_HALF_ENDED) | TO(PEL_HALF_CUT), 0},
    [PEL_HALF_ENDED] = {"ENDED", 0, PEL_SM_FINAL},
    [PEL_HALF_CUT] = {"CUT", 0, PEL_SM_FINAL},
};

bool pel_session_invariant(const struct pel_tls *tls)
{
    bool secure = tls->state.state == PEL_TLS_SECURE;
    if (secure && (tls->ops == NULL || tls->record_ctx == NULL || tls->hs != NULL || tls->cipher == 0))
        return false;
    if (!secure && tls->state.state != PEL_TLS_FAILED &&
        (tls->plain.len > 0 || tls->reading.state != PEL_HALF_WAIT))
        return false; /* no clear text before the handshake is done */
    if ((tls->state.state == PEL_TLS_FAILED) != (tls->err != PEL_OK))
        return false;
    if (tls->reading.state == PEL_HALF_ENDED && tls->in.len > 0)
        return false; /* nothing counts after close_notify */
    return secure || tls->state.state == PEL_TLS_FAILED || tls->writing.state != PEL_HALF_OPEN;
}

enum pel_err pel_session_fail(struct pel_tls *tls, enum pel_err err, const char *text)
{
    if (tls->state.state == PEL_TLS_FAILED)
        return tls->err;
    assert(err != PEL_OK && err != PEL_E_AGAIN && err != PEL_E_EOF);
    tls->err = pel_count_err(tls->counters, err);
    tls->failure =
        strdup(text != NULL ? text : pel_err_text(err)); /* without memory info falls back on the sentence */
    tls->deadline_us = UINT64_MAX;
    pel_sm_move(&tls->state, PEL_TLS_FAILED);
    pel_buffer_fini(&tls->in);
    return err;
}

void pel_session_alert(struct pel_tls *tls, uint8_t description)
{
    if (tls->hs != NULL)
        pel_hs_alert(tls->hs, description);
    else if (tls->record_ctx != NULL && tls->writing.state == PEL_HALF_OPEN &&
             tls->ops->alert(tls->record_ctx, description, &tls->out) != PEL_OK)
        return; /* no memory for seven bytes: the reset that follows says the rest */
}

static uint64_t after(uint64_t now_us, uint64_t interval_us)
{
    return interval_us == 0 || now_us > UINT64_MAX - interval_us ? UINT64_MAX : now_us + interval_us;
}

static uint64_t start_deadline_us(const struct pel_tls_env *env, bool active, uint64_t now_us)
{
    uint64_t interval_us = env->handshake_timeout_us;
    if (active)
        interval_us = interval_us > UINT64_MAX / 5 ? UINT64_MAX : interval_us * 5;
    return after(now_us, interval_us);
}

void pel_session_first_byte(struct pel_tls *tls, uint64_t now_us)
{
    if (tls->state.state != PEL_TLS_HELLO_WAIT)
        return;
    pel_sm_move(&tls->state, PEL_TLS_HANDSHAKE);
    tls->deadline_us = after(now_us, tls->env->handshake_timeout_us);
}

static enum pel_err dup_text(const char *text, char **ret_text)
{
    char *copy = NULL;
    if (text[0] != '\0' && (copy = strdup(text)) == NULL)
        return PEL_E_NO_MEMORY;
    free(*ret_text);
    *ret_text = copy;
    return PEL_OK;
}

static enum pel_err keep_facts(struct pel_tls *tls)
{
    struct pel_hs_facts facts;
    pel_hs_facts(tls->hs, &facts);
    PEL_TRY(dup_text(facts.peer_subject, &tls->peer_subject));
    PEL_TRY(dup_text(facts.server_name, &tls->server_name));
    tls->peer_cert = pel_hs_peer_cert(tls->hs);
    tls->user = facts.user;
    tls->version = facts.version;
    tls->cipher = facts.cipher;
    tls->group = facts.group;
    tls->resumed = facts.resumed;
    tls->name_checked = facts.name_checked;
    return PEL_OK;
}

/* The handshake is done: the record engine takes over, and both directions open. */
static enum pel_err become_secure(struct pel_tls *tls)
{
    PEL_TRY(keep_facts(tls));
    const struct pel_record_ops *ops = pel_record_choose(tls->env, tls->cipher);
    void *ctx = calloc(1, ops->ctx_len);
    if (ctx == NULL)
        return PEL_E_NO_MEMORY;
    enum pel_err err = ops->init(ctx, tls->hs, tls->env, tls->key_cache, tls->cipher);
    if (err != PEL_OK) {
        free(ctx);
        return err;
    }
    tls->ops = ops;
    tls->record_ctx = ctx;
    tls->hs = NULL;
    tls->num_handshake_records = 0;
    bool renews = tls->env->reset_cipher_us > 0 && tls->version == 0x0304;
    tls->deadline_us = renews ? after(tls->now_us, tls->env->reset_cipher_us) : UINT64_MAX;
    pel_sm_move(&tls->state, PEL_TLS_SECURE);
    pel_sm_move(&tls->reading, PEL_HALF_OPEN);
    if (tls->writing.state == PEL_HALF_WAIT)
        pel_sm_move(&tls->writing, PEL_HALF_OPEN);
    pel_count_stat(tls->counters,
                   tls->env->role == PEL_TLS_SERVER ? PEL_STAT_tls_handshakes_server
                                                    : PEL_STAT_tls_handshakes_client,
                   1);
    pel_count_stat(tls->counters, PEL_STAT_tls_resumed, tls->resumed ? 1 : 0);
    return PEL_OK;
}

enum pel_err pel_session_handshake(struct pel_tls *tls, const uint8_t *record, size_t len)
{
    struct pel_error error = {0};
    bool done = false;
    if (++tls->num_handshake_records > PEL_MAX_HANDSHAKE_RECORDS) {
        pel_session_alert(tls, 10);
        return pel_session_fail(tls, PEL_E_TLS_TOO_MANY_EMPTY, "the handshake has come in too many records");
    }
    enum pel_err err = pel_hs_step(tls->hs, record, len, tls->now_us, &done, &error);
    if (err != PEL_OK)
        return pel_session_fail(tls, err, error.text);
    if (!done)
        return PEL_OK;
    err = become_secure(tls);
    return err != PEL_OK ? pel_session_fail(tls, err, NULL) : PEL_OK;
}

static enum pel_err start(struct pel_tls *tls, const char *server_name, struct pel_tls_env *env,
                          uint32_t binding)
{
    PEL_TRY(pel_hs_new(env, binding, server_name, &tls->out, &tls->hs));
    PEL_TRY(dup_text(pel_hs_name(tls->hs), &tls->server_name));
    return env->role == PEL_TLS_CLIENT ? pel_session_handshake(tls, NULL, 0) : PEL_OK;
}

enum pel_err pel_tls_new(struct pel_tls_env *env, const char *server_name, uint64_t now_us,
                         struct pel_counters *counters, struct pel_tls **ret_tls)
{
    return pel_tls_new_bound(env, 0, server_name, now_us, counters, ret_tls);
}

enum pel_err pel_tls_new_bound(struct pel_tls_env *env, uint32_t binding, const char *server_name,
                               uint64_t now_us, struct pel_counters *counters, struct pel_tls **ret_tls)
{
    struct pel_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return pel_count_err(counters, PEL_E_NO_MEMORY);
    pel_sm_init(&tls->state, pel_tls_rows, PEL_TLS_STATE_NR, PEL_TLS_HELLO_WAIT);
    pel_sm_init(&tls->reading, pel_half_rows, PEL_HALF_NR, PEL_HALF_WAIT);
    pel_sm_init(&tls->writing, pel_half_rows, PEL_HALF_NR, PEL_HALF_WAIT);
    tls->env = pel_tls_env_ref(env);
    tls->binding = binding;
    tls->counters = counters;
    tls->now_us = now_us;
    tls->deadline_us = start_deadline_us(env, env->role == PEL_TLS_CLIENT, now_us);
    enum pel_err err = start(tls, server_name, env, binding);
    if (err != PEL_OK) {
        if (tls->state.state != PEL_TLS_FAILED)
            (void)pel_count_err(counters, err);
        pel_tls_free(tls);
        return err;
    }
    assert(pel_session_invariant(tls));
    *ret_tls = tls;
    return PEL_OK;
}

void pel_tls_set_key_cache(struct pel_tls *tls, struct pel_key_cache *cache)
{
    if (tls->record_ctx == NULL)
        tls->key_cache = cache;
}

void pel_tls_set_active(struct pel_tls *tls, bool active, uint64_t now_us)
{
    if (tls->state.state == PEL_TLS_HELLO_WAIT)
        tls->deadline_us = start_deadline_us(tls->env, active, now_us);
}

void pel_tls_free(struct pel_tls *tls)
{
    if (tls == NULL)
        return;
    pel_hs_free(tls->hs);
    if (tls->record_ctx != NULL)
        tls->ops->fini(tls->record_ctx);
    free(tls->record_ctx);
    pel_buffer_fini(&tls->in);
    pel_buffer_fini(&tls->plain);
    pel_buffer_fini(&tls->out);
    free(tls->peer_subject);
    pel_peer_cert_free(tls->peer_cert);
    free(tls->server_name);
    free(tls->failure);
    pel_tls_env_unref(tls->env);
    free(tls);
}

bool pel_tls_is_secure(const struct pel_tls *tls)
{
    return tls->state.state == PEL_TLS_SECURE;
}

uint64_t pel_tls_deadline_us(const struct pel_tls *tls)
{
    return tls->deadline_us;
}

enum pel_err pel_tls_tick(struct pel_tls *tls, uint64_t now_us)
{
    if (tls->state.state == PEL_TLS_FAILED)
        return tls->err;
    tls->now_us = now_us;
    if (now_us < tls->deadline_us)
        return PEL_OK;
    if (tls->state.state == PEL_TLS_SECURE) { /* only then does anybody need the keys' age again */
        tls->renewal_due = true;
        tls->deadline_us = after(now_us, tls->env->reset_cipher_us);
        return PEL_OK;
    }
    if (tls->state.state == PEL_TLS_HELLO_WAIT)
        return pel_session_fail(
            tls, PEL_E_TLS_HANDSHAKE_START_TIMEOUT,
            tls->env->role == PEL_TLS_SERVER
                ? "the handshake did not start in time (RC 5004): the client sent not one byte; "
                  "are both ends servers, or does the client wait for a greeting in clear?"
                : "the handshake did not start in time (RC 5004): the server did not answer the hello; "
                  "does it speak TLS on this port?");
    pel_session_alert(tls, 90); /* user_canceled: the nearest that TLS has */
    return pel_session_fail(tls, PEL_E_TLS_HANDSHAKE_TIMEOUT, NULL);
}

void pel_tls_info(const struct pel_tls *tls, struct pel_tls_info *ret_info)
{
    const char *version = pel_name_of(PEL_NAME_VERSION, tls->version);
    const char *cipher = pel_name_of(PEL_NAME_CIPHER, tls->cipher);
    const char *failed = tls->err != PEL_OK ? pel_err_text(tls->err) : "";
    *ret_info = (struct pel_tls_info){
        .state = pel_sm_name(&tls->state),
        .version = tls->version != 0 && version != NULL ? version : "",
        .version_number = tls->version,
        .cipher = tls->cipher,
        .cipher_name = tls->cipher != 0 && cipher != NULL ? cipher : "",
        .group = tls->group,
        .peer_subject = tls->peer_subject != NULL ? tls->peer_subject : "",
        .user = tls->user != NULL ? tls->user : "",
        .server_name = tls->server_name != NULL ? tls->server_name : "",
        .name_checked = tls->name_checked,
        .resumed = tls->resumed,
        .failure = tls->failure != NULL ? tls->failure : failed,
    };
}
