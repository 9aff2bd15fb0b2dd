/* json.h - one JSON object per line on standard output, always valid: text is escaped, bytes that are no UTF-8 become
 * base64 in a field of their own name plus "_base64". */
#ifndef DW_TOOLS_JSON_H
#define DW_TOOLS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dw_json {
    bool has_fields;
};

void dw_json_begin(struct dw_json *json);
void dw_json_text(struct dw_json *json, const char *name, const char *text);
void dw_json_number(struct dw_json *json, const char *name, uint64_t value);
/* null when `value` is `absent`. */
void dw_json_number_or_null(struct dw_json *json, const char *name, uint64_t value, uint64_t absent);
void dw_json_bool(struct dw_json *json, const char *name, bool value);
void dw_json_bytes(struct dw_json *json, const char *name, const void *bytes, size_t size);
void dw_json_end(struct dw_json *json); /* with the newline */
/* Something inside: `"name":[` or `"name":{`, and the objects of a list. Each open has its close. */
void dw_json_open_list(struct dw_json *json, const char *name);
void dw_json_close_list(struct dw_json *json);
void dw_json_open_object(struct dw_json *json, const char *name); /* NULL: an element of a list */
void dw_json_close_object(struct dw_json *json);
void dw_json_element(struct dw_json *json, const char *text); /* a text in a list */

/* Well-formed UTF-8 (no overlong form, no surrogate, nothing above U+10FFFF)? */
bool dw_utf8_is_valid(const void *bytes, size_t size);

#endif
