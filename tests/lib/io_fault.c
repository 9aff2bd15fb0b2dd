/* io_fault.c - the wrapping disk: rules, counts, and every call that is not a queue's.
 *
 * Each call first meets the rules (dw_fault_meet), then goes to the inner disk, or not. The mutex covers rules and counts
 * only and is never held across a call of the inner disk. */
#include "tests/lib/io_fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "tests/lib/io_fault_internal.h"

/* ---- rules ---- */

static bool is_matching(const struct dw_fault_rule *rule, enum dw_fault_kind kind, const char *name)
{
    if (!(rule->kinds & (unsigned)kind))
        return false;
    return !rule->name_start || strncmp(name, rule->name_start, strlen(rule->name_start)) == 0;
}

/* Let one rule count a call; true when it is this call's turn. `at` 0: the rule has fired and is done. */
static bool is_turn(struct dw_fault_rule *rule)
{
    if (rule->at == 0)
        return false;
    if (rule->at > 1) {
        rule->at--;
        return false;
    }
    if (!rule->is_sticky)
        rule->at = 0;
    return true;
}

struct dw_fault_verdict dw_fault_meet(struct dw_fault_disk *disk, enum dw_fault_kind kind, const char *name,
                                      uint64_t offset, size_t size)
{
    if (disk->watch)
        disk->watch(disk->watch_context, kind, name, offset, size);
    struct dw_fault_verdict verdict = {.is_fault = false};
    pthread_mutex_lock(&disk->mutex);
    disk->counts[__builtin_ctz((unsigned)kind)]++;
    for (uint32_t i = 0; i < disk->rule_count; i++) {
        struct dw_fault_rule *rule = &disk->rules[i];
        if (!is_matching(rule, kind, name) || !is_turn(rule) || verdict.is_fault)
            continue;
        bool is_short_read = kind == DW_FAULT_READ && rule->action == DW_FAULT_HALF_WAY;
        verdict = (struct dw_fault_verdict){
            .is_fault = true,
            .action = rule->action,
            .error = rule->error == 0 && !is_short_read ? -EIO : rule->error,
            .bytes = rule->bytes,
            .reaps = rule->reaps,
            .device_status = rule->device_status,
        };
        disk->fired++;
    }
    pthread_mutex_unlock(&disk->mutex);
    return verdict;
}

void dw_fault_add(struct dw_disk *base, const struct dw_fault_rule *rule)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    dw_assert(rule->at > 0 && rule->kinds != 0 && rule->error <= 0);
    dw_assert(rule->action < DW_FAULT_LATE || rule->kinds == DW_FAULT_QUEUE_WRITE);
    pthread_mutex_lock(&disk->mutex);
    dw_assert(disk->rule_count < DW_FAULT_RULES_MAX);
    disk->rules[disk->rule_count++] = *rule;
    pthread_mutex_unlock(&disk->mutex);
}

void dw_fault_clear(struct dw_disk *base)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    pthread_mutex_lock(&disk->mutex);
    disk->rule_count = 0;
    pthread_mutex_unlock(&disk->mutex);
}

void dw_fault_release(struct dw_disk *base)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    pthread_mutex_lock(&disk->mutex);
    for (uint32_t i = 0; i < disk->rule_count; i++)
        if (disk->rules[i].action == DW_FAULT_HELD)
            disk->rules[i].at = 0;
    disk->release_count++;
    pthread_cond_broadcast(&disk->released);
    pthread_mutex_unlock(&disk->mutex);
}

uint64_t dw_fault_count(struct dw_disk *base, unsigned kinds)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    uint64_t count = 0;
    pthread_mutex_lock(&disk->mutex);
    for (unsigned i = 0; i < DW_FAULT_KIND_COUNT; i++)
        count += (kinds & (1u << i)) ? disk->counts[i] : 0;
    pthread_mutex_unlock(&disk->mutex);
    return count;
}

uint64_t dw_fault_fired(struct dw_disk *base)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    pthread_mutex_lock(&disk->mutex);
    uint64_t fired = disk->fired;
    pthread_mutex_unlock(&disk->mutex);
    return fired;
}

uint32_t dw_fault_held(struct dw_disk *base)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    pthread_mutex_lock(&disk->mutex);
    uint32_t held = disk->held;
    pthread_mutex_unlock(&disk->mutex);
    return held;
}

