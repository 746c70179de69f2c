/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/schema.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "policy/schema_rows.h"

const char *const pel_values_on_off[] = {"Off", "On", NULL};

static const char *const directions[] = {"Inbound", "Outbound", "Both", NULL};
static const char *const roles[] = {"Client", "Server", "ServerWithClientAuth", NULL};
static const char *const fips[] = {"Off", "On", "Level1", "Level2", "Level3", NULL};
static const struct pel_value_remark fips_remarks[] = {
    {1, PEL_REMARK_NOTE, "approved algorithms; the module is not validated"},
    {2, PEL_REMARK_NOTE, "approved algorithms; the module is not validated"},
    {3, PEL_REMARK_NOTE, "approved algorithms; the module is not validated"},
    {4, PEL_REMARK_NOTE, "approved algorithms; the module is not validated"},
    {0},
};
static const char *const suite_b[] = {"Off", "128", "128Min", "192", "192Min", "All", NULL};
static const char *const facilities[] = {"Daemon", "Auth", NULL};
static const char *const zones[] = {"Local", "UTC", NULL};

static const struct pel_row rule_rows[] = {
    ROW("LocalAddr", ADDRSPEC, SLOT(LOCAL_ADDR), .default_value = "All",
        .help = "the connection's own address is this one, or in this prefix or range"),
    ROW("RemoteAddr", ADDRSPEC, SLOT(REMOTE_ADDR), .default_value = "All",
        .help = "the peer's address is this one, or in this prefix or range"),
    REF("LocalAddrRef", IP_ADDR, SLOT(LOCAL_ADDR), .help = "the own address is that of an IpAddr"),
    REF("RemoteAddrRef", IP_ADDR, SLOT(REMOTE_ADDR), .help = "the peer's address is that of an IpAddr"),
    REF("LocalAddrSetRef", IP_ADDR_SET, SLOT(LOCAL_ADDR), .help = "the own address is in an IpAddrSet"),
    REF("RemoteAddrSetRef", IP_ADDR_SET, SLOT(REMOTE_ADDR), .help = "the peer's address is in an IpAddrSet"),
    REF("LocalAddrGroupRef", IP_ADDR_GROUP, SLOT(LOCAL_ADDR), .help = "the own address is in an IpAddrGroup"),
    REF("RemoteAddrGroupRef", IP_ADDR_GROUP, SLOT(REMOTE_ADDR),
        .help = "the peer's address is in an IpAddrGroup"),
    ROW("LocalPortRange", PORTS, SLOT(LOCAL_PORT), .default_value = "0",
        .help = "the connection's own port is this one or between these; 0: any"),
    ROW("RemotePortRange", PORTS, SLOT(REMOTE_PORT), .default_value = "0",
        .help = "the peer's port is this one or between these; 0: any"),
    REF("LocalPortRangeRef", PORT_RANGE, SLOT(LOCAL_PORT), .help = "the own port is in a PortRange"),
    REF("RemotePortRangeRef", PORT_RANGE, SLOT(REMOTE_PORT), .help = "the peer's port is in a PortRange"),
    REF("LocalPortGroupRef", PORT_GROUP, SLOT(LOCAL_PORT), .help = "the own port is in a PortGroup"),
    REF("RemotePortGroupRef", PORT_GROUP, SLOT(REMOTE_PORT), .help = "the peer's port is in a PortGroup"),
    ROW("Jobname", PATTERN, SLOT(JOB), .max = 32,
        .help =
            "the program's name, or what pel run --job gave; * at the end: any rest; letters without case"),
    ROW("Userid", PATTERN, SLOT(USER), .max = 32,
        .help = "the socket owner's user name; * at the end: any rest; letters without case"),
    ENUM("Direction", directions, NULL, SLOT(DIRECTION), .flags = PEL_ROW_REQUIRED,
         .help = "Inbound: the peer connected; Outbound: the program did; Both: either"),
    UINT("Priority", 1, 2000000000, "1", SLOT(PRIORITY),
         .help = "the higher is tried first; rules of one priority in the order of their names"),
    BLOCK_OR_REF("IpTimeCondition", IP_TIME, TIME, 0, "when the rule holds; uncoded: always"),
    BLOCK_OR_REF("TTLSGroupAction", GROUP_ACTION, GROUP_ACTION, PEL_ROW_REQUIRED, "whether there is TLS"),
    BLOCK_OR_REF("TTLSEnvironmentAction", ENV_ACTION, ENV_ACTION, 0,
                 "how TLS is spoken; required with TTLSEnabled On"),
    BLOCK_OR_REF("TTLSConnectionAction", CONN_ACTION, CONN_ACTION, 0,
                 "what goes before the environment's values"),
};

