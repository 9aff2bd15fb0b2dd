/* bare_write.c - what one durable 4 KiB write costs here, with nothing around it: the floor under every commit.
 *
 * Happy path: a file of real zeros (16 MiB, synced, so that no later write meets the file system's journal), then one
 * thread overwrites it block by block with pwritev2(RWF_DSYNC) past the page cache and takes the time of each call.
 * Prints one JSON line: count, p50, p99, p99.9 and max in microseconds. Failure: a message and status 1.
 * The file is removed at the end. "tick": with a timer ahead, as dwal writes (perf/tick.h). "tick+pieces": so, and beside another
 * thread that makes a file longer by 64 KiB of zeros and pauses for a millisecond, again and again, which is how blanks are filled: so
 * this is what filling costs where there is no log.
 * usage: bare_write DIRECTORY [SECONDS [WRITE_SIZE [tick|tick+pieces]]] */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "perf/measure.h"
#include "perf/tick.h"

#define FILE_SIZE (16u << 20)
#define MEMORY    (1u << 20) /* one write at most */
#define ALIGNMENT 4096u
#define PIECE     (64u << 10)
#define PAUSE_NS  UINT64_C(1000000)

__attribute__((noreturn)) static void stop(const char *what)
{
    fprintf(stderr, "bare_write: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A new file that has no name any more. */
static int open_nameless(const char *directory)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bare_write-XXXXXX", directory);
    int file = mkostemp(path, O_DIRECT | O_CLOEXEC);
    if (file < 0)
        stop("cannot make a file for direct I/O");
    if (unlink(path) != 0)
        stop("unlink");
    return file;
}

/* The same, with every block written once. */
static int open_prefilled(const char *directory, unsigned char *bytes)
{
    int file = open_nameless(directory);
    for (off_t at = 0; at < (off_t)FILE_SIZE; at += MEMORY)
        if (pwrite(file, bytes, MEMORY, at) != MEMORY)
            stop("cannot fill the file");
    if (fsync(file) != 0)
        stop("fsync");
    return file;
}

/* ---- the thread that fills ---- */

static struct filling {
    int file;
    const unsigned char *zeros;
    _Atomic bool is_over; /* relaxed: nothing else is told by it */
} filling;

static void *fill(void *unused)
{
    off_t end = 0;
    while (!atomic_load_explicit(&filling.is_over, memory_order_relaxed)) {
        if (pwrite(filling.file, filling.zeros, PIECE, end) != PIECE)
            stop("filling");
        end += PIECE;
        perf_sleep_ns(PAUSE_NS);
    }
    return unused;
}

static void measure(int file, unsigned char *bytes, size_t size, double seconds, struct perf_tick *tick,
                    struct perf_histogram *histogram)
{
    uint64_t end = perf_now_ns() + (uint64_t)(seconds * 1e9);
    off_t at = 0;
    for (uint64_t now = perf_now_ns(); now < end;) {
        struct iovec part = {.iov_base = bytes, .iov_len = size};
        memcpy(bytes, &now, sizeof now);
        if (tick)
            perf_tick_keep(tick, now);
        if (pwritev2(file, &part, 1, at, RWF_DSYNC) != (ssize_t)size)
            stop("durable write");
        uint64_t done = perf_now_ns();
        perf_histogram_add(histogram, done - now);
        now = done;
        at = at + (off_t)(2 * size) > (off_t)FILE_SIZE ? 0 : at + (off_t)size;
    }
}

int main(int argument_count, char **arguments)
{
    static struct perf_histogram histogram;
    double seconds = argument_count > 2 ? strtod(arguments[2], NULL) : 2.0;
    size_t size = argument_count > 3 ? strtoul(arguments[3], NULL, 10) : 4096;
    if (argument_count < 2 || seconds <= 0 || size == 0 || size % 512 != 0 || size > MEMORY) {
        fprintf(stderr, "usage: bare_write DIRECTORY [SECONDS [WRITE_SIZE [tick|tick+pieces]]]\n");
        return 2;
    }
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT, MEMORY + PIECE) != 0)
        stop("memory");
    memset(memory, 0, MEMORY + PIECE);
    int file = open_prefilled(arguments[1], memory);
    struct perf_tick tick = perf_tick_make();
    const char *variant = argument_count > 4 ? arguments[4] : "";
    bool fills = strcmp(variant, "tick+pieces") == 0, keeps_tick = fills || strcmp(variant, "tick") == 0;
    pthread_t filler;
    if (fills) {
        filling.file = open_nameless(arguments[1]);
        filling.zeros = (unsigned char *)memory + MEMORY;
        if (pthread_create(&filler, NULL, fill, NULL) != 0)
            stop("a thread");
    }
    measure(file, memory, size, seconds, keeps_tick ? &tick : NULL, &histogram);
    if (fills) {
        atomic_store_explicit(&filling.is_over, true, memory_order_relaxed);
        pthread_join(filler, NULL);
        close(filling.file);
    }
    close(tick.timer);
    printf("{\"what\":\"bare_write\",\"size\":%zu,\"ops\":%llu,", size, (unsigned long long)histogram.count);
    perf_histogram_print(&histogram);
    printf("}\n");
    close(file);
    free(memory);
    return 0;
}
