/* dwal/journal.h - what users of a journal made of volumes look for beside appends (dwal/dwal.h) and scans (dwal/scan.h): names of
 * volumes, tables of contents of a log at rest, and one volume taken apart piece by piece. Reads only; works beside a live
 * writer; blocks on reads; one thread for each call. */
#ifndef DWAL_JOURNAL_H
#define DWAL_JOURNAL_H

#include <dwal/dwal.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

/* ---- names ---------------------------------------------------------------------------------------------------------*/

#define DWAL_VOLUME_SUFFIX     ".vol"
#define DWAL_VOLUME_NAME_SIZE  15          /* "0000000007.vol" and its terminator */
#define DWAL_VOLUME_NUMBER_MAX 0x7fffffffu /* 2^31-1 */

/* The file name of volume `number`. DWAL_EARGUMENT: the number is above DWAL_VOLUME_NUMBER_MAX. */
int dwal_volume_name(uint32_t number, char name[DWAL_VOLUME_NAME_SIZE]);
/* "DIRECTORY/NAME". DWAL_EARGUMENT; DWAL_EBUFFER: `path`, of `size` bytes, is too short. */
int dwal_volume_path(const char *directory, uint32_t number, char *path, size_t size);
/* Take a path apart that dwal_volume_path gave: its number, and how many of its first bytes name the directory (0: none is
 * named). Either pointer may be NULL. DWAL_EARGUMENT: it does not end in a name that dwal_volume_name gives. */
int dwal_volume_parse(const char *path, uint32_t *number, size_t *directory_length);

/* ---- one volume of a log -------------------------------------------------------------------------------------------*/

/* The table of contents that the application wrote for volume `number` of the log at `path`, into `buffer` as far as `size`
 * goes; *length gets the length of the whole, 0 where there is none (no toc_length, or the volume is not full yet: no error);
 * *magic the log's magic number. Either may be NULL.
 * The errors of dwal_open; DWAL_ENOTFOUND: no such volume; DWAL_ECORRUPT, DWAL_EDEVICE. */
int dwal_read_table(const char *path, uint32_t number, void *buffer, size_t size, uint32_t *length, uint32_t *magic);

/* What dwal_scan_volume calls; each may be NULL. `offset`: bytes from the volume's start. Sector tags and block headers lie
 * between the bytes of a segment on disk and are no part of them. */
struct dwal_volume_scan {
    size_t size; /* sizeof(struct dwal_volume_scan) */
    void *context;
    /* An entry starts: before its segments. `offset`: of its record's header. */
    void (*entry)(void *context, const struct dwal_record *record, uint64_t offset);
    /* A piece of metadata or data that lies in this volume: whole, or what an entry that runs on over the volume's end or start has
     * here. `entry` was not called for one that started in an earlier volume. Empty parts have no segment. */
    void (*segment)(void *context, bool is_metadata, const void *bytes, size_t size, uint64_t offset);
    /* The log goes on in another volume: this one's content ends at `offset`. */
    void (*next_volume)(void *context, uint64_t offset);
    /* The application's table of contents; `offset`: of the area that holds it. Last of all. */
    void (*table)(void *context, const void *bytes, size_t size, uint64_t offset);
};
/* Take volume `number` of the log at `path` apart, in the order on disk. Everything given was checked. Memory: the longest entry.
 * The errors of dwal_open and dwal_cursor_next; DWAL_ENOTFOUND: no such volume. */
int dwal_scan_volume(const char *path, uint32_t number, const struct dwal_volume_scan *scan);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
