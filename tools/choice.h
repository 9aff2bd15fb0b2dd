/* choice.h - say a choice of backend, for `dwal probe` and `dwal info`. Called by: the main thread. */
#ifndef DW_TOOLS_CHOICE_H
#define DW_TOOLS_CHOICE_H

#include <dwal/probe.h>

#include "tools/json.h"

/* "a durable write", "write + flush" */
const char *dw_choice_way(const char *backend, enum dwal_way way);
/* "62.3 us", right-aligned by the caller; three figures that count. */
const char *dw_choice_time(uint64_t ns, char text[16]);
void dw_choice_json(struct dw_json *json, const struct dwal_choice *choice);
void dw_choice_timing_json(struct dw_json *json, const struct dwal_timing *timing);
/* Print `text` in lines of at most `width`, all but the first indented by `indent`. */
void dw_choice_wrap(const char *text, size_t indent, size_t width);

#endif
