/* SPDX-License-Identifier: Apache-2.0 */
/* The word that was probably meant. */
#ifndef PEL_APPS_PEL_POLICY_NEAREST_H
#define PEL_APPS_PEL_POLICY_NEAREST_H

#include <stddef.h>

/* nearest_word returns the one of `words` nearest to `word`, letters without case, or NULL when none is near:
 * a third of its letters may be wrong, or it was only begun. Words of 64 bytes and more are near to none. */
const char *nearest_word(const char *word, const char *const *words, size_t num_words);

#endif
