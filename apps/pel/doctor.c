/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel doctor`: can the stack run here, what would make it better, is the policy of one that runs in order,
 * and whom has the start gate turned away? A table for people, --json for programs.
 */
#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <pellucid/doctor.h>

#include "apps/pel/doctor_policy.h"
#include "apps/pel/gate.h"
#include "apps/pel/verb.h"

enum { OPT_JSON = 0x100, OPT_ROOT, OPT_SOCKET, OPT_KEYRINGS };

struct options {
    bool json;
    bool verbose;
    const char *root, *socket_path, *keyrings;
};

static const struct argp_option doctor_options[] = {
    {"json", OPT_JSON, NULL, 0, "One JSON object", 0},
    {"verbose", 'v', NULL, 0, "Say what it means also where all is well", 0},
    {"socket", OPT_SOCKET, "PATH", 0, "The control socket of the stack that is asked, and no other", 0},
    {"keyrings", OPT_KEYRINGS, "DIR", 0, "Look at the keyrings there", 0},
    {"root", OPT_ROOT, "DIR", 0, "Look at DIR/proc, DIR/sys and DIR/dev instead of this machine's", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case OPT_JSON: options->json = true; return 0;
    case 'v': options->verbose = true; return 0;
    case OPT_SOCKET: options->socket_path = arg; return 0;
    case OPT_KEYRINGS: options->keyrings = arg; return 0;
    case OPT_ROOT: options->root = arg; return 0;
    case ARGP_KEY_ARG: argp_error(state, "pel doctor takes no argument: \"%s\"", arg); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static enum pel_doctor_severity worst_of(const struct pel_doctor_report *report, const json_t *stacks)
{
    enum pel_doctor_severity machine = pel_doctor_worst(report), gate = gate_worst(stacks);
    return machine > gate ? machine : gate;
}

static int print_json(const struct pel_doctor_report *report, json_t *stacks)
{
    json_t *checks = json_array();
    for (uint32_t i = 0; i < report->num_checks; i++) {
        const struct pel_doctor_check *c = &report->checks[i];
        json_array_append_new(checks, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", c->name, "severity",
                                                pel_doctor_severity_name(c->severity), "found", c->found,
                                                "meaning", c->meaning, "remedy", c->remedy));
    }
    json_t *object =
        json_pack("{s:b, s:s, s:o, s:O}", "can_run", pel_doctor_worst(report) < PEL_DOCTOR_BAD, "worst",
                  pel_doctor_severity_name(worst_of(report, stacks)), "checks", checks, "stacks", stacks);
    int failed = json_dumpf(object, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(object);
    return failed;
}

static void print_table(const struct pel_doctor_report *report, const json_t *stacks, bool verbose)
{
    for (uint32_t i = 0; i < report->num_checks; i++) {
        const struct pel_doctor_check *c = &report->checks[i];
        printf("%-5s %-14s %s\n", pel_doctor_severity_name(c->severity), c->name, c->found);
        if (verbose || c->severity != PEL_DOCTOR_OK)
            printf("      %-14s %s\n", "", c->meaning);
        if (c->remedy[0] != 0)
            printf("      %-14s -> %s\n", "", c->remedy);
    }
    gate_print(stacks, verbose);
    printf("\n%s\n", pel_doctor_worst(report) < PEL_DOCTOR_BAD
                         ? "The stack can run here."
                         : "The stack cannot run here: see what is bad.");
}

int verb_doctor(int argc, char **argv)
{
    static const struct argp argp = {
        doctor_options,
        parse_option,
        NULL,
        "Looks whether the stack can run on this machine, and says what to do where something is missing; "
        "whether the policy of a stack that runs, its certificates and its keyrings are in order; and, of "
        "each stack that runs, whether it waits for a policy and which programs it has turned away."
        "\vExit status: 0 when the stack can run, 1 when it cannot, 2 for wrong usage.",
        NULL,
        NULL,
        NULL,
    };
    struct options options = {.root = ""};
    struct pel_doctor_report report;
    argp_err_exit_status = 2;
    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
        return 2;
    enum pel_err err = pel_doctor_run(options.root, &report);
    if (err != PEL_OK) {
        fprintf(stderr, "pel doctor: --root %s: %s; give a shorter path\n", options.root, pel_err_text(err));
        return 2;
    }
    if (options.root[0] == '\0' || options.socket_path != NULL || options.keyrings != NULL)
        doctor_policy(options.socket_path, options.keyrings, &report);
    /* Of another machine's files there is nobody to ask. */
    json_t *stacks =
        options.root[0] == '\0' || options.socket_path != NULL ? gate_ask(options.socket_path) : json_array();
    int failed = 0;
    if (options.json)
        failed = print_json(&report, stacks);
    else
        print_table(&report, stacks, options.verbose);
    json_decref(stacks);
    return failed == 0 && pel_doctor_worst(&report) < PEL_DOCTOR_BAD ? 0 : 1;
}
