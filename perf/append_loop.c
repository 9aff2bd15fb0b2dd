/* append_loop.c - N appends into a ring that is never full, for counting instructions: see perf/instructions.
 *
 * Opens a log with a ring that holds everything, appends COUNT entries of SIZE bytes without asking for durability, and
 * ends without closing, so that nothing but appends stands between two runs of different COUNT. What the flusher does
 * meanwhile is in other threads; the script counts this one alone. usage: append_loop DIRECTORY COUNT SIZE */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <dwal/dwal.h>

static void check(int result)
{
    if (result == 0)
        return;
    fprintf(stderr, "append_loop: %s\n", dwal_last_error()->text);
    exit(1);
}

static void append_all(dwal *log, const struct dwal_entry *entry, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++)
        check(dwal_append(log, entry, NULL, NULL));
}

int main(int argument_count, char **arguments)
{
    if (argument_count != 4) {
        fprintf(stderr, "usage: append_loop DIRECTORY COUNT SIZE\n");
        return 2;
    }
    static char bytes[1 << 16];
    size_t size = strtoul(arguments[3], NULL, 10);
    if (size > sizeof bytes)
        return 2;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.ring_size = 64 << 20;
    options.volume_size = 256 << 20;
    options.blanks = 1;
    options.fill = DWAL_FILL_ALLOCATE;
    options.marker_delay_ms = UINT32_MAX;
    options.backend = "sync";
    dwal *log = NULL;
    check(dwal_create(arguments[1], &options));
    check(dwal_open(arguments[1], &options, &log));
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    append_all(log, &entry, strtoul(arguments[2], NULL, 10));
    fflush(stdout);
    _exit(0);
}
