/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct user {
    char name[PEL_USER_MAX_LEN + 1];
    uint8_t sha256[PEL_USERS_SHA256_LEN];
    char *subject; /* NULL: known by the fingerprint */
    uint32_t line;
};

/* Sorted: fingerprints first, then subjects. */
struct pel_users {
    struct user *users;
    size_t num, cap;
};

static int compare(const void *a, const void *b)
{
    const struct user *x = a, *y = b;
    if ((x->subject == NULL) != (y->subject == NULL))
        return x->subject == NULL ? -1 : 1;
    return x->subject != NULL ? strcmp(x->subject, y->subject)
                              : memcmp(x->sha256, y->sha256, sizeof x->sha256);
}

void pel_users_free(struct pel_users *users)
{
    if (users == NULL)
        return;
    for (size_t i = 0; i < users->num; i++)
        free(users->users[i].subject);
    free(users->users);
    free(users);
}

/* ---- one line ---- */

struct line {
    const struct pel_pem *text;
    uint32_t number;
    const char *at;
    size_t len;
};

static enum pel_err fail(const struct line *line, struct pel_error *reterr, const char *what)
{
    return pel_error_set(reterr, PEL_E_KEYRING_USERS, "%s:%u: %s", line->text->path, line->number, what);
}

static bool take_word(struct line *line, const char *word)
{
    size_t len = strlen(word);
    if (line->len < len || memcmp(line->at, word, len) != 0)
        return false;
    line->at += len;
    line->len -= len;
    return true;
}

static void skip_blanks(struct line *line)
{
    while (line->len > 0 && (*line->at == ' ' || *line->at == '\t')) {
        line->at++;
        line->len--;
    }
    while (line->len > 0 && strchr(" \t\r", line->at[line->len - 1]) != NULL)
        line->len--;
}

static enum pel_err take_name(struct line *line, struct user *user, struct pel_error *reterr)
{
    size_t len = 0;
    while (len < line->len && line->at[len] != ' ' && line->at[len] != '\t')
        len++;
    if (len > PEL_USER_MAX_LEN)
        return fail(line, reterr, "a user's name has at most 32 characters");
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line->at[i] < 0x21 || (unsigned char)line->at[i] > 0x7e || line->at[i] == ':')
            return fail(line, reterr,
                        "a line begins with a user's name: USER sha256:FINGERPRINT or USER subject:CN=…");
    memcpy(user->name, line->at, len);
    line->at += len;
    line->len -= len;
    skip_blanks(line);
    return PEL_OK;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum pel_err take_fingerprint(struct line *line, struct user *user, struct pel_error *reterr)
{
    size_t num_digits = 0;
    for (size_t i = 0; i < line->len; i++) {
        int digit = digit_of(line->at[i]);
        if (digit < 0 && line->at[i] == ':' && num_digits % 2 == 0)
            continue;
        if (digit < 0 || num_digits == 2 * sizeof user->sha256)
            return fail(line, reterr, "a fingerprint is 64 hex digits, colons between pairs of them or not");
        user->sha256[num_digits / 2] = (uint8_t)(user->sha256[num_digits / 2] << 4 | digit);
        num_digits++;
    }
    return num_digits == 2 * sizeof user->sha256
               ? PEL_OK
               : fail(line, reterr, "a fingerprint is 64 hex digits, colons between pairs of them or not");
}

static enum pel_err take_subject(struct line *line, struct user *user, struct pel_error *reterr)
{
    if (line->len == 0 || line->len >= PEL_USER_SUBJECT_CAP - 1)
        return fail(line, reterr, "a subject has 1 to 1022 characters, as in subject:CN=alice,O=Example");
    user->subject = strndup(line->at, line->len);
    return user->subject != NULL ? PEL_OK : pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
}

