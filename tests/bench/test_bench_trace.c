/* test_bench_trace.c - from the kernel's events to a culprit: made-up events, and the real trace where there is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/shell.h"
#include "tools/bench/trace_event.h"

enum { DISK = 254 << 20, CALLER = 100, HELPER = 200, OTHER = 300 };
#define MS UINT64_C(1000000)

static struct dw_trace_event events[64];
static size_t event_count;

static struct dw_trace_event *add(uint64_t at_ms, enum dw_trace_kind kind, int32_t thread)
{
    struct dw_trace_event *event = &events[event_count++];
    *event = (struct dw_trace_event){.time_ns = 1000 * MS + at_ms * MS, .kind = (uint8_t)kind, .thread = thread};
    return event;
}
static void add_request(uint64_t from_ms, uint64_t to_ms, uint64_t sector, const char *flags, uint32_t bytes)
{
    struct dw_trace_event *event = add(from_ms, DW_TRACE_ISSUE, CALLER);
    event->device = DISK;
    event->sector = sector;
    event->bytes = bytes;
    snprintf(event->flags, sizeof event->flags, "%s", flags);
    event = add(to_ms, DW_TRACE_COMPLETE, 0);
    event->device = DISK;
    event->sector = sector;
    snprintf(event->flags, sizeof event->flags, "%s", flags);
}
static void add_switch(uint64_t at_ms, int32_t from, bool was_running, int32_t to, const char *comm)
{
    struct dw_trace_event *event = add(at_ms, DW_TRACE_SWITCH, from);
    event->other = to;
    event->was_running = was_running;
    event->cpu = 1;
    snprintf(event->comm, sizeof event->comm, "%s", comm);
}
static void add_waking(uint64_t at_ms, int32_t thread, const char *comm)
{
    snprintf(add(at_ms, DW_TRACE_WAKING, thread)->comm, 16, "%s", comm);
}

static int compare(const void *a, const void *b)
{
    const struct dw_trace_event *x = a, *y = b;
    return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

/* An operation of 10 ms, from 10 to 20. */
static void expect(enum dw_bench_culprit culprit, const char *text)
{
    struct dw_trace_verdict verdict;
    qsort(events, event_count, sizeof events[0], compare);
    dw_trace_judge(events, event_count, DISK, CALLER, 1010 * MS, 1020 * MS, &verdict);
    if (verdict.culprit != culprit || !strstr(verdict.text, text))
        fail_msg("%s: \"%s\", wanted %s: \"%s\"", dw_bench_culprit_name(verdict.culprit), verdict.text,
                 dw_bench_culprit_name(culprit), text);
    event_count = 0;
}

static void a_slow_request_is_the_devices(void **state)
{
    (void)state;
    add_request(10, 19, 4096, "WS", 8192);
    add_request(11, 12, 77, "R", 4096);
    expect(DW_BENCH_CULPRIT_DEVICE, "the device took 9.00 ms for a request (WS, 8192 bytes)");
}

static void a_request_that_is_not_back_counts_to_the_end(void **state)
{
    (void)state;
    add_request(12, 500, 4096, "WS", 8192);
    expect(DW_BENCH_CULPRIT_DEVICE, "8.00 ms");
}

static void a_slow_flush_is_told_as_one(void **state)
{
    (void)state;
    add_request(10, 11, 4096, "WS", 4096);
    add_request(11, 19, 0, "FF", 0);
    expect(DW_BENCH_CULPRIT_FLUSH, "flushed its cache for 8.00 ms");
}

static void another_disk_is_not_blamed(void **state)
{
    (void)state;
    add_request(10, 19, 4096, "WS", 8192);
    events[0].device = events[1].device = 7 << 20;
    expect(DW_BENCH_CULPRIT_UNKNOWN, "nothing traced explains it");
}

static void a_caller_that_gets_no_cpu_is_found_with_who_had_it(void **state)
{
    (void)state;
    add_request(10, 12, 4096, "WS", 4096);
    add_switch(10, CALLER, false, OTHER, "hog");
    add_waking(12, CALLER, "dwal");
    add_switch(20, OTHER, true, CALLER, "dwal");
    expect(DW_BENCH_CULPRIT_CPU, "the caller waited 8.00 ms for CPU 1 behind hog");
}

