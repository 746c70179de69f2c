/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/pkcs12.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/pem.h>
#include <openssl/pkcs8.h>

#include "tls/boringssl/vendor.h"

/* What was taken out of a file. */
struct parts {
    EVP_PKEY *key;         /* NULL: none */
    STACK_OF(X509) * rest; /* certificates that have no place yet */
    X509 *own;             /* the key's; NULL: none */
};

/* Half a second of one core; OpenSSL's files have some thousands, and nobody recommends a million. */
#define MAX_ITERATIONS 4000000u

static enum pel_err malformed(const struct pel_pem *der, struct pel_error *reterr)
{
    const char *reason = NULL;
    uint32_t code = ERR_peek_last_error();
    bool is_password =
        ERR_GET_LIB(code) == ERR_LIB_PKCS8 && ERR_GET_REASON(code) == PKCS8_R_INCORRECT_PASSWORD;
    enum pel_err err = pel_library_error(PEL_E_KEYRING_CERT_MALFORMED, &reason);
    if (PKCS12_pel_iterations_left() == 0)
        return pel_error_set(reterr, err,
                             "%s: the keys of this PKCS#12 file take more than %u iterations to derive: make "
                             "it with fewer (openssl pkcs12 -iter)",
                             der->path, MAX_ITERATIONS);
    if (is_password)
        return pel_error_set(reterr, err,
                             "%s: the password of this PKCS#12 file is another one (KeyringPw, "
                             "KeyringStashFile)",
                             der->path);
    return pel_error_set(reterr, err,
                         "%s: cannot be read as a PKCS#12 file with at most one private key (%s)", der->path,
                         reason);
}

/* The label is shown, and compared with the policy's: what cannot be in a policy becomes "?". */
static void read_label(X509 *cert, char *label, size_t cap)
{
    int len = 0;
    const uint8_t *alias = X509_alias_get0(cert, &len);
    size_t num = alias == NULL || len < 0 ? 0 : (size_t)len < cap - 1 ? (size_t)len : cap - 1;
    for (size_t i = 0; i < num; i++)
        label[i] = (char)(alias[i] < 0x20 || alias[i] == 0x7f ? '?' : alias[i]);
    label[num] = '\0';
}

static bool has_key(X509 *cert, const void *key)
{
    bool has = X509_check_private_key(cert, key) == 1;
    ERR_clear_error();
    return has;
}

static bool issued(X509 *issuer, const void *cert)
{
    return X509_NAME_cmp(X509_get_subject_name(issuer), X509_get_issuer_name(cert)) == 0 &&
           X509_NAME_cmp(X509_get_subject_name(issuer), X509_get_issuer_name(issuer)) != 0;
}

/* Takes the first certificate of the rest for which that holds; NULL: there is none. */
static X509 *take(STACK_OF(X509) * rest, bool (*holds)(X509 *cert, const void *arg), const void *arg)
{
    for (size_t i = 0; i < sk_X509_num(rest); i++)
        if (holds(sk_X509_value(rest, i), arg))
            return sk_X509_delete(rest, i);
    return NULL;
}

/* The chain as far as it is to be sent: a certificate that vouches for itself is no part of it. */
static bool write_chain(BIO *bio, struct parts *parts)
{
    bool fine = PEM_write_bio_X509(bio, parts->own) == 1;
    X509 *last = parts->own, *next;
    while (fine && (next = take(parts->rest, issued, last)) != NULL) {
        fine = PEM_write_bio_X509(bio, next) == 1;
        if (last != parts->own)
            X509_free(last);
        last = next;
    }
    if (last != parts->own)
        X509_free(last);
    return fine;
}

static bool write_rest(BIO *bio, const STACK_OF(X509) * rest)
{
    bool fine = true;
    for (size_t i = 0; fine && i < sk_X509_num(rest); i++)
        fine = PEM_write_bio_X509(bio, sk_X509_value(rest, i)) == 1;
    return fine;
}

/* The bytes of what was written; none for nothing. */
static enum pel_err take_text(BIO *bio, bool written, struct pel_file *ret_file, struct pel_error *reterr)
{
    const uint8_t *bytes = NULL;
    size_t len = 0;
    if (written && BIO_mem_contents(bio, &bytes, &len) && len == 0)
        return PEL_OK;
    return pel_bio_to_file(bio, written, ret_file, reterr);
}

static enum pel_err write_parts(struct parts *parts, struct pel_pkcs12 *ret, struct pel_error *reterr)
{
    enum pel_err err = PEL_OK;
    BIO *chain = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem()), *trust = BIO_new(BIO_s_mem());
    bool fine = chain != NULL && key != NULL && trust != NULL;
    if (parts->own != NULL) {
        read_label(parts->own, ret->label, sizeof ret->label);
        bool has_chain = fine && write_chain(chain, parts);
        err = take_text(chain, has_chain, &ret->chain, reterr);
        if (err == PEL_OK)
            err =
                take_text(key, PEM_write_bio_PKCS8PrivateKey(key, parts->key, NULL, NULL, 0, NULL, NULL) == 1,
                          &ret->key, reterr);
    }
    if (err == PEL_OK)
        err = take_text(trust, fine && write_rest(trust, parts->rest), &ret->trust, reterr);
    BIO_free(chain);
    BIO_free(key); /* wiped by BoringSSL's allocator */
    BIO_free(trust);
    return err;
}

enum pel_err pel_pkcs12_parse(const struct pel_pem *der, const char *password, struct pel_pkcs12 *ret_pkcs12,
                              struct pel_error *reterr)
{
    struct parts parts = {.rest = sk_X509_new_null()};
    struct pel_pkcs12 pkcs12 = {0};
    CBS bytes;
    ERR_clear_error();
    CBS_init(&bytes, der->bytes, der->len);
    PKCS12_set_pel_iterations(MAX_ITERATIONS);
    enum pel_err err = PEL_OK;
    if (parts.rest == NULL || PKCS12_get_key_and_certs(&parts.key, parts.rest, &bytes, password) != 1)
        err = malformed(der, reterr);
    else if (parts.key != NULL && (parts.own = take(parts.rest, has_key, parts.key)) == NULL)
        err = pel_error_set(reterr, PEL_E_KEYRING_KEY_MISMATCH,
                            "%s: none of the certificates in this PKCS#12 file is that of its private key",
                            der->path);
    if (err == PEL_OK)
        err = write_parts(&parts, &pkcs12, reterr);
    EVP_PKEY_free(parts.key);
    X509_free(parts.own);
    sk_X509_pop_free(parts.rest, X509_free);
    ERR_clear_error();
    if (err != PEL_OK) {
        pel_pkcs12_free(&pkcs12);
        return err;
    }
    *ret_pkcs12 = pkcs12;
    return PEL_OK;
}
