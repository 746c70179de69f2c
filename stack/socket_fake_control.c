/* SPDX-License-Identifier: Apache-2.0 */
/* The fake engine has no policy: what a program may ask of TLS is answered so, and never done. */
#include <errno.h>

#include "stack/conn_control.h"
#include "stack/socket_fake_net.h"

int pel_conn_may_control(const struct pel_conn *conn, uint32_t request)
{
    MUST(pel_fake_here == conn->engine && conn->is_mapped);
    return pel_ttls_only_asks(request) ? 0 : EOPNOTSUPP;
}

const uint8_t *pel_conn_facts(const struct pel_conn *conn, struct pel_ttls_facts *ret_facts)
{
    MUST(pel_fake_here == conn->engine);
    *ret_facts = (struct pel_ttls_facts){.stat_policy = TTLS_POL_NO_POLICY, .stat_conn = TTLS_CONN_NOTSECURE};
    return NULL;
}

enum pel_err pel_conn_give_back(struct pel_conn *conn, const struct pel_piece *pieces, size_t num)
{
    (void)conn, (void)pieces, (void)num;
    abort();
}

void pel_conn_start_tls(struct pel_conn *conn, bool allow_start_timeout)
{
    (void)conn, (void)allow_start_timeout;
    abort();
}

void pel_conn_stop_tls(struct pel_conn *conn)
{
    (void)conn;
    abort();
}

int pel_conn_reset_tls(struct pel_conn *conn, uint32_t request)
{
    (void)conn, (void)request;
    abort();
}
