/* machine.h - what the machine is and what it did meanwhile: facts for the report, and a sample of counters ten times a
 * second, so that a slow operation can be told beside what the machine was doing then.
 *
 * Owns: one thread between start and stop, and the ring of samples. Called by: the main thread. Failure: what the kernel
 * does not tell is left out of the report, or told as "unknown". */
#ifndef DW_TOOLS_BENCH_MACHINE_H
#define DW_TOOLS_BENCH_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DW_BENCH_FACTS_MAX 32u

struct dw_bench_fact {
    char name[32], value[200];
};
struct dw_bench_counters {
    uint64_t time_ns;
    uint64_t cpu_all, cpu_busy, cpu_steal, cpu_wait; /* ticks of all CPUs together */
    uint64_t switches, running, blocked;
    uint64_t pressure_cpu_us, pressure_io_us, pressure_memory_us;
    uint64_t disk_reads, disk_writes, disk_write_sectors, disk_flushes, disk_in_flight, disk_busy_ms;
    uint64_t dirty_pages;
};
struct dw_bench_machine {
    struct dw_bench_fact facts[DW_BENCH_FACTS_MAX];
    uint32_t fact_count;
    char disk[64]; /* name of the whole disk below the target, e.g. "vda"; empty: unknown */
    uint32_t disk_major, disk_minor;
    uint64_t tick_ns; /* of the kernel's timer */
    uint32_t cpus;
    bool is_virtual;
    struct dw_bench_counters before, after;
};

/* Fill in the facts; `place`: a path on the file system, or the device itself. */
void dw_bench_machine_look(struct dw_bench_machine *machine, const char *place);
void dw_bench_machine_count(const struct dw_bench_machine *machine, struct dw_bench_counters *counters);
/* Sample in the background from now on; count `before`. */
void dw_bench_machine_start(struct dw_bench_machine *machine);
/* Stop; count `after`. */
void dw_bench_machine_stop(struct dw_bench_machine *machine);
/* CPU time that the sampling took so far; 0 while it does not run. */
uint64_t dw_bench_machine_cpu_ns(void);
/* Take a sample now. */
void dw_bench_machine_sample(struct dw_bench_machine *machine);
/* What the machine did between two moments, in a few words. */
void dw_bench_machine_tell(const struct dw_bench_machine *machine, uint64_t from_ns, uint64_t to_ns, char *text,
                           size_t size);

#endif
