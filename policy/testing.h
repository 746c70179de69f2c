/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of this folder: a text parsed, and what was said about it as lines "line:column: error:
 * message".
 */
#ifndef PEL_POLICY_TESTING_H
#define PEL_POLICY_TESTING_H

#include "policy/policy.h"

struct pel_parsed {
    enum pel_err err;
    struct pel_policy *policy; /* NULL after an error */
    size_t num_errors, num_warnings, num_notes;
    size_t said_len;
    char said[64 << 10];
};

/* pel_test_parse parses `text` as "t.policy" into `parsed`; pel_test_drop frees what it made. */
void pel_test_parse(struct pel_parsed *parsed, const char *text);
void pel_test_parse_as(struct pel_parsed *parsed, const char *text, const struct pel_policy_options *options);
void pel_test_parse_len(struct pel_parsed *parsed, const char *text, size_t text_len);
void pel_test_drop(struct pel_parsed *parsed);

/* pel_test_note adds a message to `said`; a pel_policy_diag_fn whose argument is a struct pel_parsed. */
void pel_test_note(void *arg, const struct pel_policy_diag *diag);

/* pel_test_rule returns the rule of that name, or NULL. */
const struct pel_rule *pel_test_rule(const struct pel_parsed *parsed, const char *name);

/* A group action, an environment action and a keyring to refer to. */
#define PEL_TEST_ACTIONS                                                                                     \
    "TTLSGroupAction G\n{\nTTLSEnabled On\n}\n"                                                              \
    "TTLSEnvironmentAction E\n{\nHandshakeRole Server\nTTLSKeyringParms\n{\nKeyring ring\n}\n}\n"

#endif
