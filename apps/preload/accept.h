/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listener that outlives its daemon.
 */
#ifndef PEL_PRELOAD_ACCEPT_H
#define PEL_PRELOAD_ACCEPT_H

#include "apps/preload/file.h"

/* pel_listen_again has a listener whose daemon has died, and whose slot was `seen_slot`, listen again at a
 * new one, at the same address. 0: it does; -EAGAIN: not yet (after a pause, so that nobody turns in
 * circles); -EINVAL: the daemon lives, and has ended the socket. */
int pel_listen_again(struct pel_file *listener, const struct pel_slot *seen_slot);

/* pel_listen_anew has a listener that was shut down listen again: over a channel of its own, since what was
 * shut stays shut. 0 or an errno. */
int pel_listen_anew(struct pel_file *listener);

/* pel_listen_forked makes the lock new in a forked child. */
void pel_listen_forked(void);

#endif
