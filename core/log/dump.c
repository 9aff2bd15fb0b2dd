/* dump.c - dwal_dump: every structure of a log or of one volume file, in the order on disk.
 *
 * Called by: tools, on any thread; opens what it reads for itself, takes no lock, writes nothing.
 * Happy path: names -> superblock copies -> volumes in rising order -> blanks.
 * Failure: damage is listed, never an error; what is not sound says why. Without a sound superblock, geometry, log id and
 *          tag key come from the first volume header that checks (its tag is known to be mix32(number ^ key)).
 * Closing: nothing stays. */
#include "core/log/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/format/text.h"
#include "core/log/inspect.h"
#include "core/log/path.h"
#include "core/store/device_view.h"
#include "core/store/names.h"

void dw_dump_tell(struct dw_dump *dump, enum dwal_item_kind kind, uint64_t offset, uint64_t size, uint64_t lsn,
                  bool is_sound, const char *format, ...)
{
    if (dump->is_stopped)
        return;
    struct dwal_item item = {
        .kind = kind, .offset = offset, .size = size, .volume = dump->number, .lsn = lsn, .is_sound = is_sound};
    snprintf(item.file, sizeof item.file, "%s", dump->file);
    va_list list;
    va_start(list, format);
    vsnprintf(item.text, sizeof item.text, format, list);
    va_end(list);
    if (!dump->fn(dump->context, &item))
        dump->is_stopped = true;
}

/* ---- names ---------------------------------------------------------------------------------------------------------*/

struct entry {
    enum dw_place_kind kind;
    uint32_t number;
    uint64_t size;
    char name[DW_PLACE_NAME_SIZE];
};
struct entries {
    struct entry *rows;
    size_t count, capacity;
};

static int add_entry(void *context, const char *name, uint64_t size)
{
    struct entries *entries = context;
    struct entry entry = {.size = size};
    if (!dw_name_parse(name, &entry.kind, &entry.number) || strlen(name) >= sizeof entry.name)
        return 0;
    if (entries->count == entries->capacity) {
        size_t wanted = entries->capacity ? entries->capacity * 2 : 64;
        struct entry *grown = dw_realloc(entries->rows, wanted * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        entries->rows = grown;
        entries->capacity = wanted;
    }
    snprintf(entry.name, sizeof entry.name, "%s", name);
    entries->rows[entries->count++] = entry;
    return 0;
}

/* Superblock, volumes, blanks, then the rest; each by number. */
static int rank_of(enum dw_place_kind kind)
{
    return kind == DW_PLACE_SUPERBLOCK ? 0 : kind == DW_PLACE_VOLUME ? 1 : kind == DW_PLACE_BLANK ? 2 : 3;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    if (left->kind != right->kind)
        return rank_of(left->kind) - rank_of(right->kind);
    return left->number < right->number ? -1 : left->number > right->number;
}

/* ---- facts: geometry and identity -----------------------------------------------------------------------------------*/

int dw_dump_read(struct dw_file *file, void *target, size_t size, uint64_t offset)
{
    size_t done = 0;
    int result = dw_file_read(file, target, size, offset, &done);
    return result ? result : done == size ? 0 : -ENODATA;
}

const char *dw_dump_read_text(int result)
{
    return result == -ENODATA ? "the file ends before it" : strerror(-result);
}

/* The first `size` bytes of what lies at `offset`, a multiple of the smallest block. */
static int read_start(struct dw_dump *dump, const char *name, uint64_t offset, size_t size, void *target)
{
    struct dw_file *file;
    int result = dump->disk->ops->open(dump->disk, name, DW_OPEN_READ, &file);
    if (result)
        return result;
    uint64_t unit = dw_max_u64(file->alignment, DW_BLOCK_SIZE_MIN);
    uint64_t from = dw_align_down(offset, unit);
    uint8_t *memory = dw_alloc_io((size_t)unit, (size_t)unit);
    result = memory ? dw_dump_read(file, memory, (size_t)unit, from) : -ENOMEM;
    if (result == 0)
        memcpy(target, memory + (offset - from), size);
    dw_free_io(memory);
    dw_file_close(file);
    return result;
}

/* The superblock's copies at one assumed block size; the newest sound one into *best. How many are sound. */
static unsigned find_superblock_at(struct dw_dump *dump, uint32_t block_size, struct dw_superblock_info *best)
{
    unsigned sound = 0;
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++) {
        uint8_t bytes[DW_SUPERBLOCK_SIZE];
        struct dw_superblock_info info;
        if (read_start(dump, DW_NAME_SUPERBLOCK, (uint64_t)copy * block_size, sizeof bytes, bytes) != 0 ||
            dw_superblock_decode(bytes, sizeof bytes, &info) != DW_DECODED_OK || info.geometry.block_size != block_size)
            continue;
        if (sound++ == 0 || info.sequence > best->sequence)
            *best = info;
    }
    return sound;
}

