/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/policy/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { MAX_LEN = 64 };

/* How many letters of `word` must be changed, added or removed to get `other`; both are short. */
static size_t distance(const char *word, const char *other)
{
    size_t row[MAX_LEN], other_len = strlen(other);
    for (size_t i = 0; i <= other_len; i++)
        row[i] = i;
    for (; *word != '\0'; word++) {
        size_t diagonal = row[0]++;
        for (size_t i = 1; i <= other_len; i++) {
            bool differ = tolower((unsigned char)*word) != tolower((unsigned char)other[i - 1]);
            size_t cost = diagonal + (differ ? 1 : 0);
            diagonal = row[i];
            size_t step = (row[i] < row[i - 1] ? row[i] : row[i - 1]) + 1;
            row[i] = cost < step ? cost : step;
        }
    }
    return row[other_len];
}

const char *nearest_word(const char *word, const char *const *words, size_t num_words)
{
    const char *best = NULL;
    size_t best_distance = (size_t)-1, word_len = strlen(word);
    for (size_t i = 0; i < num_words && word_len < MAX_LEN; i++) {
        size_t other_len = strlen(words[i]);
        if (other_len >= MAX_LEN)
            continue;
        size_t edits = distance(word, words[i]);
        bool is_begun = word_len >= 2 && strncasecmp(word, words[i], word_len) == 0;
        if ((is_begun || edits * 3 <= other_len) && edits < best_distance) {
            best = words[i];
            best_distance = edits;
        }
    }
    return best;
}
