/* writer.c - replace a file as a whole: temporary file, checksum, sync, rename, sync of the directory.
 *
 * Owns: the temporary file, its descriptor and the lock on it. Called by: one thread at a time for each writer.
 * Happy path: create (sweep what killed writers left, make the temporary, write the header) -> write ... -> commit.
 * Failure: the first one ends the writer: only abandon is taken afterwards. The old file is touched by the rename alone.
 * Left-overs: a temporary file is locked (flock) by who writes it; the next create for the same name removes those of exactly this
 * pattern that nobody holds. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc64.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/layers/atomic/atomic.h"

#define TAIL_SIZE 22u /* ".", 16 digits, ".dwal" */

struct dwal_atomic_writer {
    struct dw_atomic_place place;
    char temporary[DW_ATOMIC_NAME_SIZE + TAIL_SIZE];
    int file;
    uint64_t crc;
    bool has_failed, is_there; /* the temporary file is there */
};

/* ---- names ---- */

/* "NAME.0123456789abcdef.dwal"? */
static bool is_temporary_of(const char *entry, const char *name)
{
    size_t length = strlen(name);
    if (strlen(entry) != length + TAIL_SIZE || memcmp(entry, name, length) != 0 || entry[length] != '.')
        return false;
    const char *digits = entry + length + 1;
    return strspn(digits, "0123456789abcdef") == 16 && strcmp(digits + 16, ".dwal") == 0;
}

