/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From enum pel_err to errno, as rows.
 */
#ifndef PEL_STACK_SOCKET_ERRNO_H
#define PEL_STACK_SOCKET_ERRNO_H

#include <stdbool.h>

#include "base/err.h"

/* pel_errno_of_call returns the errno of a call that failed with `err` (connect, listen, bind, sendto; also a
 * connect that failed later). 0 for OK and EOF. Any thread. */
int pel_errno_of_call(enum pel_err err);

/* pel_errno_of_end returns the errno that readers of a connection see that `err` ended. 0 for OK and EOF, the
 * clean end. Any thread. */
int pel_errno_of_end(enum pel_err err);

/* pel_errno_has_row tells whether the table knows `err`: for the test that it is complete. */
bool pel_errno_has_row(enum pel_err err);

#endif
