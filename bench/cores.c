/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a second engine adds: requests of 1 KB as in rps, with --engines N serving engines, engine number i on
 * core i. The engine of its client is on the same core and takes turns with it, since a machine of two cores
 * has none to spare for clients: so the engines sleep when they have nothing to do.
 *
 * Each serving engine has a wire and a client of its own: what it shares with the others is the process.
 */
#include <stdlib.h>

#include "bench/answer.h"
#include "bench/ask.h"

#define MAX_ENGINES 2

static struct engine {
    struct load load;
    struct askers askers;
    struct load_span span;
    uint64_t requests;
} engines[MAX_ENGINES];

static void start(struct engine *engine, const struct load *wanted, int core)
{
    struct load *load = &engine->load;
    load->options = wanted->options;
    load->options.pair.cores[0] = load->options.pair.cores[1] = core;
    load->options.pair.busy_poll = 0;
    load_start(load);
    askers_init(&engine->askers, load, load->options.num_conns);
    load_listen(load, answer_accept, load);
    askers_open(&engine->askers, load->options.num_conns);
    askers_start(&engine->askers, load->options.num_conns, load->options.num_conns);
}

static void begin(struct engine *engine)
{
    engine->requests = load_get(&engine->askers.num_answered);
    load_span_begin(&engine->load, &engine->span);
}

static void end(struct engine *engine)
{
    engine->requests = load_get(&engine->askers.num_answered) - engine->requests;
    load_span_end(&engine->load, &engine->span);
}

static json_t *report(const struct engine *engine)
{
    json_t *json = load_span_json(&engine->span);
    json_object_set_new(json, "requests", json_integer((json_int_t)engine->requests));
    json_object_set_new(json, "requests_per_s", json_real((double)engine->requests / engine->span.seconds));
    return json;
}

int main(int argc, char **argv)
{
    struct load wanted = {.options = {.num_conns = 64, .num_engines = 1}};
    int status = 0;
    double total = 0;
    load_read(&wanted, argc, argv);
    uint32_t num = wanted.options.num_engines;
    if (num < 1 || num > MAX_ENGINES)
        abort();
    for (uint32_t i = 0; i < num; i++)
        start(&engines[i], &wanted, (int)i);
    load_sleep(wanted.options.warm_up_s);
    for (uint32_t i = 0; i < num; i++)
        begin(&engines[i]);
    load_sleep(wanted.options.seconds);
    for (uint32_t i = 0; i < num; i++)
        end(&engines[i]);
    json_t *each = json_array();
    for (uint32_t i = 0; i < num; i++) {
        total += (double)engines[i].requests / engines[i].span.seconds;
        json_array_append_new(each, report(&engines[i]));
        status |= load_close(&engines[i].load);
        askers_free(&engines[i].askers);
    }
    load_print(json_pack("{s:f, s:o}", "requests_per_s", total, "engines", each));
    return status;
}
