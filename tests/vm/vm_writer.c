/* vm_writer.c - the program whose writes are recorded in a guest: four lanes append to a log, and each acknowledgement goes into
 * the record of the writes as a mark.
 *
 *     vm_writer PATH BACKEND SECTOR TURN ROUNDS close|leave|kill DM NAME
 *
 * One run is one turn: open (turn 0 creates), ROUNDS groups of entries in each lane (tests/proof/kill.h: contents follow from
 * lane and number), a trim in the middle of every turn but the first; then close, or end without it, or SIGKILL in the second
 * half. Every entry that is written whole is told by a mark: when it is acknowledged, or, where a kill came before that, by the
 * next turn, which marks all that it found. So the marks tell the whole log. DM: name of the log-writes device; NAME: whose marks
 * these are, where several logs are on one device.
 * Failure: a message and status 1. */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <dwal/dwal.h>

#include "base/compiler.h"
#include "tests/proof/kill.h"
#include "tests/vm/marks.h"

struct lane {
    pthread_t thread;
    uint32_t number;
    uint64_t next;   /* sequence number */
    uint64_t rounds; /* groups still to write */
    uint64_t end;
};
struct lane_entry { /* an entry and what it points to */
    struct kill_label label;
    struct iovec metadata, data;
    unsigned char bytes[KILL_DATA_MAX + 8];
};

enum { ATTEMPTS = 40 }; /* each waits 250 ms */

static dwal *the_log;
static const char *device_name, *log_name;
static int control;

static const unsigned group_size[KILL_LANES] = {1, KILL_SYNC_COUNT, 1, KILL_BATCH_COUNT};

static void need(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "vm_writer: %s: %s\n", what, dwal_last_error()->text);
    _exit(1);
}

/* dmsetup message NAME 0 mark TEXT, without a process for each. */
DW_PRINTF(1, 2) static void mark(const char *format, ...)
{
    union {
        struct dm_ioctl head;
        char bytes[sizeof(struct dm_ioctl) + sizeof(struct dm_target_msg) + VM_MARK_SIZE];
    } message = {.head = {.version = {DM_VERSION_MAJOR, 0, 0}}};
    message.head.data_size = sizeof message;
    message.head.data_start = sizeof message.head; /* there: struct dm_target_msg with sector 0, then the text */
    snprintf(message.head.name, sizeof message.head.name, "%s", device_name);
    char *text = message.bytes + sizeof message.head + sizeof(struct dm_target_msg);
    int length = snprintf(text, VM_MARK_SIZE, "mark %s/", log_name);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + length, VM_MARK_SIZE - (size_t)length, format, arguments);
    va_end(arguments);
    if (ioctl(control, DM_TARGET_MSG, &message) != 0) {
        fprintf(stderr, "vm_writer: cannot say '%s': %s\n", text, strerror(errno));
        _exit(1);
    }
}

/* ---- the lanes -----------------------------------------------------------------------------------------------------*/

static struct dwal_entry make_entry(struct lane_entry *entry, uint32_t lane, uint64_t sequence)
{
    entry->label = kill_label_of(lane, sequence);
    kill_data_of(&entry->label, entry->bytes);
    entry->metadata = (struct iovec){&entry->label, sizeof entry->label};
    entry->data = (struct iovec){entry->bytes, entry->label.data_size};
    return (struct dwal_entry){
        .metadata = &entry->metadata, .metadata_count = 1, .data = &entry->data, .data_count = 1};
}

static void write_group(struct lane *lane, struct lane_entry *entries)
{
    struct dwal_entry given[KILL_SYNC_COUNT];
    uint64_t lsns[KILL_SYNC_COUNT];
    unsigned count = group_size[lane->number];
    for (unsigned i = 0; i < count; i++)
        given[i] = make_entry(&entries[i], lane->number, lane->next + i);
    if (lane->number == KILL_SYNC) {
        for (unsigned i = 0; i < count; i++)
            need(dwal_append(the_log, &given[i], &lsns[i], &lane->end), "append");
        need(dwal_sync(the_log, lane->end), "sync");
    } else if (lane->number == KILL_BATCH) {
        need(dwal_append_batch(the_log, given, count, lsns, &lane->end), "append a batch");
        need(dwal_sync(the_log, lane->end), "sync");
    } else {
        need(dwal_commit(the_log, &given[0], &lsns[0], &lane->end), "commit");
    }
    for (unsigned i = 0; i < count; i++)
        mark(VM_MARK_ACK, lane->number, (unsigned long long)lane->next++, (unsigned long long)lsns[i]);
}

