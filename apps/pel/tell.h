/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling running stacks that a keyring has changed.
 */
#ifndef PEL_APPS_PEL_TELL_H
#define PEL_APPS_PEL_TELL_H

/* tell_keyring_changed asks the stack at `socket_path`, or with NULL every one that answers in
 * PEL_CONTROL_DIR and that this user may ask, to take the change of the keyring in the directory `ring`, and
 * prints a line of what came of it for each that has to do with it. Nobody there is no error, and neither is
 * a stack that cannot take it: the keyring has changed all the same. */
void tell_keyring_changed(const char *socket_path, const char *ring);

#endif
