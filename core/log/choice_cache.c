/* choice_cache.c - remember what was measured; see choice_cache.h.
 *
 * The file is text that a person can read, one item a line, the last line a checksum of all before it. */
#include "core/log/choice_cache.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "core/format/codec.h"
#include "core/log/choose.h"
#include "io/note.h"

#define FIRST_LINE  "dwal: durable writes as they were measured, format 1\n"
#define KEPT_MAX    8u
#define NUMBERS_ROW 6u

/* ---- key ---- */

void dw_measured_key(const struct dw_probe *probe, const struct dw_probe_system *system, bool is_device,
                     char key[DW_MEASURED_KEY_SIZE])
{
    const struct dw_probe_device *device = &probe->device;
    const struct dw_probe_mount *mount = &probe->mount;
    const char *name = device->identity[0] ? device->identity : device->name;
    snprintf(key, DW_MEASURED_KEY_SIZE,
             "dwal %s, kernel %s, cpus %u, %s, disk %.127s%s%.127s size %" PRIu64
             ", cache %d/%d, fua %d, scheduler %s, barriers off %d, copy on write %d/%d",
             dwal_version(), system->release, system->cpu_count, is_device ? "device" : mount->type,
             name[0] ? name : mount->source, device->identity[0] ? " " : "", device->identity[0] ? device->name : "",
             device->size, (int)device->has_volatile_cache, (int)device->claims_volatile_cache, (int)device->has_fua,
             device->scheduler, (int)mount->is_barrier_off, (int)mount->is_copy_on_write, (int)probe->is_no_cow);
    for (char *at = key; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
}

/* ---- text ---- */

size_t dw_measured_encode(const struct dw_measured *measured, char text[DW_MEASURED_TEXT_SIZE])
{
    int used = snprintf(text, DW_MEASURED_TEXT_SIZE, FIRST_LINE "key %s\ntime %" PRIu64 "\nstale %d\n", measured->key,
                        measured->time_ns, measured->is_stale ? 1 : 0);
    size_t size = (size_t)used;
    for (uint32_t i = 0; i < measured->row_count; i++) {
        const struct dwal_timing *row = &measured->rows[i];
        used = snprintf(text + size, DW_MEASURED_TEXT_SIZE - size,
                        "row %s %s %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                        row->backend, row->way == DWAL_WAY_FLUSH ? "flush" : "dsync", row->size, row->count,
                        row->p50_ns, row->p90_ns, row->p99_ns, row->max_ns);
        size += (size_t)used;
    }
    used = snprintf(text + size, DW_MEASURED_TEXT_SIZE - size, "crc %08" PRIx32 "\n", dw_crc32c(0, text, size));
    return size + (size_t)used;
}

struct line {
    const char *at;
};

static bool take(struct line *line, const char *words)
{
    size_t size = strlen(words);
    if (strncmp(line->at, words, size) != 0)
        return false;
    line->at += size;
    return true;
}

static bool take_number(struct line *line, char end, uint64_t *number)
{
    *number = 0;
    const char *from = line->at;
    for (; *line->at >= '0' && *line->at <= '9'; line->at++) {
        if (*number > (UINT64_MAX - 9) / 10)
            return false;
        *number = *number * 10 + (uint64_t)(*line->at - '0');
    }
    return line->at > from && *line->at++ == end;
}

/* Text up to `end`, which must come before the line's end. */
static bool take_text(struct line *line, char end, char *text, size_t room)
{
    size_t size = strcspn(line->at, end == '\n' ? "\n" : " \n");
    if (line->at[size] != end || size == 0 || size >= room)
        return false;
    memcpy(text, line->at, size);
    text[size] = '\0';
    line->at += size + 1;
    return true;
}

static bool take_row(struct line *line, struct dwal_timing *row)
{
    *row = (struct dwal_timing){.system_error = 0};
    if (!take_text(line, ' ', row->backend, sizeof row->backend))
        return false;
    bool is_flush = take(line, "flush ");
    if (!is_flush && !take(line, "dsync "))
        return false;
    row->way = is_flush ? DWAL_WAY_FLUSH : DWAL_WAY_DSYNC;
    uint64_t numbers[NUMBERS_ROW];
    for (size_t i = 0; i < NUMBERS_ROW; i++)
        if (!take_number(line, i + 1 < NUMBERS_ROW ? ' ' : '\n', &numbers[i]))
            return false;
    if (numbers[0] > UINT32_MAX || numbers[1] > UINT32_MAX)
        return false;
    row->size = (uint32_t)numbers[0];
    row->count = (uint32_t)numbers[1];
    row->p50_ns = numbers[2];
    row->p90_ns = numbers[3];
    row->p99_ns = numbers[4];
    row->max_ns = numbers[5];
    return true;
}

bool dw_measured_decode(const char *text, struct dw_measured *measured)
{
    memset(measured, 0, sizeof *measured);
    const char *last = strstr(text, "\ncrc ");
    if (!last)
        return false;
    char expected[16];
    snprintf(expected, sizeof expected, "crc %08" PRIx32 "\n", dw_crc32c(0, text, (size_t)(last + 1 - text)));
    if (strcmp(last + 1, expected) != 0)
        return false;
    struct line line = {.at = text};
    uint64_t stale = 0;
    if (!take(&line, FIRST_LINE) || !take(&line, "key ") ||
        !take_text(&line, '\n', measured->key, sizeof measured->key) || !take(&line, "time ") ||
        !take_number(&line, '\n', &measured->time_ns) || !take(&line, "stale ") || !take_number(&line, '\n', &stale) ||
        stale > 1)
        return false;
    measured->is_stale = stale == 1;
    while (take(&line, "row ")) {
        if (measured->row_count == DWAL_CHOICE_TIMINGS_MAX || !take_row(&line, &measured->rows[measured->row_count++]))
            return false;
    }
    return line.at == last + 1;
}

/* ---- where ---- */

/* The directory for files; false: none. The environment is not asked in a program that runs with another's rights. */
static bool find_directory(char *path, size_t room)
{
    const char *named = secure_getenv("DWAL_CACHE_DIR");
    const char *base = secure_getenv("XDG_CACHE_HOME");
    const char *home = secure_getenv("HOME");
    int length = 0;
    if (named)
        length = snprintf(path, room, "%s", named);
    else if (geteuid() == 0)
        length = snprintf(path, room, "/var/cache/dwal");
    else if (base && base[0] == '/')
        length = snprintf(path, room, "%s/dwal", base);
    else if (home && home[0] == '/')
        length = snprintf(path, room, "%s/.cache/dwal", home);
    return length > 0 && (size_t)length < room;
}

/* One of 256 names: devices that come and go (loop devices over temporary files) must not fill the directory. Two places that
 * share a name take turns; each file says whose it is. */
static void name_file(const char *key, char name[40])
{
    snprintf(name, 40, "backend-%02" PRIx32, dw_crc32c(0, key, strlen(key)) & 0xffu);
}

/* ---- the table of this process; choice.c holds its lock ---- */

static struct dw_measured kept[KEPT_MAX];
static uint32_t kept_next;

static struct dw_measured *find_kept(const char *key)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (kept[i].key[0] && strcmp(kept[i].key, key) == 0)
            return &kept[i];
    return NULL;
}

