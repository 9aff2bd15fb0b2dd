/* dwal/backup.h - a copy of a log at one moment, made beside its writer.
 *
 * The copy is a whole log of its own: it opens like any other, holds everything that the log on disk proves to have been
 * durable at the moment it was begun, and nothing later. Beside a writer that is a few milliseconds less than what the writer
 * knows: see DWAL_READ_ONLY and marker_delay_ms in dwal/dwal.h. It has the identity of the original (log id, lsns); from the moment that one of the two is written to,
 * they are different logs. Blocks; one thread for each call; the writer is never stopped and waits for nothing. */
#ifndef DWAL_BACKUP_H
#define DWAL_BACKUP_H

#include <dwal/dwal.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

struct dwal_backup {
    size_t size;         /* sizeof(struct dwal_backup) */
    bool is_incremental; /* bring an earlier backup at the destination up to date; without one, a full one is made */
    bool is_unsafe_buffered; /* allow file systems without direct I/O (tmpfs) for source and destination */
    /* Called now and then from the thread of the call; may be NULL. While it does not return, the backup does not go on and
     * the volumes stay pinned. */
    void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
    void *context;

    /* Out, when 0 is returned. */
    uint64_t first, end;     /* readable lsns of the copy: first <= lsn < end */
    uint64_t volumes_copied; /* read from the source */
    uint64_t volumes_kept;   /* of the earlier backup: only verified */
    uint64_t bytes_copied;
};

/* Copy the log at `path` up to its durable lsn into the new directory `destination`.
 *  - The volumes are pinned first, so that nothing is recycled while it is read; a trim meanwhile only moves the trim point
 *    of the original. Each needs a file descriptor.
 *  - What is written is on stable storage, and the whole copy is read and verified, before the directory gets its name:
 *    `destination` is complete or not there; with is_incremental it is the earlier backup or the new one, at every moment.
 *    An unfinished one, or an earlier one that was not removed yet, is called DESTINATION.partial; the next backup to the same
 *    place removes it. Remove it by hand before the destination is opened for writing.
 *  - is_incremental reads from the source only volumes that were not complete in the earlier backup; the others become hard
 *    links. Volumes that the source has dropped are not in the new backup.
 * The file dwal.backup in it says of what moment it is. A backup that was opened for writing is no backup any more.
 * DWAL_EEXIST: something is at the destination (or, is_incremental, something else than an unchanged backup). DWAL_EFOREIGN:
 * a backup of another log. DWAL_EBUSY: another backup to this place is running. DWAL_ECORRUPT, DWAL_ELOST, ...: the source
 * is damaged, or (the text says which) the copy is: nothing was changed at the destination. DWAL_EUNSUPPORTED: is_incremental, and the
 * file system cannot exchange two directories. DWAL_ENOSPACE, DWAL_EPERMISSION, DWAL_EDEVICE, DWAL_ENOLOG, DWAL_EMEMORY. */
int dwal_backup(const char *path, const char *destination, struct dwal_backup *backup);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
