/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a model: every object and every reference is looked at, in one pass, and each mistake has its line.
 * */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apps/pel/policy/apps_table.h"
#include "apps/pel/policy/levels.h"
#include "apps/pel/policy/model.h"
#include "apps/pel/policy/model_addresses.h"
#include "apps/pel/policy/nearest.h"

struct check {
    struct model_file *file;
    struct yaml_report *report;
};

#define AT(check, ...)          yaml_find(&(check)->file->yaml, __VA_ARGS__)
#define FAIL(check, place, ...) yaml_say((check)->report, YAML_ERROR, place, __VA_ARGS__)
#define WARN(check, place, ...) yaml_say((check)->report, YAML_WARNING, place, __VA_ARGS__)

/* ---- words ---- */

int model_word(const char *text, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcasecmp(words[i], text) == 0)
            return i;
    }
    return -1;
}

int model_flag(const char *text)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", NULL};
    int word = text != NULL ? model_word(text, words) : 0;
    return word < 0 ? -1 : word % 2;
}

/* Three letters of a day do. */
int model_day(const char *text)
{
    size_t len = strlen(text);
    for (int i = 0; model_days[i] != NULL; i++) {
        if (strcasecmp(model_days[i], text) == 0 || (len == 3 && strncasecmp(model_days[i], text, 3) == 0))
            return i;
    }
    return -1;
}

bool model_is_address(const char *text)
{
    static const char *const words[] = {"All", "All4", "All6", NULL};
    struct address_range range;
    return address_parse(text, &range) || model_word(text, words) >= 0;
}

/* One line of a policy holds it: nothing that ends the line, opens a block or begins a comment. */
static bool is_line(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > 4000 || text[0] == ' ' || text[len - 1] == ' ')
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        if ((*c >= 0 && *c < ' ') || *c == 0x7f || *c == '#' || *c == '{' || *c == '}' || *c == '"')
            return false;
    }
    return true;
}

static bool is_word(const char *text)
{
    return is_line(text) && strchr(text, ' ') == NULL;
}

static const char *guess(const char *text, const char *const *words, size_t num, char *buffer, size_t cap)
{
    const char *nearest = nearest_word(text, words, num);
    buffer[0] = '\0';
    if (nearest != NULL)
        snprintf(buffer, cap, "; did you mean \"%s\"?", nearest);
    return buffer;
}

static void check_word(struct check *check, struct yaml_place place, const char *key, const char *text,
                       const char *const *words)
{
    char buffer[100], list[200] = "";
    size_t num = 0;
    if (text == NULL || model_word(text, words) >= 0)
        return;
    for (; words[num] != NULL; num++) {
        strncat(list, num == 0 ? "" : ", ", sizeof list - strlen(list) - 1);
        strncat(list, words[num], sizeof list - strlen(list) - 1);
    }
    FAIL(check, place, "%s: \"%s\" is not known; write one of %s%s", key, text, list,
         guess(text, words, num, buffer, sizeof buffer));
}

