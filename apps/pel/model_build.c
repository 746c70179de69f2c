/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/model_build.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apps/pel/apps_table.h"
#include "apps/pel/levels.h"
#include "apps/pel/model_addresses.h"
#include "apps/pel/model_names.h"
#include "apps/pel/policy_out.h"

/* A part of the text, with the origin of each of its lines. */
struct section {
    struct policy_out out;
    struct yaml_place *origins;
    size_t num, cap;
};

struct build {
    struct model_file *file;
    const struct model_stack *stack;
    unsigned stack_number;
    struct yaml_report *report;
    struct model_names names;
    struct section rules, shared;
    bool no_memory;
};

/* What a rule is made of. */
struct part {
    const struct model_rule *rule;
    struct yaml_place at; /* the rule's */
    const struct model_map *map;
    const struct model_traffic *traffic;
    struct yaml_place traffic_at;
    const struct app *app;
    const char *level_name;
    const struct level *predefined; /* or */
    const struct model_level *level;
    struct yaml_place level_at;
    unsigned rank; /* how many rules come behind this one */
    uint32_t priority;
    int role; /* of model_roles */
};

/* ---- lines ---- */

/* Text with newlines may come in pieces; each line's origin is the one that its end was written with. */
static void put(struct build *build, struct section *section, struct yaml_place origin, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

static void note_lines(struct build *build, struct section *section, struct yaml_place origin,
                       const char *text)
{
    for (const char *c = strchr(text, '\n'); c != NULL; c = strchr(c + 1, '\n')) {
        if (section->num == section->cap) {
            size_t cap = section->cap * 2 + 64;
            struct yaml_place *more = realloc(section->origins, cap * sizeof *more);
            build->no_memory |= more == NULL;
            if (more == NULL)
                return;
            section->origins = more;
            section->cap = cap;
        }
        section->origins[section->num++] = origin;
    }
}

static void put(struct build *build, struct section *section, struct yaml_place origin, const char *format,
                ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    build->no_memory |= len < 0;
    if (len < 0)
        return;
    fputs(text, section->out.stream);
    note_lines(build, section, origin, text);
    free(text);
}

static bool begin(struct build *build, struct section *section)
{
    *section = (struct section){0};
    bool fine = policy_out_begin(&section->out);
    build->no_memory |= !fine;
    return fine;
}

static void drop(struct section *section)
{
    policy_out_free(&section->out);
    free(section->origins);
    *section = (struct section){0};
}

static void append(struct build *build, struct section *to, const struct section *from)
{
    fwrite(from->out.text, 1, from->out.len, to->out.stream);
    for (size_t i = 0; i < from->num; i++)
        note_lines(build, to, from->origins[i], "\n");
}

/* ---- shared statements ---- */

/* Ends `body` and writes it as a statement, unless one of its kind and content is there. Returns its name. */
static const char *share(struct build *build, const char *kind, const char *stem, const char *comment,
                         struct yaml_place at, struct section *body)
{
    bool is_new = false;
    const char *name = NULL;
    if (policy_out_end(&body->out))
        name = model_names_share(&build->names, kind, stem, body->out.text, &is_new);
    build->no_memory |= name == NULL;
    if (is_new && name != NULL) {
        put(build, &build->shared, at, "\n# %s\n%s %s\n{\n", comment, kind, name);
        append(build, &build->shared, body);
        put(build, &build->shared, at, "}\n");
    }
    drop(body);
    return name != NULL ? name : "";
}

struct sorted_line {
    const char *text;
    unsigned index;
};

static int compare_lines(const void *a, const void *b)
{
    const struct sorted_line *left = a, *right = b;
    size_t left_len = strcspn(left->text, " \t"), right_len = strcspn(right->text, " \t");
    int order = strncasecmp(left->text, right->text, left_len < right_len ? left_len : right_len);
    if (order == 0 && left_len != right_len)
        order = left_len < right_len ? -1 : 1;
    return order != 0 ? order : left->index < right->index ? -1 : 1;
}

/* By parameter, so that the order in the model makes no difference; those that repeat keep theirs. */
static void put_lines(struct build *build, struct section *section, struct yaml_place at, int indent,
                      char **lines, unsigned num)
{
    struct sorted_line *sorted = calloc(num + 1, sizeof *sorted);
    build->no_memory |= sorted == NULL;
    for (unsigned i = 0; i < num && sorted != NULL; i++)
        sorted[i] = (struct sorted_line){lines[i], i};
    if (sorted != NULL)
        qsort(sorted, num, sizeof *sorted, compare_lines);
    for (unsigned i = 0; i < num && sorted != NULL; i++)
        put(build, section, at, "%*s%s\n", indent, "", sorted[i].text);
    free(sorted);
}

/* ---- addresses and ports ---- */

static const char *share_addresses(struct build *build, unsigned index)
{
    const struct model_address_group *group = &build->file->model->address_groups[index];
    struct yaml_place at = yaml_find(&build->file->yaml, "address_groups.%u", index);
    struct address_range *ranges = calloc(group->num_addresses, sizeof *ranges);
    struct section body;
    char text[ADDRESS_TEXT_MAX], comment[200];
    if (!begin(build, &body) || ranges == NULL) {
        build->no_memory = true;
        free(ranges);
        drop(&body);
        return "";
    }
    for (unsigned i = 0; i < group->num_addresses; i++)
        (void)address_parse(group->addresses[i], &ranges[i]);
    size_t num = addresses_join(ranges, group->num_addresses);
    for (size_t i = 0; i < num; i++) {
        address_print(&ranges[i], text);
        if (strpbrk(text, "/-") == NULL)
            put(build, &body, at, "  IpAddr\n  {\n    Addr %s\n  }\n", text);
        else
            put(build, &body, at, "  IpAddrSet\n  {\n    %s %s\n  }\n",
                strchr(text, '/') != NULL ? "Prefix" : "Range", text);
    }
    free(ranges);
    snprintf(comment, sizeof comment, "Address group \"%s\".", group->name);
    return share(build, "IpAddrGroup", group->name, comment, at, &body);
}

static void put_address(struct build *build, const struct part *part, const char *side, const char *text)
{
    char canonical[ADDRESS_TEXT_MAX];
    struct address_range range;
    if (text == NULL || strcasecmp(text, "All") == 0)
        return;
    if (address_parse(text, &range)) {
        address_print(&range, canonical);
        put(build, &build->rules, part->at, "  %sAddr %s\n", side, canonical);
    } else if (model_is_address(text)) {
        put(build, &build->rules, part->at, "  %sAddr %s\n", side, text);
    } else {
        int group = model_find(build->file, MODEL_ADDRESS_GROUP, text);
        put(build, &build->rules, part->at, "  %sAddrGroupRef %s\n", side,
            group >= 0 ? share_addresses(build, (unsigned)group) : "");
    }
}

static void put_port(struct build *build, struct section *section, struct yaml_place at, const char *before,
                     struct port_range ports)
{
    if (ports.low == ports.high)
        put(build, section, at, "%s %u\n", before, ports.low);
    else
        put(build, section, at, "%s %u-%u\n", before, ports.low, ports.high);
}

static void put_ports(struct build *build, const struct part *part, const char *side,
                      struct port_range *ports, unsigned num)
{
    char text[200];
    struct section body;
    num = (unsigned)ports_join(ports, num);
    snprintf(text, sizeof text, "  %sPortRange", side);
    if (num == 1)
        put_port(build, &build->rules, part->traffic_at, text, ports[0]);
    if (num < 2 || !begin(build, &body))
        return;
    for (unsigned i = 0; i < num; i++) {
        put(build, &body, part->traffic_at, "  PortRange\n  {\n");
        put_port(build, &body, part->traffic_at, "    Port", ports[i]);
        put(build, &body, part->traffic_at, "  }\n");
    }
    snprintf(text, sizeof text, "Ports of traffic descriptor \"%s\".", part->traffic->name);
    put(build, &build->rules, part->traffic_at, "  %sPortGroupRef %s\n", side,
        share(build, "PortGroup", part->traffic->name, text, part->traffic_at, &body));
}

static void put_listed_ports(struct build *build, const struct part *part, const char *side, char **texts,
                             unsigned num)
{
    struct port_range *ports = calloc(num + 1, sizeof *ports);
    build->no_memory |= ports == NULL;
    for (unsigned i = 0; i < num && ports != NULL; i++)
        (void)port_parse(texts[i], &ports[i]);
    if (ports != NULL)
        put_ports(build, part, side, ports, num);
    free(ports);
}

static void put_app_ports(struct build *build, const struct part *part, const char *side)
{
    struct port_range ports[8];
    char one[16];
    unsigned num = 0;
    for (const char *text = part->app->ports; *text != '\0' && num < 8; num++) {
        snprintf(one, sizeof one, "%.*s", (int)strcspn(text, " "), text);
        (void)port_parse(one, &ports[num]);
        text += strlen(one);
        text += strspn(text, " ");
    }
    put_ports(build, part, side, ports, num);
}

/* ---- actions ---- */

static bool is_clear(const struct part *part)
{
    return part->predefined != NULL ? part->predefined->is_clear
                                    : part->level->clear != NULL && *part->level->clear;
}

static const char *share_group(struct build *build, const struct part *part)
{
    static const struct model_level none;
    const struct model_level *level = part->level != NULL ? part->level : &none;
    bool own = level->num_group + level->num_group_advanced > 0 || level->fips140 != NULL;
    struct section body;
    char comment[200];
    if (!begin(build, &body))
        return "";
    put(build, &body, part->level_at, "  TTLSEnabled %s\n", is_clear(part) ? "Off" : "On");
    if (part->rule->trace != NULL)
        put(build, &body, part->at, "  Trace %u\n", *part->rule->trace);
    if (level->fips140 != NULL)
        put(build, &body, part->level_at, "  FIPS140 %s\n", level->fips140);
    put_lines(build, &body, part->level_at, 2, level->group, level->num_group);
    if (level->num_group_advanced > 0) {
        put(build, &body, part->level_at, "  TTLSGroupAdvancedParms\n  {\n");
        put_lines(build, &body, part->level_at, 4, level->group_advanced, level->num_group_advanced);
        put(build, &body, part->level_at, "  }\n");
    }
    snprintf(comment, sizeof comment, "%s%s%s.",
             own              ? "Security level \""
             : is_clear(part) ? "In clear"
                              : "TLS",
             own ? part->level_name : "", own ? "\"" : "");
    return share(build, "TTLSGroupAction",
                 own              ? part->level_name
                 : is_clear(part) ? "clear"
                                  : "tls",
                 comment, part->level_at, &body);
}

static void put_ciphers(struct build *build, const struct part *part, struct section *to)
{
    const char *const *names = part->predefined != NULL ? part->predefined->ciphers : NULL;
    const struct model_level *level = part->level;
    struct section body;
    char comment[200];
    if ((names == NULL && (level == NULL || level->num_ciphers == 0)) || !begin(build, &body))
        return;
    for (size_t i = 0; names != NULL && names[i] != NULL; i++)
        put(build, &body, part->level_at, "  V3CipherSuites4Char %s\n", names[i]);
    for (unsigned i = 0; level != NULL && i < level->num_ciphers; i++)
        put(build, &body, part->level_at, "  V3CipherSuites4Char %s\n", level->ciphers[i]);
    snprintf(comment, sizeof comment, "Security level \"%s\".", part->level_name);
    put(build, to, part->level_at, "  TTLSCipherParmsRef %s\n",
        share(build, "TTLSCipherParms", part->level_name, comment, part->level_at, &body));
}

/* One of a level's lists as a statement of its own, with those that stand in it. */
struct block {
    const char *kind;
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
    if (num == 0 || !begin(build, &body))
        return;
    put_lines(build, &body, part->level_at, 2, block->lines, block->num);
    for (size_t i = 0; i < num_inner; i++) {
        if (inner[i].num == 0)
            continue;
        put(build, &body, part->level_at, "  %s\n  {\n", inner[i].kind);
        put_lines(build, &body, part->level_at, 4, inner[i].lines, inner[i].num);
        put(build, &body, part->level_at, "  }\n");
    }
    snprintf(comment, sizeof comment, "Security level \"%s\".", part->level_name);
    put(build, to, part->level_at, "  %sRef %s\n", block->kind,
        share(build, block->kind, part->level_name, comment, part->level_at, &body));
}

static void put_blocks(struct build *build, const struct part *part, struct section *to)
{
    const struct model_level *level = part->level;
    if (level == NULL)
        return;
    struct block signature = {"TTLSSignatureParms", level->signature, level->num_signature};
    struct block gsk = {"TTLSGskAdvancedParms", level->gsk, level->num_gsk};
    struct block inner[] = {{"TTLSGskLdapParms", level->ldap, level->num_ldap},
                            {"TTLSGskOcspParms", level->ocsp, level->num_ocsp},
                            {"TTLSGskHttpCdpParms", level->http_cdp, level->num_http_cdp}};
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
    put(build, to, part->at, "  TTLSKeyringParms\n  {\n    Keyring %s\n", keyring.keyring);
    if (keyring.keyring_password != NULL)
        put(build, to, part->at, "    KeyringPw %s\n", keyring.keyring_password);
    if (keyring.keyring_stash_file != NULL)
        put(build, to, part->at, "    KeyringStashFile %s\n", keyring.keyring_stash_file);
    put(build, to, part->at, "  }\n");
}

static bool is_on(const bool *value, const struct app *app, unsigned flag)
{
    return value != NULL ? *value : app != NULL && (app->flags & flag) != 0;
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
        put(build, to, part->level_at, "%s", lines.text);
    else
        build->no_memory = true;
    policy_out_free(&lines);
}

static void put_advanced(struct build *build, const struct part *part, struct section *to)
{
    const struct model_traffic *traffic = part->traffic;
    const struct model_rule *rule = part->rule;
    put(build, to, part->level_at, "  TTLSEnvironmentAdvancedParms\n  {\n");
    put_versions(build, part, to);
    if (part->level != NULL && part->level->client_authentication != NULL)
        put(build, to, part->level_at, "    ClientAuthType %s\n", part->level->client_authentication);
    if (is_on(traffic->application_controlled, part->app, APP_ASKS))
        put(build, to, part->traffic_at, "    ApplicationControlled On\n");
    if (is_on(traffic->secondary_map, part->app, APP_SECONDARY))
        put(build, to, part->traffic_at, "    SecondaryMap On\n");
    if (traffic->handshake_timeout_s != NULL)
        put(build, to, part->traffic_at, "    HandshakeTimeout %u\n", *traffic->handshake_timeout_s);
    if (rule->certificate_label != NULL)
        put(build, to, part->at,
            rule->certificate_label[0] != '\0' ? "    CertificateLabel %s\n" : "    CertificateLabel%s\n",
            rule->certificate_label);
    for (unsigned i = 0; i < rule->num_server_certificate_labels; i++)
        put(build, to, part->at, "    ServerCertificateLabel %s\n", rule->server_certificate_labels[i]);
    if (rule->server_name != NULL)
        put(build, to, part->at, "    HostReferenceIdDNS %s\n", rule->server_name);
    if (part->level != NULL)
        put_lines(build, to, part->level_at, 4, part->level->advanced, part->level->num_advanced);
    put(build, to, part->level_at, "  }\n");
}

static const char *share_environment(struct build *build, const struct part *part)
{
    static const char *const roles[] = {"Client", "Server", "ServerWithClientAuth"};
    static const char *const short_roles[] = {"Client", "Server", "Mutual"};
    const struct model_level *level = part->level;
    struct section body;
    char stem[200], comment[300];
    if (!begin(build, &body))
        return "";
    put(build, &body, part->traffic_at, "  HandshakeRole %s\n", roles[part->role]);
    put_keyring(build, part, &body);
    if (level != NULL && level->suite_b != NULL)
        put(build, &body, part->level_at, "  SuiteBProfile %s\n", level->suite_b);
    put_ciphers(build, part, &body);
    put_blocks(build, part, &body);
    put_advanced(build, part, &body);
    if (level != NULL)
        put_lines(build, &body, part->level_at, 2, level->environment, level->num_environment);
    snprintf(stem, sizeof stem, "%s~%s", part->level_name, short_roles[part->role]);
    snprintf(comment, sizeof comment, "Security level \"%s\", role %s.", part->level_name, roles[part->role]);
    return share(build, "TTLSEnvironmentAction", stem, comment, part->level_at, &body);
}

static void put_connection_action(struct build *build, const struct part *part)
{
    const struct model_level *level = part->level;
    struct section body;
    char comment[200];
    if (level == NULL || level->num_connection == 0 || !begin(build, &body))
        return;
    put_lines(build, &body, part->level_at, 2, level->connection, level->num_connection);
    snprintf(comment, sizeof comment, "Security level \"%s\".", part->level_name);
    put(build, &build->rules, part->level_at, "  TTLSConnectionActionRef %s\n",
        share(build, "TTLSConnectionAction", part->level_name, comment, part->level_at, &body));
}

static void put_time(struct build *build, const struct part *part)
{
    int index = part->rule->time != NULL ? model_find(build->file, MODEL_TIME, part->rule->time) : -1;
    char mask[] = "0000000", comment[200];
    struct section body;
    if (index < 0 || !begin(build, &body))
        return;
    const struct model_time *time = &build->file->model->time_conditions[index];
    struct yaml_place at = yaml_find(&build->file->yaml, "time_conditions.%d", index);
    for (unsigned i = 0; i < time->num_days; i++)
        mask[model_day(time->days[i])] = '1';
    if (time->num_days > 0)
        put(build, &body, at, "  DayOfWeekMask %s\n", mask);
    for (unsigned i = 0; i < time->num_hours; i++)
        put(build, &body, at, "%s%s%s", i == 0 ? "  TimeOfDayRange " : ",", time->hours[i],
            i + 1 == time->num_hours ? "\n" : "");
    put_lines(build, &body, at, 2, time->lines, time->num_lines);
    snprintf(comment, sizeof comment, "Time condition \"%s\".", time->name);
    put(build, &build->rules, part->at, "  IpTimeConditionRef %s\n",
        share(build, "IpTimeCondition", time->name, comment, at, &body));
}

/* ---- rules ---- */

static void put_traffic(struct build *build, const struct part *part)
{
    static const char *const words[] = {"Inbound", "Outbound", "Both"};
    const struct model_traffic *traffic = part->traffic;
    bool is_client = traffic->side != NULL && strcasecmp(traffic->side, "client") == 0;
    int direction = traffic->direction != NULL ? model_word(traffic->direction, model_directions) : is_client;
    bool app_ports = part->app != NULL && traffic->num_local_ports + traffic->num_remote_ports == 0;
    if (app_ports)
        put_app_ports(build, part, is_client ? "Remote" : "Local");
    put_listed_ports(build, part, "Local", traffic->local_ports, traffic->num_local_ports);
    put_listed_ports(build, part, "Remote", traffic->remote_ports, traffic->num_remote_ports);
    if (traffic->job != NULL)
        put(build, &build->rules, part->traffic_at, "  Jobname %s\n", traffic->job);
    if (traffic->user != NULL)
        put(build, &build->rules, part->traffic_at, "  Userid %s\n", traffic->user);
    put(build, &build->rules, part->traffic_at, "  Direction %s\n", words[direction]);
}

static void put_rule_head(struct build *build, const struct part *part)
{
    char stem[200], name[STATEMENT_NAME_MAX + 1] = "";
    if (part->map != NULL)
        snprintf(stem, sizeof stem, "%s~%s", part->rule->name, part->traffic->name);
    else
        snprintf(stem, sizeof stem, "%s", part->rule->name);
    build->no_memory |= !model_names_new(&build->names, "TTLSRule", stem, name);
    put(build, &build->rules, part->at, "\n# Connectivity rule \"%s\"", part->rule->name);
    if (part->map != NULL)
        put(build, &build->rules, part->at, ", requirement map \"%s\"", part->map->name);
    put(build, &build->rules, part->at, ": traffic \"%s\", security level \"%s\".\nTTLSRule %s\n{\n",
        part->traffic->name, part->level_name, name);
}

static void put_rule(struct build *build, const struct part *part)
{
    put_rule_head(build, part);
    put_address(build, part, "Local", part->rule->local);
    put_address(build, part, "Remote", part->rule->remote);
    put_traffic(build, part);
    put(build, &build->rules, part->at, "  Priority %u\n", part->priority);
    put_time(build, part);
    put(build, &build->rules, part->at, "  TTLSGroupActionRef %s\n", share_group(build, part));
    if (!is_clear(part)) {
        put(build, &build->rules, part->at, "  TTLSEnvironmentActionRef %s\n",
            share_environment(build, part));
        put_connection_action(build, part);
    }
    put(build, &build->rules, part->at, "}\n");
}

static int role_of(const struct model_traffic *traffic, const struct app *app)
{
    bool is_client = traffic->side != NULL && strcasecmp(traffic->side, "client") == 0;
    if (traffic->role != NULL)
        return model_word(traffic->role, model_roles);
    if (app != NULL)
        return is_client ? 0 : (app->flags & APP_MUTUAL) != 0 ? 2 : 1;
    return model_word(traffic->direction, model_directions) == 1 ? 0 : 1;
}

/* The references were checked: they are there. */
static void put_pair(struct build *build, struct part *part, const char *traffic, const char *security)
{
    const struct model *model = build->file->model;
    int traffic_index = model_find(build->file, MODEL_TRAFFIC, traffic);
    int level_index = model_find(build->file, MODEL_LEVEL, security);
    part->traffic = &model->traffic_descriptors[traffic_index];
    part->traffic_at = yaml_find(&build->file->yaml, "traffic_descriptors.%d", traffic_index);
    part->app = part->traffic->app != NULL ? apps_find(part->traffic->app) : NULL;
    part->role = role_of(part->traffic, part->app);
    part->level = level_index >= 0 ? &model->security_levels[level_index] : NULL;
    part->predefined = level_index >= 0 ? NULL : levels_find(security);
    part->level_name = level_index >= 0 ? part->level->name : part->predefined->name;
    part->level_at =
        level_index >= 0 ? yaml_find(&build->file->yaml, "security_levels.%d", level_index) : part->at;
    put_rule(build, part);
}

static const struct model_map *map_of(const struct build *build, const struct model_rule *rule)
{
    int index =
        rule->requirement_map != NULL ? model_find(build->file, MODEL_MAP, rule->requirement_map) : -1;
    return index >= 0 ? &build->file->model->requirement_maps[index] : NULL;
}

static unsigned num_rules_of(const struct build *build, const struct model_rule *rule)
{
    const struct model_map *map = map_of(build, rule);
    return map != NULL ? map->num_map : 1;
}

/* Without priorities of their own the first rule gets the highest, in steps of ten. */
static uint32_t priority_of(const struct build *build, const struct part *part, unsigned place)
{
    if (part->rule->priority == NULL)
        return 10 * (part->rank - place);
    if (*part->rule->priority > place)
        return *part->rule->priority - place;
    yaml_say(build->report, YAML_ERROR, part->at,
             "connectivity rule \"%s\": priority %u is too low for the %u pairs of its map", part->rule->name,
             *part->rule->priority, part->map != NULL ? part->map->num_map : 1);
    return 1;
}

static void put_connectivity(struct build *build, unsigned index, unsigned rank)
{
    const struct model_rule *rule = &build->stack->connectivity_rules[index];
    struct part part = {.rule = rule, .rank = rank, .map = map_of(build, rule)};
    part.at = yaml_find(&build->file->yaml, "stacks.%u.connectivity_rules.%u", build->stack_number, index);
    if (part.map == NULL) {
        part.priority = priority_of(build, &part, 0);
        put_pair(build, &part, rule->traffic, rule->security);
        return;
    }
    for (unsigned i = 0; i < part.map->num_map; i++) {
        part.priority = priority_of(build, &part, i);
        put_pair(build, &part, part.map->map[i].traffic, part.map->map[i].security);
    }
}

static void take(struct build *build, size_t num_rules, struct model_policy *policy)
{
    bool fine = policy_out_end(&build->shared.out);
    if (fine)
        append(build, &build->rules, &build->shared);
    fine = policy_out_end(&build->rules.out) && fine && !build->no_memory;
    if (fine) {
        *policy = (struct model_policy){build->rules.out.text, build->rules.out.len, build->rules.origins,
                                        build->rules.num, num_rules};
        build->rules.out.text = NULL;
        build->rules.origins = NULL;
    } else {
        yaml_say(build->report, YAML_ERROR, (struct yaml_place){0}, "out of memory");
    }
}

enum { MAX_RULES = 200000 }; /* a map of 1,000 pairs may be named by 1,000,000 rules */

bool model_build(struct model_file *file, unsigned stack, const char *file_name, struct yaml_report *report,
                 struct model_policy *ret_policy)
{
    struct build build = {
        .file = file, .stack = &file->model->stacks[stack], .stack_number = stack, .report = report};
    const struct yaml_place top = yaml_find(&file->yaml, "stacks.%u", stack);
    size_t num_rules = 0, num_done = 0;
    *ret_policy = (struct model_policy){0};
    for (unsigned i = 0; i < build.stack->num_connectivity_rules; i++)
        num_rules += num_rules_of(&build, &build.stack->connectivity_rules[i]);
    if (num_rules > MAX_RULES) {
        yaml_say(report, YAML_ERROR, top, "stack \"%s\" comes to %zu rules; at most %d", build.stack->name,
                 num_rules, MAX_RULES);
        return false;
    }
    if (begin(&build, &build.rules) && begin(&build, &build.shared)) {
        put(&build, &build.rules, top, "# Built by pel policy build from %s, stack \"%s\".\n", file_name,
            build.stack->name);
        put(&build, &build.rules, top, "# Change the model, not this file.\n");
        for (unsigned i = 0; i < build.stack->num_connectivity_rules; i++) {
            put_connectivity(&build, i, (unsigned)(num_rules - num_done));
            num_done += num_rules_of(&build, &build.stack->connectivity_rules[i]);
        }
    }
    take(&build, num_rules, ret_policy);
    drop(&build.rules);
    drop(&build.shared);
    model_names_free(&build.names);
    return report->num_errors == 0;
}

void model_policy_free(struct model_policy *policy)
{
    free(policy->text);
    free(policy->origins);
    *policy = (struct model_policy){0};
}
