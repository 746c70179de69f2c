/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control sockets in PEL_CONTROL_DIR of all stacks that run.
 */
#ifndef PEL_APPS_PEL_SOCKETS_H
#define PEL_APPS_PEL_SOCKETS_H

typedef void sockets_fn(void *arg, const char *path);

/* sockets_each calls `found` with the path of each socket at which a stack answers, or may: one that this
 * user must not ask is among them. By name. */
void sockets_each(sockets_fn *found, void *arg);

#endif
