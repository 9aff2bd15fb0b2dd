/* trace_read.c - the kernel's trace as events; see trace_event.h.
 *
 * Owns: a directory below instances/ of tracefs, named after the process, and a file for each CPU. The binary pages are
 * read (text would cost the kernel more than what is measured): their layout is told by events/header_page, that of each
 * event by its format file. Times are CLOCK_MONOTONIC. Failure: NULL and why. Closing removes the instance. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/bench/trace_event.h"

enum { CPUS_MAX = 256, PAGE_SIZE_MAX = 65536, IDS_MAX = 8192, BUFFER_KB = 4096 };

struct field {
    uint32_t offset, size; /* size 0: not there */
};
struct format {
    uint32_t id; /* 0: this kernel has no such event */
    struct field fields[6];
};
/* Which field of which event goes where; "-": none. */
enum { F_DEVICE, F_SECTOR, F_BYTES, F_FLAGS, F_THREAD, F_OTHER };
static const struct {
    const char *path;
    const char *fields[6]; /* device, sector, bytes, flags, thread, other */
    const char *comm;
} sources[DW_TRACE_KINDS] = {
    [DW_TRACE_ISSUE] = {"block/block_rq_issue", {"dev", "sector", "bytes", "rwbs[", "common_pid", "-"}, "comm["},
    [DW_TRACE_COMPLETE] = {"block/block_rq_complete", {"dev", "sector", "-", "rwbs[", "common_pid", "-"}, "-"},
    [DW_TRACE_SWITCH] = {"sched/sched_switch", {"-", "prev_state", "-", "-", "prev_pid", "next_pid"}, "next_comm["},
    [DW_TRACE_WAKING] = {"sched/sched_waking", {"-", "-", "-", "-", "pid", "-"}, "comm["},
    [DW_TRACE_JOURNAL] = {"jbd2/jbd2_start_commit", {"dev", "-", "-", "-", "common_pid", "-"}, "-"},
    [DW_TRACE_JOURNALED] = {"jbd2/jbd2_end_commit", {"dev", "-", "-", "-", "common_pid", "-"}, "-"},
    [DW_TRACE_PUNT] = {"io_uring/io_uring_queue_async_work", {"-", "-", "-", "-", "common_pid", "-"}, "-"},
};

struct dw_trace_reader {
    char path[160];
    struct format formats[DW_TRACE_KINDS];
    struct field comms[DW_TRACE_KINDS];
    uint8_t kind_of[IDS_MAX]; /* event id -> kind + 1 */
    int cpus[CPUS_MAX];
    uint32_t cpu_count;
    uint32_t data_at, commit_size;
    uint64_t lost;
    uint8_t page[PAGE_SIZE_MAX];
};

/* ---- tracefs ---------------------------------------------------------------------------------------------------------------*/

static int write_to(const struct dw_trace_reader *reader, const char *name, const char *text)
{
    char path[640];
    (void)snprintf(path, sizeof path, "%s/%s", reader->path, name);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return result;
}

/* "field:TYPE NAME;	offset:8;	size:16;": NAME ends in "[" for arrays, whose length follows. */
static bool take_field(const char *line, const char *wanted, struct field *field)
{
    const char *end = strchr(line, ';'), *offset = strstr(line, "offset:"), *size = strstr(line, "size:");
    if (!end || !offset || !size || wanted[0] == '-')
        return false;
    const char *name = end;
    while (name > line && name[-1] != ' ')
        name--;
    size_t length = strlen(wanted);
    if (strncmp(name, wanted, length) != 0 || (wanted[length - 1] != '[' && name + length != end))
        return false;
    field->offset = (uint32_t)strtoul(offset + 7, NULL, 10);
    field->size = (uint32_t)strtoul(size + 5, NULL, 10);
    return true;
}

static void read_format(struct dw_trace_reader *reader, int kind)
{
    char path[320], line[512];
    (void)snprintf(path, sizeof path, "%s/events/%s/format", reader->path, sources[kind].path);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    struct format *format = &reader->formats[kind];
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "ID:", 3) == 0)
            format->id = (uint32_t)strtoul(line + 3, NULL, 10);
        for (int i = 0; i < 6; i++)
            (void)take_field(line, sources[kind].fields[i], &format->fields[i]);
        (void)take_field(line, sources[kind].comm, &reader->comms[kind]);
    }
    fclose(file);
    char enable[256];
    (void)snprintf(enable, sizeof enable, "events/%s/enable", sources[kind].path);
    if (format->id == 0 || format->id >= IDS_MAX || write_to(reader, enable, "1") < 0)
        return;
    reader->kind_of[format->id] = (uint8_t)(kind + 1);
}

