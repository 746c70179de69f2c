/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A doubly linked ring of members that carry their own link: no allocation, removal without knowing the list.
 * A list is a link that belongs to no member; a link that is on no list points to itself.
 */
#ifndef PEL_STACK_SOCKET_LIST_H
#define PEL_STACK_SOCKET_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct pel_list {
    struct pel_list *next, *prev;
};

/* The structure of which `member` at `pointer` is a part. */
#define PEL_PART_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* pel_list_init makes an empty list, or a link that is on no list. */
static inline void pel_list_init(struct pel_list *list)
{
    list->next = list->prev = list;
}

/* pel_list_is_empty tells whether a list has no member, or whether a link is on no list. */
static inline bool pel_list_is_empty(const struct pel_list *list)
{
    return list->next == list;
}

/* pel_list_append puts `link`, which is on no list, at the end. */
static inline void pel_list_append(struct pel_list *list, struct pel_list *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

/* pel_list_remove takes `link` off its list; harmless when it is on none. */
static inline void pel_list_remove(struct pel_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    pel_list_init(link);
}

/* pel_list_move_all appends all members of `from` to `list`, in order. */
static inline void pel_list_move_all(struct pel_list *list, struct pel_list *from)
{
    while (!pel_list_is_empty(from)) {
        struct pel_list *link = from->next;
        pel_list_remove(link);
        pel_list_append(list, link);
    }
}

#endif