static enum pel_err take_line(struct line *line, struct user *user, struct pel_error *reterr)
{
    if (memchr(line->at, '\0', line->len) != NULL)
        return fail(line, reterr, "a NUL byte");
    PEL_TRY(take_name(line, user, reterr));
    if (take_word(line, "sha256:"))
        return take_fingerprint(line, user, reterr);
    if (take_word(line, "subject:"))
        return take_subject(line, user, reterr);
    return fail(line, reterr, "behind the user's name sha256:FINGERPRINT or subject:CN=… is wanted");
}

/* ---- all of them ---- */

static struct user *new_place(struct pel_users *users)
{
    if (users->num == users->cap) {
        size_t cap = users->cap == 0 ? 16 : users->cap * 2;
        struct user *more = realloc(users->users, cap * sizeof *more);
        if (more == NULL)
            return NULL;
        users->users = more;
        users->cap = cap;
    }
    users->users[users->num] = (struct user){.line = 0};
    return &users->users[users->num++];
}

static enum pel_err add_line(struct pel_users *users, struct line *line, struct pel_error *reterr)
{
    skip_blanks(line);
    if (line->len == 0 || *line->at == '#')
        return PEL_OK;
    if (users->num == PEL_USERS_MAX)
        return fail(line, reterr, "more than 100000 users");
    struct user *user = new_place(users);
    if (user == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    user->line = line->number;
    return take_line(line, user, reterr);
}

static enum pel_err add_lines(struct pel_users *users, const struct pel_pem *text, struct pel_error *reterr)
{
    const char *at = (const char *)text->bytes, *end = at + text->len;
    for (uint32_t number = 1; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline != NULL ? newline : end;
        struct line line = {.text = text, .number = number, .at = at, .len = (size_t)(line_end - at)};
        PEL_TRY(add_line(users, &line, reterr));
        at = newline != NULL ? newline + 1 : end;
    }
    return PEL_OK;
}

/* The same certificate for two users. */
static enum pel_err check_pairs(const struct pel_users *users, const struct pel_pem *text,
                                struct pel_error *reterr)
{
    for (size_t i = 1; i < users->num; i++) {
        const struct user *a = &users->users[i - 1], *b = &users->users[i];
        if (compare(a, b) == 0 && strcmp(a->name, b->name) != 0)
            return pel_error_set(
                reterr, PEL_E_KEYRING_USERS, "%s:%u: the same certificate is %s's here and %s's on line %u",
                text->path, a->line > b->line ? a->line : b->line, a->line > b->line ? a->name : b->name,
                a->line > b->line ? b->name : a->name, a->line > b->line ? b->line : a->line);
    }
    return PEL_OK;
}

enum pel_err pel_users_parse(const struct pel_pem *text, struct pel_users **ret_users,
                             struct pel_error *reterr)
{
    struct pel_users *users = calloc(1, sizeof *users);
    if (users == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    enum pel_err err = add_lines(users, text, reterr);
    if (err == PEL_OK && users->num > 0) {
        qsort(users->users, users->num, sizeof *users->users, compare);
        err = check_pairs(users, text, reterr);
    }
    if (err != PEL_OK) {
        pel_users_free(users);
        return err;
    }
    *ret_users = users;
    return PEL_OK;
}

static const char *find(const struct pel_users *users, const struct user *wanted)
{
    const struct user *found =
        users->num == 0 ? NULL : bsearch(wanted, users->users, users->num, sizeof *wanted, compare);
    return found != NULL ? found->name : NULL;
}

const char *pel_users_find(const struct pel_users *users, const uint8_t sha256[PEL_USERS_SHA256_LEN],
                           const char *subject)
{
    struct user wanted = {.line = 0};
    if (users == NULL)
        return NULL;
    memcpy(wanted.sha256, sha256, sizeof wanted.sha256);
    const char *name = find(users, &wanted);
    size_t len = strnlen(subject, PEL_USER_SUBJECT_CAP);
    if (name != NULL || len == 0 || len >= PEL_USER_SUBJECT_CAP - 1)
        return name;
    wanted.subject = (char *)(uintptr_t)subject;
    return find(users, &wanted);
}
