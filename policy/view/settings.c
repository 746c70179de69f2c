/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/settings.h"

#include <string.h>

#include "policy/ciphers.h"
#include "policy/view/holding.h"
#include "policy/view/value_write.h"

struct walk {
    const struct pel_policy *policy;
    const struct pel_rule *rule;
    struct pel_levels levels;
    bool one_action; /* its own parameters, all of them */
    bool coded;      /* PEL_SETTINGS_CODED */
    struct pel_arena scratch;
    struct pel_out value, note;
    pel_settings_fn *fn;
    void *arg;
};

static const char *text_of(const struct pel_out *out)
{
    return out->text != NULL ? out->text : "";
}

static void add_line(struct pel_out *out, const char *text)
{
    if (out->len > 0)
        pel_out_text(out, "\n");
    pel_out_text(out, text);
}

static enum pel_err write_addresses(struct walk *walk, const struct pel_param *param)
{
    struct pel_ip_ranges ranges;
    PEL_TRY(pel_param_ranges(&walk->scratch, param, &ranges));
    if (ranges.num == 0)
        pel_out_text(&walk->value, "All");
    for (size_t i = 0; i < ranges.num; i++) {
        if (i > 0)
            pel_out_text(&walk->value, "\n");
        pel_value_write_range(&walk->value, &ranges.ranges[i]);
    }
    return PEL_OK;
}

static enum pel_err write_ports(struct walk *walk, const struct pel_param *param)
{
    struct pel_port_ranges ports;
    PEL_TRY(pel_param_ports(&walk->scratch, param, &ports));
    if (ports.num == 0)
        pel_out_text(&walk->value, "0");
    for (size_t i = 0; i < ports.num; i++) {
        if (i > 0)
            pel_out_text(&walk->value, "\n");
        pel_value_write_ports(&walk->value, ports.ranges[i]);
    }
    return PEL_OK;
}

/* The suites that are left of a list, and how many are not. */
static void write_suites(struct walk *walk, const struct pel_stmt *ciphers)
{
    for (size_t i = 0; i < ciphers->num_suites; i++)
        add_line(&walk->value, pel_cipher_by_code(ciphers->suites[i])->name);
}

/* What must be said about the value that the walk has written. */
static void write_note(struct walk *walk, enum pel_stmt_type home, const struct pel_row *row,
                       struct pel_found found)
{
    bool on = strcmp(text_of(&walk->value), "On") == 0;
    if (on && (row->slot == PEL_SLOT_SSLV2 || row->slot == PEL_SLOT_SSLV3))
        pel_out_format(&walk->note, "no effect: SSL %s is never spoken",
                       row->slot == PEL_SLOT_SSLV2 ? "2.0" : "3.0");
    if (found.param != NULL && pel_schema_no_effect(home, row) != NULL)
        pel_out_format(&walk->note, "no effect: %s", pel_schema_no_effect(home, row));
    const struct pel_value_remark *remark =
        found.param != NULL ? pel_schema_remark(row, found.param->number) : NULL;
    if (remark != NULL)
        pel_out_format(&walk->note, "%s%s", remark->kind == PEL_REMARK_NO_EFFECT ? "no effect: " : "",
                       remark->text);
    if (found.param == NULL && row->type == PEL_V_CIPHERS4 && walk->value.len == 0)
        pel_out_text(&walk->note, "the suites of TLS 1.3 and the ECDHE ones with AEAD");
}

/* What holds where nothing is coded. A level that has no default of its own inherits the group's. */
static const char *default_of(const struct walk *walk, const struct pel_row *row)
{
    bool old = row->slot == PEL_SLOT_TLSV1 || row->slot == PEL_SLOT_TLSV1_1;
    if (walk->policy->model->compat_zos &&
        (old || row->slot == PEL_SLOT_TLSV1_2 || row->slot == PEL_SLOT_TLSV1_3))
        return old ? "On" : "Off";
    if (row->default_value != NULL)
        return row->default_value;
    const struct pel_row *inherited = pel_schema_row(PEL_S_GROUP_ACTION, row->name, row->name_len);
    return inherited != NULL ? inherited->default_value : NULL;
}

static void hand_out(struct walk *walk, enum pel_stmt_type home, const struct pel_row *row,
                     struct pel_found found, bool has_value)
{
    const struct pel_holding holding = {walk->rule, &walk->levels, walk->one_action};
    struct pel_held held = {0};
    struct pel_setting setting = {.home = home, .row = row, .found = found};
    const char *uncoded = default_of(walk, row);
    if (!walk->coded)
        held = pel_holding_apply(&holding, row, found, &walk->value, &walk->note);
    has_value = has_value || held.differs;
    bool is_uncoded =
        found.param == NULL || (has_value && uncoded != NULL && strcmp(text_of(&walk->value), uncoded) == 0);
    setting.is_default = is_uncoded && !held.differs;
    setting.by = held.by;
    setting.copied = held.copied;
    setting.value = has_value ? text_of(&walk->value) : NULL;
    write_note(walk, home, row, found);
    setting.note = walk->note.len > 0 ? walk->note.text : NULL;
    if (!walk->value.failed && !walk->note.failed)
        walk->fn(walk->arg, &setting);
}

