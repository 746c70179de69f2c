/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts as a model's YAML. An object is its text: two rules that come to the same text share the object. The
 * connectivity rules stand in the order in which the policy's rules are tried.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apps/pel/policy/levels.h"
#include "apps/pel/policy/model.h"
#include "apps/pel/policy/model_import.h"
#include "apps/pel/policy/out.h"

struct object {
    char *name, *body;
    bool is_predefined;
};

/* The objects of a kind, in order of their first use. */
struct objects {
    struct object **all;
    size_t num;
    void *by_body, *by_name, *by_both;
};

struct writing {
    const struct hints *hints;
    struct objects kinds[MODEL_NUM_KINDS];
    struct policy_out rules;
    struct facts *facts;
    size_t num_facts;
    const struct facts *usual; /* whose keyring is the stack's */
    void *rule_names;
    bool own_priorities, no_memory;
};

/* ---- YAML ---- */

/* A word that YAML takes as it is; anything else stands in quotes. */
static void put_value(FILE *to, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./~-";
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off",
                                        "null", "y",     "n",   "~",  NULL};
    size_t len = strspn(text, plain);
    bool is_odd = strchr("-.~", text[0]) != NULL; /* also the empty text */
    if (text[len] == '\0' && !is_odd && model_word(text, words) < 0) {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', to);
        if (*text == '\t')
            fputs("\\t", to);
        else
            fputc(*text, to);
    }
    fputc('"', to);
}

static void put_key(FILE *to, const char *key, const char *text)
{
    if (text == NULL)
        return;
    fprintf(to, "    %s: ", key);
    put_value(to, text);
    fputc('\n', to);
}

static void put_list(FILE *to, const char *key, const struct texts *texts)
{
    if (texts->num == 0)
        return;
    fprintf(to, "    %s: [ ", key);
    for (size_t i = 0; i < texts->num; i++) {
        fputs(i == 0 ? "" : ", ", to);
        put_value(to, texts->items[i]);
    }
    fprintf(to, " ]\n");
}

static void put_names(FILE *to, const char *key, const char *const *names)
{
    struct texts texts = {.items = (char **)(uintptr_t)names};
    while (names != NULL && names[texts.num] != NULL)
        texts.num++;
    put_list(to, key, &texts);
}

/* ---- objects ---- */

static int compare_bodies(const void *a, const void *b)
{
    return strcmp(((const struct object *)a)->body, ((const struct object *)b)->body);
}

static int compare_names(const void *a, const void *b)
{
    return strcasecmp(((const struct object *)a)->name, ((const struct object *)b)->name);
}

static int compare_both(const void *a, const void *b)
{
    int order = compare_bodies(a, b);
    return order != 0 ? order : compare_names(a, b);
}

static struct object *find(void *const *tree, struct object *key, int (*order)(const void *, const void *))
{
    struct object **found = tfind(key, tree, order);
    return found != NULL ? *found : NULL;
}

static struct object *add_object(struct writing *writing, struct objects *objects, const char *name,
                                 char *body, bool is_predefined)
{
    struct object **more = realloc(objects->all, (objects->num + 1) * sizeof *more);
    struct object *object = calloc(1, sizeof *object);
    if (more != NULL)
        objects->all = more;
    if (more == NULL || object == NULL || (object->name = strdup(name)) == NULL) {
        writing->no_memory = true;
        free(object);
        free(body);
        return NULL;
    }
    object->body = body;
    object->is_predefined = is_predefined;
    objects->all[objects->num++] = object;
    if (tsearch(object, &objects->by_body, compare_bodies) == NULL ||
        tsearch(object, &objects->by_name, compare_names) == NULL ||
        tsearch(object, &objects->by_both, compare_both) == NULL)
        writing->no_memory = true;
    return object;
}

/* The name of the object with this body, made when there is none. A name that was given is kept when it is
 * free; any object of the same body does for one that was not. Takes the body. */
