/* repair.c - dwal_repair: cut a log at a place that a person chose.
 *
 * Called by: tools, on any thread; takes the writer's lock for itself. Never called by open.
 * Happy path: load -> lock -> plan -> check all that stays -> copy what will change -> settle, as after a crash, with a
 * settlement that says where to cut -> close. Failure: before the settlement nothing was changed; a crash inside it leaves
 * the copies, and the repair can be run again with another directory for them. */
#include <inttypes.h>
#include <stdio.h>

#include "alloc/alloc.h"
#include "base/compiler.h"
#include "core/base/error.h"
#include "core/log/handle.h"
#include "core/log/inspect.h"
#include "core/log/path.h"
#include "core/log/repair.h"

static void tell(const struct dwal_options *options, enum dwal_event_level level, const char *text)
{
    if (options->event)
        options->event(options->context, level, text);
}

static int settle(const struct dw_repair_plan *plan)
{
    uint32_t *read = dw_alloc(plan->kept_count * sizeof *read);
    if (!read)
        return dw_fail(DWAL_EMEMORY, "no memory for the list of volumes");
    for (size_t i = 0; i < plan->kept_count; i++)
        read[i] = plan->kept[i].number;
    struct dw_settlement settlement = {
        .tail = plan->kept[plan->kept_count - 1].number,
        .cut = plan->cut,
        .next_number = plan->next_number,
        .tocs = plan->tocs,
        .toc_count = plan->toc_count,
        .read_volumes = read,
        .read_volume_count = plan->kept_count,
        .abandoned = plan->abandoned,
        .abandoned_count = plan->abandoned_count,
        .durable_block = dw_block_of_lsn(plan->geometry, plan->cut),
    };
    int result = dw_store_settle(plan->store, &settlement);
    dw_free(read);
    return result;
}

static int cut_store(struct dw_store *store, const struct dwal_options *options, const char *path, uint64_t cut,
                     const char *save)
{
    struct dw_repair_plan plan;
    uint64_t unreadable = 0;
    int result = dw_repair_plan(store, cut, &plan);
    if (result == 0)
        result = dw_repair_check(&plan);
    if (result == 0)
        result = dw_repair_save(&plan, path, save, &unreadable);
    if (result == 0 && unreadable > 0) {
        char text[120];
        (void)snprintf(text, sizeof text, "%" PRIu64 " bytes could not be read and are zero in the copies", unreadable);
        tell(options, DWAL_EVENT_WARNING, text);
    }
    if (result == 0)
        result = settle(&plan);
    dw_repair_plan_free(&plan);
    return result;
}

/* Load for writing and take the lock. */
static int open_store(struct dw_disk *disk, const struct dwal_options *options, struct dw_store **store)
{
    struct dw_geometry smallest = {.block_size = DW_BLOCK_SIZE_MIN};
    struct dw_store_options how = {
        .in_flight_blocks = dw_options_in_flight_blocks(options, &smallest),
        .clock = &dw_clock_system,
        .hooks = {.table = options->table, .table_context = options->context},
    };
    int result = dw_store_load(disk, &how, store);
    if (result)
        return result;
    return dw_store_lock(*store);
}

DW_EXPORT int dwal_repair(const char *path, const struct dwal_options *given, uint64_t cut, const char *save,
                          struct dwal_report *report)
{
    struct dwal_options options;
    int result = dw_inspect_check_size(report->size, sizeof *report, "report");
    if (result == 0)
        result = dw_options_resolve(given, &options);
    if (result == 0 && (!save || !save[0]))
        result = dw_fail(DWAL_EARGUMENT, "a directory for the copies has to be named");
    struct dw_disk *disk = NULL;
    struct dw_store *store = NULL;
    if (result == 0)
        result = dw_path_open(path, DW_OPEN_WRITE, options.is_unsafe_buffered, &disk);
    if (result)
        return result;
    result = open_store(disk, &options, &store);
    if (result == 0)
        result = cut_store(store, &options, path, cut, save);
    struct dwal_error error = *dwal_last_error();
    /* Not a clean close: the next open finds the empty new volume, as after a crash right behind a recovery. */
    int closed = store ? dw_store_close(store, false, 0) : 0;
    disk->ops->close(disk);
    if (result)
        return dw_fail_again(&error);
    return closed ? closed : dwal_verify(path, &options, false, NULL, NULL, report);
}
