/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pel: the operator's command. It finds the verb; the verb does the rest.
 */
#include <pellucid/version.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/pel/policy/nearest.h"
#include "apps/pel/verb.h"

static const struct pel_verb verbs[] = {
    {"stack", "run the stack as a daemon, for programs that are started with pel run", verb_stack},
    {"run", "run a program whose connections are the stack's", verb_run},
    {"policy", "check policy files; have a running stack load them", verb_policy},
    {"keyring", "make, fill, list and check the directories that hold keys and certificates", verb_keyring},
    {"doctor", "say what this machine lacks, and the command that mends it", verb_doctor},
    {"conns", "show a running stack's connections, with rule, version and cipher suite", verb_conns},
    {"stats", "show a running stack's counters, every drop and error by name", verb_stats},
};

#define NUM_VERBS (sizeof verbs / sizeof verbs[0])

static void print_help(FILE *out)
{
    fprintf(out, "Usage: pel VERB [OPTION...]\n\n");
    for (size_t i = 0; i < NUM_VERBS; i++)
        fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(out, "\n  pel VERB --help   how to use it\n  pel --version     the version\n\n"
                 "Exit status: 0 fine, 1 the thing failed or has errors, 2 wrong usage.\n");
}

static int unknown_verb(const char *word)
{
    const char *names[NUM_VERBS];
    for (size_t i = 0; i < NUM_VERBS; i++)
        names[i] = verbs[i].name;
    const char *nearest = nearest_word(word, names, NUM_VERBS);
    fprintf(stderr, "pel: there is no verb '%s'", word);
    if (nearest != NULL)
        fprintf(stderr, "; did you mean '%s'?", nearest);
    fprintf(stderr, " (pel --help lists them)\n");
    return 2;
}

/* The verb's own messages shall begin with "pel VERB". */
static int run_verb(const struct pel_verb *verb, int argc, char **argv)
{
    static char name[32];
    snprintf(name, sizeof name, "pel %s", verb->name);
    argv[0] = name;
    return verb->run(argc, argv);
}

/* What could not be written is a failure, also of a --help. Nothing written to a closed stdout is none. */
static void check_stdout(void)
{
    bool had_failed = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !had_failed)
        return;
    fprintf(stderr, "pel: stdout: %s\n", strerror(had_failed && errno == 0 ? EIO : errno));
    _exit(1);
}

int main(int argc, char **argv)
{
    atexit(check_stdout);
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("pel %s\n", pel_version());
        return 0;
    }
    for (size_t i = 0; i < NUM_VERBS; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0)
            return run_verb(&verbs[i], argc - 1, argv + 1);
    }
    return unknown_verb(argv[1]);
}
