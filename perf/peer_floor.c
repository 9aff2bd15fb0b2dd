/* peer_floor.c - what is left when the log is taken away: callers that block, one thread that writes for all of them, and nothing else.
 *
 * A commit is one add to a word, a copy of the bytes, and one sleep; a group is one durable write of whole blocks into a prewritten
 * file and one call for each processor that wakes the callers who sleep there. No records, no checksums, no volumes, no statistics:
 * nothing could be recovered. The processor's tick is kept as dwal keeps it. So this is what the kernel's sleeping and waking of
 * threads and the device allow as far as we know how to ask for it, and what dwal does for its callers is the distance to it.
 * Unfair to dwal: all of that. Unfair to it: nothing known.
 * Happy path: reserve in the open group, copy, sleep. The writer closes the group, waits for its copies, writes, wakes.
 * Failure: a message and status 1. usage: load_main (load.h); at most 64 callers of 64 KiB. */
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define LOAD_IS_BOUNDED false
#include "perf/load.h"
#include "perf/tick.h"

enum { FILE_SIZE = 1 << 30, GROUP_MAX = 16 << 20, BLOCK = 4096, LANES = 8 };
#define GROUP_ONE (UINT64_C(1) << 32)

struct group {
    _Alignas(128) _Atomic uint64_t copied; /* bytes; release, acquire */
    unsigned char *bytes;
};
/* Orders: seq_cst for the words that somebody sleeps on or is woken by, so that a sleeper sees the change or is seen; `copied` releases
 * the bytes to the writer. */
static struct group groups[2];
static _Alignas(128) _Atomic uint64_t open_group = GROUP_ONE; /* number << 32 | bytes reserved in it */
static _Alignas(128) _Atomic uint32_t done;                   /* number of the last group that is durable */
static struct lane {                                          /* who went to sleep on one processor, or one of a few */
    _Alignas(128) _Atomic uint32_t word;                      /* futex: one more for each wake */
    _Atomic uint32_t sleepers;                                /* groups with somebody in them: a bit for number % 32 */
} lanes[LANES];
static _Alignas(128) _Atomic uint32_t kicks; /* futex: the writer sleeps here */
static _Atomic int is_stopping;
static int file;
static pthread_t writer;

static void sleep_on(_Atomic uint32_t *word, uint32_t seen, uint32_t bits)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, seen, NULL, NULL, bits);
}
static void wake(_Atomic uint32_t *word, uint32_t bits)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_BITSET_PRIVATE, INT32_MAX, NULL, NULL, bits);
}

static void load_commit(const void *bytes, size_t size)
{
    uint64_t place = atomic_fetch_add_explicit(&open_group, size, memory_order_seq_cst);
    uint32_t number = (uint32_t)(place >> 32);
    struct group *group = &groups[number % 2];
    memcpy(group->bytes + (uint32_t)place, bytes, size);
    atomic_fetch_add_explicit(&group->copied, size, memory_order_release);
    if ((uint32_t)place == 0) { /* the first of its group */
        atomic_fetch_add_explicit(&kicks, 1, memory_order_seq_cst);
        wake(&kicks, 1);
    }
    for (uint32_t bit = UINT32_C(1) << number % 32;;) {
        struct lane *lane = &lanes[sched_getcpu() % LANES];
        uint32_t seen = atomic_load_explicit(&lane->word, memory_order_seq_cst);
        if ((atomic_load_explicit(&lane->sleepers, memory_order_seq_cst) & bit) == 0)
            atomic_fetch_or_explicit(&lane->sleepers, bit, memory_order_seq_cst);
        if ((int32_t)(atomic_load_explicit(&done, memory_order_seq_cst) - number) >= 0)
            return;
        sleep_on(&lane->word, seen, bit);
    }
}

