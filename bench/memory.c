/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an idle connection costs: the growth of the process while --connections connections are opened and
 * each is asked once. Both ends of each are in this process. The engines' threads allocate from arenas of
 * their own, whose growth tells the ends apart as far as the allocator's heaps go.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/answer.h"
#include "bench/ask.h"

#define FIRST_CONNS 256 /* opened before measuring: what is made once is then made */
#define MAX_ARENAS  8

struct usage {
    uint64_t rss;
    uint64_t
        arenas[MAX_ARENAS]; /* by number: 0 the main thread's; the engines' in the order of their start */
};

static uint64_t read_rss(void)
{
    char line[256];
    unsigned long long kb = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file != NULL && kb == 0 && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "Rss: %llu kB", &kb);
    if (file != NULL)
        fclose(file);
    return kb * 1024;
}

/* malloc_info(3): <heap nr="N"> ... <system type="current" size="BYTES"/> ... </heap> */
static void read_arenas(struct usage *usage)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    if (file == NULL)
        return;
    malloc_info(0, file);
    fclose(file);
    for (const char *at = strstr(text, "<heap nr="); at != NULL; at = strstr(at + 1, "<heap nr=")) {
        unsigned number = MAX_ARENAS;
        unsigned long long size = 0;
        const char *system = strstr(at, "<system type=\"current\"");
        if (sscanf(at, "<heap nr=\"%u\">", &number) == 1 && number < MAX_ARENAS && system != NULL &&
            sscanf(system, "<system type=\"current\" size=\"%llu\"", &size) == 1)
            usage->arenas[number] = size;
    }
    free(text);
}

static struct usage read_usage(void)
{
    struct usage usage = {.rss = read_rss()};
    read_arenas(&usage);
    return usage;
}

int main(int argc, char **argv)
{
    struct load load = {.options.num_conns = 10000};
    struct askers askers = {0};
    load_open(&load, argc, argv);
    uint32_t num = load.options.num_conns;
    askers_init(&askers, &load, FIRST_CONNS + num);
    load_listen(&load, answer_accept, &load);
    askers_open(&askers, FIRST_CONNS);
    askers_start(&askers, FIRST_CONNS, 32);
    load_wait(&load, &askers.num_answered, FIRST_CONNS * 4);
    askers_stop(&askers);
    load_sleep(load.options.warm_up_s);
    struct usage before = read_usage();
    askers_open(&askers, FIRST_CONNS + num);
    askers_start(&askers, FIRST_CONNS + num, 32);
    load_wait(&load, &askers.num_answered, askers.num_answered + FIRST_CONNS + num);
    askers_stop(&askers);
    load_sleep(load.options.seconds); /* delayed acknowledgements and the like */
    struct usage after = read_usage();
    malloc_trim(0);
    uint64_t trimmed = read_rss();
    json_t *json = json_pack("{s:I, s:f, s:f}", "connections", (json_int_t)num, "bytes_both_ends",
                             ((double)after.rss - (double)before.rss) / num, "bytes_both_ends_trimmed",
                             ((double)trimmed - (double)before.rss) / num);
    json_object_set_new(json, "heap_bytes_client",
                        json_real(((double)after.arenas[1] - (double)before.arenas[1]) / num));
    json_object_set_new(json, "heap_bytes_server",
                        json_real(((double)after.arenas[2] - (double)before.arenas[2]) / num));
    load_print(json);
    int status = load_close(&load);
    askers_free(&askers);
    return status;
}
