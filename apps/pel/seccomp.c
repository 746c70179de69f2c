/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CODE_MAX 256
#define X32_BIT  0x40000000u /* the numbers of the x32 ABI, which nothing here uses */

struct filter {
    struct sock_filter code[CODE_MAX];
    unsigned short len;
};

static void add(struct filter *filter, uint16_t code, uint8_t if_true, uint8_t if_false, uint32_t value)
{
    if (filter->len < CODE_MAX)
        filter->code[filter->len++] =
            (struct sock_filter){.code = code, .jt = if_true, .jf = if_false, .k = value};
}

static void load(struct filter *filter, size_t offset)
{
    add(filter, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void answer(struct filter *filter, uint32_t action)
{
    add(filter, BPF_RET | BPF_K, 0, 0, action);
}

static void begin(struct filter *filter, uint32_t if_x32)
{
    load(filter, offsetof(struct seccomp_data, arch));
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64);
    answer(filter, if_x32);
    load(filter, offsetof(struct seccomp_data, nr));
    add(filter, BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32_BIT);
    answer(filter, if_x32);
}

static void answer_each(struct filter *filter, const uint16_t *numbers, size_t num, uint32_t action)
{
    for (size_t i = 0; i < num; i++) {
        add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, numbers[i]);
        answer(filter, action);
    }
}

static int install(const struct filter *filter)
{
    const struct sock_fprog program = {.len = filter->len,
                                       .filter = (struct sock_filter *)(uintptr_t)filter->code};
    if (filter->len >= CODE_MAX)
        return E2BIG;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : errno;
}

#define NUM(list) (sizeof(list) / sizeof *(list))

int seccomp_process(void)
{
    static const uint16_t never[] = {
        /* other programs */
        SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_uselib, SYS_personality,
        /* into others */
        SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp,
        SYS_process_madvise, SYS_perf_event_open, SYS_move_pages, SYS_migrate_pages,
        /* the machine */
        SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_open_tree, SYS_move_mount, SYS_fsopen,
        SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_setns, SYS_unshare,
        SYS_open_by_handle_at, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load,
        SYS_kexec_file_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_sethostname, SYS_setdomainname,
        SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_acct, SYS_quotactl,
        SYS_syslog, SYS_vhangup, SYS_nfsservctl, SYS_lookup_dcookie,
        /* what the kernel had most holes in */
        SYS_keyctl, SYS_add_key, SYS_request_key, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter,
        SYS_io_uring_register};
    static const uint16_t clone3[] = {SYS_clone3};
    struct filter filter = {.len = 0};
    begin(&filter, SECCOMP_RET_KILL_PROCESS);
    answer_each(&filter, never, NUM(never), SECCOMP_RET_TRAP);
    /* Its flags are in memory, where no filter can look; libc then takes clone. */
    answer_each(&filter, clone3, 1, SECCOMP_RET_ERRNO | ENOSYS);
    add(&filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, SYS_clone);
    load(&filter, offsetof(struct seccomp_data, args[0]));
    add(&filter, BPF_JMP | BPF_JSET | BPF_K, 1, 0, CLONE_THREAD);
    answer(&filter, SECCOMP_RET_TRAP);
    answer(&filter, SECCOMP_RET_ALLOW);
    return install(&filter);
}

int seccomp_engine(void)
{
    static const uint16_t needed[] = {
        /* packets, bells and channels */
        SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg,
        SYS_poll, SYS_ppoll, SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_ctl, SYS_close, SYS_shutdown,
        /* memory */
        SYS_mmap, SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_mprotect,
        /* threads and time */
        SYS_futex, SYS_sched_yield, SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday,
        SYS_getrandom, SYS_getpid, SYS_gettid, SYS_getcpu, SYS_sched_getaffinity, SYS_membarrier, SYS_rseq,
        SYS_set_robust_list,
        /* the end of the thread, and of the process when something aborts */
        SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_sigaltstack, SYS_exit, SYS_exit_group,
        SYS_restart_syscall};
    /* malloc looks into /proc when it shrinks, and lives without. */
    static const uint16_t files[] = {SYS_open, SYS_openat};
    struct filter filter = {.len = 0};
    begin(&filter, SECCOMP_RET_KILL_PROCESS);
    answer_each(&filter, files, NUM(files), SECCOMP_RET_ERRNO | EACCES);
    answer_each(&filter, needed, NUM(needed), SECCOMP_RET_ALLOW);
    /* Signals to this process alone. */
    add(&filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, SYS_tgkill);
    load(&filter, offsetof(struct seccomp_data, args[0]));
    add(&filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)getpid());
    answer(&filter, SECCOMP_RET_ALLOW);
    answer(&filter, SECCOMP_RET_TRAP);
    return install(&filter);
}

int seccomp_no_io_uring(void)
{
    static const uint16_t calls[] = {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register};
    struct filter filter = {.len = 0};
    /* 32-bit programs are refused before they start, and their io_uring has the same numbers. */
    load(&filter, offsetof(struct seccomp_data, nr));
    answer_each(&filter, calls, NUM(calls), SECCOMP_RET_ERRNO | ENOSYS);
    answer(&filter, SECCOMP_RET_ALLOW);
    return install(&filter);
}
