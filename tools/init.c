/* init.c - dwal init: make an empty log.
 *
 * Happy path: options -> dwal_create (fills one volume, writes the superblock last) -> nothing printed. Failure: the
 * library's text; what a crash or an error leaves behind is removed by the next init. */
#include "tools/tool.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include <dwal/dwal.h>

#include "tools/message.h"
#include "tools/options.h"
#include "tools/progress.h"

static const enum dwal_fill fills[] = {DWAL_FILL_DEFAULT, DWAL_FILL_ZERO, DWAL_FILL_ALLOCATE, DWAL_FILL_ALLOCATE_ZERO};

/* "/dev/X" and a name -> "/dev/X#name". A directory takes one log: "#name" would be a part of its own name. */
static bool add_name(const char *path, const char *name, char *named, size_t size)
{
    struct stat facts;
    if (stat(path, &facts) != 0 || S_ISDIR(facts.st_mode) || S_ISREG(facts.st_mode)) {
        dw_message_error("leave --name out, or name a device", "--name is for devices, and %s is none", path);
        return false;
    }
    (void)snprintf(named, size, "%s#%s", path, name);
    return true;
}

static int run(int argument_count, char **arguments)
{
    const char *path;
    uint64_t volume_size = 0, sector = 0, block = 0, blanks = 0, toc_length = 0, magic = 0;
    int fill = -1;
    bool is_unsafe = false, is_forced = false;
    const char *name = NULL;
    uint64_t quota = 0;
    const struct dw_option options[] = {
        DW_SIZE("volume-size", &volume_size, "SIZE", 1, 0, "size of each volume, at most 4GiB; default 64MiB"),
        DW_NUMBER("sector", &sector, "BYTES", 512, 4096, "what the device writes whole: 512 (default) or 4096"),
        DW_SIZE("block", &block, "SIZE", 4096, 65536, "unit of flush; default 4KiB or the device's larger block"),
        DW_NUMBER("blanks", &blanks, "N", 1, 255, "volumes kept ready; default 4"),
        DW_CHOICE("fill", &fill, "HOW", "zero|fallocate|fallocate+zero",
                  "how volumes are made: zero (default), fallocate, fallocate+zero"),
        DW_SIZE("toc-length", &toc_length, "SIZE", 0, 1u << 24, "room for the application's table in each volume"),
        DW_NUMBER("magic", &magic, "N", 0, UINT32_MAX, "the application's own number, checked at open"),
        DW_TEXT("name", &name, "NAME", "on a device: name of the log, one of several; the same as PATH#NAME"),
        DW_SIZE("quota", &quota, "SIZE", 1, 0,
                "on a device: what the log may have of it at most; default a fair share"),
        DW_FLAG("force", &is_forced, "on a device: format it anew; all that it holds is lost"),
        DW_FLAG("unsafe-buffered", &is_unsafe, "allow a file system without direct I/O: for experiments only"),
    };
    enum dw_parsed parsed =
        dw_options_parse(&dw_command_init, options, DW_OPTION_COUNT(options), argument_count, arguments, &path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);

    struct dwal_options create = DWAL_OPTIONS_INIT;
    create.volume_size = volume_size;
    create.sector_size = (uint32_t)sector;
    create.block_size = (uint32_t)block;
    create.blanks = (uint32_t)blanks;
    create.toc_length = (uint32_t)toc_length;
    create.magic_number = (uint32_t)magic;
    create.fill = fills[fill + 1];
    create.is_unsafe_buffered = is_unsafe;
    create.quota = quota;
    create.is_forced = is_forced;
    create.event = dw_message_event;

    char named[PATH_MAX + 64];
    if (name && !add_name(path, name, named, sizeof named))
        return DW_EXIT_WRONG;
    path = name ? named : path;
    dw_progress_begin("filling the first volume", volume_size ? volume_size : UINT64_C(64) << 20);
    int result = dwal_create(path, &create);
    dw_progress_end();
    return result ? dw_message_library(path, result) : DW_EXIT_GOOD;
}

const struct dw_command dw_command_init = {
    .name = "init",
    .summary = "make an empty log",
    .arguments = "PATH [OPTION...]",
    .about =
        "Make an empty log in directory PATH, which is made when it is missing, or on the block device PATH. The "
        "first\n"
        "volume is written once in full, so that no later write needs the file system. All that is chosen here holds\n"
        "for the log's life. A device that dwal formatted before gets one more log, under another name; any other one\n"
        "is formatted only when it is empty. All logs of a device have the same volume and block size.",
    .examples = "  dwal init /var/lib/app/log\n"
                "  dwal init /var/lib/app/log --volume-size 256MiB --blanks 8\n"
                "  dwal init /mnt/nvme/log --sector 4096 --fill fallocate+zero\n"
                "  dwal init /dev/nvme0n1p3\n"
                "  dwal init /dev/nvme0n1p3 --name orders --quota 20GiB\n",
    .run = run,
};
