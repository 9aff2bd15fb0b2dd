/* error.c - the last failure of each thread, and the texts of the codes.
 *
 * Owns: one struct dwal_error per thread. Called by: every room of core, on any thread; by the caller of the library
 * through dwal/error.h. Nothing here allocates, locks or fails; a text that is too long is cut. */
#define DW_ERROR_IMPLEMENTATION
#include "core/base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    BODY_SIZE = 4096 + 512, /* a path of any length and the words around it */
    TAIL_SIZE = 300 /* place, system's text and action; leaves at least 100 bytes of dwal_error.text to the body */
};

static _Thread_local struct dwal_error last_error = {
    .volume = DWAL_NO_VOLUME, .block = DWAL_NO_LSN, .lsn = DWAL_NO_LSN};

/* A text that grows inside a fixed array and is always terminated. */
struct text {
    char *at;
    size_t size; /* what is left, terminator included; at least 1 */
};

static void text_moved(struct text *text, int length)
{
    size_t step = length < 0 ? 0 : (size_t)length;
    if (step > text->size - 1)
        step = text->size - 1;
    text->at += step;
    text->size -= step;
}
static void DW_PRINTF(2, 0) text_addv(struct text *text, const char *format, va_list arguments)
{
    text_moved(text, vsnprintf(text->at, text->size, format, arguments));
}
static void DW_PRINTF(2, 3) text_add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_addv(text, format, arguments);
    va_end(arguments);
}

/* " (volume 3, block 17, lsn 4711)", of what applies. */
static void text_add_place(struct text *text, const struct dwal_error *error)
{
    const char *before = " (";
    if (error->volume != DWAL_NO_VOLUME) {
        text_add(text, "%svolume %" PRIu32, before, error->volume);
        before = ", ";
    }
    if (error->block != DWAL_NO_LSN) {
        text_add(text, "%sblock %" PRIu64, before, error->block);
        before = ", ";
    }
    if (error->lsn != DWAL_NO_LSN) {
        text_add(text, "%slsn %" PRIu64, before, error->lsn);
        before = ", ";
    }
    if (before[0] == ',')
        text_add(text, ")");
}

/* `body` and then `tail`. What does not fit is cut out of the middle of `body`, where a long path stands: what failed, why, and
 * what to do must be there. No UTF-8 sequence is cut in two. */
static void join(struct dwal_error *error, const char *body, const char *tail)
{
    struct text text = {error->text, sizeof error->text};
    size_t length = strlen(body), room = sizeof error->text - 1 - strlen(tail);
    if (length <= room) {
        text_add(&text, "%s%s", body, tail);
        return;
    }
    size_t front = (room - 3) / 2, back = room - 3 - front;
    while (front > 0 && (body[front] & 0xc0) == 0x80)
        front--;
    while (back > 0 && (body[length - back] & 0xc0) == 0x80)
        back--;
    text_add(&text, "%.*s...%s%s", (int)front, body, body + length - back, tail);
}

/* Fill in a whole error around its place. It is built aside, as an argument may be the text of the last one. */
static int DW_PRINTF(2, 0) fail(struct dwal_error *error, const char *format, va_list arguments)
{
    char body[BODY_SIZE], tail[TAIL_SIZE];
    struct text text = {body, sizeof body}, rest = {tail, sizeof tail};
    text_addv(&text, format, arguments);
    text_add_place(&rest, error);
    if (error->system_code != 0) {
        char buffer[128];
        text_add(&rest, ": %s (errno %d)", strerror_r(error->system_code, buffer, sizeof buffer), error->system_code);
    }
    text_add(&rest, "; %s", dwal_error_action(error->code));
    join(error, body, tail);
    last_error = *error;
    return error->code;
}

static struct dwal_error error_at(int code, uint32_t volume, uint64_t block, uint64_t lsn)
{
    return (struct dwal_error){.code = code, .volume = volume, .block = block, .lsn = lsn};
}

/* `result` is a negative errno. */
static struct dwal_error system_error_at(int result, uint32_t volume, uint64_t block, uint64_t lsn)
{
    int system_code = result < 0 ? -result : result;
    int code = DWAL_EDEVICE;
    switch (system_code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        code = DWAL_ENOSPACE;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        code = DWAL_EPERMISSION;
        break;
    case ENOMEM:
        code = DWAL_EMEMORY;
        break;
    default:
        break;
    }
    struct dwal_error error = error_at(code, volume, block, lsn);
    error.system_code = system_code;
    return error;
}

int dw_fail(int code, const char *format, ...)
{
    struct dwal_error error = error_at(code, DWAL_NO_VOLUME, DWAL_NO_LSN, DWAL_NO_LSN);
    va_list arguments;
    va_start(arguments, format);
    fail(&error, format, arguments);
    va_end(arguments);
    return code;
}

int dw_fail_at(int code, uint32_t volume, uint64_t block, uint64_t lsn, const char *format, ...)
{
    struct dwal_error error = error_at(code, volume, block, lsn);
    va_list arguments;
    va_start(arguments, format);
    fail(&error, format, arguments);
    va_end(arguments);
    return code;
}

int dw_fail_system(int result, const char *format, ...)
{
    struct dwal_error error = system_error_at(result, DWAL_NO_VOLUME, DWAL_NO_LSN, DWAL_NO_LSN);
    va_list arguments;
    va_start(arguments, format);
    int code = fail(&error, format, arguments);
    va_end(arguments);
    return code;
}

int dw_fail_system_at(int result, uint32_t volume, uint64_t block, uint64_t lsn, const char *format, ...)
{
    struct dwal_error error = system_error_at(result, volume, block, lsn);
    va_list arguments;
    va_start(arguments, format);
    int code = fail(&error, format, arguments);
    va_end(arguments);
    return code;
}

int dw_fail_device_at(int result, uint32_t volume, uint64_t block, uint64_t lsn, const char *format, ...)
{
    struct dwal_error error = error_at(DWAL_EDEVICE, volume, block, lsn);
    error.system_code = result < 0 ? -result : result;
    va_list arguments;
    va_start(arguments, format);
    int code = fail(&error, format, arguments);
    va_end(arguments);
    return code;
}

int dw_fail_again(const struct dwal_error *error)
{
    if (error != &last_error)
        last_error = *error;
    return last_error.code;
}

int dwal_set_error(const struct dwal_error *error)
{
    return dw_fail_again(error);
}

const struct dwal_error *dwal_last_error(void)
{
    return &last_error;
}

const char *dwal_error_name(int code)
{
    switch (code) {
    case DWAL_OK:
        return "DWAL_OK";
#define NAME_OF(name, number, meaning, action)                                                                         \
    case number:                                                                                                       \
        return #name;
        DWAL_ERRORS(NAME_OF)
#undef NAME_OF
    default:
        return "unknown";
    }
}

const char *dwal_error_meaning(int code)
{
    switch (code) {
    case DWAL_OK:
        return "no error";
#define MEANING_OF(name, number, meaning, action)                                                                      \
    case number:                                                                                                       \
        return meaning;
        DWAL_ERRORS(MEANING_OF)
#undef MEANING_OF
    default:
        return "unknown code";
    }
}

const char *dwal_error_action(int code)
{
    switch (code) {
    case DWAL_OK:
        return "nothing to do";
#define ACTION_OF(name, number, meaning, action)                                                                       \
    case number:                                                                                                       \
        return action;
        DWAL_ERRORS(ACTION_OF)
#undef ACTION_OF
    default:
        return "report the code, it is none of dwal's";
    }
}
