/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small help with words: the nearest known word to a mistyped one, for messages.
 */
#ifndef PEL_BASE_TEXT_H
#define PEL_BASE_TEXT_H

#include <stddef.h>

/* pel_text_nearest returns the word of `words` that is nearest to `word` in edits (insert, delete, change,
 * swap of neighbours), letters compared without case, or NULL when none is near enough to be meant (more than
 * a third of its letters differ). Words over 64 bytes match nothing. Any thread. */
const char *pel_text_nearest(const char *word, const char *const *words, size_t num_words);

#endif