/* All who sleep for this group; those of our own processor last, since they may run before we go on. */
static void wake_group(uint32_t number)
{
    uint32_t bit = UINT32_C(1) << number % 32;
    int here = sched_getcpu();
    for (int i = 1; i <= LANES; i++) {
        struct lane *lane = &lanes[(here + i) % LANES];
        if ((atomic_load_explicit(&lane->sleepers, memory_order_seq_cst) & bit) == 0)
            continue;
        atomic_fetch_and_explicit(&lane->sleepers, ~bit, memory_order_seq_cst);
        atomic_fetch_add_explicit(&lane->word, 1,
                                  memory_order_seq_cst); /* behind the bit: who saw it there holds an old word */
        wake(&lane->word, bit);
    }
}

/* The next group that somebody is in, closed; *size: its bytes. 0: the end. */
static uint32_t close_group(size_t *size)
{
    for (;;) {
        uint32_t seen = atomic_load_explicit(&kicks, memory_order_seq_cst);
        uint64_t word = atomic_load_explicit(&open_group, memory_order_seq_cst);
        if (atomic_load_explicit(&is_stopping, memory_order_seq_cst))
            return 0;
        if ((uint32_t)word == 0) {
            sleep_on(&kicks, seen, 1);
            continue;
        }
        if (atomic_compare_exchange_strong_explicit(&open_group, &word, ((word >> 32) + 1) << 32, memory_order_seq_cst,
                                                    memory_order_seq_cst)) {
            *size = (uint32_t)word;
            return (uint32_t)(word >> 32);
        }
    }
}

static void *write_all_groups(void *unused)
{
    struct perf_tick tick = perf_tick_make();
    size_t place = 0, size;
    for (uint32_t number; (number = close_group(&size)) != 0;) {
        struct group *group = &groups[number % 2];
        while (atomic_load_explicit(&group->copied, memory_order_acquire) < size)
            sched_yield();
        size_t whole = (size + BLOCK - 1) & ~(size_t)(BLOCK - 1);
        if (place + whole > FILE_SIZE)
            place = 0;
        perf_tick_keep(&tick, perf_now_ns());
        struct iovec part = {group->bytes, whole};
        if (pwritev2(file, &part, 1, (off_t)place, RWF_DSYNC) != (ssize_t)whole)
            load_stop("floor", "a write failed");
        place += whole;
        atomic_store_explicit(&group->copied, 0, memory_order_relaxed);
        atomic_store_explicit(&done, number, memory_order_seq_cst);
        wake_group(number);
    }
    close(tick.timer);
    return unused;
}

static void load_open(const struct load *load)
{
    if ((size_t)load->threads * load->size > GROUP_MAX / 2)
        load_stop("floor", "too many callers with too much");
    char path[4096];
    snprintf(path, sizeof path, "%s/floor", load->directory);
    file = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    if (file < 0)
        load_stop("floor", "cannot make a file for direct I/O");
    for (int i = 0; i < 2; i++) {
        void *bytes;
        if (posix_memalign(&bytes, BLOCK, GROUP_MAX) != 0)
            load_stop("floor", "no memory");
        groups[i].bytes = bytes;
        perf_fill_random(bytes, GROUP_MAX, (uint64_t)i + 1);
    }
    for (off_t at = 0; at < FILE_SIZE; at += GROUP_MAX)
        if (pwrite(file, groups[0].bytes, GROUP_MAX, at) != GROUP_MAX)
            load_stop("floor", "cannot fill the file");
    if (fsync(file) != 0 || pthread_create(&writer, NULL, write_all_groups, NULL) != 0)
        load_stop("floor", "cannot begin");
}

static void load_close(void)
{
    atomic_store_explicit(&is_stopping, 1, memory_order_seq_cst);
    atomic_fetch_add_explicit(&kicks, 1, memory_order_seq_cst);
    wake(&kicks, 1);
    pthread_join(writer, NULL);
    close(file);
    free(groups[0].bytes);
    free(groups[1].bytes);
}

int main(int argument_count, char **arguments)
{
    return load_main(argument_count, arguments, "floor");
}
