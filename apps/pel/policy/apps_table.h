/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications that `pel policy new` knows: on which ports they are spoken to over TLS, who begins TLS when,
 * which security level suits their peers, and what the other side must do.
 */
#ifndef PEL_APPS_PEL_POLICY_APPS_TABLE_H
#define PEL_APPS_PEL_POLICY_APPS_TABLE_H

#include <stddef.h>

enum app_port {
    APP_PORT_TLS,       /* registered at IANA for the application over TLS */
    APP_PORT_OWN,       /* registered for the application, which has no other for TLS */
    APP_PORT_CUSTOMARY, /* what the application's own documents say */
};

enum app_flag {
    APP_ASKS = 1,        /* the program begins in clear and asks for TLS itself */
    APP_SECONDARY = 2,   /* its later connections belong to its first */
    APP_MUTUAL = 4,      /* servers want the client's certificate */
    APP_CLIENT_ONLY = 8, /* the program never is the server */
    APP_PUBLIC = 16,     /* servers usually have certificates of public authorities */
};

struct app {
    const char *name;  /* "postgresql" */
    const char *title; /* "PostgreSQL" */
    const char *ports; /* "443", "8443-8444", "2888 3888": each alone or a range */
    enum app_port port_kind;
    unsigned flags;    /* enum app_flag */
    const char *level; /* a predefined security level */
    const char *what;  /* one line: what the rule protects */
    const char *peer;  /* one sentence: what clients must do */
};

/* apps_table returns the applications in the order of the list, and their number. Static. */
const struct app *apps_table(size_t *ret_num);

/* apps_find returns the application of that name, letters without case, or NULL. */
const struct app *apps_find(const char *name);

#endif
