/* backup.c - dwal backup: a copy of a log at one moment, also beside its writer.
 *
 * Happy path: PATH and DESTINATION -> dwal_backup -> what was copied, in one line. Failure: nothing at the destination was
 * changed. A signal ends the command as a crash would: what is unfinished is swept by the next backup. */
#include "tools/tool.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include <dwal/backup.h>
#include <dwal/inspect.h>

#include "tools/json.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"

/* Each volume takes a descriptor while it is pinned. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* The parser knows one argument that is no option: take the destination, the second of them, out. Behind `--` nothing is an
 * option. */
static const char *take_destination(int *argument_count, char **arguments)
{
    bool is_over = false;
    int seen = 0;
    for (int i = 0; i < *argument_count; i++) {
        bool is_end = !is_over && strcmp(arguments[i], "--") == 0;
        is_over |= is_end;
        if (is_end || (!is_over && arguments[i][0] == '-' && arguments[i][1]) || ++seen < 2)
            continue;
        const char *destination = arguments[i];
        memmove(&arguments[i], &arguments[i + 1], (size_t)(*argument_count - i - 1) * sizeof *arguments);
        (*argument_count)--;
        return destination;
    }
    return NULL;
}

static void print_result(const struct dwal_backup *backup, const char *destination, bool is_json)
{
    if (!is_json) {
        dw_output_path(destination);
        dw_output_format(": lsn %" PRIu64 " to %" PRIu64 ", %" PRIu64 " volumes copied (%" PRIu64 " bytes), %" PRIu64
                         " kept; verified\n",
                         backup->first, backup->end, backup->volumes_copied, backup->bytes_copied,
                         backup->volumes_kept);
        return;
    }
    struct dw_json json;
    dw_json_begin(&json);
    dw_json_text(&json, "destination", destination);
    dw_json_number(&json, "first", backup->first);
    dw_json_number(&json, "end", backup->end);
    dw_json_number(&json, "volumes_copied", backup->volumes_copied);
    dw_json_number(&json, "volumes_kept", backup->volumes_kept);
    dw_json_number(&json, "bytes_copied", backup->bytes_copied);
    dw_json_end(&json);
}

static int run(int argument_count, char **arguments)
{
    const char *path;
    bool is_json = false;
    struct dwal_backup backup = {.size = sizeof backup};
    const struct dw_option options[] = {
        DW_FLAG("incremental", &backup.is_incremental, "bring the backup at DESTINATION up to date"),
        DW_FLAG("json", &is_json, "one JSON object"),
        DW_FLAG("unsafe-buffered", &backup.is_unsafe_buffered, "allow a file system without direct I/O"),
    };
    const char *destination = take_destination(&argument_count, arguments);
    enum dw_parsed parsed =
        dw_options_parse(&dw_command_backup, options, DW_OPTION_COUNT(options), argument_count, arguments, &path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);
    if (!destination || !destination[0]) {
        dw_message_error("give the directory to make; see dwal backup --help", "DESTINATION is missing");
        return DW_EXIT_WRONG;
    }
    raise_descriptor_limit();
    struct dwal_options open = DWAL_OPTIONS_INIT;
    open.is_unsafe_buffered = backup.is_unsafe_buffered;
    struct dwal_info info = {.size = sizeof info};
    dw_progress_begin("copying", dwal_get_info(path, &open, &info) == 0 ? info.bytes_on_disk * 3 : 0);
    int result = dwal_backup(path, destination, &backup);
    dw_progress_end();
    if (result)
        return dw_message_library(path, result);
    print_result(&backup, destination, is_json);
    return DW_EXIT_GOOD;
}

const struct dw_command dw_command_backup = {
    .name = "backup",
    .summary = "copy a log at one moment, also beside its writer",
    .arguments = "PATH DESTINATION [OPTION...]",
    .about =
        "Copy the log up to its durable end into the new directory DESTINATION: a whole log of its own, read again "
        "and\n"
        "verified before it gets its name. Beside a live writer the volumes are pinned meanwhile, so that nothing is\n"
        "recycled under the copy; the writer goes on. With --incremental an earlier backup at DESTINATION is brought "
        "up to\n"
        "date: only volumes that were not complete in it are read from PATH. At every moment DESTINATION is the "
        "earlier\n"
        "backup or the new one; DESTINATION.partial is what an interrupted backup leaves, and the next one removes it.",
    .examples = "  dwal backup /var/lib/app/log /backup/log\n"
                "  dwal backup /var/lib/app/log /backup/log --incremental --json\n",
    .run = run,
};
