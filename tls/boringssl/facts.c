/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/x509v3.h>

#include "base/addr.h"
#include "tls/boringssl/vendor.h"
#include "tls/issue.h"

static void name_text(const GENERAL_NAME *name, char *text, size_t cap)
{
    int type = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    text[0] = '\0';
    if (type == GEN_DNS)
        snprintf(text, cap, "DNS:%.*s", ASN1_STRING_length(value),
                 (const char *)ASN1_STRING_get0_data(value));
    if (type == GEN_IPADD && (ASN1_STRING_length(value) == 4 || ASN1_STRING_length(value) == 16)) {
        char address[64];
        struct pel_ip ip = {.version = ASN1_STRING_length(value) == 4 ? 4 : 6};
        memcpy(ip.bytes, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
        snprintf(text, cap, "IP:%s", pel_ip_format(&ip, address, sizeof address));
    }
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = '?'; /* a listing goes to a terminal */
}

static void read_names(X509 *cert, struct pel_cert_facts *facts)
{
    size_t at = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (size_t i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        char text[300];
        name_text(sk_GENERAL_NAME_value(names, i), text, sizeof text);
        if (text[0] != '\0' && at + strlen(text) + 3 < sizeof facts->names)
            at += (size_t)snprintf(facts->names + at, sizeof facts->names - at, "%s%s", at > 0 ? ", " : "",
                                   text);
    }
    GENERAL_NAMES_free(names);
}

static void read_key_type(X509 *cert, struct pel_cert_facts *facts)
{
    static const char *const curves[] = {[21] = "P-224", [23] = "P-256", [24] = "P-384", [25] = "P-521"};
    EVP_PKEY *key = X509_get_pubkey(cert);
    int type = key != NULL ? EVP_PKEY_id(key) : 0;
    uint16_t group = key != NULL ? pel_key_group(key) : 0;
    if (type == EVP_PKEY_RSA)
        snprintf(facts->key_type, sizeof facts->key_type, "RSA %d", EVP_PKEY_bits(key));
    else if (type == EVP_PKEY_EC && group <= 25 && curves[group] != NULL)
        snprintf(facts->key_type, sizeof facts->key_type, "EC %s", curves[group]);
    else
        snprintf(facts->key_type, sizeof facts->key_type, "%s",
                 type == EVP_PKEY_ED25519 ? "Ed25519" : "unknown");
    EVP_PKEY_free(key);
}

enum pel_err pel_cert_facts(const struct pel_pem *pem, struct pel_cert_facts *ret_facts,
                            struct pel_error *reterr)
{
    STACK_OF(X509) *certs = NULL;
    struct pel_cert_facts facts = {0};
    PEL_TRY(pel_pem_certs(pem, &certs, reterr));
    X509 *cert = sk_X509_value(certs, 0);
    pel_x509_name_text(X509_get_subject_name(cert), facts.subject, sizeof facts.subject);
    pel_x509_name_text(X509_get_issuer_name(cert), facts.issuer, sizeof facts.issuer);
    read_names(cert, &facts);
    read_key_type(cert, &facts);
    facts.is_ca = X509_check_ca(cert) == 1;
    enum pel_err err = pel_cert_times(cert, &facts.not_before_s, &facts.not_after_s);
    sk_X509_pop_free(certs, X509_free);
    ERR_clear_error();
    if (err != PEL_OK)
        return pel_error_set(reterr, err, "%s: the certificate's dates cannot be read", pem->path);
    *ret_facts = facts;
    return PEL_OK;
}

enum pel_err pel_cert_dates_each(const struct pel_pem *pem, pel_cert_dates_fn *fn, void *arg,
                                 struct pel_error *reterr)
{
    STACK_OF(X509) *certs = NULL;
    enum pel_err err = PEL_OK;
    PEL_TRY(pel_pem_certs(pem, &certs, reterr));
    for (size_t i = 0; i < sk_X509_num(certs) && err == PEL_OK; i++) {
        X509 *cert = sk_X509_value(certs, i);
        struct pel_cert_dates dates = {0};
        pel_x509_name_text(X509_get_subject_name(cert), dates.subject, sizeof dates.subject);
        err = pel_cert_times(cert, &dates.not_before_s, &dates.not_after_s);
        if (err == PEL_OK && !X509_digest(cert, EVP_sha256(), dates.sha256, NULL))
            err = PEL_E_NO_MEMORY;
        if (err == PEL_OK)
            fn(arg, i, &dates);
    }
    sk_X509_pop_free(certs, X509_free);
    ERR_clear_error();
    if (err != PEL_OK)
        return pel_error_set(reterr, err, "%s: a certificate cannot be read", pem->path);
    return PEL_OK;
}

enum pel_err pel_cert_check_key(const struct pel_pem *cert, const struct pel_pem *key,
                                struct pel_error *reterr)
{
    STACK_OF(X509) *certs = NULL;
    EVP_PKEY *pkey = NULL;
    PEL_TRY(pel_pem_certs(cert, &certs, reterr));
    enum pel_err err = pel_pem_key(key, &pkey, reterr);
    if (err == PEL_OK && !X509_check_private_key(sk_X509_value(certs, 0), pkey))
        err = pel_error_set(reterr, PEL_E_KEYRING_KEY_MISMATCH,
                            "%s: the private key does not belong to the first certificate of %s", key->path,
                            cert->path);
    EVP_PKEY_free(pkey);
    sk_X509_pop_free(certs, X509_free);
    ERR_clear_error();
    return err;
}
