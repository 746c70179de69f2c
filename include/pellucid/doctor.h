/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can the stack run on this machine, and what would make it better? pel_doctor_run looks at what the kernel
 * shows of itself (hugepages, devices, rights, limits, processor, modules) and gives for each thing a
 * verdict, what it means and the command that mends it. It changes nothing, needs no rights, and starts
 * nothing.
 *
 * BAD means that the stack cannot run at all; WARN that something useful cannot be used; INFO that it could
 * be better.
 *
 * What it does not do: it opens no port, so that it cannot know of an interface whose name is taken.
 */
#ifndef PELLUCID_DOCTOR_H
#define PELLUCID_DOCTOR_H

#include <stdint.h>

#include <pellucid/error.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum pel_doctor_severity {
    PEL_DOCTOR_OK,
    PEL_DOCTOR_INFO,
    PEL_DOCTOR_WARN,
    PEL_DOCTOR_BAD,
};

struct pel_doctor_check {
    const char *name; /* "hugepages-2M" */
    enum pel_doctor_severity severity;
    char found[160];     /* what there is: "64 of 64 free" */
    const char *meaning; /* one sentence: what the verdict means for the stack */
    const char *remedy;  /* the command or act that mends it; "" when there is nothing to mend */
};

#define PEL_DOCTOR_CHECKS_MAX 32

struct pel_doctor_report {
    uint32_t num_checks;
    struct pel_doctor_check checks[PEL_DOCTOR_CHECKS_MAX];
};

/* pel_doctor_run makes all checks. `root` goes before every path that is read: "" for this machine, or a
 * directory that holds a made-up proc, sys and dev. The strings in the report are static or in it. PEL_E_ARG
 * when `root` is longer than 1023 bytes. Any thread. */
PEL_MUST_USE enum pel_err pel_doctor_run(const char *root, struct pel_doctor_report *ret_report);

/* pel_doctor_worst returns the gravest severity in the report. Any thread. */
enum pel_doctor_severity pel_doctor_worst(const struct pel_doctor_report *report);

/* pel_doctor_severity_name returns "ok", "info", "warn" or "bad"; static. Any thread. */
const char *pel_doctor_severity_name(enum pel_doctor_severity severity);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
