/* kill_writer.h - the process that test_kill.c kills: four threads append, and say through a pipe what is durable.
 *
 * Happy path: open with recovery, start the lanes, never end. Failure: a message on standard error and status 1, which
 * the judge reports. An acknowledgement is sent after the library's answer and never before. */
#ifndef DW_TESTS_PROOF_KILL_WRITER_H
#define DW_TESTS_PROOF_KILL_WRITER_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <dwal/dwal.h>

#include "tests/proof/kill.h"

struct kill_writer {
    dwal *log;
    int pipe;
    uint32_t lane;
    uint64_t sequence; /* of the lane's next entry */
};

static inline void kill_stop_unless(int result)
{
    if (result == 0)
        return;
    fprintf(stderr, "writer: %s\n", dwal_last_error()->text);
    _exit(1);
}

static inline void kill_acknowledge(const struct kill_writer *writer, uint64_t sequence, uint64_t lsn)
{
    struct kill_ack ack = {.sequence = sequence, .lsn = lsn, .lane = writer->lane};
    if (write(writer->pipe, &ack, sizeof ack) != (ssize_t)sizeof ack)
        _exit(1);
}

struct kill_entry { /* an entry and what it points to */
    struct kill_label label;
    struct iovec metadata, data;
    unsigned char bytes[KILL_DATA_MAX + 8];
};
static inline struct dwal_entry kill_entry_make(struct kill_entry *entry, uint32_t lane, uint64_t sequence)
{
    entry->label = kill_label_of(lane, sequence);
    kill_data_of(&entry->label, entry->bytes);
    entry->metadata = (struct iovec){&entry->label, sizeof entry->label};
    entry->data = (struct iovec){entry->bytes, entry->label.data_size};
    return (struct dwal_entry){
        .metadata = &entry->metadata, .metadata_count = 1, .data = &entry->data, .data_count = 1};
}

/* Append `count` entries one after the other, or as one batch, wait until they are durable, then say so. */
static inline void kill_append_group(struct kill_writer *writer, size_t count, int is_batch)
{
    static _Thread_local struct kill_entry entries[KILL_SYNC_COUNT];
    struct dwal_entry public[KILL_SYNC_COUNT];
    uint64_t lsns[KILL_SYNC_COUNT], end = 0;
    for (size_t i = 0; i < count; i++) {
        public[i] = kill_entry_make(&entries[i], writer->lane, writer->sequence + i);
        if (!is_batch)
            kill_stop_unless(dwal_append(writer->log, &public[i], &lsns[i], &end));
    }
    if (is_batch)
        kill_stop_unless(dwal_append_batch(writer->log, public, count, lsns, &end));
    kill_stop_unless(dwal_sync(writer->log, end));
    for (size_t i = 0; i < count; i++)
        kill_acknowledge(writer, writer->sequence + i, lsns[i]);
    writer->sequence += count;
}

static inline void kill_commit_one(struct kill_writer *writer)
{
    static _Thread_local struct kill_entry entry;
    struct dwal_entry public = kill_entry_make(&entry, writer->lane, writer->sequence);
    uint64_t lsn;
    kill_stop_unless(dwal_commit(writer->log, &public, &lsn, NULL));
    kill_acknowledge(writer, writer->sequence++, lsn);
}

__attribute__((noreturn)) static inline void *kill_lane_run(void *argument)
{
    struct kill_writer *writer = argument;
    for (;;) {
        if (writer->lane == KILL_SYNC || writer->lane == KILL_BATCH)
            kill_append_group(writer, writer->lane == KILL_SYNC ? KILL_SYNC_COUNT : KILL_BATCH_COUNT,
                              writer->lane == KILL_BATCH);
        else
            kill_commit_one(writer);
    }
}

/* arguments: PATH BACKEND PIPE, then the next sequence number of each lane. */
__attribute__((noreturn)) static inline void kill_writer_run(char **arguments)
{
    static struct kill_writer writers[KILL_LANES];
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.backend = arguments[1];
    dwal *log = NULL;
    int result;
    for (int turn = 0; (result = dwal_open(arguments[0], &options, &log)) == DWAL_EBUSY && turn < 40; turn++)
        ; /* the writer before this one is dead, and the kernel still finishes what its ring held */
    kill_stop_unless(result);
    for (uint32_t lane = 0; lane < KILL_LANES; lane++) {
        writers[lane].log = log;
        writers[lane].pipe = (int)strtol(arguments[2], NULL, 10);
        writers[lane].lane = lane;
        writers[lane].sequence = strtoull(arguments[3 + lane], NULL, 10);
        pthread_t thread;
        if (lane > 0 && pthread_create(&thread, NULL, kill_lane_run, &writers[lane]) != 0)
            _exit(1);
    }
    kill_lane_run(&writers[0]);
}

#endif