static void learn_from_superblock(struct dw_dump *dump)
{
    struct dw_superblock_info best = {0};
    for (uint32_t size = DW_BLOCK_SIZE_MIN; size <= DW_BLOCK_SIZE_MAX && !dump->has_facts; size *= 2) {
        if (find_superblock_at(dump, size, &best) == 0)
            continue;
        dump->has_facts = true;
        dump->geometry = best.geometry;
        dump->identity = best.identity;
    }
}

/* From either copy of a volume's header: the second lies at byte block_size, which only the header itself tells. */
static void learn_from_volume(struct dw_dump *dump, const char *name)
{
    uint8_t bytes[DW_VOLUME_HEADER_SIZE];
    uint64_t offset = 0;
    for (uint32_t size = DW_BLOCK_SIZE_MIN; size <= DW_BLOCK_SIZE_MAX && !dump->has_facts; offset = size, size *= 2) {
        struct dw_volume_info info;
        struct dw_volume_header header;
        if (read_start(dump, name, offset, sizeof bytes, bytes) != 0 ||
            dw_volume_header_decode(NULL, NULL, bytes, DW_VOLUME_NUMBER_NONE, &info) != DW_DECODED_OK)
            continue;
        memcpy(&header, bytes, sizeof header);
        uint32_t key = dw_unmix32(dw_get32(header.tag)) ^ info.number;
        if (key >> 31 == 0) /* the tag is damaged */
            continue;
        dump->has_facts = true;
        dump->geometry = info.geometry;
        dw_identity_init(&dump->identity, header.log_id, key);
    }
}

static void learn_facts(struct dw_dump *dump, const struct entries *entries)
{
    learn_from_superblock(dump);
    for (size_t i = 0; i < entries->count && !dump->has_facts; i++)
        if (entries->rows[i].kind == DW_PLACE_VOLUME)
            learn_from_volume(dump, entries->rows[i].name);
}

/* ---- superblock, blanks ---------------------------------------------------------------------------------------------*/

static void dump_superblock(struct dw_dump *dump)
{
    uint32_t block_size = dump->has_facts ? dump->geometry.block_size : DW_BLOCK_SIZE_MIN;
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++) {
        uint64_t offset = (uint64_t)copy * block_size;
        uint8_t bytes[DW_SUPERBLOCK_SIZE];
        struct dw_superblock_info info;
        char text[sizeof((struct dwal_item *)0)->text];
        int result = read_start(dump, DW_NAME_SUPERBLOCK, offset, sizeof bytes, bytes);
        if (result) {
            dw_dump_tell(dump, DWAL_ITEM_SUPERBLOCK, offset, block_size, DWAL_NO_LSN, false, "cannot be read: %s",
                         dw_dump_read_text(result));
            continue;
        }
        enum dw_decoded verdict = dw_superblock_decode(bytes, sizeof bytes, &info);
        bool is_filled = verdict == DW_DECODED_OK || verdict == DW_DECODED_VERSION || verdict == DW_DECODED_IMPOSSIBLE;
        dw_dump_tell(dump, DWAL_ITEM_SUPERBLOCK, offset, block_size, DWAL_NO_LSN, verdict == DW_DECODED_OK,
                     "copy %" PRIu32 " of slot %" PRIu32 "%s%s%s%s", copy / 2, copy % 2, verdict ? ", " : "",
                     verdict ? dw_decoded_text(verdict) : "", is_filled ? ": " : "",
                     is_filled ? dw_text_superblock(&info, text, sizeof text) : "");
    }
}

static void dump_blank(struct dw_dump *dump, const struct entry *entry)
{
    uint8_t bytes[DW_VOLUME_HEADER_SIZE];
    struct dw_volume_info info;
    int result = read_start(dump, entry->name, 0, sizeof bytes, bytes);
    const struct dw_identity *identity = dump->has_facts ? &dump->identity : NULL;
    if (result)
        dw_dump_tell(dump, DWAL_ITEM_BLANK, 0, entry->size, DWAL_NO_LSN, false, "cannot be read: %s",
                     dw_dump_read_text(result));
    else if (dw_volume_header_decode(NULL, identity, bytes, DW_VOLUME_NUMBER_NONE, &info) == DW_DECODED_OK)
        dw_dump_tell(dump, DWAL_ITEM_BLANK, 0, entry->size, DWAL_NO_LSN, true, "blank, was volume %" PRIu32,
                     info.number);
    else
        dw_dump_tell(dump, DWAL_ITEM_BLANK, 0, entry->size, DWAL_NO_LSN, true, "blank");
}

/* ---- all of it ------------------------------------------------------------------------------------------------------*/

