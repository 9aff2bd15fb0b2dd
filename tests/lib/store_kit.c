/* store_kit.c - a small log for tests of core/store: see store_kit.h. */
#include "tests/lib/store_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/sim.h"

enum { RECORD_SIZE = 100, STEPS_MAX = 100000, LIST_MAX = 64 };

#define KIT_PATIENCE_NS UINT64_C(90000000)

static _Alignas(4096) uint8_t kit_block[DW_BLOCK_SIZE_MAX]; /* not from alloc/: its failures are not ours */

static void mark(struct dw_kit *kit, enum dw_kit_mark what, uint64_t value)
{
    if (kit->marked)
        dw_sim_mark(kit->marked, what, value);
}

/* ---- hooks ---- */

static uint64_t monotonic(void *context)
{
    return ((struct dw_kit *)context)->now_ns;
}

static uint64_t realtime(void *context)
{
    return ((struct dw_kit *)context)->now_ns + UINT64_C(1700000000000000000);
}

static uint64_t durable_block(void *context)
{
    return ((struct dw_kit *)context)->durable_block;
}

static void on_space(void *context)
{
    ((struct dw_kit *)context)->space_calls++;
}

static void on_failure(void *context, const struct dwal_error *error)
{
    struct dw_kit *kit = context;
    kit->failure = *error;
    kit->failure_calls++;
}

static void on_event(void *context, enum dwal_event_level level, const char *text)
{
    struct dw_kit *kit = context;
    kit->event_calls++;
    if (level <= DWAL_EVENT_WARNING)
        kit->warning_calls++;
    snprintf(kit->event, sizeof kit->event, "%s", text);
}

static uint64_t make_table(void *context, uint32_t volume, uint64_t first, uint64_t end, bool is_spilling, void *table,
                           uint32_t capacity)
{
    struct dw_kit *kit = context;
    assert_true(kit->table_count < DW_KIT_TABLES_MAX);
    kit->tables[kit->table_count++] =
        (struct dw_kit_table){.volume = volume, .first = first, .end = end, .is_spilling = is_spilling};
    if (kit->table_answer <= capacity)
        memset(table, 0x5a, (size_t)kit->table_answer);
    return kit->table_answer;
}

/* ---- life ---- */

void dw_kit_init(struct dw_kit *kit, struct dw_disk *disk, uint32_t toc_length)
{
    memset(kit, 0, sizeof *kit);
    const char *why = NULL;
    assert_int_equal(dw_geometry_init(&kit->create.geometry, 4096, 512, DW_KIT_VOLUME_SIZE, toc_length, &why), 0);
    kit->disk = disk;
    kit->now_ns = 1000000;
    kit->clock = (struct dw_clock){.monotonic_ns = monotonic, .realtime_ns = realtime, .context = kit};
    kit->create.magic_number = 7;
    kit->create.blanks = 2;
    kit->create.fill_mode = DWAL_FILL_ZERO;
    kit->create.in_flight_blocks = 4;
    kit->create.tag_key = 0x80001234u;
    memcpy(kit->create.log_id, "0123456789abcdef", 16);
    kit->options = (struct dw_store_options){
        .in_flight_blocks = 4,
        .clock = &kit->clock,
        .hooks =
            {
                .context = kit,
                .durable_block = durable_block,
                .on_space = on_space,
                .on_failure = on_failure,
                .on_event = on_event,
                .table = toc_length ? make_table : NULL,
                .table_context = kit,
            },
    };
}

int dw_kit_create(struct dw_kit *kit)
{
    int result = dw_store_create(kit->disk, &kit->create, &kit->clock);
    if (result == 0)
        mark(kit, DW_KIT_MARK_CREATED, 0);
    return result;
}

int dw_kit_load(struct dw_kit *kit)
{
    int result = dw_store_load(kit->disk, &kit->options, &kit->store);
    if (result == 0 && !kit->options.is_read_only)
        result = dw_store_lock(kit->store);
    if (result != 0) {
        (void)dw_store_close(kit->store, false, 0);
        kit->store = NULL;
    }
    return result;
}

