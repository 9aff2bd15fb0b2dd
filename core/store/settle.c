/* settle.c - recovery's decision becomes durable, step by step, so that a crash anywhere meets the same evidence again.
 *
 * Called by: open, once, after load, lock and recovery; one thread, before the maker and the flusher exist.
 * Happy path: sync what was read (it may sit in a volatile cache) -> TOCs of volumes that are complete -> temporaries of
 * the crashed writer go -> either go on in the tail, or claim a new volume whose header holds the cut -> superblock with
 * epoch + 1: now it is decided -> volumes that are not part of the log become blanks.
 * Failure: any error ends the open. What was written before the superblock is evidence that says the same as before. */
#include <string.h>

#include "core/store/state.h"

enum { LEFTOVERS_AT_ONCE = 16 };

/* ---- step 1 ---- */

static int sync_volume(struct dw_store *store, uint32_t number)
{
    struct dw_row *row = dw_table_find(store, number);
    dw_assert(row != NULL);
    int result = dw_row_open(store, row);
    if (result == 0)
        result = dw_file_sync(row->volume.file);
    if (!row->is_held && row->volume.pins == 0)
        dw_row_shut(store, row);
    if (result != 0)
        return dw_fail_system_at(result, number, DWAL_NO_LSN, DWAL_NO_LSN, "what was read from %s/%s cannot be synced",
                                 store->disk->path, row->place.name);
    return 0;
}

static int sync_what_was_read(struct dw_store *store, const struct dw_settlement *settlement)
{
    for (size_t i = 0; i < settlement->read_volume_count; i++) {
        int result = sync_volume(store, settlement->read_volumes[i]);
        if (result != 0)
            return result;
    }
    int result = store->places->ops->super_sync(store->places);
    if (result == 0)
        result = store->places->ops->sync_names(store->places);
    if (result != 0)
        return dw_fail_system(result, "what was read from %s cannot be synced", store->disk->path);
    return 0;
}

/* ---- step 2 ---- */

static int write_tocs(struct dw_store *store, const struct dw_settlement *settlement)
{
    for (size_t i = 0; i < settlement->toc_count; i++) {
        const struct dw_settle_toc *wanted = &settlement->tocs[i];
        struct dw_row *row = dw_table_find(store, wanted->number);
        dw_assert(row != NULL);
        struct dw_toc_info info = wanted->toc;
        info.number = wanted->number;
        int result = dw_row_open_writable(store, row);
        if (result == 0)
            result = dw_toc_write(store, row, &info, settlement->durable_block);
        if (result != 0)
            return result;
    }
    return 0;
}

/* ---- temporaries ---- */

struct leftovers {
    struct dw_place places[LEFTOVERS_AT_ONCE];
    size_t count;
};

static int note_leftover(void *context, enum dw_place_kind kind, uint32_t number, const char *name,
                         const struct dw_place *place)
{
    struct leftovers *leftovers = context;
    (void)number;
    if (kind == DW_PLACE_TEMPORARY && strlen(name) < DW_PLACE_NAME_SIZE && leftovers->count < LEFTOVERS_AT_ONCE)
        leftovers->places[leftovers->count++] = *place;
    return 0;
}

/* The names were listed under the writer's lock, so none has come since. */
static int sweep_leftovers(struct dw_store *store)
{
    struct leftovers leftovers;
    if (!store->has_leftovers)
        return 0;
    do {
        leftovers.count = 0;
        int result = store->places->ops->list(store->places, note_leftover, &leftovers);
        for (size_t i = 0; i < leftovers.count && result == 0; i++)
            result = store->places->ops->remove(store->places, &leftovers.places[i]);
        if (result != 0)
            return dw_fail_system(result, "temporary files in %s cannot be removed", store->disk->path);
    } while (leftovers.count == LEFTOVERS_AT_ONCE);
    return 0;
}

/* Copies of a device's own superblock that are missing, and room that was added to it. */
static int mend_places(struct dw_store *store)
{
    int result = store->places->ops->mend ? store->places->ops->mend(store->places) : 0;
    if (result != 0)
        return dw_store_fail_places(store, result, "%s cannot be mended", store->disk->path);
    return 0;
}

/* ---- step 3 ---- */

struct decision {
    struct dw_row *head;
    struct dw_row *next; /* NULL: none is claimed ahead */
    struct dw_row *last; /* of those claimed ahead (a large entry may have asked for several), or the head */
};

static bool is_abandoned(const struct dw_settlement *settlement, uint32_t number)
{
    for (size_t i = 0; i < settlement->abandoned_count; i++)
        if (settlement->abandoned[i] == number)
            return true;
    return false;
}

