/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/secondary.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "stack/conn.h"
#include "stack/lwip/siphash.h"

/* Chains stay short up to some 100,000 primaries: 128 kB, taken with the first. */
#define NUM_ROWS 16384u

struct place {
    uint64_t process;
    struct pel_ip local, remote;
};

/* What it says of its connection is copied: that belongs to its engine's thread. The connection holds the
 * generation, and leaves the table before it lets go of it. */
struct pel_primary {
    struct pel_primary *next, **prev; /* of its row, the last first; under the lock, as all that follows */
    struct place place;
    struct pel_generation *generation;
    const struct pel_rule *rule;
    uint64_t conn_id;
    uint32_t engine;
};

void pel_primaries_init(struct pel_primaries *primaries)
{
    *primaries = (struct pel_primaries){0};
    pthread_mutex_init(&primaries->lock, NULL);
    if (getrandom(primaries->key, sizeof primaries->key, 0) != (ssize_t)sizeof primaries->key)
        abort(); /* so few bytes come whole, and from every kernel that can run us */
}

void pel_primaries_fini(struct pel_primaries *primaries)
{
    free(primaries->rows);
    pthread_mutex_destroy(&primaries->lock);
}

static struct pel_primaries *table_of(const struct pel_conn *conn)
{
    return &conn->engine->config.slot->primaries;
}

static uint64_t process_of(const struct pel_identity *identity)
{
    return identity != NULL ? identity->process : 0;
}

static size_t row_of(const struct pel_primaries *primaries, const struct place *place)
{
    uint8_t bytes[sizeof place->process + 2 * sizeof place->local.bytes] = {0};
    size_t ip_len = place->local.version == 4 ? 4 : sizeof place->local.bytes;
    memcpy(bytes, &place->process, sizeof place->process);
    memcpy(bytes + sizeof place->process, place->local.bytes, ip_len);
    memcpy(bytes + sizeof place->process + ip_len, place->remote.bytes, ip_len);
    return pel_siphash(primaries->key, bytes, sizeof bytes) % NUM_ROWS;
}

static bool is_at(const struct pel_primary *primary, const struct place *place)
{
    return primary->place.process == place->process && pel_ip_equal(&primary->place.local, &place->local) &&
           pel_ip_equal(&primary->place.remote, &place->remote);
}

/* One that goes before `rule`, which may be NULL. */
static const struct pel_primary *find(const struct pel_primaries *primaries, const struct place *place,
                                      const struct pel_rule *rule)
{
    const struct pel_primary *primary = primaries->rows[row_of(primaries, place)];
    while (primary != NULL &&
           !(is_at(primary, place) && (rule == NULL || rule->priority < primary->rule->priority)))
        primary = primary->next;
    return primary;
}

/* Under the lock, so that the primary cannot end meanwhile. */
static bool follow_at(struct pel_conn *conn, uint64_t process)
{
    const struct place place = {.process = process, .local = conn->local.ip, .remote = conn->remote.ip};
    const struct pel_primary *primary = find(table_of(conn), &place, conn->rule);
    if (primary == NULL)
        return false;
    struct pel_generation *own = conn->generation;
    conn->generation = pel_generation_ref(primary->generation);
    conn->rule = primary->rule;
    conn->follows_id = primary->conn_id;
    conn->follows_engine = primary->engine;
    pel_generation_unref(own);
    return true;
}

void pel_secondary_follow(struct pel_conn *conn, const struct pel_identity *identity)
{
    struct pel_primaries *primaries = table_of(conn);
    if (__atomic_load_n(&primaries->num, __ATOMIC_ACQUIRE) == 0)
        return;
    pthread_mutex_lock(&primaries->lock);
    bool has_found = primaries->num > 0 && follow_at(conn, process_of(identity));
    for (size_t i = 0; !has_found && primaries->num > 0 && identity != NULL && i < identity->num_also; i++)
        has_found = follow_at(conn, identity->also[i]);
    pthread_mutex_unlock(&primaries->lock);
    if (has_found)
        pel_count_stat(&conn->engine->counters, PEL_STAT_map_secondary, 1);
}

static void enter(struct pel_primaries *primaries, struct pel_primary *primary)
{
    struct pel_primary **row = &primaries->rows[row_of(primaries, &primary->place)];
    primary->next = *row;
    primary->prev = row;
    if (primary->next != NULL)
        primary->next->prev = &primary->next;
    *row = primary;
    __atomic_store_n(&primaries->num, primaries->num + 1, __ATOMIC_RELEASE);
}

enum pel_err pel_secondary_lead(struct pel_conn *conn, const struct pel_identity *identity)
{
    struct pel_primaries *primaries = table_of(conn);
    if (!conn->rule->effective.secondary_map || conn->follows_id != 0)
        return PEL_OK;
    struct pel_primary *primary = malloc(sizeof *primary);
    if (primary == NULL)
        return PEL_E_NO_MEMORY;
    *primary = (struct pel_primary){
        .place = {.process = process_of(identity), .local = conn->local.ip, .remote = conn->remote.ip},
        .generation = conn->generation,
        .rule = conn->rule,
        .conn_id = conn->id,
        .engine = conn->engine->config.index,
    };
    pthread_mutex_lock(&primaries->lock);
    if (primaries->rows == NULL)
        primaries->rows = calloc(NUM_ROWS, sizeof(struct pel_primary *));
    bool has_rows = primaries->rows != NULL;
    if (has_rows)
        enter(primaries, primary);
    pthread_mutex_unlock(&primaries->lock);
    if (!has_rows) {
        free(primary);
        return PEL_E_NO_MEMORY;
    }
    conn->primary = primary;
    return PEL_OK;
}

void pel_secondary_end(struct pel_conn *conn)
{
    struct pel_primaries *primaries = table_of(conn);
    struct pel_primary *primary = conn->primary;
    if (primary == NULL)
        return;
    conn->primary = NULL;
    pthread_mutex_lock(&primaries->lock);
    *primary->prev = primary->next;
    if (primary->next != NULL)
        primary->next->prev = primary->prev;
    __atomic_store_n(&primaries->num, primaries->num - 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&primaries->lock);
    free(primary);
}
