/* dwal/error.h - every code that a call of dwal can answer, what it means, and what the caller should do.
 *
 * A call that can fail returns 0 or one of these negative codes; nothing else, and errno is neither set nor to be read.
 * The details (volume, block, lsn, file, the system's own errno) of the last failure in this thread are in
 * dwal_last_error(). */
#ifndef DWAL_ERROR_H
#define DWAL_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

/*      X(name, number, what it means, what the caller should do) */
/* clang-format off */
#define DWAL_ERRORS(X)                                                                                                 \
    X(DWAL_EARGUMENT, -1001, "an argument or option is not allowed", "correct the call; the text names the argument")  \
    X(DWAL_ETOOBIG, -1002, "metadata or data is longer than 2^31-5 bytes", "split the entry")                          \
    X(DWAL_EBUSY, -1003, "another writer holds the log", "close the other writer, or open read-only")                  \
    X(DWAL_EEXIST, -1004, "there is already a log", "open it, or choose another path")                                 \
    X(DWAL_ENOLOG, -1005, "there is no log at this path", "create one first (dwal init), or correct the path")         \
    X(DWAL_ECORRUPT, -1006, "bytes that were durable are damaged", "restore from a replica or backup; dwal verify "    \
      "lists the damage, dwal repair cuts the log at a place that you choose")                                         \
    X(DWAL_ELOST, -1007, "a part of the log that was durable is missing", "bring the missing file or bytes back, or "  \
      "restore from a replica or backup")                                                                              \
    X(DWAL_EROLLBACK, -1008, "one part of the log is older than another", "restore all files from the same moment")    \
    X(DWAL_EFOREIGN, -1009, "this belongs to another log, or is no file of dwal", "take the file out of the directory")\
    X(DWAL_EVERSION, -1010, "the log was written by a newer dwal", "use that version or a newer one")                  \
    X(DWAL_EDEVICE, -1011, "the device or file system answered with an error", "see the error's system code; check "   \
      "the device, then close and open again")                                                                         \
    X(DWAL_ENOSPACE, -1012, "no volume is ready and none can be made", "free space, or trim the log, then try "        \
      "again: nothing is lost")                                                                                        \
    X(DWAL_EFAILED, -1013, "the log stopped at an earlier error", "close it, see dwal_failure() for the first cause, " \
      "open it again")                                                                                                 \
    X(DWAL_EREADONLY, -1014, "the log is open read-only", "open it for writing")                                       \
    X(DWAL_ENOTFOUND, -1015, "no record starts at this lsn", "use an lsn that append or a cursor gave")                \
    X(DWAL_ETRIMMED, -1016, "this lsn is before the trim point", "start at dwal_first()")                              \
    X(DWAL_EEND, -1017, "no further durable record for now", "wait with dwal_wait, or stop")                           \
    X(DWAL_EBUFFER, -1018, "the caller's buffer is too small", "call again with a buffer of the size given")           \
    X(DWAL_EFULL, -1019, "the ring is full and the call was told not to wait", "append again later")                   \
    X(DWAL_ETABLE, -1020, "the caller's table of contents is longer than toc_length", "mend the callback, close and "  \
      "open the log; all entries are safe")                                                                            \
    X(DWAL_EUNSUPPORTED, -1021, "this file system or kernel lacks something that dwal needs", "use another place; the "\
      "text names what is missing")                                                                                    \
    X(DWAL_EEXHAUSTED, -1022, "volume numbers are used up (2^31 of them)", "start a new log")                          \
    X(DWAL_EMEMORY, -1023, "no memory", "free memory, then call again")                                                \
    X(DWAL_ETIMEOUT, -1024, "the time given is over", "call again, or stop waiting")                                   \
    X(DWAL_EMAGIC, -1025, "the application's magic number differs", "open with the number given at creation")          \
    X(DWAL_EPERMISSION, -1026, "the file system does not permit it", "change owner, mode or mount")                    \
    X(DWAL_EUNCERTAIN, -1027, "the end of the log neither checks nor looks unwritten", "if a crash can tear a single " \
      "sector here, open with DWAL_TOLERANT; else treat as DWAL_ECORRUPT")                                             \
    /* Of the Raft log, dwal/raft.h. */                                                                                \
    X(DWAL_ERAFT_METADATA, -1201, "two heads of segments differ in their metadata", "restore from a replica or "       \
      "backup; two logs were mixed")                                                                                   \
    X(DWAL_ERAFT_SNAPSHOT, -1202, "a snapshot with this index has another term", "open at a snapshot that "            \
      "dwal_raft_get_snapshots lists")                                                                                 \
    X(DWAL_ERAFT_NO_SNAPSHOT, -1203, "the snapshot is not in the log", "go on with what was read if you know "         \
      "better, else open at a snapshot that dwal_raft_get_snapshots lists")                                            \
    X(DWAL_ERAFT_GAP, -1204, "an index is missing between entries", "save from the last index + 1 on; when "           \
      "read: open at a later snapshot, or restore")                                                                    \
    X(DWAL_ERAFT_ORDER, -1205, "the Raft log is not in the state for this call", "read an opened log once, then "      \
      "save; a created log is not read")                                                                               \
    X(DWAL_ERAFT_RECORD, -1206, "a record is none that the Raft log writes there", "see whether this is a Raft "       \
      "log, and who else appended to it")                                                                              \
    X(DWAL_ERAFT_RELEASED, -1207, "the log does not reach back to this snapshot any more", "open at a snapshot "       \
      "that dwal_raft_get_snapshots lists")                                                                            \
    /* dwal/indexed.h */                                                                                               \
    X(DWAL_EINDEX_NONE, -1101, "no entry has this index", "use an index from the first to the last; to empty the "     \
      "log, reset it")                                                                                                 \
    X(DWAL_EINDEX_GAP, -1102, "the index does not follow the last one", "store at the index after the last; to go on " \
      "elsewhere, truncate or reset the log first")                                                                    \
    X(DWAL_EINDEX_MIDDLE, -1103, "a range in the middle of the log cannot be deleted", "delete a range that reaches "  \
      "to the first or to the last entry")                                                                             \
    X(DWAL_EINDEX_CLOSED, -1104, "the log was closed", "open it again")                                                \
    X(DWAL_EINDEX_CODEC, -1105, "the entries were encoded by another codec", "open with the codec of the log's first " \
      "open, or with 0")                                                                                               \
    X(DWAL_EINDEX_VALUE, -1106, "the value has another length", "read it with dwal_indexed_value")                     \
    X(DWAL_EINDEX_CANCELLED, -1107, "the caller stopped it", "call again to go on where it stopped")                   \
    X(DWAL_EINDEX_SUM, -1108, "the entries of a range are not those that were summed", "see the report's fault: "      \
      "restore the range from a replica")                                                                              \
    /* dwal/atomic_file.h */                                                                                           \
    X(DWAL_EATOMIC_NONE, -1301, "there is no such file or directory", "correct the path, or write the file first")     \
    X(DWAL_EATOMIC_LINK, -1302, "the path is a symbolic link", "name the file itself, or allow it with "               \
      "DWAL_ATOMIC_FOLLOW")                                                                                            \
    X(DWAL_EATOMIC_DAMAGED, -1303, "the file is not as it was written", "restore it from a copy")                      \
    X(DWAL_EATOMIC_ORDER, -1304, "an earlier call of this writer failed", "abandon the writer, then begin anew")

