/* peer_wiredtiger.c - WiredTiger's log in the same loop as dwal's (load.h).
 *
 * VARIANT "txn" (default): one insert into a table keyed by record number, committed with sync=on. "printf": log_printf and
 * log_flush(sync=on), which goes to the log alone. Log files are preallocated; nothing is evicted or checkpointed in a run.
 * Its committers yield while they wait for each other, so it falls off where threads outnumber the CPUs. */
#include <sys/stat.h>
#include <wiredtiger.h>

#include "perf/load.h"

static WT_CONNECTION *connection;
static bool is_log_only;

static void check(int result)
{
    if (result != 0)
        load_stop("wiredtiger", wiredtiger_strerror(result));
}

static void load_open(const struct load *load)
{
    char home[4096];
    snprintf(home, sizeof home, "%s/wiredtiger", load->directory);
    if (mkdir(home, 0700) != 0)
        load_stop("wiredtiger", "cannot make its directory");
    is_log_only = strcmp(load->variant, "printf") == 0;
    char config[512];
    snprintf(config, sizeof config,
             "create,cache_size=8G,session_max=300,checkpoint=(wait=0),eviction_dirty_trigger=95,"
             "eviction_dirty_target=90,eviction_trigger=97,eviction_target=95,statistics=(none),"
             "log=(enabled=true,archive=false,prealloc=true,file_max=%s,compressor=\"\"),"
             "transaction_sync=(enabled=true,method=fsync)",
             load->size >= 4096 ? "1GB" : "256MB");
    check(wiredtiger_open(home, NULL, config, &connection));
    WT_SESSION *session;
    check(connection->open_session(connection, NULL, NULL, &session));
    check(session->create(session, "table:log", "key_format=r,value_format=u,leaf_page_max=64KB,memory_page_max=64MB"));
    check(session->checkpoint(session, NULL));
    check(session->close(session, NULL));
}

static void insert(WT_SESSION *session, WT_CURSOR *cursor, const void *bytes, size_t size)
{
    int result;
    do {
        WT_ITEM value = {.data = bytes, .size = size};
        check(session->begin_transaction(session, NULL));
        cursor->set_value(cursor, &value);
        result = cursor->insert(cursor);
        if (result == WT_ROLLBACK)
            check(session->rollback_transaction(session, NULL));
    } while (result == WT_ROLLBACK);
    check(result);
    check(session->commit_transaction(session, "sync=on"));
}

static void load_commit(const void *bytes, size_t size)
{
    static _Thread_local WT_SESSION *session;
    static _Thread_local WT_CURSOR *cursor;
    if (!session) {
        check(connection->open_session(connection, NULL, "isolation=snapshot", &session));
        check(session->open_cursor(session, "table:log", NULL, "append", &cursor));
    }
    if (!is_log_only) {
        insert(session, cursor, bytes, size);
        return;
    }
    check(session->log_printf(session, "%.*s", (int)size, (const char *)bytes));
    check(session->log_flush(session, "sync=on"));
}

static void load_close(void)
{
    fflush(stdout);
    _Exit(0); /* a close would checkpoint the table, which is no part of this */
}

int main(int argument_count, char **arguments)
{
    return load_main(argument_count, arguments, "wiredtiger");
}
