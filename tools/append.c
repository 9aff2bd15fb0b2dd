/* append.c - dwal append: entries from standard input.
 *
 * Happy path: read -> append -> when the input pauses or enough is waiting, ask for a flush -> print each lsn once its
 * entry is durable. One thread: it polls the input, the log's eventfd and the signals. Failure: the first one stops the
 * reading; what was appended before is still made durable where that is possible, and printed only if it was. A signal
 * does the same without being a failure. Closing: sync, print, close (a clean end). */
#include "tools/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <dwal/dwal.h>

#include "tools/input.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/pending.h"
#include "tools/signals.h"
#include "tools/stages.h"

enum sync_mode { SYNC_EACH, SYNC_GROUP, SYNC_END };
enum { BATCH_BYTES = 256 << 10 }; /* ask for a flush at the latest when so much waits */

struct append {
    const char *path, *meta, *backend;
    uint64_t split_size;
    int sync_mode;
    bool is_creating, is_lines, is_whole, is_quiet, is_unsafe, has_stats;

    dwal *log;
    struct dw_input input;
    struct dw_pending pending;
    uint64_t end;       /* of the last entry appended */
    uint64_t unflushed; /* bytes appended since the last flush was asked for */
    int durable_fd;
    int status;
};

/* ---- one entry -----------------------------------------------------------------------------------------------------*/

static bool fail_library(struct append *append, int code)
{
    append->status = dw_message_library(append->path, code);
    return false;
}

static bool append_entry(struct append *append, const void *bytes, size_t size)
{
    /* iovec has no const; the library only reads. */
    union {
        const void *given;
        void *wanted;
    } meta = {append->meta}, data = {bytes};
    struct iovec parts[2] = {{meta.wanted, append->meta ? strlen(append->meta) : 0}, {data.wanted, size}};
    struct dwal_entry entry = {&parts[0], &parts[1], append->meta ? 1 : 0, size ? 1 : 0, 0};
    uint64_t lsn, end;
    int result = append->sync_mode == SYNC_EACH ? dwal_commit(append->log, &entry, &lsn, &end)
                                                : dwal_append(append->log, &entry, &lsn, &end);
    if (result)
        return fail_library(append, result);
    append->end = end;
    if (!dw_pending_add(&append->pending, lsn, end)) {
        dw_message_error("free memory, then append the rest again", "no memory for the list of lsns");
        append->status = DW_EXIT_WRONG;
        return false;
    }
    append->unflushed += size;
    return true;
}

static bool flush(struct append *append)
{
    if (append->unflushed == 0 && append->pending.first == append->pending.end)
        return true;
    append->unflushed = 0;
    int result = 0;
    if (append->sync_mode == SYNC_GROUP)
        result = append->durable_fd >= 0 ? dwal_flush(append->log, append->end) : dwal_sync(append->log, append->end);
    return result ? fail_library(append, result) : true;
}

/* Print what became durable. False when there is nobody left to print to. */
static bool print_durable(struct append *append)
{
    dw_pending_print(&append->pending, dwal_durable(append->log));
    if (dw_output_failure() == 0)
        return true;
    if (append->status == DW_EXIT_GOOD && dw_output_is_closed_pipe())
        dw_message_error("entries that were read before are in the log; append the rest again",
                         "nobody reads the lsns any more");
    append->status = DW_EXIT_WRONG;
    return false;
}

static bool append_entries(struct append *append)
{
    const void *bytes;
    size_t size;
    while (dw_input_next(&append->input, &bytes, &size)) {
        if (!append_entry(append, bytes, size))
            return false;
        if (append->sync_mode == SYNC_EACH && !print_durable(append))
            return false;
        if (append->unflushed >= BATCH_BYTES && (!flush(append) || !print_durable(append)))
            return false;
    }
    return true;
}

/* ---- the loop ------------------------------------------------------------------------------------------------------*/

/* False: stop (the end, or a failure that was told). */
static bool read_input(struct append *append)
{
    long n = dw_input_read(&append->input);
    if (n > 0 || n == -EAGAIN || n == -EINTR)
        return append_entries(append);
    if (n == 0) {
        (void)append_entries(append); /* the last one may have no end of its own */
        return false;
    }
    if (n == -EFBIG)
        dw_message_error("cut it with --split", "an entry of the input is longer than 2^31-5 bytes");
    else
        dw_message_error("entries printed so far are safe; append the rest again", "standard input: %s",
                         strerror((int)-n));
    append->status = DW_EXIT_WRONG;
    return false;
}

