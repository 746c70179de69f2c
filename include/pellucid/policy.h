/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies without a stack: what would a load of these files say, which rule would a connection get and why,
 * what holds for a rule, and what changes from one policy to another. Every error and warning of all files
 * comes in one pass, in the order of the text. Nothing is installed anywhere.
 *
 * A policy is immutable once opened; any number of threads may ask it at a time. Failure: a file that cannot
 * be read is an error in `reterr` and nothing is checked; a policy with errors is PEL_E_POLICY_SYNTAX, after
 * its messages. The language: IBM z/OS 3.1 Communications Server, IP Configuration Reference, "Policy-based
 * networking: AT-TLS"; docs/ has what differs here.
 */
#ifndef PELLUCID_POLICY_H
#define PELLUCID_POLICY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <pellucid/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* A note is about what is accepted and has no effect here, with the reason; nothing makes it an error. */
enum pel_policy_severity { PEL_POLICY_NOTE, PEL_POLICY_WARNING, PEL_POLICY_ERROR };

/* pel_policy_severity_name returns "note", "warning" or "error". Any thread. */
const char *pel_policy_severity_name(enum pel_policy_severity severity);

struct pel_policy;

/* One message about a policy file. `line` and `column` count from 1; columns are bytes. The strings are valid
 * during the call only. */
struct pel_policy_message {
    enum pel_policy_severity severity;
    const char *file;
    uint32_t line;
    uint32_t column;
    const char *text;
};

typedef void pel_policy_message_fn(void *arg, const struct pel_policy_message *message);

/* What a policy holds, once checked. */
struct pel_policy_summary {
    size_t num_rules;
    size_t num_errors; /* as reported: at most 100 and the note that there are more */
    size_t num_warnings;
    size_t num_notes;
};

enum {
    PEL_POLICY_CHECK_STRICT = 1, /* every warning is an error */
    PEL_POLICY_COMPAT_ZOS = 2,   /* defaults are the original's */
};

/* How policy files are read. Zeros are the defaults. */
struct pel_policy_options {
    unsigned flags;    /* PEL_POLICY_CHECK_STRICT, PEL_POLICY_COMPAT_ZOS */
    const char *image; /* which image of a Policy Agent's main file; NULL: its first */
};

/* pel_policy_check reads `num_paths` files as one policy and hands each message to `fn` (may be NULL). A file
 * of z/OS's Policy Agent is followed to the policy files that it names. `options` may be NULL. `ret_summary`
 * (may be NULL) is also written for PEL_E_POLICY_SYNTAX; `num_rules` is then 0. `reterr` (may be NULL) says
 * what failed. Borrows everything; any thread. Errors: POLICY_SYNTAX; POLICY_IMAGE (a compiled policy that
 * cannot be read); NOT_FOUND, IO, ARG (not a regular file; an image among other files), TOO_BIG (over 128
 * MiB); NO_MEMORY. */
PEL_MUST_USE enum pel_err pel_policy_check(const char *const *paths, size_t num_paths,
                                           const struct pel_policy_options *options,
                                           pel_policy_message_fn *fn, void *arg,
                                           struct pel_policy_summary *ret_summary, struct pel_error *reterr);

/* pel_policy_open is pel_policy_check that keeps the policy: the caller owns it until pel_policy_close.
 * Nothing is written to `ret_policy` on an error. Errors: as pel_policy_check. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_open(const char *const *paths, size_t num_paths,
                                          const struct pel_policy_options *options, pel_policy_message_fn *fn,
                                          void *arg, struct pel_policy **ret_policy,
                                          struct pel_policy_summary *ret_summary, struct pel_error *reterr);

/* pel_policy_close gives the policy back; all that it pointed to is gone. NULL is harmless. Any thread. */
void pel_policy_close(struct pel_policy *policy);

/* pel_policy_check_keyrings opens the keyring of each rule with TLS as a stack does that loads the policy.
 * Each rule whose connections would be refused, for a keyring that is missing, unreadable, expired or without
 * a usable key, is an error at its place for `fn` (may be NULL); a certificate that ends in less than 30 days
 * is a warning. `owner` is the user whose rings relative names mean, NULL: who runs this. `ret_num_unusable`
 * (may be NULL) counts the rules that would be refused, which are no error of the function. Errors:
 * NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_check_keyrings(struct pel_policy *policy, const char *keyring_dir,
                                                    const char *owner, pel_policy_message_fn *fn, void *arg,
                                                    size_t *ret_num_unusable, struct pel_error *reterr);

/* What becomes of a connection. */
enum pel_policy_verdict {
    PEL_POLICY_VERDICT_CLEAR_NO_RULE,  /* no rule matches; the stack's no_match may refuse it */
    PEL_POLICY_VERDICT_CLEAR,          /* a rule with TTLSEnabled Off */
    PEL_POLICY_VERDICT_TLS,            /* a handshake at once */
    PEL_POLICY_VERDICT_TLS_WHEN_ASKED, /* ApplicationControlled On: clear until the program asks */
};

