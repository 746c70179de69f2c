/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/view/pasearch.h"

#include <pellucid/policy.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "policy/ciphers.h"
#include "policy/view/settings_list.h"

struct report {
    const struct pel_policy *policy;
    size_t index;
    int64_t loaded_s;
    struct pel_settings_list settings;
    struct pel_arena scratch;
    struct pel_out out;
};

enum { DATE_LEN = 40 };

static const char *format_time(int64_t wall_s, const char *format, char text[DATE_LEN])
{
    time_t time = (time_t)wall_s;
    struct tm tm;
    if (localtime_r(&time, &tm) == NULL || strftime(text, DATE_LEN, format, &tm) == 0)
        text[0] = '\0';
    return text;
}

static void write_dates(struct report *report, const char *blanks)
{
    char date[DATE_LEN];
    format_time(report->loaded_s, "%a %b %e %H:%M:%S %Y", date);
    pel_out_format(&report->out, "%sPolicy created: %s\n%sPolicy updated: %s\n", blanks, date, blanks, date);
}

/* ---- The rule ---- */

static const char *value_or(const struct report *report, const char *name, const char *otherwise)
{
    const char *value = pel_settings_text(&report->settings, pel_settings_find(&report->settings, name, 0));
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

static const char *coded_or(const struct report *report, const char *name, const char *otherwise)
{
    const struct pel_kept_setting *setting = pel_settings_find(&report->settings, name, 0);
    return setting != NULL && setting->is_coded ? value_or(report, name, otherwise) : otherwise;
}

static enum pel_err write_addresses(struct report *report, const char *title, enum pel_slot slot)
{
    struct pel_ip_ranges ranges;
    char from[46] = "All", to[46] = "All";
    PEL_TRY(pel_param_ranges(&report->scratch,
                             pel_stmt_get(report->policy->model->rules[report->index], slot), &ranges));
    if (ranges.num > 0) {
        const struct pel_ip_range *first = &ranges.ranges[0], *last = &ranges.ranges[ranges.num - 1];
        struct pel_ip low = {.version = first->version}, high = {.version = last->version};
        memcpy(low.bytes, first->low, sizeof low.bytes);
        memcpy(high.bytes, last->high, sizeof high.bytes);
        (void)pel_ip_format(&low, from, sizeof from);
        (void)pel_ip_format(&high, to, sizeof to);
    }
    pel_out_format(&report->out, "   %s Address:\n    FromAddr:           %-46s\n", title, from);
    pel_out_format(&report->out, "    ToAddr:             %-46s\n", to);
    return PEL_OK;
}

static enum pel_err write_ports(struct report *report, const char *title, enum pel_slot slot)
{
    struct pel_port_ranges ports;
    unsigned low = 0, high = 0;
    char from[32], to[32];
    PEL_TRY(pel_param_ports(&report->scratch, pel_stmt_get(report->policy->model->rules[report->index], slot),
                            &ports));
    if (ports.num > 0 && ports.ranges[0].low > 0) {
        low = ports.ranges[0].low;
        high = ports.ranges[ports.num - 1].high;
    }
    snprintf(from, sizeof from, "%sPortFrom:", title);
    snprintf(to, sizeof to, "%sPortTo:", title);
    pel_out_format(&report->out, "   %-20s %-18u%-18s %-6u\n", from, low, to, high);
    return PEL_OK;
}

/* A mask as two halves: days from the first of the month, and from its last. Without a mask, all. */
static void write_days(struct report *report, const char *mask)
{
    static const char ones[] = "1111111111111111111111111111111", zeros[] = "0000000000000000000000000000000";
    size_t len = strlen(mask);
    const char *last = len == 62 ? mask + 31 : len == 31 ? zeros : ones;
    pel_out_format(&report->out,
                   "   Day of Month Mask:\n   First to Last:       %.31s\n   Last to First:       %.31s\n",
                   len == 31 || len == 62 ? mask : ones, last);
}

/* hh:mm-hh:mm, several with commas between. */
static void write_hours(struct report *report, const char *ranges)
{
    while (*ranges != '\0') {
        size_t len = strcspn(ranges, ","), from_len = strcspn(ranges, "-:");
        from_len += ranges[from_len] == ':' ? strcspn(ranges + from_len, "-") : 0;
        if (from_len >= len)
            return;
        pel_out_format(&report->out, "   Fr TimeOfDay:        %-18.*sTo TimeOfDay:      %-16.*s\n",
                       (int)from_len, ranges, (int)(len - from_len - 1), ranges + from_len + 1);
        ranges += len + (ranges[len] == ',');
    }
}

static void write_time(struct report *report)
{
    const char *dates = value_or(report, "ConditionTimeRange", "None");
    int start_len = (int)strcspn(dates, ":");
    const char *end = dates[start_len] == ':' ? dates + start_len + 1 : "None";
    pel_out_text(&report->out, "  Time Periods:\n");
    write_days(report, coded_or(report, "DayOfMonthMask", ""));
    pel_out_format(&report->out, "   Month of Yr Mask:    %-16s\n", value_or(report, "MonthOfYearMask", ""));
    pel_out_format(&report->out, "   Day of Week Mask:    %s  (Sunday - Saturday)\n",
                   value_or(report, "DayOfWeekMask", ""));
    pel_out_format(&report->out, "   Start Date Time:     %-16.*s\n   End Date Time:       %-16s\n",
                   start_len, dates, end);
    write_hours(report, value_or(report, "TimeOfDayRange", "00:00-24:00"));
    pel_out_text(&report->out,
                 "   Fr TimeOfDay UTC:    00:00             To TimeOfDay UTC:  00:00           \n");
    /* An offset is the zone; the published report has none. */
    const char *offset = value_or(report, "TimezoneOffset", NULL);
    if (offset == NULL)
        pel_out_format(&report->out, "   TimeZone:            %-16s\n",
                       value_or(report, "TimeZone", "Local"));
    else
        pel_out_format(&report->out, "   TimezoneOffset:      %-16s\n", offset);
}

static enum pel_err write_conditions(struct report *report)
{
    pel_out_text(&report->out, "  TTLS Condition Summary:                 NegativeIndicator: Off\n");
    PEL_TRY(write_addresses(report, "Local", PEL_SLOT_LOCAL_ADDR));
    PEL_TRY(write_addresses(report, "Remote", PEL_SLOT_REMOTE_ADDR));
    PEL_TRY(write_ports(report, "Local", PEL_SLOT_LOCAL_PORT));
    PEL_TRY(write_ports(report, "Remote", PEL_SLOT_REMOTE_PORT));
    pel_out_format(&report->out, "   JobName:             %-18sUserId:            %-16s\n",
                   value_or(report, "Jobname", ""), value_or(report, "Userid", ""));
    pel_out_format(&report->out, "   ServiceDirection:    %-16s\n", value_or(report, "Direction", ""));
    return PEL_OK;
}

/* The rule's actions in the order of the text. */
static size_t actions_of(const struct report *report, enum pel_level levels[PEL_NUM_LEVELS],
                         const char *names[PEL_NUM_LEVELS])
{
    static const enum pel_slot slots[] = {PEL_SLOT_GROUP_ACTION, PEL_SLOT_ENV_ACTION, PEL_SLOT_CONN_ACTION};
    const struct pel_param *params[PEL_NUM_LEVELS];
    size_t num = 0;
    for (size_t i = 0; i < PEL_NUM_LEVELS; i++) {
        const struct pel_param *param = pel_stmt_get(report->policy->model->rules[report->index], slots[i]);
        size_t at = num;
        if (param == NULL)
            continue;
        for (; at > 0 && params[at - 1]->pos.line > param->pos.line; at--) {
            params[at] = params[at - 1];
            levels[at] = levels[at - 1];
        }
        params[at] = param;
        levels[at] = (enum pel_level)i;
        num++;
    }
    for (size_t i = 0; i < num; i++)
        names[i] = params[i]->child->name[0] != '\0' ? params[i]->child->name : "(inline)";
    return num;
}

static enum pel_err write_rule(struct report *report)
{
    const struct pel_rule *rule = &report->policy->rules[report->index];
    struct pel_out *out = &report->out;
    enum pel_level levels[PEL_NUM_LEVELS];
    const char *names[PEL_NUM_LEVELS];
    size_t num = actions_of(report, levels, names);
    pel_out_format(out, "policyRule:             %-47s\n", rule->name);
    pel_out_format(out, "  Rule Type:            %-47s\n", "TTLS");
    pel_out_format(out, "  Version:              %-18sStatus:            %-16s\n", "3", "Active");
    pel_out_format(out, "  Weight:               %-18uForLoadDist:       False \n", rule->priority);
    pel_out_format(out, "  Priority:             %-18uSequence Actions:  Don't Care  \n", rule->priority);
    pel_out_format(out, "  No. Policy Action:    %zu\n", num);
    for (size_t i = 0; i < num; i++) {
        pel_out_format(out, "  policyAction:         %-47s\n", names[i]);
        pel_out_format(out, "   ActionType:          TTLS %-11s\n", pel_pasearch_actions[levels[i]].scope);
        pel_out_format(out, "   Action Sequence:     %-16s\n", "0");
    }
    write_time(report);
    PEL_TRY(write_conditions(report));
    write_dates(report, "  ");
    return PEL_OK;
}

/* ---- Actions ---- */

static void write_pair(struct pel_out *out, int indent, const char *digits)
{
    static const char *const hashes[] = {NULL, NULL, "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"};
    static const char *const signatures[] = {NULL, "RSA", "DSA", "ECDSA"};
    unsigned hash = (unsigned)(digits[0] - '0') * 10 + (unsigned)(digits[1] - '0');
    unsigned signature = (unsigned)(digits[2] - '0') * 10 + (unsigned)(digits[3] - '0');
    pel_out_format(out, "%*s%.4s", indent, "", digits);
    if (hash >= 2 && hash <= 6 && signature >= 1 && signature <= 3)
        pel_out_format(out, "  TLS_SIGALG_%s_WITH_%s", hashes[hash], signatures[signature]);
    else if (hash == 8 && signature >= 4 && signature <= 6)
        pel_out_format(out, "  TLS_SIGALG_%s_WITH_RSASSA_PSS", hashes[signature]);
    pel_out_text(out, "\n");
}

static void write_group(struct pel_out *out, int indent, const char *digits)
{
    static const struct {
        const char *digits, *name;
    } groups[] = {{"0019", "secp192r1"}, {"0021", "secp224r1"}, {"0023", "secp256r1"}, {"0024", "secp384r1"},
                  {"0025", "secp521r1"}, {"0029", "X25519"},    {"0030", "X448"}};
    pel_out_format(out, "%*s%.4s", indent, "", digits);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (memcmp(groups[i].digits, digits, 4) == 0)
            pel_out_format(out, "  %s", groups[i].name);
    }
    pel_out_text(out, "\n");
}

