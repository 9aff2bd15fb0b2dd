/* json_read.h - a JSON text as a flat list of its values, for reading back what the benchmark wrote.
 *
 * Owns: the text and the list, until freed. Called by: the main thread. Strict where it matters for not going astray:
 * brackets match, strings end, names are followed by values; depth, size and count are bounded. */
#ifndef DW_TOOLS_BENCH_JSON_READ_H
#define DW_TOOLS_BENCH_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dw_bench_value {
    char kind;                /* '{' '[' '"' '0' (number) 't' 'f' 'n' */
    uint32_t name, name_size; /* of a field: its name in the text, without the quotes */
    uint32_t at, size;        /* in the text; of a string without the quotes */
    uint32_t end;             /* index behind the last value inside */
};
struct dw_bench_json {
    char *text;
    struct dw_bench_value *values;
    uint32_t count, capacity;
};

/* Read and parse a file. 0, -errno, or -EBADMSG: no JSON. */
int dw_bench_json_open(struct dw_bench_json *json, const char *path);
void dw_bench_json_close(struct dw_bench_json *json);
/* The value called `name` in object `in`; 0 (the root, which is inside nothing): there is none. */
uint32_t dw_bench_json_field(const struct dw_bench_json *json, uint32_t in, const char *name);
/* The first value inside `in`, then the ones behind it; 0: no more. */
uint32_t dw_bench_json_first(const struct dw_bench_json *json, uint32_t in);
uint32_t dw_bench_json_next(const struct dw_bench_json *json, uint32_t in, uint32_t value);
/* 0 where there is no number. */
double dw_bench_json_number(const struct dw_bench_json *json, uint32_t value);
/* Copies at most size - 1 bytes; escapes stay as they are. "" where there is no string. */
const char *dw_bench_json_text(const struct dw_bench_json *json, uint32_t value, char *text, size_t size);

#endif
