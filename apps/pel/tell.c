/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/pel/tell.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/pel/ask.h"
#include "apps/pel/sockets.h"

struct told {
    const char *ring; /* as it was named */
    const char *path; /* where that is */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_loaded(const json_t *reply)
{
    long long num_certs = number_of(reply, "certificates_replaced"), unusable = number_of(reply, "unusable");
    printf("the running stack (%s, process %lld) loaded generation %lld", text_of(reply, "program"),
           number_of(reply, "pid"), number_of(reply, "generation"));
    if (num_certs > 0)
        printf("; %lld certificate%s new", num_certs, num_certs == 1 ? " is" : "s are");
    if (unusable > 0)
        printf("; %lld rule%s cannot be served (pel policy status)", unusable, unusable == 1 ? "" : "s");
    printf("\n");
}

static void print_not_loaded(const json_t *reply)
{
    fflush(stdout);
    fprintf(stderr, "pel keyring: the running stack (%s, process %lld) has not loaded it: %s; ",
            text_of(reply, "program"), number_of(reply, "pid"), text_of(reply, "error"));
    if (number_of(reply, "generation") > 0)
        fprintf(stderr, "generation %lld stays in force\n", number_of(reply, "generation"));
    else
        fprintf(stderr, "no policy is in force\n");
}

static void print_reply(const struct told *told, const json_t *reply)
{
    const char *relation = text_of(reply, "relation");
    if (strcmp(relation, "none") == 0)
        return;
    if (strcmp(relation, "used") != 0)
        printf("no rule of the running stack (%s, process %lld) takes from %s\n", text_of(reply, "program"),
               number_of(reply, "pid"), told->ring);
    else if (json_is_true(json_object_get(reply, "watch")))
        printf("the running stack (%s, process %lld) watches this keyring, and loads by itself\n",
               text_of(reply, "program"), number_of(reply, "pid"));
    else if (json_is_true(json_object_get(reply, "loaded")))
        print_loaded(reply);
    else
        print_not_loaded(reply);
}

static void tell_one(void *arg, const char *socket_path)
{
    const struct told *told = arg;
    struct pel_error error = {0};
    json_t *reply =
        ask_call(socket_path, json_pack("{s:s, s:s}", "verb", "keyring-changed", "ring", told->path), &error);
    bool refused = reply != NULL && !json_is_true(json_object_get(reply, "ok"));
    if (reply == NULL || refused)
        fprintf(stderr, "pel keyring: the stack at %s was not told: %s\n", socket_path,
                refused ? text_of(reply, "error") : error.text);
    else
        print_reply(told, reply);
    json_decref(reply);
}

/* Other users' stacks are none of ours. */
static void tell_if_allowed(void *arg, const char *socket_path)
{
    if (access(socket_path, W_OK) == 0)
        tell_one(arg, socket_path);
}

void tell_keyring_changed(const char *socket_path, const char *ring)
{
    char path[PATH_MAX];
    struct told told = {.ring = ring, .path = path};
    if (realpath(ring, path) == NULL)
        return;
    if (socket_path != NULL)
        tell_one(&told, socket_path);
    else
        sockets_each(tell_if_allowed, &told);
}
