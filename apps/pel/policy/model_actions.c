/* SPDX-License-Identifier: Apache-2.0 */
/* The actions that a rule refers to, from its security level, its traffic descriptor and its connectivity
 * rule. */
#include "apps/pel/policy/model_text.h"

#include <string.h>

static struct yaml_place level_key(const struct build *build, const struct part *part, const char *key)
{
    return part->level != NULL ? yaml_find(&build->file->yaml, "%s.%s", part->level_path, key)
                               : part->level_at;
}

static struct yaml_place rule_key(const struct build *build, const struct part *part, const char *key)
{
    return yaml_find(&build->file->yaml, "%s.%s", part->path, key);
}

static struct yaml_place traffic_key(const struct build *build, const struct part *part, const char *key)
{
    return yaml_find(&build->file->yaml, "%s.%s", part->traffic_path, key);
}

static void put_list(struct build *build, const struct part *part, struct section *to, int indent,
                     const char *key, char **lines, unsigned num)
{
    const struct line_list list = {part->level_path, key, lines, num};
    model_put_lines(build, to, indent, &list);
}

bool model_is_clear(const struct part *part)
{
    return part->predefined != NULL ? part->predefined->is_clear : model_flag(part->level->clear) > 0;
}

static const char *share_group(struct build *build, const struct part *part)
{
    static const struct model_level none;
    const struct model_level *level = part->level != NULL ? part->level : &none;
    bool own = level->num_group + level->num_group_advanced > 0 || level->fips140 != NULL;
    struct section body;
    char comment[200];
    if (!model_begin(build, &body))
        return "";
    model_put(build, &body, part->level_at, "  TTLSEnabled %s\n", model_is_clear(part) ? "Off" : "On");
    if (part->rule->trace != NULL)
        model_put(build, &body, rule_key(build, part, "trace"), "  Trace %u\n", *part->rule->trace);
    if (level->fips140 != NULL)
        model_put(build, &body, level_key(build, part, "fips140"), "  FIPS140 %s\n", level->fips140);
    put_list(build, part, &body, 2, "group", level->group, level->num_group);
    if (level->num_group_advanced > 0) {
        model_put(build, &body, part->level_at, "  TTLSGroupAdvancedParms\n  {\n");
        put_list(build, part, &body, 4, "group_advanced", level->group_advanced, level->num_group_advanced);
        model_put(build, &body, part->level_at, "  }\n");
    }
    snprintf(comment, sizeof comment, "%s%s%s.",
             own                    ? "Security level \""
             : model_is_clear(part) ? "In clear"
                                    : "TLS",
             own ? part->level_name : "", own ? "\"" : "");
    return model_share(build, "TTLSGroupAction",
                       own                    ? part->level_name
                       : model_is_clear(part) ? "clear"
                                              : "tls",
                       comment, part->level_at, &body);
}

static void put_ciphers(struct build *build, const struct part *part, struct section *to)
{
    const char *const *names = part->predefined != NULL ? part->predefined->ciphers : NULL;
    const struct model_level *level = part->level;
    struct section body;
    char comment[200];
    if ((names == NULL && (level == NULL || level->num_ciphers == 0)) || !model_begin(build, &body))
        return;
    for (size_t i = 0; names != NULL && names[i] != NULL; i++)
        model_put(build, &body, part->level_at, "  V3CipherSuites4Char %s\n", names[i]);
    for (unsigned i = 0; level != NULL && i < level->num_ciphers; i++)
        model_put(build, &body, yaml_find(&build->file->yaml, "%s.ciphers.%u", part->level_path, i),
                  "  V3CipherSuites4Char %s\n", level->ciphers[i]);
    snprintf(comment, sizeof comment, "Security level \"%s\".", part->level_name);
    model_put(build, to, part->level_at, "  TTLSCipherParmsRef %s\n",
              model_share(build, "TTLSCipherParms", part->level_name, comment, part->level_at, &body));
}

/* One of a level's lists as a statement of its own, with those that stand in it. */
struct block {
    const char *kind, *key;
    char **lines;
    unsigned num;
};

