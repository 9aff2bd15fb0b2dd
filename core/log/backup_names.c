/* backup_names.c - see backup_names.h. Called by: backup_place.c. A directory that holds anything that no backup writes is
 * not taken for one: its other files are left too. */
#include "core/log/backup_names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/store/names.h"

static bool is_ours(const char *name)
{
    enum dw_place_kind kind;
    uint32_t number;
    if (strcmp(name, "dwal.backup") == 0)
        return true;
    return dw_name_parse(name, &kind, &number) && kind != DW_PLACE_STRANGER;
}

/* Call `unlinkat` for all, or (is_dry) look whether all are ours. */
static int go_through(DIR *listing, int directory, bool is_dry)
{
    int result = 0;
    rewinddir(listing);
    errno = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(listing)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (is_dry)
            result = is_ours(entry->d_name) ? 0 : -ENOTEMPTY;
        else if (unlinkat(directory, entry->d_name, 0) < 0)
            result = -errno;
    }
    return result == 0 && errno != 0 ? -errno : result;
}

int dw_backup_names_clear(int directory)
{
    int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0)
        return -errno;
    DIR *listing = fdopendir(again);
    if (!listing) {
        int code = errno;
        close(again);
        return -code;
    }
    int result = go_through(listing, directory, true);
    if (result == 0)
        result = go_through(listing, directory, false);
    closedir(listing);
    return result;
}
