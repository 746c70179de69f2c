/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/preload/names.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "apps/preload/env.h"
#include "apps/preload/real.h"

#define NUM_SETS 64
#define NUM_WAYS 8

struct entry {
    uint8_t address[16]; /* IPv4 mapped */
    uint64_t age;        /* 0: free; larger is younger */
    char name[PEL_IPC_NAME_LEN];
};

static struct entry entries[NUM_SETS][NUM_WAYS];
static uint64_t last_age;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void key_of(const union pel_ipc_address *address, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (address->family == AF_INET) {
        ret[10] = ret[11] = 0xff;
        memcpy(ret + 12, &address->in.sin_addr, 4);
    } else {
        memcpy(ret, &address->in6.sin6_addr, 16);
    }
}

static struct entry *set_of(const uint8_t key[16])
{
    uint32_t hash = 2166136261u;
    for (int i = 0; i < 16; i++)
        hash = (hash ^ key[i]) * 16777619u;
    return entries[(hash >> 16) % NUM_SETS];
}

static bool is_address(const char *name)
{
    struct in6_addr any;
    return inet_pton(AF_INET, name, &any) == 1 || strchr(name, ':') != NULL;
}

void pel_names_add(const union pel_ipc_address *address, const char *name)
{
    uint8_t key[16];
    if (name == NULL || name[0] == '\0' || strlen(name) >= PEL_IPC_NAME_LEN || is_address(name))
        return;
    key_of(address, key);
    pthread_mutex_lock(&lock);
    struct entry *set = set_of(key), *place = set;
    for (int i = 0; i < NUM_WAYS; i++) {
        if (set[i].age != 0 && memcmp(set[i].address, key, sizeof key) == 0) {
            place = &set[i];
            break;
        }
        if (set[i].age < place->age)
            place = &set[i];
    }
    memcpy(place->address, key, sizeof key);
    place->age = ++last_age;
    strcpy(place->name, name);
    pthread_mutex_unlock(&lock);
}

void pel_names_find(const union pel_ipc_address *address, char *ret_name, size_t name_len)
{
    uint8_t key[16];
    key_of(address, key);
    ret_name[0] = '\0';
    pthread_mutex_lock(&lock);
    struct entry *set = set_of(key);
    for (int i = 0; i < NUM_WAYS; i++) {
        if (set[i].age != 0 && memcmp(set[i].address, key, sizeof key) == 0)
            snprintf(ret_name, name_len, "%s", set[i].name);
    }
    pthread_mutex_unlock(&lock);
}

void pel_names_forked(void)
{
    pthread_mutex_init(&lock, NULL);
}

PEL_EXPORT int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                           struct addrinfo **ret)
{
    int error = pel_real()->getaddrinfo(name, service, hints, ret);
    if (error != 0 || !pel_env()->is_active || name == NULL)
        return error;
    for (const struct addrinfo *info = *ret; info != NULL; info = info->ai_next) {
        if (info->ai_family == AF_INET || info->ai_family == AF_INET6)
            pel_names_add((const union pel_ipc_address *)(const void *)info->ai_addr, name);
    }
    return error;
}

static void add_host(const struct hostent *host, const char *name)
{
    if (host == NULL || !pel_env()->is_active)
        return;
    for (char **place = host->h_addr_list; place != NULL && *place != NULL; place++) {
        union pel_ipc_address address = {.family = (sa_family_t)host->h_addrtype};
        if (host->h_addrtype == AF_INET)
            memcpy(&address.in.sin_addr, *place, sizeof address.in.sin_addr);
        else
            memcpy(&address.in6.sin6_addr, *place, sizeof address.in6.sin6_addr);
        pel_names_add(&address, name);
    }
}

PEL_EXPORT struct hostent *gethostbyname(const char *name)
{
    struct hostent *host = pel_real()->gethostbyname(name);
    add_host(host, name);
    return host;
}

PEL_EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
    struct hostent *host = pel_real()->gethostbyname2(name, family);
    add_host(host, name);
    return host;
}

PEL_EXPORT int gethostbyname_r(const char *name, struct hostent *ret_host, char *buffer, size_t len,
                               struct hostent **ret, int *ret_error)
{
    int error = pel_real()->gethostbyname_r(name, ret_host, buffer, len, ret, ret_error);
    if (error == 0)
        add_host(*ret, name);
    return error;
}

PEL_EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *ret_host, char *buffer,
                                size_t len, struct hostent **ret, int *ret_error)
{
    int error = pel_real()->gethostbyname2_r(name, family, ret_host, buffer, len, ret, ret_error);
    if (error == 0)
        add_host(*ret, name);
    return error;
}
