/* raft_world.c - see raft_world.h.
 *
 * A crash is an image of the simulated disk at some moment of the last call: with the sectors and names that a crash leaves. */
#include "tests/lib/raft_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/log/log.h"
#include "tests/lib/crash_check.h"
#include "tests/lib/crash_disk.h"

#define METADATA "the metadata of this member"

struct dw_raft_world_totals dw_raft_world_total;

void dw_raft_world_fail(const struct dw_raft_world *world, const char *what, int code)
{
    fail_msg("seed %llu, after %llu operations: %s: %s (%s)", (unsigned long long)world->seed,
             (unsigned long long)dw_raft_world_total.operations, what, dwal_error_name(code), dwal_last_error()->text);
}

uint64_t dw_raft_world_draw(struct dw_raft_world *world, uint64_t limit)
{
    uint64_t z = (world->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

static struct dw_disk *disk_of(const struct dw_raft_world *world)
{
    return world->disks[world->lives - 1];
}

/* ---- stepping ---- */

void dw_raft_world_step(struct dw_raft_world *world, int steps)
{
    dwal *log = dwal_raft_log(world->raft);
    for (int i = 0; i < steps; i++)
        if (!dw_log_step_flusher(log) && !dw_log_step_maker(log))
            return;
}

/* A call that found no room: let the workers make some and call again. */
bool dw_raft_world_is_to_repeat(struct dw_raft_world *world, int code, int *attempts)
{
    if (code != DWAL_EFULL || ++*attempts > 1000)
        return false;
    dw_raft_world_step(world, 4);
    return true;
}

/* ---- after each call ---- */

void dw_raft_world_begin_call(struct dw_raft_world *world)
{
    dw_raft_world_total.operations++;
    world->event_before = dw_sim_event_count(disk_of(world));
    world->acknowledged_before = world->model.acknowledged;
    dw_raft_model_free(&world->before_release);
}

void dw_raft_world_check_stats(struct dw_raft_world *world)
{
    struct dwal_raft_stats stats = {.size = sizeof stats};
    size_t held, segments = dw_raft_model_segments(&world->model, &held);
    assert_int_equal(dwal_raft_get_stats(world->raft, &stats), 0);
    if (stats.last_index != world->model.last_index || stats.segments != segments || stats.segments_held != held)
        fail_msg("seed %llu: last index %llu for %llu, %llu segments for %zu, %llu held for %zu",
                 (unsigned long long)world->seed, (unsigned long long)stats.last_index,
                 (unsigned long long)world->model.last_index, (unsigned long long)stats.segments, segments,
                 (unsigned long long)stats.segments_held, held);
}

/* ---- opening ---- */

static void open_base(struct dw_raft_world *world, dwal **log)
{
    struct dw_log_setup setup = {
        .disk = disk_of(world), .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    int code = dw_log_open_on(&setup, &world->log_options, log);
    if (code != 0)
        dw_raft_world_fail(world, "open", code);
}

static bool is_same(const struct dwal_record *base, const struct dw_raft_model_record *record)
{
    static uint8_t data[DW_RAFT_MODEL_DATA_MAX];
    struct dwal_raft_record raft;
    dw_raft_decode(base, &raft);
    if (raft.kind != record->kind)
        return false;
    bool is_same_state = memcmp(&raft.state, &record->state, sizeof raft.state) == 0;
    switch (raft.kind) {
    case DWAL_RAFT_HEAD:
        return raft.index == record->index && raft.sequence == record->sequence && is_same_state &&
               raft.size == strlen(METADATA) && memcmp(raft.data, METADATA, raft.size) == 0;
    case DWAL_RAFT_ENTRY:
        return raft.index == record->index && raft.term == record->term && raft.type == record->type &&
               raft.size == dw_raft_model_data(record->salt, data) &&
               (raft.size == 0 || memcmp(raft.data, data, raft.size) == 0);
    case DWAL_RAFT_STATE:
        return is_same_state;
    case DWAL_RAFT_SNAPSHOT:
        return raft.index == record->index && raft.term == record->term;
    case DWAL_RAFT_UNKNOWN:
        break;
    }
    return false;
}

/* The log holds a prefix of the model's records: how many? */
static size_t compare_records(struct dw_raft_world *world, dwal *log)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    size_t count = 0;
    int code;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    while ((code = dwal_cursor_next(cursor, &record)) == 0) {
        bool is_first = count == 0 && world->before_release.count > 0;
        if (is_first && is_same(&record, &world->before_release.records[0])) { /* the crash came before the trim */
            struct dw_raft_model swap = world->model;
            world->model = world->before_release;
            world->before_release = swap;
        }
        if (count >= world->model.count || !is_same(&record, &world->model.records[count]))
            dw_raft_world_fail(world, "a record differs from the model's", (int)count);
        count++;
    }
    dwal_cursor_close(cursor);
    if (code != DWAL_EEND)
        dw_raft_world_fail(world, "cursor", code);
    dw_raft_world_total.records_compared += count;
    return count;
}

static struct dwal_raft_snapshot choose_start(struct dw_raft_world *world)
{
    const struct dw_raft_model *model = &world->model;
    struct dwal_raft_snapshot start = {.index = dw_raft_world_draw(world, model->last_index + 3),
                                       .term = dw_raft_world_draw(world, 3)};
    uint64_t kind = dw_raft_world_draw(world, 10);
    if (kind < 2) {
        start.index = model->records[0].index > 0
                          ? model->records[0].index - dw_raft_world_draw(world, 3) % model->records[0].index
                          : 0;
        start.term = start.index == 0 ? 0 : 1 + start.index % 5;
    }
    for (size_t i = 0; i < model->count && kind >= 3; i++) { /* one that is there, mostly a late one */
        const struct dw_raft_model_record *record = &model->records[i];
        if (record->kind == DWAL_RAFT_SNAPSHOT && (dw_raft_world_draw(world, 3) == 0 || i + 20 > model->count))
            start = (struct dwal_raft_snapshot){.index = record->index, .term = record->term};
    }
    return start;
}

struct comparison {
    const struct dw_raft_model_answer *answer;
    size_t seen;
    bool is_wrong;
};

static bool compare_entry(void *context, const struct dwal_raft_entry *entry)
{
    static uint8_t data[DW_RAFT_MODEL_DATA_MAX];
    struct comparison *comparison = context;
    const struct dw_raft_model_record *record =
        comparison->seen < comparison->answer->entry_count ? comparison->answer->entries[comparison->seen] : NULL;
    comparison->seen++;
    comparison->is_wrong |= !record || entry->index != record->index || entry->term != record->term ||
                            entry->type != record->type || entry->size != dw_raft_model_data(record->salt, data) ||
                            (entry->size > 0 && memcmp(entry->data, data, entry->size) != 0);
    return true;
}

static void compare_content(struct dw_raft_world *world, const struct dw_raft_model_answer *answer,
                            const struct dwal_raft_content *content, struct comparison *comparison)
{
    for (size_t i = 0; i < content->entry_count; i++)
        (void)compare_entry(comparison, &content->entries[i]);
    if (comparison->is_wrong || comparison->seen != answer->entry_count)
        dw_raft_world_fail(world, "the entries differ from the model's", (int)comparison->seen);
    if (memcmp(&content->state, &answer->state, sizeof answer->state) != 0 ||
        content->has_snapshot != answer->has_snapshot || content->last_index != answer->last_index ||
        content->metadata_size != strlen(METADATA) || memcmp(content->metadata, METADATA, content->metadata_size) != 0)
        dw_raft_world_fail(world, "state, last index or metadata differ from the model's", 0);
}

/* Put the layer on the log and read. True: it is ready, and owns the log. */
static bool open_layer(struct dw_raft_world *world, dwal *log, const struct dwal_raft_snapshot *start)
{
    static struct dw_raft_model_answer answer;
    struct dwal_raft_content *content = NULL;
    struct comparison comparison = {.answer = &answer};
    dw_raft_model_read(&world->model, start, &answer);
    dw_raft_world_total.operations++;
    int code = dw_raft_open_on(log, false, start, &world->options, &world->raft);
    if (code == 0) {
        struct dwal_raft_entry early = {.index = 1, .term = 1};
        if (dw_raft_world_draw(world, 4) == 0)
            assert_int_equal(dwal_raft_save(world->raft, NULL, &early, 1), DWAL_ERAFT_ORDER);
        code = dw_raft_world_draw(world, 3) ? dwal_raft_read_all(world->raft, &content)
                                            : dwal_raft_read(world->raft, compare_entry, &comparison, &content);
    }
    if (code != answer.code)
        dw_raft_world_fail(world, dwal_error_name(answer.code), code);
    if (content)
        compare_content(world, &answer, content, &comparison);
    dwal_raft_content_free(content);
    if (!answer.is_ready && world->raft)
        (void)dw_raft_detach(world->raft);
    if (!answer.is_ready)
        world->raft = NULL;
    return answer.is_ready;
}

/* Open, compare all, take what is there for the truth. */
static void open_world(struct dw_raft_world *world, bool is_crash)
{
    dwal *log;
    open_base(world, &log);
    size_t acknowledged = is_crash ? world->acknowledged_before : world->model.count;
    size_t dropped = world->before_release.count;
    size_t count = compare_records(world, log);
    if (dropped > 0 && world->model.count < dropped) /* the front is gone: those before it do not count */
        acknowledged -= dropped - world->model.count < acknowledged ? dropped - world->model.count : acknowledged;
    dw_raft_model_free(&world->before_release);
    if (count < acknowledged || count > world->model.count || !world->model.records[count - 1].is_last)
        dw_raft_world_fail(world, "what was acknowledged is missing, or half of a save is there", (int)count);
    dw_raft_model_keep(&world->model, count);
    struct dwal_raft_snapshot start = choose_start(world);
    if (!open_layer(world, log, &start)) { /* far behind everything: always well, and nothing is missing */
        start = (struct dwal_raft_snapshot){.index = world->model.last_index + 1000};
        assert_true(open_layer(world, log, &start));
    }
    dw_raft_model_hold_from(&world->model, start.index);
    dw_raft_world_begin_call(world);
}

void dw_raft_world_reopen(struct dw_raft_world *world)
{
    dw_raft_world_begin_call(world);
    int code = dwal_raft_close(world->raft);
    world->raft = NULL;
    if (code != 0)
        dw_raft_world_fail(world, "close", code);
    open_world(world, false);
    dw_raft_world_total.reopens++;
}

void dw_raft_world_crash(struct dw_raft_world *world)
{
    if (world->lives == DW_RAFT_LIVES_MAX)
        return;
    struct dw_disk *disk = disk_of(world);
    uint64_t events = dw_sim_event_count(disk);
    uint64_t event = world->event_before + dw_raft_world_draw(world, events - world->event_before + 1);
    if (event == events) { /* the call had returned: what it said holds */
        world->acknowledged_before = world->model.acknowledged;
        dw_raft_model_free(&world->before_release);
    }
    dw_log_abandon(dw_raft_detach(world->raft));
    world->raft = NULL;
    assert_int_equal(dw_sim_crash_create(disk, NULL, &world->crashes[world->lives - 1]), 0);
    world->disks[world->lives] =
        dw_crash_image(world->crashes[world->lives - 1], event, dw_raft_world_draw(world, 1u << 20), true);
    dw_sim_set_options(world->disks[world->lives],
                       &(struct dw_sim_options){.seed = dw_raft_world_draw(world, UINT32_MAX)});
    world->lives++;
    open_world(world, true);
    dw_raft_world_total.crashes++;
}

/* ---- a world from beginning to end ---- */

void dw_raft_world_create(struct dw_raft_world *world, uint64_t seed)
{
    static const uint8_t log_id[16] = {1, 2, 3};
    *world = (struct dw_raft_world){.seed = seed, .random = seed, .options = DWAL_RAFT_OPTIONS_INIT};
    dw_crash_options(&world->log_options);
    world->log_options.volume_size = 64 << 10;
    world->log_options.ring_size = 64 << 10;
    world->log_options.blanks = 1;
    world->log_options.backend = dw_raft_world_draw(world, 3) ? "sync" : "sim";
    world->options.log = &world->log_options;
    world->options.segment_size = dw_raft_world_draw(world, 2) ? 20000 : 200000;
    world->options.segments_kept = dw_raft_world_draw(world, 3) ? 0 : 3;
    world->disks[0] = dw_crash_disk(&(struct dw_sim_options){.seed = seed});
    world->lives = 1;
    assert_int_equal(dw_log_create_on(world->disks[0], &dw_crash_clock, log_id, 0x87654321u, &world->log_options), 0);
    dwal *log;
    open_base(world, &log);
    int code = dw_raft_create_on(log, METADATA, strlen(METADATA), &world->options, &world->raft);
    if (code != 0)
        dw_raft_world_fail(world, "create", code);
    dw_raft_model_cut(&world->model);
    world->model.acknowledged = world->model.count;
    dw_raft_world_begin_call(world);
}

void dw_raft_world_end(struct dw_raft_world *world)
{
    int code = dwal_raft_close(world->raft);
    if (code != 0)
        dw_raft_world_fail(world, "close", code);
    dw_raft_model_free(&world->model);
    dw_raft_model_free(&world->before_release);
    for (size_t life = world->lives; life > 0; life--) {
        dw_crash_drop(world->disks[life - 1]);
        if (life > 1)
            dw_sim_crash_close(world->crashes[life - 2]);
    }
}
