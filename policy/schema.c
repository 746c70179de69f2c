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
static const char *const suite_b[] = {"Off", "128", "128Min", "192", "192Min", "All", NULL};
static const char *const facilities[] = {"Daemon", "Auth", NULL};
static const char *const zones[] = {"Local", "UTC", NULL};

static const struct pel_row rule_rows[] = {
    ROW("LocalAddr", ADDRSPEC, SLOT(LOCAL_ADDR), .default_value = "All"),
    ROW("RemoteAddr", ADDRSPEC, SLOT(REMOTE_ADDR), .default_value = "All"),
    REF("LocalAddrRef", IP_ADDR, SLOT(LOCAL_ADDR)),
    REF("RemoteAddrRef", IP_ADDR, SLOT(REMOTE_ADDR)),
    REF("LocalAddrSetRef", IP_ADDR_SET, SLOT(LOCAL_ADDR)),
    REF("RemoteAddrSetRef", IP_ADDR_SET, SLOT(REMOTE_ADDR)),
    REF("LocalAddrGroupRef", IP_ADDR_GROUP, SLOT(LOCAL_ADDR)),
    REF("RemoteAddrGroupRef", IP_ADDR_GROUP, SLOT(REMOTE_ADDR)),
    ROW("LocalPortRange", PORTS, SLOT(LOCAL_PORT), .default_value = "0"),
    ROW("RemotePortRange", PORTS, SLOT(REMOTE_PORT), .default_value = "0"),
    REF("LocalPortRangeRef", PORT_RANGE, SLOT(LOCAL_PORT)),
    REF("RemotePortRangeRef", PORT_RANGE, SLOT(REMOTE_PORT)),
    REF("LocalPortGroupRef", PORT_GROUP, SLOT(LOCAL_PORT)),
    REF("RemotePortGroupRef", PORT_GROUP, SLOT(REMOTE_PORT)),
    ROW("Jobname", PATTERN, SLOT(JOB), .max = 32, .help = "the program's name; * at the end: any rest"),
    ROW("Userid", PATTERN, SLOT(USER), .max = 32,
        .help = "the socket owner's user name; * at the end: any rest"),
    ENUM("Direction", directions, NULL, SLOT(DIRECTION), .flags = PEL_ROW_REQUIRED),
    UINT("Priority", 1, 2000000000, "1", SLOT(PRIORITY), .help = "the higher is tried first; then by name"),
    BLOCK_OR_REF("IpTimeCondition", IP_TIME, TIME, PEL_ROW_NOT_YET),
    BLOCK_OR_REF("TTLSGroupAction", GROUP_ACTION, GROUP_ACTION, PEL_ROW_REQUIRED),
    BLOCK_OR_REF("TTLSEnvironmentAction", ENV_ACTION, ENV_ACTION, 0),
    BLOCK_OR_REF("TTLSConnectionAction", CONN_ACTION, CONN_ACTION, 0),
};

static const struct pel_row group_rows[] = {
    ONOFF("TTLSEnabled", NULL, SLOT(ENABLED), .flags = PEL_ROW_REQUIRED, .help = "Off: clear on purpose"),
    ONOFF("CtraceClearText", "Off", NOT_YET),
    UINT("Trace", 0, 255, "2", SLOT(TRACE), .help = "sum of 1 2 4 8 16 32"),
    ENUM("FIPS140", fips, "Off", NOT_YET),
    UINT("GroupUserInstance", 0, 65535, "0", NOT_YET),
    BLOCK_OR_REF("TTLSGroupAdvancedParms", GROUP_ADV, ADVANCED, 0),
};

static const struct pel_row group_adv_rows[] = {
    ENUM("SyslogFacility", facilities, "Daemon", NOT_YET),
    ROW("Envfile", WORD, .max = 1023, NOT_YET),
    ONOFF("SecondaryMap", "Off", SLOT(SECONDARY_MAP),
          .help = "later connections of the process to the same address follow this one's rule"),
};

static const struct pel_row env_rows[] = {
    ENUM("HandshakeRole", roles, NULL, SLOT(ROLE), .flags = PEL_ROW_REQUIRED),
    BLOCK_OR_REF("TTLSKeyringParms", KEYRING, KEYRING_PARMS, PEL_ROW_REQUIRED),
    ENUM("SuiteBProfile", suite_b, "Off", NOT_YET),
    BLOCK_OR_REF("TTLSCipherParms", CIPHERS, CIPHER_PARMS, 0),
    BLOCK_OR_REF("TTLSSignatureParms", SIGNATURE, SIGNATURE_PARMS, 0),
    ONOFF("CtraceClearText", "Off", NOT_YET),
    UINT("Trace", 0, 255, "2", SLOT(TRACE)),
    BLOCK_OR_REF("TTLSEnvironmentAdvancedParms", ENV_ADV, ADVANCED, 0),
    BLOCK_OR_REF("TTLSGskAdvancedParms", GSK_ADV, GSK, 0),
    UINT("EnvironmentUserInstance", 0, 65535, "1", NOT_YET),
};

static const struct pel_row conn_rows[] = {
    ENUM("HandshakeRole", roles, NULL, SLOT(ROLE)),
    BLOCK_OR_REF("TTLSCipherParms", CIPHERS, CIPHER_PARMS, 0),
    BLOCK_OR_REF("TTLSSignatureParms", SIGNATURE, SIGNATURE_PARMS, 0),
    ONOFF("CtraceClearText", NULL, NOT_YET),
    UINT("Trace", 0, 255, NULL, SLOT(TRACE)),
    BLOCK_OR_REF("TTLSConnectionAdvancedParms", CONN_ADV, ADVANCED, 0),
    UINT("ConnectionUserInstance", 0, 65535, NULL, NOT_YET),
};

