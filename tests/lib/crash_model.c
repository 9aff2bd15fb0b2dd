/* crash_model.c - see crash_model.h. */
#include "tests/lib/crash_model.h"

#include <string.h>

#include "base/assert.h"
#include "base/bits.h"

/* ---- choosing ---- */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t dw_crash_choose(struct dw_crash_chooser *chooser, uint32_t count, uint64_t event)
{
    dw_assert(count > 0);
    if (chooser->is_random)
        return (uint32_t)(draw(&chooser->state) % count);
    if (count == 1)
        return 0;
    uint32_t at = chooser->depth++;
    dw_assert(at < DW_CRASH_DECISIONS_MAX);
    if (at >= chooser->depth_max) {
        chooser->taken[at] = 0;
        chooser->depth_max = at + 1;
    }
    chooser->limit[at] = (uint16_t)count;
    chooser->event[at] = event;
    return chooser->taken[at];
}

void dw_crash_chooser_seed(struct dw_crash_chooser *chooser, uint64_t seed)
{
    *chooser = (struct dw_crash_chooser){.is_random = true, .state = seed};
}

bool dw_crash_chooser_next(struct dw_crash_chooser *chooser)
{
    uint32_t at = chooser->depth;
    while (at > 0 && chooser->taken[at - 1] + 1 == chooser->limit[at - 1])
        at--;
    if (at == 0)
        return false;
    chooser->taken[at - 1]++;
    chooser->first_event = chooser->event[at - 1] + 1;
    chooser->depth_max = at;
    chooser->depth = 0;
    return true;
}

/* ---- moves ---- */
enum move { APPEND, SUBMIT, FINISH, CLAIM, TOC, MARK };

struct moves {
    struct {
        enum move move;
        uint32_t argument;
    } list[16];
    uint32_t count;
};

struct run {
    const struct dw_crash_model *model;
    struct dw_crash_chooser *chooser;
    struct dw_crash_writer *writer;
    size_t appended;
    uint32_t toc_next; /* volume whose TOC is due next */
    uint64_t marked_block;
};

static void add_move(struct moves *moves, enum move move, uint32_t argument)
{
    dw_assert(moves->count < DW_COUNT_OF(moves->list));
    moves->list[moves->count].move = move;
    moves->list[moves->count++].argument = argument;
}

static void append_next(struct run *run)
{
    const struct dw_crash_planned *entry;
    do {
        entry = &run->model->entries[run->appended++];
        dw_crash_writer_append(run->writer, entry->metadata_size, entry->data_size, entry->is_more);
        if (entry->is_sealed)
            dw_crash_writer_seal(run->writer);
    } while (entry->is_more && run->appended < run->model->entry_count);
}

static uint32_t volume_of_next(const struct dw_crash_writer *writer)
{
    return dw_volume_of_block(&writer->geometry, writer->next_block);
}

static bool is_toc_due(const struct run *run)
{
    const struct dw_crash_writer *writer = run->writer;
    uint64_t early = writer->shape.sin == DW_CRASH_SIN_TOC_EARLY ? 1 : 0;
    return writer->durable_block + early >= dw_first_block_of_volume(&writer->geometry, run->toc_next + 1);
}

static bool is_idle(const struct dw_crash_writer *writer)
{
    return writer->flight_count == 0 && dw_crash_writer_complete_blocks(writer) == 0 &&
           dw_offset_of_lsn(&writer->geometry, writer->tail) == 0;
}

static bool may_claim(const struct run *run)
{
    const struct dw_crash_writer *writer = run->writer;
    bool is_needed = volume_of_next(writer) > writer->claimed && dw_crash_writer_complete_blocks(writer) > 0;
    /* Ahead of need when the chooser likes: at most one, and only when its blocks are in reach. */
    return is_needed || (run->model->may_claim_late && volume_of_next(writer) == writer->claimed &&
                         writer->next_block % writer->geometry.data_blocks >= writer->geometry.data_blocks / 2);
}

static void list_moves(const struct run *run, struct moves *moves)
{
    const struct dw_crash_writer *writer = run->writer;
    const struct dw_crash_model *model = run->model;
    uint32_t complete = dw_crash_writer_complete_blocks(writer);
    bool is_more = run->appended < model->entry_count;
    moves->count = 0;
    /* Nothing to choose: content comes first, as far as there is nothing to write. */
    if (is_more && complete < model->run_max) {
        add_move(moves, APPEND, 0);
        return;
    }
    if (is_toc_due(run))
        add_move(moves, TOC, 0);
    if (is_toc_due(run) && !model->may_delay_toc)
        return;
    for (uint32_t count = 1; count <= model->run_max; count++) {
        if (dw_crash_writer_can_submit(writer, count))
            add_move(moves, SUBMIT, count);
    }
    for (uint32_t i = 0; i < writer->flight_count; i++)
        add_move(moves, FINISH, i);
    if (may_claim(run))
        add_move(moves, CLAIM, 0);
    if (model->may_mark && is_idle(writer) && run->marked_block != writer->next_block &&
        volume_of_next(writer) <= writer->claimed)
        add_move(moves, MARK, 0);
}