/* pel_policy_verdict_text returns "clear (no rule)", "clear", "tls" or "tls when asked". Static. Any thread.
 */
const char *pel_policy_verdict_text(enum pel_policy_verdict verdict);

/* A rule. The strings belong to the policy. */
struct pel_policy_info {
    const char *name;
    uint32_t priority;
    int inbound, outbound; /* which directions it is for */
    enum pel_policy_verdict verdict;
    const char *file; /* where the rule begins */
    uint32_t line, column;
    const char *group_action; /* names; "" for none, or for one without a name */
    const char *environment_action;
    const char *connection_action;
};

/* pel_policy_count returns the number of rules. pel_policy_describe tells of the rule at `index`, from 0 in
 * match order: priority, the highest first, then name. Errors: ARG. Any thread. */
size_t pel_policy_count(const struct pel_policy *policy);
PEL_MUST_USE enum pel_err pel_policy_describe(const struct pel_policy *policy, size_t index,
                                              struct pel_policy_info *ret_info);

/* A connection to ask about. */
struct pel_policy_connection {
    struct sockaddr_storage local, remote; /* AF_INET or AF_INET6, with ports; mapped IPv4 counts as IPv4 */
    int inbound;                           /* 1: passive open; 0: active open */
    const char *user;                      /* NULL or "": unknown, which only rules without Userid match */
    const char *job;                       /* likewise */
    int64_t wall_s;                        /* seconds since 1970 UTC, for time conditions */
};

/* How one rule fared. The strings are valid during the call only. */
struct pel_policy_trial {
    size_t index;
    const char *rule;
    int reached;        /* 0: an earlier rule matched, this one was not looked at */
    int matches;        /* all its conditions are met; of a rule that was not reached: they would be */
    const char *reason; /* the first condition that is not met; NULL when all are */
};

typedef void pel_policy_trial_fn(void *arg, const struct pel_policy_trial *trial);

struct pel_policy_outcome {
    enum pel_policy_verdict verdict;
    int has_rule;
    size_t index; /* of the rule that matched, if any */
};

/* pel_policy_match tells which rule the connection gets. `fn` (may be NULL) hears of each rule in match
 * order, with the first of its conditions that fails: direction, local address and port, remote address and
 * port, job, user, time. Errors: ARG (an address of another family). Any thread. */
PEL_MUST_USE enum pel_err pel_policy_match(const struct pel_policy *policy,
                                           const struct pel_policy_connection *connection,
                                           pel_policy_trial_fn *fn, void *arg,
                                           struct pel_policy_outcome *ret_outcome);

/* One parameter as it holds for a rule, whichever statement it comes from: connection action, else
 * environment action, else group action, else the default. The strings are valid during the call only. */
struct pel_policy_setting {
    const char *statement; /* the keyword of the statement that it is a parameter of */
    const char *name;      /* the parameter's keyword */
    const char *value;     /* as a policy would write it, several with newlines between; NULL: none */
    const char *from;      /* "default", a profile, or the statement of it: TTLSKeyringParms "Ring1" */
    const char *file;      /* where it is coded; NULL for a default */
    uint32_t line;         /* 0 for a default */
    int is_default;        /* the value is the default, also when it was coded */
    int is_secret;         /* the value is shown as "(not shown)" unless it was asked for */
    const char *note;      /* "no effect: WHY" and the like; NULL: none */
};

typedef void pel_policy_setting_fn(void *arg, const struct pel_policy_setting *setting);

enum {
    PEL_POLICY_SETTINGS_ALL = 1,     /* also those whose value is the default */
    PEL_POLICY_SETTINGS_SECRETS = 2, /* passwords in clear */
    PEL_POLICY_SETTINGS_CODED = 4,   /* lists and versions as coded, with what a profile leaves out */
};

/* pel_policy_settings hands every parameter that applies to the rule at `index` to `fn`, in the order of the
 * reference: conditions, group, environment and connection, keyring, ciphers, signatures, advanced, GSK. Of a
 * rule with TTLSEnabled Off only conditions and group apply. Addresses, ports and times are resolved: the
 * value is what they come to, `from` the group that they come from. Lists and versions are those that hold: a
 * profile (FIPS140, SuiteBProfile) leaves some out, and is the `from` of what it fills. `flags`:
 * PEL_POLICY_SETTINGS_. Errors: ARG, NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_settings(const struct pel_policy *policy, size_t index, unsigned flags,
                                              pel_policy_setting_fn *fn, void *arg);

enum pel_policy_answer { PEL_POLICY_ANSWER_OTHER, PEL_POLICY_ANSWER_NO, PEL_POLICY_ANSWER_YES };

/* pel_policy_setting_is tells whether the setting has the value that `line` gives its parameter, YES or NO;
 * OTHER: the line is about another parameter. The line is read as a policy's is ("TLSv1.3 On"), and what it
 * comes to is compared; several values stand with blanks between, and "none" is no value. Errors: NO_MEMORY.
 * Any thread. */
