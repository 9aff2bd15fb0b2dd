/* backup_source.c - the log to be copied: where it ends now, and all its volumes pinned; see backup.h.
 *
 * Happy path: load -> recover beside the writer (reads alone, says where what is durable ends) -> pin every volume up to
 * there -> the superblock as it has to be in the copy.
 * Why only up to there: a block behind the end may be read before its write lands, and a watermark that is read later would
 * then call it lost. Every watermark in a block before the end is at or before that block, so the copy proves nothing that
 * it does not hold.
 * Failure: a volume that was retired between the look and the pin: all is looked at again. */
#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/backup.h"

enum { ATTEMPTS = 5 };

/* First block that holds nothing before `lsn`. */
static uint64_t block_behind(const struct dw_geometry *geometry, uint64_t lsn)
{
    return lsn == 0 ? 0 : dw_block_of_lsn(geometry, lsn - 1) + 1;
}

static int find_end(struct dw_backup_source *source)
{
    struct dw_store *store = source->inspect.store;
    struct dw_recover_options how = {.has_live_writer = dw_store_has_writer(store), .look_ahead = -1};
    struct dw_recovered recovered;
    int result = dw_recover_beside(store, &how, &recovered);
    if (result < 0)
        return result;
    enum dwal_verdict verdict = recovered.report.verdict;
    if (dwal_verdict_error(verdict) != 0) {
        result = dw_fail_again(&recovered.error);
    } else {
        source->is_closed = verdict == DWAL_VERDICT_CLEAN && !how.has_live_writer;
        source->end = how.has_live_writer ? dw_lsn_of_block(source->geometry, recovered.end_block) : recovered.end;
        source->end_block = how.has_live_writer ? recovered.end_block : block_behind(source->geometry, recovered.end);
        if (source->is_closed)
            source->end_block = block_behind(source->geometry, dw_store_superblock(store)->clean_end);
    }
    dw_recovered_free(&recovered);
    return result;
}

/* Does the copy need this volume? One behind a cut is needed even when it is empty: its header says where the one before
 * ends. */
static bool is_needed(const struct dw_backup_source *source, uint32_t number)
{
    const struct dw_volume *volume = dw_store_find(source->inspect.store, number);
    return source->volume_count == 0 || dw_first_block_of_volume(source->geometry, number) <= source->end_block ||
           (volume && volume->header.predecessor_end == DW_PREDECESSOR_CUT);
}

static int pin_all(struct dw_backup_source *source)
{
    struct dw_store *store = source->inspect.store;
    size_t most = dw_store_volume_count(store);
    source->volumes = dw_alloc((most + 1) * sizeof(struct dw_volume *));
    if (!source->volumes)
        return dw_fail(DWAL_EMEMORY, "no memory for a list of %zu volumes", most);
    uint32_t number = dw_store_first_from(store, dw_volume_of_lsn(source->geometry, dw_store_first(store)));
    while (number != DW_VOLUME_NUMBER_NONE && source->volume_count < most && is_needed(source, number)) {
        uint64_t end;
        int result = dw_store_pin(store, number, &source->volumes[source->volume_count]);
        if (result < 0)
            return result;
        source->volume_count++;
        number = dw_store_successor(store, number, &end);
    }
    if (source->volume_count == 0)
        return dw_fail(DWAL_ELOST, "there is no volume to copy");
    return 0;
}

static void unpin_all(struct dw_backup_source *source)
{
    while (source->volume_count > 0)
        dw_store_unpin(source->inspect.store, source->volumes[--source->volume_count]);
    dw_free(source->volumes);
    source->volumes = NULL;
}

/* What is true of the copy: nothing is claimed ahead in it, and unless the log was closed its first open will recover. */
static void make_superblock(struct dw_backup_source *source)
{
    struct dw_superblock_info *info = &source->superblock;
    *info = *dw_store_superblock(source->inspect.store);
    uint32_t last = source->volumes[source->volume_count - 1]->number;
    info->claimed = last;
    info->watermark = dw_block_of_lsn(source->geometry, source->end);
    if (source->is_closed)
        return;
    info->state = DW_SUPERBLOCK_OPEN;
    info->clean_end = 0;
    if (info->head == DW_VOLUME_NUMBER_NONE || info->head > last)
        info->head = last;
}

int dw_backup_source_open(const char *path, bool is_unsafe, struct dw_backup_source *source)
{
    *source = (struct dw_backup_source){0};
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.is_unsafe_buffered = is_unsafe;
    int result = dw_inspect_open(path, &options, &source->inspect);
    if (result < 0)
        return result;
    struct dw_store *store = source->inspect.store;
    source->geometry = &dw_store_superblock(store)->geometry;
    source->identity = &dw_store_superblock(store)->identity;
    result = DWAL_ETRIMMED;
    for (int attempt = 0; attempt < ATTEMPTS && result == DWAL_ETRIMMED; attempt++) {
        unpin_all(source);
        result = attempt > 0 ? dw_store_refresh(store) : 0;
        if (result == 0)
            result = find_end(source);
        if (result == 0)
            result = pin_all(source);
    }
    if (result == 0)
        make_superblock(source);
    return result;
}

void dw_backup_source_close(struct dw_backup_source *source)
{
    if (source->inspect.store)
        unpin_all(source);
    dw_inspect_close(&source->inspect);
}