/* ---- names and references ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct model_entry *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : left->index < right->index ? -1 : left->index > right->index;
}

static bool check_name(struct check *check, struct yaml_place place, const char *what, const char *name)
{
    if (name == NULL) {
        FAIL(check, place, "%s: name is missing", what);
        return false;
    }
    if (is_line(name) && strlen(name) <= MODEL_NAME_MAX)
        return true;
    FAIL(check, place, "%s: a name has 1 to %d bytes, without #, braces and quotes", what, MODEL_NAME_MAX);
    return false;
}

static const char *name_of(const struct model *model, enum model_kind kind, unsigned i)
{
    switch (kind) {
    case MODEL_ADDRESS_GROUP: return model->address_groups[i].name;
    case MODEL_TRAFFIC: return model->traffic_descriptors[i].name;
    case MODEL_LEVEL: return model->security_levels[i].name;
    case MODEL_MAP: return model->requirement_maps[i].name;
    case MODEL_TIME: return model->time_conditions[i].name;
    case MODEL_NUM_KINDS: break;
    }
    return NULL;
}

static unsigned num_of(const struct model *model, enum model_kind kind)
{
    const unsigned nums[MODEL_NUM_KINDS] = {
        model->num_address_groups,   model->num_traffic_descriptors, model->num_security_levels,
        model->num_requirement_maps, model->num_time_conditions,
    };
    return nums[kind];
}

static void check_twice(struct check *check, enum model_kind kind, const struct model_index *index)
{
    for (size_t i = 1; i < index->num; i++) {
        const struct model_entry *first = &index->entries[i - 1], *second = &index->entries[i];
        if (strcmp(first->name, second->name) == 0)
            FAIL(check, AT(check, "%s.%u", model_list_key(kind), second->index),
                 "%s \"%s\" is written twice, first on line %u", model_kind_name(kind), second->name,
                 AT(check, "%s.%u", model_list_key(kind), first->index).line);
    }
}

static bool make_index(struct check *check, enum model_kind kind)
{
    struct model_file *file = check->file;
    struct model_index *index = &file->indexes[kind];
    unsigned num = num_of(file->model, kind);
    index->entries = calloc(num + 1, sizeof *index->entries);
    index->used = calloc(num + 1, sizeof *index->used);
    if (index->entries == NULL || index->used == NULL)
        return false;
    for (unsigned i = 0; i < num; i++) {
        const char *name = name_of(file->model, kind, i);
        struct yaml_place place = AT(check, "%s.%u.name", model_list_key(kind), i);
        if (!check_name(check, place, model_kind_name(kind), name))
            continue;
        if (kind == MODEL_LEVEL && levels_find(name) != NULL)
            FAIL(check, place, "security level \"%s\" is predefined; give yours another name", name);
        index->entries[index->num++] = (struct model_entry){name, i};
    }
    qsort(index->entries, index->num, sizeof *index->entries, compare_entries);
    check_twice(check, kind, index);
    return true;
}

/* The names that a wrong one is compared with. */
static void say_unknown(struct check *check, struct yaml_place place, enum model_kind kind, const char *name)
{
    const struct model_index *index = &check->file->indexes[kind];
    const char *words[1000];
    char buffer[100];
    size_t num = 0, num_levels = 0;
    const struct level *levels = levels_table(&num_levels);
    for (; num < index->num && num < 900; num++)
        words[num] = index->entries[num].name;
    for (size_t i = 0; kind == MODEL_LEVEL && i < num_levels; i++)
        words[num++] = levels[i].name;
    FAIL(check, place, "there is no %s \"%s\"%s", model_kind_name(kind), name,
         guess(name, words, num, buffer, sizeof buffer));
}

static void refer(struct check *check, struct yaml_place place, enum model_kind kind, const char *name)
{
    int found = model_find(check->file, kind, name);
    if (found >= 0)
        check->file->indexes[kind].used[found] = true;
    else if (kind != MODEL_LEVEL || levels_find(name) == NULL)
        say_unknown(check, place, kind, name);
}

/* ---- objects ---- */

static void check_lines(struct check *check, const char *path, const char *key, char **lines, unsigned num)
{
    for (unsigned i = 0; i < num; i++) {
        if (!is_line(lines[i]))
            FAIL(check, AT(check, "%s.%s.%u", path, key, i),
                 "%s: one line of a policy, such as \"Parameter Value\", without #, braces and quotes", key);
    }
}

static void check_a_word(struct check *check, const char *path, const char *key, const char *text)
{
    if (text != NULL && !is_word(text))
        FAIL(check, AT(check, "%s.%s", path, key), "%s: one word without #, braces and quotes", key);
}

static void check_flag(struct check *check, const char *path, const char *key, const char *text)
{
    if (model_flag(text) < 0)
        FAIL(check, AT(check, "%s.%s", path, key), "%s: \"%s\" is not true or false", key, text);
}