static const struct pel_row keyring_rows[] = {
    ROW("Keyring", WORD, SLOT(KEYRING), .max = 1023, .flags = PEL_ROW_REQUIRED,
        .help = "ring, userid/ring or a path"),
    ROW("KeyringPw", WORD, SLOT(KEYRING_PW), .max = 128, .flags = PEL_ROW_SECRET,
        .help = "the file's password"),
    ROW("KeyringStashFile", WORD, SLOT(KEYRING_STASH), .max = 1023,
        .help = "the file that holds the password"),
};

static const struct pel_row cipher_rows[] = {
    ROW("V2CipherSuites", TEXT, .max = 4096, .flags = PEL_ROW_NOT_YET | PEL_ROW_REPEAT,
        .help = "SSLv2: never spoken"),
    ROW("V3CipherSuites", CIPHERS2, SLOT(CIPHERS), .flags = PEL_ROW_REPEAT),
    ROW("V3CipherSuites4Char", CIPHERS4, SLOT(CIPHERS), .flags = PEL_ROW_REPEAT),
};

static const struct pel_row signature_rows[] = {
    ROW("ClientECurves", GROUPS, SLOT(CLIENT_CURVES), .default_value = "0021 0023 0024 0025 0019"),
    ROW("ClientKeyShareGroups", GROUPS, NOT_YET, .default_value = "0023"),
    ROW("ServerKeyShareGroups", GROUPS, NOT_YET, .default_value = "0023 0024 0025 0029 0030"),
    ROW("ServerKexECurves", GROUPS, SLOT(SERVER_CURVES), .default_value = "0023 0024 0025 0021 0019"),
    ROW("SignaturePairs", TEXT, .max = 4096, NOT_YET),
    ROW("SignaturePairsCert", TEXT, .max = 4096, NOT_YET),
};

static const struct pel_row ip_addr_rows[] = {
    ROW("Addr", ADDR, SLOT(ADDR_ITEM), .flags = PEL_ROW_REQUIRED),
};
static const struct pel_row ip_addr_set_rows[] = {
    ROW("Prefix", PREFIX, SLOT(ADDR_ITEM), .flags = PEL_ROW_REQUIRED, .help = "ADDRESS/LENGTH"),
    ROW("Range", RANGE, SLOT(ADDR_ITEM), .flags = PEL_ROW_REQUIRED, .help = "ADDRESS-ADDRESS"),
};

#define ITEMS (PEL_ROW_REPEAT | PEL_ROW_REQUIRED)

static const struct pel_row ip_addr_group_rows[] = {
    BLOCK_OR_REF("IpAddr", IP_ADDR, ADDR_ITEM, ITEMS),
    BLOCK_OR_REF("IpAddrSet", IP_ADDR_SET, ADDR_ITEM, ITEMS),
};
static const struct pel_row port_range_rows[] = {
    ROW("Port", PORTS, SLOT(PORT_ITEM), .flags = PEL_ROW_REQUIRED),
};
static const struct pel_row port_group_rows[] = {
    BLOCK_OR_REF("PortRange", PORT_RANGE, PORT_ITEM, ITEMS),
};
static const struct pel_row ip_time_rows[] = {
    ROW("DayOfMonthMask", WORD, .max = 62, NOT_YET),
    ROW("MonthOfYearMask", WORD, .max = 12, NOT_YET),
    ROW("DayOfWeekMask", WORD, .max = 7, NOT_YET, .help = "Sunday first"),
    ROW("TimeOfDayRange", TEXT, .max = 1023, NOT_YET, .default_value = "00:00-24:00"),
    ROW("ConditionTimeRange", TEXT, .max = 64, NOT_YET, .help = "yyyymmddhhmmss:yyyymmddhhmmss"),
    ROW("TimezoneOffset", WORD, .max = 16, NOT_YET),
    ENUM("TimeZone", zones, "Local", NOT_YET),
};

static const struct pel_statement_schema skipped = {.name = ""}, rule = STATEMENT("TTLSRule", rule_rows),
                                         group = STATEMENT("TTLSGroupAction", group_rows),
                                         env = STATEMENT("TTLSEnvironmentAction", env_rows),
                                         conn = STATEMENT("TTLSConnectionAction", conn_rows),
                                         group_adv = STATEMENT("TTLSGroupAdvancedParms", group_adv_rows),
                                         keyring = STATEMENT("TTLSKeyringParms", keyring_rows),
                                         ciphers = STATEMENT("TTLSCipherParms", cipher_rows),
                                         signature = STATEMENT("TTLSSignatureParms", signature_rows),
                                         ip_addr = STATEMENT("IpAddr", ip_addr_rows),
                                         ip_addr_set = STATEMENT("IpAddrSet", ip_addr_set_rows),
                                         ip_addr_group = STATEMENT("IpAddrGroup", ip_addr_group_rows),
                                         port_range = STATEMENT("PortRange", port_range_rows),
                                         port_group = STATEMENT("PortGroup", port_group_rows),
                                         ip_time =
                                             STATEMENT("IpTimeCondition", ip_time_rows, .not_yet = true);

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
