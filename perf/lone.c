/* lone.c - one caller's commits and bare durable writes in turns, in one process, each on a device of its own: what the log itself
 * costs where the device costs next to nothing (zram).
 *
 * Two kinds of bare writes: 4096 random bytes, and SIZE random bytes with zeros behind them, as a log pads its block; a device that
 * compresses makes a difference between them. Both sides overwrite blocks of zeros, once each, from buffers of the same size as the
 * log's ring. Both devices lose what they hold. Prints one JSON line with p50 and p99 of the three in microseconds.
 * Failure: a message and status 1. usage: lone_load LOG_DEVICE BARE_DEVICE [SIZE [TURNS]] */
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <dwal/dwal.h>

#include "perf/measure.h"
#include "perf/recycle.h"

#define BLOCK       4096u
#define TURN        128u /* operations of each kind, one kind after the other */
#define BUFFER_SIZE (8u << 20)
#define VOLUME_SIZE (128u << 20)
#define TURNS_MAX   (VOLUME_SIZE / BLOCK / TURN / 2)

__attribute__((noreturn)) static void stop(const char *what, const char *why)
{
    fprintf(stderr, "lone_load: %s: %s\n", what, why);
    exit(1);
}

struct bare {
    int file;
    unsigned char *buffer; /* BUFFER_SIZE bytes in blocks */
    uint64_t next;         /* block on the device */
};

static unsigned char *make_buffer(void)
{
    void *buffer;
    if (posix_memalign(&buffer, BLOCK, BUFFER_SIZE) != 0)
        stop("buffer", "no memory");
    memset(buffer, 0, BUFFER_SIZE);
    return buffer;
}

/* Zeros on the device first, as in a blank of the log; then `size` random bytes in each block of the buffer. */
static void bare_open(struct bare *bare, int file, uint64_t first, size_t size)
{
    *bare = (struct bare){.file = file, .buffer = make_buffer(), .next = first};
    for (uint64_t at = 0; at < (uint64_t)TURNS_MAX * TURN * BLOCK; at += BUFFER_SIZE)
        if (pwrite(file, bare->buffer, BUFFER_SIZE, (off_t)(first * BLOCK + at)) != BUFFER_SIZE)
            stop("bare device", "cannot fill it: it needs 256 MiB");
    for (size_t at = 0; at < BUFFER_SIZE; at += BLOCK)
        perf_fill_random(bare->buffer + at, size, at + 1);
}

static void bare_turn(struct bare *bare, struct perf_histogram *histogram)
{
    for (uint32_t i = 0; i < TURN; i++, bare->next++) {
        struct iovec part = {bare->buffer + bare->next % (BUFFER_SIZE / BLOCK) * BLOCK, BLOCK};
        uint64_t start = perf_now_ns();
        if (pwritev2(bare->file, &part, 1, (off_t)(bare->next * BLOCK), RWF_DSYNC) != BLOCK)
            stop("bare device", "a write failed");
        perf_histogram_add(histogram, perf_now_ns() - start);
    }
}

static dwal *log_open(const char *device)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = VOLUME_SIZE;
    options.blanks = 1;
    options.backend = "sync";
    dwal *log;
    if (dwal_create(device, &options) != 0 || dwal_open(device, &options, &log) != 0)
        stop(device, dwal_last_error()->text);
    perf_wait_for_maker(log);
    return log;
}

static void log_turn(dwal *log, void *bytes, size_t size, struct perf_histogram *histogram)
{
    struct iovec part = {bytes, size};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    for (uint32_t i = 0; i < TURN; i++) {
        uint64_t start = perf_now_ns();
        if (dwal_commit(log, &entry, NULL, NULL) != 0)
            stop("commit", dwal_last_error()->text);
        perf_histogram_add(histogram, perf_now_ns() - start);
    }
}

/* Three digits behind the point: a write to memory takes 2 us. */
static void print(const char *name, const struct perf_histogram *histogram)
{
    printf(",\"%s\":{\"p50_us\":%.3f,\"p99_us\":%.3f}", name, perf_histogram_us(histogram, 50),
           perf_histogram_us(histogram, 99));
}

int main(int argument_count, char **arguments)
{
    size_t size = argument_count > 3 ? strtoul(arguments[3], NULL, 10) : 128;
    unsigned long turns = argument_count > 4 ? strtoul(arguments[4], NULL, 10) : 60;
    if (argument_count < 3 || size == 0 || size > 4000 || turns == 0 || turns > TURNS_MAX) {
        fprintf(stderr,
                "usage: lone_load LOG_DEVICE BARE_DEVICE [SIZE [TURNS]]\nSIZE: at most 4000; TURNS: at most %u\n",
                TURNS_MAX);
        return 2;
    }
    dwal *log = log_open(arguments[1]);
    int file = open(arguments[2], O_RDWR | O_DIRECT | O_EXCL | O_CLOEXEC);
    if (file < 0)
        stop(arguments[2], "cannot open it for direct I/O, alone");
    static struct bare full, padded;
    bare_open(&full, file, 0, BLOCK);
    bare_open(&padded, file, (uint64_t)TURNS_MAX * TURN, size);
    unsigned char *bytes = make_buffer();
    perf_fill_random(bytes, size, 1);
    static struct perf_histogram of_log, of_full, of_padded;
    for (unsigned long turn = 0; turn < turns; turn++) {
        log_turn(log, bytes, size, &of_log);
        bare_turn(&full, &of_full);
        bare_turn(&padded, &of_padded);
    }
    printf("{\"what\":\"lone\",\"size\":%zu", size);
    print("commit", &of_log);
    print("bare", &of_full);
    print("bare_padded", &of_padded);
    printf("}\n");
    free(full.buffer);
    free(padded.buffer);
    free(bytes);
    close(file);
    return dwal_close(log) == 0 ? 0 : 1;
}
