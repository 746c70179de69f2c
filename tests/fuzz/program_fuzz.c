/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file that is to be executed: an ELF program, a script, rubbish. The judgement must come in
 * bounded time, twice the same, with a reason exactly when it is no, and a reason that fits any buffer and
 * steers no terminal.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/program.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* What `env` would start is not this machine's matter. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(setenv("PATH", "/nonexistent", 1) == 0);
    return 0;
}

static void check_why(const char *why, size_t cap, enum pel_program_reach reach)
{
    require(reach < PEL_REACH_NR);
    require((reach == PEL_REACH_OK) == (why[0] == '\0'));
    require(strnlen(why, cap) < cap);
    for (const char *at = why; *at != '\0'; at++)
        require((unsigned char)*at >= 0x20 && *at != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[64], why[8192], again[16];
    int fd = memfd_create("program", MFD_CLOEXEC);
    require(fd >= 0);
    require(write(fd, bytes, len) == (ssize_t)len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum pel_program_reach reach = pel_program_judge(path, why, sizeof why);
    check_why(why, sizeof why, reach);
    require(pel_program_judge(path, again, sizeof again) == reach);
    check_why(again, sizeof again, reach);
    require(strncmp(why, again, sizeof again - 1) == 0);
    require(pel_program_judge(path, NULL, 0) == reach);
    close(fd);
    return 0;
}
