/* backup_place.c - the directory that a backup goes to: complete or not there, at every moment; see backup.h.
 *
 * Happy path: DESTINATION.partial is made (what an interrupted backup left in it is removed) and locked -> files -> the
 * superblock -> names synced -> renamed to DESTINATION, or exchanged with the earlier backup there, which is then removed.
 * An earlier backup counts only when its file dwal.backup names the sequence number of its superblock: whoever opened it
 * for writing has raised that.
 * Failure: the partial directory is removed again as far as that works; nothing that is not dwal's is ever removed. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "core/base/error.h"
#include "core/log/backup.h"
#include "core/log/backup_names.h"
#include "core/store/names.h"

#define NOTE_NAME "dwal.backup"
enum { NOTE_SIZE = 512 };

/* ---- the earlier backup --------------------------------------------------------------------------------------------- */

static void write_note(const struct dw_backup_source *source, char note[NOTE_SIZE])
{
    const struct dw_superblock_info *superblock = &source->superblock;
    char id[33];
    for (size_t i = 0; i < 16; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", superblock->identity.log_id[i]);
    (void)snprintf(note, NOTE_SIZE, "dwal backup 1\nlog %s\nsequence %" PRIu64 "\nend %" PRIu64 "\ntime %lld\n", id,
                   superblock->sequence, source->end, (long long)time(NULL));
}

/* The sequence that the note in a directory names; false: there is no note. */
static bool read_note(int directory, uint64_t *sequence)
{
    char note[NOTE_SIZE], id[33];
    int fd = openat(directory, NOTE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, note, sizeof note - 1);
    close(fd);
    note[size > 0 ? size : 0] = 0;
    return sscanf(note, "dwal backup 1\nlog %32[0-9a-f]\nsequence %" SCNu64 "\n", id, sequence) == 2;
}

static int load_earlier(const struct dwal_backup *how, const struct dw_backup_source *source,
                        struct dw_backup_place *place)
{
    uint64_t sequence = 0;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.is_unsafe_buffered = how->is_unsafe_buffered;
    place->earlier_directory = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->earlier_directory < 0 || !read_note(place->earlier_directory, &sequence))
        return dw_fail(DWAL_EEXIST, "%s is no backup", place->path);
    int result = dw_inspect_open(place->path, &options, &place->earlier);
    if (result < 0)
        return result;
    const struct dw_superblock_info *earlier = dw_store_superblock(place->earlier.store);
    if (memcmp(earlier->identity.log_id, source->identity->log_id, sizeof earlier->identity.log_id) != 0)
        return dw_fail(DWAL_EFOREIGN, "%s is a backup of another log", place->path);
    if (earlier->sequence != sequence || dw_store_has_writer(place->earlier.store))
        return dw_fail(DWAL_EEXIST, "the backup in %s was opened for writing since: it is a log of its own now",
                       place->path);
    place->has_earlier = true;
    return 0;
}

/* ---- the partial directory ------------------------------------------------------------------------------------------ */

static int split_path(const char *path, struct dw_backup_place *place)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length + 16 >= sizeof place->path)
        return dw_fail(DWAL_EARGUMENT, "the destination's path is empty or too long");
    (void)snprintf(place->path, sizeof place->path, "%.*s", (int)length, path);
    (void)snprintf(place->partial, sizeof place->partial, "%.*s.partial", (int)length, path);
    char parent[DW_BACKUP_PATH_SIZE];
    const char *slash = strrchr(place->path, '/');
    size_t above = slash ? (size_t)(slash - place->path) : 0;
    if (slash)
        (void)snprintf(parent, sizeof parent, "%.*s", above > 0 ? (int)above : 1, place->path);
    place->parent = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return place->parent < 0 ? dw_fail_system(-errno, "the directory above %s cannot be opened", place->path) : 0;
}

