/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of the `pel` command. Each verb parses its own options (argp), takes --json where it prints
 * anything, writes errors to stderr as one line that says what to do, and returns the exit status: 0 fine, 1
 * the thing failed or has errors, 2 wrong usage.
 */
#ifndef PEL_APPS_PEL_VERB_H
#define PEL_APPS_PEL_VERB_H

struct pel_verb {
    const char *name;    /* "policy" */
    const char *summary; /* one line for `pel --help` */
    int (*run)(int argc, char **argv); /* argv[0] is "pel VERB" */
};

int verb_stack(int argc, char **argv);   /* apps/pel/stack.c */
int verb_run(int argc, char **argv);     /* apps/pel/run.c */
int verb_policy(int argc, char **argv);  /* apps/pel/policy/policy.c */
int verb_keyring(int argc, char **argv); /* apps/pel/keyring.c */
int verb_doctor(int argc, char **argv);  /* apps/pel/doctor.c */
int verb_conns(int argc, char **argv);   /* apps/pel/conns.c */
int verb_stats(int argc, char **argv);   /* apps/pel/stats.c */

#endif
