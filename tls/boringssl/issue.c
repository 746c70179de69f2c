/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/issue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/addr.h"
#include "tls/boringssl/vendor.h"

static enum pel_err internal(const char *what, struct pel_error *reterr)
{
    const char *reason = NULL;
    enum pel_err err = pel_library_error(PEL_E_TLS_INTERNAL, &reason);
    return pel_error_set(reterr, err, "%s: %s", what, reason);
}

static bool fill_ec(EVP_PKEY *key)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    if (ec != NULL && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec))
        return true;
    EC_KEY_free(ec);
    return false;
}

static bool fill_rsa(EVP_PKEY *key, int bits)
{
    RSA *rsa = RSA_new();
    BIGNUM *e = BN_new();
    bool fine = rsa != NULL && e != NULL && BN_set_word(e, RSA_F4) &&
                RSA_generate_key_ex(rsa, bits, e, NULL) && EVP_PKEY_assign_RSA(key, rsa);
    BN_free(e);
    if (!fine)
        RSA_free(rsa);
    return fine;
}

static EVP_PKEY *make_key(enum pel_key_type type)
{
    EVP_PKEY *key = EVP_PKEY_new();
    bool fine = key != NULL;
    if (fine && type == PEL_KEY_P256)
        fine = fill_ec(key);
    else if (fine)
        fine = fill_rsa(key, type == PEL_KEY_RSA3072 ? 3072 : 2048);
    if (fine)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

/* One part "CN=value" of a subject. */
static enum pel_err add_part(X509_NAME *name, char *part, struct pel_error *reterr)
{
    static const char *const known[] = {"CN", "O", "OU", "C", "L", "ST"};
    char *equals = strchr(part, '=');
    while (*part == ' ')
        part++;
    if (equals != NULL)
        *equals = '\0';
    for (size_t i = 0; equals != NULL && equals[1] != '\0' && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(part, known[i]) != 0)
            continue;
        if (X509_NAME_add_entry_by_txt(name, part, MBSTRING_UTF8, (const uint8_t *)equals + 1, -1, -1, 0))
            return PEL_OK;
        ERR_clear_error();
        return pel_error_set(reterr, PEL_E_ARG, "subject: \"%.64s\" is too long or not text for %s",
                             equals + 1, part);
    }
    return pel_error_set(reterr, PEL_E_ARG,
                         "subject: \"%.64s\" is not NAME=value with one of CN, O, OU, C, L, ST", part);
}

static enum pel_err set_subject(X509_NAME *name, const char *subject, struct pel_error *reterr)
{
    char text[512];
    char *rest = NULL;
    if (strlen(subject) >= sizeof text)
        return pel_error_set(reterr, PEL_E_ARG, "subject: longer than %zu characters", sizeof text - 1);
    memcpy(text, subject, strlen(subject) + 1);
    for (char *part = strtok_r(text, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest))
        PEL_TRY(add_part(name, part, reterr));
    if (X509_NAME_entry_count(name) == 0)
        return pel_error_set(reterr, PEL_E_ARG, "subject: empty; write for example CN=host.example");
    return PEL_OK;
}

static bool add_general_name(GENERAL_NAMES *names, int type, const void *bytes, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
    if (name == NULL || value == NULL || !ASN1_STRING_set(value, bytes, (int)len)) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static enum pel_err add_dns(GENERAL_NAMES *names, const char *dns, struct pel_error *reterr)
{
    size_t len = strlen(dns);
    if (len == 0 || len > 253)
        return pel_error_set(reterr, PEL_E_ARG, "DNS name \"%.64s\": 1 to 253 characters", dns);
    for (size_t i = 0; i < len; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*", dns[i]) == NULL)
            return pel_error_set(reterr, PEL_E_ARG,
                                 "DNS name \"%.64s\": only letters, digits, \"-\", \".\", \"_\", \"*\"", dns);
    return add_general_name(names, GEN_DNS, dns, len) ? PEL_OK : internal("subject alternative name", reterr);
}

static enum pel_err add_ip(GENERAL_NAMES *names, const char *text, struct pel_error *reterr)
{
    struct pel_ip ip;
    if (pel_ip_parse(text, &ip) != PEL_OK)
        return pel_error_set(reterr, PEL_E_ARG, "IP address \"%.64s\" is not one", text);
    return add_general_name(names, GEN_IPADD, ip.bytes, ip.version == 4 ? 4 : 16)
               ? PEL_OK
               : internal("subject alternative name", reterr);
}

static enum pel_err add_names(X509 *cert, const struct pel_keyring_request *request, struct pel_error *reterr)
{
    if (request->num_dns_names == 0 && request->num_ip_addresses == 0)
        return PEL_OK;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    if (names == NULL)
        return internal("subject alternative name", reterr);
    enum pel_err err = PEL_OK;
    for (size_t i = 0; err == PEL_OK && i < request->num_dns_names; i++)
        err = add_dns(names, request->dns_names[i], reterr);
    for (size_t i = 0; err == PEL_OK && i < request->num_ip_addresses; i++)
        err = add_ip(names, request->ip_addresses[i], reterr);
    if (err == PEL_OK && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) != 1)
        err = internal("subject alternative name", reterr);
    GENERAL_NAMES_free(names);
    return err;
}

static bool add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, ctx, nid, value);
    bool fine = extension != NULL && X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return fine;
}

