/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel policy VERB ...`: finds the verb; the verb, a file of its own, does the rest.
 */
#include <stdio.h>
#include <string.h>

#include "apps/pel/policy/common.h"
#include "apps/pel/verb.h"

static const struct {
    const char *name;
    const char *usage; /* what follows "pel policy NAME " */
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"build", "[--stack NAME] [--strict] [-o FILE] [--json] MODEL.yaml", policy_build},
    {"check", "[--strict] [--keyrings DIR [--owner USER]] [--json] FILE...", policy_check},
    {"compile", "-o IMAGE [--json] FILE...", policy_compile},
    {"diff", "[--exit-code] [--json] OLD NEW", policy_diff},
    {"fmt", "[--check | -w] [--json] FILE...", policy_fmt},
    {"import", "[--stack NAME] [-o MODEL] [--json] FILE", policy_import},
    {"load", "[--socket PATH] [--json] [FILE...]", policy_load},
    {"match",
     "--direction inbound|outbound --local ADDR:PORT --remote ADDR:PORT [--user U] [--job J] [--time "
     "RFC3339] "
     "[--why] [--json] FILE... | --live [--socket PATH]",
     policy_match},
    {"new", "--app NAME | --list [WORD] [--side SIDE] [-o FILE] [--json]", policy_new},
    {"show", "[--all] [--format pasearch] [--json] FILE [RULE...]", policy_show},
    {"status", "[--rules] [--stale] [--certs] [--ports] [--all] [--socket PATH] [--json]", policy_status},
    {"test", "[--junit FILE] [--json] FILE... CASES.yaml", policy_test},
};

#define NUM_VERBS (sizeof verbs / sizeof *verbs)

static void print_usage(FILE *to)
{
    for (size_t i = 0; i < NUM_VERBS; i++)
        fprintf(to, "%s pel policy %s %s\n", i == 0 ? "Usage:" : "      ", verbs[i].name, verbs[i].usage);
    fprintf(to, "check, compile, diff, match, show and test read files with --image NAME and --compat zos as "
                "well.\n");
}

int verb_policy(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < NUM_VERBS; i++) {
        static char full_name[40]; /* argp keeps it, and argv[0] must be writable */
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        snprintf(full_name, sizeof full_name, "pel policy %s", verbs[i].name);
        argv[1] = full_name;
        return verbs[i].run(argc - 1, argv + 1);
    }
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0);
    print_usage(help ? stdout : stderr);
    return help ? POLICY_FINE : POLICY_USAGE;
}
