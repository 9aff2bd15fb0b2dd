/* vm_crash.c - on the host: makes crash images from the record of a guest's writes, and judges the log in each of them.
 *
 *     vm_crash DIRECTORY DEVICE ext4|xfs|raw MOUNT SECTOR BACKEND IMAGES SEED NAME...
 *
 * DIRECTORY holds the record (write_log.h), `base` and `device`: the guest's device before and after, and `image`, as large as
 * they are, which DEVICE, a loop device, stands on: for each image in turn. With a file system the image is mounted at MOUNT,
 * its journal recovers, and the log is MOUNT/log; raw: the log is on DEVICE itself, or several are, each with a NAME. Leaves
 * one torn image there as `torn`, and the marks before it as `torn-marks`, for a guest that begins with it. One line at the
 * end; status 1 when anything was lost, invented or refused, 3 when the record cannot be used. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/vm/crash_image.h"
#include "tests/vm/judge.h"

enum { LYING_IMAGES = 40, LOGS_MAX = 4 };

struct start { /* what each pass over the record begins with */
    const struct write_log *log;
    const unsigned char *base;
    const char *backend;
    char **names;
    unsigned name_count;
    size_t size;
    uint64_t seed;
    uint32_t sector;
};
struct bench {
    struct judge judges[LOGS_MAX]; /* one for each log on the device */
    unsigned count, images;
};
struct verdict { /* the sums */
    uint64_t empty, torn, acknowledged, unacknowledged, lost, invented, refused;
};
struct place {
    const char *device, *kind, *mount;
    unsigned char *image; /* the file behind the device, mapped */
    size_t size;
};

__attribute__((noreturn)) static void stop(const char *what, const char *path)
{
    fprintf(stderr, "vm_crash: %s %s: %s\n", what, path, strerror(errno));
    exit(3);
}

