/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/doctor_policy.h"

#include <jansson.h>
#include <pellucid/control.h>
#include <pellucid/keyring.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_KEYRINGS "/etc/pellucid/keyrings"
#define WARN_S           (30 * 86400)

struct verdict {
    enum pel_doctor_severity severity;
    const char *meaning, *remedy;
};

__attribute__((format(printf, 4, 5))) static void note(struct pel_doctor_report *report, const char *name,
                                                       const struct verdict *verdict, const char *format, ...)
{
    va_list args;
    struct pel_doctor_check *check = &report->checks[report->num_checks];
    if (report->num_checks == PEL_DOCTOR_CHECKS_MAX)
        return;
    report->num_checks++;
    check->name = name;
    check->severity = verdict->severity;
    check->meaning = verdict->meaning;
    check->remedy = verdict->remedy;
    va_start(args, format);
    vsnprintf(check->found, sizeof check->found, format, args);
    va_end(args);
}

/* ---- the stack that runs ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static json_t *ask_status(const char *socket_path, struct pel_error *reterr)
{
    char *text = NULL;
    if (pel_control_call(socket_path, "{\"verb\":\"policy-status\",\"parts\":[\"certificates\"]}", &text,
                         reterr) != PEL_OK)
        return NULL;
    json_t *reply = json_loads(text, 0, NULL);
    free(text);
    if (json_is_true(json_object_get(reply, "ok")))
        return reply;
    snprintf(reterr->text, sizeof reterr->text, "the stack that answers has no policy status");
    json_decref(reply);
    return NULL;
}

static void note_policy(const json_t *reply, struct pel_doctor_report *report)
{
    static const struct verdict
        fine = {PEL_DOCTOR_OK, "the last policy load went well", ""},
        failed = {PEL_DOCTOR_WARN, "the policy that was loaded before stays in force",
                  "mend what `pel policy status` shows, then `pel policy load`"},
        none = {PEL_DOCTOR_WARN, "while the start gate is closed nothing connects and nothing is accepted",
                "pel policy load FILE"},
        unusable = {PEL_DOCTOR_WARN, "the connections of these rules are refused",
                    "pel policy status --rules says why"};
    const json_t *failure = json_object_get(reply, "failure");
    long long generation = json_integer_value(json_object_get(reply, "generation"));
    long long num_unusable = json_integer_value(json_object_get(reply, "num_unusable"));
    if (json_is_object(failure))
        note(report, "policy", &failed, "the last load (%s) failed: %s", text_of(failure, "how"),
             text_of(failure, "error"));
    else if (generation == 0)
        note(report, "policy", &none, "no policy is in force");
    else if (num_unusable > 0)
        note(report, "policy", &unusable, "generation %lld: %lld rules cannot be served", generation,
             num_unusable);
    else
        note(report, "policy", &fine, "generation %lld is in force", generation);
}

static void note_certificates(const json_t *reply, struct pel_doctor_report *report)
{
    static const struct verdict
        fine = {PEL_DOCTOR_OK, "none ends within 30 days", ""},
        bad = {PEL_DOCTOR_WARN,
               "handshakes fail once a certificate has ended, and rules without a valid "
               "one refuse their connections",
               "renew what `pel policy status --certs` shows (`pel keyring cert … --force`)"};
    const json_t *cert, *first = NULL;
    size_t i, num = 0, num_used = 0;
    json_array_foreach(json_object_get(reply, "certificates"), i, cert)
    {
        if (!json_is_true(json_object_get(cert, "used")))
            continue;
        num_used++;
        if (strcmp(text_of(cert, "state"), "valid") == 0)
            continue;
        num++;
        first = first != NULL ? first : cert;
    }
    if (num == 0)
        note(report, "certificates", &fine, "%zu of the policy in force", num_used);
    else
        note(report, "certificates", &bad, "%zu of %zu; keyring %s, %s: %s", num, num_used,
             text_of(first, "keyring"), text_of(first, "label"), text_of(first, "state"));
}

/* ---- keyrings ---- */

struct look {
    int64_t now_s;
    size_t num, num_modes, num_ending;
    char first[160];
};

static void on_entry(void *arg, const struct pel_keyring_entry *entry)
{
    struct look *look = arg;
    bool mode = entry->problem == PEL_E_KEYRING_MODE;
    bool ending = entry->not_after_s != 0 && entry->not_after_s - look->now_s < WARN_S;
    look->num++;
    look->num_modes += mode;
    look->num_ending += ending;
    if (look->first[0] != '\0')
        return;
    if (mode)
        snprintf(look->first, sizeof look->first, "%s", entry->problem_text);
    else if (ending)
        snprintf(look->first, sizeof look->first, "%s/%s: %lld days left", entry->ring, entry->label,
                 (long long)((entry->not_after_s - look->now_s) / 86400));
}

static void note_keyrings(const char *dir, bool is_asked, struct pel_doctor_report *report)
{
    static const struct verdict
        fine = {PEL_DOCTOR_OK, "private keys are their owners' alone", ""},
        none = {PEL_DOCTOR_INFO, "rules that name a keyring cannot be served without",
                "pel keyring cert --dir RING …"},
        modes = {PEL_DOCTOR_WARN, "a key that others may read is not used",
                 "chmod 600 that key, and change it: others may have read it"},
        ending = {PEL_DOCTOR_WARN, "handshakes fail once a certificate has ended",
                  "pel keyring list --dir DIR shows them; pel keyring cert … --force renews"};
    struct look look = {.now_s = (int64_t)time(NULL)};
    struct pel_error error;
    if (!is_asked && access(dir, F_OK) != 0)
        return;
    if (pel_keyring_list(dir, look.now_s, on_entry, &look, &error) != PEL_OK)
        note(report, "keyrings", &none, "%s", error.text);
    else if (look.num_modes > 0)
        note(report, "keyrings", &modes, "%zu with a wrong mode: %s", look.num_modes, look.first);
    else if (look.num_ending > 0)
        note(report, "keyrings", &ending, "%zu of %zu certificates end within 30 days: %s", look.num_ending,
             look.num, look.first);
    else
        note(report, "keyrings", &fine, "%zu certificates below %s", look.num, dir);
}

void doctor_policy(const char *socket_path, const char *keyring_dir, struct pel_doctor_report *report)
{
    static const struct verdict nobody = {PEL_DOCTOR_OK, "there is no policy to look at", ""},
                                asked = {PEL_DOCTOR_WARN, "its policy was not looked at",
                                         "name the control socket of a stack that runs"};
    struct pel_error error = {0};
    json_t *reply = ask_status(socket_path, &error);
    if (reply != NULL) {
        note_policy(reply, report);
        note_certificates(reply, report);
    } else {
        note(report, "policy", socket_path != NULL ? &asked : &nobody, "%s", error.text);
    }
    const char *of_stack = reply != NULL ? text_of(reply, "keyring_dir") : "";
    if (keyring_dir != NULL)
        note_keyrings(keyring_dir, true, report);
    else
        note_keyrings(of_stack[0] != '\0' ? of_stack : DEFAULT_KEYRINGS, false, report);
    json_decref(reply);
}
