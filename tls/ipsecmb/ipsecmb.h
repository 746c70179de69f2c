/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel IPsec-MB as AEAD engines. The library chooses code for the processor once, when a struct pel_ipsecmb
 * is made; that keeps the addresses of the direct calls and nothing else. They work on the caller's key and
 * stack alone, so that one object serves any number of threads and is never written again.
 *
 * Failure: pel_ipsecmb_new refuses a library that was built without its SAFE_DATA option (it would leave key
 * material in registers and on the stack) or that fails its self-test. No jobs, no bursts: AES-GCM is not
 * multi-buffer in this library.
 */
#ifndef PEL_TLS_IPSECMB_IPSECMB_H
#define PEL_TLS_IPSECMB_IPSECMB_H

#include "base/err.h"
#include "tls/aead.h"

struct pel_ipsecmb;

/* pel_ipsecmb_new makes the table of calls; the caller owns it and frees it after the last key. Takes about
 * 0.4 ms (the library tests itself). Errors: NO_MEMORY, TLS_INTERNAL, with a text. Any thread. */
PEL_MUST_USE enum pel_err pel_ipsecmb_new(struct pel_ipsecmb **ret_lib, struct pel_error *reterr);

/* pel_ipsecmb_free. NULL is harmless. */
void pel_ipsecmb_free(struct pel_ipsecmb *lib);

/* AES-128-GCM and AES-256-GCM, and ChaCha20-Poly1305. */
extern const struct pel_aead_ops pel_aead_ipsecmb_aes_gcm;
extern const struct pel_aead_ops pel_aead_ipsecmb_chacha20;

#endif