static unsigned char *map_file(const char *directory, const char *name, int protection, size_t *size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, (protection & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    struct stat facts;
    if (file < 0 || fstat(file, &facts) != 0)
        stop("cannot open", path);
    *size = (size_t)facts.st_size;
    void *bytes = mmap(NULL, *size, protection, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        stop("cannot map", path);
    close(file);
    return bytes;
}

/* The device is the same for all images: what the kernel remembers of the one before must go. */
static void forget(const struct place *place)
{
    int device = open(place->device, O_RDWR | O_CLOEXEC);
    if (device < 0 || ioctl(device, BLKFLSBUF, 0) != 0)
        stop("cannot flush", place->device);
    close(device);
}

static void judge_logs(struct bench *bench, const struct place *place, size_t cut)
{
    char path[512];
    for (unsigned i = 0; i < bench->count; i++) { /* recovery of one changes what the next meets: take turns */
        struct judge *judge = &bench->judges[(i + bench->images) % bench->count];
        if (strcmp(place->kind, "raw") != 0)
            snprintf(path, sizeof path, "%s/log", place->mount);
        else if (bench->count == 1)
            snprintf(path, sizeof path, "%s", place->device);
        else
            snprintf(path, sizeof path, "%s#%s", place->device, judge->name);
        judge_path(judge, path, cut);
    }
}

static void judge_image(struct bench *bench, const struct place *place, size_t cut)
{
    forget(place);
    bool is_raw = strcmp(place->kind, "raw") == 0;
    if (!is_raw && mount(place->device, place->mount, place->kind, 0, NULL) != 0) {
        judge_refused(&bench->judges[0], "the file system cannot be mounted");
        return;
    }
    judge_logs(bench, place, cut);
    bench->images++;
    if (!is_raw && umount(place->mount) != 0)
        stop("cannot unmount", place->mount);
}

static void make_and_judge(struct crash_builder *builder, struct bench *bench, const struct place *place,
                           enum crash_kind kind)
{
    static const char *const names[CRASH_KINDS] = {"all", "none", "some"};
    char name[96];
    snprintf(name, sizeof name, "%s, image %u: cut at entry %zu, %s of %zu in flight", place->kind, bench->images,
             builder->cut, names[kind], crash_builder_undecided(builder));
    for (unsigned i = 0; i < bench->count; i++)
        bench->judges[i].image = name;
    forget(place); /* nothing may be written back over the new image */
    crash_builder_make(builder, kind, place->image);
    judge_image(bench, place, builder->cut);
}

static void bench_begin(struct bench *bench, const struct start *start)
{
    *bench = (struct bench){.count = start->name_count};
    for (unsigned i = 0; i < bench->count; i++)
        judge_init(&bench->judges[i], start->log, start->backend, start->names[i]);
}

static struct verdict bench_end(struct bench *bench)
{
    struct verdict sum = {0};
    for (unsigned i = 0; i < bench->count; i++) {
        struct judge *judge = &bench->judges[i];
        sum.empty += judge->empty;
        sum.torn += judge->torn;
        sum.acknowledged += judge->acknowledged;
        sum.unacknowledged += judge->unacknowledged;
        sum.lost += judge->lost;
        sum.invented += judge->invented;
        sum.refused += judge->refused;
        judge_free(judge);
    }
    return sum;
}

/* Images at this cut when `wanted` are spread evenly: one at each cut (or every n-th), more where writes were in flight. */
struct spread {
    size_t wanted;
    size_t cuts, busy_cuts; /* busy: something is undecided there */
    size_t undecided_max;
    size_t busiest_cut, busiest_undecided; /* in the second half */
    size_t cuts_seen, busy_seen, given;
};

static size_t spread_here(struct spread *spread, bool is_busy)
{
    if (spread->cuts == 0)
        return 0;
    size_t plain = spread->wanted < spread->cuts ? spread->wanted : spread->cuts;
    size_t extra = spread->busy_cuts ? spread->wanted - plain : 0;
    spread->cuts_seen++;
    spread->busy_seen += is_busy;
    size_t due = plain * spread->cuts_seen / spread->cuts;
    if (spread->busy_cuts)
        due += extra * spread->busy_seen / spread->busy_cuts;
    size_t here = due - spread->given;
    spread->given = due;
    return here;
}

static void print_verdict(const char *kind, unsigned images, const struct verdict *sum, const struct spread *spread)
{
    printf("%s: %u crash images (%zu cuts, %zu with up to %zu writes in flight; %llu before the log was there, "
           "%llu torn): %llu acknowledged entries demanded, %llu more found; %llu lost, %llu invented, %llu refused\n",
           kind, images, spread->cuts, spread->busy_cuts, spread->undecided_max, (unsigned long long)sum->empty,
           (unsigned long long)sum->torn, (unsigned long long)sum->acknowledged,
           (unsigned long long)sum->unacknowledged, (unsigned long long)sum->lost, (unsigned long long)sum->invented,
           (unsigned long long)sum->refused);
}

static struct crash_builder begin(const struct start *start, const struct place *place)
{
    struct crash_builder builder;
    crash_builder_init(&builder, start->log, start->base, start->size, start->sector, start->seed);
    /* The superblock of ext4 is 1024 bytes with one checksum, written in place: torn, it cannot be mounted. */
    builder.whole_below = strcmp(place->kind, "ext4") == 0 ? 4096 : 0;
    return builder;
}

static bool judge_all(const struct start *start, const struct place *place, struct spread *spread)
{
    static const enum crash_kind kinds[] = {CRASH_KEEPS_SOME, CRASH_KEEPS_ALL, CRASH_KEEPS_NONE};
    struct crash_builder builder = begin(start, place);
    struct bench bench;
    bench_begin(&bench, start);
    for (size_t cut = 1; cut <= start->log->count; cut++) {
        if (!crash_cut_is_useful(start->log, cut))
            continue;
        crash_builder_advance(&builder, cut);
        size_t here = spread_here(spread, crash_builder_undecided(&builder) > 0);
        for (size_t i = 0; i < here; i++)
            make_and_judge(&builder, &bench, place, i < 3 ? kinds[i] : CRASH_KEEPS_SOME);
    }
    crash_builder_free(&builder);
    struct verdict sum = bench_end(&bench);
    print_verdict(place->kind, bench.images, &sum, spread);
    return sum.lost + sum.invented + sum.refused == 0;
}

/* The last cut before the flush at or behind `from`; *flush: the end of the flush before it, after which something was
 * acknowledged. False: there is none. */
static bool find_stake(const struct write_log *log, size_t from, size_t *flush, size_t *cut)
{
    bool is_acknowledged = false;
    *flush = 0;
    for (size_t i = 0; i < log->count; i++) {
        const struct write_entry *entry = &log->entries[i];
        is_acknowledged = is_acknowledged || strstr(entry->mark, "/ack:");
        if (!(entry->flags & WRITE_FLUSH))
            continue;
        *cut = i;
        if (i >= from && is_acknowledged)
            return true;
        *flush = i + 1;
        is_acknowledged = false;
    }
    return false;
}

/* The judge must be able to find a loss: on a device that ignores the FUA bit, and then keeps only what a flush made durable.
 * Returns in how many of `*images` it found something; *images becomes how many were tried. */
static unsigned try_lying_device(const struct start *start, const struct place *place, unsigned *images)
{
    const struct write_log *log = start->log;
    struct crash_builder builder = begin(start, place);
    unsigned found = 0, tried = 0;
    size_t flush = 0, cut = 0;
    for (unsigned i = 0; i < *images; i++) {
        size_t before = cut;
        if (!find_stake(log, log->count * i / *images, &flush, &cut) || cut == before)
            continue;
        struct bench bench;
        bench_begin(&bench, start);
        for (unsigned k = 0; k < bench.count; k++)
            bench.judges[k].is_quiet = true;
        forget(place);
        crash_builder_advance(&builder, flush);
        crash_builder_make(&builder, CRASH_KEEPS_NONE, place->image);
        judge_image(&bench, place, cut);
        struct verdict sum = bench_end(&bench);
        found += sum.lost + sum.invented + sum.refused > 0;
        tried++;
    }
    crash_builder_free(&builder);
    *images = tried;
    return found;
}

/* Counts the cuts. The record replayed to its end must be what the guest's device held: else the record or its reading is
 * wrong. */
static void count_and_check(const struct start *start, struct spread *spread, const char *directory)
{
    struct crash_builder builder;
    crash_builder_init(&builder, start->log, start->base, start->size, start->sector, start->seed);
    for (size_t cut = 1; cut <= start->log->count; cut++) {
        if (!crash_cut_is_useful(start->log, cut))
            continue;
        crash_builder_advance(&builder, cut);
        spread->cuts++;
        size_t undecided = crash_builder_undecided(&builder);
        spread->busy_cuts += undecided > 0;
        if (undecided > spread->undecided_max)
            spread->undecided_max = undecided;
        if (cut > start->log->count / 2 && undecided >= spread->busiest_undecided) {
            spread->busiest_undecided = undecided;
            spread->busiest_cut = cut;
        }
    }
    size_t size;
    unsigned char *final = map_file(directory, "device", PROT_READ, &size);
    if (size != builder.size || memcmp(final, builder.image, size) != 0) {
        fprintf(stderr, "vm_crash: the record, replayed, is not what the device held\n");
        exit(3);
    }
    munmap(final, size);
    crash_builder_free(&builder);
}

/* One image with much in flight, for a guest that begins with it. */
static void leave_torn(const struct start *start, const struct place *place, const struct spread *spread,
                       const char *directory)
{
    char path[512];
    struct crash_builder builder = begin(start, place);
    crash_builder_advance(&builder, spread->busiest_cut);
    snprintf(path, sizeof path, "%s/torn", directory);
    FILE *file = fopen(path, "we");
    if (!file || ftruncate(fileno(file), (off_t)start->size) != 0)
        stop("cannot write", path);
    fclose(file);
    size_t size;
    crash_builder_make(&builder, CRASH_KEEPS_SOME, map_file(directory, "torn", PROT_READ | PROT_WRITE, &size));
    snprintf(path, sizeof path, "%s/torn-marks", directory);
    file = fopen(path, "we");
    for (size_t i = 0; file && i < spread->busiest_cut; i++)
        if (start->log->entries[i].flags & WRITE_MARK)
            fprintf(file, "%s\n", start->log->entries[i].mark);
    if (!file || fclose(file) != 0)
        stop("cannot write", path);
    crash_builder_free(&builder);
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 10 || argument_count > 9 + LOGS_MAX) {
        fprintf(stderr, "usage: vm_crash DIRECTORY DEVICE ext4|xfs|raw MOUNT SECTOR BACKEND IMAGES SEED NAME...\n");
        return 3;
    }
    const char *directory = arguments[1];
    struct write_log log;
    write_log_load(&log, directory);
    if (!log.is_finished) {
        fprintf(stderr, "vm_crash: the record breaks off\n");
        return 3;
    }
    struct place place = {.device = arguments[2], .kind = arguments[3], .mount = arguments[4]};
    struct start start = {.log = &log, .backend = arguments[6], .names = arguments + 9};
    start.name_count = (unsigned)argument_count - 9;
    start.base = map_file(directory, "base", PROT_READ, &start.size);
    place.image = map_file(directory, "image", PROT_READ | PROT_WRITE, &place.size);
    if (start.size != place.size)
        stop("`base` and `image` differ in size in", directory);
    start.sector = (uint32_t)strtoul(arguments[5], NULL, 10);
    start.seed = strtoull(arguments[8], NULL, 10);
    struct spread spread = {.wanted = strtoull(arguments[7], NULL, 10)};
    count_and_check(&start, &spread, directory);
    unsigned lies = LYING_IMAGES;
    unsigned found = try_lying_device(&start, &place, &lies);
    printf("%s: were the device to ignore the FUA bit, the judge would find it in %u of %u images\n", place.kind, found,
           lies);
    bool is_good = judge_all(&start, &place, &spread);
    leave_torn(&start, &place, &spread, directory);
    bool is_blind = found == 0 && !log.known; /* a second record begins with what was durable before */
    write_log_free(&log);
    return is_blind ? 3 : !is_good;
}
