/* info.c - dwal_get_info: the facts of a log from its superblock and its volumes' headers, without recovery.
 *
 * Called by: tools, on any thread; opens and closes the log for itself. Failure: the codes of dw_store_load. */
#include "core/log/inspect.h"

#include <string.h>

#include "base/compiler.h"
#include "core/store/names.h"

/* Blanks and bytes are counted from the names: the store knows only volumes. */
struct census {
    uint64_t bytes;
    uint32_t blanks;
};

static int count_name(void *context, const char *name, uint64_t size)
{
    struct census *census = context;
    enum dw_place_kind kind;
    uint32_t number;
    if (!dw_name_parse(name, &kind, &number))
        return 0;
    census->bytes += size;
    census->blanks += kind == DW_PLACE_BLANK;
    return 0;
}

static void fill_info(const struct dw_inspect *inspect, const struct census *census, struct dwal_info *info)
{
    const struct dw_superblock_info *superblock = dw_store_superblock(inspect->store);
    const struct dw_geometry *geometry = &superblock->geometry;
    *info = (struct dwal_info){
        .size = sizeof *info,
        .format_version = superblock->format_version,
        .block_size = geometry->block_size,
        .sector_size = geometry->sector_size,
        .toc_length = geometry->toc_length,
        .blanks = superblock->blanks,
        .magic_number = superblock->magic_number,
        .volume_size = geometry->volume_size,
        .fill = (enum dwal_fill)superblock->fill_mode,
        .epoch = superblock->epoch,
        .trim = superblock->trim,
        .clean_end = superblock->clean_end,
        .create_time_ns = superblock->create_time,
        .write_time_ns = superblock->write_time,
        .claimed = superblock->claimed,
        .head = superblock->head,
        .volumes = (uint32_t)dw_store_volume_count(inspect->store),
        .blanks_ready = census->blanks,
        .is_clean = superblock->state == DW_SUPERBLOCK_CLEAN,
        .has_live_writer = dw_store_has_writer(inspect->store),
        .bytes_on_disk = census->bytes,
        .feature_compat = superblock->feature_compat,
        .feature_ro_compat = superblock->feature_ro_compat,
        .feature_incompat = superblock->feature_incompat,
        .payload_size = geometry->payload_size,
        .data_blocks = geometry->data_blocks,
    };
    memcpy(info->log_id, superblock->identity.log_id, sizeof info->log_id);
}

DW_EXPORT int dwal_get_info(const char *path, const struct dwal_options *options, struct dwal_info *info)
{
    int result = dw_inspect_check_size(info->size, sizeof *info, "info");
    if (result)
        return result;
    struct dw_inspect inspect;
    result = dw_inspect_open(path, options, &inspect);
    if (result)
        return result;
    struct census census = {0};
    struct dw_store_counts counts;
    dw_store_get_counts(inspect.store, &counts);
    if (inspect.disk->is_device) { /* it has slots in place of names */
        census.blanks = counts.blanks_ready;
        census.bytes = ((uint64_t)dw_store_volume_count(inspect.store) + census.blanks) *
                       dw_store_superblock(inspect.store)->geometry.volume_size;
    } else {
        (void)inspect.disk->ops->list(inspect.disk, count_name, &census);
    }
    fill_info(&inspect, &census, info);
    dw_inspect_close(&inspect);
    return 0;
}
