/* test_raft_model.c - random sequences of all calls of the Raft log, with reopens, crashes and releases, against the simplest
 * model of it, on a simulated disk. A million operations; DWAL_RAFT_MODEL_OPERATIONS asks for another number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/raft_world.h"

#ifdef DW_SANITIZED
enum { OPERATIONS = 100000 };
#else
enum { OPERATIONS = 1000000 };
#endif
enum { RECORDS_MAX = 1500, EPISODE = 1200 };

/* Did the save cut? Then the model does, and all is durable. */
static void follow_cut(struct dw_raft_world *world)
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

static void save(struct dw_raft_world *world, const struct dwal_raft_state *state, uint64_t first, size_t count,
                 uint64_t term)
{
    static uint8_t data[8][DW_RAFT_MODEL_DATA_MAX];
    struct dwal_raft_entry entries[8];
    struct dw_raft_model_record records[8];
    int code, attempts = 0;
    for (size_t i = 0; i < count; i++) {
        records[i] = (struct dw_raft_model_record){.kind = DWAL_RAFT_ENTRY,
                                                   .index = first + i,
                                                   .term = term,
                                                   .type = (uint32_t)dw_raft_world_draw(world, 3),
                                                   .salt = (uint32_t)dw_raft_world_draw(world, 1u << 30),
                                                   .is_last = i + 1 == count && !state};
        entries[i] = (struct dwal_raft_entry){.index = first + i,
                                              .term = term,
                                              .type = records[i].type,
                                              .data = data[i],
                                              .size = dw_raft_model_data(records[i].salt, data[i])};
    }
    dw_raft_world_begin_call(world);
    do
        code = dwal_raft_save(world->raft, state, entries, count);
    while (dw_raft_world_is_to_repeat(world, code, &attempts));
    if (code != 0)
        dw_raft_world_fail(world, "save", code);
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
    dw_raft_world_total.saves++;
}

static void save_entries(struct dw_raft_world *world)
{
    uint64_t last = world->model.last_index, first = last + 1;
    struct dwal_raft_state state = world->model.state;
    uint64_t term = state.term ? state.term : 1;
    bool has_state = dw_raft_world_draw(world, 3) == 0;
    if (dw_raft_world_draw(world, 7) == 0 && last > 0) { /* a new leader overwrites */
        uint64_t back = dw_raft_world_draw(world, last < 12 ? last : 12);
        first = last - back;
        term++;
        state.term = term;
        has_state = true;
    }
    if (has_state) {
        state.term = term;
        state.commit = first > 1 ? first - 1 : 0;
    }
    save(world, has_state ? &state : NULL, first, 1 + dw_raft_world_draw(world, 5), term);
}

static void save_state(struct dw_raft_world *world)
{
    struct dwal_raft_state state = world->model.state;
    state.term += state.term == 0;
    if (dw_raft_world_draw(world, 4) == 0) {
        state.term += dw_raft_world_draw(world, 2);
        state.vote = dw_raft_world_draw(world, 4);
    } else {
        state.commit = world->model.last_index;
    }
    save(world, &state, 0, 0, 0);
}

static void save_nothing(struct dw_raft_world *world)
{
    dw_raft_world_begin_call(world);
    struct dwal_raft_state nothing = {0};
    assert_int_equal(dwal_raft_save(world->raft, dw_raft_world_draw(world, 2) ? &nothing : NULL, NULL, 0), 0);
}

static void save_wrong(struct dw_raft_world *world)
{
    struct dwal_raft_entry entries[2] = {{.index = world->model.last_index + 1, .term = 1}, {.term = 1}};
    int wanted = DWAL_EARGUMENT;
    size_t count = 2;
    switch (dw_raft_world_draw(world, 4)) {
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
        entries[0].index += 1 + dw_raft_world_draw(world, 100);
        count = 1;
        wanted = DWAL_ERAFT_GAP;
        break;
    }
    dw_raft_world_begin_call(world);
    assert_int_equal(dwal_raft_save(world->raft, NULL, entries, count), wanted);
    dw_raft_world_total.refusals++;
}

