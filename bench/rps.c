/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of 1 KB over --connections connections (64), each asking again as soon as it is answered: the
 * rate, and what the server's core spends on a request.
 */
#include "bench/answer.h"
#include "bench/ask.h"

int main(int argc, char **argv)
{
    struct load load = {.options.num_conns = 64};
    struct askers askers = {0};
    struct load_span span;
    load_open(&load, argc, argv);
    uint32_t num = load.options.num_conns;
    askers_init(&askers, &load, num);
    load_listen(&load, answer_accept, &load);
    askers_open(&askers, num);
    askers_start(&askers, num, num);
    load_sleep(load.options.warm_up_s);
    uint64_t before = load_get(&askers.num_answered);
    load_span_begin(&load, &span);
    load_sleep(load.options.seconds);
    uint64_t requests = load_get(&askers.num_answered) - before;
    load_span_end(&load, &span);
    json_t *json = load_span_json(&span);
    json_object_set_new(json, "requests", json_integer((json_int_t)requests));
    json_object_set_new(json, "requests_per_s", json_real((double)requests / span.seconds));
    load_print(json);
    int status = load_close(&load);
    askers_free(&askers);
    return status;
}
