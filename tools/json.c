/* json.c - one JSON object per line on standard output; see json.h. Nothing is kept in memory: fields go straight to
 * the output's buffer, so that an entry of any size can be written. */
#include "tools/json.h"

#include <inttypes.h>
#include <string.h>

#include "tools/output.h"

/* Length of the UTF-8 sequence at `at`, 0 when it is not well-formed. The ranges are those of RFC 3629, section 4. */
static size_t sequence_size(const unsigned char *at, size_t left)
{
    unsigned char first = at[0];
    if (first < 0x80)
        return 1;
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < size)
        return 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return size;
}

bool dw_utf8_is_valid(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size;) {
        size_t step = sequence_size(at + i, size - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

/* `size` bytes of valid UTF-8 as a JSON string: runs of plain bytes go out at once. */
static void write_string(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    size_t plain_from = 0;
    dw_output_bytes("\"", 1);
    for (size_t i = 0; i < size; i++) {
        if (at[i] >= 0x20 && at[i] != '"' && at[i] != '\\' && at[i] != 0x7f)
            continue;
        dw_output_bytes(at + plain_from, i - plain_from);
        plain_from = i + 1;
        if (at[i] == '"' || at[i] == '\\')
            dw_output_format("\\%c", at[i]);
        else if (at[i] == '\n')
            dw_output_text("\\n");
        else if (at[i] == '\t')
            dw_output_text("\\t");
        else
            dw_output_format("\\u%04x", at[i]);
    }
    dw_output_bytes(at + plain_from, size - plain_from);
    dw_output_bytes("\"", 1);
}

static void write_base64(const void *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = bytes;
    dw_output_bytes("\"", 1);
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t word = (uint32_t)at[i] << 16;
        word |= left > 1 ? (uint32_t)at[i + 1] << 8 : 0;
        word |= left > 2 ? (uint32_t)at[i + 2] : 0;
        char four[4] = {digits[word >> 18], digits[word >> 12 & 63], left > 1 ? digits[word >> 6 & 63] : '=',
                        left > 2 ? digits[word & 63] : '='};
        dw_output_bytes(four, sizeof four);
    }
    dw_output_bytes("\"", 1);
}

static void begin_field(struct dw_json *json, const char *name, const char *suffix)
{
    dw_output_format("%s\"%s%s\":", json->has_fields ? "," : "", name, suffix);
    json->has_fields = true;
}

void dw_json_begin(struct dw_json *json)
{
    json->has_fields = false;
    dw_output_text("{");
}

void dw_json_end(struct dw_json *json)
{
    json->has_fields = false;
    dw_output_text("}\n");
}

void dw_json_open_list(struct dw_json *json, const char *name)
{
    begin_field(json, name, "");
    dw_output_text("[");
    json->has_fields = false;
}

void dw_json_close_list(struct dw_json *json)
{
    dw_output_text("]");
    json->has_fields = true;
}

void dw_json_open_object(struct dw_json *json, const char *name)
{
    if (name)
        begin_field(json, name, "");
    else if (json->has_fields)
        dw_output_text(",");
    dw_output_text("{");
    json->has_fields = false;
}

void dw_json_close_object(struct dw_json *json)
{
    dw_output_text("}");
    json->has_fields = true;
}

/* Text that is no UTF-8 becomes "?": an element has no name that could say that it is base64. */
void dw_json_element(struct dw_json *json, const char *text)
{
    const char *shown = dw_utf8_is_valid(text, strlen(text)) ? text : "?";
    if (json->has_fields)
        dw_output_text(",");
    json->has_fields = true;
    write_string(shown, strlen(shown));
}

void dw_json_bytes(struct dw_json *json, const char *name, const void *bytes, size_t size)
{
    if (size == 0) {
        begin_field(json, name, "");
        dw_output_text("\"\"");
    } else if (dw_utf8_is_valid(bytes, size)) {
        begin_field(json, name, "");
        write_string(bytes, size);
    } else {
        begin_field(json, name, "_base64");
        write_base64(bytes, size);
    }
}

void dw_json_text(struct dw_json *json, const char *name, const char *text)
{
    dw_json_bytes(json, name, text, strlen(text));
}

void dw_json_number(struct dw_json *json, const char *name, uint64_t value)
{
    begin_field(json, name, "");
    dw_output_format("%" PRIu64, value);
}

void dw_json_number_or_null(struct dw_json *json, const char *name, uint64_t value, uint64_t absent)
{
    if (value != absent) {
        dw_json_number(json, name, value);
        return;
    }
    begin_field(json, name, "");
    dw_output_text("null");
}

void dw_json_bool(struct dw_json *json, const char *name, bool value)
{
    begin_field(json, name, "");
    dw_output_text(value ? "true" : "false");
}
