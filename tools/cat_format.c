/* cat_format.c - one entry on standard output; see cat_format.h.
 *
 * raw: the data and nothing else. lines: the data and a newline. json: one object per line. hex: lsn, metadata and data
 * in hex digits, separated by tabs. */
#include "tools/cat_format.h"

#include <inttypes.h>

#include "tools/json.h"
#include "tools/output.h"

static void print_json(const struct dwal_record *record)
{
    struct dw_json json;
    dw_json_begin(&json);
    dw_json_number(&json, "lsn", record->lsn);
    dw_json_number(&json, "end", record->end);
    dw_json_number(&json, "volume", record->volume);
    dw_json_number(&json, "user", record->user);
    if (record->more_of_batch)
        dw_json_bool(&json, "more_of_batch", true);
    dw_json_bytes(&json, "meta", record->metadata, record->metadata_size);
    dw_json_bytes(&json, "data", record->data, record->data_size);
    dw_json_end(&json);
}

static void print_hex(const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++) {
        char two[2] = {digits[at[i] >> 4], digits[at[i] & 15]};
        dw_output_bytes(two, sizeof two);
    }
}

void dw_cat_print(enum dw_cat_format format, const struct dwal_record *record)
{
    switch (format) {
    case DW_CAT_RAW:
    case DW_CAT_LINES:
        dw_output_bytes(record->data, record->data_size);
        if (format == DW_CAT_LINES)
            dw_output_bytes("\n", 1);
        break;
    case DW_CAT_JSON:
        print_json(record);
        break;
    case DW_CAT_HEX:
        dw_output_format("%" PRIu64 "\t", record->lsn);
        print_hex(record->metadata, record->metadata_size);
        dw_output_bytes("\t", 1);
        print_hex(record->data, record->data_size);
        dw_output_bytes("\n", 1);
        break;
    }
}
