/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/nid.h>
#include <openssl/pem.h>

#include "tls/boringssl/vendor.h"

static const struct {
    uint16_t group;
    int nid;
} groups[] = {
    {21, NID_secp224r1}, {23, NID_X9_62_prime256v1}, {24, NID_secp384r1},
    {25, NID_secp521r1}, {29, NID_X25519},
};

int pel_group_nid(uint16_t group)
{
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (groups[i].group == group)
            return groups[i].nid;
    return 0;
}

uint16_t pel_group_of_nid(int nid)
{
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (groups[i].nid == nid)
            return groups[i].group;
    return 0;
}

uint16_t pel_key_group(const EVP_PKEY *key)
{
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);
    if (ec == NULL || EC_KEY_get0_group(ec) == NULL)
        return 0;
    return pel_group_of_nid(EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)));
}

static enum pel_err malformed(const struct pel_pem *pem, const char *what, struct pel_error *reterr)
{
    const char *reason = NULL;
    enum pel_err err = pel_library_error(PEL_E_KEYRING_CERT_MALFORMED, &reason);
    return pel_error_set(reterr, err, "%s: %s (%s)", pem->path, what, reason);
}

/* True when the error queue only says that the PEM text has ended. */
static bool at_end(void)
{
    uint32_t code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

enum pel_err pel_pem_certs(const struct pel_pem *pem, STACK_OF(X509) * *ret_certs, struct pel_error *reterr)
{
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->len);
    STACK_OF(X509) *certs = sk_X509_new_null();
    X509 *cert = NULL;
    bool kept = true;
    while (bio != NULL && certs != NULL && kept &&
           (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        kept = sk_X509_push(certs, cert) > 0;
        if (!kept)
            X509_free(cert);
    }
    bool fine = bio != NULL && certs != NULL && kept && at_end() && sk_X509_num(certs) > 0;
    BIO_free(bio);
    if (!fine) {
        sk_X509_pop_free(certs, X509_free);
        return malformed(pem, "cannot be read as PEM certificates", reterr);
    }
    ERR_clear_error();
    *ret_certs = certs;
    return PEL_OK;
}

/* Refuses to be asked for a passphrase: without a callback the library would ask the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return 0;
}

enum pel_err pel_pem_key(const struct pel_pem *pem, EVP_PKEY **ret_key, struct pel_error *reterr)
{
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->len);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (key == NULL)
        return malformed(pem, "cannot be read as a PEM private key; it must be an unencrypted RSA or EC key",
                         reterr);
    ERR_clear_error();
    *ret_key = key;
    return PEL_OK;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool time_of(const ASN1_TIME *time, int64_t *ret_s)
{
    int64_t f[6] = {0};
    ASN1_GENERALIZEDTIME *general = ASN1_TIME_to_generalizedtime(time, NULL);
    if (general == NULL)
        return false;
    const char *text = (const char *)ASN1_STRING_get0_data(general);
    bool fine = ASN1_STRING_length(general) == 15 && text[14] == 'Z';
    for (int i = 0, at = 0; fine && i < 6; i++)
        for (int width = i == 0 ? 4 : 2; fine && width > 0; width--, at++) {
            fine = text[at] >= '0' && text[at] <= '9';
            f[i] = f[i] * 10 + (text[at] - '0');
        }
    ASN1_GENERALIZEDTIME_free(general);
    if (fine)
        *ret_s = days_of(f[0], f[1], f[2]) * 86400 + f[3] * 3600 + f[4] * 60 + f[5];
    return fine;
}

enum pel_err pel_cert_times(X509 *cert, int64_t *ret_not_before_s, int64_t *ret_not_after_s)
{
    int64_t not_before_s = 0, not_after_s = 0;
    if (!time_of(X509_get0_notBefore(cert), &not_before_s) ||
        !time_of(X509_get0_notAfter(cert), &not_after_s)) {
        ERR_clear_error();
        return PEL_E_KEYRING_CERT_MALFORMED;
    }
    *ret_not_before_s = not_before_s;
    *ret_not_after_s = not_after_s;
    return PEL_OK;
}

void pel_x509_name_text(X509_NAME *name, char *text, size_t cap)
{
    const uint8_t *bytes = NULL;
    size_t len = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    text[0] = '\0';
    /* RFC 2253 escapes control characters, but in its own order, last part first; people read the common
     * name first. */
    unsigned long flags =
        (XN_FLAG_ONELINE & ~(unsigned long)(XN_FLAG_SEP_MASK | XN_FLAG_SPC_EQ)) | XN_FLAG_SEP_COMMA_PLUS;
    flags &= ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    if (bio != NULL && name != NULL && X509_NAME_print_ex(bio, name, 0, flags) >= 0 &&
        BIO_mem_contents(bio, &bytes, &len) && len > 0) {
        if (len > cap - 1)
            len = cap - 1;
        memcpy(text, bytes, len);
        text[len] = '\0';
    }
    BIO_free(bio);
    ERR_clear_error();
}