static void make_move(struct run *run, enum move move, uint32_t argument)
{
    struct dw_crash_writer *writer = run->writer;
    switch (move) {
    case APPEND:
        append_next(run);
        break;
    case SUBMIT:
        dw_crash_writer_submit(writer, argument);
        break;
    case FINISH:
        dw_crash_writer_finish(writer, argument);
        break;
    case CLAIM:
        dw_crash_writer_claim(writer);
        break;
    case TOC:
        dw_crash_writer_toc(writer, run->toc_next++);
        break;
    case MARK:
        dw_crash_writer_mark(writer);
        run->marked_block = writer->next_block; /* no second one behind it */
        break;
    }
}

/* All is appended, sealed, written and durable. */
static bool is_done(const struct run *run)
{
    return run->appended == run->model->entry_count && is_idle(run->writer) && !is_toc_due(run);
}

void dw_crash_model_run(const struct dw_crash_model *model, struct dw_crash_chooser *chooser, uint64_t seed,
                        struct dw_crash_writer *writer)
{
    dw_crash_writer_begin(writer, &model->shape, seed);
    if (model->is_lying)
        dw_sim_set_options(writer->disk,
                           &(struct dw_sim_options){.is_manual = true, .seed = seed, .is_fua_lying = true});
    struct run run = {.model = model, .chooser = chooser, .writer = writer, .toc_next = model->shape.first_volume};
    chooser->depth = 0;
    for (;;) {
        struct moves moves;
        if (run.appended == model->entry_count)
            dw_crash_writer_seal(writer);
        list_moves(&run, &moves);
        /* At the end there may still be a marker or an early claim: they are taken or left. */
        uint32_t extra = is_done(&run) ? 1 : 0;
        if (moves.count + extra == 0 || (is_done(&run) && moves.count == 0))
            break;
        uint32_t chosen = dw_crash_choose(chooser, moves.count + extra, dw_sim_event_count(writer->disk));
        if (chosen == moves.count)
            break;
        make_move(&run, moves.list[chosen].move, moves.list[chosen].argument);
    }
    dw_assert(run.appended == model->entry_count);
    while (writer->flight_count)
        dw_crash_writer_finish(writer, dw_crash_choose(chooser, writer->flight_count, 0));
    if (model->is_closing)
        dw_crash_writer_close(writer);
    dw_crash_writer_end(writer);
}

/* ---- plans by seed ---- */
static uint32_t draw_size(uint64_t *state, uint32_t payload)
{
    switch (draw(state) % 8) {
    case 0:
        return 0;
    case 1:
    case 2:
    case 3:
        return (uint32_t)(draw(state) % 200);
    case 4:
    case 5:
        return (uint32_t)(draw(state) % payload);
    case 6: /* just about a block's end */
        return payload - DW_RECORD_HEADER_SIZE - 4 + (uint32_t)(draw(state) % 8);
    default:
        return (uint32_t)(draw(state) % (3 * (uint64_t)payload));
    }
}

void dw_crash_model_of_seed(uint64_t seed, struct dw_crash_model *model, struct dw_crash_planned *entries)
{
    uint64_t state = seed;
    *model = (struct dw_crash_model){.entries = entries};
    model->shape.sector_size = draw(&state) % 4 ? 512 : 4096;
    model->shape.data_blocks = 4 + (uint32_t)(draw(&state) % 5);
    model->shape.depth = 1 + (uint32_t)(draw(&state) % DW_CRASH_DEPTH_MAX);
    model->run_max = 1 + (uint32_t)(draw(&state) % 2);
    model->shape.in_flight_blocks = model->run_max + (uint32_t)(draw(&state) % (2 * model->shape.depth));
    model->shape.first_volume = (uint32_t)(draw(&state) % 3);
    model->may_mark = draw(&state) % 2;
    model->may_delay_toc = draw(&state) % 2;
    model->may_claim_late = draw(&state) % 2;
    model->is_closing = draw(&state) % 3 == 0;
    model->entry_count = 3 + draw(&state) % (DW_CRASH_PLAN_MAX - 3);
    uint64_t bytes = 0, room = (uint64_t)model->shape.data_blocks * 3 * 4000;
    for (size_t i = 0; i < model->entry_count; i++) {
        entries[i] = (struct dw_crash_planned){.metadata_size = (uint32_t)(draw(&state) % 40),
                                               .data_size = draw_size(&state, 3900),
                                               .is_more = draw(&state) % 4 == 0,
                                               .is_sealed = draw(&state) % 3 == 0};
        entries[i].is_sealed = entries[i].is_sealed && !entries[i].is_more;
        bytes += entries[i].data_size + 4096;
        if (bytes > room)
            model->entry_count = i + 1;
    }
    entries[model->entry_count - 1].is_more = false;
}