static void check_ports(struct check *check, const char *path, const char *key, char **ports, unsigned num)
{
    struct port_range range;
    for (unsigned i = 0; i < num; i++) {
        if (!port_parse(ports[i], &range))
            FAIL(check, AT(check, "%s.%s.%u", path, key, i),
                 "%s: \"%s\" is no port from 1 to 65535 and no range LOW-HIGH", key, ports[i]);
    }
}

static void check_address_group(struct check *check, const struct model_address_group *group,
                                const char *path)
{
    if (group->num_addresses == 0)
        FAIL(check, AT(check, "%s", path), "addresses: write at least one");
    struct address_range range;
    for (unsigned i = 0; i < group->num_addresses; i++) {
        if (!address_parse(group->addresses[i], &range))
            FAIL(check, AT(check, "%s.addresses.%u", path, i),
                 "addresses: \"%s\" is no address, ADDRESS/PREFIX or ADDRESS-ADDRESS", group->addresses[i]);
    }
}

static void check_app(struct check *check, const struct model_traffic *traffic, const char *path)
{
    static const char *const sides[] = {"server", "client", NULL};
    const char *names[200];
    char buffer[100];
    size_t num = 0;
    const struct app *apps = apps_table(&num), *app = apps_find(traffic->app);
    for (size_t i = 0; i < num; i++)
        names[i] = apps[i].name;
    if (app == NULL)
        FAIL(check, AT(check, "%s.app", path), "app: \"%s\" is not known (pel policy new --list)%s",
             traffic->app, guess(traffic->app, names, num, buffer, sizeof buffer));
    else if (traffic->side == NULL)
        FAIL(check, AT(check, "%s", path), "side is missing: write server or client with app");
    else if ((app->flags & APP_CLIENT_ONLY) != 0 && model_word(traffic->side, sides) == 0)
        FAIL(check, AT(check, "%s.side", path), "side: %s is a client only", app->name);
    check_word(check, AT(check, "%s.side", path), "side", traffic->side, sides);
}

static void check_traffic(struct check *check, const struct model_traffic *traffic, const char *path)
{
    if (traffic->app != NULL)
        check_app(check, traffic, path);
    else if (traffic->side != NULL)
        FAIL(check, AT(check, "%s.side", path), "side goes with app");
    else if (traffic->direction == NULL)
        FAIL(check, AT(check, "%s", path), "direction is missing: write inbound, outbound or both");
    else if (traffic->role == NULL && model_word(traffic->direction, model_directions) == 2)
        FAIL(check, AT(check, "%s", path), "role is missing: it cannot be told from direction: both");
    check_word(check, AT(check, "%s.direction", path), "direction", traffic->direction, model_directions);
    check_word(check, AT(check, "%s.role", path), "role", traffic->role, model_roles);
    check_ports(check, path, "local_ports", traffic->local_ports, traffic->num_local_ports);
    check_ports(check, path, "remote_ports", traffic->remote_ports, traffic->num_remote_ports);
    check_flag(check, path, "application_controlled", traffic->application_controlled);
    check_flag(check, path, "secondary_map", traffic->secondary_map);
    check_a_word(check, path, "job", traffic->job);
    check_a_word(check, path, "user", traffic->user);
}

/* Of a level without TLS only the group counts. */
static void check_clear(struct check *check, const struct model_level *level, const char *path)
{
    unsigned num_others = level->num_versions + level->num_ciphers + level->num_signature +
                          level->num_environment + level->num_connection + level->num_advanced +
                          level->num_gsk + level->num_ldap + level->num_ocsp + level->num_http_cdp;
    check_flag(check, path, "clear", level->clear);
    if (model_flag(level->clear) > 0 &&
        (num_others > 0 || level->client_authentication != NULL || level->suite_b != NULL))
        FAIL(check, AT(check, "%s.clear", path),
             "clear: a level without TLS has nothing but group, group_advanced "
             "and fips140 beside it");
    if (level->num_versions > 4)
        FAIL(check, AT(check, "%s.versions", path), "versions: there are four");
}

