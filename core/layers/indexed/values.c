/* values.c - the keys and values of an indexed log: all in memory, each change a VALUE record, the whole in every STATE.
 *
 * Owns: an array of pairs. Called by: dwal_indexed_set (holds write_mutex over its sync, so that a STATE never holds what is
 * not durable before it), readers, replay. values_mutex is held for copies in memory only.
 * Failure: no room (DWAL_INDEXED_VALUES_MAX), no memory: nothing changed. Closing: dw_values_free. */
#include <stdlib.h>
#include <string.h>

#include "core/layers/indexed/indexed.h"

#define PAIR_HEAD 8u /* key size and value size, in a STATE */

static struct dw_indexed_value *find(struct dwal_indexed *log, const void *key, size_t key_size)
{
    for (size_t i = 0; i < log->value_count; i++)
        if (log->values[i].key_size == key_size && memcmp(log->values[i].bytes, key, key_size) == 0)
            return &log->values[i];
    return NULL;
}

static size_t size_of(const struct dw_indexed_value *value)
{
    return value ? PAIR_HEAD + value->key_size + value->value_size : 0;
}

static void delete (struct dwal_indexed *log, struct dw_indexed_value *value)
{
    log->values_size -= size_of(value);
    free(value->bytes);
    *value = log->values[--log->value_count];
}

/* All memory that a new value needs: its bytes, and room in the list. values_mutex, or alone. */
static int prepare(struct dwal_indexed *log, const void *key, size_t key_size, const void *value, size_t value_size,
                   uint8_t **bytes)
{
    struct dw_indexed_value *values = realloc(log->values, (log->value_count + 1) * sizeof *values);
    if (values)
        log->values = values;
    *bytes = values ? malloc(key_size + value_size) : NULL;
    if (!*bytes)
        return dw_indexed_fail_memory();
    memcpy(*bytes, key, key_size);
    if (value_size > 0)
        memcpy(*bytes + key_size, value, value_size);
    return 0;
}

/* What was prepared takes the place of what had its key. */
static void put_in(struct dwal_indexed *log, uint8_t *bytes, size_t key_size, size_t value_size)
{
    struct dw_indexed_value *old = find(log, bytes, key_size);
    if (old)
        delete (log, old);
    struct dw_indexed_value *made = &log->values[log->value_count++];
    *made = (struct dw_indexed_value){.key_size = key_size, .value_size = value_size, .bytes = bytes};
    log->values_size += size_of(made);
}

static int insert(struct dwal_indexed *log, const void *key, size_t key_size, const void *value, size_t value_size)
{
    uint8_t *bytes;
    int result = prepare(log, key, key_size, value, value_size, &bytes);
    if (result == 0)
        put_in(log, bytes, key_size, value_size);
    return result;
}

int dw_values_apply(struct dwal_indexed *log, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct dw_indexed_value *old = find(log, key, key_size);
    if (value)
        return insert(log, key, key_size, value, value_size);
    if (old)
        delete (log, old);
    return 0;
}

int dw_values_encode(struct dwal_indexed *log, void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = log->values_size;
    if (*size == 0)
        return 0;
    uint8_t *at = *bytes = malloc(*size);
    if (!at)
        return dw_indexed_fail_memory();
    for (size_t i = 0; i < log->value_count; i++) {
        const struct dw_indexed_value *value = &log->values[i];
        dw_le32 sizes[2] = {dw_le32_of((uint32_t)value->key_size), dw_le32_of((uint32_t)value->value_size)};
        memcpy(at, sizes, sizeof sizes);
        memcpy(at + sizeof sizes, value->bytes, value->key_size + value->value_size);
        at += size_of(value);
    }
    return 0;
}

static void forget_all(struct dwal_indexed *log)
{
    while (log->value_count > 0)
        free(log->values[--log->value_count].bytes);
    log->values_size = 0;
}

int dw_values_decode(struct dwal_indexed *log, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    forget_all(log);
    while (size > 0) {
        dw_le32 sizes[2];
        if (size < sizeof sizes)
            return dw_indexed_fail(DWAL_ECORRUPT, DWAL_NO_LSN, "the values of a state run over its end");
        memcpy(sizes, at, sizeof sizes);
        uint64_t key_size = dw_get32(sizes[0]), value_size = dw_get32(sizes[1]);
        if (key_size + value_size > size - sizeof sizes)
            return dw_indexed_fail(DWAL_ECORRUPT, DWAL_NO_LSN, "the values of a state run over its end");
        int result = insert(log, at + sizeof sizes, key_size, at + sizeof sizes + key_size, value_size);
        if (result < 0)
            return result;
        at += sizeof sizes + key_size + value_size;
        size -= sizeof sizes + key_size + value_size;
    }
    return 0;
}

void dw_values_free(struct dwal_indexed *log)
{
    forget_all(log);
    free(log->values);
    log->values = NULL;
}

/* ---- the public calls ---- */

