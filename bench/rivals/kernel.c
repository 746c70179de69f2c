/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/rivals/kernel.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mode {
    const char *name;
    int (*run)(const struct kernel_options *options);
} modes[] = {
    {"bulk", kernel_bulk}, {"ping", kernel_ping}, {"handshake", kernel_handshake},
    {"rps", kernel_rps},   {"hold", kernel_hold},
};

static void usage(void)
{
    fprintf(stderr, "usage: bench_kernel bulk|ping [--tls --cert FILE --key FILE] [--up] [--spin] [--seconds "
                    "S] [--warm-up S]\n"
                    "                    [--sendfile] [--chunk N] [--batch N] [--ahead "
                    "N] [--read N]\n"
                    "                    [--socket-buffer N]\n"
                    "       bench_kernel handshake --tls --connect ADDRESS:PORT [--in-flight N] [--resume] "
                    "[--server-pid N]\n"
                    "       bench_kernel rps [--tls] --connect ADDRESS:PORT --list N,N,... [--in-flight N] "
                    "[--server-pid N]\n"
                    "       bench_kernel hold [--tls] --connect ADDRESS:PORT --connections N\n");
    exit(2);
}

static void read_list(const char *text, struct kernel_options *options)
{
    char *rest = NULL;
    for (const char *at = text; at != NULL && options->num_list < KERNEL_MAX_LIST;
         at = *rest == ',' ? rest + 1 : NULL)
        options->list[options->num_list++] = (uint32_t)strtoul(at, &rest, 10);
}

static void read_options(int argc, char **argv, struct kernel_options *options)
{
    static const struct option longs[] = {
        {"seconds", required_argument, NULL, 's'},
        {"warm-up", required_argument, NULL, 'w'},
        {"tls", no_argument, NULL, 't'},
        {"up", no_argument, NULL, 'u'},
        {"spin", no_argument, NULL, 'S'},
        {"resume", no_argument, NULL, 'R'},
        {"sendfile", no_argument, NULL, 'x'},
        {"chunk", required_argument, NULL, 'C'},
        {"batch", required_argument, NULL, 'b'},
        {"ahead", required_argument, NULL, 'a'},
        {"read", required_argument, NULL, 'r'},
        {"socket-buffer", required_argument, NULL, 'B'},
        {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"connect", required_argument, NULL, 'h'},
        {"connections", required_argument, NULL, 'n'},
        {"in-flight", required_argument, NULL, 'f'},
        {"list", required_argument, NULL, 'l'},
        {"rounds", required_argument, NULL, 'o'},
        {"server-pid", required_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 's': options->seconds = atof(optarg); break;
        case 'w': options->warm_up_s = atof(optarg); break;
        case 't': options->tls = true; break;
        case 'u': options->up = true; break;
        case 'S': options->spin = true; break;
        case 'R': options->resume = true; break;
        case 'x': options->sendfile = true; break;
        case 'C': options->chunk_len = strtoul(optarg, NULL, 10); break;
        case 'b': options->batch_len = strtoul(optarg, NULL, 10); break;
        case 'a': options->ahead_len = strtoul(optarg, NULL, 10); break;
        case 'r': options->read_len = strtoul(optarg, NULL, 10); break;
        case 'B': options->socket_buf_len = atoi(optarg); break;
        case 'c': options->cert = optarg; break;
        case 'k': options->key = optarg; break;
        case 'h': options->connect = optarg; break;
        case 'n': options->num_conns = (uint32_t)atoi(optarg); break;
        case 'f': options->in_flight = (uint32_t)atoi(optarg); break;
        case 'l': read_list(optarg, options); break;
        case 'o': options->num_rounds = (uint32_t)atoi(optarg); break;
        case 'p': options->server_pid = atoi(optarg); break;
        default: usage();
        }
    }
}

int main(int argc, char **argv)
{
    struct kernel_options options = {
        .seconds = 1,
        .warm_up_s = 0.3,
        .chunk_len = 262144,
        .read_len = 262144,
        .num_conns = 100,
        .in_flight = 8,
        .num_rounds = 1,
    };
    if (argc < 2)
        usage();
    read_options(argc - 1, argv + 1, &options);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(argv[1], modes[i].name) == 0)
            return modes[i].run(&options);
    usage();
}