/* The volume that the last writer claimed ahead, when it can be used as it is. */
static struct dw_row *find_claimed_ahead(struct dw_store *store, const struct dw_settlement *settlement,
                                         const struct dw_row *head)
{
    uint32_t number = head->volume.number + 1;
    struct dw_row *row = dw_table_find(store, number);
    if (!row || number > store->superblock.claimed || is_abandoned(settlement, number) || !dw_row_is_sound(row))
        return NULL;
    const struct dw_volume_info *header = &row->volume.header;
    if (header->predecessor != head->volume.number || header->predecessor_end != DW_PREDECESSOR_RUNS_ON ||
        row->place.size < dw_store_geometry(store)->volume_size)
        return NULL;
    return row;
}

static int go_on_in_tail(struct dw_store *store, const struct dw_settlement *settlement, struct decision *decision)
{
    uint32_t number = dw_volume_of_block(dw_store_geometry(store), settlement->next_block);
    struct dw_row *head = dw_table_find(store, number);
    if (!head) /* the tail is full to its end, and the maker has yet to claim what follows */
        head = dw_table_find(store, settlement->tail);
    dw_assert(head != NULL);
    int result = dw_row_open_writable(store, head);
    if (result != 0)
        return result;
    dw_row_reset_content(head);
    if (head->volume.number == settlement->tail) { /* else the tail is full and the next one empty */
        head->volume.first_lsn = settlement->tail_first_lsn;
        head->volume.last_start_block = settlement->tail_last_start_block;
        head->volume.entry_count = settlement->tail_entry_count;
        head->volume.time_first = settlement->tail_time_first;
        head->volume.time_last = settlement->tail_time_last;
    }
    decision->head = decision->last = head;
    decision->next = find_claimed_ahead(store, settlement, head);
    for (struct dw_row *row = decision->next; row && result == 0; row = find_claimed_ahead(store, settlement, row)) {
        dw_row_reset_content(row);
        row->state = DW_ROW_ACTIVE;
        decision->last = row;
        result = dw_row_open_writable(store, row);
    }
    store->last_number = decision->last->volume.number;
    uint32_t claimed = store->superblock.claimed;
    if (result != 0 || claimed == DW_VOLUME_NUMBER_NONE || store->last_number >= claimed)
        return result;
    /* The next claim would use a number a second time. Recovery says so first; this is the last line. */
    return dw_fail_at(DWAL_ELOST, store->last_number + 1, DWAL_NO_LSN, DWAL_NO_LSN,
                      "volume %u of %s was claimed and is missing", store->last_number + 1, store->disk->path);
}

/* Volumes before the trim point go now rather than later, when there is no other space: on a device that is full with what
 * was trimmed the log could not be opened again. Recovery does not look at them, so no evidence goes. */
static int retire_trimmed(struct dw_store *store, const struct dw_settlement *settlement, bool *is_any)
{
    uint64_t trim = dw_store_first(store);
    *is_any = false;
    for (size_t i = 0; i < store->row_count;) {
        struct dw_row *row = store->rows[i];
        bool is_retired = false;
        bool may_go = row->state == DW_ROW_SETTLED && row->is_in_chain && row->volume.number < settlement->tail &&
                      !is_abandoned(settlement, row->volume.number) && dw_table_end(store, row) <= trim;
        int result = 0;
        if (may_go)
            do
                result = dw_retire_row(store, row, &is_retired);
            while (result == 0 && store->wiping.row);
        if (result != 0)
            return result;
        *is_any = *is_any || is_retired;
        i += !is_retired; /* the next one moved into its place */
    }
    return 0;
}

/* One more blank, or the space for one. */
static int make_blank(struct dw_store *store, const struct dw_settlement *settlement)
{
    bool is_made = false, is_any = false;
    int result = 0;
    while (!is_made && result == 0)
        result = dw_blank_make(store, DW_FILL_CHUNK, &is_made);
    if (!dw_is_shortage(result))
        return result == 0 ? 0 : dw_fail_system(result, "a new volume cannot be made in %s", store->disk->path);
    int retired = retire_trimmed(store, settlement, &is_any);
    if (retired != 0 || is_any)
        return retired;
    return dw_fail_system(result, "a new volume cannot be made in %s", store->disk->path);
}

