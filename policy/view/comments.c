/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/comments.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_mark(const char *text, size_t len)
{
    return len == 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
}

/* The comment of a line, if it has one. */
static bool find(const char *line, const char *end, bool first, struct pel_comment *ret_comment)
{
    const char *start = memchr(line, '#', (size_t)(end - line));
    if (start == NULL)
        return false;
    const char *before = line;
    while (before < start && is_blank(*before))
        before++;
    while (end > start && is_blank(end[-1]))
        end--;
    ret_comment->alone = before == start || (first && is_mark(before, (size_t)(start - before)));
    ret_comment->text = start;
    ret_comment->text_len = (uint32_t)(end - start);
    return true;
}

/* The comments of one text are counted, or also kept. */
static size_t scan(const struct pel_policy_source *source, uint32_t file, struct pel_comment *comments)
{
    const char *at = source->text, *end = source->text + source->text_len;
    size_t num = 0;
    for (uint32_t line = 1; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline == NULL ? end : newline;
        struct pel_comment comment = {.file = file, .line = line};
        if (find(at, line_end, line == 1, &comment)) {
            if (comments != NULL)
                comments[num] = comment;
            num++;
        }
        at = newline == NULL ? end : newline + 1;
    }
    return num;
}

enum pel_err pel_comments_find(struct pel_arena *arena, const struct pel_policy_source *sources,
                               size_t num_sources, struct pel_comments *ret_comments)
{
    struct pel_comments found = {0};
    for (size_t i = 0; i < num_sources; i++)
        found.num += scan(&sources[i], (uint32_t)i, NULL);
    found.comments = pel_arena_alloc(arena, (found.num + 1) * sizeof *found.comments);
    if (found.comments == NULL)
        return PEL_E_NO_MEMORY;
    size_t num = 0;
    for (size_t i = 0; i < num_sources; i++)
        num += scan(&sources[i], (uint32_t)i, found.comments + num);
    *ret_comments = found;
    return PEL_OK;
}
