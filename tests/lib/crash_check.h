/* crash_check.h - open what a crash left, read all of it, and hold it against the story: the oracle of the crash tests.
 *
 * Written from the promises of dwal.h and the decision table, not from the code of recovery.
 * Owns: nothing. Called by: the crash tests, one thread. */
#ifndef DW_TESTS_LIB_CRASH_CHECK_H
#define DW_TESTS_LIB_CRASH_CHECK_H

#include <dwal/inspect.h>

#include "tests/lib/crash_story.h"

enum dw_crash_open {
    DW_CRASH_READ_ONLY, /* nothing is written */
    DW_CRASH_WRITING,   /* the cut is made durable, a new volume is claimed */
};
struct dw_crash_look {
    enum dw_crash_open how;
    bool is_tolerant;
    uint64_t min_lsn;
};

/* What was found. */
struct dw_crash_outcome {
    int code;                  /* 0, or what open answered */
    enum dwal_verdict verdict; /* when code is 0, or when the refusal came from recovery */
    uint32_t row;
    size_t first, found; /* entries [first, found) of the story were read, in order and bit by bit */
    uint64_t end;        /* as the log says it */
    bool is_wrong;       /* something else was read: `text` says what */
    bool is_returned;    /* and that is something that was dropped */
    int read_code;       /* reading broke off with this error, 0: it came to the end */
    char text[448];
};
/* Open, read everything, and leave as a crash would. */
void dw_crash_look_at(struct dw_disk *image, const struct dw_crash_story *story, const struct dw_crash_look *look,
                      struct dw_crash_outcome *outcome);
/* The second half of it: `code` is what open answered, `log` the open log (it stays open). */
void dw_crash_read_log(int code, struct dwal *log, const struct dw_crash_story *story,
                       struct dw_crash_outcome *outcome);

/* What is wrong with it. */
enum dw_crash_fault {
    DW_CRASH_FINE = 0,
    DW_CRASH_REFUSED,    /* refused, though nothing is damaged */
    DW_CRASH_LOST,       /* an acknowledged entry is missing */
    DW_CRASH_INVENTED,   /* something was read that was not appended, or not there, or in another order */
    DW_CRASH_RETURNED,   /* something that an earlier recovery dropped */
    DW_CRASH_HALF_BATCH, /* a batch is there in part */
    DW_CRASH_UNTRIMMED,  /* something before the trim point */
    DW_CRASH_MISLABELED, /* the verdict does not fit */
    DW_CRASH_FAULTS
};
const char *dw_crash_fault_name(enum dw_crash_fault fault);
/* Judge an outcome without damage: `story` holds everything that was appended in this life of the log. */
enum dw_crash_fault dw_crash_judge(const struct dw_crash_facts *facts, const struct dw_crash_story *story,
                                   const struct dw_crash_outcome *outcome);

/* Options for logs on small simulated disks. */
void dw_crash_options(struct dwal_options *options);
extern const struct dw_clock dw_crash_clock; /* stands still but for a nanosecond per look */

#endif
