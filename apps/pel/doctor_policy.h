/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `pel doctor` looks at beside the machine: the policy of a running stack, and keyrings. None of it
 * keeps a stack from running.
 */
#ifndef PEL_APPS_PEL_DOCTOR_POLICY_H
#define PEL_APPS_PEL_DOCTOR_POLICY_H

#include <pellucid/doctor.h>

/* doctor_policy adds checks to `report`: "policy" and "certificates" of the stack that answers at
 * `socket_path` (NULL: the only one), and "keyrings" of those below `keyring_dir` (NULL: those of that stack,
 * else /etc/pellucid/keyrings, if it is there). */
void doctor_policy(const char *socket_path, const char *keyring_dir, struct pel_doctor_report *report);

#endif