static const char *intern(struct writing *writing, enum model_kind kind, const char *name, bool is_given,
                          char *body)
{
    struct objects *objects = &writing->kinds[kind];
    char numbered[MODEL_NAME_MAX + 20];
    struct object key = {.name = numbered, .body = body}, *found = NULL;
    snprintf(numbered, sizeof numbered, "%.*s", MODEL_NAME_MAX, name);
    if (body == NULL) {
        writing->no_memory = true;
        return "";
    }
    found = is_given ? find(&objects->by_both, &key, compare_both)
                     : find(&objects->by_body, &key, compare_bodies);
    if (found != NULL) {
        free(body);
        return found->name;
    }
    for (unsigned i = 2; find(&objects->by_name, &key, compare_names) != NULL; i++)
        snprintf(numbered, sizeof numbered, "%.*s-%u", MODEL_NAME_MAX - 8, name, i);
    found = add_object(writing, objects, numbered, body, false);
    return found != NULL ? found->name : "";
}

static void free_nothing(void *node)
{
    (void)node;
}

static void free_objects(struct objects *objects)
{
    for (size_t i = 0; i < objects->num; i++) {
        free(objects->all[i]->name);
        free(objects->all[i]->body);
        free(objects->all[i]);
    }
    free(objects->all);
    tdestroy(objects->by_body, free_nothing);
    tdestroy(objects->by_name, free_nothing);
    tdestroy(objects->by_both, free_nothing);
}

/* Ends the text and gives it away; NULL: no memory. */
static char *text_of(struct policy_out *out)
{
    char *text = policy_out_end(out) ? out->text : NULL;
    if (text != NULL)
        out->text = NULL;
    policy_out_free(out);
    return text;
}

/* ---- what a rule is made of ---- */

static const char *intern_addresses(struct writing *writing, const struct texts *addresses,
                                    const char *statement)
{
    struct policy_out out;
    const char *given =
        writing->hints != NULL ? hints_object(writing->hints, "IpAddrGroup", statement) : NULL;
    if (!policy_out_begin(&out))
        return "";
    fprintf(out.stream, "    addresses: [ ");
    for (size_t i = 0; i < addresses->num; i++) {
        const char *text = addresses->items[i];
        text = strcmp(text, "All4") == 0 ? "0.0.0.0/0" : strcmp(text, "All6") == 0 ? "::/0" : text;
        fputs(i == 0 ? "" : ", ", out.stream);
        put_value(out.stream, text);
    }
    fprintf(out.stream, " ]\n");
    return intern(writing, MODEL_ADDRESS_GROUP, given != NULL ? given : statement, given != NULL,
                  text_of(&out));
}

static void put_end(struct writing *writing, FILE *to, const char *key, const struct texts *addresses,
                    const char *group, const char *rule)
{
    if (addresses->num == 1 && strcmp(addresses->items[0], "All") == 0)
        return;
    if (group != NULL || addresses->num > 1)
        put_key(to, key, intern_addresses(writing, addresses, group != NULL ? group : rule));
    else if (addresses->num == 1)
        put_key(to, key, addresses->items[0]);
}

static void put_ports(FILE *to, const char *key, const struct texts *ports)
{
    if (ports->num != 1 || strcmp(ports->items[0], "0") != 0)
        put_list(to, key, ports);
}

static const char *role_of(const char *role)
{
    return role == NULL || strcmp(role, "Client") == 0 ? "client"
           : strcmp(role, "Server") == 0               ? "server"
                                                       : "server-with-client-auth";
}

static void put_flag(FILE *to, const char *key, const char *value)
{
    if (value != NULL)
        fprintf(to, "    %s: %s\n", key, strcmp(value, "On") == 0 ? "true" : "false");
}

static const char *intern_traffic(struct writing *writing, const struct facts *facts)
{
    struct policy_out out;
    const char *given = facts->hint.traffic;
    if (!policy_out_begin(&out))
        return "";
    put_ports(out.stream, "local_ports", &facts->local_ports);
    put_ports(out.stream, "remote_ports", &facts->remote_ports);
    fprintf(out.stream, "    direction: %s\n",
            strcmp(facts->direction, "Inbound") == 0    ? "inbound"
            : strcmp(facts->direction, "Outbound") == 0 ? "outbound"
                                                        : "both");
    fprintf(out.stream, "    role: %s\n", role_of(facts->role));
    put_key(out.stream, "job", facts->job);
    put_key(out.stream, "user", facts->user);
    put_flag(out.stream, "application_controlled", facts->application_controlled);
    put_flag(out.stream, "secondary_map", facts->secondary_map);
    put_key(out.stream, "handshake_timeout_s", facts->timeout);
    return intern(writing, MODEL_TRAFFIC, given != NULL ? given : facts->info.name, given != NULL,
                  text_of(&out));
}