#define NO_TRACE   "packets are not traced, so that clear text is in no trace"
#define NO_RENEWAL "every load makes all environments anew; no number need change"
#define TRACE_HELP                                                                                           \
    "what is logged of connections, a sum: 1 and 2 errors, 4 which rule, 8 events, 16 calls, 32 data"

static const struct pel_row group_rows[] = {
    ONOFF("TTLSEnabled", NULL, SLOT(ENABLED), .flags = PEL_ROW_REQUIRED,
          .help = "On: connections of the rule get TLS; Off: they are clear on purpose"),
    ONOFF("CtraceClearText", "Off", NO_EFFECT(NO_TRACE), .help = "decrypted data in packet traces"),
    UINT("Trace", 0, 255, "2", SLOT(TRACE), .help = TRACE_HELP),
    ENUM(
        "FIPS140", fips, "Off", SLOT(FIPS), REMARKS(fips_remarks),
        .help =
            "On and Level1 to Level3: approved algorithms alone, TLS 1.2 and 1.3, ECDHE with AES on P-256 to "
            "P-521, RSA keys of 2048 bits; the module is not validated"),
    UINT("GroupUserInstance", 0, 65535, "0", NO_EFFECT(NO_RENEWAL),
         .help = "a number whose change makes the group new"),
    BLOCK_OR_REF("TTLSGroupAdvancedParms", GROUP_ADV, ADVANCED, 0, "less usual parameters of the group"),
};

static const struct pel_row group_adv_rows[] = {
    ENUM("SyslogFacility", facilities, "Daemon",
         NO_EFFECT("the stack has one log, its standard error, for all groups"),
         .help = "the facility under which the group logs"),
    ROW("Envfile", WORD, .max = 1023,
        NO_EFFECT("one process serves all groups; none has an environment of its own"),
        .help = "a file of environment variables for the group's process"),
    ONOFF("SecondaryMap", "Off", SLOT(SECONDARY_MAP),
          .help = "later connections of a program between the same addresses follow its first"),
};

static const struct pel_row env_rows[] = {
    ENUM("HandshakeRole", roles, NULL, SLOT(ROLE), .flags = PEL_ROW_REQUIRED,
         .help =
             "the side taken in TLS, whichever side connected; ServerWithClientAuth asks for a certificate"),
    BLOCK_OR_REF("TTLSKeyringParms", KEYRING, KEYRING_PARMS, PEL_ROW_REQUIRED, "where keys and trust are"),
    ENUM("SuiteBProfile", suite_b, "Off", SLOT(SUITE_B),
         .help = "TLS 1.2 with the suites, curves and signatures of RFC 6460 alone, of 128 or 192 bits; Min: "
                 "of that strength or more; lists that are coded lose the others"),
    BLOCK_OR_REF("TTLSCipherParms", CIPHERS, CIPHER_PARMS, 0,
                 "the cipher suites; uncoded: those of TLS 1.3 and ECDHE with AES-GCM or ChaCha20"),
    BLOCK_OR_REF("TTLSSignatureParms", SIGNATURE, SIGNATURE_PARMS, 0, "groups and signatures"),
    ONOFF("CtraceClearText", "Off", NO_EFFECT(NO_TRACE),
          .help = "decrypted data in packet traces; uncoded: the group's"),
    UINT("Trace", 0, 255, "2", SLOT(TRACE), .help = TRACE_HELP "; uncoded: the group's"),
    BLOCK_OR_REF("TTLSEnvironmentAdvancedParms", ENV_ADV, ADVANCED, 0,
                 "versions, certificates, names and checks"),
    BLOCK_OR_REF("TTLSGskAdvancedParms", GSK_ADV, GSK, 0, "sessions, tickets and revocation"),
    UINT("EnvironmentUserInstance", 0, 65535, "1", NO_EFFECT(NO_RENEWAL),
         .help = "a number whose change makes the environment new"),
};

