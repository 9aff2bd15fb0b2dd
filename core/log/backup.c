/* backup.c - dwal_backup: a copy of a log at one moment; see dwal/backup.h.
 *
 * Owns: nothing between calls. Called by: applications and the command, on any thread.
 * Happy path: source (pinned) -> partial directory -> each volume linked or copied -> superblock, names -> the whole copy is
 * verified as any log would be -> its name. Failure at any step: the partial directory goes, the destination is as before. */
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "core/base/error.h"
#include "core/log/backup.h"
#include "core/store/names.h"

struct backup {
    struct dwal_backup *how;
    struct dw_backup_source source;
    struct dw_backup_place place;
    uint8_t *piece;
    uint64_t done, total;
};

static void moved(void *context, uint64_t bytes)
{
    struct backup *backup = context;
    backup->done += bytes;
    backup->how->bytes_copied += bytes;
    if (backup->how->progress)
        backup->how->progress(backup->how->context, backup->done, backup->total);
}

static int copy_one(struct backup *backup, size_t at)
{
    const struct dw_volume *volume = backup->source.volumes[at];
    bool is_linked;
    int result = dw_backup_place_link(&backup->place, &backup->source, at, &is_linked);
    if (result < 0 || is_linked) {
        backup->how->volumes_kept += is_linked;
        backup->total -= is_linked ? backup->source.geometry->volume_size : 0;
        return result;
    }
    int target;
    char name[DW_PLACE_NAME_SIZE];
    dw_name_of_volume(volume->number, name);
    result = dw_backup_place_make_file(&backup->place, name, &target);
    if (result < 0)
        return result;
    result = dw_backup_copy(&backup->source, at, target, backup->piece, moved, backup);
    close(target);
    backup->how->volumes_copied += result == 0;
    return result;
}

/* Read the copy as a stranger would. It has to hold what the source held. */
static int verify_copy(const struct backup *backup)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    struct dwal_report report = {.size = sizeof report};
    options.is_unsafe_buffered = backup->how->is_unsafe_buffered;
    int result = dwal_verify(backup->place.partial, &options, true, NULL, NULL, &report);
    if (result < 0)
        return result;
    int code = dwal_verdict_error(report.verdict);
    if (code != 0)
        return dw_fail(code,
                       "the copy does not verify, and was thrown away (%s). Is the source, or the earlier backup, "
                       "damaged? %.120s",
                       dwal_verdict_name(report.verdict), report.text);
    backup->how->first = report.first;
    backup->how->end = report.end;
    return 0;
}

static int run(struct backup *backup, const char *destination)
{
    int result = dw_backup_place_open(destination, backup->how, &backup->source, &backup->place);
    backup->total = backup->source.volume_count * backup->source.geometry->volume_size;
    if (result == 0 && backup->how->progress)
        backup->how->progress(backup->how->context, 0, backup->total);
    for (size_t at = 0; at < backup->source.volume_count && result == 0; at++)
        result = copy_one(backup, at);
    if (result == 0)
        result = dw_backup_place_finish(&backup->place, &backup->source);
    if (result == 0)
        result = verify_copy(backup);
    if (result == 0)
        result = dw_backup_place_publish(&backup->place);
    struct dwal_error error = *dwal_last_error();
    dw_backup_place_close(&backup->place, result == 0);
    return result < 0 ? dw_fail_again(&error) : 0;
}

int dwal_backup(const char *path, const char *destination, struct dwal_backup *how)
{
    if (!path || !destination || !how)
        return dw_fail(DWAL_EARGUMENT, "%s is NULL", !path ? "path" : destination ? "backup" : "destination");
    int result = dw_inspect_check_size(how->size, sizeof *how, "backup");
    if (result < 0)
        return result;
    how->first = how->end = how->volumes_copied = how->volumes_kept = how->bytes_copied = 0;
    struct backup backup = {.how = how};
    result = dw_backup_source_open(path, how->is_unsafe_buffered, &backup.source);
    if (result == 0) {
        backup.piece = dw_alloc_io(DW_BACKUP_PIECE, backup.source.geometry->block_size);
        result = backup.piece ? run(&backup, destination) : dw_fail(DWAL_EMEMORY, "no memory to copy a log");
    }
    dw_free_io(backup.piece);
    struct dwal_error error = *dwal_last_error();
    dw_backup_source_close(&backup.source);
    return result < 0 ? dw_fail_again(&error) : 0;
}