static char *body_of_level(const struct facts *facts, const struct level *predefined)
{
    static const char *const versions[] = {"1.0", "1.1", "1.2", "1.3"};
    static const char *const keys[NUM_LISTS] = {[LIST_SIGNATURE] = "signature",
                                                [LIST_GROUP] = "group",
                                                [LIST_GROUP_ADVANCED] = "group_advanced",
                                                [LIST_ENVIRONMENT] = "environment",
                                                [LIST_CONNECTION] = "connection",
                                                [LIST_ADVANCED] = "advanced",
                                                [LIST_GSK] = "gsk",
                                                [LIST_LDAP] = "ldap",
                                                [LIST_OCSP] = "ocsp",
                                                [LIST_HTTP_CDP] = "http_cdp"};
    const char *on[5] = {NULL};
    size_t num_on = 0;
    struct policy_out out;
    bool is_clear = predefined != NULL ? predefined->is_clear : facts->is_clear;
    if (!policy_out_begin(&out))
        return NULL;
    for (size_t i = 0; i < 4 && predefined == NULL; i++) {
        if (facts->versions[i])
            on[num_on++] = versions[i];
    }
    if (is_clear)
        fprintf(out.stream, "    clear: true\n");
    else
        put_names(out.stream, "versions", predefined != NULL ? predefined->versions : on);
    if (predefined != NULL) {
        put_names(out.stream, "ciphers", predefined->ciphers);
        return text_of(&out);
    }
    put_list(out.stream, "ciphers", &facts->ciphers);
    put_key(out.stream, "client_authentication", facts->client_authentication);
    put_key(out.stream, "fips140", facts->fips140);
    put_key(out.stream, "suite_b", facts->suite_b);
    for (size_t i = 0; i < NUM_LISTS; i++) {
        if (keys[i] != NULL)
            put_list(out.stream, keys[i], &facts->lists[i]);
    }
    return text_of(&out);
}

static const char *intern_level(struct writing *writing, const struct facts *facts)
{
    const struct pel_policy_info *info = &facts->info;
    const char *name = info->environment_action[0] != '\0'  ? info->environment_action
                       : info->connection_action[0] != '\0' ? info->connection_action
                                                            : info->name;
    const char *given = facts->hint.level;
    return intern(writing, MODEL_LEVEL, given != NULL ? given : name, given != NULL,
                  body_of_level(facts, NULL));
}

/* Days by name where the mask has the form of one, hours one by one. */
static bool put_days(FILE *to, const char *mask)
{
    const char *days[8] = {NULL};
    size_t num = 0;
    if (mask == NULL || strlen(mask) != 7 || strspn(mask, "01") != 7 || strcmp(mask, "0000000") == 0)
        return mask == NULL;
    for (size_t i = 0; i < 7; i++) {
        if (mask[i] == '1')
            days[num++] = model_days[i];
    }
    put_names(to, "days", days);
    return true;
}

