/* repair_plan.c - which volumes stay and which go when a log is cut; see repair.h.
 *
 * Predecessor links are unambiguous backwards, so what stays is found from the cut towards the trim point, without trust
 * in anything that lies behind the cut. Nothing is read or written here. */
#include <inttypes.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/repair.h"

void dw_repair_plan_free(struct dw_repair_plan *plan)
{
    dw_free(plan->kept);
    dw_free(plan->tallies);
    dw_free(plan->abandoned);
    dw_free(plan->tocs);
    *plan = (struct dw_repair_plan){0};
}

static bool is_sound(const struct dw_volume *volume)
{
    return volume && (volume->header_verdict == DW_DECODED_OK || volume->header_verdict == DW_DECODED_BAD_TAG);
}

/* Files that are not this log's, or not for this version: nobody may turn them into blanks. */
static int refuse_strangers(const struct dw_store *store)
{
    for (size_t i = 0; i < dw_store_volume_count(store); i++) {
        const struct dw_volume *volume = dw_store_volume_at(store, i);
        if (volume->header_verdict == DW_DECODED_FOREIGN)
            return dw_fail_at(DWAL_EFOREIGN, volume->number, DWAL_NO_LSN, DWAL_NO_LSN, "%s belongs to another log",
                              volume->name);
        if (volume->header_verdict == DW_DECODED_VERSION)
            return dw_fail_at(DWAL_EVERSION, volume->number, DWAL_NO_LSN, DWAL_NO_LSN, "%s was written by a newer dwal",
                              volume->name);
    }
    return 0;
}

/* The last volume that stays, and where it ends. A cut right at a volume's start is an end of the one before it. */
static int find_tail(struct dw_repair_plan *plan, const struct dw_volume **tail)
{
    uint32_t number = dw_volume_of_lsn(plan->geometry, plan->asked);
    bool is_at_start = plan->asked == dw_first_lsn_of_volume(plan->geometry, number);
    const struct dw_volume *holder = dw_store_find(plan->store, number);
    plan->cut = plan->asked;
    *tail = holder;
    if (is_sound(holder) && !is_at_start)
        return 0;
    const struct dw_volume *before = NULL;
    if (is_at_start && is_sound(holder) && holder->header.predecessor_end != DW_PREDECESSOR_NONE)
        before = dw_store_find(plan->store, holder->header.predecessor);
    else if (is_at_start && !is_sound(holder) && number > 0)
        before = dw_store_find(plan->store, number - 1);
    if (is_sound(before)) {
        if (is_sound(holder) && holder->header.predecessor_end == DW_PREDECESSOR_CUT)
            plan->cut = holder->header.cut;
        *tail = before;
        return 0;
    }
    if (is_sound(holder))
        return 0;
    return dw_fail_at(DWAL_ENOTFOUND, number, DWAL_NO_LSN, plan->asked, "no sound volume holds lsn %" PRIu64,
                      plan->asked);
}

/* kept[] from the tail back to the volume that holds the trim point. */
static int keep_volumes(struct dw_repair_plan *plan, const struct dw_volume *tail)
{
    uint64_t first = dw_store_first(plan->store);
    uint64_t end = plan->cut;
    size_t at = dw_store_volume_count(plan->store);
    const struct dw_volume *volume = tail;
    for (bool is_first = false; !is_first;) {
        const struct dw_volume_info *header = &volume->header;
        plan->kept[--at] = (struct dw_stretch){.number = volume->number, .end = end};
        plan->kept[at].is_running = header->predecessor_end == DW_PREDECESSOR_RUNS_ON;
        bool is_cut = header->predecessor_end == DW_PREDECESSOR_CUT;
        is_first = header->predecessor_end == DW_PREDECESSOR_NONE ||
                   dw_first_lsn_of_volume(plan->geometry, volume->number) <= first;
        if (is_first)
            break;
        end = is_cut ? header->cut : dw_end_lsn_of_volume(plan->geometry, header->predecessor);
        if (end <= first) /* trimmed away, and perhaps gone */
            break;
        uint32_t wanted = header->predecessor;
        volume = dw_store_find(plan->store, wanted);
        if (!is_sound(volume) || at == 0)
            return dw_fail_at(DWAL_ELOST, wanted, DWAL_NO_LSN, dw_first_lsn_of_volume(plan->geometry, wanted),
                              "volume %" PRIu32 ", which holds entries before the cut, is missing or unreadable",
                              wanted);
    }
    plan->kept_count = dw_store_volume_count(plan->store) - at;
    memmove(plan->kept, plan->kept + at, plan->kept_count * sizeof *plan->kept);
    return 0;
}