static bool read_page_layout(struct dw_trace_reader *reader)
{
    char path[320], line[256];
    struct field commit = {0}, data = {0};
    (void)snprintf(path, sizeof path, "%s/events/header_page", reader->path);
    FILE *file = fopen(path, "re");
    if (!file) { /* older kernels have it only at the top */
        (void)snprintf(path, sizeof path, "%s/../../events/header_page", reader->path);
        file = fopen(path, "re");
    }
    while (file && fgets(line, sizeof line, file)) {
        (void)take_field(line, "commit", &commit);
        (void)take_field(line, "data", &data);
    }
    if (file)
        fclose(file);
    reader->data_at = data.offset;
    reader->commit_size = commit.size;
    return data.size > 0 && commit.offset == 8 && (commit.size == 8 || commit.size == 4);
}

static bool open_cpus(struct dw_trace_reader *reader)
{
    long count = sysconf(_SC_NPROCESSORS_CONF);
    for (uint32_t cpu = 0; cpu < CPUS_MAX && (long)cpu < count; cpu++) {
        char path[320];
        (void)snprintf(path, sizeof path, "%s/per_cpu/cpu%u/trace_pipe_raw", reader->path, cpu);
        reader->cpus[cpu] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        reader->cpu_count = cpu + 1;
    }
    return reader->cpu_count > 0 && reader->cpus[0] >= 0;
}

/* Instances of processes that were killed: nobody else would remove them. */
static void sweep(const char *place)
{
    char path[320];
    (void)snprintf(path, sizeof path, "%s/instances", place);
    DIR *directory = opendir(path);
    if (!directory)
        return;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int process = 0;
        char process_path[32];
        if (sscanf(entry->d_name, "dwal-bench-%d", &process) != 1 || process <= 0)
            continue;
        (void)snprintf(process_path, sizeof process_path, "/proc/%d", process);
        if (access(process_path, F_OK) != 0)
            (void)unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    }
    closedir(directory);
}

static const char *set_up(struct dw_trace_reader *reader)
{
    static const char *const places[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
    for (size_t i = 0; i < 2 && !reader->path[0]; i++) {
        sweep(places[i]);
        (void)snprintf(reader->path, sizeof reader->path, "%s/instances/dwal-bench-%d", places[i], (int)getpid());
        if (mkdir(reader->path, 0700) != 0)
            reader->path[0] = 0;
    }
    if (!reader->path[0])
        return errno == EACCES || errno == EPERM ? "tracefs needs root"
                                                 : "tracefs is not mounted at /sys/kernel/tracing";
    char size[16];
    (void)snprintf(size, sizeof size, "%d", BUFFER_KB);
    if (write_to(reader, "trace_clock", "mono") < 0 || write_to(reader, "buffer_size_kb", size) < 0)
        return "this kernel's tracing cannot be set up";
    if (!read_page_layout(reader) || !open_cpus(reader))
        return "the layout of this kernel's trace is not known";
    for (int kind = 0; kind < DW_TRACE_KINDS; kind++)
        read_format(reader, kind);
    if (reader->formats[DW_TRACE_ISSUE].id == 0 && reader->formats[DW_TRACE_SWITCH].id == 0)
        return "this kernel has neither block nor scheduler events";
    return NULL;
}

struct dw_trace_reader *dw_trace_reader_open(const char **why)
{
    struct dw_trace_reader *reader = calloc(1, sizeof *reader);
    *why = "no memory";
    if (!reader)
        return NULL;
    for (int i = 0; i < CPUS_MAX; i++)
        reader->cpus[i] = -1;
    *why = set_up(reader);
    if (!*why)
        return reader;
    dw_trace_reader_close(reader);
    return NULL;
}

void dw_trace_reader_close(struct dw_trace_reader *reader)
{
    if (!reader)
        return;
    for (int i = 0; i < CPUS_MAX; i++)
        if (reader->cpus[i] >= 0)
            close(reader->cpus[i]);
    /* Events and all go with it. Busy while somebody else looks into it: try for a while. */
    for (int tries = 0; reader->path[0] && rmdir(reader->path) != 0 && errno == EBUSY && tries < 100; tries++) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL);
    }
    free(reader);
}