static int claim_after_cut(struct dw_store *store, const struct dw_settlement *settlement, struct decision *decision)
{
    dw_assert(settlement->tail != DW_VOLUME_NUMBER_NONE);
    dw_assert(settlement->next_number > settlement->tail);
    if (settlement->next_number > DW_VOLUME_NUMBER_MAX)
        return dw_fail(DWAL_EEXHAUSTED, "the volume numbers of the log in %s are used up", store->disk->path);
    dw_assert(dw_table_find(store, settlement->next_number) == NULL);
    struct dw_volume_info info = {
        .number = settlement->next_number,
        .predecessor = settlement->tail,
        .predecessor_end = DW_PREDECESSOR_CUT,
        .cut = settlement->cut,
        .in_flight_blocks = store->options.in_flight_blocks,
        .epoch = store->superblock.epoch + 1,
        .claim_time = dw_store_realtime(store),
        .geometry = *dw_store_geometry(store),
    };
    for (;;) {
        int result = dw_claim_volume(store, &info, &decision->head);
        decision->last = decision->head;
        if (result != 0 || decision->head)
            return result;
        result = make_blank(store, settlement);
        if (result != 0)
            return result;
    }
}

/* ---- step 4 ---- */

static int write_decision(struct dw_store *store, const struct dw_settlement *settlement,
                          const struct decision *decision)
{
    uint32_t last = decision->last->volume.number;
    pthread_mutex_lock(&store->superblock_mutex);
    struct dw_superblock_info info = store->superblock;
    if (info.claimed == DW_VOLUME_NUMBER_NONE || last > info.claimed)
        info.claimed = last;
    info.epoch++;
    info.state = DW_SUPERBLOCK_OPEN;
    info.clean_end = 0;
    info.head = decision->head->volume.number;
    info.watermark = settlement->durable_block;
    int result = dw_superblock_write(store, &info);
    pthread_mutex_unlock(&store->superblock_mutex);
    return result;
}

static void publish(struct dw_store *store, const struct decision *decision)
{
    decision->head->state = DW_ROW_ACTIVE;
    atomic_store_explicit(&store->head, decision->head, memory_order_release); /* pairs: STORE-HEAD */
    uint64_t end = dw_end_lsn_of_volume(dw_store_geometry(store), decision->head->volume.number);
    atomic_store_explicit(&store->space, end, memory_order_release); /* pairs: STORE-SPACE */
    if (!decision->next)
        return;
    dw_claim_publish(store, decision->next);
    if (decision->last != decision->next)
        dw_claim_publish_space(store, decision->last);
}

/* ---- step 5 ---- */

static int drop_abandoned(struct dw_store *store, const struct dw_settlement *settlement)
{
    for (size_t i = 0; i < settlement->abandoned_count; i++) {
        struct dw_row *row = dw_table_find(store, settlement->abandoned[i]);
        dw_assert(row != NULL);
        dw_assert(row->state == DW_ROW_SETTLED);
        row->state = DW_ROW_ABANDONED;
    }
    dw_table_link(store);
    for (size_t i = 0; i < settlement->abandoned_count; i++) {
        struct dw_row *row = dw_table_find(store, settlement->abandoned[i]);
        bool is_retired;
        int result;
        do
            result = dw_retire_row(store, row, &is_retired);
        while (result == 0 && store->wiping.row); /* it is gone, or left alone, when it is not being wiped any more */
        if (result != 0)
            return result;
    }
    return 0;
}

/* Files that were locked or written on the way and are neither head nor next. */
static void let_go_of_others(struct dw_store *store)
{
    for (size_t i = 0; i < store->row_count; i++) {
        struct dw_row *row = store->rows[i];
        if (row->state != DW_ROW_ACTIVE && row->volume.file)
            dw_row_let_go(store, row);
    }
}

int dw_store_settle(struct dw_store *store, const struct dw_settlement *settlement)
{
    dw_assert(!store->options.is_read_only);
    dw_assert(store->is_locked);
    dw_assert(!store->is_settled);
    struct decision decision = {0};
    if (store->superblock.epoch == UINT64_MAX || store->superblock.sequence == UINT64_MAX)
        return dw_fail(DWAL_EEXHAUSTED, "the epochs or superblock sequences of the log in %s are used up",
                       store->disk->path);
    int result = sync_what_was_read(store, settlement);
    if (result == 0)
        result = write_tocs(store, settlement);
    if (result == 0)
        result = mend_places(store);
    if (result == 0)
        result = sweep_leftovers(store); /* no evidence; and step 3 may need their space and their name */
    if (result == 0)
        result = settlement->is_continued ? go_on_in_tail(store, settlement, &decision)
                                          : claim_after_cut(store, settlement, &decision);
    if (result == 0)
        result = write_decision(store, settlement, &decision);
    if (result != 0)
        return result;
    dw_table_link(store);
    publish(store, &decision);
    result = drop_abandoned(store, settlement);
    if (result != 0)
        return result;
    let_go_of_others(store);
    atomic_store_explicit(&store->is_retire_due, true, memory_order_release); /* pairs: STORE-RETIRE */
    store->is_settled = true;
    return 0;
}
