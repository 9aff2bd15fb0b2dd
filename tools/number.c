/* number.c - strict numbers and sizes of the command line.
 *
 * All of the text counts: no sign, no blank, nothing behind. What does not fit in 64 bits is refused, never wrapped. */
#include "tools/options.h"

#include <string.h>

static int digit_of(char c, unsigned base)
{
    int digit = -1;
    if (c >= '0' && c <= '9')
        digit = c - '0';
    else if (c >= 'a' && c <= 'f')
        digit = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F')
        digit = c - 'A' + 10;
    return digit < (int)base ? digit : -1;
}

/* Reads digits up to the first other character; *rest points there. False: no digit, or overflow. */
static bool parse_digits(const char *text, uint64_t *value, const char **rest)
{
    unsigned base = 10;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    uint64_t sum = 0;
    size_t count = 0;
    for (; digit_of(text[count], base) >= 0; count++) {
        if (__builtin_mul_overflow(sum, (uint64_t)base, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)digit_of(text[count], base), &sum))
            return false;
    }
    *value = sum;
    *rest = text + count;
    return count > 0;
}

bool dw_number_parse(const char *text, uint64_t *value)
{
    const char *rest;
    uint64_t parsed;
    if (!parse_digits(text, &parsed, &rest) || *rest)
        return false;
    *value = parsed;
    return true;
}

bool dw_size_parse(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        unsigned shift;
    } suffixes[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    const char *rest;
    uint64_t parsed;
    if (!parse_digits(text, &parsed, &rest))
        return false;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (strcmp(rest, suffixes[i].name) != 0)
            continue;
        if (parsed > UINT64_MAX >> suffixes[i].shift)
            return false;
        *bytes = parsed << suffixes[i].shift;
        return true;
    }
    return false;
}
