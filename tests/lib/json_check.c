/* json_check.c - is a text valid JSON? See json_check.h. One function per kind of value; what is open is kept in a small
 * stack, so that depth is bounded and nothing calls itself. */
#include "tests/lib/json_check.h"

#include <string.h>

struct reader {
    const unsigned char *at, *end;
};

static bool take(struct reader *reader, const char *text)
{
    size_t size = strlen(text);
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, text, size) != 0)
        return false;
    reader->at += size;
    return true;
}

static bool take_hex4(struct reader *reader)
{
    for (int i = 0; i < 4; i++, reader->at++)
        if (reader->at == reader->end || !strchr("0123456789abcdefABCDEF", *reader->at) || *reader->at == 0)
            return false;
    return true;
}

/* Continuation bytes of one character; enough to refuse what is no UTF-8 at all. */
static bool take_character(struct reader *reader)
{
    unsigned char first = *reader->at++;
    if (first < 0x20)
        return false;
    int more = first < 0x80 ? 0 : first < 0xc2 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : -1;
    for (; more > 0; more--, reader->at++)
        if (reader->at == reader->end || *reader->at >> 6 != 2)
            return false;
    return more == 0;
}

static bool take_string(struct reader *reader)
{
    if (!take(reader, "\""))
        return false;
    while (reader->at < reader->end && *reader->at != '"') {
        if (*reader->at != '\\') {
            if (!take_character(reader))
                return false;
            continue;
        }
        reader->at++;
        if (reader->at == reader->end || *reader->at == 0 || !strchr("\"\\/bfnrtu", *reader->at))
            return false;
        if (*reader->at++ == 'u' && !take_hex4(reader))
            return false;
    }
    return take(reader, "\"");
}

static size_t take_digits(struct reader *reader)
{
    const unsigned char *from = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return (size_t)(reader->at - from);
}

static bool take_number(struct reader *reader)
{
    (void)take(reader, "-");
    const unsigned char *from = reader->at;
    size_t digits = take_digits(reader);
    if (digits == 0 || (digits > 1 && *from == '0') || (take(reader, ".") && take_digits(reader) == 0))
        return false;
    if (!take(reader, "e") && !take(reader, "E"))
        return true;
    if (!take(reader, "+"))
        (void)take(reader, "-");
    return take_digits(reader) > 0;
}

static bool take_value(struct reader *reader)
{
    if (reader->at == reader->end)
        return false;
    if (*reader->at == '"')
        return take_string(reader);
    if (*reader->at == '-' || (*reader->at >= '0' && *reader->at <= '9'))
        return take_number(reader);
    return take(reader, "true") || take(reader, "false") || take(reader, "null");
}

static bool take_name(struct reader *reader)
{
    return take_string(reader) && take(reader, ":");
}

bool dw_json_is_object(const char *text, size_t size)
{
    enum { DEPTH_MAX = 16 };
    struct reader reader = {(const unsigned char *)text, (const unsigned char *)text + size};
    const char *closers[DEPTH_MAX];
    size_t depth = 0;
    if (size == 0 || text[0] != '{')
        return false;
    do { /* a value is expected, its name was taken */
        bool is_object = take(&reader, "{");
        if (is_object || take(&reader, "[")) {
            if (depth == DEPTH_MAX)
                return false;
            closers[depth++] = is_object ? "}" : "]";
            if (reader.at < reader.end && *reader.at != (unsigned char)closers[depth - 1][0]) {
                if (is_object && !take_name(&reader))
                    return false;
                continue;
            }
        } else if (!take_value(&reader)) {
            return false;
        }
        while (depth > 0 && take(&reader, closers[depth - 1]))
            depth--;
        if (depth > 0 && (!take(&reader, ",") || (closers[depth - 1][0] == '}' && !take_name(&reader))))
            return false;
    } while (depth > 0);
    return reader.at == reader.end;
}

bool dw_json_is_lines(const char *text, size_t size, size_t *lines)
{
    *lines = 0;
    while (size > 0) {
        const char *newline = memchr(text, '\n', size);
        if (!newline || !dw_json_is_object(text, (size_t)(newline - text)))
            return false;
        ++*lines;
        size -= (size_t)(newline - text) + 1;
        text = newline + 1;
    }
    return true;
}
