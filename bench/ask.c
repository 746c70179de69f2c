/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/ask.h"

#include <stdio.h>
#include <stdlib.h>

#define OPENING 64 /* connections that open at a time */

struct asker {
    struct askers *askers;
    struct pel_conn *conn;
    uint32_t got_len; /* of the reply */
    bool asking;
};

static void open_one(struct askers *askers, struct pel_engine *engine);

/* ---- one connection ---- */

static void ask(struct asker *asker)
{
    static const uint8_t request[LOAD_ASK_LEN];
    struct askers *askers = asker->askers;
    size_t taken_len = 0;
    asker->asking = true;
    askers->num_asking++;
    if (pel_conn_write(asker->conn, request, sizeof request, &taken_len) != PEL_OK ||
        taken_len != sizeof request)
        load_failed(askers->load, PEL_E_AGAIN); /* one small request at a time always fits */
}

/* The next of the row that is not asking. With fewer requests under way than connections there is one. */
static void ask_next(struct askers *askers)
{
    struct asker *asker;
    do {
        asker = &askers->row[askers->next];
        askers->next = askers->next + 1 < askers->active ? askers->next + 1 : 0;
    } while (asker->asking);
    ask(asker);
}

static size_t on_data(void *arg, struct pel_conn *conn, const uint8_t *bytes, size_t len)
{
    struct asker *asker = arg;
    struct askers *askers = asker->askers;
    (void)conn;
    (void)bytes;
    asker->got_len += (uint32_t)len;
    if (asker->got_len < LOAD_REPLY_LEN)
        return len;
    asker->got_len -= LOAD_REPLY_LEN;
    asker->asking = false;
    askers->num_asking--;
    load_add(&askers->num_answered, 1);
    if (askers->running)
        ask_next(askers);
    else if (askers->num_asking == 0)
        load_set(&askers->num_idle, 1);
    return len;
}

static void nothing(void *arg, struct pel_conn *conn)
{
    (void)arg;
    (void)conn;
}

static void on_closed(void *arg, struct pel_conn *conn, enum pel_err err)
{
    struct asker *asker = arg;
    (void)conn;
    load_failed(asker->askers->load, err);
}

/* ---- opening ---- */

static void on_open(void *arg, struct pel_conn *conn);

static const struct pel_conn_events events = {.on_open = on_open,
                                              .on_data = on_data,
                                              .on_eof = nothing,
                                              .on_writable = nothing,
                                              .on_closed = on_closed};

static void open_one(struct askers *askers, struct pel_engine *engine)
{
    struct asker *asker = &askers->row[askers->num];
    asker->askers = askers;
    asker->conn = load_connect(askers->load, engine, askers->num, &events, asker);
    askers->num += asker->conn != NULL;
}

static void open_some(struct pel_engine *engine, void *arg)
{
    struct askers *askers = arg;
    while (askers->num < askers->num_wanted && askers->num - askers->num_open < OPENING &&
           load_get(&askers->load->num_failed) == 0)
        open_one(askers, engine);
}

static void on_open(void *arg, struct pel_conn *conn)
{
    struct asker *asker = arg;
    (void)conn;
    load_add(&asker->askers->num_open, 1);
    open_some(load_engine(asker->askers->load, 0), asker->askers);
}

bool askers_open(struct askers *askers, uint32_t num)
{
    if (num > askers->max_num)
        abort();
    askers->num_wanted = num;
    load_call(askers->load, 0, open_some, askers);
    return load_wait(askers->load, &askers->num_open, num);
}

/* ---- asking ---- */

struct start {
    struct askers *askers;
    uint32_t active, in_flight;
};

static void start(struct pel_engine *engine, void *arg)
{
    const struct start *wanted = arg;
    struct askers *askers = wanted->askers;
    (void)engine;
    askers->active = wanted->active;
    askers->next = 0;
    askers->running = true;
    askers->num_idle = 0;
    for (uint32_t i = 0; i < wanted->in_flight && i < askers->active; i++)
        ask_next(askers);
}

void askers_start(struct askers *askers, uint32_t active, uint32_t in_flight)
{
    struct start wanted = {.askers = askers, .active = active, .in_flight = in_flight};
    load_call(askers->load, 0, start, &wanted);
}

static void stop(struct pel_engine *engine, void *arg)
{
    struct askers *askers = arg;
    (void)engine;
    askers->running = false;
    if (askers->num_asking == 0)
        load_set(&askers->num_idle, 1);
}

bool askers_stop(struct askers *askers)
{
    load_call(askers->load, 0, stop, askers);
    return load_wait(askers->load, &askers->num_idle, 1);
}

void askers_init(struct askers *askers, struct load *load, uint32_t max_num)
{
    askers->load = load;
    askers->max_num = max_num;
    askers->row = calloc(max_num, sizeof *askers->row);
    if (askers->row == NULL) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
}

void askers_free(struct askers *askers)
{
    free(askers->row);
}
