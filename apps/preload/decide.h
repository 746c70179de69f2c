/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a socket belongs: to the kernel or to the stack; and its becoming the stack's.
 */
#ifndef PEL_PRELOAD_DECIDE_H
#define PEL_PRELOAD_DECIDE_H

#include "apps/preload/address.h"
#include "apps/preload/file.h"

enum pel_place {
    PEL_PLACE_KERNEL,
    PEL_PLACE_STACK,
    PEL_PLACE_NONE /* no daemon answers, and the kernel is not asked instead: ENETDOWN */
};

/* pel_decide_place tells whose an address is. Attaches. */
enum pel_place pel_decide_place(const union pel_ipc_address *address, bool is_bind);

/* pel_decide_for_kernel takes an undecided socket out of the table: the kernel's for ever. */
void pel_decide_for_kernel(struct pel_file *file);

/* pel_decide_for_stack makes an undecided socket the stack's, bound to `local` (AF_UNSPEC: not bound), at all
 * numbers that it has; options that were set so far go along. 0 or an errno. When another thread has decided
 * it meanwhile: EINVAL, if it was to be bound. */
int pel_decide_for_stack(struct pel_file *file, const union pel_ipc_address *local);

/* pel_file_point has a file know its slot: rings and all. Before it is installed. */
void pel_file_point(struct pel_file *file, struct pel_app *app, uint32_t number, uint32_t serial);

/* pel_decide_replace puts a socket's channel, which it closes, at all numbers of the file; sets learn of it.
 * 0 or an errno. */
int pel_decide_replace(struct pel_file *file, int channel);

/* pel_decide_watch makes a descriptor that is the kernel's own an undecided one, if it is a socket that could
 * belong to the stack and has no name yet: one that came from before an exec. NULL: it stays the kernel's;
 * else with a reference. */
struct pel_file *pel_decide_watch(int fd);

/* pel_send_decides decides an undecided socket by where its first datagram goes. 0: it is the stack's now;
 * -1: the kernel's, or the kernel knows the error; or an errno. */
int pel_send_decides(struct pel_file *file, const struct sockaddr *address, socklen_t len);

/* pel_decide_forked makes the lock new in a forked child: another thread may have held it in the parent. */
void pel_decide_forked(void);

/* pel_file_info asks the daemon about the connection. 0 or an errno. */
int pel_file_info(struct pel_file *file, struct pel_ipc_info *ret_info);

#endif
