/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Propagation of enum pel_err, and filling a struct pel_error on slow paths.
 */
#ifndef PEL_BASE_ERR_H
#define PEL_BASE_ERR_H

#include <pellucid/error.h>

/* PEL_TRY returns from the calling function with the error of `expr`, unless it is PEL_OK. */
#define PEL_TRY(expr)                                                                                        \
    do {                                                                                                     \
        enum pel_err pel_try_err_ = (expr);                                                                  \
        if (pel_try_err_ != PEL_OK)                                                                          \
            return pel_try_err_;                                                                             \
    } while (0)

/* pel_error_set fills `reterr` (may be NULL) with `code` and a printf-style text, cut at the size of its
 * buffer, and returns `code`, so that a failing function can end with `return pel_error_set(...)`. Any
 * thread. */
enum pel_err pel_error_set(struct pel_error *reterr, enum pel_err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
