/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SecondaryMap (IBM z/OS Communications Server IP Configuration Guide, AT-TLS): for programs whose later
 * connections no rule can tell, as FTP's data connections. A connection that maps to a rule with SecondaryMap
 * On is a primary: it stands in a table of the stack under its process, local and remote IP address, as long
 * as it lives. A later connection of the same process between the same addresses follows it when no rule
 * matches, or one of lower priority than the primary's: it has the primary's rule, generation and
 * environment.
 *
 * The engines of a stack share the table, since the connections of a process may live on any. It is locked
 * only when there is a primary at all, whichever generation has mapped it. Of several primaries that a
 * connection could follow it follows the last.
 */
#ifndef PEL_STACK_SECONDARY_H
#define PEL_STACK_SECONDARY_H

#include <pellucid/engine.h>
#include <pthread.h>
#include <stdint.h>

struct pel_primary;

struct pel_primaries {
    pthread_mutex_t lock;
    uint32_t num;              /* written under the lock, read without */
    uint64_t key[2];           /* of the hash: peers choose addresses */
    struct pel_primary **rows; /* under the lock; NULL before the first */
};

/* pel_primaries_init makes an empty table; pel_primaries_fini frees it, once no connection is left. */
void pel_primaries_init(struct pel_primaries *primaries);
void pel_primaries_fini(struct pel_primaries *primaries);

/* pel_secondary_follow gives a connection that was just looked up (its rule may be NULL) the rule and
 * generation of a primary, if it is to follow one. The engine's thread. */
void pel_secondary_follow(struct pel_conn *conn, const struct pel_identity *identity);

/* pel_secondary_lead makes a connection that was just mapped a primary, if its rule says so and it follows
 * none. NO_MEMORY: it cannot be one, and must be refused, since what should follow it would go its own way.
 * The engine's thread. */
PEL_MUST_USE enum pel_err pel_secondary_lead(struct pel_conn *conn, const struct pel_identity *identity);

/* pel_secondary_end takes the connection out of the table, if it is there: its owner has given it up, or it
 * has ended. Those that follow it stay as they are. The engine's thread. */
void pel_secondary_end(struct pel_conn *conn);

#endif