static void put_block(struct build *build, const struct part *part, struct section *to,
                      const struct block *block, const struct block *inner, size_t num_inner)
{
    struct section body;
    char comment[200];
    unsigned num = block->num;
    for (size_t i = 0; i < num_inner; i++)
        num += inner[i].num;
    if (num == 0 || !model_begin(build, &body))
        return;
    put_list(build, part, &body, 2, block->key, block->lines, block->num);
    for (size_t i = 0; i < num_inner; i++) {
        if (inner[i].num == 0)
            continue;
        model_put(build, &body, part->level_at, "  %s\n  {\n", inner[i].kind);
        put_list(build, part, &body, 4, inner[i].key, inner[i].lines, inner[i].num);
        model_put(build, &body, part->level_at, "  }\n");
    }
    snprintf(comment, sizeof comment, "Security level \"%s\".", part->level_name);
    model_put(build, to, part->level_at, "  %sRef %s\n", block->kind,
              model_share(build, block->kind, part->level_name, comment, part->level_at, &body));
}

static void put_blocks(struct build *build, const struct part *part, struct section *to)
{
    const struct model_level *level = part->level;
    if (level == NULL)
        return;
    struct block signature = {"TTLSSignatureParms", "signature", level->signature, level->num_signature};
    struct block gsk = {"TTLSGskAdvancedParms", "gsk", level->gsk, level->num_gsk};
    struct block inner[] = {{"TTLSGskLdapParms", "ldap", level->ldap, level->num_ldap},
                            {"TTLSGskOcspParms", "ocsp", level->ocsp, level->num_ocsp},
                            {"TTLSGskHttpCdpParms", "http_cdp", level->http_cdp, level->num_http_cdp}};
    put_block(build, part, to, &signature, NULL, 0);
    put_block(build, part, to, &gsk, inner, sizeof inner / sizeof *inner);
}

/* What the rule says of its keyring, or else what the stack says. */
static struct model_keyring keyring_of(const struct build *build, const struct model_rule *rule)
{
    const struct model_stack *stack = build->stack;
    if (rule->keyring != NULL)
        return (struct model_keyring){rule->keyring, rule->keyring_password, rule->keyring_stash_file};
    return (struct model_keyring){stack->keyring, stack->keyring_password, stack->keyring_stash_file};
}

static void put_keyring(struct build *build, const struct part *part, struct section *to)
{
    struct model_keyring keyring = keyring_of(build, part->rule);
    if (keyring.keyring == NULL) {
        yaml_say(build->report, YAML_ERROR, part->at,
                 "connectivity rule \"%s\" has no keyring: write keyring for it, or for the stack",
                 part->rule->name);
        return;
    }
    model_put(build, to, part->at, "  TTLSKeyringParms\n  {\n    Keyring %s\n", keyring.keyring);
    if (keyring.keyring_password != NULL)
        model_put(build, to, part->at, "    KeyringPw %s\n", keyring.keyring_password);
    if (keyring.keyring_stash_file != NULL)
        model_put(build, to, part->at, "    KeyringStashFile %s\n", keyring.keyring_stash_file);
    model_put(build, to, part->at, "  }\n");
}

static bool is_on(const char *value, const struct app *app, unsigned flag)
{
    return value != NULL ? model_flag(value) > 0 : app != NULL && (app->flags & flag) != 0;
}

static void put_versions(struct build *build, const struct part *part, struct section *to)
{
    static const char *const usual[] = {"1.2", "1.3", NULL};
    const char *versions[5] = {NULL};
    const char *const *all = part->predefined != NULL ? part->predefined->versions : usual;
    for (unsigned i = 0; part->level != NULL && i < part->level->num_versions && i < 4; i++) {
        versions[i] = part->level->versions[i];
        all = versions;
    }
    struct policy_out lines;
    if (policy_out_begin(&lines))
        policy_out_versions(lines.stream, 4, all);
    if (policy_out_end(&lines))
        model_put(build, to, level_key(build, part, "versions"), "%s", lines.text);
    else
        build->no_memory = true;
    policy_out_free(&lines);
}

