/* SPDX-License-Identifier: Apache-2.0 */
/* SIOCTTLSCTL under `pel run`. */
#ifndef PEL_PRELOAD_TTLS_H
#define PEL_PRELOAD_TTLS_H

#include "apps/preload/file.h"
#include "ipc/ttls.h"

/* pel_file_ttls is SIOCTTLSCTL (pellucid/ttls.h) on a file; returns 0 or an errno; EINTR: a signal ended the
 * wait, and what was begun goes on. Any thread. */
int pel_file_ttls(struct pel_file *file, struct TTLS_IOCTL *ioctl);

#endif
