/* write_log.c - reads the record of dm-log-writes and the trace beside it: see write_log.h.
 *
 * Format (little-endian): sector 0 = {u64 magic, version, entries; u32 sector size}; then each entry has one sector that starts
 * with {u64 sector, sectors, flags, data length} (a mark's text follows there), and then its sectors of data. */
#include "tests/vm/write_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "tests/vm/marks.h"

#define LOG_MAGIC UINT64_C(0x6a736677736872)

struct request { /* one line of the trace */
    uint64_t offset, size;
    bool is_completion;
    bool is_taken; /* belongs to an entry of the log already */
};
struct trace {
    struct request *requests;
    size_t count, room;
};

DW_PRINTF(1, 2) __attribute__((noreturn)) static void stop(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "write log: ");
    vfprintf(stderr, format, arguments); /* NOLINT(clang-diagnostic-format-nonliteral) */
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(3);
}

static void *grow(void *memory, size_t *room, size_t needed, size_t size)
{
    if (needed <= *room)
        return memory;
    *room = needed * 2 + 1024;
    memory = realloc(memory, *room * size);
    if (!memory)
        stop("no memory");
    return memory;
}

/* NULL: there is no such file. */
static unsigned char *read_file(const char *directory, const char *name, size_t *size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    unsigned char *bytes = NULL;
    size_t room = 0;
    *size = 0;
    size_t got;
    do {
        bytes = grow(bytes, &room, *size + (1 << 20), 1);
        got = fread(bytes + *size, 1, room - *size - 1, file);
        *size += got;
    } while (got > 0);
    fclose(file);
    bytes[*size] = 0;
    return bytes;
}

static uint64_t word(const unsigned char *bytes, size_t index)
{
    uint64_t value;
    memcpy(&value, bytes + index * 8, sizeof value);
    return value;
}

/* ---- the entries ---------------------------------------------------------------------------------------------------*/

static void add_entry(struct write_log *log, const struct write_entry *entry, size_t *room)
{
    log->entries = grow(log->entries, room, log->count + 1, sizeof *log->entries);
    log->entries[log->count++] = *entry;
}

static void read_known(struct write_log *log, size_t *room)
{
    char *rest = NULL;
    for (char *line = strtok_r(log->known, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        add_entry(log, &(struct write_entry){.flags = WRITE_MARK, .mark = line}, room);
}

static void read_entries(struct write_log *log, size_t size, size_t *room)
{
    uint32_t sector;
    memcpy(&sector, log->bytes + 24, sizeof sector);
    if (size < 4096 || word(log->bytes, 0) != LOG_MAGIC || (sector != 512 && sector != 4096))
        stop("no super sector of dm-log-writes");
    uint64_t left = word(log->bytes, 2);
    for (size_t at = sector; left > 0 && at + sector <= size && !log->is_finished; left--) {
        const unsigned char *head = log->bytes + at;
        struct write_entry entry = {
            .offset = word(head, 0) * sector, .size = word(head, 1) * sector, .flags = word(head, 2), .mark = ""};
        at += sector;
        if (entry.flags & WRITE_MARK) {
            log->bytes[at - 1] = 0; /* the text ends before the end of its sector */
            entry.mark = (const char *)head + 32;
            log->is_finished = strcmp(entry.mark, VM_MARK_FINISHED) == 0;
            entry.size = 0;
        } else if (entry.size > 0 && !(entry.flags & WRITE_DISCARD)) {
            if (entry.size > size - at)
                stop("entry %zu runs over the end", log->count);
            entry.bytes = log->bytes + at;
            at += entry.size;
        }
        add_entry(log, &entry, room);
    }
}

/* ---- the trace -----------------------------------------------------------------------------------------------------*/

/* ... block_rq_issue: 259,0 WFS 4096 () 1234 + 8 [task]      ... block_rq_complete: 259,0 WFS () 1234 + 8 [0] */
static void read_line(struct trace *trace, const char *line)
{
    struct request request = {0};
    const char *at = strstr(line, "block_rq_issue: ");
    if (!at) {
        at = strstr(line, "block_rq_complete: ");
        request.is_completion = true;
    }
    char kind[16];
    if (!at || sscanf(at, "%*s %*s %15s", kind) != 1 || (!strchr(kind, 'W') && !strchr(kind, 'D')))
        return;
    const char *place = strstr(at, ") ");
    unsigned long long sector, sectors;
    if (!place || sscanf(place + 2, "%llu + %llu", &sector, &sectors) != 2)
        stop("a line of the trace: %s", line);
    if (sectors == 0)
        return; /* a flush */
    request.offset = sector * 512;
    request.size = sectors * 512;
    trace->requests = grow(trace->requests, &trace->room, trace->count + 1, sizeof *trace->requests);
    trace->requests[trace->count++] = request;
}

static void read_trace(struct trace *trace, const char *directory)
{
    size_t size;
    char *text = (char *)read_file(directory, "trace", &size);
    if (!text)
        stop("no trace in %s", directory);
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strstr(line, "LOST") != NULL)
            stop("the trace lost events: %s", line);
        read_line(trace, line);
    }
    free(text);
}

/* The next request that starts there and that no earlier write took; count when there is none. */
static size_t take(struct trace *trace, uint64_t offset, uint64_t size_max, bool is_completion, size_t from)
{
    for (size_t i = from; i < trace->count; i++) {
        struct request *request = &trace->requests[i];
        if (request->is_completion == is_completion && !request->is_taken && request->offset == offset &&
            request->size <= size_max) {
            request->is_taken = true;
            return i;
        }
    }
    return trace->count;
}

/* A large write is several requests: sent with the first, completed with the last. Writes of one place come into the record in
 * the order of their completion, so the k-th there is the k-th in the trace. */
static void find_time(struct write_entry *entry, struct trace *trace)
{
    entry->sent = entry->completed = 0;
    for (uint64_t done = 0; done < entry->size;) {
        uint64_t left = entry->size - done;
        size_t sent = take(trace, entry->offset + done, left, false, 0);
        size_t completed = sent == trace->count ? sent : take(trace, entry->offset + done, left, true, sent);
        if (completed == trace->count)
            stop("a write of %llu bytes at %llu is not in the trace", (unsigned long long)entry->size,
                 (unsigned long long)entry->offset);
        if (done == 0 || sent + 1 < entry->sent)
            entry->sent = sent + 1;
        if (completed + 1 > entry->completed)
            entry->completed = completed + 1;
        done += trace->requests[sent].size;
    }
}

static void find_times(struct write_log *log, struct trace *trace)
{
    uint64_t latest = 0;
    for (size_t i = 0; i < log->count; i++) {
        struct write_entry *entry = &log->entries[i];
        if (write_entry_is_data(entry)) {
            find_time(entry, trace);
            latest = entry->completed > latest ? entry->completed : latest;
        } else {
            entry->sent = entry->completed = latest;
        }
    }
}

void write_log_load(struct write_log *log, const char *directory)
{
    memset(log, 0, sizeof *log);
    size_t size, room = 0;
    log->bytes = read_file(directory, "record", &size);
    if (!log->bytes)
        stop("no record in %s", directory);
    size_t known_size;
    log->known = (char *)read_file(directory, "known", &known_size);
    if (log->known)
        read_known(log, &room);
    read_entries(log, size, &room);
    struct trace trace = {0};
    read_trace(&trace, directory);
    find_times(log, &trace);
    free(trace.requests);
}

void write_log_free(struct write_log *log)
{
    free(log->entries);
    free(log->known);
    free(log->bytes);
}