static const struct pel_row conn_rows[] = {
    ENUM("HandshakeRole", roles, NULL, SLOT(ROLE), .help = "the side taken in TLS"),
    BLOCK_OR_REF("TTLSCipherParms", CIPHERS, CIPHER_PARMS, 0, "the cipher suites"),
    BLOCK_OR_REF("TTLSSignatureParms", SIGNATURE, SIGNATURE_PARMS, 0, "groups and signatures"),
    ONOFF("CtraceClearText", NULL, NO_EFFECT(NO_TRACE), .help = "decrypted data in packet traces"),
    UINT("Trace", 0, 255, NULL, SLOT(TRACE), .help = TRACE_HELP),
    BLOCK_OR_REF("TTLSConnectionAdvancedParms", CONN_ADV, ADVANCED, 0, "versions, certificates and names"),
    UINT("ConnectionUserInstance", 0, 65535, NULL, NO_EFFECT(NO_RENEWAL),
         .help = "a number whose change makes the action new"),
};

static const struct pel_row keyring_rows[] = {
    ROW("Keyring", WORD, SLOT(KEYRING), .max = 1023, .flags = PEL_ROW_REQUIRED,
        .help = "RING (of the user that runs the stack), USERID/RING, *AUTH*/* (the machine's authorities), "
                "or the path "
                "of a ring directory or PKCS#12 file"),
    ROW("KeyringPw", WORD, SLOT(KEYRING_PW), .max = 128, .flags = PEL_ROW_SECRET,
        .help = "the PKCS#12 file's password; not together with KeyringStashFile"),
    ROW("KeyringStashFile", WORD, SLOT(KEYRING_STASH), .max = 1023,
        .help = "the file, of mode 0600, that holds the PKCS#12 file's password"),
};

static const struct pel_row cipher_rows[] = {
    ROW("V2CipherSuites", TEXT, .max = 4096, .flags = PEL_ROW_REPEAT, NO_EFFECT("SSL 2.0 is never spoken"),
        .help = "suites of SSL 2.0"),
    ROW("V3CipherSuites", CIPHERS2, SLOT(CIPHERS), .flags = PEL_ROW_REPEAT,
        .help = "suites by preference: a name, or codes of 2 hexadecimal digits run together"),
    ROW("V3CipherSuites4Char", CIPHERS4, SLOT(CIPHERS), .flags = PEL_ROW_REPEAT,
        .help =
            "suites by preference: a name, or codes of 4 hexadecimal digits run together; both kinds make "
            "one list"),
};

static const struct pel_row signature_rows[] = {
    ROW("ClientECurves", GROUPS, SLOT(CLIENT_CURVES), .default_value = "0029 0023 0024 0025",
        .help = "groups that a client offers, by preference, codes of 4 decimal digits, or Any"),
    ROW("ClientKeyShareGroups", GROUPS, SLOT(CLIENT_SHARES),
        .help =
            "groups of ClientECurves, two at most, for which a client of TLS 1.3 sends a key share at once; "
            "uncoded: its first"),
    ROW("ServerKeyShareGroups", GROUPS, SLOT(SERVER_SHARES), .default_value = "0029 0023 0024 0025",
        .help =
            "groups that a server takes in TLS 1.3, by preference, or Any; ServerKexECurves is not for it"),
    ROW("ServerKexECurves", GROUPS, SLOT(SERVER_CURVES), .default_value = "0029 0023 0024 0025",
        .help = "groups that a server takes up to TLS 1.2, by preference, or Any; those of TLS 1.3 are "
                "ServerKeyShareGroups"),
    ROW("SignaturePairs", SIGNATURES, SLOT(SIGNATURES),
        .help =
            "signatures of TLS 1.2 and 1.3 by preference, codes of 4 hexadecimal digits, or Any; uncoded: "
            "ECDSA, RSA-PSS and RSA with SHA-256 to SHA-512, SHA-1 last"),
    ROW("SignaturePairsCert", SIGNATURES, SLOT(CERT_SIGNATURES),
        .help = "signatures that the certificates of the peer's chain may have; uncoded: those of "
                "SignaturePairs"),
};

static const struct pel_row ip_addr_rows[] = {
    ROW("Addr", ADDR, SLOT(ADDR_ITEM), .flags = PEL_ROW_REQUIRED, .help = "an address"),
};
static const struct pel_row ip_addr_set_rows[] = {
    ROW("Prefix", PREFIX, SLOT(ADDR_ITEM), .flags = PEL_ROW_REQUIRED,
        .help = "all addresses that begin with the first LENGTH bits of ADDRESS"),
    ROW("Range", RANGE, SLOT(ADDR_ITEM), .flags = PEL_ROW_REQUIRED,
        .help = "all addresses from the first to the last"),
};

