/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows. Want of memory is remembered, so that a writer looks at it once, at the end.
 */
#ifndef PEL_POLICY_VIEW_OUT_H
#define PEL_POLICY_VIEW_OUT_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is empty. */
struct pel_out {
    char *text; /* ends with NUL once something was added */
    size_t len, cap;
    bool failed; /* out of memory: what was added since is lost */
};

/* pel_out_add appends bytes; pel_out_text a string; pel_out_format up to 255 bytes as printf does. */
void pel_out_add(struct pel_out *out, const char *text, size_t text_len);
void pel_out_text(struct pel_out *out, const char *text);
void pel_out_format(struct pel_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* pel_out_clear empties it and keeps its memory; pel_out_free gives that back. */
void pel_out_clear(struct pel_out *out);
void pel_out_free(struct pel_out *out);

#endif
