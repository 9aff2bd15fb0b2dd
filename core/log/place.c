/* place.c - whether a log may be kept in a directory, and the words for why not.
 *
 * Called by: dwal_create and dwal_open for writing, on the caller's thread, before anything is written there. The findings come
 * from io/guard; here they become a code, a text, or an event.
 * Failure: DWAL_EUNSUPPORTED (what the options' is_unsafe_buffered allows all the same), DWAL_EPERMISSION (what nothing
 * allows). A path that cannot be looked at is left to whoever opens it next: that one has the better words. */
#include "core/log/place.h"

#include <errno.h>
#include <stdio.h>

#include "core/base/error.h"
#include "io/guard.h"

enum { TEXT_SIZE = 300 };

static void tell(const struct dwal_options *options, const char *path, const struct dw_guard *guard, uint32_t findings)
{
    char reasons[TEXT_SIZE], text[2 * TEXT_SIZE];
    if (!(guard->findings & findings) || !options || !options->event)
        return;
    dw_guard_tell(guard, findings, reasons, sizeof reasons);
    snprintf(text, sizeof text, "%.200s: %s", path, reasons);
    options->event(options->context, DWAL_EVENT_WARNING, text);
}

static int refuse_strangers(const char *path, const struct dw_guard *guard)
{
    char reasons[TEXT_SIZE];
    dw_guard_tell(guard, DW_GUARD_STRANGERS, reasons, sizeof reasons);
    return dw_fail(DWAL_EPERMISSION, "%.100s: %s", path, reasons);
}

int dw_place_check_new(const char *path, const struct dwal_options *options, bool is_new)
{
    struct dw_guard guard;
    if (is_new)
        (void)!dw_guard_set_in_place(path); /* a wish: what it came to is looked at below */
    int result = dw_guard_look_at_directory(path, &guard);
    if (result == -ENOMEM)
        return dw_fail(DWAL_EMEMORY, "no memory to look at %s", path);
    if (result < 0)
        return 0;
    bool is_unsafe = options && options->is_unsafe_buffered;
    if ((guard.findings & DW_GUARD_UNSAFE) && !is_unsafe) {
        char reasons[TEXT_SIZE];
        dw_guard_tell(&guard, DW_GUARD_UNSAFE, reasons, sizeof reasons);
        return dw_fail(DWAL_EUNSUPPORTED, "%.100s is no place for a log: %s", path, reasons);
    }
    if (guard.findings & DW_GUARD_STRANGERS)
        return refuse_strangers(path, &guard);
    tell(options, path, &guard, DW_GUARD_UNSAFE | DW_GUARD_REMARK);
    return 0;
}

int dw_place_check_old(const char *path, const struct dwal_options *options)
{
    struct dw_guard guard;
    int result = dw_guard_look_at_directory(path, &guard);
    if (result == -ENOMEM)
        return dw_fail(DWAL_EMEMORY, "no memory to look at %s", path);
    if (result < 0)
        return 0;
    if (guard.findings & DW_GUARD_STRANGERS)
        return refuse_strangers(path, &guard);
    tell(options, path, &guard, DW_GUARD_UNSAFE | DW_GUARD_REMARK);
    return 0;
}