PEL_MUST_USE enum pel_err pel_policy_setting_is(const struct pel_policy_setting *setting, const char *line,
                                                enum pel_policy_answer *ret_answer);

/* Takes `text_len` bytes of output. Returns PEL_OK, or an error that ends the writing. */
typedef enum pel_err pel_policy_write_fn(void *arg, const char *text, size_t text_len);

/* pel_policy_write writes the policy as canonical text, passwords included: it loads to the same rules,
 * conditions and values. Statements stay in their order; comments are not kept. Errors: `fn`'s; NO_MEMORY.
 * Any thread. */
PEL_MUST_USE enum pel_err pel_policy_write(const struct pel_policy *policy, pel_policy_write_fn *fn,
                                           void *arg);

/* pel_policy_write_image writes the policy as an image, which every function here that reads files takes as
 * well, alone: it loads to the same policy. Instead of the warnings and notes of its text there is one
 * message with their numbers. The image holds passwords (pel_policy_has_secrets tells whether there are any).
 * Errors: `fn`'s; NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_write_image(const struct pel_policy *policy, pel_policy_write_fn *fn,
                                                 void *arg);
int pel_policy_has_secrets(const struct pel_policy *policy);

/* pel_policy_pasearch_head and pel_policy_pasearch_rule write what `pasearch -t` of z/OS Communications
 * Server 3.1 prints: the report's head, and one rule with its actions. `loaded_s` stands for the time at
 * which the policy came to be, seconds since 1970 UTC, `now_s` for that of the report; both in local time.
 * docs/PASEARCH.md tells where and why it differs from the original. Errors: ARG (no such rule), `fn`'s,
 * NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_policy_pasearch_head(int64_t now_s, int64_t loaded_s, pel_policy_write_fn *fn,
                                                   void *arg);
PEL_MUST_USE enum pel_err pel_policy_pasearch_rule(const struct pel_policy *policy, size_t index,
                                                   int64_t loaded_s, pel_policy_write_fn *fn, void *arg);

/* pel_policy_format reads one policy file and gives its canonical text with its comments, to be freed with
 * free(): keywords and values as the manual spells them, one parameter a line, each brace on a line of its
 * own, two blanks a level; statements and parameters stay in their order. Comments before a line and at its
 * end stay there, blank lines inside statements too, one for several; what has no effect (a parameter that a
 * later one replaces, words behind a value) goes. It loads to the same policy, and formatting it again
 * changes nothing. `ret_is_same` is 1 when the file is so already. Messages and errors: as pel_policy_check.
 * Any thread. */
PEL_MUST_USE enum pel_err pel_policy_format(const char *path, pel_policy_message_fn *fn, void *arg,
                                            char **ret_text, size_t *ret_text_len, int *ret_is_same,
                                            struct pel_error *reterr);

enum pel_policy_change_kind {
    PEL_POLICY_CHANGE_ADDED,   /* a rule that only the new policy has */
    PEL_POLICY_CHANGE_REMOVED, /* one that only the old one has */
    PEL_POLICY_CHANGE_MOVED,   /* it is tried before or behind others than it was */
    PEL_POLICY_CHANGE_SETTING, /* a setting of a rule that both have */
};

/* One change. The strings are valid during the call only. */
struct pel_policy_change {
    enum pel_policy_change_kind kind;
    const char *rule;
    size_t old_index, new_index; /* the rule's places in match order, as far as it has them */
    const char *tried_before;    /* MOVED: the next rule that did not move; NULL: behind all of them */
    const char *statement;       /* SETTING: as in struct pel_policy_setting; else NULL */
    const char *name;
    const char *old_value; /* NULL: none. Secrets are "(not shown)" on both sides */
    const char *new_value;
};

typedef void pel_policy_change_fn(void *arg, const struct pel_policy_change *change);

/* pel_policy_diff tells what changes in effect from `before` to `after`, rule by rule in the order of
 * `after`, those removed last: not how the text differs, nor which statement a value comes from. A renamed
 * rule is one removed and one added. `fn` may be NULL; `ret_num_changes` too. Errors: NO_MEMORY. Any thread.
 */
PEL_MUST_USE enum pel_err pel_policy_diff(const struct pel_policy *before, const struct pel_policy *after,
                                          pel_policy_change_fn *fn, void *arg, size_t *ret_num_changes);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