static int make_partial(struct dw_backup_place *place)
{
    if (mkdir(place->partial, 0700) < 0 && errno != EEXIST)
        return dw_fail_system(-errno, "%s cannot be made", place->partial);
    place->directory = open(place->partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (place->directory < 0)
        return dw_fail_system(-errno, "%s cannot be opened", place->partial);
    if (flock(place->directory, LOCK_EX | LOCK_NB) < 0) {
        close(place->directory);
        place->directory = -1; /* it is another one's: leave it alone */
        return dw_fail(DWAL_EBUSY, "another backup to %s is running", place->path);
    }
    int result = dw_backup_names_clear(place->directory);
    return result < 0 ? dw_fail_system(result, "%s cannot be cleared of an interrupted backup", place->partial) : 0;
}

int dw_backup_place_open(const char *path, const struct dwal_backup *how, const struct dw_backup_source *source,
                         struct dw_backup_place *place)
{
    *place = (struct dw_backup_place){.parent = -1, .directory = -1, .earlier_directory = -1};
    int result = split_path(path, place);
    struct stat facts;
    bool is_there = result == 0 && lstat(place->path, &facts) == 0;
    if (result == 0 && is_there && !how->is_incremental)
        result = dw_fail(DWAL_EEXIST, "there is something at %s", place->path);
    if (result == 0 && is_there)
        result = load_earlier(how, source, place);
    return result == 0 ? make_partial(place) : result;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

int dw_backup_place_make_file(struct dw_backup_place *place, const char *name, int *target)
{
    *target = openat(place->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *target < 0 ? dw_fail_system(-errno, "%s/%s cannot be made", place->partial, name) : 0;
}

/* Complete in both, and of the same claim? */
static bool is_same(const struct dw_backup_source *source, const struct dw_volume *volume,
                    const struct dw_volume *earlier)
{
    const struct dw_volume_info *a = &volume->header, *b = &earlier->header;
    const struct dw_toc_info *toc = &earlier->toc;
    uint64_t first = dw_first_block_of_volume(source->geometry, volume->number);
    bool is_whole = first + source->geometry->data_blocks <= source->end_block;
    return is_whole && volume->header_verdict == DW_DECODED_OK && earlier->header_verdict == DW_DECODED_OK &&
           earlier->is_header_doubled && a->epoch == b->epoch && a->claim_time == b->claim_time &&
           a->predecessor == b->predecessor && a->predecessor_end == b->predecessor_end && a->cut == b->cut &&
           earlier->toc_verdict == DW_DECODED_OK && (toc->flags & (DW_TOC_OPEN | DW_TOC_CUT)) == 0 &&
           toc->watermark <= source->end_block;
}

int dw_backup_place_link(struct dw_backup_place *place, const struct dw_backup_source *source, size_t at,
                         bool *is_linked)
{
    *is_linked = false;
    const struct dw_volume *volume = source->volumes[at];
    char name[DW_PLACE_NAME_SIZE];
    dw_name_of_volume(volume->number, name);
    const struct dw_volume *earlier = place->has_earlier ? dw_store_find(place->earlier.store, volume->number) : NULL;
    if (!earlier || !is_same(source, volume, earlier))
        return 0;
    *is_linked = linkat(place->earlier_directory, name, place->directory, name, 0) == 0;
    return 0; /* a file system without hard links: it is copied */
}

static int write_file(struct dw_backup_place *place, const char *name, const void *bytes, size_t size)
{
    int target;
    int result = dw_backup_place_make_file(place, name, &target);
    if (result < 0)
        return result;
    ssize_t done = pwrite(target, bytes, size, 0);
    if (done != (ssize_t)size || fsync(target) < 0)
        result = dw_fail_system(done < 0 || done == (ssize_t)size ? -errno : -ENOSPC, "writing %s/%s failed",
                                place->partial, name);
    close(target);
    return result;
}

/* Of the two slots the newer one has the sequence of the source, the other one the sequence before it. */
static int write_superblock(struct dw_backup_place *place, const struct dw_backup_source *source)
{
    uint32_t block_size = source->geometry->block_size;
    uint8_t *copies = dw_alloc_io((size_t)DW_SUPERBLOCK_COPIES * block_size, block_size);
    if (!copies)
        return dw_fail(DWAL_EMEMORY, "no memory for the superblock of a backup");
    struct dw_superblock_info info = source->superblock;
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++) {
        bool is_newer = (copy & 1) == (source->superblock.sequence & 1);
        info.sequence = source->superblock.sequence - (is_newer ? 0 : 1);
        dw_superblock_encode(&info, copies + (size_t)copy * block_size);
    }
    int result = write_file(place, DW_NAME_SUPERBLOCK, copies, (size_t)DW_SUPERBLOCK_COPIES * block_size);
    dw_free_io(copies);
    return result;
}

int dw_backup_place_finish(struct dw_backup_place *place, const struct dw_backup_source *source)
{
    char note[NOTE_SIZE];
    write_note(source, note);
    int result = write_superblock(place, source);
    if (result == 0)
        result = write_file(place, NOTE_NAME, note, strlen(note));
    if (result == 0 && fsync(place->directory) < 0)
        result = dw_fail_system(-errno, "syncing %s failed", place->partial);
    return result;
}

/* ---- the end -------------------------------------------------------------------------------------------------------- */

int dw_backup_place_publish(struct dw_backup_place *place)
{
    unsigned flags = place->has_earlier ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    if (renameat2(AT_FDCWD, place->partial, AT_FDCWD, place->path, flags) < 0) {
        int code = errno;
        if (code == EEXIST || code == ENOTEMPTY)
            return dw_fail(DWAL_EEXIST, "there is something at %s now", place->path);
        if (code == EINVAL)
            return dw_fail(DWAL_EUNSUPPORTED, "the file system of %s cannot exchange two directories", place->path);
        return dw_fail_system(-code, "renaming %s to %s failed", place->partial, place->path);
    }
    place->is_published = true;
    if (fsync(place->parent) < 0)
        return dw_fail_system(-errno, "syncing the directory above %s failed", place->path);
    return 0;
}

void dw_backup_place_close(struct dw_backup_place *place, bool is_done)
{
    dw_inspect_close(&place->earlier);
    /* What bears the name .partial now: the unfinished backup, or the earlier one that was exchanged for the new. With new
     * names that may not be on stable storage both stay. */
    int old = is_done ? place->earlier_directory : place->directory;
    bool has_old = place->directory >= 0 && is_done == place->is_published && (!is_done || place->has_earlier);
    if (has_old && dw_backup_names_clear(old) == 0)
        (void)rmdir(place->partial); /* what could not be removed is swept by the next backup */
    if (place->earlier_directory >= 0)
        close(place->earlier_directory);
    if (place->directory >= 0)
        close(place->directory);
    if (place->parent >= 0)
        close(place->parent);
}
