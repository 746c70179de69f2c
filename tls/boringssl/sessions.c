/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/sessions.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tls/boringssl/vendor.h"

struct kept {
    SSL_SESSION *session; /* NULL: a free place */
    char *name;
    uint64_t stamp; /* the higher the newer */
};

/* Sessions of one kind. */
struct shelf {
    struct kept *kept;
    size_t num, cap, max;
};

struct pel_sessions {
    pthread_mutex_t mutex;
    const struct pel_tls_sessions *config;
    uint64_t next_stamp;
    struct shelf tls13, older;
};

struct pel_sessions *pel_sessions_new(const struct pel_tls_sessions *config)
{
    struct pel_sessions *sessions = calloc(1, sizeof *sessions);
    if (sessions == NULL)
        return NULL;
    pthread_mutex_init(&sessions->mutex, NULL); /* cannot fail with these attributes */
    sessions->config = config;
    sessions->older.max = config->off ? 0 : config->max_kept;
    sessions->tls13.max = config->tickets_off ? 0 : config->max_tickets;
    return sessions;
}

static void drop(struct kept *kept)
{
    SSL_SESSION_free(kept->session);
    free(kept->name);
    *kept = (struct kept){0};
}

static void clear_shelf(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->num; i++)
        drop(&shelf->kept[i]);
    free(shelf->kept);
}

void pel_sessions_free(struct pel_sessions *sessions)
{
    if (sessions == NULL)
        return;
    clear_shelf(&sessions->tls13);
    clear_shelf(&sessions->older);
    pthread_mutex_destroy(&sessions->mutex);
    free(sessions);
}

static bool is_of(const struct kept *kept, const char *name)
{
    return kept->session != NULL && strcmp(kept->name, name) == 0;
}

static struct kept *newest_of(const struct shelf *shelf, const char *name)
{
    struct kept *newest = NULL;
    for (size_t i = 0; i < shelf->num; i++) {
        struct kept *kept = &shelf->kept[i];
        if (is_of(kept, name) && (newest == NULL || kept->stamp > newest->stamp))
            newest = kept;
    }
    return newest;
}

SSL_SESSION *pel_sessions_take(struct pel_sessions *sessions, const char *name)
{
    struct kept taken = {0};
    pthread_mutex_lock(&sessions->mutex);
    struct kept *newest = newest_of(&sessions->tls13, name), *older = newest_of(&sessions->older, name);
    if (newest == NULL || (older != NULL && older->stamp > newest->stamp))
        newest = older;
    if (newest != NULL) {
        taken = *newest;
        *newest = (struct kept){0};
    }
    pthread_mutex_unlock(&sessions->mutex);
    free(taken.name);
    return taken.session;
}

void pel_sessions_forget(struct pel_sessions *sessions, const char *name)
{
    struct shelf *const shelves[] = {&sessions->tls13, &sessions->older};
    pthread_mutex_lock(&sessions->mutex);
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < shelves[i]->num; j++)
            if (is_of(&shelves[i]->kept[j], name))
                drop(&shelves[i]->kept[j]);
    pthread_mutex_unlock(&sessions->mutex);
}

/* A new place while there may be more; NULL when there is none, or no memory for it. */
static struct kept *new_place(struct shelf *shelf)
{
    if (shelf->num == shelf->max)
        return NULL;
    if (shelf->num == shelf->cap) {
        size_t cap = shelf->cap == 0 ? 8 : shelf->cap * 2;
        cap = cap < shelf->max ? cap : shelf->max;
        struct kept *kept = realloc(shelf->kept, cap * sizeof *kept);
        if (kept == NULL)
            return NULL;
        shelf->kept = kept;
        shelf->cap = cap;
    }
    shelf->kept[shelf->num] = (struct kept){0};
    return &shelf->kept[shelf->num++];
}

/* Where the next session of `name` goes: instead of the oldest of that name when there are enough of them,
 * else to a free place, else instead of the oldest of all. NULL: nowhere. */
static struct kept *find_place(struct shelf *shelf, const char *name)
{
    struct kept *oldest = NULL, *oldest_of_name = NULL, *free_place = NULL;
    size_t num_of_name = 0;
    for (size_t i = 0; i < shelf->num; i++) {
        struct kept *kept = &shelf->kept[i];
        if (kept->session == NULL)
            free_place = kept;
        else if (oldest == NULL || kept->stamp < oldest->stamp)
            oldest = kept;
        if (!is_of(kept, name))
            continue;
        num_of_name++;
        if (oldest_of_name == NULL || kept->stamp < oldest_of_name->stamp)
            oldest_of_name = kept;
    }
    if (num_of_name >= PEL_SESSIONS_MAX_OF_NAME)
        return oldest_of_name;
    if (free_place == NULL)
        free_place = new_place(shelf);
    return free_place != NULL ? free_place : oldest;
}

/* A resumed handshake shows no certificate, so nobody would check its dates: the session ends with it, and
 * with the policy's time. False: nothing is left of it. */
static bool end_in_time(SSL_SESSION *session, int64_t left_s)
{
    int64_t not_before_s = 0, not_after_s = 0, begun_s = (int64_t)SSL_SESSION_get_time(session);
    X509 *leaf = SSL_SESSION_get0_peer(session);
    if (leaf == NULL || pel_cert_times(leaf, &not_before_s, &not_after_s) != PEL_OK || not_after_s <= begun_s)
        return false;
    left_s = not_after_s - begun_s < left_s ? not_after_s - begun_s : left_s;
    /* Another connection may hold a session that has been kept before; it is not written to again. */
    if ((int64_t)SSL_SESSION_get_timeout(session) > left_s)
        SSL_SESSION_set_timeout(session, (uint32_t)left_s);
    return SSL_SESSION_get_timeout(session) > 0;
}

/* Whether the policy lets a client keep the session. */
static bool may_keep(const struct pel_sessions *sessions, const struct shelf *shelf, SSL_SESSION *session)
{
    const uint8_t *ticket = NULL;
    size_t ticket_len = 0;
    bool tls13 = shelf == &sessions->tls13;
    SSL_SESSION_get0_ticket(session, &ticket, &ticket_len);
    return shelf->max > 0 && SSL_SESSION_is_resumable(session) &&
           (!tls13 || ticket_len <= sessions->config->max_ticket_len) &&
           end_in_time(session, tls13 ? INT64_MAX : sessions->config->timeout_s);
}

void pel_sessions_put(struct pel_sessions *sessions, const char *name, SSL_SESSION *session)
{
    struct kept kept = {.session = session}, replaced = {0};
    if (session == NULL)
        return;
    struct shelf *shelf =
        SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION ? &sessions->tls13 : &sessions->older;
    if (!may_keep(sessions, shelf, session) || (kept.name = strdup(name)) == NULL) {
        drop(&kept);
        return;
    }
    pthread_mutex_lock(&sessions->mutex);
    struct kept *place = find_place(shelf, name);
    if (place != NULL) {
        replaced = *place;
        kept.stamp = ++sessions->next_stamp;
        *place = kept;
    } else {
        replaced = kept;
    }
    pthread_mutex_unlock(&sessions->mutex);
    drop(&replaced);
}