static void check_level(struct check *check, const struct model_level *level, const char *path)
{
    static const char *const versions[] = {"1.0", "1.1", "1.2", "1.3", NULL};
    static const char *const client[] = {"PassThru", "Full", "Required", "SAFCheck", NULL};
    check_clear(check, level, path);
    for (unsigned i = 0; i < level->num_versions; i++)
        check_word(check, AT(check, "%s.versions.%u", path, i), "versions", level->versions[i], versions);
    for (unsigned i = 0; i < level->num_ciphers; i++) {
        if (!is_word(level->ciphers[i]))
            FAIL(check, AT(check, "%s.ciphers.%u", path, i), "ciphers: one name or code each");
    }
    check_word(check, AT(check, "%s.client_authentication", path), "client_authentication",
               level->client_authentication, client);
    check_a_word(check, path, "fips140", level->fips140);
    check_a_word(check, path, "suite_b", level->suite_b);
    check_lines(check, path, "signature", level->signature, level->num_signature);
    check_lines(check, path, "group", level->group, level->num_group);
    check_lines(check, path, "group_advanced", level->group_advanced, level->num_group_advanced);
    check_lines(check, path, "environment", level->environment, level->num_environment);
    check_lines(check, path, "connection", level->connection, level->num_connection);
    check_lines(check, path, "advanced", level->advanced, level->num_advanced);
    check_lines(check, path, "gsk", level->gsk, level->num_gsk);
    check_lines(check, path, "ldap", level->ldap, level->num_ldap);
    check_lines(check, path, "ocsp", level->ocsp, level->num_ocsp);
    check_lines(check, path, "http_cdp", level->http_cdp, level->num_http_cdp);
}

static void check_pair(struct check *check, const char *path, const char *traffic, const char *security)
{
    if (traffic == NULL)
        FAIL(check, AT(check, "%s", path), "traffic is missing: name a traffic descriptor");
    else
        refer(check, AT(check, "%s.traffic", path), MODEL_TRAFFIC, traffic);
    if (security == NULL)
        FAIL(check, AT(check, "%s", path), "security is missing: name a security level");
    else
        refer(check, AT(check, "%s.security", path), MODEL_LEVEL, security);
}

static void check_map(struct check *check, const struct model_map *map, const char *path)
{
    char pair[100];
    if (map->num_map == 0)
        FAIL(check, AT(check, "%s", path), "map: write at least one pair of traffic and security");
    for (unsigned i = 0; i < map->num_map; i++) {
        snprintf(pair, sizeof pair, "%s.map.%u", path, i);
        check_pair(check, pair, map->map[i].traffic, map->map[i].security);
    }
}

static void check_time(struct check *check, const struct model_time *time, const char *path)
{
    for (unsigned i = 0; i < time->num_days; i++) {
        if (model_day(time->days[i]) < 0)
            FAIL(check, AT(check, "%s.days.%u", path, i), "days: \"%s\" is no day, such as Monday or Mon",
                 time->days[i]);
    }
    check_lines(check, path, "hours", time->hours, time->num_hours);
    check_lines(check, path, "lines", time->lines, time->num_lines);
    if (time->num_days + time->num_hours + time->num_lines == 0)
        FAIL(check, AT(check, "%s", path), "write days, hours or lines");
}

