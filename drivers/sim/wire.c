/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/sim/internal.h"

#include <stdlib.h>

#define PPM             1000000u
#define HOLD_US         1000u
#define MAX_HOLD_FRAMES 4u
#define NS_A_SECOND     1000000000u

static uint32_t round_up_to_power_of_2(uint32_t n)
{
    uint32_t power = 1;
    while (power < n)
        power *= 2;
    return power;
}

enum pel_err sim_line_init(struct sim_line *line, const struct pel_sim_wire_config *config,
                           const struct pel_sim_impair *impair, uint64_t seed, bool direct)
{
    memset(line, 0, sizeof *line);
    pthread_mutex_init(&line->lock, NULL);
    pel_prng_seed(&line->prng, seed);
    line->impair = *impair;
    line->latency_us = config->latency_us;
    line->bandwidth_bps = config->bandwidth_bps;
    line->cap_heap = config->queue_len;
    /* Twice: every frame may come double. And queues that see room at the same moment all send. */
    size_t most = (size_t)line->cap_heap + (SIM_MAX_QUEUES - 1) * SIM_MAX_PIECES;
    line->heap = calloc(2 * most + SIM_MAX_HELD, sizeof *line->heap);
    if (line->heap == NULL)
        return PEL_E_NO_MEMORY;
    if (!direct)
        return PEL_OK;
    uint32_t ring_len = round_up_to_power_of_2(config->queue_len);
    line->ring_mask = ring_len - 1;
    line->ring = calloc(ring_len, sizeof *line->ring);
    return line->ring == NULL ? PEL_E_NO_MEMORY : PEL_OK;
}

void sim_line_fini(struct sim_line *line)
{
    for (uint32_t i = 0; i < line->num_heap; i++)
        free(line->heap[i].bytes);
    for (uint32_t i = 0; i < line->num_held; i++)
        free(line->held[i].frame.bytes);
    free(line->heap);
    free(line->ring);
    pthread_mutex_destroy(&line->lock);
}

