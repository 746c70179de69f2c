/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of z/OS's Policy Agent that lead to a policy: a main file with TcpImage, CommonTTLSConfig and so
 * on, and an image file with TTLSConfig. Only AT-TLS is followed; what is for other disciplines is read over
 * with a note. Source: IBM z/OS 3.1 IP Configuration Reference, "Policy Agent general configuration file
 * statements".
 *
 *     pel_agent_recognise -> pel_agent_parse (main) -> pel_agent_choose -> pel_agent_parse (image file)
 *
 * Nothing here opens a file; policy/files.c does.
 */
#ifndef PEL_POLICY_AGENT_H
#define PEL_POLICY_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/diag.h"
#include "policy/lex.h"

enum { PEL_AGENT_MAX_IMAGES = 8, PEL_AGENT_REFRESH_S = 1800 };

/* An operand that may be left out. */
enum pel_agent_choice { PEL_AGENT_UNCODED, PEL_AGENT_NO, PEL_AGENT_YES };

/* A file that a statement names. The words are slices of the text. */
struct pel_agent_path {
    bool is_coded;         /* the statement is there */
    bool bad;              /* an error was reported about its operands */
    struct pel_pos pos;    /* of the statement */
    struct pel_word path;  /* `len` 0: none was named */
    const char *statement; /* its keyword */
    enum pel_agent_choice flush, purge;
};

struct pel_agent_image {
    struct pel_word name;
    struct pel_agent_path file;
    uint32_t refresh_s;
};

/* What one agent file says. */
struct pel_agent_file {
    struct pel_agent_image images[PEL_AGENT_MAX_IMAGES];
    size_t num_images;
    struct pel_agent_path common; /* CommonTTLSConfig */
    struct pel_agent_path ttls;   /* TTLSConfig: the last of them */
};

/* pel_agent_recognise tells whether the text is an agent's file, main or image, and not a policy: the first
 * word that is a keyword of either decides. Looks at the first 200 lines with words. Any thread. */
bool pel_agent_recognise(const char *text, size_t text_len);

/* pel_agent_is_keyword tells whether the word begins a statement of agent files. Any thread. */
bool pel_agent_is_keyword(const char *word, size_t word_len);

/* pel_agent_parse reads text number `file` of diags->sources. An `is_image` file was named by a TcpImage and
 * has no images itself. What is wrong goes to the messages. */
void pel_agent_parse(struct pel_diags *diags, size_t file, bool is_image, struct pel_agent_file *ret_file);

/* pel_agent_choose returns the image of that name (letters without case; NULL: the first, with a warning when
 * there are more), or NULL: there is none, or, after a message, none of that name. */
const struct pel_agent_image *pel_agent_choose(struct pel_diags *diags, const struct pel_agent_file *main,
                                               const char *name);

#endif