int dw_kit_continue(struct dw_kit *kit, uint32_t tail, uint32_t block)
{
    const struct dw_geometry *geometry = &dw_store_superblock(kit->store)->geometry;
    uint64_t next_block = dw_first_block_of_volume(geometry, tail) + block;
    struct dw_settlement settlement = {
        .is_continued = true,
        .tail = tail,
        .next_block = next_block,
        .tail_first_lsn = DWAL_NO_LSN,
        .tail_last_start_block = DWAL_NO_LSN,
        .durable_block = next_block,
    };
    kit->durable_block = next_block;
    return dw_store_settle(kit->store, &settlement);
}

int dw_kit_cut(struct dw_kit *kit, uint32_t tail, uint64_t cut, uint32_t number, const uint32_t *abandoned,
               size_t abandoned_count)
{
    const struct dw_geometry *geometry = &dw_store_superblock(kit->store)->geometry;
    struct dw_settle_toc toc = {
        .number = tail,
        .toc = {.number = tail, .flags = DW_TOC_CUT, .first_lsn = cut, .last_lsn = cut, .end = cut},
    };
    struct dw_settlement settlement = {
        .tail = tail,
        .cut = cut,
        .next_number = number,
        .tocs = &toc,
        .toc_count = 1,
        .read_volumes = &tail,
        .read_volume_count = 1,
        .abandoned = abandoned,
        .abandoned_count = abandoned_count,
        .durable_block = dw_first_block_of_volume(geometry, number),
    };
    kit->durable_block = settlement.durable_block;
    return dw_store_settle(kit->store, &settlement);
}

int dw_kit_start(struct dw_kit *kit)
{
    int result = dw_kit_load(kit);
    return result != 0 ? result : dw_kit_continue(kit, 0, 0);
}

void dw_kit_abandon(struct dw_kit *kit)
{
    (void)dw_store_close(kit->store, false, 0);
    kit->store = NULL;
}

int dw_kit_trim(struct dw_kit *kit, uint64_t before)
{
    mark(kit, DW_KIT_MARK_TRIM_BEGIN, before);
    int result = dw_store_trim(kit->store, before);
    if (result == 0)
        mark(kit, DW_KIT_MARK_TRIM_END, before);
    return result;
}

/* ---- a recovery of our own ---- */

bool dw_kit_block_is_sound(struct dw_kit *kit, uint64_t block)
{
    const struct dw_superblock_info *superblock = dw_store_superblock(kit->store);
    const struct dw_geometry *geometry = &superblock->geometry;
    struct dw_volume *volume;
    if (dw_store_pin(kit->store, dw_volume_of_block(geometry, block), &volume) != 0)
        return false;
    size_t done = 0;
    int result = dw_file_read(volume->file, kit_block, geometry->block_size,
                              volume->base + dw_place_of_block(geometry, block), &done);
    dw_store_unpin(kit->store, volume);
    struct dw_block_info info;
    return result == 0 && done == geometry->block_size &&
           dw_block_header_decode(geometry, &superblock->identity, kit_block, block, &info) == DW_DECODED_OK;
}

struct findings {
    uint32_t tail, blocks; /* the last volume with content, and how many of its blocks are sound */
    uint32_t last;         /* the last volume of the chain */
    uint32_t highest;      /* number claimed or seen */
    struct dw_settle_toc tocs[LIST_MAX];
    size_t toc_count;
    uint32_t abandoned[LIST_MAX];
    size_t abandoned_count;
};

static uint32_t count_sound_blocks(struct dw_kit *kit, uint32_t number)
{
    const struct dw_geometry *geometry = &dw_store_superblock(kit->store)->geometry;
    uint32_t count = 0;
    while (count < geometry->data_blocks &&
           dw_kit_block_is_sound(kit, dw_first_block_of_volume(geometry, number) + count))
        count++;
    return count;
}

