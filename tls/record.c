/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/record.h"

#include "tls/env.h"
#include "tls/own_record.h"

const struct pel_record_ops *pel_record_choose(const struct pel_tls_env *env, uint16_t cipher)
{
    return !env->library_records && pel_suite_find(cipher) != NULL ? &pel_record_own : &pel_record_library;
}
