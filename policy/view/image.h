/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy as an image: what the parser would read of its text, statement by statement, as bytes that mean
 * the same on every machine. Little-endian:
 *
 *     magic (8), version (4), CRC-32C of all but itself (4), length of the whole (8), mark of the schema (4),
 *     then numbers of 7 bits a byte, the lowest first: warnings and notes that were said of the text, files
 *     (each its name), and facts (enum pel_fact), each with what struct pel_fact_read says; a text is its
 *     length and its bytes.
 *
 * The checksum finds damage, not forgery. Values stand in their canonical form and are read by the very
 * functions that read a text's, so that an image can say nothing that a text could not.
 */
#ifndef PEL_POLICY_VIEW_IMAGE_H
#define PEL_POLICY_VIEW_IMAGE_H

#include "policy/model.h"

enum { PEL_IMAGE_VERSION = 2, PEL_IMAGE_HEADER = 28 };

/* pel_image_recognise tells whether the bytes begin as an image does, or nearly so: one that is damaged there
 * is not taken for a text. Any thread. */
bool pel_image_recognise(const void *bytes, size_t len);

/* pel_image_read makes the policy of an image, as pel_policy_parse would of the text that it was made of, but
 * without warnings: those were said when it was made, and the policy has their number. `name` is for `reterr`
 * (may be NULL), which says what is wrong. `options` may be NULL. Errors: POLICY_IMAGE; NO_MEMORY. Any
 * thread. */
PEL_MUST_USE enum pel_err pel_image_read(const char *name, const void *bytes, size_t len,
                                         const struct pel_policy_options *options,
                                         struct pel_policy **ret_policy, struct pel_error *reterr);

/* pel_image_read_beside is pel_image_read with texts beside the image (policy/view/keep.h). */
PEL_MUST_USE enum pel_err pel_image_read_beside(const char *name, const void *bytes, size_t len,
                                                const struct pel_policy_source *more, size_t num_more,
                                                const struct pel_policy_options *options,
                                                struct pel_policy **ret_policy, struct pel_error *reterr);

/* One fact of a text. */
enum pel_fact {
    PEL_FACT_END,   /* of the policy */
    PEL_FACT_TOP,   /* a statement at top level: number is its type; its file, its name */
    PEL_FACT_PARAM, /* a parameter: number is its row in the schema; its value */
    PEL_FACT_BLOCK, /* a statement in its own braces: likewise; its name */
    PEL_FACT_CLOSE, /* the "}" of the innermost one: line only */
};

struct pel_fact_read {
    enum pel_fact fact;
    uint32_t number;
    struct pel_pos pos;
    const char *text;
    size_t text_len;
};

/* Gives the next fact; false: there is none that can be read. */
typedef bool pel_fact_fn(void *arg, struct pel_fact_read *ret_fact);

/* pel_parse_facts makes statements of facts as pel_parse_text does of a text. What cannot be is an error
 * among the messages. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_parse_facts(struct pel_parse *parse, pel_fact_fn *next, void *arg);

#endif
