/* test_raft_model.c - random sequences of all calls of the Raft log, with reopens, crashes and releases, against the simplest
 * model of it, on a simulated disk. A million operations; DWAL_RAFT_MODEL_OPERATIONS asks for another number.
 *
 * A crash is an image of the simulated disk at some moment of the last call: with the sectors and names that a crash leaves.
 * After each open every record in the log is compared with the model's list, and then what read answers at some snapshot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/layers/raft.h"
#include "core/log/log.h"
#include "tests/lib/crash_check.h"
#include "tests/lib/crash_disk.h"
#include "tests/lib/raft_model.h"

enum { LIVES_MAX = 10, RECORDS_MAX = 1500, EPISODE = 1200 };
#define METADATA "the metadata of this member"

/* One log over its lives: each begins with a crash of the one before. */
struct world {
    uint64_t seed, random;
    struct dwal_options log_options;
    struct dwal_raft_options options;
    struct dw_disk *disks[LIVES_MAX];
    struct dw_sim_crash *crashes[LIVES_MAX];
    size_t lives;
    dwal_raft *raft;
    struct dw_raft_model model;
    /* Of the last call: what was on the disk, acknowledged and released before it. */
    uint64_t event_before;
    size_t acknowledged_before;
    struct dw_raft_model before_release; /* with records only while the last call dropped some */
};

static struct {
    uint64_t operations, saves, crashes, reopens, releases, refusals, records_compared;
} total;

static void fail_world(const struct world *world, const char *what, int code)
{
    fail_msg("seed %llu, after %llu operations: %s: %s (%s)", (unsigned long long)world->seed,
             (unsigned long long)total.operations, what, dwal_error_name(code), dwal_last_error()->text);
}