/* A value that is a list of four digits each, below its name. */
static void write_list(struct report *report, const char *title, int indent,
                       const struct pel_pasearch_row *row, const char *value)
{
    struct pel_out *out = &report->out;
    if (value[0] < '0' || value[0] > '9') {
        pel_out_format(out, "%*s%s:%*s%-*s\n", indent, "", title,
                       row->column - indent - (int)strlen(title) - 1, "", row->width, value);
        return;
    }
    pel_out_format(out, "%*s%s:\n", indent, "", title);
    char digits[4];
    for (size_t num = 0; *value != '\0'; value++) {
        if (*value == ' ')
            continue;
        digits[num++ % 4] = *value;
        if (num % 4 == 0 && row->form == PEL_PA_GROUPS)
            write_group(out, indent + 1, digits);
        else if (num % 4 == 0)
            write_pair(out, indent + 1, digits);
    }
}

static void write_suites(struct report *report, const char *title, int indent, const char *value)
{
    pel_out_format(&report->out, "%*s%s:\n", indent, "", title);
    while (*value != '\0') {
        size_t len = strcspn(value, "\n");
        const struct pel_cipher *cipher = pel_cipher_by_name(value, len);
        if (cipher != NULL)
            pel_out_format(&report->out, "%*s%04X  %s\n", indent + 1, "", cipher->code, cipher->name);
        value += len + (value[len] == '\n');
    }
}