static int check_set(struct dwal_indexed *log, const void *key, size_t key_size, const void *value, size_t value_size)
{
    if (!key || key_size == 0)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "the key is empty");
    if (key_size > DWAL_INDEXED_KEY_SIZE_MAX)
        return dw_indexed_fail(DWAL_ETOOBIG, DWAL_NO_LSN, "the key has %zu bytes, %u are allowed", key_size,
                               DWAL_INDEXED_KEY_SIZE_MAX);
    size_t others = log->values_size - size_of(find(log, key, key_size));
    if (value &&
        (value_size > DWAL_INDEXED_VALUES_MAX || others + PAIR_HEAD + key_size + value_size > DWAL_INDEXED_VALUES_MAX))
        return dw_indexed_fail(DWAL_ETOOBIG, DWAL_NO_LSN,
                               "the value has %zu bytes, and all values together may have %u: %zu are in use",
                               value_size, DWAL_INDEXED_VALUES_MAX, others);
    return 0;
}

static int put_value(struct dwal_indexed *log, const void *key, size_t key_size, const void *value, size_t value_size)
{
    size_t size = key_size + (value ? value_size : 0);
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return dw_indexed_fail_memory();
    memcpy(bytes, key, key_size);
    if (value && value_size > 0)
        memcpy(bytes + key_size, value, value_size);
    struct dw_indexed_value_head head = {.key_size = dw_le32_of((uint32_t)key_size),
                                         .is_deleted = dw_le32_of(value ? 0 : 1)};
    int result = dw_indexed_put(log, DW_INDEXED_VALUE, &head, sizeof head, bytes, size, NULL);
    free(bytes);
    return result;
}

/* What was put is durable: show it. `bytes`: as prepared; NULL: the key goes away. */
static void show_value(struct dwal_indexed *log, const void *key, size_t key_size, uint8_t *bytes, size_t value_size)
{
    pthread_mutex_lock(&log->values_mutex);
    struct dw_indexed_value *old = bytes ? NULL : find(log, key, key_size);
    if (bytes)
        put_in(log, bytes, key_size, value_size);
    else if (old)
        delete (log, old);
    pthread_mutex_unlock(&log->values_mutex);
    dw_indexed_count(&log->counts.value_sets, 1);
}

/* The memory comes first: what is in the log is shown. */
static int set_locked(struct dwal_indexed *log, const void *key, size_t key_size, const void *value, size_t value_size)
{
    uint8_t *bytes = NULL;
    int result = check_set(log, key, key_size, value, value_size);
    if (result == 0 && value) {
        pthread_mutex_lock(&log->values_mutex);
        result = prepare(log, key, key_size, value, value_size, &bytes);
        pthread_mutex_unlock(&log->values_mutex);
    }
    if (result == 0)
        result = put_value(log, key, key_size, value, value_size);
    if (result == 0)
        result = dwal_sync(log->base, log->end);
    if (result < 0) {
        free(bytes);
        return result;
    }
    dw_state_raise(log, log->epoch, log->last); /* what was appended before is durable too */
    show_value(log, key, key_size, bytes, value_size);
    dw_indexed_refresh_state(log);
    return 0;
}

int dwal_indexed_set(dwal_indexed *log, const void *key, size_t key_size, const void *value, size_t value_size)
{
    int result = dw_indexed_begin_write(log);
    if (result < 0)
        return result;
    result = set_locked(log, key, key_size, value, value_size);
    dw_indexed_end_write(log);
    return result;
}

static int copy_value(struct dwal_indexed *log, const struct dw_indexed_value *value, void *buffer, size_t size)
{
    if (!value || value->value_size == 0)
        return 0;
    if (value->value_size > size)
        return dw_indexed_fail(DWAL_EBUFFER, DWAL_NO_LSN, "the value has %zu bytes, the buffer %zu", value->value_size,
                               size);
    memcpy(buffer, value->bytes + value->key_size, value->value_size);
    dw_indexed_count(&log->counts.value_gets, 1);
    return 0;
}

int dwal_indexed_value(dwal_indexed *log, const void *key, size_t key_size, void *buffer, size_t size,
                       size_t *value_size, bool *is_found)
{
    if (!key || key_size == 0 || !value_size || (!buffer && size > 0))
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "key, value_size or buffer is missing");
    struct dw_indexed_state *state = dw_state_acquire(log);
    if (!state)
        return dw_indexed_fail(DWAL_EINDEX_CLOSED, DWAL_NO_LSN, "the indexed log was stopped");
    pthread_mutex_lock(&log->values_mutex);
    struct dw_indexed_value *value = find(log, key, key_size);
    *value_size = value ? value->value_size : 0;
    if (is_found)
        *is_found = value != NULL;
    int result = copy_value(log, value, buffer, size);
    pthread_mutex_unlock(&log->values_mutex);
    dw_state_release(log, state);
    return result;
}

int dwal_indexed_set_u64(dwal_indexed *log, const void *key, size_t key_size, uint64_t value)
{
    dw_le64 bytes = dw_le64_of(value);
    return dwal_indexed_set(log, key, key_size, &bytes, sizeof bytes);
}

int dwal_indexed_value_u64(dwal_indexed *log, const void *key, size_t key_size, uint64_t *value)
{
    dw_le64 bytes = dw_le64_of(0);
    size_t size = 0;
    bool is_found = false;
    if (!value)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "value is NULL");
    *value = 0;
    int result = dwal_indexed_value(log, key, key_size, &bytes, sizeof bytes, &size, &is_found);
    if (result == DWAL_EBUFFER || (result == 0 && is_found && size != sizeof bytes))
        return dw_indexed_fail(DWAL_EINDEX_VALUE, DWAL_NO_LSN, "the value has %zu bytes and not 8", size);
    if (result == 0)
        *value = dw_get64(bytes);
    return result;
}