static void *run_lane(void *argument)
{
    struct lane *lane = argument;
    struct lane_entry *entries = malloc(KILL_SYNC_COUNT * sizeof *entries);
    if (!entries)
        _exit(1);
    for (; lane->rounds > 0; lane->rounds--)
        write_group(lane, entries);
    free(entries);
    return NULL;
}

static void start_lanes(struct lane lanes[KILL_LANES], uint64_t rounds)
{
    for (uint32_t i = 0; i < KILL_LANES; i++) {
        lanes[i].rounds = rounds;
        if (pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]) != 0)
            _exit(1);
    }
}

static void join_lanes(struct lane lanes[KILL_LANES])
{
    for (uint32_t i = 0; i < KILL_LANES; i++)
        pthread_join(lanes[i].thread, NULL);
}

static void trim_before(uint64_t lsn)
{
    mark(VM_MARK_TRIMMING, (unsigned long long)lsn);
    need(dwal_trim(the_log, lsn), "trim");
    mark(VM_MARK_TRIMMED, (unsigned long long)lsn);
}

/* ---- one turn ------------------------------------------------------------------------------------------------------*/

static void print_event(void *context, enum dwal_event_level level, const char *text)
{
    (void)context;
    if (level <= DWAL_EVENT_WARNING)
        fprintf(stderr, "vm_writer: event: %s\n", text);
}

static void open_log(const char *path, const char *backend, const char *sector, bool is_first)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = VM_VOLUME_SIZE;
    options.sector_size = (uint32_t)strtoul(sector, NULL, 10);
    options.blanks = VM_BLANKS;
    options.ring_size = VM_RING_SIZE;
    options.write_size_max = VM_WRITE_SIZE_MAX;
    options.backend = backend;
    options.event = print_event;
    int result = DWAL_EBUSY; /* EEXIST as well: the writer of another log may just be formatting the device */
    for (int attempt = 0; is_first && (result == DWAL_EBUSY || result == DWAL_EEXIST) && attempt < ATTEMPTS; attempt++)
        result = dwal_create(path, &options);
    if (is_first) {
        need(result, "create");
        mark(VM_MARK_CREATED);
    }
    result = DWAL_EBUSY;
    for (int attempt = 0; result == DWAL_EBUSY && attempt < ATTEMPTS; attempt++)
        result =
            dwal_open(path, &options, &the_log); /* the kernel may still finish what the turn before had in flight */
    need(result, "open");
}

/* What recovery has shown once is there for good. */
static void mark_all_found(void)
{
    dwal_cursor *cursor = NULL;
    struct dwal_record record;
    struct kill_label label;
    need(dwal_cursor_open(the_log, 0, &cursor), "read");
    int result;
    while ((result = dwal_cursor_next(cursor, &record)) == 0) {
        if (record.metadata_size != sizeof label) {
            fprintf(stderr, "vm_writer: what is the entry at %llu?\n", (unsigned long long)record.lsn);
            _exit(1);
        }
        memcpy(&label, record.metadata, sizeof label);
        mark(VM_MARK_ACK, label.lane, (unsigned long long)label.sequence, (unsigned long long)record.lsn);
    }
    need(result == DWAL_EEND ? 0 : result, "read");
    dwal_cursor_close(cursor);
}

static void end_turn(struct lane lanes[KILL_LANES], const char *how)
{
    if (strcmp(how, "kill") == 0) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        nanosleep(&(struct timespec){.tv_nsec = 5000000 + now.tv_nsec % 60000000}, NULL);
        kill(getpid(), SIGKILL);
    }
    join_lanes(lanes);
    if (strcmp(how, "close") == 0)
        need(dwal_close(the_log), "close");
    _exit(0); /* "leave": the log stays open, as in a crash of the program */
}

int main(int argument_count, char **arguments)
{
    if (argument_count != 9) {
        fprintf(stderr, "usage: vm_writer PATH BACKEND SECTOR TURN ROUNDS close|leave|kill DM NAME\n");
        return 1;
    }
    uint64_t turn = strtoull(arguments[4], NULL, 10);
    uint64_t rounds = strtoull(arguments[5], NULL, 10);
    device_name = arguments[7];
    log_name = arguments[8];
    control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    open_log(arguments[1], arguments[2], arguments[3], turn == 0);
    if (turn > 0)
        mark_all_found();
    struct lane lanes[KILL_LANES];
    for (uint32_t i = 0; i < KILL_LANES; i++)
        lanes[i] = (struct lane){.number = i, .next = turn * rounds * group_size[i]};
    uint64_t start = dwal_durable(the_log);
    start_lanes(lanes, rounds / 2);
    join_lanes(lanes);
    start_lanes(lanes, rounds - rounds / 2);
    if (turn > 0)
        trim_before(start);
    end_turn(lanes, arguments[6]);
}