static void keep_in_table(const struct dw_measured *measured)
{
    struct dw_measured *place = find_kept(measured->key);
    if (!place)
        place = &kept[kept_next++ % KEPT_MAX];
    *place = *measured;
}

bool dw_measured_find(const char *key, struct dw_measured *measured)
{
    const struct dw_measured *known = find_kept(key);
    if (known) {
        *measured = *known;
        return true;
    }
    char directory[PATH_MAX], name[40], text[DW_MEASURED_TEXT_SIZE];
    name_file(key, name);
    if (!find_directory(directory, sizeof directory) || dw_note_read(directory, name, text, sizeof text) < 0)
        return false;
    if (!dw_measured_decode(text, measured) || strcmp(measured->key, key) != 0)
        return false;
    keep_in_table(measured);
    return true;
}

/* On a slow device or a busy machine there may be too few trials to decide anything: this process goes on with that, the next
 * one tries again. */
static bool is_worth_keeping(const struct dw_measured *measured)
{
    for (uint32_t i = 0; i < measured->row_count; i++)
        if (measured->rows[i].count >= DW_CHOOSE_COUNT_MIN)
            return true;
    return false;
}

void dw_measured_keep(const struct dw_measured *measured)
{
    keep_in_table(measured);
    char directory[PATH_MAX], name[40], text[DW_MEASURED_TEXT_SIZE];
    name_file(measured->key, name);
    size_t size = dw_measured_encode(measured, text);
    if (is_worth_keeping(measured) && find_directory(directory, sizeof directory))
        (void)!dw_note_write(directory, name, text, size);
}

void dw_measured_forget(void)
{
    memset(kept, 0, sizeof kept);
}
