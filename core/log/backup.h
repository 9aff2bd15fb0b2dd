/* backup.h - what the parts of dwal_backup share: the pinned source (backup_source.c), one volume's copy (backup_copy.c),
 * the directory that it goes to (backup_place.c), the order of it all (backup.c). */
#ifndef DW_CORE_LOG_BACKUP_H
#define DW_CORE_LOG_BACKUP_H

#include <dwal/backup.h>

#include "core/log/inspect.h"
#include "core/read/recover.h"

/* ---- the source ---- */
struct dw_backup_source {
    struct dw_inspect inspect;
    const struct dw_geometry *geometry;
    const struct dw_identity *identity;
    struct dw_superblock_info superblock; /* for the copy: what is true of it */
    struct dw_volume **volumes;           /* pinned; in the order of the log */
    size_t volume_count;
    uint64_t end_block; /* first block that is not copied */
    uint64_t end;       /* lsn at which the copy ends */
    bool is_closed;     /* a clean close, and nobody writes: the copy is closed too */
};
/* Load, find the end, pin every volume up to it. Damage refuses. Close it in each case. */
DW_NODISCARD int dw_backup_source_open(const char *path, bool is_unsafe, struct dw_backup_source *source);
void dw_backup_source_close(struct dw_backup_source *source);

/* ---- one volume ---- */
#define DW_BACKUP_PIECE (1u << 20)
/* Copy volume `at` of the source into the open descriptor: headers and blocks before the end as they are, zeros behind, the
 * TOC if it says nothing beyond the end. On stable storage when 0 is returned. `piece`: DW_BACKUP_PIECE bytes, aligned. */
typedef void dw_backup_moved_fn(void *context, uint64_t bytes);
DW_NODISCARD int dw_backup_copy(const struct dw_backup_source *source, size_t at, int target, uint8_t *piece,
                                dw_backup_moved_fn *moved, void *context);

/* ---- the destination ---- */
#define DW_BACKUP_PATH_SIZE 4096
struct dw_backup_place {
    char path[DW_BACKUP_PATH_SIZE], partial[DW_BACKUP_PATH_SIZE];
    int parent, directory;     /* of the destination; of the partial one, locked */
    bool has_earlier;          /* there is a backup to bring up to date */
    bool is_published;         /* the partial directory has its name */
    struct dw_inspect earlier; /* ... loaded */
    int earlier_directory;
};
/* Judge what is at `path`, make the partial directory afresh. Close it in each case. */
DW_NODISCARD int dw_backup_place_open(const char *path, const struct dwal_backup *how,
                                      const struct dw_backup_source *source, struct dw_backup_place *place);
/* Is this volume of the source complete in the earlier backup? Then link it. *is_linked. */
DW_NODISCARD int dw_backup_place_link(struct dw_backup_place *place, const struct dw_backup_source *source, size_t at,
                                      bool *is_linked);
DW_NODISCARD int dw_backup_place_make_file(struct dw_backup_place *place, const char *name, int *target);
/* The superblock and dwal.backup; then all names on stable storage. */
DW_NODISCARD int dw_backup_place_finish(struct dw_backup_place *place, const struct dw_backup_source *source);
/* The partial directory becomes the destination; an earlier one is removed. */
DW_NODISCARD int dw_backup_place_publish(struct dw_backup_place *place);
void dw_backup_place_close(struct dw_backup_place *place, bool is_done); /* not done: the partial directory goes */

#endif
