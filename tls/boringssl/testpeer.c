/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/boringssl/testpeer.h"

#include "tls/boringssl/vendor.h"
#include "tls/own_record.h"
#include "tls/session.h"

/* The handshake object within the context of tls/boringssl/record.c, which begins with it. */
static struct pel_hs *hs_of(struct pel_tls *tls)
{
    struct pel_hs *hs = *(struct pel_hs **)tls->record_ctx;
    hs->out = &tls->out;
    return hs;
}

bool testpeer_key_update(struct pel_tls *tls, bool request)
{
    if (tls->ops == &pel_record_own)
        return pel_own_update(tls->record_ctx, request, &tls->out) == PEL_OK;
    struct pel_hs *hs = hs_of(tls);
    return SSL_key_update(hs->ssl, request ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
           SSL_write(hs->ssl, NULL, 0) == 0;
}

bool testpeer_alert(struct pel_tls *tls, unsigned char description)
{
    if (tls->ops == &pel_record_own)
        return tls->ops->alert(tls->record_ctx, description, &tls->out) == PEL_OK;
    return SSL_send_fatal_alert(hs_of(tls)->ssl, description) >= 0;
}

bool testpeer_set_tls13_suites(struct pel_tls *tls, const uint16_t *codes, size_t num)
{
    return SSL_CTX_set_pel_tls13_ciphers(SSL_get_SSL_CTX(tls->hs->ssl), codes, num) == 1;
}

void testpeer_thread_fini(void)
{
    ERR_remove_thread_state(NULL);
}