/* ---- pages -----------------------------------------------------------------------------------------------------------------*/

static uint64_t get(const uint8_t *data, size_t size, const struct field *field)
{
    uint64_t value = 0;
    if (field->size > 0 && field->size <= 8 && (size_t)field->offset + field->size <= size)
        memcpy(&value, data + field->offset, field->size); /* little-endian, as this whole program */
    return value;
}

static void get_text(const uint8_t *data, size_t size, const struct field *field, char *text, size_t room)
{
    size_t n = field->size < room ? field->size : room;
    if (n > 0 && field->offset + n <= size)
        memcpy(text, data + field->offset, n);
    text[room - 1] = 0;
}

static void take_event(struct dw_trace_reader *reader, uint8_t cpu, uint64_t time_ns, const uint8_t *data, size_t size,
                       void (*take)(const struct dw_trace_event *event))
{
    uint16_t id;
    if (size < sizeof id)
        return;
    memcpy(&id, data, sizeof id);
    if (id >= IDS_MAX || reader->kind_of[id] == 0)
        return;
    uint8_t kind = (uint8_t)(reader->kind_of[id] - 1);
    const struct format *format = &reader->formats[kind];
    struct dw_trace_event event = {.time_ns = time_ns, .kind = kind, .cpu = cpu};
    event.device = (uint32_t)get(data, size, &format->fields[F_DEVICE]);
    event.sector = get(data, size, &format->fields[F_SECTOR]);
    event.bytes = (uint32_t)get(data, size, &format->fields[F_BYTES]);
    event.thread = (int32_t)get(data, size, &format->fields[F_THREAD]);
    event.other = (int32_t)get(data, size, &format->fields[F_OTHER]);
    get_text(data, size, &format->fields[F_FLAGS], event.flags, sizeof event.flags);
    get_text(data, size, &reader->comms[kind], event.comm, sizeof event.comm);
    if (kind ==
        DW_TRACE_SWITCH) { /* its `sector` is the state in which the thread left: 0, or preempted, wants to go on */
        event.was_running = (event.sector & 0xff) == 0;
        event.sector = 0;
    }
    take(&event);
}

/* The events of one page: each a word of type and time since the one before, then its data. */
static void take_page(struct dw_trace_reader *reader, uint8_t cpu, size_t page_size,
                      void (*take)(const struct dw_trace_event *event))
{
    enum { PADDING = 29, EXTEND = 30, STAMP = 31 };
    uint64_t time_ns, commit = 0;
    memcpy(&time_ns, reader->page, sizeof time_ns);
    memcpy(&commit, reader->page + 8, reader->commit_size);
    reader->lost += (commit >> 31) & 1; /* the kernel dropped some before this page */
    size_t end = reader->data_at + (size_t)(commit & 0x3fffffff), at = reader->data_at;
    end = end < page_size ? end : page_size;
    while (at + 4 <= end) {
        uint32_t head, word = 0;
        memcpy(&head, reader->page + at, sizeof head);
        uint32_t type = head & 31, delta = head >> 5;
        if (at + 8 <= end)
            memcpy(&word, reader->page + at + 4, sizeof word);
        if (type == EXTEND || type == STAMP) {
            uint64_t wide = ((uint64_t)word << 27) + delta;
            time_ns = type == EXTEND ? time_ns + wide : wide;
            at += 8;
            continue;
        }
        if (type == PADDING && delta == 0)
            return;
        size_t data = at + (type == 0 || type == PADDING ? 8 : 4);
        size_t size = type == 0 || type == PADDING ? (word >= 4 ? word - 4 : 0) : (size_t)type * 4;
        if (data + size > end)
            return;
        time_ns += delta;
        if (type != PADDING)
            take_event(reader, cpu, time_ns, reader->page + data, size, take);
        at = data + size;
        at = (at + 3) & ~(size_t)3;
    }
}

void dw_trace_reader_read(struct dw_trace_reader *reader, void (*take)(const struct dw_trace_event *event))
{
    for (uint32_t cpu = 0; cpu < reader->cpu_count; cpu++) {
        ssize_t n;
        while (reader->cpus[cpu] >= 0 && (n = read(reader->cpus[cpu], reader->page, 4096)) > (ssize_t)reader->data_at)
            take_page(reader, (uint8_t)cpu, (size_t)n, take);
    }
}

uint64_t dw_trace_reader_lost(const struct dw_trace_reader *reader)
{
    return reader->lost;
}
