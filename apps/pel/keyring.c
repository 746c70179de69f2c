/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel keyring`: makes, fills, lists and checks keyring directories. A thin face of <pellucid/keyring.h>.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pellucid/keyring.h>

#include "apps/pel/tell.h"
#include "apps/pel/verb.h"

#define MAX_NAMES 64
#define DAY_S     86400

enum {
    OPT_JSON = 0x100,
    OPT_DAYS,
    OPT_KEY,
    OPT_SUBJECT,
    OPT_DNS,
    OPT_IP,
    OPT_CA,
    OPT_CA_LABEL,
    OPT_CLIENT,
    OPT_DEFAULT,
    OPT_FORCE,
    OPT_FILE,
    OPT_USER,
    OPT_SOCKET,
    OPT_NO_RELOAD
};

struct options {
    struct pel_keyring_request request;
    const char *dns_names[MAX_NAMES];
    const char *ip_addresses[MAX_NAMES];
    char subject[300];
    const char *file, *user;
    long days;
    const char *socket_path; /* of the stack to tell; NULL: of all */
    bool has_days;
    bool json;
    bool no_reload;
};

/* Of the verbs that change a ring. */
#define TELLING_OPTIONS                                                                                      \
    {"socket", OPT_SOCKET, "PATH", 0, "Control socket of the stack to tell; default: all that run", 4},      \
    {                                                                                                        \
        "no-reload", OPT_NO_RELOAD, NULL, 0, "Tell no running stack of it", 4                                \
    }

static const struct argp_option ca_options[] = {
    {"dir", 'd', "RING", 0, "The authority's keyring directory; made when missing", 1},
    {"label", 'l', "LABEL", 0, "Name of its files; default \"ca\"", 1},
    {"subject", OPT_SUBJECT, "CN=…[,O=…]", 0, "Who it is; default \"CN=Pellucid Test Authority\"", 1},
    {"key", OPT_KEY, "TYPE", 0, "p256 (default), rsa2048 or rsa3072", 1},
    {"days", OPT_DAYS, "N", 0, "How long it is valid; default 3650", 1},
    {"force", OPT_FORCE, NULL, 0, "Replace what exists", 1},
    TELLING_OPTIONS,
    {0},
};

static const struct argp_option cert_options[] = {
    {"dir", 'd', "RING", 0, "The keyring directory to fill; made when missing", 1},
    {"label", 'l', "LABEL", 0, "Name of the certificate's files", 1},
    {"ca", OPT_CA, "CARING", 0, "The authority's keyring, from `pel keyring ca`", 1},
    {"dns", OPT_DNS, "NAME", 0, "A host name that the certificate is for; may be repeated", 2},
    {"ip", OPT_IP, "ADDRESS", 0, "An address that it is for; may be repeated", 2},
    {"subject", OPT_SUBJECT, "CN=…[,O=…]", 0, "Who it is; default CN= the first host name, or the label", 2},
    {"client", OPT_CLIENT, NULL, 0, "For a client; without it for a server", 2},
    {"key", OPT_KEY, "TYPE", 0, "p256 (default), rsa2048 or rsa3072", 3},
    {"days", OPT_DAYS, "N", 0, "How long it is valid; default 365; negative: expired (for tests)", 3},
    {"ca-label", OPT_CA_LABEL, "LABEL", 0, "Which of the authority's certificates; default its default", 3},
    {"default", OPT_DEFAULT, NULL, 0, "Make it the ring's default", 3},
    {"force", OPT_FORCE, NULL, 0, "Replace what exists", 3},
    TELLING_OPTIONS,
    {0},
};

static const struct argp_option trust_options[] = {
    {"dir", 'd', "RING", 0, "The keyring directory; made when missing", 1},
    {"label", 'l', "LABEL", 0, "Name of the file in RING/trust/", 1},
    {"file", OPT_FILE, "FILE.crt", 0, "PEM file with the authority's certificate", 1},
    {"force", OPT_FORCE, NULL, 0, "Replace what exists", 1},
    TELLING_OPTIONS,
    {0},
};

static const struct argp_option default_options[] = {
    {"dir", 'd', "RING", 0, "The keyring directory", 1},
    {"label", 'l', "LABEL", 0, "The label to use when a policy names none", 1},
    TELLING_OPTIONS,
    {0},
};

static const struct argp_option user_options[] = {
    {"dir", 'd', "RING", 0, "The server's keyring: a directory, or a PKCS#12 file", 1},
    {"user", OPT_USER, "NAME", 0, "Whom the certificate stands for", 1},
    {"file", OPT_FILE, "CLIENT.crt", 0, "The client's certificate, PEM", 1},
    {"subject", OPT_SUBJECT, "CN=…[,O=…]", 0, "Instead of --file: every certificate of this subject", 1},
    TELLING_OPTIONS,
    {0},
};

static const struct argp_option list_options[] = {
    {"dir", 'd', "RING|ROOT", 0, "A keyring, or a directory of them (ROOT/USER/RING)", 1},
    {"json", OPT_JSON, NULL, 0, "One JSON object", 1},
    {0},
};

static error_t parse_days(const char *arg, struct options *options, struct argp_state *state)
{
    char *end = NULL;
    options->days = strtol(arg, &end, 10);
    if (end == arg || *end != '\0' || options->days < -36500 || options->days > 36500 || options->days == 0)
        argp_error(state, "--days %s: a number of days, not 0, at most 36500", arg);
    options->has_days = true;
    return 0;
}

static void add_name(const char **names, size_t *num, const char *arg, struct argp_state *state)
{
    if (*num == MAX_NAMES)
        argp_error(state, "more than %d names", MAX_NAMES);
    names[(*num)++] = arg;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    struct pel_keyring_request *request = &options->request;
    switch (key) {
    case 'd': request->dir = arg; return 0;
    case 'l': request->label = arg; return 0;
    case OPT_SUBJECT: request->subject = arg; return 0;
    case OPT_CA: request->ca_dir = arg; return 0;
    case OPT_CA_LABEL: request->ca_label = arg; return 0;
    case OPT_CLIENT: request->client = true; return 0;
    case OPT_DEFAULT: request->make_default = true; return 0;
    case OPT_FORCE: request->force = true; return 0;
    case OPT_FILE: options->file = arg; return 0;
    case OPT_USER: options->user = arg; return 0;
    case OPT_JSON: options->json = true; return 0;
    case OPT_SOCKET: options->socket_path = arg; return 0;
    case OPT_NO_RELOAD: options->no_reload = true; return 0;
    case OPT_DAYS: return parse_days(arg, options, state);
    case OPT_DNS: add_name(options->dns_names, &request->num_dns_names, arg, state); return 0;
    case OPT_IP: add_name(options->ip_addresses, &request->num_ip_addresses, arg, state); return 0;
    case OPT_KEY:
        if (pel_key_type_parse(arg, &request->key_type) != PEL_OK)
            argp_error(state, "--key %s: p256, rsa2048 or rsa3072", arg);
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", arg); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

static void set_times(struct options *options)
{
    struct pel_keyring_request *request = &options->request;
    if (!options->has_days)
        return;
    request->not_after_s = now_s() + options->days * DAY_S;
    request->not_before_s = options->days > 0 ? now_s() - 3600 : request->not_after_s - DAY_S;
}

static int fail(const struct pel_error *error)
{
    fprintf(stderr, "pel keyring: %s\n", error->text);
    return 1;
}

static int need(const char *verb, const char *option)
{
    fprintf(stderr, "pel keyring %s: %s is needed; see `pel keyring %s --help`\n", verb, option, verb);
    return 2;
}

static int run_ca(struct options *options)
{
    struct pel_error error = {0};
    struct pel_keyring_request *request = &options->request;
    if (request->dir == NULL)
        return need("ca", "--dir RING");
    if (request->label == NULL)
        request->label = "ca";
    if (request->subject == NULL)
        request->subject = "CN=Pellucid Test Authority";
    request->make_default = request->force;
    set_times(options);
    if (pel_keyring_make_ca(request, &error) != PEL_OK)
        return fail(&error);
    printf(
        "made the authority \"%s\" in %s; now `pel keyring cert --dir RING --label L --ca %s --dns NAME`\n",
        request->label, request->dir, request->dir);
    return 0;
}

static int run_cert(struct options *options)
{
    struct pel_error error = {0};
    struct pel_keyring_request *request = &options->request;
    if (request->dir == NULL)
        return need("cert", "--dir RING");
    if (request->label == NULL)
        return need("cert", "--label LABEL");
    if (request->ca_dir == NULL)
        return need("cert", "--ca CARING");
    if (!request->client && request->num_dns_names + request->num_ip_addresses == 0)
        return need("cert",
                    "--dns NAME or --ip ADDRESS (a server's certificate is for a name), or --client,");
    request->dns_names = options->dns_names;
    request->ip_addresses = options->ip_addresses;
    snprintf(options->subject, sizeof options->subject, "CN=%s",
             request->num_dns_names > 0 ? request->dns_names[0] : request->label);
    if (request->subject == NULL)
        request->subject = options->subject;
    set_times(options);
    if (pel_keyring_make_cert(request, &error) != PEL_OK)
        return fail(&error);
    printf("made %s/%s.crt and its key; %s/trust holds the authority\n", request->dir, request->label,
           request->dir);
    return 0;
}

static int run_trust(struct options *options)
{
    struct pel_error error = {0};
    if (options->request.dir == NULL)
        return need("trust", "--dir RING");
    if (options->request.label == NULL)
        return need("trust", "--label LABEL");
    if (options->file == NULL)
        return need("trust", "--file FILE.crt");
    if (pel_keyring_trust(options->request.dir, options->request.label, options->file, options->request.force,
                          &error) != PEL_OK)
        return fail(&error);
    return 0;
}

static int run_default(struct options *options)
{
    struct pel_error error = {0};
    if (options->request.dir == NULL)
        return need("default", "--dir RING");
    if (options->request.label == NULL)
        return need("default", "--label LABEL");
    if (pel_keyring_set_default(options->request.dir, options->request.label, &error) != PEL_OK)
        return fail(&error);
    return 0;
}

static int run_user(struct options *options)
{
    struct pel_error error = {0};
    const char *subject = options->request.subject;
    if (options->request.dir == NULL)
        return need("user", "--dir RING");
    if (options->user == NULL)
        return need("user", "--user NAME");
    if ((options->file == NULL) == (subject == NULL))
        return need("user", "one of --file CLIENT.crt and --subject CN=…");
    if (pel_keyring_add_user(options->request.dir, options->user, options->file, subject, &error) != PEL_OK)
        return fail(&error);
    return 0;
}

struct listing {
    bool json;
    size_t num_entries;
    size_t num_problems;
    char ring[256];
};

static void print_json_text(const char *name, const char *text, const char *after)
{
    printf("\"%s\":\"", name);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < 0x20)
            printf("\\u%04x", *c);
        else
            putchar(*c);
    }
    printf("\"%s", after);
}

static void show_json(const struct pel_keyring_entry *entry, bool first)
{
    printf("%s\n  {", first ? "" : ",");
    print_json_text("ring", entry->ring, ",");
    print_json_text("label", entry->label, ",");
    printf("\"kind\":\"%s\",", entry->trusted ? "trust" : "certificate");
    printf("\"default\":%s,\"has_key\":%s,\"is_ca\":%s,", entry->is_default ? "true" : "false",
           entry->has_key ? "true" : "false", entry->is_ca ? "true" : "false");
    print_json_text("subject", entry->subject, ",");
    print_json_text("issuer", entry->issuer, ",");
    print_json_text("names", entry->names, ",");
    print_json_text("key_type", entry->key_type, ",");
    printf("\"not_before\":%lld,\"not_after\":%lld,", (long long)entry->not_before_s,
           (long long)entry->not_after_s);
    print_json_text("problem", entry->problem == PEL_OK ? "" : pel_err_name(entry->problem), ",");
    print_json_text("problem_text", entry->problem_text, "}");
}

static void show_text(struct listing *listing, const struct pel_keyring_entry *entry)
{
    char until[32] = "?";
    time_t end = (time_t)entry->not_after_s;
    struct tm tm;
    if (entry->not_after_s != 0 && gmtime_r(&end, &tm) != NULL)
        strftime(until, sizeof until, "%Y-%m-%d", &tm);
    if (strcmp(listing->ring, entry->ring) != 0)
        printf("%s%s\n", listing->num_entries > 0 ? "\n" : "", entry->ring);
    snprintf(listing->ring, sizeof listing->ring, "%s", entry->ring);
    printf("  %-7s %-16s %-9s until %s  %s%s%s%s%s\n", entry->trusted ? "trust" : "cert", entry->label,
           entry->key_type, until, entry->subject, entry->names[0] != '\0' ? "  for " : "", entry->names,
           entry->is_ca ? "  (authority)" : "", entry->is_default ? "  (default)" : "");
    if (entry->problem != PEL_OK)
        printf("          ! %s\n", entry->problem_text);
}

static void show(void *arg, const struct pel_keyring_entry *entry)
{
    struct listing *listing = arg;
    if (listing->json)
        show_json(entry, listing->num_entries == 0);
    else
        show_text(listing, entry);
    listing->num_entries++;
    listing->num_problems += entry->problem != PEL_OK;
}

static int run_list(struct options *options)
{
    struct pel_error error = {0};
    struct listing listing = {.json = options->json};
    if (options->request.dir == NULL)
        return need("list", "--dir RING");
    if (listing.json)
        printf("{\"certificates\":[");
    enum pel_err err = pel_keyring_list(options->request.dir, now_s(), show, &listing, &error);
    if (listing.json)
        printf("\n]}\n");
    if (err != PEL_OK)
        return fail(&error);
    return listing.num_problems > 0 ? 1 : 0;
}

static const struct {
    const char *name;
    const char *doc;
    const struct argp_option *options;
    int (*run)(struct options *options);
    bool changes; /* a ring, of which running stacks are told */
} verbs[] = {
    {"ca", "Makes a certificate authority of your own.", ca_options, run_ca, true},
    {"cert",
     "Makes a key and a certificate that the authority CARING signs, and puts the authority into RING/trust.",
     cert_options, run_cert, true},
    {"trust", "Puts an authority's certificate into RING/trust.", trust_options, run_trust, true},
    {"default", "Makes LABEL the ring's default.", default_options, run_default, true},
    {"user",
     "Says whom a client's certificate stands for (ClientAuthType SAFCheck): a line in the file of users of "
     "a server's ring.",
     user_options, run_user, true},
    {"list",
     "Lists certificates with their names, expiry and problems; exit status 1 when there are problems.",
     list_options, run_list, false},
};

static int usage(FILE *stream, int status)
{
    fprintf(stream, "Usage: pel keyring VERB [OPTION…]\n\n");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        fprintf(stream, "  %-8s %s\n", verbs[i].name, verbs[i].doc);
    fprintf(
        stream,
        "\nExample:\n"
        "  pel keyring ca   --dir rings/ca\n"
        "  pel keyring cert --dir rings/web --label web --ca rings/ca --dns www.example.test --ip 192.0.2.1\n"
        "  pel keyring cert --dir rings/me  --label me  --ca rings/ca --client\n"
        "  pel keyring list --dir rings\n\n"
        "A running stack with a rule that takes from the ring is told of a change, and loads again.\n"
        "`pel keyring VERB --help` shows a verb's options.\n");
    return status;
}

int verb_keyring(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0))
        return usage(stdout, 0);
    if (argc < 2)
        return usage(stderr, 2);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        char name[64];
        struct options options = {0};
        struct argp argp = {.options = verbs[i].options, .parser = parse_option, .doc = verbs[i].doc};
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        snprintf(name, sizeof name, "pel keyring %s", verbs[i].name);
        argv[1] = name;
        argp_err_exit_status = 2;
        if (argp_parse(&argp, argc - 1, argv + 1, 0, NULL, &options) != 0)
            return 2;
        int status = verbs[i].run(&options);
        if (status == 0 && verbs[i].changes && !options.no_reload)
            tell_keyring_changed(options.socket_path, options.request.dir);
        return status;
    }
    fprintf(stderr, "pel keyring: no verb \"%s\"; there are ca, cert, trust, default, user and list\n",
            argv[1]);
    return 2;
}
