/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a descriptor's life, and of the process's part in a socket.
 */
#ifndef PEL_PRELOAD_CLOSE_H
#define PEL_PRELOAD_CLOSE_H

#include "apps/preload/file.h"

/* pel_close_last is called with a file that has no reference any more: it leaves the slot, and closes a
 * channel that was kept for calls under way. */
void pel_close_last(struct pel_file *file);

/* pel_close_number takes `fd` out of the table, as close does before the kernel closes it: of a file whose
 * last number it is the process is no holder any more. Returns the file with a reference, or NULL: nothing
 * stood there. pel_close_done takes the reference over after the kernel has closed the number. */
struct pel_file *pel_close_number(int fd);
void pel_close_done(struct pel_file *file);

/* pel_close_leave_all: the process is no holder of any socket any more, since it ends or (`is_end` false)
 * since another program takes its place; pel_close_enter_all takes that back.
 * pel_close_count_child counts a child in that is about to be forked, in the parent: whose close is the last
 * must be right from the child's first moment on. pel_close_uncount_child takes that back: there is none. */
void pel_close_leave_all(bool is_end);
void pel_close_enter_all(void);
void pel_close_count_child(void);
void pel_close_uncount_child(void);

/* pel_close_is_borrowed tells whether this is a vfork child, whose memory is its parent's: it may not change
 * the table. pel_close_forked is called in a forked child, and at the start. */
bool pel_close_is_borrowed(void);
void pel_close_forked(void);

#endif
