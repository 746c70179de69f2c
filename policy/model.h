/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy text as statements and parameters, as far as the text alone tells: what the parser makes, the
 * checker links and the compiler reads. It stays with the policy, in an arena of its own, for those who ask
 * what a rule says and where; matching and TLS read the compiled form only. Nothing of it points into the
 * text, and once linked it does not change.
 */
#ifndef PEL_POLICY_MODEL_H
#define PEL_POLICY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/compiled.h"
#include "policy/diag.h"
#include "policy/schema.h"

enum {
    PEL_MAX_DEPTH = 8,            /* the language needs 4 */
    PEL_MAX_NAME_LEN = 32,        /* bytes */
    PEL_MAX_STATEMENTS = 1000000, /* together these bound the memory that a text can ask for */
    PEL_MAX_PARAMS = 4000000,
    PEL_MAX_SUITES = 32,
    PEL_MAX_GROUPS = 8,
    PEL_MAX_SIGNATURES = 32,
    PEL_MAX_KEY_SHARES = 2, /* that a client sends at once */
};

struct pel_stmt;
struct pel_zone;

/* Minutes of a day, from 0 to 1440: from `from` until `to`. As coded, `to` may be earlier: over midnight. */
struct pel_minutes {
    uint16_t from, to;
};

struct pel_param {
    struct pel_param *next;
    const struct pel_row *row;
    struct pel_pos pos;
    struct pel_pos value_pos;
    /* LABEL, WORD, TEXT, PATTERN, CIPHERS, GROUPS, times and the like: as coded. REF: a slice of the source
     * until it is linked, then the name */
    const char *text;
    uint32_t text_len;
    bool bad;             /* an error was reported about it */
    bool elsewhere;       /* bad: it stands in a statement inside, so that it is not missing here */
    uint32_t number;      /* ENUM, UINT; PORTS: lowest; GROUPS, SIGNATURES, HOURS: how many; MASK; OFFSET:
                             seconds */
    uint32_t number_high; /* PORTS: highest; MASK: digits from the 32nd on */
    union {               /* in the policy's arena */
        const struct pel_ip_range *range;  /* addresses; NULL: All */
        const uint16_t *groups;            /* GROUPS, SIGNATURES; NULL: Any */
        const char *pair;                  /* NAME_LABEL: the name, NUL, the label, NUL */
        const struct pel_minutes *minutes; /* HOURS */
        const int64_t *seconds;            /* SPAN: its first and last, since 1970 in its zone */
    };
    struct pel_stmt *child; /* BLOCK, and REF once linked */
};

struct pel_stmt {
    struct pel_stmt *next; /* all statements, in the order of the text */
    struct pel_stmt *parent;
    enum pel_stmt_type type;
    bool bad;           /* an error was reported inside it */
    bool judged;        /* `bad` also says so of what it uses */
    bool lost_line;     /* a line of it could not be read, or its end: what it lacks may have been there */
    bool unknown_line;  /* a line of it begins with a word that nothing is like: likewise */
    bool unattached;    /* stands where its kind may not: read for its errors only */
    bool replaced;      /* a later parameter took its place: it lives on for references to its name */
    bool referenced;    /* by name */
    uint8_t num_suites; /* of PEL_S_CIPHERS */
    bool coded_suites;
    const char *name; /* in the policy's arena; "" for an inline one without a name */
    struct pel_pos pos;
    uint32_t end_line;        /* of its "}" */
    struct pel_param *params; /* one for each slot, the one that holds */
    struct pel_param *items;  /* repeatable ones, in order */
    struct pel_param *last_item;
    uint16_t *suites;      /* PEL_MAX_SUITES of them, once one is known */
    void *compiled;        /* what the compiler made of it for all its users */
    uint32_t class_number; /* of an action: the same for those that say the same; 0: none yet */
};

/* What stays with the policy. */
struct pel_model {
    struct pel_arena arena;
    struct pel_stmt *first;  /* all statements */
    struct pel_stmt **rules; /* beside the policy's rules, in match order */
    const char **files;      /* by pel_pos.file */
    bool *apart;             /* likewise: struct pel_policy_source's */
    size_t num_files;
    size_t num_warnings, num_notes; /* that were said of the texts, if need be before they became an image */
    bool compat_zos;                /* defaults are the original's */
};

/* The state of one call of pel_policy_parse. */
struct pel_parse {
    struct pel_arena scratch; /* for the call only */
    struct pel_arena *kept;   /* the policy's */
    struct pel_model *model;  /* the policy's */
    struct pel_diags diags;
    const struct pel_policy_source *sources;
    size_t num_sources;
    struct pel_policy_options options;
    struct pel_stmt *last;
    size_t num_statements, num_params, num_rules;
    uint32_t num_times;          /* time conditions that were compiled */
    const struct pel_zone *zone; /* the machine's, once one needs it */
    bool cut;                    /* a limit was passed: the rest was not read */
};

/* pel_stmt_get returns what fills the slot in this statement, or NULL (also for `stmt` NULL). */
const struct pel_param *pel_stmt_get(const struct pel_stmt *stmt, enum pel_slot slot);

/* pel_stmt_child returns the statement that fills the slot, inline or by reference, or NULL. */
struct pel_stmt *pel_stmt_child(const struct pel_stmt *stmt, enum pel_slot slot);

/* pel_stmt_in_order gives the statement's parameters, repeatable ones too, in the order of the text: an array
 * to be freed with free(). Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_stmt_in_order(const struct pel_stmt *stmt, const struct pel_param ***ret_params,
                                            size_t *ret_num);

/* pel_stmt_stands_alone tells whether a writer must write the statement by itself: one of top level, or one
 * whose place in another was taken, which lives on where it is referred to. */
bool pel_stmt_stands_alone(const struct pel_stmt *stmt);

/* A statement named in a message: `TTLSRule "R1"`, or `TTLSKeyringParms` for one without a name. */
struct pel_title {
    char text[120];
};
struct pel_title pel_stmt_title(const struct pel_stmt *stmt);

/* pel_stmt_fail reports an error and marks the statement, and those around it, as bad. */
void pel_stmt_fail(struct pel_parse *parse, struct pel_stmt *stmt, struct pel_pos pos, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

/* pel_parse_text reads text number `file` into statements; every error goes to the messages. Errors:
 * NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_parse_text(struct pel_parse *parse, size_t file);

/* pel_link finds what the references name, and checks what needs the whole text: names given twice, names not
 * defined, parameters that are missing. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_link(struct pel_parse *parse);

/* pel_compile makes the rules of `policy` from the linked statements; errors of whole rules go to the
 * messages. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_compile(struct pel_parse *parse, struct pel_policy *policy,
                                      struct pel_pos **ret_positions);

/* pel_overlaps warns of rules that overlap at one priority and of rules that an earlier one hides wholly.
 * `positions` are those of the rules. Errors: NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_overlaps(struct pel_parse *parse, const struct pel_policy *policy,
                                       const struct pel_pos *positions);

#endif
