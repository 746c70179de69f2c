/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system call as the kernel has it: without errno, and without the C library, whose names a preload library
 * takes over. x86-64, as is all of this.
 */
#ifndef PEL_IPC_RAW_H
#define PEL_IPC_RAW_H

#include <sys/syscall.h>

/* pel_raw returns the call's result, or a negative errno. Any thread; async-signal-safe. Not a cancellation
 * point. */
static inline long pel_raw(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#endif