static void look_at_chain(struct dw_kit *kit, struct findings *findings)
{
    const struct dw_superblock_info *superblock = dw_store_superblock(kit->store);
    *findings = (struct findings){.tail = superblock->head, .highest = superblock->claimed};
    uint64_t end;
    for (uint32_t number = superblock->head; number != DW_VOLUME_NUMBER_NONE;
         number = dw_store_successor(kit->store, number, &end)) {
        uint32_t blocks = count_sound_blocks(kit, number);
        findings->last = number;
        if (blocks == 0 && number != superblock->head)
            continue;
        findings->tail = number;
        findings->blocks = blocks;
    }
}

/* A full or cut volume. */
static void add_toc(struct dw_kit *kit, struct findings *findings, uint32_t number, uint32_t blocks, uint32_t flags)
{
    const struct dw_geometry *geometry = &dw_store_superblock(kit->store)->geometry;
    uint64_t first = dw_first_lsn_of_volume(geometry, number);
    struct dw_toc_info toc = {.number = number,
                              .flags = flags,
                              .first_lsn = first,
                              .last_lsn = blocks ? first + (uint64_t)(blocks - 1) * geometry->payload_size : first,
                              .end = first + (uint64_t)blocks * geometry->payload_size,
                              .entry_count = blocks};
    assert_true(findings->toc_count < LIST_MAX);
    findings->tocs[findings->toc_count++] = (struct dw_settle_toc){.number = number, .toc = toc};
}

/* Sort the other rows: abandoned when they are not in the chain up to `last`, owed a TOC when they are and are full. */
static void sort_rows(struct dw_kit *kit, struct findings *findings, uint32_t head, uint32_t last)
{
    uint64_t trim = dw_store_first(kit->store);
    for (size_t i = 0; i < dw_store_volume_count(kit->store); i++) {
        const struct dw_volume *volume = dw_store_volume_at(kit->store, i);
        uint32_t number = volume->number;
        bool is_in_chain = dw_store_first_from(kit->store, number) == number && number <= last;
        uint64_t end;
        (void)dw_store_successor(kit->store, number, &end);
        findings->highest = number > findings->highest ? number : findings->highest;
        if (!is_in_chain) {
            assert_true(findings->abandoned_count < LIST_MAX);
            findings->abandoned[findings->abandoned_count++] = number;
        } else if (number < head && !volume->is_sealed && end > trim) {
            add_toc(kit, findings, number, count_sound_blocks(kit, number), 0);
        }
    }
}

int dw_kit_recover(struct dw_kit *kit, bool is_cut)
{
    const struct dw_geometry *geometry = &dw_store_superblock(kit->store)->geometry;
    static struct findings findings;
    look_at_chain(kit, &findings);
    uint32_t tail = findings.tail;
    bool is_full = findings.blocks == geometry->data_blocks;
    bool is_next = is_full && findings.last == tail + 1;
    uint64_t first = dw_first_lsn_of_volume(geometry, tail);
    struct dw_settlement settlement = {.is_continued = !is_cut && (!is_full || is_next), .tail = tail};
    if (settlement.is_continued) {
        uint32_t head = is_full ? tail + 1 : tail;
        sort_rows(kit, &findings, head, findings.last);
        settlement.next_block = dw_first_block_of_volume(geometry, tail) + findings.blocks;
        settlement.tail_first_lsn = findings.blocks ? first : DWAL_NO_LSN;
        settlement.tail_last_start_block = findings.blocks ? settlement.next_block - 1 : DWAL_NO_LSN;
        settlement.tail_entry_count = findings.blocks;
        settlement.durable_block = settlement.next_block;
    } else {
        sort_rows(kit, &findings, tail, tail);
        add_toc(kit, &findings, tail, findings.blocks, DW_TOC_CUT);
        settlement.cut = first + (uint64_t)findings.blocks * geometry->payload_size;
        settlement.next_number = findings.highest + 1;
        settlement.durable_block = dw_first_block_of_volume(geometry, settlement.next_number);
    }
    settlement.tocs = findings.tocs;
    settlement.toc_count = findings.toc_count;
    settlement.abandoned = findings.abandoned;
    settlement.abandoned_count = findings.abandoned_count;
    settlement.read_volumes = &tail;
    settlement.read_volume_count = 1;
    kit->durable_block = settlement.durable_block;
    return dw_store_settle(kit->store, &settlement);
}

