/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which local addresses and ports programs have bound, by the rules of socket(7): SO_REUSEADDR lets sockets
 * share a port as long as none of them listens, SO_REUSEPORT lets those of one user share it always.
 */
#include <stdlib.h>

#include "stack/serve/parts.h"

#define NUM_PORTS    65536u
#define FIRST_CHOSEN 32768u
#define LAST_CHOSEN  60999u

struct pel_list *pel_serve_names_new(void)
{
    struct pel_list *rows = calloc(NUM_PORTS, sizeof *rows);
    for (size_t i = 0; rows != NULL && i < NUM_PORTS; i++)
        pel_list_init(&rows[i]);
    return rows;
}

/* Whether a connection could be to either. The wildcard of IPv6 takes IPv4 too unless it is IPv6 only. */
static bool overlap(const struct pel_serve_name *a, const struct pel_serve_name *b)
{
    bool is_any_a = pel_ip_is_any(&a->local.ip), is_any_b = pel_ip_is_any(&b->local.ip);
    if (!is_any_a && !is_any_b)
        return pel_ip_equal(&a->local.ip, &b->local.ip);
    bool takes_v4_a = a->local.ip.version == 4 || (is_any_a && a->local.ip.version != 4 && !a->is_v6only);
    bool takes_v4_b = b->local.ip.version == 4 || (is_any_b && b->local.ip.version != 4 && !b->is_v6only);
    bool takes_v6_a = a->local.ip.version != 4, takes_v6_b = b->local.ip.version != 4;
    return (takes_v4_a && takes_v4_b) || (takes_v6_a && takes_v6_b);
}

static bool may_share(const struct pel_serve_name *a, const struct pel_serve_name *b)
{
    if (a->is_reuseport && b->is_reuseport && a->uid == b->uid)
        return true;
    return a->is_reuseaddr && b->is_reuseaddr && !(a->is_stream && (a->is_listening || b->is_listening));
}

static bool is_free(const struct pel_serve *serve, const struct pel_serve_name *name)
{
    const struct pel_list *row = &serve->names[name->local.port];
    for (const struct pel_list *link = row->next; link != row; link = link->next) {
        const struct pel_serve_name *other = PEL_PART_OF(link, struct pel_serve_name, link);
        if (other != name && other->is_stream == name->is_stream && overlap(name, other) &&
            !may_share(name, other))
            return false;
    }
    return true;
}

enum pel_err pel_serve_name_take(struct pel_serve *serve, struct pel_serve_name *name)
{
    bool is_chosen = name->local.port == 0;
    for (uint32_t i = FIRST_CHOSEN; is_chosen && i <= LAST_CHOSEN; i++) {
        if (serve->next_port < FIRST_CHOSEN || serve->next_port > LAST_CHOSEN)
            serve->next_port = FIRST_CHOSEN;
        name->local.port = serve->next_port++;
        if (pel_list_is_empty(&serve->names[name->local.port]))
            break;
        name->local.port = 0;
    }
    if (name->local.port == 0)
        return PEL_E_NO_LOCAL_PORT;
    if (!is_free(serve, name)) {
        if (is_chosen)
            name->local.port = 0;
        return PEL_E_ADDRESS_IN_USE;
    }
    name->is_bound = true;
    pel_list_append(&serve->names[name->local.port], &name->link);
    return PEL_OK;
}

void pel_serve_name_inherit(struct pel_serve *serve, struct pel_serve_name *name,
                            const struct pel_serve_name *listener)
{
    name->is_stream = true;
    name->is_v6only = listener->is_v6only;
    name->is_reuseaddr = listener->is_reuseaddr;
    name->is_reuseport = listener->is_reuseport;
    name->uid = listener->uid;
    name->is_bound = true;
    pel_list_append(&serve->names[name->local.port], &name->link);
}

bool pel_serve_name_may_listen(struct pel_serve *serve, const struct pel_serve_name *name)
{
    struct pel_serve_name listening = *name;
    listening.is_listening = true;
    const struct pel_list *row = &serve->names[name->local.port];
    for (const struct pel_list *link = row->next; link != row; link = link->next) {
        const struct pel_serve_name *other = PEL_PART_OF(link, struct pel_serve_name, link);
        if (other != name && other->is_stream && other->is_listening && overlap(name, other) &&
            !may_share(&listening, other))
            return false;
    }
    return true;
}

void pel_serve_name_release(struct pel_serve_name *name)
{
    pel_list_remove(&name->link);
    name->is_bound = false;
}
