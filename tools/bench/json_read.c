/* json_read.c - see json_read.h. One pass, a stack of what is open, no recursion. */
#include "tools/bench/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 32 };
#define SIZE_MAX_BYTES (256u << 20)

struct parser {
    struct dw_bench_json *json;
    uint32_t at, size;
    uint32_t open[DEPTH_MAX]; /* values that are not closed */
    uint32_t depth;
};

static char peek(struct parser *parser)
{
    while (parser->at < parser->size && strchr(" \t\r\n", parser->json->text[parser->at]) &&
           parser->json->text[parser->at])
        parser->at++;
    return parser->at < parser->size ? parser->json->text[parser->at] : 0;
}

static bool take(struct parser *parser, char wanted)
{
    if (peek(parser) != wanted)
        return false;
    parser->at++;
    return true;
}

static bool take_string(struct parser *parser, uint32_t *at, uint32_t *size)
{
    if (!take(parser, '"'))
        return false;
    *at = parser->at;
    const char *text = parser->json->text;
    for (; parser->at < parser->size && text[parser->at] != '"'; parser->at++) {
        if ((unsigned char)text[parser->at] < 0x20)
            return false;
        parser->at += text[parser->at] == '\\';
    }
    if (parser->at >= parser->size)
        return false;
    *size = parser->at++ - *at;
    return true;
}

static struct dw_bench_value *add(struct parser *parser, char kind)
{
    struct dw_bench_json *json = parser->json;
    if (json->count == json->capacity) {
        uint32_t capacity = json->capacity ? json->capacity * 2 : 1024;
        struct dw_bench_value *grown = realloc(json->values, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        json->values = grown;
        json->capacity = capacity;
    }
    struct dw_bench_value *value = &json->values[json->count++];
    *value = (struct dw_bench_value){.kind = kind, .at = parser->at, .end = json->count};
    return value;
}

static bool take_word(struct parser *parser, struct dw_bench_value *value)
{
    static const char *const words[] = {"true", "false", "null"};
    const char *text = parser->json->text + parser->at;
    for (size_t i = 0; i < 3; i++) {
        size_t size = strlen(words[i]);
        if (parser->size - parser->at < size || strncmp(text, words[i], size) != 0)
            continue;
        value->kind = words[i][0];
        parser->at += (uint32_t)size;
        return true;
    }
    return false;
}

static bool take_number(struct parser *parser, struct dw_bench_value *value)
{
    const char *text = parser->json->text + parser->at;
    size_t size = strspn(text, "+-.0123456789eE");
    char *rest;
    if (size == 0 || size > 40 || !strchr("-0123456789", text[0]))
        return false;
    (void)strtod(text, &rest);
    value->kind = '0';
    value->size = (uint32_t)size;
    parser->at += (uint32_t)size;
    return rest == text + size;
}

/* A value with its name, if it is a field. Brackets are opened here and closed by the caller. */
static bool take_value(struct parser *parser)
{
    uint32_t name = 0, name_size = 0;
    bool is_field = parser->depth > 0 && parser->json->values[parser->open[parser->depth - 1]].kind == '{';
    if (is_field && (!take_string(parser, &name, &name_size) || !take(parser, ':')))
        return false;
    char first = peek(parser);
    struct dw_bench_value *value = add(parser, first);
    if (!value)
        return false;
    value->name = name;
    value->name_size = name_size;
    if (first == '"')
        return take_string(parser, &value->at, &value->size);
    if (first != '{' && first != '[')
        return take_word(parser, value) || take_number(parser, value);
    if (parser->depth == DEPTH_MAX)
        return false;
    parser->at++;
    parser->open[parser->depth++] = parser->json->count - 1;
    return true;
}

static bool parse(struct parser *parser)
{
    do {
        uint32_t depth = parser->depth;
        if (!take_value(parser))
            return false;
        bool is_empty_so_far = parser->depth > depth;
        for (;;) {
            if (parser->depth == 0)
                return peek(parser) == 0 && parser->at == parser->size;
            struct dw_bench_value *open = &parser->json->values[parser->open[parser->depth - 1]];
            if (take(parser, open->kind == '{' ? '}' : ']')) {
                open->end = parser->json->count;
                parser->depth--;
                is_empty_so_far = false;
                continue;
            }
            if (!is_empty_so_far && !take(parser, ','))
                return false;
            break;
        }
    } while (parser->depth > 0);
    return false;
}

static int read_all(struct dw_bench_json *json, const char *path, uint32_t *size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    struct stat status;
    int result = -EFBIG;
    if (fstat(fileno(file), &status) != 0)
        result = -errno;
    else if (!S_ISREG(status.st_mode))
        result = -EINVAL;
    else if (status.st_size < SIZE_MAX_BYTES) {
        json->text = malloc((size_t)status.st_size + 1);
        result = json->text ? 0 : -ENOMEM;
    }
    if (result == 0) {
        size_t n = fread(json->text, 1, (size_t)status.st_size, file);
        json->text[n] = 0;
        *size = (uint32_t)n;
    }
    fclose(file);
    return result;
}

int dw_bench_json_open(struct dw_bench_json *json, const char *path)
{
    *json = (struct dw_bench_json){0};
    struct parser parser = {.json = json};
    int result = read_all(json, path, &parser.size);
    if (result == 0 && !parse(&parser))
        result = -EBADMSG;
    if (result < 0)
        dw_bench_json_close(json);
    return result;
}

void dw_bench_json_close(struct dw_bench_json *json)
{
    free(json->text);
    free(json->values);
    *json = (struct dw_bench_json){0};
}

/* ---- looking up ----------------------------------------------------------------------------------------------------------*/

uint32_t dw_bench_json_first(const struct dw_bench_json *json, uint32_t in)
{
    return in < json->count && json->values[in].end > in + 1 ? in + 1 : 0;
}

uint32_t dw_bench_json_next(const struct dw_bench_json *json, uint32_t in, uint32_t value)
{
    uint32_t next = json->values[value].end;
    return next < json->values[in].end ? next : 0;
}

uint32_t dw_bench_json_field(const struct dw_bench_json *json, uint32_t in, const char *name)
{
    size_t size = strlen(name);
    if (in >= json->count || json->values[in].kind != '{')
        return 0;
    for (uint32_t at = dw_bench_json_first(json, in); at; at = dw_bench_json_next(json, in, at))
        if (json->values[at].name_size == size && memcmp(json->text + json->values[at].name, name, size) == 0)
            return at;
    return 0;
}

double dw_bench_json_number(const struct dw_bench_json *json, uint32_t value)
{
    if (value == 0 || json->values[value].kind != '0')
        return 0;
    return strtod(json->text + json->values[value].at, NULL);
}

const char *dw_bench_json_text(const struct dw_bench_json *json, uint32_t value, char *text, size_t size)
{
    text[0] = 0;
    if (value != 0 && json->values[value].kind == '"')
        (void)snprintf(text, size, "%.*s", (int)json->values[value].size, json->text + json->values[value].at);
    return text;
}
