/* names.c - file names of a log's directory. Pure functions; called by directory.c and the tests.
 *
 * Numbers are parsed digit by digit, so "+000000007.vol" or an eleven-digit number is a stranger and not volume 7. */
#include "core/store/names.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "core/format/geometry.h"

enum { VOLUME_DIGITS = 10, BLANK_DIGITS = 3, SUFFIX_LENGTH = 4 };

static bool ends_with(const char *name, size_t length, const char *suffix)
{
    return length >= SUFFIX_LENGTH && memcmp(name + length - SUFFIX_LENGTH, suffix, SUFFIX_LENGTH) == 0;
}

static bool parse_digits(const char *name, size_t length, size_t digits, uint64_t max, uint32_t *number)
{
    if (length != digits + SUFFIX_LENGTH)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(name[i] - '0');
    }
    if (value > max)
        return false;
    *number = (uint32_t)value;
    return true;
}

bool dw_name_parse(const char *name, enum dw_place_kind *kind, uint32_t *number)
{
    size_t length = strlen(name);
    *number = DW_VOLUME_NUMBER_NONE;
    if (strcmp(name, DW_NAME_SUPERBLOCK) == 0) {
        *kind = DW_PLACE_SUPERBLOCK;
        return true;
    }
    if (strncmp(name, DW_NAME_TEMPORARY_PREFIX, sizeof DW_NAME_TEMPORARY_PREFIX - 1) == 0) {
        *kind = DW_PLACE_TEMPORARY;
        return true;
    }
    if (ends_with(name, length, ".vol")) {
        bool is_ours = parse_digits(name, length, VOLUME_DIGITS, DW_VOLUME_NUMBER_MAX, number);
        *kind = is_ours ? DW_PLACE_VOLUME : DW_PLACE_STRANGER;
        return true;
    }
    if (ends_with(name, length, ".bvl")) {
        bool is_ours = parse_digits(name, length, BLANK_DIGITS, DW_BLANKS_MAX - 1, number);
        *kind = is_ours ? DW_PLACE_BLANK : DW_PLACE_STRANGER;
        return true;
    }
    return false;
}

void dw_name_of_volume(uint32_t number, char name[DW_PLACE_NAME_SIZE])
{
    dw_assert(number <= DW_VOLUME_NUMBER_MAX);
    memset(name, 0, DW_PLACE_NAME_SIZE);
    snprintf(name, DW_PLACE_NAME_SIZE, "%010u.vol", number);
}

void dw_name_of_blank(uint32_t index, char name[DW_PLACE_NAME_SIZE])
{
    dw_assert(index < DW_BLANKS_MAX);
    memset(name, 0, DW_PLACE_NAME_SIZE);
    snprintf(name, DW_PLACE_NAME_SIZE, "%03u.bvl", index);
}