static void save_snapshot(struct dw_raft_world *world)
{
    uint64_t last = world->model.last_index, index = last > 8 ? last - dw_raft_world_draw(world, 8) : last;
    if (dw_raft_world_draw(world, 8) == 0)
        index = last + 1 + dw_raft_world_draw(world, 20); /* from elsewhere: the entries before it never come */
    struct dw_raft_model_record record = {.kind = DWAL_RAFT_SNAPSHOT,
                                          .index = index,
                                          .term = 1 + index % 5 + (dw_raft_world_draw(world, 20) == 0),
                                          .is_last = true};
    struct dwal_raft_snapshot snapshot = {.index = index, .term = record.term, .members = "members", .members_size = 7};
    int code, attempts = 0;
    if (index == 0)
        record.term = snapshot.term = 0;
    dw_raft_world_begin_call(world);
    do
        code = dwal_raft_save_snapshot(world->raft, &snapshot);
    while (dw_raft_world_is_to_repeat(world, code, &attempts));
    if (code != 0)
        dw_raft_world_fail(world, "snapshot", code);
    dw_raft_model_add(&world->model, &record);
    world->model.acknowledged = world->model.count;
}

static void cut(struct dw_raft_world *world)
{
    int code, attempts = 0;
    dw_raft_world_begin_call(world);
    do
        code = dwal_raft_cut(world->raft);
    while (dw_raft_world_is_to_repeat(world, code, &attempts));
    if (code != 0)
        dw_raft_world_fail(world, "cut", code);
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

static void release(struct dw_raft_world *world)
{
    struct dw_raft_model before;
    uint64_t last = world->model.last_index;
    uint64_t index = dw_raft_world_draw(world, 3) ? (last > 10 ? last - dw_raft_world_draw(world, 10) : last)
                                                  : dw_raft_world_draw(world, last + 20);
    dw_raft_world_begin_call(world);
    copy_model(&world->model, &before);
    int code = 0;
    if (dw_raft_world_draw(world, 4) == 0) {
        uint32_t kept = (uint32_t)dw_raft_world_draw(world, 4), dropped = 0;
        code = dwal_raft_purge(world->raft, kept, &dropped);
        assert_int_equal(dropped, dw_raft_model_purge(&world->model, kept));
    } else {
        code = dwal_raft_release(world->raft, index);
        (void)dw_raft_model_release(&world->model, index, world->options.segments_kept);
    }
    if (code != 0)
        dw_raft_world_fail(world, "release", code);
    if (before.count != world->model.count)
        world->before_release = before;
    else
        dw_raft_model_free(&before);
    dw_raft_world_total.releases++;
}

static void sync_all(struct dw_raft_world *world)
{
    dw_raft_world_begin_call(world);
    int code = dwal_raft_sync(world->raft);
    if (code != 0)
        dw_raft_world_fail(world, "sync", code);
    world->model.acknowledged = world->model.count;
}

static void move(struct dw_raft_world *world)
{
    uint64_t kind = dw_raft_world_draw(world, 1000);
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
        dw_raft_world_step(world, (int)dw_raft_world_draw(world, 6));
    else if (kind < 990)
        dw_raft_world_reopen(world);
    else
        dw_raft_world_crash(world);
    if (dw_raft_world_draw(world, 8) == 0)
        dw_raft_world_check_stats(world);
}

static void the_raft_log_does_what_the_model_does(void **state)
{
    (void)state;
    const char *wanted = getenv("DWAL_RAFT_MODEL_OPERATIONS"), *seed = getenv("DWAL_RAFT_MODEL_SEED");
    uint64_t operations = wanted ? strtoull(wanted, NULL, 10) : OPERATIONS;
    uint64_t first = seed ? strtoull(seed, NULL, 10) : 1;
    static struct dw_raft_world world;
    for (uint64_t i = first; dw_raft_world_total.operations < operations; i++) {
        dw_raft_world_create(&world, i);
        for (uint64_t n = 0;
             n < EPISODE && world.model.count < RECORDS_MAX && dw_raft_world_total.operations < operations; n++)
            move(&world);
        dw_raft_world_end(&world);
    }
    print_message(
        "%llu operations: %llu saves, %llu crashes, %llu reopens, %llu releases, %llu refused; %llu records compared, "
        "0 differences\n",
        (unsigned long long)dw_raft_world_total.operations, (unsigned long long)dw_raft_world_total.saves,
        (unsigned long long)dw_raft_world_total.crashes, (unsigned long long)dw_raft_world_total.reopens,
        (unsigned long long)dw_raft_world_total.releases, (unsigned long long)dw_raft_world_total.refusals,
        (unsigned long long)dw_raft_world_total.records_compared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_raft_log_does_what_the_model_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
