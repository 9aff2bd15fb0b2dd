/* dwal/scan.h - read a log that is at rest, or beside its writer, without opening it for writing: callbacks per entry.
 *
 * Never writes a byte, needs no lock, works on damaged logs: what cannot be read is reported and skipped or ends the
 * scan, as you choose. One thread per scan; blocks on reads. */
#ifndef DWAL_SCAN_H
#define DWAL_SCAN_H

#include <dwal/dwal.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

struct dwal_scan {
    size_t size;           /* sizeof(struct dwal_scan) */
    uint32_t volume_from;  /* volumes v with volume_from <= v < volume_to */
    uint32_t volume_to;    /* 0: to the end */
    uint64_t lsn_from;     /* records that start at or after it; 0: the oldest */
    uint32_t magic_number; /* 0: any; else DWAL_EMAGIC when the log's differs */
    int64_t look_ahead;    /* after a suspected tear read at most so many bytes further to tell a tear from damage;
                             * negative or 0: all that remain (the safe choice, and the default) */
    bool is_unsafe_buffered;
    void *context;

    /* All may be NULL. A non-zero return of `stop` ends the scan with 0. */
    /* Return false to skip the data: it is then not read from the device and `data` is not called. */
    bool (*metadata)(void *context, const struct dwal_record *record);
    /* record->data holds all bytes. */
    void (*data)(void *context, const struct dwal_record *record);
    /* A volume is entered. */
    void (*volume)(void *context, uint32_t number, uint64_t first, uint64_t end);
    bool (*stop)(void *context);
};

struct dwal_report;
/* 0: came to the end, which is a clean end or a tear (see `report`). Else the code of the damage met; the entries before
 * it were delivered. `report` (may be NULL) is the same value that dwal_verify gives. Nothing was delivered: DWAL_ENOLOG,
 * DWAL_EARGUMENT, DWAL_EPERMISSION, DWAL_EUNSUPPORTED, DWAL_EBUSY (a device), DWAL_EMEMORY. */
int dwal_scan_log(const char *path, const struct dwal_scan *scan, struct dwal_report *report);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
