/* probe_mount.c - read one mount out of the text of mountinfo, and say what its type and options mean.
 *
 * A line is: id parent major:minor root point options [optional ...] - type source super-options. Blanks inside a field are
 * written as octal escapes. Pure functions on text of any content; a line that does not fit is passed over. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/bits.h"
#include "io/probe.h"

/* A piece of the text; not terminated. */
struct span {
    const char *start;
    size_t size;
};

static bool is_equal(struct span span, const char *text)
{
    return strlen(text) == span.size && memcmp(span.start, text, span.size) == 0;
}

static bool is_starting(struct span span, const char *text)
{
    return strlen(text) <= span.size && memcmp(span.start, text, strlen(text)) == 0;
}

/* Cut off what comes before the next `separator`; false when nothing is left. */
static bool take_part(struct span *rest, char separator, struct span *part)
{
    if (rest->size == 0)
        return false;
    const char *end = memchr(rest->start, separator, rest->size);
    size_t size = end ? (size_t)(end - rest->start) : rest->size;
    *part = (struct span){.start = rest->start, .size = size};
    size_t used = end ? size + 1 : size;
    rest->start += used;
    rest->size -= used;
    return true;
}

/* Decimal; false unless the whole span is one that fits. */
static bool read_number(struct span span, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < span.size; i++) {
        if (span.start[i] < '0' || span.start[i] > '9' || *number > (UINT64_MAX - 9) / 10)
            return false;
        *number = *number * 10 + (uint64_t)(span.start[i] - '0');
    }
    return span.size > 0;
}

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Copy with the escapes \ooo undone, cut off to `room`. */
static void copy_text(struct span span, char *target, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < span.size && used + 1 < room; i++) {
        char c = span.start[i];
        if (c == '\\' && i + 3 < span.size + 0 && is_octal(span.start[i + 1]) && is_octal(span.start[i + 2]) &&
            is_octal(span.start[i + 3])) {
            c = (char)((span.start[i + 1] - '0') * 64 + (span.start[i + 2] - '0') * 8 + (span.start[i + 3] - '0'));
            i += 3;
        }
        target[used++] = c;
    }
    target[used] = '\0';
}

struct line {
    uint64_t id, major, minor;
    struct span root, point, options, type, source, super_options;
};

static bool parse_line(struct span text, struct line *line)
{
    struct span part, number, rest = text;
    if (!take_part(&rest, ' ', &part) || !read_number(part, &line->id))
        return false;
    if (!take_part(&rest, ' ', &part)) /* parent */
        return false;
    if (!take_part(&rest, ' ', &part) || !take_part(&part, ':', &number) || !read_number(number, &line->major) ||
        !read_number(part, &line->minor))
        return false;
    if (!take_part(&rest, ' ', &line->root) || !take_part(&rest, ' ', &line->point) ||
        !take_part(&rest, ' ', &line->options))
        return false;
    do { /* optional fields end with a lone hyphen */
        if (!take_part(&rest, ' ', &part))
            return false;
    } while (!is_equal(part, "-"));
    if (!take_part(&rest, ' ', &line->type) || !take_part(&rest, ' ', &line->source))
        return false;
    line->super_options = rest;
    return true;
}

/* ---- what it means ---- */

static bool is_one_of(const char *type, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(type, names[i]) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(type, names) is_one_of(type, names, DW_COUNT_OF(names))

static void judge_type(struct dw_probe_mount *mount)
{
    static const char *const in_place[] = {"ext2", "ext3", "ext4", "xfs", "jfs", "vfat", "exfat", "ntfs3", "hfsplus"};
    /* f2fs and nilfs2 are logs themselves: an overwrite goes elsewhere too. */
    static const char *const elsewhere[] = {"btrfs", "bcachefs", "zfs", "nilfs2", "f2fs"};
    static const char *const network[] = {"nfs",      "nfs4",       "cifs",           "smb3",    "ceph",   "9p",
                                          "afs",      "coda",       "ocfs2",          "gfs2",    "lustre", "gpfs",
                                          "orangefs", "fuse.sshfs", "fuse.glusterfs", "virtiofs"};
    static const char *const memory[] = {"tmpfs", "ramfs", "hugetlbfs"};
    bool is_in_place = IS_ONE_OF(mount->type, in_place), is_elsewhere = IS_ONE_OF(mount->type, elsewhere);
    bool is_network = IS_ONE_OF(mount->type, network), is_memory = IS_ONE_OF(mount->type, memory);
    if (!is_in_place && !is_elsewhere && !is_network && !is_memory)
        return; /* overlay, fuse, something new: nothing is known */
    if (!is_network && !is_memory)
        mount->is_copy_on_write = is_elsewhere ? DW_FACT_YES : DW_FACT_NO;
    mount->is_network = is_network ? DW_FACT_YES : DW_FACT_NO;
    mount->is_memory = is_memory ? DW_FACT_YES : DW_FACT_NO;
}

static void judge_options(struct span options, struct dw_probe_mount *mount)
{
    struct span option;
    while (take_part(&options, ',', &option)) {
        if (is_equal(option, "ro"))
            mount->is_read_only = DW_FACT_YES;
        if (is_equal(option, "nobarrier") || is_equal(option, "barrier=0") || is_equal(option, "barrier=none") ||
            is_equal(option, "fsync_mode=nobarrier") || is_equal(option, "volatile"))
            mount->is_barrier_off = DW_FACT_YES;
        if (is_equal(option, "discard") || is_starting(option, "discard="))
            mount->is_discarding = DW_FACT_YES;
        if (is_equal(option, "lazytime"))
            mount->is_lazy_time = DW_FACT_YES;
        if (is_equal(option, "data=journal"))
            mount->is_journaling_data = DW_FACT_YES;
    }
}

static void judge_line(const struct line *line, struct dw_probe_mount *mount)
{
    *mount = (struct dw_probe_mount){.is_read_only = DW_FACT_NO,
                                     .is_barrier_off = DW_FACT_NO,
                                     .is_discarding = DW_FACT_NO,
                                     .is_lazy_time = DW_FACT_NO,
                                     .is_journaling_data = DW_FACT_NO};
    copy_text(line->type, mount->type, sizeof mount->type);
    copy_text(line->point, mount->point, sizeof mount->point);
    copy_text(line->source, mount->source, sizeof mount->source);
    copy_text(line->root, mount->root, sizeof mount->root);
    judge_type(mount);
    judge_options(line->options, mount);
    judge_options(line->super_options, mount);
}

int dw_probe_parse_mounts(const char *text, size_t size, uint64_t id, uint32_t major, uint32_t minor,
                          struct dw_probe_mount *mount)
{
    struct span rest = {.start = text, .size = size}, part;
    struct line line;
    int result = -ENOENT;
    while (take_part(&rest, '\n', &part)) {
        if (!parse_line(part, &line))
            continue;
        bool is_found = id != 0 ? line.id == id : line.major == major && line.minor == minor;
        if (!is_found)
            continue;
        judge_line(&line, mount); /* by device: the last mount covers those before it */
        result = 0;
    }
    return result;
}
