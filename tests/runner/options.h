/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What BoringSSL's protocol test runner asks of a shim: its command line (ssl/test/test_config.cc there says
 * what each flag means). A flag may be for the first connection alone ("-on-initial-X"), for the later ones
 * ("-on-resume-X"), or for all.
 *
 * Some flags ask to look at what a session of ours does not show, where the runner checks the wire itself;
 * they are known and change nothing (UNSEEN in options.c, each with its reason). Every other unknown flag is
 * refused: the runner then counts the test as unimplemented.
 */
#ifndef PEL_TESTS_RUNNER_OPTIONS_H
#define PEL_TESTS_RUNNER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_MAX_CODES 16

struct shim_codes {
    uint16_t codes[SHIM_MAX_CODES];
    size_t num;
};

/* Of one connection; 0, false and NULL where the flag was not given. */
struct shim_options {
    uint32_t port;
    bool server;
    uint32_t resume_count;
    const char *cert_file, *key_file;
    const char *host_name;
    uint32_t min_version, max_version;
    bool no_tls1, no_tls11, no_tls12, no_tls13;
    struct shim_codes curves;
    uint32_t cipher;
    const char *ticket_key; /* base64 */
    bool verify_peer, verify_fail, require_any_client_certificate;
    /* how the connection is used */
    bool async; /* one byte at a time, both ways */
    bool shim_writes_first, shim_shuts_down, check_close_notify;
    bool read_with_unfinished_write, write_different_record_sizes;
    bool key_update, send_alert;
    uint32_t read_size;
    uint32_t export_keying_material; /* bytes of it, sent first */
    const char *export_label, *export_context;
    bool use_export_context;
    /* what must have been agreed */
    uint32_t expect_version, expect_cipher, expect_curve_id;
    const char *expect_server_name;
    bool expect_session_miss;
};

/* shim_options_parse fills both from `argv`, whose strings it borrows. False: `ret_refused` is the flag that
 * is not known here, or whose value is not. */
bool shim_options_parse(int argc, char **argv, struct shim_options *ret_initial,
                        struct shim_options *ret_resume, const char **ret_refused);

/* shim_options_same_env tells whether one environment serves both connections. */
bool shim_options_same_env(const struct shim_options *a, const struct shim_options *b);

#endif