void dw_fault_watch(struct dw_disk *base, dw_fault_watch_fn *fn, void *context)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    disk->watch = fn;
    disk->watch_context = context;
}

/* ---- calls that move no bytes: before or after is the only choice ---- */

/* The answer of a call that did not happen, or happened with `result`. */
static int answer(const struct dw_fault_verdict *verdict, int result)
{
    return verdict->is_fault && result == 0 ? verdict->error : result;
}

static bool is_skipped(const struct dw_fault_verdict *verdict)
{
    return verdict->is_fault && verdict->action != DW_FAULT_AFTER;
}

static int fault_list(struct dw_disk *base, dw_list_fn *fn, void *context)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    struct dw_fault_verdict verdict = dw_fault_meet(disk, DW_FAULT_LIST, "", 0, 0);
    return answer(&verdict, is_skipped(&verdict) ? 0 : disk->inner->ops->list(disk->inner, fn, context));
}

static int fault_open(struct dw_disk *base, const char *name, unsigned flags, struct dw_file **file_out)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    struct dw_fault_verdict verdict = dw_fault_meet(disk, DW_FAULT_OPEN, name, 0, 0);
    *file_out = NULL;
    if (is_skipped(&verdict))
        return verdict.error;
    struct dw_fault_file *file = calloc(1, sizeof *file);
    if (!file)
        return -ENOMEM;
    int result = disk->inner->ops->open(disk->inner, name, flags, &file->inner);
    if (result == 0 && verdict.is_fault) { /* AFTER: a creation leaves the name behind, as an interrupted one does */
        dw_file_close(file->inner);
        result = verdict.error;
    }
    if (result < 0) {
        free(file);
        return result;
    }
    file->base = *file->inner;
    file->base.disk = base;
    snprintf(file->name, sizeof file->name, "%s", name);
    *file_out = &file->base;
    return 0;
}

static int fault_rename(struct dw_disk *base, const char *from, const char *to)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    struct dw_fault_verdict verdict = dw_fault_meet(disk, DW_FAULT_RENAME, from, 0, 0);
    return answer(&verdict, is_skipped(&verdict) ? 0 : disk->inner->ops->rename(disk->inner, from, to));
}

static int fault_unlink(struct dw_disk *base, const char *name)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    struct dw_fault_verdict verdict = dw_fault_meet(disk, DW_FAULT_UNLINK, name, 0, 0);
    return answer(&verdict, is_skipped(&verdict) ? 0 : disk->inner->ops->unlink(disk->inner, name));
}

static int fault_sync_names(struct dw_disk *base)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    struct dw_fault_verdict verdict = dw_fault_meet(disk, DW_FAULT_SYNC_NAMES, "", 0, 0);
    return answer(&verdict, is_skipped(&verdict) ? 0 : disk->inner->ops->sync_names(disk->inner));
}

static struct dw_fault_verdict meet_file(struct dw_file *base, enum dw_fault_kind kind, uint64_t offset, size_t size)
{
    return dw_fault_meet(dw_fault_disk_of(base->disk), kind, dw_fault_file_of(base)->name, offset, size);
}

static void fault_close_file(struct dw_file *base)
{
    dw_file_close(dw_fault_file_of(base)->inner);
    free(dw_fault_file_of(base));
}

static int fault_size(struct dw_file *base, uint64_t *size)
{
    struct dw_file *inner = dw_fault_file_of(base)->inner;
    struct dw_fault_verdict verdict = meet_file(base, DW_FAULT_SIZE, 0, 0);
    *size = 0;
    return answer(&verdict, is_skipped(&verdict) ? 0 : inner->disk->ops->size(inner, size));
}

static int fault_sync(struct dw_file *base)
{
    struct dw_fault_verdict verdict = meet_file(base, DW_FAULT_SYNC, 0, 0);
    return answer(&verdict, is_skipped(&verdict) ? 0 : dw_file_sync(dw_fault_file_of(base)->inner));
}

static int fault_allocate(struct dw_file *base, uint64_t size)
{
    struct dw_file *inner = dw_fault_file_of(base)->inner;
    struct dw_fault_verdict verdict = meet_file(base, DW_FAULT_ALLOCATE, 0, (size_t)size);
    return answer(&verdict, is_skipped(&verdict) ? 0 : inner->disk->ops->allocate(inner, size));
}

