/* indexed_model_check.c - what the model expects, and what the log shows. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/indexed_model_internal.h"

/* ---- tools ---- */

uint64_t dw_model_draw(struct dw_model *m, uint64_t limit)
{
    uint64_t z = (m->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

DW_COLD void __attribute__((noreturn)) DW_PRINTF(2, 3)
    dw_model_differs(const struct dw_model *m, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "seed %" PRIu64 ", life %" PRIu64 ", call %u: ", m->seed, m->life, m->op_count);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n  last error: %s\n", dwal_last_error()->text);
    va_end(arguments);
    abort();
}

static size_t size_of(uint64_t index, uint32_t generation)
{
    uint64_t mix = (index * 31 + generation) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    uint64_t kind = mix % 64;
    return (size_t)((mix >> 8) % (kind < 50 ? 120 : kind < 62 ? 1500 : kind < 63 ? 5000 : SIZE_MAX_ENTRY));
}

size_t dw_model_fill(uint64_t index, uint32_t generation, uint8_t *bytes)
{
    size_t size = size_of(index, generation);
    memset(bytes, (int)(index * 7 + generation), size);
    if (size >= 12) {
        memcpy(bytes, &index, 8);
        memcpy(bytes + 8, &generation, 4);
    }
    return size;
}

bool dw_model_is_empty(const struct dw_model_content *content)
{
    return content->last < content->first;
}

uint32_t *dw_model_generation(struct dw_model_content *content, uint64_t index)
{
    return &content->generations[index % WINDOW];
}

struct dw_model_content *dw_model_now(struct dw_model *m)
{
    return &m->contents[m->op_count];
}

void dw_model_acknowledge(struct dw_model *m)
{
    if (m->has_failed)
        return;
    for (uint32_t i = m->op_count; i > m->visible; i--)
        m->acked[i] = dw_sim_event_count(m->disk);
    m->visible = m->op_count;
}

void dw_model_must(struct dw_model *m, int result, const char *what)
{
    if (m->is_faulty && (result == DWAL_EFAILED || result == DWAL_EDEVICE))
        m->has_failed = true;
    else if (result != 0)
        dw_model_differs(m, "%s answered %s", what, dwal_error_name(result));
}

/* ---- comparing ---- */

static void check_entry(struct dw_model *m, const struct dwal_indexed_record *record, uint64_t index,
                        uint32_t generation)
{
    static uint8_t expected[SIZE_MAX_ENTRY];
    size_t size = dw_model_fill(index, generation, expected);
    if (record->index != index || record->size != size || memcmp(record->data, expected, size) != 0)
        dw_model_differs(m, "entry %" PRIu64 " of generation %u is not what was stored", index, generation);
}

void dw_model_check_get(struct dw_model *m, struct dw_model_content *content, uint64_t index)
{
    struct dwal_indexed_record record;
    bool is_there = !dw_model_is_empty(content) && index >= content->first && index <= content->last;
    int result = dwal_indexed_get(m->log, index, m->bytes, SIZE_MAX_ENTRY, &record);
    if (result != (is_there ? 0 : DWAL_EINDEX_NONE))
        dw_model_differs(m, "get of %" PRIu64 " answered %s", index, dwal_error_name(result));
    if (is_there)
        check_entry(m, &record, index, *dw_model_generation(content, index));
}

void dw_model_check_cursor(struct dw_model *m, struct dw_model_content *content, uint64_t from, uint64_t count)
{
    struct dwal_indexed_cursor *cursor;
    struct dwal_indexed_record record;
    if (dwal_indexed_cursor_open(m->log, from, &cursor) < 0)
        dw_model_differs(m, "no cursor");
    for (uint64_t index = from; index < from + count; index++) {
        int result = dwal_indexed_cursor_next(cursor, &record);
        int wanted = dw_model_is_empty(content) || index > content->last ? DWAL_EEND
                     : index < content->first                            ? DWAL_EINDEX_NONE
                                                                         : 0;
        if (result != wanted)
            dw_model_differs(m, "the cursor at %" PRIu64 " answered %s", index, dwal_error_name(result));
        if (result < 0)
            break;
        check_entry(m, &record, index, *dw_model_generation(content, index));
    }
    dwal_indexed_cursor_close(cursor);
}

uint64_t dw_model_value(struct dw_model *m, uint32_t key)
{
    uint64_t value;
    char name = (char)('a' + key);
    if (dwal_indexed_value_u64(m->log, &name, 1, &value) < 0)
        dw_model_differs(m, "value %u cannot be read", key);
    return value;
}

bool dw_model_bounds_are(struct dw_model *m, const struct dw_model_content *content)
{
    uint64_t first, last;
    if (dwal_indexed_bounds(m->log, &first, &last) < 0)
        dw_model_differs(m, "no bounds");
    return dw_model_is_empty(content) ? first == 0 && last == 0 : first == content->first && last == content->last;
}

/* Is the log's generation of `index` that of `content`? */
static bool entry_is(struct dw_model *m, struct dw_model_content *content, uint64_t index)
{
    static uint8_t expected[SIZE_MAX_ENTRY];
    struct dwal_indexed_record record;
    if (dwal_indexed_get(m->log, index, m->bytes, SIZE_MAX_ENTRY, &record) < 0)
        dw_model_differs(m, "entry %" PRIu64 " cannot be read after a crash", index);
    size_t size = dw_model_fill(index, *dw_model_generation(content, index), expected);
    return record.size == size && memcmp(record.data, expected, size) == 0;
}

bool dw_model_log_is(struct dw_model *m, struct dw_model_content *content)
{
    if (!dw_model_bounds_are(m, content))
        return false;
    for (uint32_t key = 0; key < KEYS; key++)
        if (dw_model_value(m, key) != content->values[key])
            return false;
    for (uint64_t index = content->first; !dw_model_is_empty(content) && index <= content->last; index++)
        if (!entry_is(m, content, index))
            return false;
    return true;
}

void dw_model_check_all(struct dw_model *m, struct dw_model_content *content)
{
    if (!dw_model_log_is(m, content))
        dw_model_differs(m, "the log is not what the model holds: %" PRIu64 " to %" PRIu64, content->first,
                         content->last);
    if (!dw_model_is_empty(content))
        dw_model_check_cursor(m, content, content->first, WINDOW);
}