static void check_objects(struct check *check)
{
    const struct model *model = check->file->model;
    char path[60];
    for (unsigned i = 0; i < model->num_address_groups; i++) {
        snprintf(path, sizeof path, "address_groups.%u", i);
        check_address_group(check, &model->address_groups[i], path);
    }
    for (unsigned i = 0; i < model->num_traffic_descriptors; i++) {
        snprintf(path, sizeof path, "traffic_descriptors.%u", i);
        check_traffic(check, &model->traffic_descriptors[i], path);
    }
    for (unsigned i = 0; i < model->num_security_levels; i++) {
        snprintf(path, sizeof path, "security_levels.%u", i);
        check_level(check, &model->security_levels[i], path);
    }
    for (unsigned i = 0; i < model->num_requirement_maps; i++) {
        snprintf(path, sizeof path, "requirement_maps.%u", i);
        check_map(check, &model->requirement_maps[i], path);
    }
    for (unsigned i = 0; i < model->num_time_conditions; i++) {
        snprintf(path, sizeof path, "time_conditions.%u", i);
        check_time(check, &model->time_conditions[i], path);
    }
}

/* ---- stacks ---- */

/* An address group's name, or an address. */
static void check_end(struct check *check, const char *path, const char *key, const char *text)
{
    if (text == NULL || model_is_address(text))
        return;
    refer(check, AT(check, "%s.%s", path, key), MODEL_ADDRESS_GROUP, text);
}

static void check_protection(struct check *check, const struct model_rule *rule, const char *path)
{
    bool has_pair = rule->traffic != NULL || rule->security != NULL;
    if (rule->requirement_map != NULL && has_pair)
        FAIL(check, AT(check, "%s.requirement_map", path),
             "requirement_map, or traffic and security: not both");
    else if (rule->requirement_map != NULL)
        refer(check, AT(check, "%s.requirement_map", path), MODEL_MAP, rule->requirement_map);
    else if (has_pair)
        check_pair(check, path, rule->traffic, rule->security);
    else
        FAIL(check, AT(check, "%s", path), "requirement_map is missing; or write traffic and security");
}

static void check_rule(struct check *check, const struct model_rule *rule, const char *path)
{
    check_name(check, AT(check, "%s.name", path), "connectivity rule", rule->name);
    check_end(check, path, "local", rule->local);
    check_end(check, path, "remote", rule->remote);
    check_protection(check, rule, path);
    check_a_word(check, path, "keyring", rule->keyring);
    check_a_word(check, path, "keyring_password", rule->keyring_password);
    check_a_word(check, path, "keyring_stash_file", rule->keyring_stash_file);
    check_a_word(check, path, "server_name", rule->server_name);
    if (rule->certificate_label != NULL && rule->certificate_label[0] != '\0' &&
        !is_line(rule->certificate_label))
        FAIL(check, AT(check, "%s.certificate_label", path),
             "certificate_label: without #, braces and quotes");
    check_lines(check, path, "server_certificate_labels", rule->server_certificate_labels,
                rule->num_server_certificate_labels);
    if (rule->time != NULL)
        refer(check, AT(check, "%s.time", path), MODEL_TIME, rule->time);
}

static int compare_names(const void *a, const void *b)
{
    const struct model_rule *const *left = a, *const *right = b;
    int order = strcmp((*left)->name, (*right)->name);
    return order != 0 ? order : *left < *right ? -1 : *left > *right;
}

static bool check_rule_names(struct check *check, const struct model_stack *stack, unsigned number)
{
    size_t num = 0;
    const struct model_rule **rules = calloc(stack->num_connectivity_rules + 1, sizeof *rules);
    if (rules == NULL)
        return false;
    for (unsigned i = 0; i < stack->num_connectivity_rules; i++) {
        if (stack->connectivity_rules[i].name != NULL)
            rules[num++] = &stack->connectivity_rules[i];
    }
    qsort(rules, num, sizeof *rules, compare_names);
    for (size_t i = 1; i < num; i++) {
        if (strcmp(rules[i - 1]->name, rules[i]->name) == 0)
            FAIL(check,
                 AT(check, "stacks.%u.connectivity_rules.%zu", number,
                    (size_t)(rules[i] - stack->connectivity_rules)),
                 "connectivity rule \"%s\" is written twice", rules[i]->name);
    }
    free(rules);
    return true;
}