#define ITEMS (PEL_ROW_REPEAT | PEL_ROW_REQUIRED)

static const struct pel_row ip_addr_group_rows[] = {
    BLOCK_OR_REF("IpAddr", IP_ADDR, ADDR_ITEM, ITEMS, "one address of the group"),
    BLOCK_OR_REF("IpAddrSet", IP_ADDR_SET, ADDR_ITEM, ITEMS, "a prefix or range of the group"),
};
static const struct pel_row port_range_rows[] = {
    ROW("Port", PORTS, SLOT(PORT_ITEM), .flags = PEL_ROW_REQUIRED,
        .help = "a port, or the lowest and highest"),
};
static const struct pel_row port_group_rows[] = {
    BLOCK_OR_REF("PortRange", PORT_RANGE, PORT_ITEM, ITEMS, "ports of the group"),
};
static const struct pel_row ip_time_rows[] = {
    ROW("DayOfMonthMask", MASK, SLOT(TIME_DAYS), .min = 31, .max = 62,
        .default_value = "1111111111111111111111111111111",
        .help = "31 digits 0 or 1, the first day first; 31 more count from the last day"),
    ROW("MonthOfYearMask", MASK, SLOT(TIME_MONTHS), .min = 12, .max = 12, .default_value = "111111111111",
        .help = "12 digits 0 or 1, January first"),
    ROW("DayOfWeekMask", MASK, SLOT(TIME_WEEKDAYS), .min = 7, .max = 7, .default_value = "1111111",
        .help = "7 digits 0 or 1, Sunday first"),
    ROW("TimeOfDayRange", HOURS, SLOT(TIME_OF_DAY), .default_value = "00:00-24:00",
        .help = "hh:mm-hh:mm, several with commas; 22:00-06:00 is 22:00-24:00 and 00:00-06:00 of each day"),
    ROW("ConditionTimeRange", SPAN, SLOT(TIME_SPAN),
        .help = "yyyymmddhhmmss:yyyymmddhhmmss, the first and last second; uncoded: none"),
    ROW("TimezoneOffset", OFFSET, SLOT(TIME_OFFSET),
        .help = "+hh:mm or -hh:mm: the zone of these times, from UTC and without daylight saving"),
    ENUM("TimeZone", zones, "Local", SLOT(TIME_ZONE),
         .help = "the zone of these times: the machine's, or UTC"),
};

static const struct pel_statement_schema
    skipped = {.name = ""},
    rule = STATEMENT("TTLSRule", rule_rows, .help = "which connections, and what is done with them"),
    group = STATEMENT("TTLSGroupAction", group_rows, .help = "whether connections get TLS"),
    env = STATEMENT("TTLSEnvironmentAction", env_rows, .help = "how TLS is spoken, and with which keys"),
    conn = STATEMENT("TTLSConnectionAction", conn_rows,
                     .help = "values that go before those of the environment"),
    group_adv =
        STATEMENT("TTLSGroupAdvancedParms", group_adv_rows, .help = "less usual parameters of a group"),
    keyring = STATEMENT("TTLSKeyringParms", keyring_rows,
                        .help = "where keys, certificates and trusted authorities are"),
    ciphers = STATEMENT("TTLSCipherParms", cipher_rows, .help = "cipher suites in the order of preference"),
    signature = STATEMENT("TTLSSignatureParms", signature_rows, .help = "groups and signature algorithms"),
    ip_addr = STATEMENT("IpAddr", ip_addr_rows, .help = "one address"),
    ip_addr_set = STATEMENT("IpAddrSet", ip_addr_set_rows, .help = "one prefix or one range"),
    ip_addr_group =
        STATEMENT("IpAddrGroup", ip_addr_group_rows, .help = "any number of addresses, prefixes and ranges"),
    port_range = STATEMENT("PortRange", port_range_rows, .help = "one range of ports"),
    port_group = STATEMENT("PortGroup", port_group_rows, .help = "any number of ranges of ports"),
    ip_time = STATEMENT("IpTimeCondition", ip_time_rows, .help = "when a rule holds");

