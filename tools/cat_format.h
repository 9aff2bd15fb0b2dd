/* cat_format.h - one entry on standard output in one of the formats of `dwal cat`. */
#ifndef DW_TOOLS_CAT_FORMAT_H
#define DW_TOOLS_CAT_FORMAT_H

#include <dwal/dwal.h>

enum dw_cat_format { DW_CAT_RAW, DW_CAT_LINES, DW_CAT_JSON, DW_CAT_HEX };

void dw_cat_print(enum dw_cat_format format, const struct dwal_record *record);

#endif
