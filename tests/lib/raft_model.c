/* raft_model.c - see raft_model.h. */
#include "tests/lib/raft_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

size_t dw_raft_model_data(uint32_t salt, uint8_t data[DW_RAFT_MODEL_DATA_MAX])
{
    size_t size = salt % 97 == 0 ? salt % DW_RAFT_MODEL_DATA_MAX : salt % 300;
    memset(data, (int)(salt >> 8 & 0xff), size);
    for (size_t i = 0; i < size && i < 4; i++)
        data[i] = (uint8_t)(salt >> 8 * i);
    return size;
}

static void apply(struct dw_raft_model *model, const struct dw_raft_model_record *record)
{
    switch (record->kind) {
    case DWAL_RAFT_ENTRY:
        model->last_index = record->index;
        break;
    case DWAL_RAFT_SNAPSHOT:
        if (record->index > model->last_index)
            model->last_index = record->index;
        break;
    case DWAL_RAFT_STATE:
        model->state = record->state;
        break;
    case DWAL_RAFT_HEAD:
    case DWAL_RAFT_UNKNOWN:
        break;
    }
}

void dw_raft_model_add(struct dw_raft_model *model, const struct dw_raft_model_record *record)
{
    if (model->count == model->capacity) {
        model->capacity = model->capacity ? model->capacity * 2 : 256;
        model->records = realloc(model->records, model->capacity * sizeof *model->records);
        dw_assert(model->records);
    }
    model->records[model->count++] = *record;
    apply(model, record);
}

static const struct dw_raft_model_record *last_head(const struct dw_raft_model *model)
{
    for (size_t i = model->count; i > 0; i--)
        if (model->records[i - 1].kind == DWAL_RAFT_HEAD)
            return &model->records[i - 1];
    return NULL;
}

void dw_raft_model_cut(struct dw_raft_model *model)
{
    const struct dw_raft_model_record *before = last_head(model);
    struct dw_raft_model_record head = {.kind = DWAL_RAFT_HEAD, .state = model->state, .is_last = before != NULL};
    if (before) {
        head.sequence = before->sequence + 1;
        head.index = model->last_index + 1;
    }
    dw_raft_model_add(model, &head);
    if (!before)
        dw_raft_model_add(model, &(struct dw_raft_model_record){.kind = DWAL_RAFT_SNAPSHOT, .is_last = true});
}

void dw_raft_model_keep(struct dw_raft_model *model, size_t count)
{
    const struct dw_raft_model_record *head = &model->records[0];
    model->count = count;
    model->acknowledged = count;
    model->last_index = head->index > 0 ? head->index - 1 : 0;
    model->state = head->state;
    for (size_t i = 0; i < count; i++)
        apply(model, &model->records[i]);
}

size_t dw_raft_model_segments(const struct dw_raft_model *model, size_t *held)
{
    size_t all = 0;
    *held = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (model->records[i].kind != DWAL_RAFT_HEAD)
            continue;
        all++;
        *held += model->records[i].sequence >= model->held;
    }
    return all;
}

static void drop_first(struct dw_raft_model *model)
{
    size_t next = 1;
    while (model->records[next].kind != DWAL_RAFT_HEAD)
        next++;
    model->count -= next;
    model->acknowledged -= next;
    memmove(model->records, model->records + next, model->count * sizeof *model->records);
}

size_t dw_raft_model_purge(struct dw_raft_model *model, size_t kept)
{
    size_t held, dropped = 0;
    while (dw_raft_model_segments(model, &held) > kept && model->records[0].sequence < model->held) {
        drop_first(model);
        dropped++;
    }
    return dropped;
}

size_t dw_raft_model_release(struct dw_raft_model *model, uint64_t index, size_t kept)
{
    uint64_t largest = model->held; /* of those below `index`, before the first that is not */
    for (size_t i = 0; i < model->count; i++) {
        const struct dw_raft_model_record *record = &model->records[i];
        if (record->kind != DWAL_RAFT_HEAD || record->sequence < model->held)
            continue;
        if (record->index >= index)
            break;
        largest = record->sequence;
    }
    model->held = largest;
    return dw_raft_model_purge(model, kept);
}

void dw_raft_model_hold_from(struct dw_raft_model *model, uint64_t start)
{
    model->held = model->records[0].sequence;
    for (size_t i = 0; i < model->count; i++)
        if (model->records[i].kind == DWAL_RAFT_HEAD && model->records[i].index <= start)
            model->held = model->records[i].sequence;
}

/* ---- reading ---- */

/* Forget the answer's entries from `index` on. */
static void forget_from(struct dw_raft_model_answer *answer, uint64_t index)
{
    while (answer->entry_count > 0 && answer->entries[answer->entry_count - 1]->index >= index)
        answer->entry_count--;
}

static void read_entry(struct dw_raft_model_answer *answer, uint64_t start, const struct dw_raft_model_record *record)
{
    forget_from(answer, record->index);
    uint64_t wanted = answer->entry_count > 0 ? answer->entries[answer->entry_count - 1]->index + 1 : start + 1;
    if (record->index > start && record->index != wanted) {
        answer->code = DWAL_ERAFT_GAP;
        return;
    }
    if (record->index > start) {
        dw_assert(answer->entry_count < sizeof answer->entries / sizeof answer->entries[0]);
        answer->entries[answer->entry_count++] = record;
    }
    answer->last_index = record->index;
}

void dw_raft_model_read(const struct dw_raft_model *model, const struct dwal_raft_snapshot *start,
                        struct dw_raft_model_answer *answer)
{
    uint64_t first = model->records[0].index;
    answer->code = 0;
    answer->entry_count = 0;
    answer->has_snapshot = answer->is_ready = false;
    answer->last_index = first > 0 ? first - 1 : 0;
    answer->state = model->records[0].state;
    if (first > 0 && start->index < first - 1) {
        answer->code = DWAL_ERAFT_RELEASED;
        return;
    }
    for (size_t i = 0; i < model->count && answer->code == 0; i++) {
        const struct dw_raft_model_record *record = &model->records[i];
        if (record->kind == DWAL_RAFT_ENTRY)
            read_entry(answer, start->index, record);
        if (record->kind == DWAL_RAFT_STATE)
            answer->state = record->state;
        if (record->kind != DWAL_RAFT_SNAPSHOT)
            continue;
        if (record->index > answer->last_index)
            answer->last_index = record->index;
        if (record->index == start->index && record->term != start->term)
            answer->code = DWAL_ERAFT_SNAPSHOT;
        answer->has_snapshot |= record->index == start->index;
    }
    if (answer->code == 0 && !answer->has_snapshot)
        answer->code = DWAL_ERAFT_NO_SNAPSHOT;
    answer->is_ready = answer->code == 0 || answer->code == DWAL_ERAFT_NO_SNAPSHOT;
}

void dw_raft_model_free(struct dw_raft_model *model)
{
    free(model->records);
    *model = (struct dw_raft_model){0};
}