static bool is_address(enum pel_slot slot)
{
    return slot == PEL_SLOT_LOCAL_ADDR || slot == PEL_SLOT_REMOTE_ADDR;
}

static bool is_port(enum pel_slot slot)
{
    return slot == PEL_SLOT_LOCAL_PORT || slot == PEL_SLOT_REMOTE_PORT;
}

static enum pel_err write_param(struct walk *walk, const struct pel_param *param)
{
    if (!walk->coded)
        return pel_value_write_canonical(&walk->value, &walk->scratch, param);
    pel_value_write(&walk->value, param);
    return PEL_OK;
}

/* Writes the value; `ret_has_value` is false when there is none. */
static enum pel_err write_value(struct walk *walk, const struct pel_row *row, struct pel_found found,
                                bool *ret_has_value)
{
    *ret_has_value = true;
    if (is_address(row->slot))
        return write_addresses(walk, found.param);
    if (is_port(row->slot))
        return write_ports(walk, found.param);
    if (row->type == PEL_V_CIPHERS4 && found.param != NULL)
        write_suites(walk, found.stmt);
    else if (found.param != NULL)
        PEL_TRY(write_param(walk, found.param));
    else if (default_of(walk, row) != NULL)
        pel_out_text(&walk->value, default_of(walk, row));
    else
        *ret_has_value = false;
    if (found.param == NULL || (row->flags & PEL_ROW_REPEAT) == 0 || row->type == PEL_V_CIPHERS4)
        return PEL_OK;
    for (const struct pel_param *item = pel_next_item(found.param); item != NULL;
         item = pel_next_item(item)) {
        pel_out_text(&walk->value, "\n");
        PEL_TRY(write_param(walk, item));
    }
    return PEL_OK;
}

static enum pel_err visit(struct walk *walk, enum pel_stmt_type home, const struct pel_row *row)
{
    struct pel_found found = pel_resolve(&walk->levels, home, row);
    bool has_value;
    /* Both cipher parameters feed one list. */
    if (row->type == PEL_V_CIPHERS4 && found.param == NULL && walk->levels.ciphers != NULL &&
        walk->levels.ciphers->num_suites > 0)
        found = pel_resolve(&walk->levels, home, pel_schema_row(PEL_S_CIPHERS, "V3CipherSuites", 14));
    pel_out_clear(&walk->value);
    pel_out_clear(&walk->note);
    PEL_TRY(write_value(walk, row, found, &has_value));
    hand_out(walk, home, row, found, has_value);
    pel_arena_free(&walk->scratch);
    return walk->value.failed || walk->note.failed ? PEL_E_NO_MEMORY : PEL_OK;
}

static bool has_row(enum pel_stmt_type type, const struct pel_row *row)
{
    return pel_schema_row(type, row->name, row->name_len) != NULL;
}

/* Whether the row is a parameter to show with `home`: not what only leads to another statement, not what
 * another row or another kind of statement stands for. */
static bool is_shown(const struct walk *walk, enum pel_stmt_type home, const struct pel_row *row)
{
    bool enabled = walk->rule->effective.ttls_enabled;
    if (row->type == PEL_V_BLOCK || row->type == PEL_V_REF || row->type == PEL_V_CIPHERS2)
        return false;
    if (walk->one_action)
        return true;
    if (home == PEL_S_GROUP_ACTION)
        return !enabled || !has_row(PEL_S_ENV_ACTION, row);
    if (home == PEL_S_GROUP_ADV)
        return !enabled || !has_row(PEL_S_ENV_ADV, row);
    if (home == PEL_S_CONN_ACTION)
        return !has_row(PEL_S_ENV_ACTION, row);
    return home != PEL_S_CONN_ADV || !has_row(PEL_S_ENV_ADV, row);
}

static enum pel_err walk_homes(struct walk *walk, const enum pel_stmt_type *homes, size_t num_homes)
{
    for (size_t i = 0; i < num_homes; i++) {
        const struct pel_statement_schema *schema = pel_schema(homes[i]);
        for (size_t j = 0; j < schema->num_rows; j++) {
            if (is_shown(walk, homes[i], &schema->rows[j]))
                PEL_TRY(visit(walk, homes[i], &schema->rows[j]));
        }
    }
    return PEL_OK;
}

static void end_walk(struct walk *walk)
{
    pel_arena_free(&walk->scratch);
    pel_out_free(&walk->value);
    pel_out_free(&walk->note);
}

