/* crash_life.c - see crash_life.h. */
#include "tests/lib/crash_life.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "core/log/handle.h"
#include "core/write/flush.h"
#include "tests/lib/crash_disk.h"

#define BLOCK_SIZE   4096u
#define CONTENT_SIZE (256u << 10)
#define BATCH_MAX    4u

static uint64_t draw(struct dw_crash_life *life, uint64_t limit)
{
    uint64_t z = (life->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

/* True: it went well. */
static bool must(const struct dw_crash_life *life, int code, const char *what)
{
    if (code == 0)
        return true;
    if (life->is_faulty)
        return false;
    fprintf(stderr, "seed %" PRIu64 ": %s answered %s: %s\n", life->seed, what, dwal_error_name(code),
            dwal_last_error()->text);
    abort();
}

/* ---- begin and end ---- */
static void draw_options(struct dw_crash_life *life)
{
    dw_crash_options(&life->options);
    life->options.sector_size = draw(life, 4) ? 512 : 4096;
    life->options.block_size = BLOCK_SIZE;
    uint32_t data_blocks = 4 + (uint32_t)draw(life, 5);
    life->options.volume_size = (data_blocks + 3) * (uint64_t)BLOCK_SIZE;
    life->options.blanks = 1 + (uint32_t)draw(life, 2);
    life->options.fill = draw(life, 2) ? DWAL_FILL_ZERO : DWAL_FILL_ALLOCATE;
    life->options.in_flight_writes = 1 + (uint32_t)draw(life, 4);
    life->options.write_size_max = BLOCK_SIZE * (1 + (uint32_t)draw(life, 3));
    life->options.backend = draw(life, 4) ? "sim" : "sync";
    life->entry_size_max = draw(life, 3) ? 3000 : 9000;
    life->options.is_wiping = draw(life, 4) == 0;
    if (life->options
            .is_wiping) /* the clock of a life goes a nanosecond at each look: at the usual pace no wipe would end */
        life->options.fill_kib_per_second = UINT32_MAX;
}

static void begin(struct dw_crash_life *life, uint64_t seed)
{
    *life = (struct dw_crash_life){.seed = seed, .random = seed};
    life->content = malloc(CONTENT_SIZE);
    dw_assert(life->content);
}

void dw_crash_life_create(struct dw_crash_life *life, uint64_t seed)
{
    dw_crash_life_create_on_device(life, seed, 0);
}

void dw_crash_life_create_on_device(struct dw_crash_life *life, uint64_t seed, uint64_t device_size)
{
    static const uint8_t log_id[16] = {9, 8, 7, 6, 5, 4, 3, 2, 1};
    begin(life, seed);
    draw_options(life);
    life->disk = dw_crash_disk(&(struct dw_sim_options){
        .seed = seed, .complete_percent = 30, .alignment = life->options.sector_size, .device_size = device_size});
    (void)must(life, dw_log_create_on(life->disk, &dw_crash_clock, log_id, 0x87654321u, &life->options), "create");
    dw_sim_mark(life->disk, DW_CRASH_CREATED, 0);
}

void dw_crash_life_inherit(struct dw_crash_life *life, const struct dw_crash_life *parent, struct dw_disk *image,
                           uint64_t event, uint64_t seed)
{
    begin(life, seed);
    life->disk = image;
    dw_sim_set_options(image, &(struct dw_sim_options){.seed = seed, .complete_percent = 30});
    life->options = parent->options;
    life->entry_size_max = parent->entry_size_max;
    dw_crash_story_copy(&life->story, &parent->story);
    life->facts = parent->facts;
    dw_crash_facts_advance(&life->facts, parent->disk, event);
    life->facts.event = 0;
    life->acked = life->facts.acked;
}

void dw_crash_life_abandon(struct dw_crash_life *life)
{
    if (life->log)
        dw_log_abandon(life->log);
    life->log = NULL;
}

void dw_crash_life_end(struct dw_crash_life *life)
{
    dw_crash_life_abandon(life);
    dw_crash_drop(life->disk);
    dw_crash_story_free(&life->story);
    free(life->content);
}

/* ---- open and close ---- */
enum dw_crash_fault dw_crash_life_open(struct dw_crash_life *life, struct dw_crash_outcome *outcome)
{
    struct dw_log_setup setup = {
        .disk = life->disk, .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    dw_assert(!life->log);
    struct dw_crash_facts facts = life->facts;
    dw_crash_facts_advance(&facts, life->disk, dw_sim_event_count(life->disk));
    dw_sim_mark(life->disk, DW_CRASH_OPENING, 0);
    life->options.mode = DWAL_WRITE;
    int code = dw_log_open_on(&setup, &life->options, &life->log);
    dw_crash_read_log(code, life->log, &life->story, outcome);
    enum dw_crash_fault fault = dw_crash_judge(&facts, &life->story, outcome);
    if (code < 0)
        life->log = NULL;
    if (fault != DW_CRASH_FINE)
        return fault;
    dw_crash_story_cut(&life->story, outcome->found);
    life->acked = outcome->end;
    life->has_failed = false;
    life->segment_event = dw_sim_event_count(life->disk);
    dw_sim_mark(life->disk, DW_CRASH_OPENED, outcome->found);
    return fault;
}

void dw_crash_life_close(struct dw_crash_life *life)
{
    if (!life->log)
        return;
    dw_sim_mark(life->disk, DW_CRASH_CLOSING, 0);
    bool is_closed = must(life, dwal_close(life->log), "close");
    life->log = NULL;
    if (!is_closed)
        return;
    if (life->story.count)
        dw_sim_mark(life->disk, DW_CRASH_ACKED, life->story.entries[life->story.count - 1].end);
    dw_sim_mark(life->disk, DW_CRASH_CLOSED, 0);
}

/* ---- moves ---- */
static void tell_acked(struct dw_crash_life *life)
{
    uint64_t durable = dwal_durable(life->log);
    if (durable > life->acked) {
        dw_assert(!life->has_failed); /* fail-stop: what is acknowledged after a failure is worth nothing */
        life->acked = durable;
        dw_sim_mark(life->disk, DW_CRASH_ACKED, durable);
    }
}

static void draw_entry(struct dw_crash_life *life, struct dw_crash_entry *entry, struct iovec vectors[2],
                       struct dwal_entry *given)
{
    *entry = (struct dw_crash_entry){.metadata_size = (uint32_t)draw(life, 30), .user = (uint16_t)draw(life, 65536)};
    uint64_t kind = draw(life, 8);
    entry->data_size = (uint32_t)draw(life, kind < 4 ? 100 : kind < 7 ? 1500 : life->entry_size_max);
    uint8_t *bytes = life->content + life->content_used;
    life->content_used += entry->metadata_size + entry->data_size;
    dw_crash_fill(bytes, entry->metadata_size + entry->data_size, life->random);
    entry->bytes = bytes;
    vectors[0] = (struct iovec){.iov_base = bytes, .iov_len = entry->metadata_size};
    vectors[1] = (struct iovec){.iov_base = bytes + entry->metadata_size, .iov_len = entry->data_size};
    *given = (struct dwal_entry){
        .metadata = &vectors[0], .data = &vectors[1], .metadata_count = 1, .data_count = 1, .user = entry->user};
}

/* 1: one entry; more: a batch. */
static void append(struct dw_crash_life *life, size_t count)
{
    struct dw_crash_entry entries[BATCH_MAX];
    struct iovec vectors[BATCH_MAX][2];
    struct dwal_entry given[BATCH_MAX];
    uint64_t lsns[BATCH_MAX], end = 0;
    if (life->content_used + BATCH_MAX * (life->entry_size_max + 64u) > CONTENT_SIZE)
        return;
    for (size_t i = 0; i < count; i++)
        draw_entry(life, &entries[i], vectors[i], &given[i]);
    int code = count == 1 ? dwal_try_append(life->log, &given[0], &lsns[0], &end)
                          : dwal_append_batch(life->log, given, count, lsns, &end);
    if (code == DWAL_EFULL || code == DWAL_ENOSPACE) /* the workers must move first */
        return;
    if (!must(life, code, "append"))
        return;
    for (size_t i = 0; i < count; i++) {
        entries[i].lsn = lsns[i];
        entries[i].end = lsns[i] + 20 + entries[i].metadata_size + entries[i].data_size;
        entries[i].is_more = i + 1 < count;
        dw_crash_story_add(&life->story, &entries[i]);
    }
    dw_sim_mark(life->disk, DW_CRASH_APPENDED, life->story.count);
    dw_assert(entries[count - 1].end == end);
}

static void trim(struct dw_crash_life *life)
{
    size_t first = 0, last = 0;
    while (first < life->story.count && life->story.entries[first].lsn < dwal_first(life->log))
        first++;
    while (last < life->story.count && life->story.entries[last].end <= dwal_durable(life->log))
        last++;
    if (last < first + 6)
        return;
    size_t chosen = first + draw(life, (last - first) / 2);
    if (chosen > 0 &&
        life->story.entries[chosen - 1].is_more) /* a batch is trimmed whole, or half of it: both are legal */
        return;
    uint64_t before = life->story.entries[chosen].lsn;
    dw_sim_mark(life->disk, DW_CRASH_TRIMMING, before);
    if (must(life, dwal_trim(life->log, before), "trim"))
        dw_sim_mark(life->disk, DW_CRASH_TRIMMED, before);
}

static void move(struct dw_crash_life *life)
{
    uint64_t kind = draw(life, 32);
    if (kind < 10)
        append(life, 1);
    else if (kind < 12)
        append(life, 2 + draw(life, BATCH_MAX - 1));
    else if (kind < 14 && life->story.count)
        (void)must(life, dwal_flush(life->log, life->story.entries[life->story.count - 1].end), "flush");
    else if (kind < 15 && life->story.count)
        (void)must(life, dwal_sync(life->log, life->story.entries[life->story.count - 1].end), "sync");
    else if (kind < 16)
        trim(life);
    else if (kind < 17) /* what the idle flusher's thread does after a while */
        dw_flush_marker(&life->log->writer);
    else if (kind < 26)
        dw_log_step_flusher(life->log);
    else
        dw_log_step_maker(life->log);
    tell_acked(life);
    life->has_failed = dwal_failure(life->log, NULL) != 0;
    dw_assert(life->is_faulty || !life->has_failed);
}

void dw_crash_life_move(struct dw_crash_life *life, uint32_t moves)
{
    for (uint32_t i = 0; i < moves; i++)
        move(life);
}
