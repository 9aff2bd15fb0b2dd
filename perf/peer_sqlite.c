/* peer_sqlite.c - SQLite in WAL mode with synchronous=FULL, one INSERT a transaction, in the same loop as dwal's (load.h).
 *
 * One connection under a mutex: it admits one writer and has no group commit. A B-tree stands on top of its log. VARIANT is
 * ignored. */
#include <sqlite3.h>

#include "perf/load.h"

static sqlite3 *database;
static sqlite3_stmt *statement;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void check(int result)
{
    if (result != SQLITE_OK && result != SQLITE_DONE)
        load_stop("sqlite", sqlite3_errmsg(database));
}

static void load_open(const struct load *load)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/sqlite", load->directory);
    check(sqlite3_open(path, &database));
    check(sqlite3_exec(database,
                       "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                       "PRAGMA locking_mode=EXCLUSIVE; CREATE TABLE log(number INTEGER PRIMARY KEY, bytes BLOB)",
                       NULL, NULL, NULL));
    check(sqlite3_prepare_v2(database, "INSERT INTO log(bytes) VALUES(?)", -1, &statement, NULL));
}

static void load_commit(const void *bytes, size_t size)
{
    pthread_mutex_lock(&mutex);
    check(sqlite3_bind_blob(statement, 1, bytes, (int)size, SQLITE_STATIC));
    check(sqlite3_step(statement));
    check(sqlite3_reset(statement));
    pthread_mutex_unlock(&mutex);
}

static void load_close(void)
{
    check(sqlite3_finalize(statement));
    check(sqlite3_close(database));
}

int main(int argument_count, char **arguments)
{
    return load_main(argument_count, arguments, "sqlite");
}