/* Several values are a line each. */
static void write_values(struct report *report, const char *title, int indent,
                         const struct pel_pasearch_row *row, const char *value)
{
    int blanks = row->column - indent - (int)strlen(title) - 1;
    for (bool more = true; more;) {
        size_t len = strcspn(value, "\n");
        int pad = row->width > (int)len ? row->width - (int)len : 0;
        pel_out_format(&report->out, "%*s%s:%*s", indent, "", title, blanks > 0 ? blanks : 1, "");
        pel_out_add(&report->out, value, len);
        pel_out_format(&report->out, "%*s\n", pad, "");
        more = value[len] != '\0';
        value += len + 1;
    }
}

static void write_row(struct report *report, int indent, const struct pel_pasearch_row *row,
                      const struct pel_kept_setting *setting)
{
    const char *title = row->printed != NULL ? row->printed : row->name;
    const char *value = pel_settings_text(&report->settings, setting);
    if (value == NULL || (row->when == PEL_PA_CODED && !setting->is_coded))
        return;
    if ((setting->row->flags & PEL_ROW_SECRET) != 0)
        value = "(not shown)";
    switch (row->form) {
    case PEL_PA_VALUE: write_values(report, title, indent, row, value); break;
    case PEL_PA_GROUPS:
    case PEL_PA_PAIRS: write_list(report, title, indent, row, value); break;
    case PEL_PA_SUITES: write_suites(report, title, indent, value); break;
    }
}

