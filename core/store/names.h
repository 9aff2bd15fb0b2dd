/* names.h - file names of a log's directory <-> what they mean. Pure.
 *
 * "dwal.super", "0000000007.vol" (volume 7), "003.bvl" (a blank), "dwal.tmp.*" (unfinished). One spelling for each: a name
 * that parses is the name that would be made. */
#ifndef DW_CORE_STORE_NAMES_H
#define DW_CORE_STORE_NAMES_H

#include "core/store/places.h"

#define DW_NAME_SUPERBLOCK           "dwal.super"
#define DW_NAME_TEMPORARY_PREFIX     "dwal.tmp."
#define DW_NAME_TEMPORARY_BLANK      "dwal.tmp.blank"
#define DW_NAME_TEMPORARY_SUPERBLOCK "dwal.tmp.super"

/* False: the name is no business of ours. *number: of a volume or blank. */
bool dw_name_parse(const char *name, enum dw_place_kind *kind, uint32_t *number);
void dw_name_of_volume(uint32_t number, char name[DW_PLACE_NAME_SIZE]);
void dw_name_of_blank(uint32_t index, char name[DW_PLACE_NAME_SIZE]); /* 0..DW_BLANKS_MAX-1 */

#endif