/* Remove temporary files of this name that no living writer holds. Nothing depends on it: failures are passed over. */
static void sweep(const struct dw_atomic_place *place)
{
    int again = openat(place->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = again >= 0 ? fdopendir(again) : NULL;
    if (!directory) {
        if (again >= 0)
            close(again);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat facts;
        if (!is_temporary_of(entry->d_name, place->name))
            continue;
        int file = openat(place->directory, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (file < 0)
            continue;
        if (fstat(file, &facts) == 0 && S_ISREG(facts.st_mode) && flock(file, LOCK_EX | LOCK_NB) == 0)
            (void)unlinkat(place->directory, entry->d_name, 0);
        close(file);
    }
    closedir(directory);
}

/* ---- bytes ---- */

static int put(dwal_atomic_writer *writer, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(writer->file, at, size < INT32_MAX ? size : INT32_MAX);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            writer->has_failed = true;
            int why = written < 0 ? errno : EIO;
            return dw_atomic_fail(dw_atomic_code_of(why), why, "writing %s failed", writer->temporary);
        }
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

static uint64_t crc_of(uint64_t crc, const void *bytes, size_t size)
{
    return crc64_ecma_refl(crc, bytes, size);
}

/* ---- begin ---- */

/* One attempt: 0, -1 when a sweep took it away between its making and its lock, else a code. */
static int try_temporary(dwal_atomic_writer *writer)
{
    const struct dw_atomic_place *place = &writer->place;
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return dw_atomic_fail(DWAL_EDEVICE, errno, "no random number for a temporary name");
    (void)snprintf(writer->temporary, sizeof writer->temporary, "%s.%016llx.dwal", place->name,
                   (unsigned long long)random);
    writer->file =
        openat(place->directory, writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (writer->file < 0)
        return dw_atomic_fail(dw_atomic_code_of(errno), errno, "the temporary file %s cannot be made",
                              writer->temporary);
    struct stat facts;
    if (flock(writer->file, LOCK_EX | LOCK_NB) == 0 && fstat(writer->file, &facts) == 0 && facts.st_nlink == 1) {
        writer->is_there = true;
        return 0;
    }
    int why = unlinkat(place->directory, writer->temporary, 0) != 0 ? errno : ENOENT;
    close(writer->file);
    writer->file = -1;
    writer->is_there = why != ENOENT; /* abandon tries again */
    return writer->is_there
               ? dw_atomic_fail(dw_atomic_code_of(why), why, "the temporary file %s stays behind", writer->temporary)
               : -1;
}

static int make_temporary(dwal_atomic_writer *writer)
{
    if (strlen(writer->place.name) + TAIL_SIZE >= DW_ATOMIC_NAME_SIZE)
        return dw_atomic_fail(DWAL_EARGUMENT, ENAMETOOLONG, "%s is too long for a temporary name beside it",
                              writer->place.name);
    int result = -1;
    for (int attempt = 0; result == -1 && attempt < 8; attempt++)
        result = try_temporary(writer);
    return result == -1
               ? dw_atomic_fail(DWAL_EBUSY, 0, "other writers of %s remove its temporary file", writer->place.name)
               : result;
}

/* The new file takes owner and mode of the one that it replaces. */
static int take_after(dwal_atomic_writer *writer)
{
    struct stat old, new;
    if (fstatat(writer->place.directory, writer->place.name, &old, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : dw_atomic_fail(dw_atomic_code_of(errno), errno, "%s", writer->place.name);
    if (!S_ISREG(old.st_mode))
        return dw_atomic_fail(DWAL_EARGUMENT, 0, "%s is no regular file", writer->place.name);
    if (fstat(writer->file, &new) != 0)
        return dw_atomic_fail(DWAL_EDEVICE, errno, "%s", writer->temporary);
    bool is_ours = old.st_uid == new.st_uid &&old.st_gid == new.st_gid;
    if ((!is_ours && fchown(writer->file, old.st_uid, old.st_gid) != 0) ||
        fchmod(writer->file, old.st_mode & 07777) != 0)
        return dw_atomic_fail(dw_atomic_code_of(errno), errno, "owner and mode of %s cannot be kept",
                              writer->place.name);
    return 0;
}

int dwal_atomic_create(const char *path, uint32_t magic, unsigned flags, dwal_atomic_writer **writer)
{
    *writer = NULL;
    dwal_atomic_writer *made = calloc(1, sizeof *made);
    if (!made)
        return dw_atomic_fail(DWAL_EMEMORY, 0, "no memory for the writer of a file");
    made->file = -1;
    int result = dw_atomic_place_open(&made->place, path, flags);
    if (result == 0) {
        sweep(&made->place);
        result = make_temporary(made);
    }
    if (result == 0)
        result = take_after(made);
    struct dw_atomic_header header = {.magic = DW_ATOMIC_MAGIC, .number = dw_le32_of(magic)};
    if (result == 0)
        result = put(made, &header, sizeof header);
    if (result != 0) {
        struct dwal_error why = *dwal_last_error();
        (void)dwal_atomic_abandon(made);
        return dwal_set_error(&why);
    }
    made->crc = crc_of(0, &header, sizeof header);
    *writer = made;
    return 0;
}

/* ---- go on ---- */

int dwal_atomic_write(dwal_atomic_writer *writer, const void *bytes, size_t size)
{
    if (writer->has_failed)
        return dw_atomic_fail(DWAL_EATOMIC_ORDER, 0, "an earlier call for %s failed", writer->place.name);
    if (!bytes && size > 0)
        return dw_atomic_fail(DWAL_EARGUMENT, 0, "the bytes are NULL");
    int result = put(writer, bytes, size);
    if (result == 0)
        writer->crc = crc_of(writer->crc, bytes, size);
    return result;
}

static void free_writer(dwal_atomic_writer *writer)
{
    if (writer->file >= 0)
        close(writer->file);
    dw_atomic_place_close(&writer->place);
    free(writer);
}

int dwal_atomic_commit(dwal_atomic_writer *writer)
{
    if (writer->has_failed)
        return dw_atomic_fail(DWAL_EATOMIC_ORDER, 0, "an earlier call for %s failed", writer->place.name);
    dw_le64 crc = dw_le64_of(writer->crc);
    int result = put(writer, &crc, sizeof crc);
    if (result != 0)
        return result;
    writer->has_failed = true; /* whatever fails from here on is final */
    if (fsync(writer->file) != 0)
        return dw_atomic_fail(dw_atomic_code_of(errno), errno, "the content of %s did not become durable",
                              writer->temporary);
    if (renameat(writer->place.directory, writer->temporary, writer->place.directory, writer->place.name) != 0)
        return dw_atomic_fail(dw_atomic_code_of(errno), errno, "%s cannot be renamed to %s", writer->temporary,
                              writer->place.name);
    writer->is_there = false;
    if (fsync(writer->place.directory) != 0)
        return dw_atomic_fail(DWAL_EDEVICE, errno, "the directory of %s did not become durable", writer->place.name);
    free_writer(writer);
    return 0;
}

int dwal_atomic_abandon(dwal_atomic_writer *writer)
{
    if (!writer)
        return 0;
    int result = 0;
    if (writer->is_there && unlinkat(writer->place.directory, writer->temporary, 0) != 0 && errno != ENOENT)
        result = dw_atomic_fail(DWAL_EDEVICE, errno, "the temporary file %s cannot be removed", writer->temporary);
    free_writer(writer);
    return result;
}