/* Wait for input; meanwhile print what becomes durable. False: stop. */
static bool wait_for_input(struct append *append)
{
    struct pollfd waited[3] = {{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                               {.fd = dw_signals_descriptor(), .events = POLLIN, .revents = 0},
                               {.fd = append->durable_fd, .events = POLLIN, .revents = 0}};
    int count = poll(waited, 3, 0);
    if (count == 0) { /* the input pauses */
        if (!flush(append) || !print_durable(append))
            return false;
        count = poll(waited, 3, -1);
    }
    if (count < 0)
        return true; /* interrupted: look again */
    if (waited[1].revents != 0)
        return false;
    if (waited[2].revents != 0) {
        uint64_t events;
        if (read(append->durable_fd, &events, sizeof events) < 0 && errno != EAGAIN && errno != EINTR)
            append->durable_fd = -1;
        struct dwal_error cause;
        int failure = dwal_failure(append->log, &cause);
        if (failure) {
            dw_message_error(NULL, "%s: %s", append->path, cause.text);
            append->status = dw_message_status(failure);
            return false;
        }
        if (!print_durable(append))
            return false;
    }
    return waited[0].revents == 0 || read_input(append);
}

static void append_all(struct append *append)
{
    dw_input_init(&append->input,
                  append->split_size ? DW_INPUT_SPLIT : (append->is_whole ? DW_INPUT_WHOLE : DW_INPUT_LINES),
                  (size_t)append->split_size, DWAL_PART_SIZE_MAX);
    append->pending.is_quiet = append->is_quiet;
    while (wait_for_input(append))
        ;
    if (append->pending.first < append->pending.end) {
        int result = dwal_sync(append->log, append->end);
        if (result && append->status == DW_EXIT_GOOD)
            (void)fail_library(append, result);
        (void)print_durable(append);
    }
    size_t rest = dw_input_rest(&append->input);
    if (rest > 0 && append->status == DW_EXIT_GOOD) {
        dw_message_error("append it again",
                         "stopped by a signal: the last %zu bytes are no whole entry and were dropped", rest);
        append->status = DW_EXIT_WRONG;
    }
}

/* ---- open and close ------------------------------------------------------------------------------------------------*/

static int open_log(struct append *append)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.backend = append->backend;
    options.is_unsafe_buffered = append->is_unsafe;
    options.event = dw_message_event;
    int result = dwal_open(append->path, &options, &append->log);
    if (result == DWAL_ENOLOG && append->is_creating) {
        result = dwal_create(append->path, &options);
        if (result == 0)
            result = dwal_open(append->path, &options, &append->log);
    }
    if (result == 0 && dwal_eventfd(append->log, &append->durable_fd) != 0)
        append->durable_fd = -1; /* then each flush waits */
    return result;
}

static int run_parsed(struct append *append)
{
    if (append->is_lines + append->is_whole + (append->split_size > 0) > 1) {
        dw_message_error("choose one", "--lines, --whole and --split exclude each other");
        return DW_EXIT_WRONG;
    }
    if (!dw_signals_take())
        return DW_EXIT_WRONG;
    int result = open_log(append);
    if (result)
        return dw_message_library(append->path, result);
    append_all(append);
    if (append->has_stats)
        dw_stages_print(append->log);
    result = dwal_close(append->log);
    if (result && append->status == DW_EXIT_GOOD)
        (void)fail_library(append, result);
    dw_input_free(&append->input);
    dw_pending_free(&append->pending);
    return append->status;
}

static int run(int argument_count, char **arguments)
{
    static const char *const backends[] = {NULL, "sync", "uring", "aio", "nvme", "nvme-poll"};
    struct append append = {.sync_mode = SYNC_GROUP, .durable_fd = -1};
    int backend = -1;
    const struct dw_option options[] = {
        DW_FLAG("create", &append.is_creating, "make the log when there is none, with default sizes"),
        DW_FLAG("lines", &append.is_lines, "each line is an entry, without its newline (default)"),
        DW_FLAG("whole", &append.is_whole, "all of the input is one entry"),
        DW_SIZE("split", &append.split_size, "SIZE", 1, DWAL_PART_SIZE_MAX, "each SIZE bytes are an entry"),
        DW_CHOICE("sync", &append.sync_mode, "WHEN", "each|group|end",
                  "each: commit every entry; group (default): flush when the input pauses; end: one sync"),
        DW_TEXT("meta", &append.meta, "TEXT", "metadata for every entry"),
        DW_CHOICE("backend", &backend, "NAME", "sync|uring|aio|nvme|nvme-poll",
                  "how to write; nvme: past the block layer, on an NVMe device; default: chosen at open"),
        DW_FLAG("quiet", &append.is_quiet, "print no lsns"),
        DW_FLAG("stats", &append.has_stats, "at the end tell on standard error where the time went"),
        DW_FLAG("unsafe-buffered", &append.is_unsafe, "allow a file system without direct I/O"),
    };
    enum dw_parsed parsed = dw_options_parse(&dw_command_append, options, DW_OPTION_COUNT(options), argument_count,
                                             arguments, &append.path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);
    append.backend = backends[backend + 1];
    return run_parsed(&append);
}

const struct dw_command dw_command_append = {
    .name = "append",
    .summary = "append entries from standard input",
    .arguments = "PATH [OPTION...]",
    .about =
        "Append entries from standard input. The lsn of an entry is printed on a line of its own once the entry is\n"
        "on stable storage, never before. Lines may be of any length and hold any byte; a last line without a\n"
        "newline counts. A signal (SIGINT, SIGTERM, SIGHUP) ends the reading: what was read is made durable.",
    .examples = "  printf 'first\\nsecond\\n' | dwal append /var/lib/app/log --create\n"
                "  tail -F app.log | dwal append /var/lib/app/log --quiet\n"
                "  dwal append /var/lib/app/log --whole --meta snapshot < state.bin\n"
                "  dwal append /var/lib/app/log --split 4KiB --sync each --stats --quiet < big.bin\n",
    .run = run,
};
