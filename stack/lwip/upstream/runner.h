/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of lwIP's own unit tests that are not run, with the reasons: not_run.c. */
#ifndef PEL_STACK_LWIP_UPSTREAM_RUNNER_H
#define PEL_STACK_LWIP_UPSTREAM_RUNNER_H

#include <stdbool.h>
#include <stddef.h>

/* The program's options: of not_run.c's rows. */
enum upstream_options {
    UPSTREAM_THEIRS = 1, /* options_theirs */
    UPSTREAM_OURS = 2,   /* options_ours */
    UPSTREAM_BOTH = 3,
};

struct upstream_not_run {
    const char *file; /* below test/unit */
    const char *name; /* NULL: every case of the file */
    enum upstream_options options;
    const char *reason;
};

/* upstream_not_run returns the row that says why a case is not run with these options, or NULL. */
const struct upstream_not_run *upstream_not_run(const char *file, const char *name,
                                                enum upstream_options options);

/* upstream_not_run_row returns row `i` of the table, NULL after the last. */
const struct upstream_not_run *upstream_not_run_row(size_t i);

#endif
