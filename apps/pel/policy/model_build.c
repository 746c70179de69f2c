/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a stack, with the addresses and ports that they refer to. */
#include "apps/pel/policy/model_build.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apps/pel/policy/model_addresses.h"
#include "apps/pel/policy/model_text.h"

/* A map of 1,000 pairs may be named by 1,000,000 rules, and a level of 10,000 lines as well: there must be an
 * end. */
enum { MAX_RULES = 200000, MAX_WORK = 256 << 20 };

/* ---- addresses and ports ---- */

static const char *share_addresses(struct build *build, unsigned index)
{
    const struct model_address_group *group = &build->file->model->address_groups[index];
    struct yaml_place at = yaml_find(&build->file->yaml, "address_groups.%u", index);
    struct address_range *ranges = calloc(group->num_addresses, sizeof *ranges);
    struct section body;
    char text[ADDRESS_TEXT_MAX], comment[200];
    if (!model_begin(build, &body) || ranges == NULL) {
        build->no_memory = true;
        free(ranges);
        model_drop(&body);
        return "";
    }
    for (unsigned i = 0; i < group->num_addresses; i++)
        (void)address_parse(group->addresses[i], &ranges[i]);
    size_t num = addresses_join(ranges, group->num_addresses);
    for (size_t i = 0; i < num; i++) {
        address_print(&ranges[i], text);
        if (strpbrk(text, "/-") == NULL)
            model_put(build, &body, at, "  IpAddr\n  {\n    Addr %s\n  }\n", text);
        else
            model_put(build, &body, at, "  IpAddrSet\n  {\n    %s %s\n  }\n",
                      strchr(text, '/') != NULL ? "Prefix" : "Range", text);
    }
    free(ranges);
    snprintf(comment, sizeof comment, "Address group \"%s\".", group->name);
    return model_share(build, "IpAddrGroup", group->name, comment, at, &body);
}

/* Groups may be long and named by many rules. */
static const char *name_of_group(struct build *build, unsigned index)
{
    if (build->group_names[index] == NULL)
        build->group_names[index] = share_addresses(build, index);
    return build->group_names[index];
}

static void put_address(struct build *build, const struct part *part, const char *side, const char *text)
{
    char canonical[ADDRESS_TEXT_MAX];
    struct address_range range;
    if (text == NULL || strcasecmp(text, "All") == 0)
        return;
    if (address_parse(text, &range)) {
        address_print(&range, canonical);
        model_put(build, &build->rules, part->at, "  %sAddr %s\n", side, canonical);
    } else if (model_is_address(text)) {
        model_put(build, &build->rules, part->at, "  %sAddr %s\n", side, text);
    } else {
        int group = model_find(build->file, MODEL_ADDRESS_GROUP, text);
        model_put(build, &build->rules, part->at, "  %sAddrGroupRef %s\n", side,
                  group >= 0 ? name_of_group(build, (unsigned)group) : "");
    }
}

static void put_port(struct build *build, struct section *section, struct yaml_place at, const char *before,
                     struct port_range ports)
{
    if (ports.low == ports.high)
        model_put(build, section, at, "%s %u\n", before, ports.low);
    else
        model_put(build, section, at, "%s %u-%u\n", before, ports.low, ports.high);
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
    if (num < 2 || !model_begin(build, &body))
        return;
    for (unsigned i = 0; i < num; i++) {
        model_put(build, &body, part->traffic_at, "  PortRange\n  {\n");
        put_port(build, &body, part->traffic_at, "    Port", ports[i]);
        model_put(build, &body, part->traffic_at, "  }\n");
    }
    snprintf(text, sizeof text, "Ports of traffic descriptor \"%s\".", part->traffic->name);
    model_put(build, &build->rules, part->traffic_at, "  %sPortGroupRef %s\n", side,
              model_share(build, "PortGroup", part->traffic->name, text, part->traffic_at, &body));
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
        model_put(build, &build->rules, part->traffic_at, "  Jobname %s\n", traffic->job);
    if (traffic->user != NULL)
        model_put(build, &build->rules, part->traffic_at, "  Userid %s\n", traffic->user);
    model_put(build, &build->rules, part->traffic_at, "  Direction %s\n", words[direction]);
}

static void put_rule_head(struct build *build, const struct part *part)
{
    char stem[200], name[STATEMENT_NAME_MAX + 1] = "";
    if (part->map != NULL)
        snprintf(stem, sizeof stem, "%s~%s", part->rule->name, part->traffic->name);
    else
        snprintf(stem, sizeof stem, "%s", part->rule->name);
    build->no_memory |= !model_names_new(&build->names, "TTLSRule", stem, name);
    model_put(build, &build->rules, part->at, "\n# Connectivity rule \"%s\"", part->rule->name);
    if (part->map != NULL)
        model_put(build, &build->rules, part->at, ", requirement map \"%s\"", part->map->name);
    model_put(build, &build->rules, part->at, ": traffic \"%s\", security level \"%s\".\nTTLSRule %s\n{\n",
              part->traffic->name, part->level_name, name);
}

