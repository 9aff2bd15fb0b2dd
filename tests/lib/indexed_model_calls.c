/* indexed_model_calls.c - random calls of the indexed log, each on the log and on the model. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/indexed_model_internal.h"

static void step_workers(struct dw_model *m, uint64_t steps)
{
    for (uint64_t i = 0; i < steps; i++) {
        if (dw_model_draw(m, 3) == 0)
            dw_log_step_flusher(m->base);
        else
            dw_log_step_maker(m->base);
    }
}

/* Call again while the workers must move first. */
#define PATIENTLY(m, result, call)                                                                                     \
    do {                                                                                                               \
        (result) = (call);                                                                                             \
        for (int steps_ = 0; (result) == DWAL_EFULL && steps_ < STEPS_MAX; steps_++) {                                 \
            step_workers((m), 1);                                                                                      \
            (result) = (call);                                                                                         \
        }                                                                                                              \
    } while (0)

/* ---- calls ---- */

/* A call that changes something begins: its content is a copy, to be changed. */
static struct dw_model_content *begin(struct dw_model *m)
{
    m->op_count++;
    m->contents[m->op_count] = m->contents[m->op_count - 1];
    m->begun[m->op_count] = dw_sim_event_count(m->disk);
    m->acked[m->op_count] = UINT64_MAX;
    return dw_model_now(m);
}

static void call_store(struct dw_model *m, bool is_synced)
{
    struct dwal_indexed_entry entries[BATCH_MAX];
    static uint8_t bytes[BATCH_MAX][SIZE_MAX_ENTRY];
    size_t count = 1 + dw_model_draw(m, dw_model_draw(m, 3) ? 2 : BATCH_MAX);
    struct dw_model_content *content = begin(m);
    uint64_t index = dw_model_is_empty(content) ? 1 + dw_model_draw(m, 1000) : content->last + 1;
    int result;
    if (dw_model_is_empty(content))
        content->first = index;
    m->generation++;
    for (size_t i = 0; i < count; i++, index++) {
        *dw_model_generation(content, index) = m->generation;
        entries[i] = (struct dwal_indexed_entry){
            .index = index, .data = bytes[i], .size = dw_model_fill(index, m->generation, bytes[i])};
    }
    content->last = index - 1;
    m->counts->entries += count;
    if (is_synced)
        PATIENTLY(m, result, dwal_indexed_store(m->log, entries, count));
    else
        PATIENTLY(m, result, dwal_indexed_append(m->log, entries, count, NULL));
    dw_model_must(m, result, "store");
    if (is_synced)
        dw_model_acknowledge(m);
}

static void call_refused(struct dw_model *m)
{
    struct dw_model_content *content = dw_model_now(m);
    struct dwal_indexed_entry entry = {.index = dw_model_draw(m, 2) ? content->last + 2 + dw_model_draw(m, 5)
                                                                    : content->last};
    int wanted = entry.index == 0 ? DWAL_EARGUMENT : DWAL_EINDEX_GAP;
    if (dw_model_is_empty(content))
        return;
    int result = dwal_indexed_store(m->log, &entry, 1);
    if (result != wanted)
        dw_model_differs(m, "a store at %" PRIu64 " answered %s", entry.index, dwal_error_name(result));
    if (content->first > 1 && dwal_indexed_truncate_back(m->log, content->first - 1) != DWAL_EINDEX_NONE)
        dw_model_differs(m, "a truncation of the back below the first");
    if (content->last >= content->first + 2 &&
        dwal_indexed_delete_range(m->log, content->first + 1, content->last - 1) != DWAL_EINDEX_MIDDLE)
        dw_model_differs(m, "a range in the middle");
    m->counts->refused++;
}

static void empty(struct dw_model_content *content)
{
    content->first = content->last + 1;
}

static void call_front(struct dw_model *m, uint64_t index)
{
    struct dw_model_content *content = begin(m);
    int result;
    if (!dw_model_is_empty(content) && index > content->last)
        empty(content);
    else if (!dw_model_is_empty(content) && index > content->first)
        content->first = index;
    bool is_change = content->first != m->contents[m->op_count - 1].first;
    PATIENTLY(m, result, dwal_indexed_truncate_front(m->log, index));
    dw_model_must(m, result, "truncate_front");
    if (is_change)
        dw_model_acknowledge(m);
    else
        m->op_count--;
    m->counts->truncations++;
}