static void check_stack(struct check *check, const struct model_stack *stack, unsigned number)
{
    char path[80];
    unsigned num_priorities = 0;
    snprintf(path, sizeof path, "stacks.%u", number);
    check_name(check, AT(check, "%s.name", path), "stack", stack->name);
    check_a_word(check, path, "keyring", stack->keyring);
    check_a_word(check, path, "keyring_password", stack->keyring_password);
    check_a_word(check, path, "keyring_stash_file", stack->keyring_stash_file);
    if (stack->num_connectivity_rules == 0)
        FAIL(check, AT(check, "%s", path), "connectivity_rules: write at least one");
    for (unsigned i = 0; i < stack->num_connectivity_rules; i++) {
        snprintf(path, sizeof path, "stacks.%u.connectivity_rules.%u", number, i);
        check_rule(check, &stack->connectivity_rules[i], path);
        num_priorities += stack->connectivity_rules[i].priority != NULL;
    }
    if (num_priorities != 0 && num_priorities != stack->num_connectivity_rules)
        FAIL(check, AT(check, "stacks.%u", number),
             "priority: write it for every connectivity rule of the stack, or for none: then their order "
             "counts");
}

static void check_stacks(struct check *check)
{
    const struct model *model = check->file->model;
    if (model->num_stacks == 0)
        FAIL(check, AT(check, "stacks"), "stacks: write at least one");
    for (unsigned i = 0; i < model->num_stacks; i++) {
        check_stack(check, &model->stacks[i], i);
        for (unsigned j = 0; j < i && model->stacks[i].name != NULL && model->num_stacks <= 1000; j++) {
            if (model->stacks[j].name != NULL && strcmp(model->stacks[i].name, model->stacks[j].name) == 0)
                FAIL(check, AT(check, "stacks.%u", i), "stack \"%s\" is written twice",
                     model->stacks[i].name);
        }
    }
    if (model->num_stacks > 1000)
        FAIL(check, AT(check, "stacks"), "stacks: at most 1000");
}

static void warn_of_unused(struct check *check)
{
    for (int kind = 0; kind < MODEL_NUM_KINDS; kind++) {
        const struct model_index *index = &check->file->indexes[kind];
        for (size_t i = 0; i < index->num; i++) {
            if (!index->used[index->entries[i].index])
                WARN(check,
                     AT(check, "%s.%u", model_list_key((enum model_kind)kind), index->entries[i].index),
                     "%s \"%s\" is not used", model_kind_name((enum model_kind)kind), index->entries[i].name);
        }
    }
}

static bool check_all(struct model_file *file, struct yaml_report *report)
{
    struct check check = {file, report};
    file->model = file->yaml.data;
    for (int kind = 0; kind < MODEL_NUM_KINDS; kind++) {
        if (!make_index(&check, (enum model_kind)kind)) {
            FAIL(&check, (struct yaml_place){0}, "out of memory");
            return false;
        }
    }
    check_objects(&check);
    check_stacks(&check);
    for (unsigned i = 0; i < file->model->num_stacks; i++) {
        if (!check_rule_names(&check, &file->model->stacks[i], i))
            FAIL(&check, (struct yaml_place){0}, "out of memory");
    }
    if (report->num_errors == 0)
        warn_of_unused(&check);
    return report->num_errors == 0;
}

bool model_read_text(struct model_file *file, const char *text, size_t len, struct yaml_report *report)
{
    *file = (struct model_file){0};
    return yaml_text_read(&file->yaml, &model_schema, text, len, report) && check_all(file, report);
}

bool model_read(struct model_file *file, struct yaml_report *report)
{
    *file = (struct model_file){0};
    return yaml_file_read(&file->yaml, &model_schema, report) && check_all(file, report);
}