static bool is_before(const struct sim_frame *a, const struct sim_frame *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void swap(struct sim_frame *a, struct sim_frame *b)
{
    struct sim_frame c = *a;
    *a = *b;
    *b = c;
}

static void heap_add(struct sim_line *line, struct sim_frame frame)
{
    frame.order = line->next_order++;
    uint32_t at = line->num_heap++;
    line->heap[at] = frame;
    while (at > 0 && is_before(&line->heap[at], &line->heap[(at - 1) / 2])) {
        swap(&line->heap[at], &line->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct sim_frame heap_take(struct sim_line *line)
{
    struct sim_frame first = line->heap[0];
    line->heap[0] = line->heap[--line->num_heap];
    for (uint32_t at = 0;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < line->num_heap; child++)
            if (is_before(&line->heap[child], &line->heap[least]))
                least = child;
        if (least == at)
            return first;
        swap(&line->heap[at], &line->heap[least]);
        at = least;
    }
}

static void count_waiting(struct sim_line *line)
{
    __atomic_store_n(&line->num_waiting, line->num_heap + line->num_held, __ATOMIC_RELEASE);
}

bool sim_line_has_room(struct sim_line *line, uint32_t num)
{
    pthread_mutex_lock(&line->lock);
    bool has_room = line->num_heap + line->num_held + num <= line->cap_heap;
    pthread_mutex_unlock(&line->lock);
    return has_room;
}

static bool happens(struct sim_line *line, uint32_t ppm)
{
    return ppm > 0 && pel_prng_below(&line->prng, PPM) < ppm;
}

/* When the frame's last bit is at the other end. */
static uint64_t arrival_us(struct sim_line *line, uint64_t now_us, uint32_t len)
{
    if (line->bandwidth_bps == 0)
        return now_us + line->latency_us;
    uint64_t now_ns = now_us * 1000;
    uint64_t start_ns = line->free_ns > now_ns ? line->free_ns : now_ns;
    line->free_ns = start_ns + (uint64_t)len * 8 * NS_A_SECOND / line->bandwidth_bps;
    return (line->free_ns + 999) / 1000 + line->latency_us;
}

static void release_held(struct sim_line *line, uint32_t index, uint64_t due_us)
{
    struct sim_frame frame = line->held[index].frame;
    frame.due_us = due_us;
    line->held[index] = line->held[--line->num_held];
    heap_add(line, frame);
}

/* One more frame has gone out, due at `due_us`: those that waited for it follow. */
static void step_held(struct sim_line *line, uint64_t due_us)
{
    for (uint32_t i = 0; i < line->num_held;) {
        if (--line->held[i].left == 0)
            release_held(line, i, due_us);
        else
            i++;
    }
}

static void corrupt(struct sim_line *line, struct sim_frame *frame)
{
    uint64_t at = pel_prng_below(&line->prng, frame->len);
    frame->bytes[at] = (uint8_t)(frame->bytes[at] ^ (1 + pel_prng_below(&line->prng, 255)));
    /* The checksum that a receiving NIC had found good would now be bad. */
    if (frame->flags != 0)
        frame->flags = PEL_PKT_RX_CSUM_BAD;
}

static void duplicate(struct sim_line *line, const struct sim_frame *frame)
{
    struct sim_frame twin = *frame;
    twin.bytes = malloc(frame->len);
    if (twin.bytes == NULL)
        return;
    memcpy(twin.bytes, frame->bytes, frame->len);
    heap_add(line, twin);
}

static bool send_locked(struct sim_line *line, uint64_t now_us, struct sim_frame *frame)
{
    frame->due_us = arrival_us(line, now_us, frame->len);
    if (happens(line, line->impair.loss_ppm))
        return false;
    if (happens(line, line->impair.corrupt_ppm))
        corrupt(line, frame);
    bool is_double = happens(line, line->impair.dup_ppm);
    bool is_late = happens(line, line->impair.reorder_ppm);
    if (is_double)
        duplicate(line, frame);
    if (is_late && line->num_held < SIM_MAX_HELD) {
        frame->due_us += HOLD_US;
        line->held[line->num_held++] = (struct sim_held){
            .frame = *frame, .left = 1 + (uint32_t)pel_prng_below(&line->prng, MAX_HOLD_FRAMES)};
        return true;
    }
    heap_add(line, *frame);
    step_held(line, frame->due_us);
    return true;
}

bool sim_line_send(struct sim_line *line, uint64_t now_us, uint8_t *bytes, uint32_t len, uint16_t flags)
{
    struct sim_frame frame = {.bytes = bytes, .len = len, .flags = flags};
    pthread_mutex_lock(&line->lock);
    bool sent = send_locked(line, now_us, &frame);
    count_waiting(line);
    pthread_mutex_unlock(&line->lock);
    if (!sent)
        free(bytes);
    return sent;
}

enum pel_err sim_line_inject(struct sim_line *line, uint64_t now_us, uint8_t *bytes, uint32_t len)
{
    enum pel_err err = PEL_E_TOO_BIG;
    pthread_mutex_lock(&line->lock);
    if (line->num_heap + line->num_held < line->cap_heap) {
        heap_add(line, (struct sim_frame){.due_us = now_us, .bytes = bytes, .len = len});
        count_waiting(line);
        err = PEL_OK;
    }
    pthread_mutex_unlock(&line->lock);
    return err;
}

/* The earliest held frame; num_held when there is none. */
static uint32_t first_held(const struct sim_line *line)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < line->num_held; i++)
        if (line->held[i].frame.due_us < line->held[first].frame.due_us)
            first = i;
    return first;
}

bool sim_line_receive(struct sim_line *line, uint64_t now_us, struct sim_frame *ret_frame)
{
    bool found = false;
    if (__atomic_load_n(&line->num_waiting, __ATOMIC_ACQUIRE) == 0)
        return false;
    pthread_mutex_lock(&line->lock);
    for (uint32_t i = first_held(line); i < line->num_held && line->held[i].frame.due_us <= now_us;
         i = first_held(line))
        release_held(line, i, line->held[i].frame.due_us);
    if (line->num_heap > 0 && line->heap[0].due_us <= now_us) {
        *ret_frame = heap_take(line);
        found = true;
    }
    count_waiting(line);
    pthread_mutex_unlock(&line->lock);
    return found;
}

uint64_t sim_line_next_us(struct sim_line *line)
{
    uint64_t next_us = UINT64_MAX;
    if (__atomic_load_n(&line->num_waiting, __ATOMIC_ACQUIRE) == 0)
        return next_us;
    pthread_mutex_lock(&line->lock);
    if (line->num_heap > 0)
        next_us = line->heap[0].due_us;
    uint32_t i = first_held(line);
    if (i < line->num_held && line->held[i].frame.due_us < next_us)
        next_us = line->held[i].frame.due_us;
    pthread_mutex_unlock(&line->lock);
    return next_us;
}

bool sim_line_push(struct sim_line *line, struct sim_pkt *p)
{
    uint32_t tail = line->tail;
    if (tail - line->head_seen > line->ring_mask) {
        line->head_seen = __atomic_load_n(&line->head, __ATOMIC_ACQUIRE);
        if (tail - line->head_seen > line->ring_mask)
            return false;
    }
    line->ring[tail & line->ring_mask] = p;
    __atomic_store_n(&line->tail, tail + 1, __ATOMIC_RELEASE);
    return true;
}

struct sim_pkt *sim_line_pop(struct sim_line *line)
{
    uint32_t head = line->head;
    if (head == line->tail_seen) {
        line->tail_seen = __atomic_load_n(&line->tail, __ATOMIC_ACQUIRE);
        if (head == line->tail_seen)
            return NULL;
    }
    struct sim_pkt *p = line->ring[head & line->ring_mask];
    __atomic_store_n(&line->head, head + 1, __ATOMIC_RELEASE);
    return p;
}

bool sim_line_ring_is_empty(const struct sim_line *line)
{
    return __atomic_load_n(&line->tail, __ATOMIC_ACQUIRE) == __atomic_load_n(&line->head, __ATOMIC_RELAXED);
}
