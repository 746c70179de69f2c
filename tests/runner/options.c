/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runner/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLAG, NUMBER, TEXT, CODES, UNSEEN, UNSEEN_VALUE };

struct row {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define OF(field) offsetof(struct shim_options, field)

static const struct row rows[] = {
    {"-port", NUMBER, OF(port)},
    {"-server", FLAG, OF(server)},
    {"-resume-count", NUMBER, OF(resume_count)},
    {"-cert-file", TEXT, OF(cert_file)},
    {"-key-file", TEXT, OF(key_file)},
    {"-host-name", TEXT, OF(host_name)},
    {"-min-version", NUMBER, OF(min_version)},
    {"-max-version", NUMBER, OF(max_version)},
    {"-no-tls1", FLAG, OF(no_tls1)},
    {"-no-tls11", FLAG, OF(no_tls11)},
    {"-no-tls12", FLAG, OF(no_tls12)},
    {"-no-tls13", FLAG, OF(no_tls13)},
    {"-curves", CODES, OF(curves)},
    {"-cipher", NUMBER, OF(cipher)}, /* a number is one suite of TLS 1.3; OpenSSL's language is refused */
    {"-ticket-key", TEXT, OF(ticket_key)},
    {"-verify-peer", FLAG, OF(verify_peer)},
    {"-verify-fail", FLAG, OF(verify_fail)},
    {"-require-any-client-certificate", FLAG, OF(require_any_client_certificate)},
    {"-async", FLAG, OF(async)},
    {"-shim-writes-first", FLAG, OF(shim_writes_first)},
    {"-shim-shuts-down", FLAG, OF(shim_shuts_down)},
    {"-check-close-notify", FLAG, OF(check_close_notify)},
    {"-read-with-unfinished-write", FLAG, OF(read_with_unfinished_write)},
    {"-write-different-record-sizes", FLAG, OF(write_different_record_sizes)},
    {"-key-update", FLAG, OF(key_update)},
    {"-send-alert", FLAG, OF(send_alert)},
    {"-read-size", NUMBER, OF(read_size)},
    {"-export-keying-material", NUMBER, OF(export_keying_material)},
    {"-export-label", TEXT, OF(export_label)},
    {"-export-context", TEXT, OF(export_context)},
    {"-use-export-context", FLAG, OF(use_export_context)},
    {"-expect-version", NUMBER, OF(expect_version)},
    {"-expect-cipher", NUMBER, OF(expect_cipher)},
    {"-expect-curve-id", NUMBER, OF(expect_curve_id)},
    {"-expect-server-name", TEXT, OF(expect_server_name)},
    {"-expect-session-miss", FLAG, OF(expect_session_miss)},
    /* A session shakes hands by itself, and writes what fits: these are how it always is. */
    {"-implicit-handshake", UNSEEN, 0},
    {"-partial-write", UNSEEN, 0},
    {"-server-preference", UNSEEN, 0},
    /* A server keeps no sessions; a client's are not shown before they are resumed. */
    {"-expect-no-session", UNSEEN, 0},
    {"-expect-no-session-id", UNSEEN, 0},
    /* Not shown by a session; the runner does what is to be expected, and looks at the answer itself. */
    {"-expect-hrr", UNSEEN, 0},
    {"-expect-no-hrr", UNSEEN, 0},
    {"-expect-extended-master-secret", UNSEEN, 0},
    {"-expect-secure-renegotiation", UNSEEN, 0},
    {"-expect-verify-result", UNSEEN, 0},
    {"-expect-msg-callback", UNSEEN_VALUE, 0},
    {"-expect-peer-cert-file", UNSEEN_VALUE, 0},
    {"-expect-peer-signature-algorithm", UNSEEN_VALUE, 0},
};

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static bool parse_number(const char *text, uint32_t *ret_number)
{
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > UINT32_MAX)
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

static bool add_code(struct shim_codes *codes, const char *text)
{
    uint32_t code = 0;
    if (codes->num == SHIM_MAX_CODES || !parse_number(text, &code) || code > UINT16_MAX)
        return false;
    codes->codes[codes->num++] = (uint16_t)code;
    return true;
}

static bool set(struct shim_options *options, const struct row *row, const char *value)
{
    void *field = (char *)options + row->offset;
    switch (row->kind) {
    case FLAG: *(bool *)field = true; return true;
    case NUMBER: return parse_number(value, field);
    case TEXT: *(const char **)field = value; return true;
    case CODES: return add_code(field, value);
    default: return true;
    }
}

static bool skip_prefix(const char **name, const char *prefix)
{
    size_t len = strlen(prefix);
    if (strncmp(*name, prefix, len) != 0 || (*name)[len] != '-')
        return false;
    *name += len;
    return true;
}

bool shim_options_parse(int argc, char **argv, struct shim_options *ret_initial,
                        struct shim_options *ret_resume, const char **ret_refused)
{
    *ret_initial = *ret_resume = (struct shim_options){0};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        bool initial = skip_prefix(&name, "-on-initial");
        bool resume = !initial && skip_prefix(&name, "-on-resume");
        const struct row *row = find_row(name);
        *ret_refused = name;
        if (row == NULL)
            return false;
        bool takes_value = row->kind != FLAG && row->kind != UNSEEN;
        if (takes_value && i + 1 == argc)
            return false;
        const char *value = takes_value ? argv[++i] : NULL;
        if ((!resume && !set(ret_initial, row, value)) || (!initial && !set(ret_resume, row, value)))
            return false;
    }
    return true;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool shim_options_same_env(const struct shim_options *a, const struct shim_options *b)
{
    return a->server == b->server && same_text(a->cert_file, b->cert_file) &&
           same_text(a->key_file, b->key_file) && a->min_version == b->min_version &&
           a->max_version == b->max_version && a->no_tls1 == b->no_tls1 && a->no_tls11 == b->no_tls11 &&
           a->no_tls12 == b->no_tls12 && a->no_tls13 == b->no_tls13 &&
           memcmp(&a->curves, &b->curves, sizeof a->curves) == 0 && a->cipher == b->cipher &&
           same_text(a->ticket_key, b->ticket_key) && a->verify_peer == b->verify_peer &&
           a->require_any_client_certificate == b->require_any_client_certificate;
}
