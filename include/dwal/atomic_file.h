/* dwal/atomic_file.h - small files (a snapshot, a manifest, settings) that are replaced as a whole: after any crash the name
 * shows either all of the old content or all of the new, and a reader never takes damaged bytes for content.
 *
 * A file is 16 bytes of header with a number of the application's, the content, and a CRC-64 of both. The checksum finds accidents,
 * not forgery. Nothing here needs a log or touches one.
 *
 * Writing: create makes a temporary file in the same directory (random name, mode 0600, locked, never through a symbolic
 * link), write appends to it, commit makes it durable, renames it over the name and makes the name durable. Any failure
 * leaves the old file as it was: abandon then removes the temporary one. Nothing is tried again: a second sync may succeed
 * although bytes are gone. What a killed writer left behind is removed by the next create for the same name. */
#ifndef DWAL_ATOMIC_FILE_H
#define DWAL_ATOMIC_FILE_H

#include <dwal/error.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

#define DWAL_ATOMIC_HEADER_SIZE   16u
#define DWAL_ATOMIC_CHECKSUM_SIZE 8u
/* Length of a file without content, which is a valid one. */
#define DWAL_ATOMIC_SIZE_MIN (DWAL_ATOMIC_HEADER_SIZE + DWAL_ATOMIC_CHECKSUM_SIZE)

typedef struct dwal_atomic_writer dwal_atomic_writer;
typedef struct dwal_atomic_reader dwal_atomic_reader;

enum dwal_atomic_flags {
    DWAL_ATOMIC_FOLLOW = 1, /* `path` may be a symbolic link: the file that it names is replaced. Else it is refused */
};

/* ---- writing: one thread at a time for each writer; all calls may block on the device ---- */

/* Begin to replace the file `path`, or to make it; `magic` (0 is fine) is what readers are told. `flags`: enum dwal_atomic_flags,
 * or 0. On 0 *writer is yours until commit or abandon. An existing file keeps its owner and mode; a new one is 0600.
 * DWAL_EARGUMENT (an empty name, one that ends in '/'), DWAL_EATOMIC_LINK, DWAL_EATOMIC_NONE (no such directory),
 * DWAL_EPERMISSION, DWAL_ENOSPACE, DWAL_EDEVICE, DWAL_EMEMORY. */
int dwal_atomic_create(const char *path, uint32_t magic, unsigned flags, dwal_atomic_writer **writer);
/* Append `size` bytes of content. After a failure only abandon is allowed (DWAL_EATOMIC_ORDER).
 * DWAL_ENOSPACE, DWAL_EDEVICE. */
int dwal_atomic_write(dwal_atomic_writer *writer, const void *bytes, size_t size);
/* Append the checksum, make the content durable, rename, make the name durable. On 0 the new content is what every later
 * reader gets, also after a crash, and the writer is gone. On failure the writer is still yours: abandon it. Whether the rename
 * itself survived is unknown after a failure that names the directory; before that the old file stands.
 * DWAL_EATOMIC_ORDER, DWAL_ENOSPACE, DWAL_EDEVICE. */
int dwal_atomic_commit(dwal_atomic_writer *writer);
/* Remove the temporary file and free the writer; the old file stays. NULL is fine. DWAL_EDEVICE: the temporary file could not
 * be removed (the next create for this name tries again); the writer is gone all the same. */
int dwal_atomic_abandon(dwal_atomic_writer *writer);

/* ---- reading ---- */

/* Open the file `path`; *magic (may be NULL) gets its number. Reads the header only. Sees one version: a commit meanwhile does not
 * change what this reader gets.
 * DWAL_EATOMIC_NONE, DWAL_EATOMIC_LINK, DWAL_EATOMIC_DAMAGED (too short, or no such file), DWAL_EPERMISSION, DWAL_EDEVICE,
 * DWAL_EMEMORY. */
int dwal_atomic_open(const char *path, unsigned flags, dwal_atomic_reader **reader, uint32_t *magic);
/* Length of the content in bytes. */
uint64_t dwal_atomic_size(const dwal_atomic_reader *reader);
/* The next bytes of the content, at most `size`; *done = 0 at its end. The first call reads the whole file and checks it, before
 * any byte is given: DWAL_EATOMIC_DAMAGED (and so again with every later call). DWAL_EDEVICE. */
int dwal_atomic_read(dwal_atomic_reader *reader, void *bytes, size_t size, size_t *done);
void dwal_atomic_close(dwal_atomic_reader *reader); /* NULL is fine */

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
