/* write_log.h - the record of all writes that reached a device in a guest: what dm-log-writes kept, and when each was sent.
 *
 * dm-log-writes keeps a write when it is on stable storage: one with the FUA bit when it completes, a plain one when a flush that
 * follows completes. When a write was *sent* it does not know, and a crash image needs that: a write may be on the medium
 * without having been acknowledged, but not before it was sent. So the guest traces block_rq_issue and block_rq_complete of
 * the device below, and both are put together here; writes are never merged there, and split where they are large.
 * Happy path: load, use the entries, free. Failure: a message and the end of the program: without a record there is no
 * verdict. One thread. */
#ifndef DW_TESTS_VM_WRITE_LOG_H
#define DW_TESTS_VM_WRITE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum write_flags { WRITE_FLUSH = 1, WRITE_FUA = 2, WRITE_DISCARD = 4, WRITE_MARK = 8, WRITE_METADATA = 16 };

struct write_entry {
    uint64_t offset, size;      /* bytes on the device; size 0: a flush or a mark */
    uint64_t flags;             /* of enum write_flags, as on disk */
    const unsigned char *bytes; /* of writes that are no discard */
    const char *mark;           /* text of a mark, terminated; else "" */
    /* Numbers of trace events. Of what the trace does not show (flushes, marks): when the last write before it completed. */
    uint64_t sent, completed;
};
struct write_log {
    unsigned char *bytes; /* the whole file */
    char *known;
    struct write_entry *entries;
    size_t count;
    bool is_finished; /* the last mark is there */
};

/* `directory` holds: `record`, what was behind the log device; `trace`, the text of the guest's trace; and, where the guest began
 * with what a power cut had left, `known`: one line for each mark before that cut. They become the first entries. */
void write_log_load(struct write_log *log, const char *directory);
void write_log_free(struct write_log *log);
static inline bool write_entry_is_data(const struct write_entry *entry)
{
    return entry->size > 0;
}

#endif
