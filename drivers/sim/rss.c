/* SPDX-License-Identifier: Apache-2.0 */
/* Several queues at the receiving end of the wire. */
#include <stdlib.h>

#include "drivers/sim/internal.h"

#define RETA_LEN 128u

struct sim_waiting {
    struct sim_frame frame;
    struct sim_waiting *next;
};

void sim_sorter_init(struct sim_sorter *sorter, uint16_t num, const uint8_t key[PEL_RSS_KEY_LEN])
{
    memset(sorter, 0, sizeof *sorter);
    pthread_mutex_init(&sorter->lock, NULL);
    sorter->num = num;
    pel_rss_init(&sorter->rss, key, num, RETA_LEN);
    sorter->rss.types = PEL_RSS_TCP4 | PEL_RSS_UDP4 | PEL_RSS_TCP6 | PEL_RSS_UDP6;
}

void sim_sorter_fini(struct sim_sorter *sorter)
{
    for (uint16_t i = 0; i < sorter->num; i++) {
        for (struct sim_waiting *w = sorter->fifos[i].first, *next; w != NULL; w = next) {
            next = w->next;
            free(w->frame.bytes);
            free(w);
        }
    }
    pthread_mutex_destroy(&sorter->lock);
}

/* A NIC knows nothing of what errors quote, nor of extension headers: it takes the two addresses. */
uint16_t sim_sorter_queue(const struct sim_sorter *sorter, const uint8_t *bytes, uint32_t len)
{
    struct pel_rss_frame frame;
    if (sorter->num == 1)
        return 0;
    pel_rss_parse(bytes, len, &frame);
    if (frame.kind == PEL_RSS_FLOW && frame.type == 0)
        frame.tuple_len = (uint8_t)(frame.tuple_len - 4);
    return frame.kind == PEL_RSS_FLOW || frame.kind == PEL_RSS_HOST
               ? pel_rss_frame_queue(&sorter->rss, &frame)
               : 0;
}

/* A frame that memory does not suffice for is lost, as on a NIC. */
static bool keep(struct sim_fifo *fifo, const struct sim_frame *frame)
{
    struct sim_waiting *w = malloc(sizeof *w);
    if (w == NULL) {
        free(frame->bytes);
        return false;
    }
    *w = (struct sim_waiting){.frame = *frame};
    if (fifo->first == NULL)
        fifo->first = w;
    else
        fifo->last->next = w;
    fifo->last = w;
    return true;
}

static bool take(struct sim_fifo *fifo, struct sim_frame *ret_frame)
{
    struct sim_waiting *w = fifo->first;
    if (w == NULL)
        return false;
    *ret_frame = w->frame;
    fifo->first = w->next;
    free(w);
    return true;
}

static void count_kept(struct sim_sorter *sorter, int32_t num)
{
    __atomic_add_fetch(&sorter->num_kept, (uint32_t)num, __ATOMIC_RELEASE);
}

bool sim_sorter_receive(struct sim_sorter *sorter, struct sim_line *line, uint16_t queue, uint64_t now_us,
                        struct sim_frame *ret_frame)
{
    if (sorter->num == 1)
        return sim_line_receive(line, now_us, ret_frame);
    if (sim_sorter_is_empty(sorter) && __atomic_load_n(&line->num_waiting, __ATOMIC_ACQUIRE) == 0)
        return false;
    pthread_mutex_lock(&sorter->lock);
    bool found = take(&sorter->fifos[queue], ret_frame);
    count_kept(sorter, found ? -1 : 0);
    while (!found && sim_line_receive(line, now_us, ret_frame)) {
        uint16_t to = sim_sorter_queue(sorter, ret_frame->bytes, ret_frame->len);
        found = to == queue;
        if (!found)
            count_kept(sorter, keep(&sorter->fifos[to], ret_frame) ? 1 : 0);
    }
    pthread_mutex_unlock(&sorter->lock);
    return found;
}

bool sim_sorter_is_empty(struct sim_sorter *sorter)
{
    return __atomic_load_n(&sorter->num_kept, __ATOMIC_ACQUIRE) == 0;
}