static void call_back(struct dw_model *m, uint64_t index)
{
    struct dw_model_content *content = begin(m);
    int result;
    if (dw_model_is_empty(content) || index < content->first || index >= content->last) {
        m->op_count--;
        return;
    }
    content->last = index;
    PATIENTLY(m, result, dwal_indexed_truncate_back(m->log, index));
    dw_model_must(m, result, "truncate_back");
    dw_model_acknowledge(m);
    m->counts->truncations++;
}

static void call_delete(struct dw_model *m)
{
    struct dw_model_content *content = begin(m);
    uint64_t span = content->last - content->first + 1, first = content->first, last = content->last;
    if (dw_model_is_empty(content)) {
        m->op_count--;
        return;
    }
    uint64_t cut = first + dw_model_draw(m, span);
    int result;
    if (dw_model_draw(m, 2)) {
        content->first = cut + 1; /* empty when it was the last */
        PATIENTLY(m, result, dwal_indexed_delete_range(m->log, dw_model_draw(m, first + 1), cut));
    } else if (cut > first) {
        content->last = cut - 1;
        PATIENTLY(m, result, dwal_indexed_delete_range(m->log, cut, last + dw_model_draw(m, 3)));
    } else {
        empty(content);
        PATIENTLY(m, result, dwal_indexed_delete_range(m->log, cut, last + dw_model_draw(m, 3)));
    }
    dw_model_must(m, result, "delete_range");
    dw_model_acknowledge(m);
    m->counts->truncations++;
}

static void call_reset(struct dw_model *m)
{
    struct dw_model_content *content = begin(m);
    int result;
    bool is_change = !dw_model_is_empty(content);
    if (is_change)
        empty(content);
    PATIENTLY(m, result, dwal_indexed_reset(m->log));
    dw_model_must(m, result, "reset");
    if (is_change)
        dw_model_acknowledge(m);
    else
        m->op_count--;
}

static void call_set(struct dw_model *m)
{
    struct dw_model_content *content = begin(m);
    uint32_t key = (uint32_t)dw_model_draw(m, KEYS);
    char name = (char)('a' + key);
    uint64_t value = dw_model_draw(m, 4) ? ++m->generation : 0;
    int result;
    content->values[key] = value;
    if (value)
        PATIENTLY(m, result, dwal_indexed_set_u64(m->log, &name, 1, value));
    else
        PATIENTLY(m, result, dwal_indexed_set(m->log, &name, 1, NULL, 0));
    dw_model_must(m, result, "set");
    dw_model_acknowledge(m);
}

static void call_sync(struct dw_model *m)
{
    uint64_t end;
    dw_model_must(m, dwal_indexed_append(m->log, NULL, 0, &end), "append of nothing");
    dw_model_must(m, dwal_indexed_sync(m->log, end), "sync");
    dw_model_acknowledge(m);
}

static void call_read(struct dw_model *m)
{
    struct dw_model_content *content = &m->contents[m->visible];
    uint64_t span = dw_model_is_empty(content) ? 3 : content->last - content->first + 4;
    uint64_t index = (content->first > 2 ? content->first - 2 : 1) + dw_model_draw(m, span);
    if (dw_model_draw(m, 4))
        dw_model_check_get(m, content, index);
    else
        dw_model_check_cursor(m, content, index, 1 + dw_model_draw(m, 20));
    if (!dw_model_bounds_are(m, content))
        dw_model_differs(m, "wrong bounds");
    if (dw_model_value(m, 0) != content->values[0])
        dw_model_differs(m, "wrong value");
}

void dw_model_call(struct dw_model *m)
{
    struct dw_model_content *content = dw_model_now(m);
    uint64_t count = dw_model_is_empty(content) ? 0 : content->last - content->first + 1;
    uint64_t kind = dw_model_draw(m, 100);
    m->counts->operations++;
    step_workers(m, dw_model_draw(m, 4));
    if (count > WINDOW - 2 * BATCH_MAX)
        call_front(m, content->first + dw_model_draw(m, count));
    else if (kind < 35)
        call_store(m, true);
    else if (kind < 45)
        call_store(m, false);
    else if (kind < 49)
        call_sync(m);
    else if (kind < 51)
        call_refused(m);
    else if (kind < 55)
        call_front(m, (content->first > 2 ? content->first - 2 : 1) + dw_model_draw(m, count + 5));
    else if (kind < 59)
        call_back(m, content->first + dw_model_draw(m, count + 1));
    else if (kind < 61)
        call_delete(m);
    else if (kind < 62)
        call_reset(m);
    else if (kind < 67)
        call_set(m);
    else
        call_read(m);
}