enum pel_err pel_settings_walk(const struct pel_policy *policy, size_t index, unsigned parts,
                               pel_settings_fn *fn, void *arg)
{
    /* The first apply to a rule without TLS as well. */
    static const enum pel_stmt_type conditions[] = {PEL_S_RULE, PEL_S_IP_TIME};
    static const enum pel_stmt_type actions[] = {
        PEL_S_GROUP_ACTION, PEL_S_GROUP_ADV, PEL_S_ENV_ACTION, PEL_S_CONN_ACTION, PEL_S_KEYRING,
        PEL_S_CIPHERS,      PEL_S_SIGNATURE, PEL_S_ENV_ADV,    PEL_S_CONN_ADV,    PEL_S_GSK_ADV,
        PEL_S_GSK_LDAP,     PEL_S_GSK_OCSP,  PEL_S_GSK_CDP};
    enum { NUM_CLEAR = 2, NUM_ACTIONS = sizeof actions / sizeof *actions };
    struct walk walk = {.policy = policy,
                        .rule = &policy->rules[index],
                        .coded = (parts & PEL_SETTINGS_CODED) != 0,
                        .fn = fn,
                        .arg = arg};
    enum pel_err err = PEL_OK;
    pel_levels_of(policy->model->rules[index], &walk.levels);
    if ((parts & PEL_SETTINGS_CONDITIONS) != 0)
        err = walk_homes(&walk, conditions, sizeof conditions / sizeof *conditions);
    if (err == PEL_OK && (parts & PEL_SETTINGS_ACTIONS) != 0)
        err = walk_homes(&walk, actions, walk.rule->effective.ttls_enabled ? NUM_ACTIONS : NUM_CLEAR);
    end_walk(&walk);
    return err;
}

enum pel_err pel_settings_walk_action(const struct pel_policy *policy, size_t index, enum pel_level level,
                                      pel_settings_fn *fn, void *arg)
{
    static const enum pel_stmt_type group[] = {PEL_S_GROUP_ACTION, PEL_S_GROUP_ADV};
    static const enum pel_stmt_type env[] = {PEL_S_ENV_ACTION, PEL_S_KEYRING,  PEL_S_CIPHERS,
                                             PEL_S_SIGNATURE,  PEL_S_ENV_ADV,  PEL_S_GSK_ADV,
                                             PEL_S_GSK_LDAP,   PEL_S_GSK_OCSP, PEL_S_GSK_CDP};
    static const enum pel_stmt_type conn[] = {PEL_S_CONN_ACTION, PEL_S_CIPHERS, PEL_S_SIGNATURE,
                                              PEL_S_CONN_ADV};
    struct walk walk = {
        .policy = policy, .rule = &policy->rules[index], .one_action = true, .fn = fn, .arg = arg};
    enum pel_err err = PEL_OK;
    pel_levels_of_action(policy->model->rules[index], level, &walk.levels);
    switch (level) {
    case PEL_LEVEL_GROUP: err = walk_homes(&walk, group, sizeof group / sizeof *group); break;
    case PEL_LEVEL_ENVIRONMENT: err = walk_homes(&walk, env, sizeof env / sizeof *env); break;
    case PEL_LEVEL_CONNECTION:
    case PEL_NUM_LEVELS: err = walk_homes(&walk, conn, sizeof conn / sizeof *conn); break;
    }
    end_walk(&walk);
    return err;
}

struct forward {
    const struct pel_policy *policy;
    unsigned flags;
    pel_policy_setting_fn *fn;
    void *arg;
};

static void forward(void *arg, const struct pel_setting *setting)
{
    const struct forward *forward = arg;
    const struct pel_found *found = setting->copied.param != NULL ? &setting->copied : &setting->found;
    struct pel_title title;
    if (setting->is_default && (forward->flags & PEL_POLICY_SETTINGS_ALL) == 0)
        return;
    struct pel_policy_setting shown = {.statement = pel_schema(setting->home)->name,
                                       .name = setting->row->name,
                                       .value = setting->value,
                                       .from = setting->by != NULL ? setting->by : "default",
                                       .is_default = setting->is_default,
                                       .is_secret = (setting->row->flags & PEL_ROW_SECRET) != 0,
                                       .note = setting->note};
    if (found->param != NULL) {
        const struct pel_stmt *coded = found->param->child != NULL ? found->param->child : found->stmt;
        title = pel_stmt_title(coded);
        shown.from = title.text;
        shown.file = forward->policy->model->files[found->param->pos.file];
        shown.line = found->param->pos.line;
    }
    if (shown.is_secret && shown.value != NULL && (forward->flags & PEL_POLICY_SETTINGS_SECRETS) == 0)
        shown.value = "(not shown)";
    forward->fn(forward->arg, &shown);
}

enum pel_err pel_policy_settings(const struct pel_policy *policy, size_t index, unsigned flags,
                                 pel_policy_setting_fn *fn, void *arg)
{
    struct forward target = {.policy = policy, .flags = flags, .fn = fn, .arg = arg};
    if (index >= policy->num_rules)
        return PEL_E_ARG;
    unsigned parts = PEL_SETTINGS_CONDITIONS | PEL_SETTINGS_ACTIONS;
    if ((flags & PEL_POLICY_SETTINGS_CODED) != 0)
        parts |= PEL_SETTINGS_CODED;
    return pel_settings_walk(policy, index, parts, forward, &target);
}
