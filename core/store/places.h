/* places.h - where volumes, blanks and superblocks lie: the seam between the store and a directory or a device.
 *
 * Everything that knows about file names, temporaries and renames is behind `struct dw_places_ops`; the rest of the
 * store speaks of numbers and places. A directory is one implementation (directory.c).
 * Called by: the rest of core/store, one thread at a time for the calls that change names; open, shut and lock from any
 * thread. Results are 0 or -errno. Nothing here is durable before sync_names (names) or a durable write (bytes).
 * Closing: dw_places_close releases the superblock's file and with it the writer's lock. */
#ifndef DW_CORE_STORE_PLACES_H
#define DW_CORE_STORE_PLACES_H

#include "core/format/codec.h"
#include "io/io.h"

struct dw_arena;

#define DW_PLACE_NAME_SIZE 32u
#define DW_BLANKS_MAX      1000u /* a blank's name has three digits */

/* Where one volume, blank or temporary lies. */
struct dw_place {
    char name[DW_PLACE_NAME_SIZE];
    uint64_t base;      /* byte of the file at which it starts */
    uint64_t size;      /* bytes that are there */
    uint64_t head_size; /* of a new one: bytes at its start that make_begin wrote and filling must leave alone */
    uint64_t uses;      /* on a device: how often the slot has been a volume; else 0 */
    uint32_t slot;      /* on a device: index of the slot, plus 1; else 0 */
};

/* What create knows before there is a superblock. */
struct dw_places_creation {
    const struct dw_superblock_info *superblock; /* identity and geometry */
    uint64_t quota;                              /* bytes that the log may have of a device; 0: no limit of its own */
    bool is_forced;                              /* format a device anew, whatever it holds */
};

enum dw_place_kind {
    DW_PLACE_VOLUME,
    DW_PLACE_BLANK,
    DW_PLACE_TEMPORARY,  /* left over by a crash: nobody's */
    DW_PLACE_SUPERBLOCK, /* only its name and size are told */
    DW_PLACE_STRANGER,   /* shaped like a volume or blank, but none of ours */
};
/* `number`: of a volume. `name` is the full one (place->name is cut off for long strangers). Non-zero ends the list. */
typedef int dw_place_fn(void *context, enum dw_place_kind kind, uint32_t number, const char *name,
                        const struct dw_place *place);

struct dw_places;

struct dw_places_ops {
    const char *name;
    void (*close)(struct dw_places *places);
    /* Also learns which names of blanks are taken. */
    int (*list)(struct dw_places *places, dw_place_fn *fn, void *context);
    int (*sync_names)(struct dw_places *places);

    /* ---- the superblock: four copies of one block each; copies 0 and 2 are slot 0, copies 1 and 3 slot 1 ---- */
    int (*super_open)(struct dw_places *places, bool is_writing); /* -ENOENT: there is none */
    /* Read copy `copy` as if blocks had `block_size` bytes. What lies behind the end of the file reads as zeros. */
    int (*super_read)(struct dw_places *places, uint32_t block_size, uint32_t copy, void *block);
    /* NULL where they do not lie together: all copies, one behind the other, with one read. -errno: read them one by one. */
    int (*super_read_all)(struct dw_places *places, uint32_t block_size, void *blocks);
    int (*super_write)(struct dw_places *places, uint32_t block_size, uint32_t copy, const void *block); /* durable */
    int (*super_sync)(struct dw_places *places);
    int (*super_lock)(struct dw_places *places, enum dw_lock_mode mode); /* WRITER; -EAGAIN: somebody has it */
    int (*super_lock_test)(struct dw_places *places, bool *is_held);
    /* Make it with all copies (4 * block_size bytes) at once; durable when it returns. -EEXIST. */
    int (*super_create)(struct dw_places *places, uint32_t block_size, const void *copies);

    /* ---- volumes ---- */
    int (*open)(struct dw_places *places, const struct dw_place *place, unsigned flags, struct dw_file **file);
    /* And drop its locks; a NULL file is fine. */
    void (*shut)(struct dw_places *places, const struct dw_place *place, struct dw_file *file);
    int (*lock)(struct dw_places *places, const struct dw_place *place, struct dw_file *file, enum dw_lock_kind kind,
                enum dw_lock_mode mode);

    /* ---- blanks: `place` is changed to the new one ---- */
    int (*claim)(struct dw_places *places, struct dw_place *place, uint32_t number); /* blank -> volume; -EEXIST */
    int (*recycle)(struct dw_places *places, struct dw_place *place); /* volume -> blank; -EEXIST: no room for one */
    int (*remove)(struct dw_places *places, const struct dw_place *place); /* any kind; gone with its space */
    /* A new place without content, open for writing and locked by us, under a temporary name; then make it a blank, or
     * `remove` it. -EEXIST of make_end: no room for one more blank. */
    int (*make_begin)(struct dw_places *places, struct dw_place *place, struct dw_file **file);
    int (*make_end)(struct dw_places *places, struct dw_place *place);

    /* ---- of devices; NULL in a directory ---- */
    /* Create only, before the first make_begin: reserve a place for this log, so that what is made has an owner. */
    int (*prepare)(struct dw_places *places, const struct dw_places_creation *creation);
    /* Recovery found the log sound, so the places may now be mended: copies that are missing, room that was added. */
    int (*mend)(struct dw_places *places);
    /* Has the listing read the headers of this volume? Then they need not be read again: both blocks are filled in. */
    bool (*recall)(struct dw_places *places, const struct dw_place *place, uint32_t block_size, void *blocks);
};

struct dw_places {
    const struct dw_places_ops *ops;
    struct dw_disk *disk;
    uint32_t load_threads;             /* that may read beside one another in `list` */
    bool is_reading_plainly;           /* ... without io_uring, by those threads */
    _Atomic uint64_t read_count;       /* reads of `list`; relaxed */
    _Atomic bool is_superblock_maimed; /* copies of the places' own superblock are damaged; relaxed */
    int code;                          /* with `why`: the code of dwal/error.h */
    char why[240];                     /* set by a call that failed and can say more than -errno; else empty */
};

/* A directory seen through `disk`, which stays the caller's. -ENOMEM. */
DW_NODISCARD int dw_places_directory_open(struct dw_disk *disk, struct dw_places **places);
/* The log called `name` ("": the only one, or the one without a name) on the device `disk`. -ENOMEM. */
/* `arena`: for its memory of I/O; outlives the places. NULL: they have memory of their own. */
DW_NODISCARD int dw_places_device_open(struct dw_disk *disk, const char *name, struct dw_arena *arena,
                                       struct dw_places **places);
static inline void dw_places_close(struct dw_places *places)
{
    if (places)
        places->ops->close(places);
}

#endif
