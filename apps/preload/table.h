/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which descriptor number leads to which file. Looking up takes no lock: files are never given back to the
 * system, only used again, and whoever takes a reference looks at the table once more.
 */
#ifndef PEL_PRELOAD_TABLE_H
#define PEL_PRELOAD_TABLE_H

#include "apps/preload/file.h"

#define PEL_TABLE_CHUNK  1024
#define PEL_TABLE_CHUNKS 1024
#define PEL_TABLE_MAX    (PEL_TABLE_CHUNK * PEL_TABLE_CHUNKS)

/* What stands at numbers that are the library's own. */
#define PEL_TABLE_HIDDEN ((struct pel_file *)1)

extern struct pel_file **pel_table_chunks[PEL_TABLE_CHUNKS];

/* pel_table_peek returns what stands at a number: NULL, PEL_TABLE_HIDDEN, or a file, without a reference: to
 * be compared, not to be looked into. Any thread; async-signal-safe, as pel_file_get. */
static inline struct pel_file *pel_table_peek(int fd)
{
    if ((unsigned)fd >= PEL_TABLE_MAX)
        return NULL;
    struct pel_file **chunk =
        __atomic_load_n(&pel_table_chunks[(unsigned)fd / PEL_TABLE_CHUNK], __ATOMIC_ACQUIRE);
    return chunk == NULL ? NULL : __atomic_load_n(&chunk[(unsigned)fd % PEL_TABLE_CHUNK], __ATOMIC_ACQUIRE);
}

/* pel_table_make returns a new file with one reference, which is the caller's; NULL: no memory. */
struct pel_file *pel_table_make(enum pel_file_kind kind);

/* pel_table_lock and pel_table_unlock guard changes and pel_table_next. */
void pel_table_lock(void);
void pel_table_unlock(void);

/* pel_table_set makes `fd` lead to `file` (whose reference the number takes over) or to PEL_TABLE_HIDDEN, or
 * with NULL to nothing; returns what stood there, whose reference is then the caller's. Under the lock.
 * pel_table_reserve makes sure beforehand that there is memory for it; false: there is none. */
bool pel_table_reserve(int fd);
struct pel_file *pel_table_set(int fd, struct pel_file *file);

/* pel_table_next returns the first number from `from` on that has an entry, and in `ret_file` what stands
 * there; -1: there is none. Under the lock. */
int pel_table_next(int from, struct pel_file **ret_file);

/* pel_table_ref takes a reference to a file that the caller has one of already, or under the lock. */
void pel_table_ref(struct pel_file *file);

/* pel_table_num_stack returns how many numbers lead to sockets of the stack or may come to. Any thread. */
uint32_t pel_table_num_files(void);

/* pel_table_forked makes locks and references new in a forked child: what other threads held is nobody's. */
void pel_table_forked(void);

/* pel_file_kind returns the kind as it is now. */
static inline enum pel_file_kind pel_file_kind(const struct pel_file *file)
{
    return (enum pel_file_kind)__atomic_load_n(&file->kind, __ATOMIC_ACQUIRE);
}

#endif
