/* SPDX-License-Identifier: Apache-2.0 */
/* What a program that controls TLS itself may ask of a session. */
#include "tls/session.h"

void pel_tls_keep_rest(struct pel_tls *tls)
{
    tls->keeps_rest = true;
}

bool pel_tls_has_ended(const struct pel_tls *tls)
{
    return tls->reading.state == PEL_HALF_ENDED && tls->plain.len == 0;
}

enum pel_err pel_tls_renew_keys(struct pel_tls *tls, bool ask_peer)
{
    if (tls->state.state == PEL_TLS_FAILED)
        return tls->err;
    if (tls->state.state != PEL_TLS_SECURE || tls->writing.state != PEL_HALF_OPEN)
        return PEL_E_STATE;
    if (tls->version != 0x0304)
        return PEL_E_UNSUPPORTED;
    tls->renewal_due = false;
    enum pel_err err = tls->ops->update(tls->record_ctx, ask_peer, &tls->out);
    return err != PEL_OK ? pel_session_fail(tls, err, NULL) : PEL_OK;
}

void pel_tls_forget_session(struct pel_tls *tls)
{
    if (tls->record_ctx != NULL)
        tls->ops->forget(tls->record_ctx);
    pel_hs_forget(tls->env, tls->binding, tls->server_name != NULL ? tls->server_name : "");
}

const uint8_t *pel_tls_peer_cert(const struct pel_tls *tls, size_t *ret_len)
{
    *ret_len = 0;
    return tls->peer_cert != NULL ? pel_peer_cert_bytes(tls->peer_cert, ret_len) : NULL;
}
