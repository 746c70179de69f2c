/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages about a policy text, collected while it is read and checked, and handed out in the order of the
 * text. At most 100 errors, 1000 warnings and 1000 notes are kept; what comes after is counted, and one last
 * message of each kind says so. A message that cannot be kept for want of memory sets `failed`, so that
 * callers need not look at each.
 */
#ifndef PEL_POLICY_DIAG_H
#define PEL_POLICY_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/arena.h"
#include "policy/policy.h"

enum { PEL_MAX_ERRORS = 100, PEL_MAX_WARNINGS = 1000, PEL_MAX_NOTES = 1000 };

/* Where something stands: the index of its text, line and column from 1. */
struct pel_pos {
    uint32_t file;
    uint32_t line;
    uint32_t column;
};

struct pel_diag_entry;

struct pel_diags {
    struct pel_arena *arena;
    const struct pel_policy_source *sources;
    struct pel_diag_entry *newest;
    size_t num_errors; /* all, also those not kept */
    size_t num_warnings;
    size_t num_notes;
    struct pel_pos first_unkept_error;
    struct pel_pos first_unkept_warning;
    struct pel_pos first_unkept_note;
    bool failed; /* out of memory */
};

/* pel_diag_error, pel_diag_warning and pel_diag_note keep one printf-style message. */
void pel_diag_error(struct pel_diags *diags, struct pel_pos pos, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void pel_diag_warning(struct pel_diags *diags, struct pel_pos pos, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void pel_diag_note(struct pel_diags *diags, struct pel_pos pos, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* pel_diag_wants_errors tells whether a further error would be kept, so that a search for the nearest word is
 * not done for nothing. */
bool pel_diag_wants_errors(const struct pel_diags *diags);

/* pel_diag_flush hands every kept message to `fn` in the order of the text. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_diag_flush(struct pel_diags *diags, pel_policy_diag_fn *fn, void *arg);

/* A place named in a message about another place: "line 7", or "FILE:7" when it is in another text. */
struct pel_place {
    char text[96];
};
struct pel_place pel_diag_place(const struct pel_diags *diags, struct pel_pos place,
                                struct pel_pos seen_from);

/* A word of the text as messages show it: cut at 64 bytes, with "..." then. */
struct pel_shown {
    char text[72];
};
struct pel_shown pel_diag_show(const char *text, size_t text_len);

#endif
