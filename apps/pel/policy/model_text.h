/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of a build share: text whose lines know what in the model they come from, and statements
 * that several rules need. Only model_text.c, model_actions.c and model_build.c include it.
 */
#ifndef PEL_APPS_PEL_POLICY_MODEL_TEXT_H
#define PEL_APPS_PEL_POLICY_MODEL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/pel/policy/apps_table.h"
#include "apps/pel/policy/levels.h"
#include "apps/pel/policy/model.h"
#include "apps/pel/policy/model_names.h"
#include "apps/pel/policy/out.h"

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
    const char **group_names; /* by address group: its statement's, once it is written */
    size_t work;              /* bytes written, also of what was there already */
    bool no_memory;
};

/* What a rule is made of. */
struct part {
    const struct model_rule *rule;
    char path[80]; /* the rule's, "stacks.0.connectivity_rules.3" */
    struct yaml_place at;
    const struct model_map *map;
    const struct model_traffic *traffic;
    struct yaml_place traffic_at;
    char traffic_path[40];
    const struct app *app;
    const char *level_name;
    const struct level *predefined; /* or */
    const struct model_level *level;
    struct yaml_place level_at;
    char level_path[40]; /* "security_levels.3"; of a predefined level "" */
    unsigned rank;       /* how many rules come behind this one */
    uint32_t priority;
    int role; /* of model_roles */
};

/* model_put writes to the section; the lines that end in the text come from `origin`. */
void model_put(struct build *build, struct section *section, struct yaml_place origin, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/* model_begin makes an empty section; false: no memory. model_drop frees one. model_append adds one that was
 * ended to another. */
bool model_begin(struct build *build, struct section *section);
void model_drop(struct section *section);
void model_append(struct build *build, struct section *to, const struct section *from);

/* model_share ends `body` and writes it as a statement, unless one of its kind and content is there. Returns
 * its name, "" without memory. */
const char *model_share(struct build *build, const char *kind, const char *stem, const char *comment,
                        struct yaml_place at, struct section *body);

/* A list of an object: lines of a statement, each with a place of its own. */
struct line_list {
    const char *path, *key; /* "security_levels.3", "advanced" */
    char **lines;
    unsigned num;
};

/* model_put_lines writes a list by parameter, so that the order in the model makes no difference; those that
 * repeat keep theirs. */
void model_put_lines(struct build *build, struct section *section, int indent, const struct line_list *list);

/* model_actions.c: each writes what the rule refers to, and the reference. */
bool model_is_clear(const struct part *part);
void model_put_actions(struct build *build, const struct part *part);
void model_put_time(struct build *build, const struct part *part);

#endif