static void a_preempted_caller_is_found(void **state)
{
    (void)state;
    add_switch(13, CALLER, true, OTHER, "hog");
    add_switch(19, OTHER, true, CALLER, "dwal");
    expect(DW_BENCH_CULPRIT_CPU, "6.00 ms for CPU 1 behind hog");
}

static void a_helper_that_gets_no_cpu_is_found_behind_a_finished_request(void **state)
{
    (void)state;
    add_request(10, 11, 4096, "WS", 4096);
    add_waking(11, HELPER, "kworker/1:2");
    add_switch(9, 1, true, OTHER, "hog");
    add_switch(19, OTHER, true, HELPER, "kworker/1:2");
    expect(DW_BENCH_CULPRIT_WORKER, "kworker/1:2 waited 8.00 ms for CPU 1 behind hog");
}

static void a_stranger_that_waits_is_not_blamed(void **state)
{
    (void)state;
    add_waking(10, OTHER, "firefox");
    expect(DW_BENCH_CULPRIT_UNKNOWN, "");
}

static void a_journal_commit_is_named_when_nothing_else_explains_it(void **state)
{
    (void)state;
    add(8, DW_TRACE_JOURNAL, 1);
    add(17, DW_TRACE_JOURNALED, 1);
    add(12, DW_TRACE_PUNT, CALLER);
    expect(DW_BENCH_CULPRIT_JOURNAL, "the journal committed for 7.00 ms; 1 io_uring operation went to a worker");
}

static void what_takes_less_than_two_fifths_explains_nothing(void **state)
{
    (void)state;
    add_request(10, 13, 4096, "WS", 8192);
    expect(DW_BENCH_CULPRIT_UNKNOWN, "nothing traced explains it");
}

/* ---- the kernel's own -----------------------------------------------------------------------------------------------------*/

static uint64_t switches, requests, first_ns, last_ns;

static void count(const struct dw_trace_event *event)
{
    switches += event->kind == DW_TRACE_SWITCH && event->comm[0] != 0 && event->other >= 0;
    requests += event->kind == DW_TRACE_ISSUE;
    first_ns = first_ns && first_ns < event->time_ns ? first_ns : event->time_ns;
    last_ns = last_ns > event->time_ns ? last_ns : event->time_ns;
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 * MS + (uint64_t)time.tv_nsec;
}

static void the_kernels_trace_is_read_and_its_instance_removed(void **state)
{
    (void)state;
    const char *why;
    uint64_t before_ns = now_ns();
    /* Left behind by a process that was killed; there is none of this number. */
    (void)dw_shell("mkdir /sys/kernel/tracing/instances/dwal-bench-4194305");
    struct dw_trace_reader *reader = dw_trace_reader_open(&why);
    if (!reader) {
        print_message("skipped: %s\n", why);
        skip();
    }
    for (int i = 0; i < 50; i++) {
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL); /* each is two switches at least */
        dw_trace_reader_read(reader, count);
    }
    dw_trace_reader_close(reader);
    assert_int_not_equal(dw_shell("ls -d /sys/kernel/tracing/instances/dwal-bench-4194305")->status, 0);
    assert_true(switches >= 50);
    assert_true(first_ns >= before_ns && last_ns <= now_ns()); /* the same clock as ours */
    assert_true(last_ns - first_ns > 50 * MS);
    assert_int_not_equal(dw_shell("ls -d /sys/kernel/*/instances/dwal-bench-%d", (int)getpid())->status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_request_is_the_devices),
        cmocka_unit_test(a_request_that_is_not_back_counts_to_the_end),
        cmocka_unit_test(a_slow_flush_is_told_as_one),
        cmocka_unit_test(another_disk_is_not_blamed),
        cmocka_unit_test(a_caller_that_gets_no_cpu_is_found_with_who_had_it),
        cmocka_unit_test(a_preempted_caller_is_found),
        cmocka_unit_test(a_helper_that_gets_no_cpu_is_found_behind_a_finished_request),
        cmocka_unit_test(a_stranger_that_waits_is_not_blamed),
        cmocka_unit_test(a_journal_commit_is_named_when_nothing_else_explains_it),
        cmocka_unit_test(what_takes_less_than_two_fifths_explains_nothing),
        cmocka_unit_test(the_kernels_trace_is_read_and_its_instance_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
