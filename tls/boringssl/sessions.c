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

struct pel_sessions {
    pthread_mutex_t mutex;
    uint64_t next_stamp;
    struct kept kept[PEL_SESSIONS_MAX];
};

struct pel_sessions *pel_sessions_new(void)
{
    struct pel_sessions *sessions = calloc(1, sizeof *sessions);
    if (sessions != NULL)
        pthread_mutex_init(&sessions->mutex, NULL); /* cannot fail with these attributes */
    return sessions;
}

static void drop(struct kept *kept)
{
    SSL_SESSION_free(kept->session);
    free(kept->name);
    *kept = (struct kept){0};
}

void pel_sessions_free(struct pel_sessions *sessions)
{
    if (sessions == NULL)
        return;
    for (size_t i = 0; i < PEL_SESSIONS_MAX; i++)
        drop(&sessions->kept[i]);
    pthread_mutex_destroy(&sessions->mutex);
    free(sessions);
}

static bool is_of(const struct kept *kept, const char *name)
{
    return kept->session != NULL && strcmp(kept->name, name) == 0;
}

SSL_SESSION *pel_sessions_take(struct pel_sessions *sessions, const char *name)
{
    struct kept *newest = NULL, taken = {0};
    pthread_mutex_lock(&sessions->mutex);
    for (struct kept *kept = sessions->kept; kept < sessions->kept + PEL_SESSIONS_MAX; kept++)
        if (is_of(kept, name) && (newest == NULL || kept->stamp > newest->stamp))
            newest = kept;
    if (newest != NULL) {
        taken = *newest;
        *newest = (struct kept){0};
    }
    pthread_mutex_unlock(&sessions->mutex);
    free(taken.name);
    return taken.session;
}

/* Where the next session of `name` goes: instead of the oldest of that name when there are enough of them,
 * else to a free place, whose stamp is 0, else instead of the oldest of all. */
static struct kept *find_place(struct pel_sessions *sessions, const char *name)
{
    struct kept *oldest = sessions->kept, *oldest_of_name = NULL;
    size_t num_of_name = 0;
    for (struct kept *kept = sessions->kept; kept < sessions->kept + PEL_SESSIONS_MAX; kept++) {
        if (kept->stamp < oldest->stamp)
            oldest = kept;
        if (!is_of(kept, name))
            continue;
        num_of_name++;
        if (oldest_of_name == NULL || kept->stamp < oldest_of_name->stamp)
            oldest_of_name = kept;
    }
    return num_of_name >= PEL_SESSIONS_MAX_OF_NAME ? oldest_of_name : oldest;
}

/* A resumed handshake shows no certificate, so nobody would check its dates: the session ends with it. False:
 * nothing is left of it. */
static bool end_with_cert(SSL_SESSION *session)
{
    int64_t not_before_s = 0, not_after_s = 0, begun_s = (int64_t)SSL_SESSION_get_time(session);
    X509 *leaf = SSL_SESSION_get0_peer(session);
    if (leaf == NULL || pel_cert_times(leaf, &not_before_s, &not_after_s) != PEL_OK || not_after_s <= begun_s)
        return false;
    int64_t left_s = not_after_s - begun_s;
    /* Another connection may hold a session that has been kept before; it is not written to again. */
    if ((int64_t)SSL_SESSION_get_timeout(session) > left_s)
        SSL_SESSION_set_timeout(session, (uint32_t)left_s);
    return SSL_SESSION_get_timeout(session) > 0;
}

void pel_sessions_put(struct pel_sessions *sessions, const char *name, SSL_SESSION *session)
{
    struct kept kept = {.session = session}, replaced = {0};
    if (session == NULL)
        return;
    if (!SSL_SESSION_is_resumable(session) || !end_with_cert(session) || (kept.name = strdup(name)) == NULL) {
        drop(&kept);
        return;
    }
    pthread_mutex_lock(&sessions->mutex);
    struct kept *place = find_place(sessions, name);
    replaced = *place;
    kept.stamp = ++sessions->next_stamp;
    *place = kept;
    pthread_mutex_unlock(&sessions->mutex);
    drop(&replaced);
}
