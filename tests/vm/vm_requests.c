/* vm_requests.c - in a guest: what one commit sends to an NVMe device, counted where the driver builds the commands.
 *
 *     vm_requests NAME PATH BACKEND DISK FLUSHES
 *
 * Makes a log at PATH, waits until the maker has nothing to do, and traces COMMITS commits of one thread in a trace instance of
 * its own: nvme_setup_cmd tells write, FUA bit and flush, also of passthrough commands that the block layer does not see;
 * block_rq_issue tells data from metadata of a file system; jbd2 and xfs tell of journal commits. DISK: nvme0n1.
 * BACKEND: "-" for the one that the path chooses. FLUSHES: 0, or 1 for a case in which a flush goes with each write (the
 * control: the instrument is not blind).
 * Prints one row of a table; status 1 and a reason when it is not as it must be. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <dwal/dwal.h>

#include "base/compiler.h"

enum { COMMITS = 200 };
#define TRACE "/sys/kernel/tracing/instances/requests"

struct counts {
    unsigned fua_writes, plain_writes, flushes, others; /* commands of NVMe */
    unsigned data_requests, metadata_requests;          /* of the block layer */
    unsigned journal_commits;
};

DW_PRINTF(1, 2) __attribute__((noreturn)) static void stop(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "vm_requests: ");
    vfprintf(stderr, format, arguments); /* NOLINT(clang-diagnostic-format-nonliteral) */
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

static void need(int result)
{
    if (result != 0)
        stop("%s", dwal_last_error()->text);
}

/* ---- the trace -----------------------------------------------------------------------------------------------------*/

static bool set(const char *name, const char *value)
{
    char path[256];
    snprintf(path, sizeof path, TRACE "/%s", name);
    FILE *file = fopen(path, "we");
    if (!file)
        return false;
    bool is_good = fputs(value, file) >= 0;
    return fclose(file) == 0 && is_good;
}

static void trace_start(void)
{
    if (mkdir(TRACE, 0700) != 0 && errno != EEXIST)
        stop("no trace instance: %s", strerror(errno));
    if (!set("buffer_size_kb", "8192") || !set("events/nvme/nvme_setup_cmd/enable", "1") ||
        !set("events/block/block_rq_issue/enable", "1"))
        stop("no trace events");
    set("events/jbd2/jbd2_run_stats/enable", "1"); /* where they are not, there is no such file system */
    set("events/xfs/xfs_log_force/enable", "1");
    if (!set("trace", "") || !set("tracing_on", "1"))
        stop("no tracing");
}

/* nvme_setup_cmd: nvme0: disk=nvme0n1, qid=1, cmdid=5, nsid=1, flags=0x0, meta=0x0, cmd=(nvme_cmd_write slba=8, len=7,
 * ctrl=0x4000, ...)    block_rq_issue: 259,0 WFS 4096 () 8 + 8 [task] */
static void count_line(struct counts *counts, const char *line, const char *disk, const char *device)
{
    char name[48];
    if (strstr(line, "jbd2_run_stats: ") || strstr(line, "xfs_log_force: "))
        counts->journal_commits++;
    const char *at = strstr(line, "block_rq_issue: ");
    if (at && strncmp(at + 16, device, strlen(device)) == 0) {
        char kind[16] = "";
        if (sscanf(at, "%*s %*s %15s", kind) == 1 && strchr(kind, 'W'))
            strchr(kind, 'M') ? counts->metadata_requests++ : counts->data_requests++;
    }
    snprintf(name, sizeof name, "disk=%s,", disk);
    if (!strstr(line, "nvme_setup_cmd: ") || !strstr(line, name))
        return;
    unsigned control = 0;
    if (strstr(line, "nvme_cmd_flush"))
        counts->flushes++;
    else if (!strstr(line, "nvme_cmd_write ") || !(at = strstr(line, "ctrl=")) || sscanf(at, "ctrl=%x", &control) != 1)
        counts->others++;
    else
        control & 0x4000 ? counts->fua_writes++ : counts->plain_writes++;
}

static struct counts trace_stop(const char *disk)
{
    char device[32] = "", path[128], line[1024];
    set("tracing_on", "0");
    snprintf(path, sizeof path, "/sys/block/%s/dev", disk);
    FILE *file = fopen(path, "re");
    unsigned major, minor;
    if (!file || fscanf(file, "%u:%u", &major, &minor) != 2)
        stop("no %s", path);
    fclose(file);
    snprintf(device, sizeof device, "%u,%u ", major, minor);
    struct counts counts = {0};
    file = fopen(TRACE "/trace", "re");
    while (file && fgets(line, sizeof line, file))
        count_line(&counts, line, disk, device);
    if (file)
        fclose(file);
    set("events/enable", "0");
    rmdir(TRACE);
    return counts;
}

/* ---- the commits ---------------------------------------------------------------------------------------------------*/

static dwal *open_quiet_log(const char *path, const char *backend)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 4 << 20;
    options.blanks = 1;
    options.ring_size = 1 << 20;
    options.backend = backend;
    options.marker_delay_ms = UINT32_MAX;
    dwal *log = NULL;
    need(dwal_create(path, &options));
    need(dwal_open(path, &options, &log));
    static struct dwal_stats stats;
    for (int i = 0; i < 500; i++) { /* until the maker has nothing to do */
        stats.size = sizeof stats;
        need(dwal_get_stats(log, &stats));
        if (stats.volumes_claimed >= 1 && stats.blanks_made >= 1 && i > 10)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    sync(); /* what it did is in the journal */
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    return log;
}

static struct counts trace_commits(const char *path, const char *backend, const char *disk)
{
    char bytes[512] = "requests";
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    dwal *log = open_quiet_log(path, backend);
    need(dwal_commit(log, &entry, NULL, NULL));
    trace_start();
    for (int i = 0; i < COMMITS; i++)
        need(dwal_commit(log, &entry, NULL, NULL));
    struct counts counts = trace_stop(disk);
    need(dwal_close(log));
    return counts;
}

/* Once in a tick of the clock a file system may note a time stamp, and its own timer may run: never once a commit. */
static bool is_right(const struct counts *counts, unsigned flushes_wanted)
{
    const unsigned few = COMMITS / 20;
    if (counts->fua_writes < COMMITS || counts->fua_writes > COMMITS + few || counts->plain_writes > few ||
        counts->others > few || counts->journal_commits > few || counts->metadata_requests > few)
        return false;
    return flushes_wanted ? counts->flushes >= COMMITS : counts->flushes <= few;
}

int main(int argument_count, char **arguments)
{
    if (argument_count != 6) {
        fprintf(stderr, "usage: vm_requests NAME PATH BACKEND DISK FLUSHES\n");
        return 1;
    }
    unsigned flushes_wanted = (unsigned)strtoul(arguments[5], NULL, 10);
    const char *backend = strcmp(arguments[3], "-") == 0 ? NULL : arguments[3];
    struct counts counts = trace_commits(arguments[2], backend, arguments[4]);
    bool is_good = is_right(&counts, flushes_wanted);
    printf("%-6s %-9s %7d %10u %11u %6u %12u %9u %15u  %s\n", arguments[1], backend ? backend : "(its own)", COMMITS,
           counts.fua_writes, counts.plain_writes, counts.flushes, counts.data_requests, counts.metadata_requests,
           counts.journal_commits,
           !is_good         ? "WRONG"
           : flushes_wanted ? "as foreseen: a flush for each"
                            : "one FUA write each");
    return !is_good;
}
