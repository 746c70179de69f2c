/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy new --app NAME`: a policy to begin with, small and safe, for one of the applications of
 * apps_table.c; `pel policy new --list` shows them.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "apps/pel/policy/apps_table.h"
#include "apps/pel/policy/levels.h"
#include "apps/pel/policy/model_addresses.h"
#include "apps/pel/policy/nearest.h"
#include "apps/pel/policy/common.h"
#include "apps/pel/policy/out.h"

enum {
    KEY_JSON = 256,
    KEY_APP,
    KEY_LIST,
    KEY_SIDE,
    KEY_LEVEL,
    KEY_KEYRING,
    KEY_PORT,
    KEY_ADDRESS,
    KEY_NAME,
    KEY_FORCE
};

enum { MAX_NAME_LEN = 32, MAX_PORTS = 16 };

struct options {
    bool json, list, force;
    const char *app, *side, *level, *keyring, *port, *address, *name, *file, *filter;
};

/* What is to be written. */
struct plan {
    const struct app *app;
    const struct level *level;
    bool is_client;
    const char *keyring, *ports, *address;
    char name[MAX_NAME_LEN + 1];
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_JSON: options->json = true; return 0;
    case KEY_APP: options->app = arg; return 0;
    case KEY_LIST: options->list = true; return 0;
    case KEY_SIDE: options->side = arg; return 0;
    case KEY_LEVEL: options->level = arg; return 0;
    case KEY_KEYRING: options->keyring = arg; return 0;
    case KEY_PORT: options->port = arg; return 0;
    case KEY_ADDRESS: options->address = arg; return 0;
    case KEY_NAME: options->name = arg; return 0;
    case KEY_FORCE: options->force = true; return 0;
    case 'o': options->file = arg; return 0;
    case ARGP_KEY_ARG:
        if (!options->list || options->filter != NULL)
            argp_error(state, "%s: too many words", arg);
        options->filter = arg;
        return 0;
    case ARGP_KEY_END:
        if (options->list == (options->app != NULL))
            argp_error(state, "give --app NAME, or --list");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the list ---- */

static const char *sides_of(const struct app *app)
{
    return (app->flags & APP_CLIENT_ONLY) != 0 ? "client" : "server, client";
}

static bool is_asked_for(const struct app *app, const char *filter)
{
    return filter == NULL || strcasestr(app->name, filter) != NULL ||
           strcasestr(app->title, filter) != NULL || strcasestr(app->what, filter) != NULL;
}

static void print_row(const struct app *app)
{
    printf("%-20s %-15s %-12s %-12s %-9s %s: %s\n", app->name, sides_of(app), app->ports,
           (app->flags & APP_ASKS) != 0 ? "when asked" : "first byte", app->level, app->title, app->what);
}

static json_t *row_as_json(const struct app *app)
{
    static const char *const kinds[] = {"registered for TLS", "registered", "customary"};
    json_t *sides = (app->flags & APP_CLIENT_ONLY) != 0 ? json_pack("[s]", "client")
                                                        : json_pack("[s, s]", "server", "client");
    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:b, s:s, s:s, s:s}", "app", app->name, "title",
                     app->title, "sides", sides, "ports", app->ports, "ports_are", kinds[app->port_kind],
                     "tls", (app->flags & APP_ASKS) != 0 ? "when asked" : "first byte", "client_certificate",
                     (app->flags & APP_MUTUAL) != 0, "level", app->level, "what", app->what, "peer",
                     app->peer);
}

static int print_list(const struct options *options)
{
    size_t num = 0, num_shown = 0;
    const struct app *apps = apps_table(&num);
    json_t *rows = json_array();
    if (!options->json)
        printf("%-20s %-15s %-12s %-12s %-9s %s\n", "APP", "SIDES", "PORTS", "TLS", "LEVEL", "WHAT");
    for (size_t i = 0; i < num; i++) {
        if (!is_asked_for(&apps[i], options->filter))
            continue;
        num_shown++;
        if (options->json)
            (void)json_array_append_new(rows, row_as_json(&apps[i]));
        else
            print_row(&apps[i]);
    }
    if (options->json)
        policy_print_json(json_pack("{s:O}", "apps", rows));
    json_decref(rows);
    if (num_shown > 0)
        return POLICY_FINE;
    fprintf(stderr, "pel: no application has \"%s\" in its name or description\n", options->filter);
    return POLICY_FAILED;
}

/* ---- checks of what was asked for ---- */

static bool refuse(const char *option, const char *value, const char *why)
{
    fprintf(stderr, "pel: %s %s: %s\n", option, value, why);
    return false;
}

static bool find_app(const char *name, const struct app **ret_app)
{
    const char *names[200];
    size_t num = 0;
    const struct app *apps = apps_table(&num);
    *ret_app = apps_find(name);
    if (*ret_app != NULL)
        return true;
    for (size_t i = 0; i < num && i < sizeof names / sizeof *names; i++)
        names[i] = apps[i].name;
    const char *nearest = nearest_word(name, names, num);
    fprintf(stderr, "pel: --app %s: no such application%s%s%s (pel policy new --list)\n", name,
            nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
            nearest != NULL ? "?" : "");
    return false;
}

/* A word of a policy: no blank, comment or brace, nothing that is not plain. */
static bool is_word(const char *text, size_t max_len)
{
    size_t len = strlen(text);
    if (len == 0 || len > max_len)
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || *c == '#' || *c == '{' || *c == '}')
            return false;
    }
    return true;
}

static bool take_side(const struct options *options, struct plan *plan)
{
    bool client_only = (plan->app->flags & APP_CLIENT_ONLY) != 0;
    plan->is_client = client_only;
    if (options->side == NULL)
        return true;
    plan->is_client = strcmp(options->side, "client") == 0;
    if (!plan->is_client && strcmp(options->side, "server") != 0)
        return refuse("--side", options->side, "write server or client");
    return plan->is_client || !client_only || refuse("--side", options->side, "it is a client only");
}

static bool make_plan(const struct options *options, struct plan *plan)
{
    if (!find_app(options->app, &plan->app) || !take_side(options, plan))
        return false;
    const struct app *app = plan->app;
    struct port_range ports;
    struct address_range address;
    const char *level = options->level != NULL ? options->level : app->level;
    plan->level = levels_find(level);
    if (plan->level == NULL || plan->level->is_clear)
        return refuse("--level", level, "write Platinum, Gold, Silver or Bronze");
    bool trusts_public = plan->is_client && (app->flags & (APP_PUBLIC | APP_MUTUAL)) == APP_PUBLIC;
    plan->keyring = options->keyring != NULL ? options->keyring : trusts_public ? "*AUTH*/*" : app->name;
    if (!is_word(plan->keyring, 1023))
        return refuse("--keyring", plan->keyring, "write RING, USER/RING or a path, without blanks");
    plan->ports = options->port != NULL ? options->port : app->ports;
    if (options->port != NULL && !port_parse(options->port, &ports))
        return refuse("--port", options->port, "write a port from 1 to 65535, or a range LOW-HIGH");
    plan->address = options->address;
    if (plan->address != NULL && (!is_word(plan->address, 100) || !address_parse(plan->address, &address)))
        return refuse("--address", plan->address, "write an address, ADDRESS/PREFIX or ADDRESS-ADDRESS");
    if (options->name != NULL && !is_word(options->name, MAX_NAME_LEN))
        return refuse("--name", options->name, "write up to 32 characters without blanks, # and braces");
    snprintf(plan->name, sizeof plan->name, "%s", options->name != NULL ? options->name : "");
    if (options->name == NULL)
        snprintf(plan->name, sizeof plan->name, "%s-%s", app->name, plan->is_client ? "client" : "server");
    return true;
}

/* ---- the policy ---- */

/* Prints a sentence as comment lines. */
static void print_comment(FILE *to, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (column > 0 && column + 1 + len > 98) {
            fputc('\n', to);
            column = 0;
        }
        column += (size_t)fprintf(to, "%s%.*s", column == 0 ? "# " : " ", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

static void print_keyring_hint(FILE *to, const struct plan *plan)
{
    bool needs_own = !plan->is_client || (plan->app->flags & APP_MUTUAL) != 0;
    if (strcmp(plan->keyring, "*AUTH*/*") == 0) {
        print_comment(to,
                      "Keyring *AUTH*/*: servers are trusted whose certificate comes from an authority that "
                      "this machine trusts.");
        return;
    }
    fprintf(to,
            "# Keyring %s, of the user that runs the stack: a directory below the stack's keyring_dir.\n",
            plan->keyring);
    if (needs_own)
        fprintf(to, "#   pel keyring cert --dir KEYRING_DIR/USER/%s --label %s --%s --ca CA\n", plan->keyring,
                plan->app->name, plan->is_client ? "client" : "dns NAME");
    if (plan->is_client || (plan->app->flags & APP_MUTUAL) != 0)
        fprintf(to, "#   pel keyring trust --dir KEYRING_DIR/USER/%s --label ca --file CA.crt\n",
                plan->keyring);
}

static void print_head(FILE *to, const struct plan *plan)
{
    static const char *const kinds[] = {" registered for it over TLS", " registered for it",
                                        " customary, not registered"};
    const struct app *app = plan->app;
    bool asks = (app->flags & APP_ASKS) != 0, has_own_ports = plan->ports == app->ports;
    bool is_group = strchr(plan->ports, ' ') != NULL;
    char text[1000];
    snprintf(text, sizeof text, "%s, %s: %s.", app->title, plan->is_client ? "the client" : "the server",
             app->what);
    print_comment(to, text);
    snprintf(text, sizeof text, "TLS begins %s. Port%s %s%s%s%s.",
             asks ? "when the program asks for it, after a start in clear"
                  : "with the connection's first byte",
             is_group ? "s" : "", plan->ports, has_own_ports && is_group ? " are" : "",
             has_own_ports && !is_group ? " is" : "", has_own_ports ? kinds[app->port_kind] : "");
    print_comment(to, text);
    fprintf(to, "#\n");
    if (!asks)
        print_comment(to, "The program is set up without TLS.");
    if (plan->is_client)
        print_comment(to, "The server's name is checked when the program looked it up, or when "
                          "HostReferenceIdDNS says it; else its certificate's issuer alone.");
    if (!plan->is_client || asks)
        print_comment(to, app->peer);
    fprintf(to, "#\n# Security level %s: ", plan->level->name);
    fprintf(to, "%s.\n", plan->level->summary);
    print_keyring_hint(to, plan);
    fprintf(to, "# Look at it: pel policy check FILE; have it loaded: pel policy load FILE.\n\n");
}

static void print_conditions(FILE *to, const struct plan *plan)
{
    const char *side = plan->is_client ? "Remote" : "Local";
    bool is_group = strchr(plan->ports, ' ') != NULL;
    if (plan->address != NULL)
        fprintf(to, "  %sAddr %s\n", side, plan->address);
    if (is_group)
        fprintf(to, "  %sPortGroupRef %s\n", side, plan->name);
    else
        fprintf(to, "  %sPortRange %s\n", side, plan->ports);
    fprintf(to, "  Direction %s\n", plan->is_client ? "Outbound" : "Inbound");
}

static void print_environment(FILE *to, const struct plan *plan)
{
    unsigned flags = plan->app->flags;
    const char *server = (flags & APP_MUTUAL) != 0 ? "ServerWithClientAuth" : "Server";
    fprintf(to, "  TTLSEnvironmentAction\n  {\n    HandshakeRole %s\n", plan->is_client ? "Client" : server);
    fprintf(to, "    TTLSKeyringParms\n    {\n      Keyring %s\n    }\n", plan->keyring);
    if (plan->level->ciphers != NULL) {
        fprintf(to, "    TTLSCipherParms\n    {\n");
        for (size_t i = 0; plan->level->ciphers[i] != NULL; i++)
            fprintf(to, "      V3CipherSuites4Char %s\n", plan->level->ciphers[i]);
        fprintf(to, "    }\n");
    }
    fprintf(to, "    TTLSEnvironmentAdvancedParms\n    {\n");
    policy_out_versions(to, 6, plan->level->versions);
    if ((flags & APP_ASKS) != 0)
        fprintf(to, "      ApplicationControlled On\n");
    if ((flags & APP_SECONDARY) != 0)
        fprintf(to, "      SecondaryMap On\n");
    if ((flags & APP_MUTUAL) != 0 && !plan->is_client)
        fprintf(to, "      ClientAuthType Required\n");
    if (plan->is_client)
        fprintf(to, "#     HostReferenceIdDNS server.example\n");
    fprintf(to, "    }\n  }\n");
}

static void print_port_group(FILE *to, const struct plan *plan)
{
    const char *ports = plan->ports;
    fprintf(to, "\nPortGroup %s\n{\n", plan->name);
    while (*ports != '\0') {
        size_t len = strcspn(ports, " ");
        fprintf(to, "  PortRange\n  {\n    Port %.*s\n  }\n", (int)len, ports);
        ports += len;
        ports += strspn(ports, " ");
    }
    fprintf(to, "}\n");
}

static void print_policy(FILE *to, const struct plan *plan)
{
    print_head(to, plan);
    fprintf(to, "TTLSRule %s\n{\n", plan->name);
    print_conditions(to, plan);
    fprintf(to, "  TTLSGroupAction\n  {\n    TTLSEnabled On\n  }\n");
    print_environment(to, plan);
    fprintf(to, "}\n");
    if (strchr(plan->ports, ' ') != NULL)
        print_port_group(to, plan);
}

/* What the check says of the policy that was made: of a parameter that the stack does not yet act on, or of
 * an address that is none for it. */
struct said {
    const struct options *options;
    json_t *diagnostics;
};

static void say(void *arg, const struct pel_policy_message *message)
{
    struct said *said = arg;
    if (message->severity == PEL_POLICY_NOTE)
        return;
    if (said->options->json)
        policy_json_message(said->diagnostics, message);
    else
        fprintf(stderr, "pel: --app %s: %s: %s\n", said->options->app,
                pel_policy_severity_name(message->severity), message->text);
}

static bool check_policy(struct said *said, const struct policy_out *out)
{
    struct pel_policy *policy = NULL;
    struct pel_error error = {0};
    enum pel_err err = policy_open_text(out->text, out->len, say, said, &policy, &error);
    if (err != PEL_OK && err != PEL_E_POLICY_SYNTAX)
        fprintf(stderr, "pel: %s\n", error.text);
    pel_policy_close(policy);
    return err == PEL_OK;
}

static void print_as_json(const struct plan *plan, const struct said *said, const char *text, bool ok)
{
    const struct options *options = said->options;
    json_t *reply = json_pack("{s:b, s:s, s:s, s:s, s:s, s:o, s:s, s:O}", "ok", ok, "app", plan->app->name,
                              "side", plan->is_client ? "client" : "server", "rule", plan->name, "level",
                              plan->level->name, "keyring", policy_json_text(plan->keyring), "ports",
                              plan->ports, "diagnostics", said->diagnostics);
    if (options->file != NULL)
        (void)json_object_set_new(reply, "file", policy_json_text(options->file));
    (void)json_object_set_new(reply, "policy", json_string(text));
    policy_print_json(reply);
}

static int write_policy(const struct options *options)
{
    struct plan plan = {0};
    struct policy_out out;
    if (!make_plan(options, &plan))
        return POLICY_USAGE;
    if (policy_out_begin(&out))
        print_policy(out.stream, &plan);
    if (!policy_out_end(&out)) {
        policy_out_free(&out);
        fprintf(stderr, "pel: out of memory\n");
        return POLICY_FAILED;
    }
    struct said said = {options, options->json ? json_array() : NULL};
    bool to_file = options->file != NULL && strcmp(options->file, "-") != 0;
    bool ok = check_policy(&said, &out);
    if (ok && (to_file || !options->json))
        ok = policy_save(options->file, out.text, out.len, !options->force);
    if (options->json)
        print_as_json(&plan, &said, out.text, ok);
    json_decref(said.diagnostics);
    policy_out_free(&out);
    return ok ? POLICY_FINE : POLICY_FAILED;
}

static const struct argp_option options_of_new[] = {
    {"app", KEY_APP, "NAME", 0, "The application", 1},
    {"list", KEY_LIST, NULL, 0, "Show the applications, or those that WORD occurs in", 1},
    {"side", KEY_SIDE, "SIDE", 0, "server (the default) or client: which end this machine is", 2},
    {"level", KEY_LEVEL, "LEVEL", 0, "Platinum, Gold, Silver or Bronze; the application's own when not given",
     2},
    {"keyring", KEY_KEYRING, "RING", 0, "The keyring; default the application's name", 2},
    {"port", KEY_PORT, "PORT", 0, "A port or LOW-HIGH in place of the application's", 2},
    {"address", KEY_ADDRESS, "ADDRESS", 0, "Only this address of the server, a prefix or a range", 2},
    {"name", KEY_NAME, "NAME", 0, "The rule's name; default APP-SIDE", 2},
    {"output", 'o', "FILE", 0, "Write to FILE, not to stdout", 3},
    {"force", KEY_FORCE, NULL, 0, "Replace FILE when it is there", 3},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 3},
    {0},
};

int policy_new(int argc, char **argv)
{
    static const struct argp argp = {.options = options_of_new,
                                     .parser = parse_option,
                                     .args_doc = "--app NAME\n--list [WORD]",
                                     .doc = "Writes a policy to begin with for a common application."};
    struct options options = {0};
    if (!policy_parse(&argp, argc, argv, &options))
        return POLICY_USAGE;
    return options.list ? print_list(&options) : write_policy(&options);
}