static void put_rule(struct build *build, const struct part *part)
{
    put_rule_head(build, part);
    put_address(build, part, "Local", part->rule->local);
    put_address(build, part, "Remote", part->rule->remote);
    put_traffic(build, part);
    model_put(build, &build->rules, part->at, "  Priority %u\n", part->priority);
    model_put_time(build, part);
    model_put_actions(build, part);
    model_put(build, &build->rules, part->at, "}\n");
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
    snprintf(part->traffic_path, sizeof part->traffic_path, "traffic_descriptors.%d", traffic_index);
    part->traffic_at = yaml_find(&build->file->yaml, "%s", part->traffic_path);
    part->app = part->traffic->app != NULL ? apps_find(part->traffic->app) : NULL;
    part->role = role_of(part->traffic, part->app);
    part->level = level_index >= 0 ? &model->security_levels[level_index] : NULL;
    part->predefined = level_index >= 0 ? NULL : levels_find(security);
    part->level_name = level_index >= 0 ? part->level->name : part->predefined->name;
    part->level_path[0] = '\0';
    if (level_index >= 0)
        snprintf(part->level_path, sizeof part->level_path, "security_levels.%d", level_index);
    part->level_at = level_index >= 0 ? yaml_find(&build->file->yaml, "%s", part->level_path) : part->at;
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
    snprintf(part.path, sizeof part.path, "stacks.%u.connectivity_rules.%u", build->stack_number, index);
    part.at = yaml_find(&build->file->yaml, "%s", part.path);
    if (part.map == NULL) {
        part.priority = priority_of(build, &part, 0);
        put_pair(build, &part, rule->traffic, rule->security);
        return;
    }
    for (unsigned i = 0; i < part.map->num_map && build->work <= MAX_WORK; i++) {
        part.priority = priority_of(build, &part, i);
        put_pair(build, &part, part.map->map[i].traffic, part.map->map[i].security);
    }
}

/* A file's name may have anything in it; a comment is one line. */
static void put_head(struct build *build, struct yaml_place at, const char *file_name)
{
    char name[200];
    snprintf(name, sizeof name, "%s", file_name);
    for (char *c = name; *c != '\0'; c++) {
        if ((*c >= 0 && *c < ' ') || *c == 0x7f)
            *c = '?';
    }
    model_put(build, &build->rules, at, "# Built by pel policy build from %s, stack \"%s\".\n", name,
              build->stack->name);
    model_put(build, &build->rules, at, "# Change the model, not this file.\n");
}

static void take(struct build *build, size_t num_rules, struct model_policy *policy)
{
    bool fine = policy_out_end(&build->shared.out);
    if (fine)
        model_append(build, &build->rules, &build->shared);
    fine = policy_out_end(&build->rules.out) && fine && !build->no_memory;
    if (build->work > MAX_WORK) {
        yaml_say(build->report, YAML_ERROR, yaml_find(&build->file->yaml, "stacks.%u", build->stack_number),
                 "stack \"%s\": its rules come to more text than a policy may have", build->stack->name);
    } else if (fine) {
        *policy = (struct model_policy){build->rules.out.text, build->rules.out.len, build->rules.origins,
                                        build->rules.num, num_rules};
        build->rules.out.text = NULL;
        build->rules.origins = NULL;
    } else {
        yaml_say(build->report, YAML_ERROR, (struct yaml_place){0}, "out of memory");
    }
}

bool model_build(struct model_file *file, unsigned stack, const char *file_name, struct yaml_report *report,
                 struct model_policy *ret_policy)
{
    struct build build = {
        .file = file, .stack = &file->model->stacks[stack], .stack_number = stack, .report = report};
    const struct yaml_place top = yaml_find(&file->yaml, "stacks.%u", stack);
    size_t num_rules = 0, num_done = 0;
    *ret_policy = (struct model_policy){0};
    build.group_names = calloc(file->model->num_address_groups + 1, sizeof *build.group_names);
    build.no_memory = build.group_names == NULL;
    for (unsigned i = 0; i < build.stack->num_connectivity_rules; i++)
        num_rules += num_rules_of(&build, &build.stack->connectivity_rules[i]);
    if (num_rules > MAX_RULES) {
        yaml_say(report, YAML_ERROR, top, "stack \"%s\" comes to %zu rules; at most %d", build.stack->name,
                 num_rules, MAX_RULES);
        free(build.group_names);
        return false;
    }
    if (!build.no_memory && model_begin(&build, &build.rules) && model_begin(&build, &build.shared)) {
        put_head(&build, top, file_name);
        for (unsigned i = 0; i < build.stack->num_connectivity_rules && build.work <= MAX_WORK; i++) {
            put_connectivity(&build, i, (unsigned)(num_rules - num_done));
            num_done += num_rules_of(&build, &build.stack->connectivity_rules[i]);
        }
    }
    take(&build, num_rules, ret_policy);
    model_drop(&build.rules);
    model_drop(&build.shared);
    model_names_free(&build.names);
    free(build.group_names);
    return report->num_errors == 0;
}

void model_policy_free(struct model_policy *policy)
{
    free(policy->text);
    free(policy->origins);
    *policy = (struct model_policy){0};
}
