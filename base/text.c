/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <ctype.h>
#include <string.h>

#define WORD_LEN_MAX 64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* The optimal string alignment distance, three rows at a time. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][WORD_LEN_MAX + 1];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = above[j - 1] + !same(a[i - 1], b[j - 1]);
            row[j] = least(change, 1 + least(above[j], row[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

const char *pel_text_nearest(const char *word, const char *const *words, size_t num_words)
{
    const char *best = NULL;
    size_t word_len = strlen(word), best_distance = word_len / 3 + 1;
    if (word_len > WORD_LEN_MAX)
        return NULL;
    for (size_t i = 0; i < num_words; i++) {
        size_t len = strlen(words[i]);
        if (len > WORD_LEN_MAX)
            continue;
        size_t d = distance(word, word_len, words[i], len);
        /* Of two as near, the longer: a letter is sooner forgotten than added. */
        if (d < best_distance || (d == best_distance && best != NULL && len > strlen(best))) {
            best_distance = d;
            best = words[i];
        }
    }
    return best;
}