static bool is_kept(const struct dw_repair_plan *plan, uint32_t number)
{
    for (size_t i = 0; i < plan->kept_count; i++)
        if (plan->kept[i].number == number)
            return true;
    return false;
}

static void see_number(uint32_t *highest, uint32_t number)
{
    if (number != DW_VOLUME_NUMBER_NONE && (*highest == DW_VOLUME_NUMBER_NONE || number > *highest))
        *highest = number;
}

static int abandon_others(struct dw_repair_plan *plan)
{
    uint32_t highest = dw_store_superblock(plan->store)->claimed;
    for (size_t i = 0; i < dw_store_volume_count(plan->store); i++) {
        const struct dw_volume *volume = dw_store_volume_at(plan->store, i);
        see_number(&highest, volume->number);
        if (is_sound(volume))
            see_number(&highest, volume->header.number);
        /* Volumes before the trim point wait for their turn to be recycled: not ours to touch. */
        bool is_trimmed = dw_end_lsn_of_volume(plan->geometry, volume->number) <= dw_store_first(plan->store);
        if (!is_trimmed && !is_kept(plan, volume->number))
            plan->abandoned[plan->abandoned_count++] = volume->number;
    }
    if (highest >= DW_VOLUME_NUMBER_MAX)
        return dw_fail(DWAL_EEXHAUSTED, "the volume numbers are used up: the log cannot be cut");
    plan->next_number = highest + 1;
    return 0;
}

/* The superblock must be able to own what stays: its epoch grows by one. */
static int refuse_rollback(const struct dw_repair_plan *plan)
{
    uint64_t epoch = dw_store_superblock(plan->store)->epoch;
    for (size_t i = 0; i < plan->kept_count; i++) {
        const struct dw_volume *volume = dw_store_find(plan->store, plan->kept[i].number);
        if (volume->header.epoch > epoch + 1)
            return dw_fail_at(DWAL_EROLLBACK, volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                              "%s was claimed in epoch %" PRIu64 ", the superblock knows only %" PRIu64, volume->name,
                              volume->header.epoch, epoch);
    }
    return 0;
}

static int allocate(struct dw_repair_plan *plan)
{
    size_t count = dw_store_volume_count(plan->store) + 1;
    plan->kept = dw_alloc(count * sizeof *plan->kept);
    plan->tallies = dw_alloc(count * sizeof *plan->tallies);
    plan->abandoned = dw_alloc(count * sizeof *plan->abandoned);
    plan->tocs = dw_alloc(count * sizeof *plan->tocs);
    if (plan->kept && plan->tallies && plan->abandoned && plan->tocs)
        return 0;
    return dw_fail(DWAL_EMEMORY, "no memory for the list of %zu volumes", count - 1);
}

int dw_repair_plan(struct dw_store *store, uint64_t cut, struct dw_repair_plan *plan)
{
    const struct dw_volume *tail = NULL;
    *plan = (struct dw_repair_plan){.store = store, .geometry = &dw_store_superblock(store)->geometry, .asked = cut};
    if (cut < dw_store_first(store))
        return dw_fail_at(DWAL_ETRIMMED, DWAL_NO_VOLUME, DWAL_NO_LSN, cut,
                          "the log was trimmed up to lsn %" PRIu64 ": it cannot be cut before", dw_store_first(store));
    if (dw_block_of_lsn(plan->geometry, cut) / plan->geometry->data_blocks > DW_VOLUME_NUMBER_MAX)
        return dw_fail_at(DWAL_ENOTFOUND, DWAL_NO_VOLUME, DWAL_NO_LSN, cut, "no log reaches to lsn %" PRIu64, cut);
    int result = refuse_strangers(store);
    if (result == 0)
        result = allocate(plan);
    if (result == 0)
        result = find_tail(plan, &tail);
    if (result == 0)
        result = keep_volumes(plan, tail);
    if (result == 0)
        result = abandon_others(plan);
    if (result == 0)
        result = refuse_rollback(plan);
    return result;
}
