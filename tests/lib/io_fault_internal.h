/* io_fault_internal.h - what io_fault.c (rules, names, files) and io_fault_queue.c (requests) share. */
#ifndef DW_TESTS_LIB_IO_FAULT_INTERNAL_H
#define DW_TESTS_LIB_IO_FAULT_INTERNAL_H

#include <pthread.h>

#include "tests/lib/io_fault.h"

enum { DW_FAULT_RULES_MAX = 16, DW_FAULT_KIND_COUNT = 14 };

struct dw_fault_disk {
    struct dw_disk base;
    struct dw_disk *inner;
    bool is_owner;
    dw_fault_watch_fn *watch;
    void *watch_context;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t released;
    struct dw_fault_rule rules[DW_FAULT_RULES_MAX];
    uint32_t rule_count;
    uint64_t counts[DW_FAULT_KIND_COUNT];
    uint64_t fired;
    uint64_t release_count; /* grows with every dw_fault_release */
    uint32_t held;
};

struct dw_fault_file {
    struct dw_file base;
    struct dw_file *inner;
    char name[256];
};

/* What is to happen with one call. */
struct dw_fault_verdict {
    bool is_fault;
    enum dw_fault_action action;
    int error;
    size_t bytes;
    uint32_t reaps;
    uint32_t device_status;
};

/* Count the call, show it to the watcher, find its rule. */
struct dw_fault_verdict dw_fault_meet(struct dw_fault_disk *disk, enum dw_fault_kind kind, const char *name,
                                      uint64_t offset, size_t size);
int dw_fault_queue_create(struct dw_disk *disk, const struct dw_queue_options *options, struct dw_queue **queue);

static inline struct dw_fault_disk *dw_fault_disk_of(struct dw_disk *disk)
{
    return (struct dw_fault_disk *)(void *)disk;
}
static inline struct dw_fault_file *dw_fault_file_of(struct dw_file *file)
{
    return (struct dw_fault_file *)(void *)file;
}

#endif