static const struct pel_statement_schema *const statements[PEL_S_NR] = {
    [PEL_S_SKIPPED] = &skipped,
    [PEL_S_RULE] = &rule,
    [PEL_S_GROUP_ACTION] = &group,
    [PEL_S_ENV_ACTION] = &env,
    [PEL_S_CONN_ACTION] = &conn,
    [PEL_S_GROUP_ADV] = &group_adv,
    [PEL_S_ENV_ADV] = &pel_statement_env_adv,
    [PEL_S_CONN_ADV] = &pel_statement_conn_adv,
    [PEL_S_KEYRING] = &keyring,
    [PEL_S_CIPHERS] = &ciphers,
    [PEL_S_SIGNATURE] = &signature,
    [PEL_S_GSK_ADV] = &pel_statement_gsk_adv,
    [PEL_S_GSK_LDAP] = &pel_statement_gsk_ldap,
    [PEL_S_GSK_OCSP] = &pel_statement_gsk_ocsp,
    [PEL_S_GSK_CDP] = &pel_statement_gsk_cdp,
    [PEL_S_IP_ADDR] = &ip_addr,
    [PEL_S_IP_ADDR_SET] = &ip_addr_set,
    [PEL_S_IP_ADDR_GROUP] = &ip_addr_group,
    [PEL_S_PORT_RANGE] = &port_range,
    [PEL_S_PORT_GROUP] = &port_group,
    [PEL_S_IP_TIME] = &ip_time,
};

static bool is_word(const char *name, size_t name_len, const char *word, size_t word_len)
{
    return name_len == word_len && strncasecmp(name, word, word_len) == 0;
}

const struct pel_statement_schema *pel_schema(enum pel_stmt_type type)
{
    return statements[type];
}

enum pel_stmt_type pel_schema_find(const char *word, size_t word_len)
{
    for (int type = PEL_S_RULE; type < PEL_S_NR; type++) {
        if (is_word(statements[type]->name, statements[type]->name_len, word, word_len))
            return (enum pel_stmt_type)type;
    }
    return PEL_S_SKIPPED;
}

const struct pel_row *pel_schema_row(enum pel_stmt_type type, const char *word, size_t word_len)
{
    const struct pel_statement_schema *schema = statements[type];
    for (size_t i = 0; i < schema->num_rows; i++) {
        if (is_word(schema->rows[i].name, schema->rows[i].name_len, word, word_len))
            return &schema->rows[i];
    }
    return NULL;
}

const char *pel_schema_nearest(enum pel_stmt_type type, const char *word)
{
    const char *names[64]; /* more than any statement has */
    size_t num = 0;
    if (type == PEL_S_SKIPPED) {
        for (int t = PEL_S_RULE; t < PEL_S_NR; t++)
            names[num++] = statements[t]->name;
    } else {
        for (size_t i = 0; i < statements[type]->num_rows && num < 64; i++)
            names[num++] = statements[type]->rows[i].name;
    }
    return pel_text_nearest(word, names, num);
}

const char *pel_schema_no_effect(enum pel_stmt_type type, const struct pel_row *row)
{
    if (row->no_effect != NULL)
        return row->no_effect;
    bool names_statement = row->type == PEL_V_REF || row->type == PEL_V_BLOCK;
    return statements[names_statement ? row->target : type]->no_effect;
}

const struct pel_value_remark *pel_schema_remark(const struct pel_row *row, uint32_t value)
{
    const struct pel_value_remark *remark = row->type == PEL_V_ENUM ? row->remarks : NULL;
    while (remark != NULL && remark->text != NULL && remark->value != value)
        remark++;
    return remark != NULL && remark->text != NULL ? remark : NULL;
}

size_t pel_schema_places(const char *word, size_t word_len, char *text, size_t cap)
{
    enum pel_stmt_type found[PEL_S_NR];
    size_t num = 0, used = 0;
    for (int type = PEL_S_RULE; type < PEL_S_NR; type++) {
        if (pel_schema_row((enum pel_stmt_type)type, word, word_len) != NULL)
            found[num++] = (enum pel_stmt_type)type;
    }
    text[0] = '\0';
    for (size_t i = 0; i < num && used < cap; i++) {
        const char *separator = i == 0 ? "" : i + 1 == num ? " or " : ", ";
        int len = snprintf(text + used, cap - used, "%s%s", separator, statements[found[i]]->name);
        used += (size_t)len;
    }
    return num;
}
