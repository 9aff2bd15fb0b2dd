/* judge.h - what a log must hold after a power cut, from the marks in the record, and whether it does.
 *
 * Every entry that the writer wrote was told by a mark in the end, so the marks tell the whole order of the log; a cut tells
 * which acknowledgements had been given by then. After recovery the log must be a run of that order: from a point that a trim
 * allowed, up to the last acknowledged entry at least, each entry whole, batches whole, and nothing else.
 * Happy path: init from a record, then judge each opened path. Failure of a log: counted and told on standard output, with the
 * image's name, so that it can be made again. One thread. */
#ifndef DW_TESTS_VM_JUDGE_H
#define DW_TESTS_VM_JUDGE_H

#include "tests/vm/write_log.h"

struct judge_entry { /* one acknowledged entry */
    uint64_t sequence, lsn;
    size_t mark; /* place of its mark in the record */
    uint32_t lane;
};
struct judge {
    const struct write_log *log;
    struct judge_entry *entries; /* by lsn */
    size_t count;
    size_t created;             /* place of the mark that the log was created */
    const char *backend, *name; /* name: of the log, as in its marks */

    bool is_quiet;           /* count only */
    const char *image;       /* name of the image under judgement, for messages */
    uint64_t images, empty;  /* empty: before the log was created */
    uint64_t acknowledged;   /* entries that had to be there, over all images */
    uint64_t unacknowledged; /* entries that were there and did not have to */
    uint64_t torn;           /* images whose recovery cut something */
    uint64_t lost, invented, refused;
};

void judge_init(struct judge *judge, const struct write_log *log, const char *backend, const char *name);
void judge_free(struct judge *judge);
/* Open the log at `path` with recovery and look at all of it; append one entry, close, and look again. `cut`: how much of
 * the record is on the medium for sure. */
void judge_path(struct judge *judge, const char *path, size_t cut);
/* The image came to nothing before its log could be opened. */
void judge_refused(struct judge *judge, const char *why);

#endif
