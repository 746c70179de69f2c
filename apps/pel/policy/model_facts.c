/* SPDX-License-Identifier: Apache-2.0 */
/* What a rule comes to, sorted into what a model has a place for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/pel/policy/model_import.h"

struct reading {
    struct facts *facts;
    struct yaml_report *report;
    bool no_memory;
};

static bool add_text(struct texts *texts, const char *text, size_t len)
{
    char **more = realloc(texts->items, (texts->num + 1) * sizeof *more);
    char *copy = strndup(text, len);
    if (more != NULL)
        texts->items = more;
    if (more == NULL || copy == NULL) {
        free(copy);
        return false;
    }
    texts->items[texts->num++] = copy;
    return true;
}

/* One text a line of the value. */
static void add_values(struct reading *reading, struct texts *texts, const char *value)
{
    for (;;) {
        size_t len = strcspn(value, "\n");
        reading->no_memory |= !add_text(texts, value, len);
        if (value[len] == '\0')
            return;
        value += len + 1;
    }
}

/* The same with the parameter before each. */
static void add_lines(struct reading *reading, struct texts *texts, const struct pel_policy_setting *setting)
{
    const char *value = setting->value;
    for (;;) {
        char *line = NULL;
        int len = (int)strcspn(value, "\n");
        if (asprintf(&line, "%s%s%.*s", setting->name, len > 0 ? " " : "", len, value) < 0) {
            reading->no_memory = true;
            return;
        }
        reading->no_memory |= !add_text(texts, line, strlen(line));
        free(line);
        if (value[len] == '\0')
            return;
        value += len + 1;
    }
}

static void keep(struct reading *reading, char **to, const char *text)
{
    free(*to);
    *to = strdup(text);
    reading->no_memory |= *to == NULL;
}

/* IpAddrGroup "x" is a group of that name; other statements are none. */
static void keep_name(struct reading *reading, char **to, const char *from, const char *kind)
{
    size_t kind_len = strlen(kind), len = strlen(from);
    if (len < kind_len + 4 || strncmp(from, kind, kind_len) != 0 || from[kind_len] != ' ')
        return;
    free(*to);
    *to = strndup(from + kind_len + 2, len - kind_len - 3);
    reading->no_memory |= *to == NULL;
}

/* Parameters that a model has a key for. */
static char **place_of(struct facts *facts, const char *name)
{
    const struct {
        const char *name;
        char **place;
    } places[] = {
        {"Direction", &facts->direction},
        {"Jobname", &facts->job},
        {"Userid", &facts->user},
        {"DayOfWeekMask", &facts->time_mask},
        {"TimeOfDayRange", &facts->time_hours},
        {"HandshakeRole", &facts->role},
        {"Keyring", &facts->keyring},
        {"KeyringPw", &facts->keyring_password},
        {"KeyringStashFile", &facts->keyring_stash_file},
        {"CertificateLabel", &facts->certificate_label},
        {"HostReferenceIdDNS", &facts->server_name},
        {"ClientAuthType", &facts->client_authentication},
        {"FIPS140", &facts->fips140},
        {"SuiteBProfile", &facts->suite_b},
        {"Trace", &facts->trace},
        {"ApplicationControlled", &facts->application_controlled},
        {"SecondaryMap", &facts->secondary_map},
        {"HandshakeTimeout", &facts->timeout},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (strcmp(places[i].name, name) == 0)
            return places[i].place;
    }
    return NULL;
}

/* Where other lines of a statement go, by its keyword. */
static struct texts *list_of(struct facts *facts, const char *statement)
{
    static const struct {
        const char *statement;
        enum fact_list list;
    } lists[] = {
        {"TTLSGroupAction", LIST_GROUP},
        {"TTLSGroupAdvancedParms", LIST_GROUP_ADVANCED},
        {"TTLSEnvironmentAction", LIST_ENVIRONMENT},
        {"TTLSConnectionAction", LIST_CONNECTION},
        {"TTLSEnvironmentAdvancedParms", LIST_ADVANCED},
        {"TTLSConnectionAdvancedParms", LIST_ADVANCED},
        {"TTLSSignatureParms", LIST_SIGNATURE},
        {"TTLSGskAdvancedParms", LIST_GSK},
        {"TTLSGskLdapParms", LIST_LDAP},
        {"TTLSGskOcspParms", LIST_OCSP},
        {"TTLSGskHttpCdpParms", LIST_HTTP_CDP},
        {"IpTimeCondition", LIST_TIME},
    };
    size_t len = strcspn(statement, " ");
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (strlen(lists[i].statement) == len && strncmp(lists[i].statement, statement, len) == 0)
            return &facts->lists[lists[i].list];
    }
    return NULL;
}

