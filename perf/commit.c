/* commit.c - blocking commits of dwal: the driver behind perf/commit and perf/compare. See load.h for the loop.
 *
 * Makes a log in DIRECTORY/log with default options, so the directory must be empty of one; removes nothing: the script
 * does. VARIANT is the backend: "sync", "uring", or "" for what open chooses. usage: see load_main. */
#include <string.h>

#include <dwal/dwal.h>

#include "perf/load.h"

static dwal *the_log;

static void check(int result, const char *what)
{
    if (result != 0)
        load_stop(what, dwal_last_error()->text);
}

static void load_open(const struct load *load)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/log", load->directory);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    if (*load->variant)
        options.backend = load->variant;
    check(dwal_create(path, &options), "create");
    check(dwal_open(path, &options, &the_log), "open");
    perf_sleep_ns(UINT64_C(500000000)); /* let the blanks be made: what is measured is commits beside a quiet maker */
}

static void load_commit(const void *bytes, size_t size)
{
    struct iovec part;
    memcpy(&part.iov_base, &bytes, sizeof bytes); /* an iovec has no const; append only reads */
    part.iov_len = size;
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    check(dwal_commit(the_log, &entry, NULL, NULL), "commit");
}

static void load_close(void)
{
    check(dwal_close(the_log), "close");
}

int main(int argument_count, char **arguments)
{
    return load_main(argument_count, arguments, "dwal");
}