static int dump_entry(struct dw_dump *dump, const struct entry *entry)
{
    dump->file = entry->name;
    dump->number = entry->kind == DW_PLACE_VOLUME ? entry->number : DWAL_NO_VOLUME;
    if (entry->kind == DW_PLACE_SUPERBLOCK)
        dump_superblock(dump);
    else if (entry->kind == DW_PLACE_BLANK)
        dump_blank(dump, entry);
    else if (entry->kind == DW_PLACE_VOLUME)
        return dw_dump_volume(dump, entry->name, entry->number);
    return 0;
}

static int dump_entries(struct dw_dump *dump, const struct entries *entries)
{
    for (size_t i = 0; i < entries->count && !dump->is_stopped; i++) {
        int result = dump_entry(dump, &entries->rows[i]);
        if (result == -ENOMEM)
            return dw_fail(DWAL_EMEMORY, "no memory to dump %s", entries->rows[i].name);
        if (result)
            dw_dump_tell(dump, DWAL_ITEM_VOLUME_HEADER, 0, entries->rows[i].size, DWAL_NO_LSN, false,
                         "cannot be opened: %s", strerror(-result));
    }
    return 0;
}

/* `only`: the one file to list, or NULL for all. */
static int dump_disk(struct dw_dump *dump, const char *only)
{
    struct entries entries = {0};
    int result = dump->disk->ops->list(dump->disk, add_entry, &entries);
    if (result) {
        dw_free(entries.rows);
        return dw_fail_system(result, "cannot list %s", dump->disk->path);
    }
    if (entries.count > 0)
        qsort(entries.rows, entries.count, sizeof *entries.rows, compare_entries);
    if (only)
        learn_from_superblock(dump);
    else
        learn_facts(dump, &entries);
    size_t kept = 0;
    for (size_t i = 0; i < entries.count; i++)
        if (only ? strcmp(entries.rows[i].name, only) == 0 : rank_of(entries.rows[i].kind) < 3)
            entries.rows[kept++] = entries.rows[i];
    entries.count = kept;
    if (only && kept > 0 && !dump->has_facts)
        learn_from_volume(dump, only);
    if (kept == 0)
        result = only ? dw_fail(DWAL_ENOLOG, "%s is no directory, and no file of a log has such a name", only)
                      : dw_fail(DWAL_ENOLOG, "%s holds no file of dwal", dump->disk->path);
    else
        result = dump_entries(dump, &entries);
    dw_free(entries.rows);
    return result;
}

/* Split `path` at its last slash. The name stays inside `path`. */
static const char *split_path(const char *path, char *directory, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(directory, size, ".");
    else
        snprintf(directory, size, "%.*s", slash == path ? 1 : (int)dw_min_size((size_t)(slash - path), size - 1), path);
    return slash ? slash + 1 : path;
}

static void tell_device_item(void *context, const struct dw_store_device_item *item)
{
    dw_dump_tell(context, item->is_slot ? DWAL_ITEM_SLOT : DWAL_ITEM_DEVICE, item->offset, item->size, DWAL_NO_LSN,
                 item->is_sound, "%s", item->text);
}

/* What the device says of itself, then its log as the directory that it would be. */
static int dump_device(struct dw_dump *dump, const char *path)
{
    struct dw_disk *device;
    int result = dw_path_open(path, DW_OPEN_READ, false, &device);
    if (result)
        return result;
    dump->file = DW_DEVICE_NAME;
    dump->number = DWAL_NO_VOLUME;
    result = dw_store_list_device(device, tell_device_item, dump);
    if (result == 0)
        result = dw_device_view_open(device, &dump->disk);
    if (result == 0) {
        result = dump_disk(dump, NULL);
        dump->disk->ops->close(dump->disk);
    }
    device->ops->close(device);
    return result;
}

DW_EXPORT int dwal_dump(const char *path, const struct dwal_options *options, dwal_item_fn *fn, void *context)
{
    if (!path || !path[0] || !fn)
        return dw_fail(DWAL_EARGUMENT, "a path and a function are needed");
    struct dw_dump dump = {.fn = fn, .context = context};
    const char *only = NULL;
    bool is_unsafe = options && options->is_unsafe_buffered;
    char node[PATH_MAX];
    const char *name;
    if (dw_path_is_device(path, node, &name))
        return dump_device(&dump, path);
    int result;
    if (dw_disk_posix_open(path, is_unsafe, &dump.disk) == -ENOTDIR) {
        char directory[PATH_MAX];
        only = split_path(path, directory, sizeof directory);
        result = dw_inspect_disk_open(directory, options, &dump.disk);
    } else {
        result = dump.disk ? 0 : dw_inspect_disk_open(path, options, &dump.disk);
    }
    if (result)
        return result;
    result = dump_disk(&dump, only);
    dump.disk->ops->close(dump.disk);
    return result;
}
