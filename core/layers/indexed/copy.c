/* copy.c - entries and values of one indexed log into another, batch by batch; and entries of a log at rest, one by one.
 *
 * Called by: the user's thread. Happy path: a cursor on the source, stores of about batch_bytes into the target, a word to the
 * caller after each. Failure: what was stored stays, and the same call goes on behind it. Closing: nothing stays. */
#include <dwal/scan.h>
#include <stdlib.h>
#include <string.h>

#include "core/layers/indexed/indexed.h"

#define BATCH_BYTES_DEFAULT (UINT64_C(1) << 20)
#define BATCH_ENTRIES_MAX   4096u

struct batch {
    struct dwal_indexed_entry entries[BATCH_ENTRIES_MAX];
    size_t count;
    uint8_t *bytes;
    size_t used, capacity;
};

static int reserve(struct batch *batch, size_t size)
{
    if (batch->used + size <= batch->capacity)
        return 0;
    size_t capacity = batch->used + size;
    uint8_t *bytes = realloc(batch->bytes, capacity);
    if (!bytes)
        return dw_indexed_fail_memory();
    for (size_t i = 0; i < batch->count; i++) /* they moved */
        batch->entries[i].data = bytes + ((const uint8_t *)batch->entries[i].data - batch->bytes);
    batch->bytes = bytes;
    batch->capacity = capacity;
    return 0;
}

static int add(struct batch *batch, const struct dwal_indexed_record *record)
{
    int result = reserve(batch, record->size + 1);
    if (result < 0)
        return result;
    dw_assert(batch->bytes != NULL);
    uint8_t *at = batch->bytes + batch->used;
    if (record->size > 0)
        memcpy(at, record->data, record->size);
    batch->entries[batch->count++] =
        (struct dwal_indexed_entry){.index = record->index, .data = at, .size = record->size};
    batch->used += record->size;
    return 0;
}

struct progress {
    const struct dwal_indexed_copy *copy;
    uint64_t last, bytes;
};

static int store(struct dwal_indexed *to, struct batch *batch, struct progress *progress)
{
    if (batch->count == 0)
        return 0;
    int result = dwal_indexed_store(to, batch->entries, batch->count);
    if (result < 0)
        return result;
    uint64_t index = batch->entries[batch->count - 1].index;
    progress->bytes += batch->used;
    batch->count = batch->used = 0;
    if (progress->copy->progress &&
        !progress->copy->progress(progress->copy->context, index, progress->last, progress->bytes))
        return dw_indexed_fail(DWAL_EINDEX_CANCELLED, DWAL_NO_LSN, "copying was stopped behind entry %llu of %llu",
                               (unsigned long long)index, (unsigned long long)progress->last);
    return 0;
}

static int copy_entries(struct dwal_indexed *to, struct dwal_indexed_cursor *cursor, struct batch *batch,
                        struct progress *progress)
{
    struct dwal_indexed_record record;
    int result = 0;
    while (result == 0) {
        result = dwal_indexed_cursor_next(cursor, &record);
        if (result == 0)
            result = add(batch, &record);
        if (result < 0 || record.index >= progress->last)
            break;
        if (batch->used >= progress->copy->batch_bytes || batch->count == BATCH_ENTRIES_MAX)
            result = store(to, batch, progress);
    }
    if (result < 0 && result != DWAL_EEND)
        return result;
    return store(to, batch, progress);
}

static int copy_values(struct dwal_indexed *to, struct dwal_indexed *from)
{
    int result = 0;
    for (size_t i = 0; result == 0; i++) {
        uint8_t key[DWAL_INDEXED_KEY_SIZE_MAX];
        pthread_mutex_lock(&from->values_mutex);
        bool is_there = i < from->value_count;
        struct dw_indexed_value value = is_there ? from->values[i] : (struct dw_indexed_value){0};
        uint8_t *bytes = is_there ? malloc(value.value_size + 1) : NULL;
        if (bytes) {
            memcpy(key, value.bytes, value.key_size);
            memcpy(bytes, value.bytes + value.key_size, value.value_size);
        }
        pthread_mutex_unlock(&from->values_mutex);
        if (!is_there)
            return 0;
        result = bytes ? dwal_indexed_set(to, key, value.key_size, bytes, value.value_size) : dw_indexed_fail_memory();
        free(bytes);
    }
    return result;
}

static int copy_all(struct dwal_indexed *to, struct dwal_indexed *from, const struct dwal_indexed_copy *copy)
{
    uint64_t first = 0, last = 0, to_first = 0, to_last = 0;
    int result = dwal_indexed_bounds(from, &first, &last);
    if (result == 0)
        result = dwal_indexed_bounds(to, &to_first, &to_last);
    if (result == 0 && !copy->is_without_values)
        result = copy_values(to, from);
    uint64_t begin = result == 0 && to_last >= first && to_last != 0 ? to_last + 1 : first;
    if (result < 0 || last == 0 || begin > last)
        return result;
    struct dwal_indexed_cursor *cursor;
    struct progress progress = {.copy = copy, .last = last};
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return dw_indexed_fail_memory();
    result = dwal_indexed_cursor_open(from, begin, &cursor);
    if (result == 0)
        result = copy_entries(to, cursor, batch, &progress);
    dwal_indexed_cursor_close(cursor);
    free(batch->bytes);
    free(batch);
    return result;
}

int dwal_indexed_copy_from(dwal_indexed *to, dwal_indexed *from, const struct dwal_indexed_copy *given)
{
    struct dwal_indexed_copy copy = {.size = sizeof copy};
    if (given && given->size != sizeof copy)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "copy.size must be sizeof(struct dwal_indexed_copy)");
    if (given)
        copy = *given;
    if (copy.batch_bytes == 0)
        copy.batch_bytes = BATCH_BYTES_DEFAULT;
    return copy_all(to, from, &copy);
}

/* ---- a log at rest ---- */

struct dump {
    const struct dwal_indexed_dump *how;
    bool is_stopped;
};

static bool index_of(const struct dwal_record *record, uint64_t *index)
{
    struct dw_indexed_entry_head head;
    if (record->user != DW_INDEXED_ENTRY || record->metadata_size != sizeof head)
        return false;
    memcpy(&head, record->metadata, sizeof head);
    *index = dw_get64(head.index);
    return true;
}

static bool is_wanted(void *context, const struct dwal_record *record)
{
    const struct dump *dump = context;
    uint64_t index;
    if (dump->is_stopped || !index_of(record, &index))
        return false;
    return index > dump->how->after && (dump->how->before == 0 || index < dump->how->before);
}

static void tell(void *context, const struct dwal_record *record)
{
    struct dump *dump = context;
    struct dwal_indexed_record entry = {.lsn = record->lsn, .data = record->data, .size = record->data_size};
    if (index_of(record, &entry.index))
        dump->is_stopped = !dump->how->entry(dump->how->context, &entry);
}

static bool is_stopped(void *context)
{
    return ((const struct dump *)context)->is_stopped;
}

int dwal_indexed_dump_entries(const char *path, const struct dwal_indexed_dump *how)
{
    if (!path || !how || how->size != sizeof *how || !how->entry)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "path, dump.size or dump.entry is missing");
    struct dump dump = {.how = how};
    struct dwal_scan scan = {
        .size = sizeof scan, .context = &dump, .metadata = is_wanted, .data = tell, .stop = is_stopped};
    return dwal_scan_log(path, &scan, NULL);
}
