/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PEL_PRELOAD_OPTIONS_H
#define PEL_PRELOAD_OPTIONS_H

#include "apps/preload/file.h"

/* pel_options_of_kernel reads what the daemon has to know of a kernel socket's options. */
void pel_options_of_kernel(int fd, struct pel_slot_options *ret_options);

/* pel_options_carry_over copies what processes share: O_NONBLOCK, timeouts, lengths to be told back. */
void pel_options_carry_over(int fd, struct pel_file *file);

/* pel_options_of_listener has the kernel know a listener's timeout, which waits on its channel;
 * pel_options_inherit gives an accepted socket what it has of its listener. */
void pel_options_of_listener(const struct pel_file *listener, int fd);
void pel_options_inherit(struct pel_file *file, const struct pel_file *listener);

/* pel_options_set and pel_options_get: setsockopt and getsockopt of a socket of the stack. 0 or an errno. */
int pel_options_set(struct pel_file *file, int fd, int level, int name, const void *value,
                    unsigned value_len);
int pel_options_get(struct pel_file *file, int level, int name, void *ret_value, unsigned *value_len);

#endif
