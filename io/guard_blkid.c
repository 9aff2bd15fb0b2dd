/* guard_blkid.c - ask libblkid what lies on a device: superblocks and partition tables.
 *
 * Owns: the loaded library, for the time of one look. It is loaded by name, not linked: only formatting a device needs it, and a
 * program that embeds dwal should not carry it for that. Built without its header, or run where it is not installed, every
 * device is UNCHECKED, and then formatting needs force.
 * Happy path: the safe probe of both chains says "nothing", "this" or "several that contradict each other"; then each chain is
 * walked to its end, so that all that would be destroyed is named, also what a damaged checksum hides from the safe probe.
 * Failure: UNCHECKED with the reason. */
#include "io/guard_blkid.h"

#include <stdio.h>
#include <string.h>

#ifdef DW_HAVE_BLKID
#include <blkid/blkid.h>
#include <dlfcn.h>

#define LIBRARY       "libblkid.so.1"
#define RESULTS_LIMIT 64 /* of one walk: a library that never says "no more" must not hang us */

#define FUNCTIONS(X)                                                                                                   \
    X(new_probe)                                                                                                       \
    X(free_probe)                                                                                                      \
    X(probe_set_device)                                                                                                \
    X(probe_enable_superblocks)                                                                                        \
    X(probe_set_superblocks_flags)                                                                                     \
    X(probe_enable_partitions)                                                                                         \
    X(probe_set_partitions_flags)                                                                                      \
    X(do_safeprobe)                                                                                                    \
    X(do_probe)                                                                                                        \
    X(probe_lookup_value)                                                                                              \
    X(probe_get_partitions)                                                                                            \
    X(partlist_numof_partitions)

struct library {
    void *handle;
#define MEMBER(name) __typeof__(blkid_##name) *name; /* NOLINT(bugprone-macro-parentheses): a declaration */
    FUNCTIONS(MEMBER)
#undef MEMBER
};

static bool load(struct library *library)
{
    library->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library->handle)
        return false;
    bool is_whole = true;
    /* ISO C has no conversion from an object's address to a function's: the bytes are copied. */
#define LOOK_UP(name)                                                                                                  \
    {                                                                                                                  \
        void *found = dlsym(library->handle, "blkid_" #name);                                                          \
        memcpy(&library->name, &found, sizeof found);                                                                  \
        is_whole = is_whole && found;                                                                                  \
    }
    FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    if (!is_whole)
        dlclose(library->handle);
    return is_whole;
}

static blkid_probe start(const struct library *library, int descriptor, uint64_t size)
{
    blkid_probe probe = library->new_probe();
    if (!probe)
        return NULL;
    int flags = BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_VERSION |
                BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_BADCSUM;
    if (library->probe_set_device(probe, descriptor, 0, (blkid_loff_t)size) == 0 &&
        library->probe_enable_superblocks(probe, 1) == 0 && library->probe_set_superblocks_flags(probe, flags) == 0 &&
        library->probe_enable_partitions(probe, 1) == 0 &&
        library->probe_set_partitions_flags(probe, BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT) == 0)
        return probe;
    library->free_probe(probe);
    return NULL;
}

static const char *value(const struct library *library, blkid_probe probe, const char *name)
{
    const char *text = NULL;
    return library->probe_lookup_value(probe, name, &text, NULL) == 0 && text ? text : "";
}

static const char *kind_of(const char *usage)
{
    return strcmp(usage, "filesystem") == 0 ? "file system"
           : strcmp(usage, "raid") == 0     ? "member of a volume group or RAID"
           : strcmp(usage, "crypto") == 0   ? "encrypted volume"
                                            : "signature";
}

static void note_signature(const struct library *library, blkid_probe probe, struct dw_guard *guard)
{
    const char *type = value(library, probe, "TYPE"), *label = value(library, probe, "LABEL");
    const char *uuid = value(library, probe, "UUID");
    if (strcmp(type, "LVM2_member") == 0)
        dw_guard_add(guard, DW_GUARD_SIGNATURE, "LVM2 physical volume%s%.40s", *uuid ? ", UUID " : "", uuid);
    else if (strcmp(type, "swap") == 0)
        dw_guard_add(guard, DW_GUARD_SIGNATURE, "swap area%s%.40s%s%.40s", *label ? ", label " : "", label,
                     *uuid ? ", UUID " : "", uuid);
    else
        dw_guard_add(guard, DW_GUARD_SIGNATURE, "%.32s %s%s%.64s%s%.40s", type, kind_of(value(library, probe, "USAGE")),
                     *label ? ", label " : "", label, *uuid ? ", UUID " : "", uuid);
}

static void note_table(const struct library *library, int descriptor, uint64_t size, const char *type,
                       struct dw_guard *guard)
{
    int count = -1;
    blkid_probe probe =
        start(library, descriptor, size); /* the list ends the walk of the probe that it is asked from */
    blkid_partlist list = probe ? library->probe_get_partitions(probe) : NULL;
    if (list)
        count = library->partlist_numof_partitions(list);
    const char *name = strcmp(type, "gpt") == 0 ? "GPT" : strcmp(type, "dos") == 0 ? "MBR" : type;
    if (count >= 0)
        dw_guard_add(guard, DW_GUARD_PARTITIONS, "%.32s partition table with %d partition%s", name, count,
                     count == 1 ? "" : "s");
    else
        dw_guard_add(guard, DW_GUARD_PARTITIONS, "%.32s partition table", name);
    if (probe)
        library->free_probe(probe);
}

static void look(const struct library *library, int descriptor, uint64_t size, struct dw_guard *guard)
{
    blkid_probe probe = start(library, descriptor, size);
    int safe = probe ? library->do_safeprobe(probe) : -1;
    if (safe == -2)
        dw_guard_add(guard, DW_GUARD_AMBIVALENT, "signatures that contradict each other");
    else if (safe < 0)
        dw_guard_add(guard, DW_GUARD_UNCHECKED, "libblkid cannot read it");
    if (probe)
        library->free_probe(probe);
    probe = safe == -1 ? NULL : start(library, descriptor, size);
    for (int i = 0; probe && i < RESULTS_LIMIT && library->do_probe(probe) == 0; i++) {
        const char *table = value(library, probe, "PTTYPE");
        if (*value(library, probe, "TYPE"))
            note_signature(library, probe, guard);
        else if (*table)
            note_table(library, descriptor, size, table, guard);
    }
    if (probe)
        library->free_probe(probe);
    /* The walk may pass over what the safe probe saw, never the other way round unseen. */
    if (safe == 0 && !(guard->findings & (DW_GUARD_SIGNATURE | DW_GUARD_PARTITIONS)))
        dw_guard_add(guard, DW_GUARD_SIGNATURE, "a signature that libblkid recognises and cannot name");
}

void dw_guard_look_at_signatures(int descriptor, uint64_t size, struct dw_guard *guard)
{
    struct library library;
    if (size == 0)
        return;
    if (!load(&library)) {
        dw_guard_add(guard, DW_GUARD_UNCHECKED, "its content cannot be judged: " LIBRARY " cannot be loaded");
        return;
    }
    look(&library, descriptor, size, guard);
    dlclose(library.handle);
}

#else

void dw_guard_look_at_signatures(int descriptor, uint64_t size, struct dw_guard *guard)
{
    (void)descriptor;
    if (size > 0)
        dw_guard_add(guard, DW_GUARD_UNCHECKED, "its content cannot be judged: this dwal was built without libblkid");
}

#endif