/* clang-format on */
enum dwal_error_code {
    DWAL_OK = 0,
#define DWAL_ERROR_ENUM(name, number, meaning, action) name = (number),
    DWAL_ERRORS(DWAL_ERROR_ENUM)
#undef DWAL_ERROR_ENUM
};

#define DWAL_NO_VOLUME UINT32_MAX
#define DWAL_NO_LSN    UINT64_MAX

/* Where and why the last failing call of this thread failed. Fields that do not apply hold DWAL_NO_VOLUME,
 * DWAL_NO_LSN or 0. */
struct dwal_error {
    int code;        /* enum dwal_error_code */
    int system_code; /* errno of the system call behind it, or 0 */
    uint32_t volume; /* volume number */
    uint32_t reserved;
    uint64_t block; /* block number */
    uint64_t lsn;
    char text[400]; /* one English sentence: what, where, what to do; always terminated */
};

/* Of the last failing call in this thread; valid until the next failing call in this thread. Never NULL. */
const struct dwal_error *dwal_last_error(void);
/* For what is built on dwal and answers with its codes: make a copy of `error` this thread's last failure. Returns
 * error->code. A pointer that dwal_last_error gave is fine. */
int dwal_set_error(const struct dwal_error *error);
const char *dwal_error_name(int code);    /* "DWAL_EBUSY"; "unknown" for others. Static text. */
const char *dwal_error_meaning(int code); /* static text */
const char *dwal_error_action(int code);  /* static text */

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
