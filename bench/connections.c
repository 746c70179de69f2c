/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate of requests while many connections are open. --list gives the stages, as 100,10000,100000: at each
 * the connections are opened that are missing, then --rounds times measured
 *
 *     spread   64 requests under way, over all open connections in turn;
 *     few      64 requests under way, over the first 64 connections, the others idle.
 */
#include "bench/answer.h"
#include "bench/ask.h"

static json_t *measure(struct askers *askers, uint32_t active, uint32_t in_flight)
{
    struct load *load = askers->load;
    struct load_span span;
    askers_start(askers, active, in_flight);
    load_sleep(load->options.warm_up_s);
    uint64_t before = load_get(&askers->num_answered);
    load_span_begin(load, &span);
    load_sleep(load->options.seconds);
    uint64_t requests = load_get(&askers->num_answered) - before;
    load_span_end(load, &span);
    askers_stop(askers);
    json_t *json = load_span_json(&span);
    json_object_set_new(json, "requests", json_integer((json_int_t)requests));
    json_object_set_new(json, "requests_per_s", json_real((double)requests / span.seconds));
    return json;
}

static json_t *stage(struct askers *askers, uint32_t num)
{
    const struct load_options *options = &askers->load->options;
    uint64_t begin_ns = load_now_ns();
    askers_open(askers, num);
    double opening_s = (double)(load_now_ns() - begin_ns) / 1e9;
    json_t *rounds = json_array();
    for (uint32_t i = 0; i < options->num_rounds && load_get(&askers->load->num_failed) == 0; i++) {
        json_t *spread = measure(askers, num, options->in_flight);
        json_t *few = measure(askers, num < 64 ? num : 64, options->in_flight);
        json_array_append_new(rounds, json_pack("{s:o, s:o}", "spread", spread, "few", few));
    }
    return json_pack("{s:I, s:f, s:o}", "open", (json_int_t)num, "opening_s", opening_s, "rounds", rounds);
}

int main(int argc, char **argv)
{
    struct load load = {.options = {.in_flight = 64, .list = {100, 1000, 10000}, .num_list = 3}};
    struct askers askers = {0};
    uint64_t max_num = 0;
    load_open(&load, argc, argv);
    for (uint32_t i = 0; i < load.options.num_list; i++)
        max_num = load.options.list[i] > max_num ? load.options.list[i] : max_num;
    askers_init(&askers, &load, (uint32_t)max_num);
    load_listen(&load, answer_accept, &load);
    json_t *stages = json_array();
    for (uint32_t i = 0; i < load.options.num_list && load_get(&load.num_failed) == 0; i++)
        json_array_append_new(stages, stage(&askers, (uint32_t)load.options.list[i]));
    load_print(json_pack("{s:o}", "stages", stages));
    int status = load_close(&load);
    askers_free(&askers);
    return status;
}