/* ---- work ---- */

uint32_t dw_kit_settle_down(struct dw_kit *kit)
{
    uint32_t steps = 0;
    for (; steps < STEPS_MAX; steps++) {
        uint64_t wait_ns;
        if (dw_store_step(kit->store, &wait_ns) == DW_STEP_WORKED)
            continue;
        if (wait_ns >= KIT_PATIENCE_NS) /* for ever, or until somebody gives space or a pin back */
            return steps;
        kit->now_ns += wait_ns;
    }
    fail_msg("the maker does not come to rest");
    return steps;
}

static void make_block(const struct dw_kit *kit, uint64_t block, uint32_t records, uint8_t *bytes)
{
    const struct dw_superblock_info *superblock = dw_store_superblock(kit->store);
    const struct dw_geometry *geometry = &superblock->geometry;
    uint32_t number = dw_volume_of_block(geometry, block);
    struct dw_block_info info = {
        .block = block,
        .watermark = kit->durable_block < block ? kit->durable_block : block,
        .fill = records * RECORD_SIZE,
        .first_record = records ? 0 : DW_FIRST_RECORD_NONE,
    };
    memset(bytes, 0, geometry->block_size);
    dw_block_stamp_tags(geometry, &superblock->identity, bytes, number);
    dw_block_header_encode(&superblock->identity, &info, number, bytes);
    uint8_t data[RECORD_SIZE - DW_RECORD_HEADER_SIZE];
    memset(data, 0x33, sizeof data);
    for (uint32_t i = 0; i < records; i++) {
        uint64_t lsn = dw_lsn_of_block(geometry, block) + (uint64_t)i * RECORD_SIZE;
        struct dw_record_info record = {
            .type = DW_RECORD_ENTRY, .data_size = sizeof data, .data_crc = dw_crc32c(0, data, sizeof data)};
        struct dw_record_header header;
        dw_record_header_encode(&record, &header);
        header.crc = dw_le32_of(dw_record_crc_begin(&superblock->identity, lsn, &header));
        dw_payload_write(geometry, bytes, i * RECORD_SIZE, &header, sizeof header);
        dw_payload_write(geometry, bytes, i * RECORD_SIZE + DW_RECORD_HEADER_SIZE, data, sizeof data);
    }
}

int dw_kit_fill(struct dw_kit *kit, uint32_t from, uint32_t to, uint32_t records)
{
    const struct dw_geometry *geometry = &dw_store_superblock(kit->store)->geometry;
    struct dw_volume *head = dw_store_head(kit->store);
    int result = 0;
    for (uint32_t i = from; i < to && result == 0; i++) {
        uint64_t block = dw_first_block_of_volume(geometry, head->number) + i;
        make_block(kit, block, records, kit_block);
        result = dw_file_write_durable(head->file, kit_block, geometry->block_size,
                                       head->base + dw_place_of_block(geometry, block));
        if (result != 0)
            break;
        if (head->first_lsn == DWAL_NO_LSN && records)
            head->first_lsn = dw_lsn_of_block(geometry, block);
        if (records)
            head->last_start_block = block;
        head->entry_count += records;
        head->time_last = kit->now_ns;
        kit->durable_block = block + 1;
        mark(kit, DW_KIT_MARK_BLOCK, block);
    }
    return result != 0 ? DWAL_EDEVICE : 0;
}

int dw_kit_roll(struct dw_kit *kit)
{
    const struct dw_geometry *geometry = &dw_store_superblock(kit->store)->geometry;
    (void)dw_kit_settle_down(kit);
    int result = dw_kit_fill(kit, 0, geometry->data_blocks, 3);
    if (result != 0 || !dw_store_next(kit->store))
        return result != 0 ? result : DWAL_ENOSPACE;
    dw_store_advance(kit->store);
    (void)dw_kit_settle_down(kit);
    return 0;
}

struct dw_store_counts dw_kit_counts(struct dw_kit *kit)
{
    struct dw_store_counts counts;
    dw_store_get_counts(kit->store, &counts);
    return counts;
}