/* The original's list when none is coded, less what is not available here. */
static const char all_pairs[] = "0601 0603 0501 0503 0401 0403 0201";

/* Of a client that takes any curve the original prints no key shares. */
static bool is_left_out(const struct report *report, const struct pel_kept_setting *setting)
{
    const struct pel_kept_setting *curves = pel_settings_find(&report->settings, "ClientECurves", 0);
    const char *value = pel_settings_text(&report->settings, curves);
    return setting != NULL && !setting->is_coded && strcmp(setting->row->name, "ClientKeyShareGroups") == 0 &&
           value != NULL && strcmp(value, "Any") == 0;
}

static void write_listed(struct report *report, const struct pel_pasearch_block *block,
                         const struct pel_pasearch_row *row)
{
    const struct pel_kept_setting *setting = pel_settings_find(&report->settings, row->name, 0);
    if (setting == NULL || is_left_out(report, setting))
        return;
    if (row->form == PEL_PA_PAIRS && row->when == PEL_PA_ALWAYS && !setting->has_value)
        write_list(report, row->name, block->indent, row, all_pairs);
    else
        write_row(report, block->indent, row, setting);
}

static bool is_listed(const struct pel_pasearch_action *action, const char *name)
{
    for (size_t i = 0; i < action->num_blocks; i++) {
        for (size_t j = 0; j < action->blocks[i].num_rows; j++) {
            if (strcmp(action->blocks[i].rows[j].name, name) == 0)
                return true;
        }
    }
    return false;
}

/* A block has all parameters of its statement that are coded. */
static bool has_coded(const struct report *report, enum pel_stmt_type home)
{
    for (size_t i = 0; i < report->settings.num; i++) {
        if (report->settings.settings[i].home == home && report->settings.settings[i].is_coded)
            return true;
    }
    return false;
}