static void put_advanced(struct build *build, const struct part *part, struct section *to)
{
    const struct model_traffic *traffic = part->traffic;
    const struct model_rule *rule = part->rule;
    model_put(build, to, part->level_at, "  TTLSEnvironmentAdvancedParms\n  {\n");
    put_versions(build, part, to);
    if (part->level != NULL && part->level->client_authentication != NULL)
        model_put(build, to, level_key(build, part, "client_authentication"), "    ClientAuthType %s\n",
                  part->level->client_authentication);
    if (is_on(traffic->application_controlled, part->app, APP_ASKS))
        model_put(build, to, traffic_key(build, part, "application_controlled"),
                  "    ApplicationControlled On\n");
    if (is_on(traffic->secondary_map, part->app, APP_SECONDARY))
        model_put(build, to, traffic_key(build, part, "secondary_map"), "    SecondaryMap On\n");
    if (traffic->handshake_timeout_s != NULL)
        model_put(build, to, traffic_key(build, part, "handshake_timeout_s"), "    HandshakeTimeout %u\n",
                  *traffic->handshake_timeout_s);
    if (rule->certificate_label != NULL)
        model_put(build, to, rule_key(build, part, "certificate_label"),
                  rule->certificate_label[0] != '\0' ? "    CertificateLabel %s\n"
                                                     : "    CertificateLabel%s\n",
                  rule->certificate_label);
    for (unsigned i = 0; i < rule->num_server_certificate_labels; i++)
        model_put(build, to, part->at, "    ServerCertificateLabel %s\n", rule->server_certificate_labels[i]);
    if (rule->server_name != NULL)
        model_put(build, to, rule_key(build, part, "server_name"), "    HostReferenceIdDNS %s\n",
                  rule->server_name);
    if (part->level != NULL)
        put_list(build, part, to, 4, "advanced", part->level->advanced, part->level->num_advanced);
    model_put(build, to, part->level_at, "  }\n");
}

static const char *share_environment(struct build *build, const struct part *part)
{
    static const char *const roles[] = {"Client", "Server", "ServerWithClientAuth"};
    static const char *const short_roles[] = {"Client", "Server", "Mutual"};
    const struct model_level *level = part->level;
    struct section body;
    char stem[200], comment[300];
    if (!model_begin(build, &body))
        return "";
    model_put(build, &body, part->traffic_at, "  HandshakeRole %s\n", roles[part->role]);
    put_keyring(build, part, &body);
    if (level != NULL && level->suite_b != NULL)
        model_put(build, &body, level_key(build, part, "suite_b"), "  SuiteBProfile %s\n", level->suite_b);
    put_ciphers(build, part, &body);
    put_blocks(build, part, &body);
    put_advanced(build, part, &body);
    if (level != NULL)
        put_list(build, part, &body, 2, "environment", level->environment, level->num_environment);
    snprintf(stem, sizeof stem, "%s~%s", part->level_name, short_roles[part->role]);
    snprintf(comment, sizeof comment, "Security level \"%s\", role %s.", part->level_name, roles[part->role]);
    return model_share(build, "TTLSEnvironmentAction", stem, comment, part->level_at, &body);
}

static void put_connection_action(struct build *build, const struct part *part)
{
    const struct model_level *level = part->level;
    struct section body;
    char comment[200];
    if (level == NULL || level->num_connection == 0 || !model_begin(build, &body))
        return;
    put_list(build, part, &body, 2, "connection", level->connection, level->num_connection);
    snprintf(comment, sizeof comment, "Security level \"%s\".", part->level_name);
    model_put(build, &build->rules, part->level_at, "  TTLSConnectionActionRef %s\n",
              model_share(build, "TTLSConnectionAction", part->level_name, comment, part->level_at, &body));
}

void model_put_time(struct build *build, const struct part *part)
{
    int index = part->rule->time != NULL ? model_find(build->file, MODEL_TIME, part->rule->time) : -1;
    char mask[] = "0000000", comment[200], path[40];
    struct section body;
    if (index < 0 || !model_begin(build, &body))
        return;
    const struct model_time *time = &build->file->model->time_conditions[index];
    struct yaml_place at = yaml_find(&build->file->yaml, "time_conditions.%d", index);
    for (unsigned i = 0; i < time->num_days; i++)
        mask[model_day(time->days[i])] = '1';
    if (time->num_days > 0)
        model_put(build, &body, at, "  DayOfWeekMask %s\n", mask);
    for (unsigned i = 0; i < time->num_hours; i++)
        model_put(build, &body, at, "%s%s%s", i == 0 ? "  TimeOfDayRange " : ",", time->hours[i],
                  i + 1 == time->num_hours ? "\n" : "");
    snprintf(path, sizeof path, "time_conditions.%d", index);
    model_put_lines(build, &body, 2, &(struct line_list){path, "lines", time->lines, time->num_lines});
    snprintf(comment, sizeof comment, "Time condition \"%s\".", time->name);
    model_put(build, &build->rules, part->at, "  IpTimeConditionRef %s\n",
              model_share(build, "IpTimeCondition", time->name, comment, at, &body));
}

void model_put_actions(struct build *build, const struct part *part)
{
    model_put(build, &build->rules, part->at, "  TTLSGroupActionRef %s\n", share_group(build, part));
    if (model_is_clear(part))
        return;
    model_put(build, &build->rules, part->at, "  TTLSEnvironmentActionRef %s\n",
              share_environment(build, part));
    put_connection_action(build, part);
}