static uint64_t draw(struct world *world, uint64_t limit)
{
    uint64_t z = (world->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

static struct dw_disk *disk_of(const struct world *world)
{
    return world->disks[world->lives - 1];
}

/* ---- stepping ---- */

static void step_some(struct world *world, int steps)
{
    dwal *log = dwal_raft_log(world->raft);
    for (int i = 0; i < steps; i++)
        if (!dw_log_step_flusher(log) && !dw_log_step_maker(log))
            return;
}

/* A call that found no room: let the workers make some and call again. */
static bool is_to_repeat(struct world *world, int code, int *attempts)
{
    if (code != DWAL_EFULL || ++*attempts > 1000)
        return false;
    step_some(world, 4);
    return true;
}

/* ---- after each call ---- */

static void begin_call(struct world *world)
{
    total.operations++;
    world->event_before = dw_sim_event_count(disk_of(world));
    world->acknowledged_before = world->model.acknowledged;
    dw_raft_model_free(&world->before_release);
}

static void check_stats(struct world *world)
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

/* Did the save cut? Then the model does, and all is durable. */
static void follow_cut(struct world *world)
{
    struct dwal_raft_stats stats = {.size = sizeof stats};
    size_t held, segments = dw_raft_model_segments(&world->model, &held);
    assert_int_equal(dwal_raft_get_stats(world->raft, &stats), 0);
    if (stats.segments != segments + 1)
        return;
    dw_raft_model_cut(&world->model);
    world->model.acknowledged = world->model.count;
}

/* ---- calls ---- */

static void save(struct world *world, const struct dwal_raft_state *state, uint64_t first, size_t count, uint64_t term)
{
    static uint8_t data[8][DW_RAFT_MODEL_DATA_MAX];
    struct dwal_raft_entry entries[8];
    struct dw_raft_model_record records[8];
    int code, attempts = 0;
    for (size_t i = 0; i < count; i++) {
        records[i] = (struct dw_raft_model_record){.kind = DWAL_RAFT_ENTRY,
                                                   .index = first + i,
                                                   .term = term,
                                                   .type = (uint32_t)draw(world, 3),
                                                   .salt = (uint32_t)draw(world, 1u << 30),
                                                   .is_last = i + 1 == count && !state};
        entries[i] = (struct dwal_raft_entry){.index = first + i,
                                              .term = term,
                                              .type = records[i].type,
                                              .data = data[i],
                                              .size = dw_raft_model_data(records[i].salt, data[i])};
    }
    begin_call(world);
    do
        code = dwal_raft_save(world->raft, state, entries, count);
    while (is_to_repeat(world, code, &attempts));
    if (code != 0)
        fail_world(world, "save", code);
    bool is_synced =
        count > 0 || (state && (state->term != world->model.state.term || state->vote != world->model.state.vote));
    for (size_t i = 0; i < count; i++)
        dw_raft_model_add(&world->model, &records[i]);
    if (state)
        dw_raft_model_add(&world->model,
                          &(struct dw_raft_model_record){.kind = DWAL_RAFT_STATE, .state = *state, .is_last = true});
    if (is_synced)
        world->model.acknowledged = world->model.count;
    follow_cut(world);
    total.saves++;
}

static void save_entries(struct world *world)
{
    uint64_t last = world->model.last_index, first = last + 1;
    struct dwal_raft_state state = world->model.state;
    uint64_t term = state.term ? state.term : 1;
    bool has_state = draw(world, 3) == 0;
    if (draw(world, 7) == 0 && last > 0) { /* a new leader overwrites */
        uint64_t back = draw(world, last < 12 ? last : 12);
        first = last - back;
        term++;
        state.term = term;
        has_state = true;
    }
    if (has_state) {
        state.term = term;
        state.commit = first > 1 ? first - 1 : 0;
    }
    save(world, has_state ? &state : NULL, first, 1 + draw(world, 5), term);
}

static void save_state(struct world *world)
{
    struct dwal_raft_state state = world->model.state;
    state.term += state.term == 0;
    if (draw(world, 4) == 0) {
        state.term += draw(world, 2);
        state.vote = draw(world, 4);
    } else {
        state.commit = world->model.last_index;
    }
    save(world, &state, 0, 0, 0);
}

static void save_nothing(struct world *world)
{
    begin_call(world);
    struct dwal_raft_state nothing = {0};
    assert_int_equal(dwal_raft_save(world->raft, draw(world, 2) ? &nothing : NULL, NULL, 0), 0);
}

static void save_wrong(struct world *world)
{
    struct dwal_raft_entry entries[2] = {{.index = world->model.last_index + 1, .term = 1}, {.term = 1}};
    int wanted = DWAL_EARGUMENT;
    size_t count = 2;
    switch (draw(world, 4)) {
    case 0:
        entries[1].index = entries[0].index + 2;
        break;
    case 1:
        entries[1].index = entries[0].index;
        break;
    case 2:
        entries[0].index = 0;
        count = 1;
        break;
    default:
        entries[0].index += 1 + draw(world, 100);
        count = 1;
        wanted = DWAL_ERAFT_GAP;
        break;
    }
    begin_call(world);
    assert_int_equal(dwal_raft_save(world->raft, NULL, entries, count), wanted);
    total.refusals++;
}

static void save_snapshot(struct world *world)
{
    uint64_t last = world->model.last_index, index = last > 8 ? last - draw(world, 8) : last;
    if (draw(world, 8) == 0)
        index = last + 1 + draw(world, 20); /* from elsewhere: the entries before it never come */
    struct dw_raft_model_record record = {
        .kind = DWAL_RAFT_SNAPSHOT, .index = index, .term = 1 + index % 5 + (draw(world, 20) == 0), .is_last = true};
    struct dwal_raft_snapshot snapshot = {.index = index, .term = record.term, .members = "members", .members_size = 7};
    int code, attempts = 0;
    if (index == 0)
        record.term = snapshot.term = 0;
    begin_call(world);
    do
        code = dwal_raft_save_snapshot(world->raft, &snapshot);
    while (is_to_repeat(world, code, &attempts));
    if (code != 0)
        fail_world(world, "snapshot", code);
    dw_raft_model_add(&world->model, &record);
    world->model.acknowledged = world->model.count;
}

static void cut(struct world *world)
{
    int code, attempts = 0;
    begin_call(world);
    do
        code = dwal_raft_cut(world->raft);
    while (is_to_repeat(world, code, &attempts));
    if (code != 0)
        fail_world(world, "cut", code);
    dw_raft_model_cut(&world->model);
    world->model.acknowledged = world->model.count;
}

static void copy_model(const struct dw_raft_model *model, struct dw_raft_model *copy)
{
    *copy = *model;
    copy->capacity = model->count;
    copy->records = malloc(model->count * sizeof *copy->records);
    assert_non_null(copy->records);
    memcpy(copy->records, model->records, model->count * sizeof *copy->records);
}

static void release(struct world *world)
{
    struct dw_raft_model before;
    uint64_t last = world->model.last_index;
    uint64_t index = draw(world, 3) ? (last > 10 ? last - draw(world, 10) : last) : draw(world, last + 20);
    begin_call(world);
    copy_model(&world->model, &before);
    int code = 0;
    if (draw(world, 4) == 0) {
        uint32_t kept = (uint32_t)draw(world, 4), dropped = 0;
        code = dwal_raft_purge(world->raft, kept, &dropped);
        assert_int_equal(dropped, dw_raft_model_purge(&world->model, kept));
    } else {
        code = dwal_raft_release(world->raft, index);
        (void)dw_raft_model_release(&world->model, index, world->options.segments_kept);
    }
    if (code != 0)
        fail_world(world, "release", code);
    if (before.count != world->model.count)
        world->before_release = before;
    else
        dw_raft_model_free(&before);
    total.releases++;
}

static void sync_all(struct world *world)
{
    begin_call(world);
    int code = dwal_raft_sync(world->raft);
    if (code != 0)
        fail_world(world, "sync", code);
    world->model.acknowledged = world->model.count;
}

/* ---- opening ---- */

static void open_base(struct world *world, dwal **log)
{
    struct dw_log_setup setup = {
        .disk = disk_of(world), .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    int code = dw_log_open_on(&setup, &world->log_options, log);
    if (code != 0)
        fail_world(world, "open", code);
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
               raft.size == dw_raft_model_data(record->salt, data) && memcmp(raft.data, data, raft.size) == 0;
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
static size_t compare_records(struct world *world, dwal *log)
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
            fail_world(world, "a record differs from the model's", (int)count);
        count++;
    }
    dwal_cursor_close(cursor);
    if (code != DWAL_EEND)
        fail_world(world, "cursor", code);
    total.records_compared += count;
    return count;
}

static struct dwal_raft_snapshot choose_start(struct world *world)
{
    const struct dw_raft_model *model = &world->model;
    struct dwal_raft_snapshot start = {.index = draw(world, model->last_index + 3), .term = draw(world, 3)};
    uint64_t kind = draw(world, 10);
    if (kind < 2) {
        start.index =
            model->records[0].index > 0 ? model->records[0].index - draw(world, 3) % model->records[0].index : 0;
        start.term = start.index == 0 ? 0 : 1 + start.index % 5;
    }
    for (size_t i = 0; i < model->count && kind >= 3; i++) { /* one that is there, mostly a late one */
        const struct dw_raft_model_record *record = &model->records[i];
        if (record->kind == DWAL_RAFT_SNAPSHOT && (draw(world, 3) == 0 || i + 20 > model->count))
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
                            memcmp(entry->data, data, entry->size) != 0;
    return true;
}

static void compare_content(struct world *world, const struct dw_raft_model_answer *answer,
                            const struct dwal_raft_content *content, struct comparison *comparison)
{
    for (size_t i = 0; i < content->entry_count; i++)
        (void)compare_entry(comparison, &content->entries[i]);
    if (comparison->is_wrong || comparison->seen != answer->entry_count)
        fail_world(world, "the entries differ from the model's", (int)comparison->seen);
    if (memcmp(&content->state, &answer->state, sizeof answer->state) != 0 ||
        content->has_snapshot != answer->has_snapshot || content->last_index != answer->last_index ||
        content->metadata_size != strlen(METADATA) || memcmp(content->metadata, METADATA, content->metadata_size) != 0)
        fail_world(world, "state, last index or metadata differ from the model's", 0);
}

/* Put the layer on the log and read. True: it is ready, and owns the log. */
static bool open_layer(struct world *world, dwal *log, const struct dwal_raft_snapshot *start)
{
    static struct dw_raft_model_answer answer;
    struct dwal_raft_content *content = NULL;
    struct comparison comparison = {.answer = &answer};
    dw_raft_model_read(&world->model, start, &answer);
    total.operations++;
    int code = dw_raft_open_on(log, false, start, &world->options, &world->raft);
    if (code == 0) {
        struct dwal_raft_entry early = {.index = 1, .term = 1};
        if (draw(world, 4) == 0)
            assert_int_equal(dwal_raft_save(world->raft, NULL, &early, 1), DWAL_ERAFT_ORDER);
        code = draw(world, 3) ? dwal_raft_read_all(world->raft, &content)
                              : dwal_raft_read(world->raft, compare_entry, &comparison, &content);
    }
    if (code != answer.code)
        fail_world(world, dwal_error_name(answer.code), code);
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
static void open_world(struct world *world, bool is_crash)
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
        fail_world(world, "what was acknowledged is missing, or half of a save is there", (int)count);
    dw_raft_model_keep(&world->model, count);
    struct dwal_raft_snapshot start = choose_start(world);
    if (!open_layer(world, log, &start)) { /* far behind everything: always well, and nothing is missing */
        start = (struct dwal_raft_snapshot){.index = world->model.last_index + 1000};
        assert_true(open_layer(world, log, &start));
    }
    dw_raft_model_hold_from(&world->model, start.index);
    begin_call(world);
}

static void reopen(struct world *world)
{
    begin_call(world);
    int code = dwal_raft_close(world->raft);
    world->raft = NULL;
    if (code != 0)
        fail_world(world, "close", code);
    open_world(world, false);
    total.reopens++;
}

static void crash(struct world *world)
{
    if (world->lives == LIVES_MAX)
        return;
    struct dw_disk *disk = disk_of(world);
    uint64_t events = dw_sim_event_count(disk);
    uint64_t event = world->event_before + draw(world, events - world->event_before + 1);
    if (event == events) { /* the call had returned: what it said holds */
        world->acknowledged_before = world->model.acknowledged;
        dw_raft_model_free(&world->before_release);
    }
    dw_log_abandon(dw_raft_detach(world->raft));
    world->raft = NULL;
    assert_int_equal(dw_sim_crash_create(disk, NULL, &world->crashes[world->lives - 1]), 0);
    world->disks[world->lives] = dw_crash_image(world->crashes[world->lives - 1], event, draw(world, 1u << 20), true);
    dw_sim_set_options(world->disks[world->lives], &(struct dw_sim_options){.seed = draw(world, UINT32_MAX)});
    world->lives++;
    open_world(world, true);
    total.crashes++;
}

/* ---- a world from beginning to end ---- */

static void create(struct world *world, uint64_t seed)
{
    static const uint8_t log_id[16] = {1, 2, 3};
    *world = (struct world){.seed = seed, .random = seed, .options = DWAL_RAFT_OPTIONS_INIT};
    dw_crash_options(&world->log_options);
    world->log_options.volume_size = 64 << 10;
    world->log_options.ring_size = 64 << 10;
    world->log_options.blanks = 1;
    world->log_options.backend = draw(world, 3) ? "sync" : "sim";
    world->options.log = &world->log_options;
    world->options.segment_size = draw(world, 2) ? 20000 : 200000;
    world->options.segments_kept = draw(world, 3) ? 0 : 3;
    world->disks[0] = dw_crash_disk(&(struct dw_sim_options){.seed = seed});
    world->lives = 1;
    assert_int_equal(dw_log_create_on(world->disks[0], &dw_crash_clock, log_id, 0x87654321u, &world->log_options), 0);
    dwal *log;
    open_base(world, &log);
    int code = dw_raft_create_on(log, METADATA, strlen(METADATA), &world->options, &world->raft);
    if (code != 0)
        fail_world(world, "create", code);
    dw_raft_model_cut(&world->model);
    world->model.acknowledged = world->model.count;
    begin_call(world);
}

static void move(struct world *world)
{
    uint64_t kind = draw(world, 1000);
    if (kind < 520)
        save_entries(world);
    else if (kind < 720)
        save_state(world);
    else if (kind < 740)
        save_nothing(world);
    else if (kind < 770)
        save_wrong(world);
    else if (kind < 830)
        save_snapshot(world);
    else if (kind < 850)
        cut(world);
    else if (kind < 905)
        release(world);
    else if (kind < 935)
        sync_all(world);
    else if (kind < 980)
        step_some(world, (int)draw(world, 6));
    else if (kind < 990)
        reopen(world);
    else
        crash(world);
    if (draw(world, 8) == 0)
        check_stats(world);
}

static void end(struct world *world)
{
    int code = dwal_raft_close(world->raft);
    if (code != 0)
        fail_world(world, "close", code);
    dw_raft_model_free(&world->model);
    dw_raft_model_free(&world->before_release);
    for (size_t life = world->lives; life > 0; life--) {
        dw_crash_drop(world->disks[life - 1]);
        if (life > 1)
            dw_sim_crash_close(world->crashes[life - 2]);
    }
}

static void the_raft_log_does_what_the_model_does(void **state)
{
    (void)state;
    const char *wanted = getenv("DWAL_RAFT_MODEL_OPERATIONS"), *seed = getenv("DWAL_RAFT_MODEL_SEED");
    uint64_t operations = wanted ? strtoull(wanted, NULL, 10) : 1000000;
    uint64_t first = seed ? strtoull(seed, NULL, 10) : 1;
    static struct world world;
    for (uint64_t i = first; total.operations < operations; i++) {
        create(&world, i);
        for (uint64_t n = 0; n < EPISODE && world.model.count < RECORDS_MAX && total.operations < operations; n++)
            move(&world);
        end(&world);
    }
    print_message(
        "%llu operations: %llu saves, %llu crashes, %llu reopens, %llu releases, %llu refused; %llu records compared, "
        "0 differences\n",
        (unsigned long long)total.operations, (unsigned long long)total.saves, (unsigned long long)total.crashes,
        (unsigned long long)total.reopens, (unsigned long long)total.releases, (unsigned long long)total.refusals,
        (unsigned long long)total.records_compared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_raft_log_does_what_the_model_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
