/* names.c - names of volumes. Pure. */
#include <dwal/journal.h>
#include <stdio.h>
#include <string.h>

#include "core/layers/journal/journal.h"

int dwal_volume_name(uint32_t number, char name[DWAL_VOLUME_NAME_SIZE])
{
    if (number > DWAL_VOLUME_NUMBER_MAX)
        return dw_journal_fail(DWAL_EARGUMENT, "%u is no number of a volume: the last is %u", number,
                               DWAL_VOLUME_NUMBER_MAX);
    (void)snprintf(name, DWAL_VOLUME_NAME_SIZE, "%010u" DWAL_VOLUME_SUFFIX, number);
    return 0;
}

int dwal_volume_path(const char *directory, uint32_t number, char *path, size_t size)
{
    char name[DWAL_VOLUME_NAME_SIZE];
    int result = dwal_volume_name(number, name);
    if (result != 0)
        return result;
    if (!directory || *directory == '\0')
        return dw_journal_fail(DWAL_EARGUMENT, "no directory is named");
    int length = snprintf(path, size, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= size)
        return dw_journal_fail(DWAL_EBUFFER, "the path of volume %u needs %d bytes", number, length + 1);
    return 0;
}

int dwal_volume_parse(const char *path, uint32_t *number, size_t *directory_length)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *name = slash ? slash + 1 : path;
    uint64_t value = 0;
    size_t digits = name ? strspn(name, "0123456789") : 0;
    for (size_t i = 0; i < digits && i < 10; i++)
        value = value * 10 + (uint64_t)(name[i] - '0');
    if (digits != 10 || strcmp(name + 10, DWAL_VOLUME_SUFFIX) != 0 || value > DWAL_VOLUME_NUMBER_MAX)
        return dw_journal_fail(DWAL_EARGUMENT, "%s is no name of a volume", path ? path : "NULL");
    if (number)
        *number = (uint32_t)value;
    if (directory_length)
        *directory_length = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
    return 0;
}
