/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack's configuration: YAML, read by libcyaml against a schema, then checked value by value.
 * docs/CONFIGURATION.md is its reference. Failure: an unknown key, a wrong type or a value out of range is
 * CONFIG_SYNTAX with file, line where known, key and range; nothing is guessed.
 */
#ifndef PEL_STACK_CONFIG_H
#define PEL_STACK_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/err.h"
#include "stack/lwip/lwip.h"

enum pel_hugepages { PEL_CONFIG_HUGE_AUTO, PEL_CONFIG_HUGE_YES, PEL_CONFIG_HUGE_NO };

#define PEL_CONFIG_POLICY_FILES_MAX 16
#define PEL_CONFIG_ENGINES_MAX      64
#define PEL_CONFIG_JOBS_NAMED_MAX   64
#define PEL_CONFIG_KERNEL_NETS_MAX  16

struct pel_config {
    struct {
        enum pel_hugepages hugepages;
        uint32_t memory_mb;
        uint32_t num_packets;
    } packet;
    struct {
        char *device;
        uint32_t mtu;
    } port;
    struct {
        struct pel_ip_prefix addrs[PEL_IP_ADDRS_MAX];
        size_t num_addrs;
        struct pel_ip gateway4, gateway6;
        bool dhcp4, autoconf6;
    } ip;
    struct {
        uint32_t max_connections;
        uint32_t window_len;
    } tcp;
    struct {
        char *files[PEL_CONFIG_POLICY_FILES_MAX];
        size_t num_files;
        char *keyring_dir; /* "" when not given */
        char *image;       /* of an agent's main file; NULL: its first */
        bool no_match_refuse;
        bool start_gate_open;
        bool watch;      /* files that change are loaded */
        bool no_flush;   /* rules that are in no file any more stay */
        bool compat_zos; /* what is uncoded holds as in the original */
    } policy;
    struct {
        uint32_t count;
        uint32_t cores[PEL_CONFIG_ENGINES_MAX];
        size_t num_cores; /* 0: not given; else `count` */
        bool busy_poll;
    } engine;
    struct {
        uint32_t max;
        uint32_t buffer_len;
    } sockets;
    struct {
        char *socket; /* NULL: PEL_CONTROL_DIR */
    } control;
    struct {
        char *socket; /* NULL: not written; "": no program can attach */
        mode_t mode;  /* the socket's permissions */
        char *group;  /* the socket's group; "" when not given */
        uint32_t max_sockets, max_sockets_per_user, max_applications;
        uint32_t buffer_len;
        char *jobs_named[PEL_CONFIG_JOBS_NAMED_MAX]; /* users that may choose their job's name; "*": all */
        size_t num_jobs_named;
        struct pel_ip_prefix kernel_networks[PEL_CONFIG_KERNEL_NETS_MAX];
        size_t num_kernel_networks;
    } attach;
    struct {
        uint32_t drain_s; /* how long connections may end by themselves */
    } stop;
};

/* pel_config_read reads `text`, naming it `file` in messages. On success the caller frees with
 * pel_config_free. Errors, with text: CONFIG_SYNTAX, NO_MEMORY. Any thread. */
PEL_MUST_USE enum pel_err pel_config_read(const char *file, const char *text, size_t text_len,
                                          struct pel_config *ret_config, struct pel_error *reterr);

/* pel_config_read_file reads a file of at most 1 MiB. Errors as pel_config_read, and IO. Any thread. */
PEL_MUST_USE enum pel_err pel_config_read_file(const char *path, struct pel_config *ret_config,
                                               struct pel_error *reterr);

/* pel_config_free frees what a configuration holds; harmless on a zeroed one. */
void pel_config_free(struct pel_config *config);

#endif
