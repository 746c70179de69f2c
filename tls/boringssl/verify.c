/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the peer's certificates must be beyond a chain that holds (RFC 5280): the policy's reference names,
 * key sizes, version and signatures. The trusted authority at the chain's end is the operator's own choice
 * and is not measured, unless it is the peer's certificate itself.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/x509v3.h>

#include "tls/boringssl/vendor.h"
#include "tls/names.h"

/* The code of RFC 5246 and RFC 8446 for the algorithm that a certificate is signed with; 0: none. */
static uint16_t sigalg_of(const X509 *cert)
{
    static const struct {
        int nid;
        uint16_t code;
    } rows[] = {
        {NID_sha1WithRSAEncryption, 0x0201},
        {NID_sha224WithRSAEncryption, 0x0301},
        {NID_sha256WithRSAEncryption, 0x0401},
        {NID_sha384WithRSAEncryption, 0x0501},
        {NID_sha512WithRSAEncryption, 0x0601},
        {NID_ecdsa_with_SHA1, 0x0203},
        {NID_ecdsa_with_SHA224, 0x0303},
        {NID_ecdsa_with_SHA256, 0x0403},
        {NID_ecdsa_with_SHA384, 0x0503},
        {NID_ecdsa_with_SHA512, 0x0603},
        {NID_ED25519, 0x0807},
    };
    int nid = X509_get_signature_nid(cert);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].nid == nid)
            return rows[i].code;
    return 0;
}

static uint16_t pss_sigalg_of(const X509 *cert)
{
    const X509_ALGOR *algorithm = NULL;
    const void *value = NULL;
    int type = 0, hash = NID_sha1; /* RFC 4055 section 3.1: the default */
    X509_get0_signature(NULL, &algorithm, cert);
    X509_ALGOR_get0(NULL, &type, &value, algorithm);
    if (type != V_ASN1_SEQUENCE)
        return 0;
    const uint8_t *der = ASN1_STRING_get0_data(value);
    RSA_PSS_PARAMS *params = d2i_RSA_PSS_PARAMS(NULL, &der, ASN1_STRING_length(value));
    if (params != NULL && params->hashAlgorithm != NULL)
        hash = OBJ_obj2nid(params->hashAlgorithm->algorithm);
    RSA_PSS_PARAMS_free(params);
    return hash == NID_sha256 ? 0x0804 : hash == NID_sha384 ? 0x0805 : hash == NID_sha512 ? 0x0806 : 0;
}

static bool may_be_signed_so(const struct pel_tls_env *env, const X509 *cert, char *text, size_t cap)
{
    bool pss = X509_get_signature_nid(cert) == NID_rsassaPss;
    if (env->num_cert_sigalgs == 0)
        return true;
    uint16_t code = pss ? pss_sigalg_of(cert) : sigalg_of(cert);
    const char *name = pel_name_of(PEL_NAME_SIGALG, code);
    for (size_t i = 0; i < env->num_cert_sigalgs; i++)
        if (env->cert_sigalgs[i] == code)
            return true;
    snprintf(text, cap, "a certificate is signed with %s, which SignaturePairsCert does not allow",
             name != NULL ? name : "an unknown algorithm");
    return false;
}

static bool is_key_long_enough(const struct pel_peer_demands *demands, X509 *cert, char *text, size_t cap)
{
    EVP_PKEY *key = X509_get_pubkey(cert);
    int type = key != NULL ? EVP_PKEY_id(key) : 0;
    uint32_t bits = key != NULL ? (uint32_t)EVP_PKEY_bits(key) : 0;
    uint32_t least = type == EVP_PKEY_RSA  ? demands->min_rsa_bits
                     : type == EVP_PKEY_EC ? demands->min_ecc_bits
                                           : 0;
    EVP_PKEY_free(key);
    if (bits >= least)
        return true;
    snprintf(text, cap, "a certificate of the chain has %s key of %u bits; at least %u are wanted (%s)",
             type == EVP_PKEY_RSA ? "an RSA" : "an EC", bits, least,
             type == EVP_PKEY_RSA ? "PeerMinRsaKeySize" : "PeerMinECCKeySize");
    return false;
}

