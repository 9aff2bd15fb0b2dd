/* remove.c - dwal remove: take one log off a device.
 *
 * Happy path: look who it is and tell what is destroyed -> with --force: dwal_remove. Failure: without --force nothing is
 * changed; a live writer holds the log. */
#include "tools/tool.h"

#include <stdio.h>
#include <string.h>

#include <dwal/device.h>

#include "tools/message.h"
#include "tools/options.h"

struct wanted {
    const char *name;
    struct dwal_device_log log;
    bool is_found;
};

static void keep_wanted(void *context, const struct dwal_device_log *log)
{
    struct wanted *wanted = context;
    if (!log->is_complete || strcmp(log->name, wanted->name) != 0)
        return;
    wanted->log = *log;
    wanted->is_found = true;
}

/* What goes, in words. Empty: it cannot be found out, and the library says why. */
static void tell_what_goes(const char *path, char *text, size_t size)
{
    struct dwal_device device = {.size = sizeof device};
    char node[4096];
    snprintf(node, sizeof node, "%s", path);
    char *hash = strrchr(node, '#');
    struct wanted wanted = {.name = hash ? path + (hash - node) + 1 : ""};
    if (hash)
        *hash = '\0';
    text[0] = '\0';
    if (dwal_get_device(node, &device, keep_wanted, &wanted) == 0 && wanted.is_found)
        snprintf(text, size, "removing log #%s destroys all of its entries (volumes: %u, of %llu bytes each)",
                 wanted.name, wanted.log.volumes, (unsigned long long)device.slot_size);
}

static int run(int argument_count, char **arguments)
{
    const char *path;
    bool is_forced = false;
    const struct dw_option options[] = {
        DW_FLAG("force", &is_forced, "do it: all entries of the log are lost"),
    };
    enum dw_parsed parsed =
        dw_options_parse(&dw_command_remove, options, DW_OPTION_COUNT(options), argument_count, arguments, &path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);
    char what[200];
    tell_what_goes(path, what, sizeof what);
    if (!is_forced && what[0] != '\0') {
        dw_message_error("nothing was changed; say --force to do it", "%s", what);
        return DW_EXIT_WRONG;
    }
    if (what[0] != '\0')
        dw_message_warning("%s", what);
    int result = dwal_remove(path); /* without a log of that name it says so */
    return result ? dw_message_library(path, result) : DW_EXIT_GOOD;
}

const struct dw_command dw_command_remove = {
    .name = "remove",
    .summary = "take a log off a device",
    .arguments = "DEVICE#NAME --force",
    .about =
        "Take the log NAME off a device, whatever it holds. Its slots are free for the other logs of the device; "
        "their\n"
        "content is overwritten when they are used again, not now. In every crash the log is whole or gone. Beside a\n"
        "live writer it answers that the log is busy. A log in a directory is removed with its directory.",
    .examples = "  dwal remove /dev/nvme0n1p3#orders --force\n",
    .run = run,
};