static bool add_extensions(X509 *cert, X509 *issuer, bool ca, const struct pel_keyring_request *request)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    const char *usage = request->key_type == PEL_KEY_P256 ? "critical,digitalSignature"
                                                          : "critical,digitalSignature,keyEncipherment";
    return add_extension(cert, &ctx, NID_basic_constraints, ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
           add_extension(cert, &ctx, NID_key_usage, ca ? "critical,keyCertSign,cRLSign" : usage) &&
           add_extension(cert, &ctx, NID_subject_key_identifier, "hash") &&
           add_extension(cert, &ctx, NID_authority_key_identifier, "keyid") &&
           (ca ||
            add_extension(cert, &ctx, NID_ext_key_usage, request->client ? "clientAuth" : "serverAuth"));
}

/* RFC 5280 section 4.1.2.2: positive, at most 20 octets, and not to be guessed. */
static bool set_serial(X509 *cert)
{
    uint8_t bytes[16];
    RAND_bytes(bytes, sizeof bytes);
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool fine = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return fine;
}

static bool set_times(X509 *cert, const struct pel_keyring_request *request)
{
    return ASN1_TIME_adj(X509_getm_notBefore(cert), (time_t)request->not_before_s, 0, 0) != NULL &&
           ASN1_TIME_adj(X509_getm_notAfter(cert), (time_t)request->not_after_s, 0, 0) != NULL;
}

static enum pel_err fill_cert(X509 *cert, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                              const struct pel_keyring_request *request, struct pel_error *reterr)
{
    bool ca = issuer == NULL;
    PEL_TRY(set_subject(X509_get_subject_name(cert), request->subject, reterr));
    X509_NAME *issuer_name = X509_get_subject_name(ca ? cert : issuer);
    if (!X509_set_version(cert, X509_VERSION_3) || !set_serial(cert) || !set_times(cert, request) ||
        !X509_set_issuer_name(cert, issuer_name) || !X509_set_pubkey(cert, key))
        return internal("certificate", reterr);
    if (!add_extensions(cert, ca ? cert : issuer, ca, request))
        return internal("certificate extensions", reterr);
    PEL_TRY(add_names(cert, request, reterr));
    if (X509_sign(cert, ca ? key : issuer_key, EVP_sha256()) <= 0)
        return internal("signature", reterr);
    return PEL_OK;
}

enum pel_err pel_bio_to_file(BIO *bio, bool written, struct pel_file *ret_file, struct pel_error *reterr)
{
    const uint8_t *bytes = NULL;
    size_t len = 0;
    if (!written || !BIO_mem_contents(bio, &bytes, &len))
        return internal("PEM", reterr);
    struct pel_file file = {.bytes = malloc(len + 1), .len = len};
    if (file.bytes == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "out of memory");
    memcpy(file.bytes, bytes, len);
    file.bytes[len] = '\0';
    *ret_file = file;
    return PEL_OK;
}

static enum pel_err write_pem(X509 *cert, EVP_PKEY *key, struct pel_file *ret_cert, struct pel_file *ret_key,
                              struct pel_error *reterr)
{
    struct pel_file cert_file = {0};
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    bool cert_fine = cert_bio != NULL && PEM_write_bio_X509(cert_bio, cert);
    bool key_fine = key_bio != NULL && PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL);
    enum pel_err err = pel_bio_to_file(cert_bio, cert_fine, &cert_file, reterr);
    if (err == PEL_OK)
        err = pel_bio_to_file(key_bio, key_fine, ret_key, reterr);
    BIO_free(cert_bio);
    BIO_free(key_bio); /* wiped by BoringSSL's allocator */
    if (err == PEL_OK)
        *ret_cert = cert_file;
    else
        pel_file_free(&cert_file);
    return err;
}

static enum pel_err read_issuer(const struct pel_pem *ca_cert, const struct pel_pem *ca_key,
                                X509 **ret_issuer, EVP_PKEY **ret_key, struct pel_error *reterr)
{
    STACK_OF(X509) *certs = NULL;
    PEL_TRY(pel_cert_check_key(ca_cert, ca_key, reterr));
    PEL_TRY(pel_pem_certs(ca_cert, &certs, reterr));
    X509 *issuer = sk_X509_shift(certs);
    sk_X509_pop_free(certs, X509_free);
    enum pel_err err =
        X509_check_ca(issuer) > 0
            ? pel_pem_key(ca_key, ret_key, reterr)
            : pel_error_set(reterr, PEL_E_ARG,
                            "%s: is no certificate authority; make one with `pel keyring ca`", ca_cert->path);
    if (err != PEL_OK) {
        X509_free(issuer);
        return err;
    }
    *ret_issuer = issuer;
    return PEL_OK;
}

enum pel_err pel_cert_issue(const struct pel_keyring_request *request, const struct pel_pem *ca_cert,
                            const struct pel_pem *ca_key, struct pel_file *ret_cert, struct pel_file *ret_key,
                            struct pel_error *reterr)
{
    X509 *issuer = NULL;
    EVP_PKEY *issuer_key = NULL;
    ERR_clear_error();
    if (ca_cert != NULL)
        PEL_TRY(read_issuer(ca_cert, ca_key, &issuer, &issuer_key, reterr));
    EVP_PKEY *key = make_key(request->key_type);
    X509 *cert = X509_new();
    enum pel_err err = key != NULL && cert != NULL ? fill_cert(cert, key, issuer, issuer_key, request, reterr)
                                                   : internal("key", reterr);
    if (err == PEL_OK)
        err = write_pem(cert, key, ret_cert, ret_key, reterr);
    X509_free(cert);
    EVP_PKEY_free(key);
    X509_free(issuer);
    EVP_PKEY_free(issuer_key);
    ERR_clear_error();
    return err;
}
