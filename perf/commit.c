/* commit.c - blocking commits of dwal: the driver behind perf/commit and perf/compare. See load.h for the loop.
 *
 * Makes a log in DIRECTORY/log with default options, so the directory must be empty of one; removes nothing: the script
 * does. "+tickless" behind the backend: without the timer beside durable writes. VARIANT is the backend: "sync", "uring", or "" for what open chooses; with "+recycle" behind it the log is made with
 * 16 blanks, all there before the first commit, and trimmed behind itself: the steady state of an engine that takes checkpoints, where
 * volumes come back and nothing has to be filled. usage: see load_main. */
#include <string.h>

#include <dwal/dwal.h>

#include "perf/load.h"
#include "perf/recycle.h"

static dwal *the_log;
static bool is_recycling;

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
    static char backend[32];
    snprintf(backend, sizeof backend, "%s", load->variant);
    is_recycling = recycle_is_asked(backend);
    char *without_tick = strstr(backend, "+tickless"); /* variant: behind the backend, before +recycle */
    if (without_tick) {
        options.lets_tick_stop = true;
        *without_tick = '\0';
    }
    if (*backend)
        options.backend = backend;
    if (is_recycling)
        options.blanks = RECYCLE_BLANKS;
    check(dwal_create(path, &options), "create");
    check(dwal_open(path, &options, &the_log), "open");
    perf_wait_for_maker(the_log); /* what is measured is commits beside a quiet maker */
    if (is_recycling)
        recycle_start(the_log);
}

static void load_commit(const void *bytes, size_t size)
{
    struct iovec part;
    memcpy(&part.iov_base, &bytes, sizeof bytes); /* an iovec has no const; append only reads */
    part.iov_len = size;
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    check(dwal_commit(the_log, &entry, NULL, NULL), "commit");
}

/* With PERF_STAGES set: where the time went, on standard error. */
static void tell_stages(void)
{
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    check(dwal_get_stats(the_log, &stats), "stats");
    fprintf(stderr,
            "commits %llu, writes %llu, blocks %llu, padded %llu, lone %llu, reserve waits %llu, gaps %llu, wakes "
            "%llu, space waits "
            "%llu, blanks made %llu\n",
            (unsigned long long)stats.commits, (unsigned long long)stats.writes, (unsigned long long)stats.blocks,
            (unsigned long long)stats.padded_blocks, (unsigned long long)stats.lone_commits,
            (unsigned long long)stats.reserve_waits, (unsigned long long)stats.publish_gaps,
            (unsigned long long)stats.wakes, (unsigned long long)stats.space_waits,
            (unsigned long long)stats.blanks_made);
    for (int stage = 0; stage < DWAL_STAGE_COUNT; stage++) {
        const struct dwal_histogram *h = &stats.stages[stage];
        fprintf(stderr, "%-14s %9llu times, p50 %8.1f us, p99 %8.1f us, p99.9 %8.1f us, max %8.1f us\n",
                dwal_stage_name((enum dwal_stage)stage), (unsigned long long)h->count,
                (double)dwal_histogram_percentile(h, 50) / 1e3, (double)dwal_histogram_percentile(h, 99) / 1e3,
                (double)dwal_histogram_percentile(h, 99.9) / 1e3, (double)h->max / 1e3);
    }
}

static void load_close(void)
{
    if (getenv("PERF_STAGES"))
        tell_stages();
    if (is_recycling)
        recycle_stop();
    check(dwal_close(the_log), "close");
}

int main(int argument_count, char **arguments)
{
    return load_main(argument_count, arguments, "dwal");
}
