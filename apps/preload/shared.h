/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes share of a socket of the stack beside what the daemon has to know: it stands in the slot's
 * `application` bytes, which the daemon zeroes before a slot is used again. And the locks there: a word that
 * holds its owner's thread number, so that the lock of a process that died can be taken over.
 */
#ifndef PEL_PRELOAD_SHARED_H
#define PEL_PRELOAD_SHARED_H

#include "apps/preload/file.h"

/* pel_shared.flags */
#define PEL_SHARED_NONBLOCK     1u    /* O_NONBLOCK */
#define PEL_SHARED_ACCEPTED     2u    /* came by accept: bytes may be written at once */
#define PEL_SHARED_MAPPED       4u    /* the mapping point has been asked for */
#define PEL_SHARED_CONNECTING   8u    /* connect was called (or it came by accept): it is a connection */
#define PEL_SHARED_CONNECT_TOLD 16u   /* a connect has returned that it is done */
#define PEL_SHARED_ERROR_TOLD   32u   /* gone_errno has been reported */
#define PEL_SHARED_RD_SHUT      64u   /* shutdown(SHUT_RD) */
#define PEL_SHARED_WR_SHUT      128u  /* shutdown(SHUT_WR) */
#define PEL_SHARED_BOUND        512u  /* has a name by bind */
#define PEL_SHARED_APPEND       1024u /* O_APPEND, told back */
#define PEL_SHARED_CUT                                                                                       \
    2048u /* the program cut its connection (connect AF_UNSPEC): ECONNRESET is to be told */

struct pel_shared {
    uint32_t rx_lock __attribute__((aligned(64)));
    uint32_t tx_lock __attribute__((aligned(64)));
    uint32_t setup_lock __attribute__((aligned(64))); /* connect, listen, shutdown */
    uint32_t flags;                                   /* atomic */
    int32_t sndbuf_len, rcvbuf_len;                   /* told back; 0: the ring's */
    int64_t recv_timeout_us, send_timeout_us;         /* 0: for ever */
    union pel_ipc_address remote;                     /* as the program gave it to connect */
    uint32_t backlog;
    uint32_t recv_low_water;                       /* SO_RCVLOWAT; 0: 1 */
    uint32_t user_timeout_ms, mark, priority, tos; /* told back */
    uint8_t is_not_quick, is_broadcast;            /* TCP_QUICKACK off, SO_BROADCAST; told back */
};
static_assert(sizeof(struct pel_shared) <= sizeof((struct pel_slot *)0)->application, "fits the slot");

static inline struct pel_shared *pel_shared_of(const struct pel_file *file)
{
    return (struct pel_shared *)(void *)file->slot->application;
}

static inline uint32_t pel_shared_flags(const struct pel_file *file)
{
    return __atomic_load_n(&pel_shared_of(file)->flags, __ATOMIC_ACQUIRE);
}

/* pel_shared_set and pel_shared_clear change flags, and return what they were. A full barrier. */
static inline uint32_t pel_shared_set(const struct pel_file *file, uint32_t flags)
{
    return __atomic_fetch_or(&pel_shared_of(file)->flags, flags, __ATOMIC_SEQ_CST);
}

static inline uint32_t pel_shared_clear(const struct pel_file *file, uint32_t flags)
{
    return __atomic_fetch_and(&pel_shared_of(file)->flags, ~flags, __ATOMIC_SEQ_CST);
}

/* This thread's number; 0: not asked for yet. */
extern __thread uint32_t pel_lock_tid __attribute__((tls_model("initial-exec")));

/* pel_lock_wait takes a lock that was found taken. */
bool pel_lock_wait(uint32_t *lock);

/* pel_lock_forked makes the thread's number new in a forked child. */
void pel_lock_forked(void);

/* pel_lock_take takes one of a slot's locks; false: this thread has it already (a signal handler's call).
 * pel_lock_give gives it back. Any thread of any process that has the segment mapped. */
static inline bool pel_lock_take(uint32_t *lock)
{
    uint32_t none = 0, tid = pel_lock_tid;
    if (__builtin_expect(tid != 0 && __atomic_compare_exchange_n(lock, &none, tid, false, __ATOMIC_ACQUIRE,
                                                                 __ATOMIC_RELAXED),
                         1))
        return true;
    return pel_lock_wait(lock);
}

static inline void pel_lock_give(uint32_t *lock)
{
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

#endif