static bool is_new_enough(const struct pel_peer_demands *demands, const X509 *cert, char *text, size_t cap)
{
    if (!demands->cert_version_3 || X509_get_version(cert) == X509_VERSION_3)
        return true;
    snprintf(text, cap,
             "a certificate of the chain is of X.509 version %ld; 3 is wanted (PeerMinCertVersion)",
             X509_get_version(cert) + 1);
    return false;
}

static bool check_chain(struct pel_hs *hs, X509_STORE_CTX *store_ctx)
{
    const struct pel_tls_env *env = hs->env;
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store_ctx);
    size_t num = sk_X509_num(chain);
    for (size_t i = 0; i < (num > 1 ? num - 1 : num); i++) {
        X509 *cert = sk_X509_value(chain, i);
        char *text = hs->cert_problem;
        if (!is_key_long_enough(&env->demands, cert, text, sizeof hs->cert_problem) ||
            !is_new_enough(&env->demands, cert, text, sizeof hs->cert_problem) ||
            (num > 1 && !may_be_signed_so(env, cert, text, sizeof hs->cert_problem)))
            return false;
    }
    return true;
}

/* Compares without case; `pattern` may begin with "*." for one label, where that is allowed. */
static bool name_fits(const char *pattern, size_t pattern_len, const char *name, bool wildcards)
{
    if (wildcards && pattern_len > 2 && pattern[0] == '*' && pattern[1] == '.') {
        const char *rest = strchr(name, '.');
        if (rest == NULL || rest == name || memchr(pattern + 2, '.', pattern_len - 2) == NULL)
            return false;
        name = rest;
        pattern++;
        pattern_len--;
    }
    return strlen(name) == pattern_len && strncasecmp(pattern, name, pattern_len) == 0;
}

static bool dns_name_fits(X509 *leaf, const char *name, bool wildcards)
{
    bool fits = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (size_t i = 0; names != NULL && i < sk_GENERAL_NAME_num(names) && !fits; i++) {
        int type = 0;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        fits = type == GEN_DNS && name_fits((const char *)ASN1_STRING_get0_data(value),
                                            (size_t)ASN1_STRING_length(value), name, wildcards);
    }
    GENERAL_NAMES_free(names);
    return fits;
}

static bool common_name_fits(const X509 *leaf, const char *name, bool wildcards)
{
    const X509_NAME *subject = X509_get_subject_name(leaf);
    for (int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1); at >= 0;
         at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) {
        uint8_t *text = NULL;
        int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
        bool fits = len > 0 && name_fits((const char *)text, (size_t)len, name, wildcards);
        OPENSSL_free(text);
        if (fits)
            return true;
    }
    return false;
}

static bool check_reference(struct pel_hs *hs, X509 *leaf)
{
    const struct pel_tls_env *env = hs->env;
    if (env->reference_dns == NULL && env->reference_cn == NULL)
        return true;
    if (env->reference_dns != NULL && dns_name_fits(leaf, env->reference_dns, env->reference_wildcards))
        return true;
    if (env->reference_cn != NULL && common_name_fits(leaf, env->reference_cn, env->reference_wildcards))
        return true;
    snprintf(hs->cert_problem, sizeof hs->cert_problem, "name mismatch: the policy wants %s%.60s%s%s%.60s",
             env->reference_dns != NULL ? "HostReferenceIdDNS " : "",
             env->reference_dns != NULL ? env->reference_dns : "",
             env->reference_dns != NULL && env->reference_cn != NULL ? " or " : "",
             env->reference_cn != NULL ? "HostReferenceIdCN " : "",
             env->reference_cn != NULL ? env->reference_cn : "");
    return false;
}

int pel_verify_callback(X509_STORE_CTX *store_ctx, void *arg)
{
    (void)arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store_ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct pel_hs *hs = SSL_get_app_data(ssl);
    int ret = X509_verify_cert(store_ctx);
    if (ret <= 0)
        return ret;
    bool named = check_reference(hs, sk_X509_value(X509_STORE_CTX_get0_chain(store_ctx), 0));
    if (named && check_chain(hs, store_ctx))
        return 1;
    X509_STORE_CTX_set_error(store_ctx, named ? X509_V_ERR_CERT_REJECTED : X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
}
