/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a second engine adds: requests of 1 KB as in rps, with --engines N serving engines that share one
 * address, engine number i on core i. The engine of its client is on the same core and takes turns with it,
 * since a machine of two cores has none to spare for clients: so the engines sleep when they have nothing to
 * do. Enough requests are under way to fill such a turn.
 */
#include <stdlib.h>

#include "bench/answer.h"
#include "bench/ask.h"

#define MAX_ENGINES 2

static struct engine {
    struct load load;
    struct askers askers;
    uint64_t requests; /* answered before the measured time, then in it */
} engines[MAX_ENGINES];

static void start_pair(struct load *load)
{
    struct pel_pair_options *pair = &load->options.pair;
    pair->num_engines = (int)load->options.num_engines;
    pair->busy_poll = 0;
    for (int side = 0; side < 2; side++) {
        pair->cores[side] = 0;
        for (int i = 1; i < pair->num_engines; i++)
            pair->more_cores[side][i - 1] = i;
    }
    load_start(load);
}

static void start_asking(struct engine *engine)
{
    struct load *load = &engine->load;
    askers_init(&engine->askers, load, load->options.num_conns);
    load_listen(load, answer_accept, load);
    askers_open(&engine->askers, load->options.num_conns);
    askers_start(&engine->askers, load->options.num_conns, load->options.num_conns);
}

int main(int argc, char **argv)
{
    struct load *first = &engines[0].load;
    struct load_span span;
    int status = 0;
    uint64_t total = 0;
    first->options.num_conns = 64;
    first->options.num_engines = 1;
    load_read(first, argc, argv);
    uint32_t num = first->options.num_engines;
    if (num < 1 || num > MAX_ENGINES)
        abort();
    start_pair(first);
    for (uint32_t i = 1; i < num; i++)
        load_share(&engines[i].load, first, (int)i);
    for (uint32_t i = 0; i < num; i++)
        start_asking(&engines[i]);
    load_sleep(first->options.warm_up_s);
    for (uint32_t i = 0; i < num; i++)
        engines[i].requests = load_get(&engines[i].askers.num_answered);
    load_span_begin(first, &span);
    load_sleep(first->options.seconds);
    for (uint32_t i = 0; i < num; i++)
        engines[i].requests = load_get(&engines[i].askers.num_answered) - engines[i].requests;
    load_span_end(first, &span);
    json_t *json = load_span_json(&span), *each = json_array();
    for (uint32_t i = 0; i < num; i++) {
        total += engines[i].requests;
        json_array_append_new(each, json_integer((json_int_t)engines[i].requests));
    }
    json_object_set_new(json, "requests", json_integer((json_int_t)total));
    json_object_set_new(json, "requests_per_s", json_real((double)total / span.seconds));
    json_object_set_new(json, "requests_of_each", each);
    load_print(json);
    for (uint32_t i = num; i-- > 0;)
        status |= load_close(&engines[i].load);
    for (uint32_t i = 0; i < num; i++)
        askers_free(&engines[i].askers);
    return status;
}
