/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/table.h"

#include <errno.h>
#include <sys/mman.h>

#include "apps/preload/close.h"
#include "apps/preload/wait.h"
#include "ipc/raw.h"

#define POOL_LEN 65536

struct pel_file **pel_table_chunks[PEL_TABLE_CHUNKS];

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pel_file *free_files; /* linked by `next_free`, under the lock */
static uint32_t num_files;

void pel_table_lock(void)
{
    pthread_mutex_lock(&table_lock);
}

void pel_table_unlock(void)
{
    pthread_mutex_unlock(&table_lock);
}

static void *map_memory(size_t len)
{
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool grow_pool(void)
{
    struct pel_file *files = map_memory(POOL_LEN);
    if (files == NULL)
        return false;
    for (size_t i = 0; i < POOL_LEN / sizeof *files; i++) {
        pthread_mutex_init(&files[i].lock, NULL);
        files[i].next_free = free_files;
        free_files = &files[i];
    }
    return true;
}

struct pel_file *pel_table_make(enum pel_file_kind kind)
{
    pel_table_lock();
    if (free_files == NULL && !grow_pool()) {
        pel_table_unlock();
        return NULL;
    }
    struct pel_file *file = free_files;
    free_files = file->next_free;
    pel_table_unlock();
    file->kind = kind;
    file->num_fds = 0;
    file->app = NULL;
    file->slot = NULL;
    file->number = file->serial = 0;
    file->rx = file->tx = (struct pel_ring){0};
    file->epoll = NULL;
    file->members = NULL;
    file->next_free = NULL;
    file->fd = file->parked_fd = -1;
    file->family = file->type = 0;
    file->is_left = 0;
    file->is_counted = false;
    file->is_name_free = false;
    /* Last: until here a stale look-up finds no reference to add to. */
    __atomic_store_n(&file->refs, 1, __ATOMIC_RELEASE);
    return file;
}

static void free_file(struct pel_file *file)
{
    if (file->epoll != NULL)
        pel_epoll_free(file->epoll);
    pel_close_last(file);
    pel_table_lock();
    file->next_free = free_files;
    free_files = file;
    pel_table_unlock();
}

/* The file at `fd`, if it still has references; they cannot be given back while the entry stands. */
struct pel_file *pel_file_get(int fd)
{
    for (;;) {
        struct pel_file *file = pel_table_peek(fd);
        if ((uintptr_t)file <= (uintptr_t)PEL_TABLE_HIDDEN)
            return NULL;
        uint32_t refs = __atomic_load_n(&file->refs, __ATOMIC_RELAXED);
        while (refs != 0 && !__atomic_compare_exchange_n(&file->refs, &refs, refs + 1, true, __ATOMIC_ACQUIRE,
                                                         __ATOMIC_RELAXED))
            ;
        if (refs == 0)
            continue;
        if (__builtin_expect(pel_table_peek(fd) == file, 1))
            return file;
        pel_file_put(file);
    }
}

void pel_file_put(struct pel_file *file)
{
    if (__atomic_fetch_sub(&file->refs, 1, __ATOMIC_ACQ_REL) == 1)
        free_file(file);
}

void pel_table_ref(struct pel_file *file)
{
    __atomic_fetch_add(&file->refs, 1, __ATOMIC_ACQ_REL);
}

bool pel_table_reserve(int fd)
{
    if ((unsigned)fd >= PEL_TABLE_MAX)
        return false;
    struct pel_file ***place = &pel_table_chunks[(unsigned)fd / PEL_TABLE_CHUNK], **none = NULL;
    if (__atomic_load_n(place, __ATOMIC_ACQUIRE) != NULL)
        return true;
    size_t len = PEL_TABLE_CHUNK * sizeof **place;
    struct pel_file **chunk = map_memory(len);
    if (chunk == NULL)
        return false;
    if (!__atomic_compare_exchange_n(place, &none, chunk, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        munmap(chunk, len);
    return true;
}

/* Another number that leads to `file`, or -1. */
static int find_number(const struct pel_file *file)
{
    struct pel_file *found = NULL;
    for (int fd = pel_table_next(0, &found); fd >= 0; fd = pel_table_next(fd + 1, &found)) {
        if (found == file)
            return fd;
    }
    return -1;
}

static bool is_file(const struct pel_file *file)
{
    return (uintptr_t)file > (uintptr_t)PEL_TABLE_HIDDEN;
}

struct pel_file *pel_table_set(int fd, struct pel_file *file)
{
    struct pel_file **chunk = pel_table_chunks[(unsigned)fd / PEL_TABLE_CHUNK];
    if ((unsigned)fd >= PEL_TABLE_MAX || chunk == NULL)
        return NULL;
    struct pel_file *before = chunk[(unsigned)fd % PEL_TABLE_CHUNK];
    __atomic_store_n(&chunk[(unsigned)fd % PEL_TABLE_CHUNK], file, __ATOMIC_SEQ_CST);
    if (is_file(before)) {
        __atomic_store_n(&before->num_fds, before->num_fds - 1, __ATOMIC_SEQ_CST); /* epoll.c reads it */
        num_files--;
        if (before->fd == fd)
            before->fd = before->num_fds > 0 ? find_number(before) : -1;
    }
    if (is_file(file)) {
        __atomic_store_n(&file->num_fds, file->num_fds + 1, __ATOMIC_SEQ_CST);
        num_files++;
        if (file->fd < 0)
            file->fd = fd;
    }
    return before;
}

int pel_table_next(int from, struct pel_file **ret_file)
{
    for (unsigned fd = (unsigned)from; fd < PEL_TABLE_MAX;) {
        struct pel_file **chunk = pel_table_chunks[fd / PEL_TABLE_CHUNK];
        if (chunk == NULL) {
            fd = (fd / PEL_TABLE_CHUNK + 1) * PEL_TABLE_CHUNK;
            continue;
        }
        if (chunk[fd % PEL_TABLE_CHUNK] != NULL) {
            *ret_file = chunk[fd % PEL_TABLE_CHUNK];
            return (int)fd;
        }
        fd++;
    }
    return -1;
}

uint32_t pel_table_num_files(void)
{
    return __atomic_load_n(&num_files, __ATOMIC_RELAXED);
}

int pel_file_install(int fd, struct pel_file *file)
{
    if (!pel_table_reserve(fd))
        return ENFILE;
    pel_table_lock();
    if (pel_file_kind(file) == PEL_FILE_EPOLL && file->num_fds == 0)
        file->fd = file->parked_fd = -1; /* a set is not made by pel_table_make */
    pel_table_set(fd, file);
    pel_table_unlock();
    return 0;
}

/* Calls of other threads that were under way in the parent are not in the child. */
void pel_table_forked(void)
{
    struct pel_file *file = NULL;
    pthread_mutex_init(&table_lock, NULL);
    for (int fd = pel_table_next(0, &file); fd >= 0; fd = pel_table_next(fd + 1, &file)) {
        if (!is_file(file))
            continue;
        pthread_mutex_init(&file->lock, NULL);
        __atomic_store_n(&file->refs, file->num_fds, __ATOMIC_RELAXED);
    }
}