static const char *intern_time(struct writing *writing, const struct facts *facts)
{
    const char *statement = facts->time_name != NULL ? facts->time_name : facts->info.name;
    const char *given =
        writing->hints != NULL ? hints_object(writing->hints, "IpTimeCondition", statement) : NULL;
    struct policy_out out;
    if (facts->time_mask == NULL && facts->time_hours == NULL && facts->lists[LIST_TIME].num == 0)
        return NULL;
    if (!policy_out_begin(&out))
        return "";
    if (!put_days(out.stream, facts->time_mask))
        fprintf(out.stream, "    lines: [ \"DayOfWeekMask %s\" ]\n", facts->time_mask);
    if (facts->time_hours != NULL) {
        fprintf(out.stream, "    hours: [ ");
        for (const char *c = facts->time_hours; *c != '\0'; c += strcspn(c, ","), c += *c == ',')
            fprintf(out.stream, "%s\"%.*s\"", c == facts->time_hours ? "" : ", ", (int)strcspn(c, ","), c);
        fprintf(out.stream, " ]\n");
    }
    put_list(out.stream, "lines", &facts->lists[LIST_TIME]);
    return intern(writing, MODEL_TIME, given != NULL ? given : statement, given != NULL, text_of(&out));
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_same_keyring(const struct facts *a, const struct facts *b)
{
    return is_same_text(a->keyring, b->keyring) && is_same_text(a->keyring_password, b->keyring_password) &&
           is_same_text(a->keyring_stash_file, b->keyring_stash_file);
}

/* All of a connectivity rule but its name and how traffic is protected. */
static char *body_of_rule(struct writing *writing, const struct facts *facts)
{
    struct policy_out out;
    if (!policy_out_begin(&out))
        return NULL;
    put_end(writing, out.stream, "local", &facts->local, facts->local_group, facts->info.name);
    put_end(writing, out.stream, "remote", &facts->remote, facts->remote_group, facts->info.name);
    if (facts->keyring != NULL && (writing->usual == NULL || !is_same_keyring(facts, writing->usual))) {
        put_key(out.stream, "keyring", facts->keyring);
        put_key(out.stream, "keyring_password", facts->keyring_password);
        put_key(out.stream, "keyring_stash_file", facts->keyring_stash_file);
    }
    put_key(out.stream, "certificate_label", facts->certificate_label);
    put_list(out.stream, "server_certificate_labels", &facts->server_labels);
    put_key(out.stream, "server_name", facts->server_name);
    put_key(out.stream, "time", intern_time(writing, facts));
    put_key(out.stream, "trace", facts->trace);
    return text_of(&out);
}

/* ---- connectivity rules ---- */

static int compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Whether the name is free, which it then is no more. */
static bool take_name(struct writing *writing, const char *name)
{
    char **found = tsearch(name, &writing->rule_names, compare_text);
    writing->no_memory |= found == NULL;
    return found != NULL && *found == name;
}

/* How many rules from `first` on a build made of one connectivity rule: same comment, same body. */
static size_t num_of_run(struct writing *writing, size_t first, const char *body)
{
    const struct hint *hint = &writing->facts[first].hint;
    size_t num = 1;
    while (first + num < writing->num_facts) {
        const struct hint *next = &writing->facts[first + num].hint;
        char *next_body = NULL;
        bool is_same = is_same_text(hint->rule, next->rule) && is_same_text(hint->map, next->map);
        if (is_same)
            next_body = body_of_rule(writing, &writing->facts[first + num]);
        is_same = is_same && next_body != NULL && strcmp(body, next_body) == 0;
        free(next_body);
        if (!is_same)
            break;
        num++;
    }
    return num;
}

static char *body_of_map(struct writing *writing, size_t first, size_t num)
{
    struct policy_out out;
    if (!policy_out_begin(&out))
        return NULL;
    fprintf(out.stream, "    map:\n");
    for (size_t i = first; i < first + num; i++) {
        fprintf(out.stream, "      - { traffic: ");
        put_value(out.stream, intern_traffic(writing, &writing->facts[i]));
        fprintf(out.stream, ", security: ");
        put_value(out.stream, intern_level(writing, &writing->facts[i]));
        fprintf(out.stream, " }\n");
    }
    return text_of(&out);
}

static size_t put_rule(struct writing *writing, size_t first)
{
    const struct facts *facts = &writing->facts[first];
    FILE *to = writing->rules.stream;
    char *body = body_of_rule(writing, facts);
    size_t num = 1;
    if (body == NULL) {
        writing->no_memory = true;
        return num;
    }
    bool is_given = facts->hint.rule != NULL && take_name(writing, facts->hint.rule);
    if (!is_given)
        (void)take_name(writing, facts->info.name);
    fprintf(to, "      - name: ");
    put_value(to, is_given ? facts->hint.rule : facts->info.name);
    fputc('\n', to);
    for (const char *line = body; *line != '\0'; line += strcspn(line, "\n") + 1)
        fprintf(to, "    %.*s\n", (int)strcspn(line, "\n"), line);
    if (is_given && facts->hint.map != NULL) {
        num = num_of_run(writing, first, body);
        fprintf(to, "        requirement_map: ");
        put_value(to, intern(writing, MODEL_MAP, facts->hint.map, true, body_of_map(writing, first, num)));
    } else {
        fprintf(to, "        traffic: ");
        put_value(to, intern_traffic(writing, facts));
        fprintf(to, "\n        security: ");
        put_value(to, intern_level(writing, facts));
    }
    fputc('\n', to);
    if (writing->own_priorities)
        fprintf(to, "        priority: %u\n", facts->info.priority);
    free(body);
    return num;
}

/* ---- the whole ---- */

/* The keyring that most rules have. */
static const struct facts *find_usual(const struct facts *facts, size_t num)
{
    const struct facts *best = NULL;
    size_t best_uses = 0, num_looked_at = 0;
    for (size_t i = 0; i < num && num_looked_at < 1000; i++) {
        size_t uses = 0;
        if (facts[i].keyring == NULL || (best != NULL && is_same_keyring(best, &facts[i])))
            continue;
        num_looked_at++;
        for (size_t j = 0; j < num; j++)
            uses += is_same_keyring(&facts[i], &facts[j]);
        if (uses > best_uses) {
            best = &facts[i];
            best_uses = uses;
        }
    }
    return best;
}

static void add_predefined(struct writing *writing)
{
    size_t num = 0;
    const struct level *levels = levels_table(&num);
    for (size_t i = 0; i < num; i++) {
        char *body = body_of_level(NULL, &levels[i]);
        if (body == NULL)
            writing->no_memory = true;
        else
            (void)add_object(writing, &writing->kinds[MODEL_LEVEL], levels[i].name, body, true);
    }
}

static void put_objects(const struct writing *writing, FILE *to)
{
    for (int kind = 0; kind < MODEL_NUM_KINDS; kind++) {
        const struct objects *objects = &writing->kinds[kind];
        bool is_begun = false;
        for (size_t i = 0; i < objects->num; i++) {
            if (objects->all[i]->is_predefined)
                continue;
            if (!is_begun)
                fprintf(to, "\n%s:\n", model_list_key((enum model_kind)kind));
            is_begun = true;
            fprintf(to, "  - name: ");
            put_value(to, objects->all[i]->name);
            fprintf(to, "\n%s", objects->all[i]->body);
        }
    }
}

static void put_stack(const struct writing *writing, FILE *to, const char *stack, const char *rules)
{
    fprintf(to, "\nstacks:\n  - name: ");
    put_value(to, stack);
    fputc('\n', to);
    if (writing->usual != NULL) {
        put_key(to, "keyring", writing->usual->keyring);
        put_key(to, "keyring_password", writing->usual->keyring_password);
        put_key(to, "keyring_stash_file", writing->usual->keyring_stash_file);
    }
    fprintf(to, "    connectivity_rules:\n%s", rules);
}

static void read_hints(struct writing *writing)
{
    for (size_t i = 0; i < writing->num_facts; i++) {
        struct facts *facts = &writing->facts[i];
        struct hint *hint = &facts->hint;
        free(hint->rule);
        free(hint->map);
        free(hint->traffic);
        free(hint->level);
        *hint = (struct hint){0};
        if (writing->hints != NULL)
            (void)hints_rule(writing->hints, facts->info.name, hint);
    }
}

char *model_write(struct facts *facts, size_t num_facts, const struct hints *hints, const char *stack,
                  const char *file_name, bool *ret_has_secret)
{
    struct writing writing = {.hints = hints, .facts = facts, .num_facts = num_facts};
    struct policy_out out = {0};
    *ret_has_secret = false;
    read_hints(&writing);
    writing.usual = find_usual(facts, num_facts);
    add_predefined(&writing);
    for (size_t i = 0; i < num_facts; i++) {
        writing.own_priorities |= facts[i].info.priority != 10 * (num_facts - i);
        *ret_has_secret |= facts[i].has_secret;
    }
    writing.no_memory |= !policy_out_begin(&writing.rules) || !policy_out_begin(&out);
    for (size_t i = 0; i < num_facts && !writing.no_memory;)
        i += put_rule(&writing, i);
    writing.no_memory |= !policy_out_end(&writing.rules);
    if (!writing.no_memory) {
        fprintf(out.stream, "# Imported by pel policy import from %s.\n", file_name);
        put_objects(&writing, out.stream);
        put_stack(&writing, out.stream, stack, writing.rules.text);
    }
    char *text = text_of(&out);
    for (int kind = 0; kind < MODEL_NUM_KINDS; kind++)
        free_objects(&writing.kinds[kind]);
    tdestroy(writing.rule_names, free_nothing);
    policy_out_free(&writing.rules);
    if (!writing.no_memory)
        return text;
    free(text);
    return NULL;
}
