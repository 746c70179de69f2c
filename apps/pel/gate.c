/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/gate.h"

#include <pellucid/control.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/pel/sockets.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* ---- the verdict ---- */

struct verdict {
    enum pel_doctor_severity severity;
    const char *found, *meaning, *remedy;
};

static struct verdict judge(const json_t *stack)
{
    const json_t *gate = json_object_get(stack, "start_gate");
    if (json_is_true(json_object_get(gate, "closed")))
        return (struct verdict){PEL_DOCTOR_WARN, "closed: no policy is loaded",
                                "Programs get EAGAIN where they connect, and connections to them are reset; "
                                "one that gives up must be started again once a policy is loaded.",
                                "pel policy check FILE, then pel policy load FILE"};
    if (number_of(stack, "generation") == 0)
        return (struct verdict){PEL_DOCTOR_INFO, "open by configuration, and no policy is loaded",
                                "Everything goes in clear.", "pel policy load FILE"};
    if (json_array_size(json_object_get(gate, "held")) > 0)
        return (struct verdict){PEL_DOCTOR_INFO, "open; programs were turned away before the policy came",
                                "One that gave up then must be started again.", ""};
    return (struct verdict){PEL_DOCTOR_OK, "open", "A policy is in force.", ""};
}

static void set_verdict(json_t *stack, enum pel_doctor_severity severity, const char *found,
                        const char *meaning, const char *remedy)
{
    json_object_set_new(stack, "severity", json_string(pel_doctor_severity_name(severity)));
    json_object_set_new(stack, "found", json_string(found));
    json_object_set_new(stack, "meaning", json_string(meaning));
    json_object_set_new(stack, "remedy", json_string(remedy));
}

/* ---- asking ---- */

static void take_answer(json_t *stack, const char *reply_text)
{
    static const char *const keys[] = {"program", "pid", "generation", "start_gate"};
    json_t *reply = json_loads(reply_text, 0, NULL);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(reply, keys[i]);
        if (value != NULL)
            json_object_set(stack, keys[i], value);
    }
    json_decref(reply);
    if (json_object_get(stack, "start_gate") == NULL) {
        set_verdict(stack, PEL_DOCTOR_WARN, "it does not say whether its start gate is closed",
                    "It is of another release.", "");
        return;
    }
    const struct verdict verdict = judge(stack);
    set_verdict(stack, verdict.severity, verdict.found, verdict.meaning, verdict.remedy);
}

static json_t *ask_one(const char *path)
{
    char *reply = NULL;
    struct pel_error error = {.text = ""};
    json_t *stack = json_pack("{s:s}", "socket", path);
    if (stack == NULL)
        return NULL;
    if (pel_control_call(path, "{\"verb\":\"stats\"}", &reply, &error) == PEL_OK)
        take_answer(stack, reply);
    else
        set_verdict(stack, PEL_DOCTOR_WARN, error.text, "It cannot be told how that stack is.", "");
    free(reply);
    return stack;
}

static void add_stack(void *arg, const char *path)
{
    json_array_append_new(arg, ask_one(path));
}

json_t *gate_ask(const char *socket_path)
{
    json_t *stacks = json_array();
    if (socket_path != NULL) {
        json_array_append_new(stacks, ask_one(socket_path));
        return stacks;
    }
    sockets_each(add_stack, stacks);
    return stacks;
}

/* ---- showing ---- */

static enum pel_doctor_severity severity_of(const json_t *stack)
{
    for (int i = PEL_DOCTOR_OK; i < PEL_DOCTOR_BAD; i++)
        if (strcmp(text_of(stack, "severity"), pel_doctor_severity_name((enum pel_doctor_severity)i)) == 0)
            return (enum pel_doctor_severity)i;
    return PEL_DOCTOR_BAD;
}

enum pel_doctor_severity gate_worst(const json_t *stacks)
{
    enum pel_doctor_severity worst = PEL_DOCTOR_OK;
    size_t i;
    const json_t *stack;
    json_array_foreach(stacks, i, stack)
    {
        enum pel_doctor_severity severity = severity_of(stack);
        worst = severity > worst ? severity : worst;
    }
    return worst;
}

/* A job's name may hold anything. */
static void print_safely(const char *text)
{
    for (; *text != '\0'; text++)
        putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void print_row(const json_t *row, const char *indent)
{
    const char *what = text_of(row, "what");
    printf("%s%s %s %s by ", indent, what, strcmp(what, "connect") == 0 ? "to" : "at",
           text_of(row, "endpoint"));
    print_safely(text_of(row, "job"));
    printf(" of ");
    print_safely(text_of(row, "user"));
    printf(" (process %lld): %lld times, first %s, last %s\n", number_of(row, "pid"), number_of(row, "count"),
           text_of(row, "first"), text_of(row, "last"));
}

void gate_print_held(const json_t *start_gate, const char *indent)
{
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(start_gate, "held"), i, row) print_row(row, indent);
    if (number_of(start_gate, "others") > 0)
        printf("%sand %lld more by programs beyond those\n", indent, number_of(start_gate, "others"));
}

void gate_print(const json_t *stacks, bool verbose)
{
    size_t i;
    const json_t *stack;
    json_array_foreach(stacks, i, stack)
    {
        bool is_ok = severity_of(stack) == PEL_DOCTOR_OK;
        const char *program = text_of(stack, "program");
        printf("%-5s %-14s ", text_of(stack, "severity"), "start-gate");
        print_safely(program);
        if (program[0] != '\0')
            printf(" (process %lld): ", number_of(stack, "pid"));
        print_safely(text_of(stack, "found"));
        printf("\n");
        if (verbose || !is_ok)
            printf("      %-14s %s\n", "", text_of(stack, "meaning"));
        gate_print_held(json_object_get(stack, "start_gate"), "                     held: ");
        if (text_of(stack, "remedy")[0] != '\0')
            printf("      %-14s -> %s\n", "", text_of(stack, "remedy"));
    }
}