/* Conditions and lists that have a place, and versions, of which the default counts too. */
static bool take_special(struct reading *reading, const struct pel_policy_setting *setting)
{
    static const char *const versions[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    struct facts *facts = reading->facts;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        if (strcmp(setting->name, versions[i]) == 0) {
            facts->versions[i] = setting->value != NULL && strcmp(setting->value, "On") == 0;
            return true;
        }
    }
    const struct {
        const char *name;
        struct texts *texts;
        char **group;
    } lists[] = {
        {"LocalAddr", &facts->local, &facts->local_group},
        {"RemoteAddr", &facts->remote, &facts->remote_group},
        {"LocalPortRange", &facts->local_ports, NULL},
        {"RemotePortRange", &facts->remote_ports, NULL},
        {"V3CipherSuites4Char", &facts->ciphers, NULL},
        {"ServerCertificateLabel", &facts->server_labels, NULL},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (strcmp(setting->name, lists[i].name) != 0)
            continue;
        if (strcmp(setting->from, "default") == 0 || setting->value == NULL)
            return true;
        add_values(reading, lists[i].texts, setting->value);
        if (lists[i].group != NULL)
            keep_name(reading, lists[i].group, setting->from, "IpAddrGroup");
        return true;
    }
    return strcmp(setting->name, "TTLSEnabled") == 0 || strcmp(setting->name, "Priority") == 0;
}

bool facts_is_nothing(const char *name)
{
    return strcmp(name, "V2CipherSuites") == 0;
}

static void take_setting(void *arg, const struct pel_policy_setting *setting)
{
    struct reading *reading = arg;
    struct facts *facts = reading->facts;
    if (take_special(reading, setting) || facts_is_nothing(setting->name) ||
        strcmp(setting->from, "default") == 0 || setting->value == NULL)
        return;
    facts->has_secret |= setting->is_secret != 0;
    if (strcmp(setting->statement, "IpTimeCondition") == 0)
        keep_name(reading, &facts->time_name, setting->from, "IpTimeCondition");
    char **place = place_of(facts, setting->name);
    struct texts *list = list_of(facts, setting->from);
    if (place != NULL)
        keep(reading, place, setting->value);
    else if (list != NULL)
        add_lines(reading, list, setting);
    else
        yaml_say(reading->report, YAML_ERROR, (struct yaml_place){setting->line, 1},
                 "TTLSRule \"%s\": a model has no place for %s of %s", facts->info.name, setting->name,
                 setting->statement);
}

bool facts_read(const struct pel_policy *policy, size_t index, struct yaml_report *report,
                struct facts *ret_facts)
{
    struct reading reading = {ret_facts, report, false};
    *ret_facts = (struct facts){0};
    enum pel_err err = pel_policy_describe(policy, index, &ret_facts->info);
    ret_facts->is_clear = ret_facts->info.verdict == PEL_POLICY_VERDICT_CLEAR;
    if (err == PEL_OK)
        err = pel_policy_settings(
            policy, index, PEL_POLICY_SETTINGS_ALL | PEL_POLICY_SETTINGS_SECRETS | PEL_POLICY_SETTINGS_CODED,
            take_setting, &reading);
    if (err != PEL_OK || reading.no_memory)
        yaml_say(report, YAML_ERROR, (struct yaml_place){0}, "%s",
                 pel_err_text(err != PEL_OK ? err : PEL_E_NO_MEMORY));
    return report->num_errors == 0;
}

static void free_texts(struct texts *texts)
{
    for (size_t i = 0; i < texts->num; i++)
        free(texts->items[i]);
    free(texts->items);
}

void facts_free(struct facts *facts)
{
    char *all[] = {facts->local_group,
                   facts->remote_group,
                   facts->time_name,
                   facts->direction,
                   facts->role,
                   facts->job,
                   facts->user,
                   facts->time_mask,
                   facts->time_hours,
                   facts->keyring,
                   facts->keyring_password,
                   facts->keyring_stash_file,
                   facts->certificate_label,
                   facts->server_name,
                   facts->client_authentication,
                   facts->fips140,
                   facts->suite_b,
                   facts->trace,
                   facts->application_controlled,
                   facts->secondary_map,
                   facts->timeout,
                   facts->hint.rule,
                   facts->hint.map,
                   facts->hint.traffic,
                   facts->hint.level};
    struct texts *lists[] = {&facts->local,        &facts->remote,  &facts->local_ports,
                             &facts->remote_ports, &facts->ciphers, &facts->server_labels};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        free_texts(lists[i]);
    for (size_t i = 0; i < NUM_LISTS; i++)
        free_texts(&facts->lists[i]);
    *facts = (struct facts){0};
}