static int fault_lock(struct dw_file *base, enum dw_lock_kind kind, enum dw_lock_mode mode)
{
    struct dw_file *inner = dw_fault_file_of(base)->inner;
    struct dw_fault_verdict verdict = meet_file(base, DW_FAULT_LOCK, 0, 0);
    return answer(&verdict, is_skipped(&verdict) ? 0 : inner->disk->ops->lock(inner, kind, mode));
}

static int fault_lock_test(struct dw_file *base, enum dw_lock_kind kind, bool *is_held)
{
    struct dw_file *inner = dw_fault_file_of(base)->inner;
    struct dw_fault_verdict verdict = meet_file(base, DW_FAULT_LOCK, 0, 0);
    *is_held = false;
    return answer(&verdict, is_skipped(&verdict) ? 0 : inner->disk->ops->lock_test(inner, kind, is_held));
}

/* ---- calls that move bytes ---- */

/* How many of `size` bytes are to move. */
static size_t moved_size(const struct dw_file *file, const struct dw_fault_verdict *verdict, size_t size)
{
    if (!verdict->is_fault || verdict->action == DW_FAULT_AFTER)
        return size;
    if (verdict->action != DW_FAULT_HALF_WAY)
        return 0;
    return dw_min_size(size, (size_t)dw_align_down(verdict->bytes, file->alignment));
}

static int fault_read(struct dw_file *base, void *bytes, size_t size, uint64_t offset, size_t *done)
{
    struct dw_fault_verdict verdict = meet_file(base, DW_FAULT_READ, offset, size);
    size_t moved = moved_size(base, &verdict, size);
    *done = 0;
    int result = moved == 0 ? 0 : dw_file_read(dw_fault_file_of(base)->inner, bytes, moved, offset, done);
    return answer(&verdict, result);
}

static int fault_write(struct dw_file *base, const void *bytes, size_t size, uint64_t offset)
{
    struct dw_fault_verdict verdict = meet_file(base, DW_FAULT_WRITE, offset, size);
    size_t moved = moved_size(base, &verdict, size);
    return answer(&verdict, moved == 0 ? 0 : dw_file_write(dw_fault_file_of(base)->inner, bytes, moved, offset));
}

static int fault_write_durable(struct dw_file *base, const void *bytes, size_t size, uint64_t offset)
{
    struct dw_fault_verdict verdict = meet_file(base, DW_FAULT_WRITE_DURABLE, offset, size);
    size_t moved = moved_size(base, &verdict, size);
    return answer(&verdict,
                  moved == 0 ? 0 : dw_file_write_durable(dw_fault_file_of(base)->inner, bytes, moved, offset));
}

/* ---- open and close ---- */

static void fault_close(struct dw_disk *base)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    if (disk->is_owner)
        disk->inner->ops->close(disk->inner);
    pthread_cond_destroy(&disk->released);
    pthread_mutex_destroy(&disk->mutex);
    free(disk);
}

static const struct dw_disk_ops fault_ops = {
    .name = "fault",
    .close = fault_close,
    .list = fault_list,
    .open = fault_open,
    .rename = fault_rename,
    .unlink = fault_unlink,
    .sync_names = fault_sync_names,
    .close_file = fault_close_file,
    .size = fault_size,
    .read = fault_read,
    .write = fault_write,
    .write_durable = fault_write_durable,
    .sync = fault_sync,
    .allocate = fault_allocate,
    .lock = fault_lock,
    .lock_test = fault_lock_test,
    .queue_create = dw_fault_queue_create,
};

int dw_fault_open(struct dw_disk *inner, bool is_owner, struct dw_disk **disk_out)
{
    struct dw_fault_disk *disk = calloc(1, sizeof *disk);
    *disk_out = NULL;
    if (!disk)
        return -ENOMEM;
    disk->base = *inner;
    disk->base.ops = &fault_ops;
    disk->inner = inner;
    disk->is_owner = is_owner;
    pthread_mutex_init(&disk->mutex, NULL);
    pthread_cond_init(&disk->released, NULL);
    *disk_out = &disk->base;
    return 0;
}