static void write_block(struct report *report, const struct pel_pasearch_action *action,
                        const struct pel_pasearch_block *block, bool first)
{
    if (block->when == PEL_PA_CODED && !has_coded(report, block->home))
        return;
    if (block->title != NULL)
        pel_out_format(&report->out, "%s\n", block->title);
    for (size_t i = 0; i < block->num_rows; i++)
        write_listed(report, block, &block->rows[i]);
    for (size_t i = 0; i < report->settings.num && first; i++) {
        const struct pel_kept_setting *setting = &report->settings.settings[i];
        struct pel_pasearch_row row = {
            .name = setting->row->name, .when = PEL_PA_CODED, .column = block->column, .width = 15};
        if (setting->home == block->home && !is_listed(action, row.name))
            write_row(report, block->indent, &row, setting);
    }
}

static enum pel_err write_action(struct report *report, enum pel_level level, const char *name)
{
    const struct pel_pasearch_action *action = &pel_pasearch_actions[level];
    pel_settings_clear(&report->settings);
    PEL_TRY(
        pel_settings_walk_action(report->policy, report->index, level, pel_settings_keep, &report->settings));
    if (report->settings.failed)
        return PEL_E_NO_MEMORY;
    pel_out_format(&report->out, "\n  TTLS Action:                  %-47s\n", name);
    pel_out_format(&report->out,
                   "    Version:                    3               \n"
                   "    Status:                     Active  \n"
                   "    Scope:                      %s\n",
                   action->scope);
    for (size_t i = 0; i < action->num_blocks; i++) {
        bool first = true;
        for (size_t j = 0; j < i; j++)
            first = first && action->blocks[j].home != action->blocks[i].home;
        write_block(report, action, &action->blocks[i], first);
    }
    write_dates(report, "    ");
    return PEL_OK;
}

static enum pel_err write_all(struct report *report)
{
    enum pel_level levels[PEL_NUM_LEVELS];
    const char *names[PEL_NUM_LEVELS];
    size_t num = actions_of(report, levels, names);
    PEL_TRY(pel_settings_walk(report->policy, report->index, PEL_SETTINGS_CONDITIONS, pel_settings_keep,
                              &report->settings));
    if (report->settings.failed)
        return PEL_E_NO_MEMORY;
    PEL_TRY(write_rule(report));
    for (size_t i = 0; i < num; i++)
        PEL_TRY(write_action(report, levels[i], names[i]));
    pel_out_text(&report->out, "\n");
    return report->out.failed ? PEL_E_NO_MEMORY : PEL_OK;
}

enum pel_err pel_policy_pasearch_rule(const struct pel_policy *policy, size_t index, int64_t loaded_s,
                                      pel_policy_write_fn *fn, void *arg)
{
    struct report report = {.policy = policy, .index = index, .loaded_s = loaded_s};
    if (index >= policy->num_rules)
        return PEL_E_ARG;
    enum pel_err err = write_all(&report);
    if (err == PEL_OK)
        err = fn(arg, report.out.text, report.out.len);
    pel_arena_free(&report.scratch);
    pel_settings_free(&report.settings);
    pel_out_free(&report.out);
    return err;
}

enum pel_err pel_policy_pasearch_head(int64_t now_s, int64_t loaded_s, pel_policy_write_fn *fn, void *arg)
{
    char title[64], date[DATE_LEN], hour[DATE_LEN];
    struct pel_out out = {0};
    snprintf(title, sizeof title, "TCP/IP pasearch Pellucid");
    pel_out_format(&out, "\n%-42sImage Name: %-25s\n", title, "TCPIP");
    pel_out_format(&out, "  Date:                 %-18sTime:  %s \n", format_time(now_s, "%m/%d/%Y", date),
                   format_time(now_s, "%H:%M:%S", hour));
    pel_out_format(&out, "  TTLS Instance Id:     %lld\n\n", (long long)loaded_s);
    enum pel_err err = out.failed ? PEL_E_NO_MEMORY : fn(arg, out.text, out.len);
    pel_out_free(&out);
    return err;
}
