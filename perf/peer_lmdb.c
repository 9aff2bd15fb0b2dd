/* peer_lmdb.c - LMDB: one appending put for each synchronous transaction, in the same loop as dwal's (load.h).
 *
 * One writer at a time, no group commit, two flushes a commit (data, then the meta page); nothing to replay at open. VARIANT
 * is ignored. */
#include <lmdb.h>

#include "perf/load.h"

static MDB_env *environment;
static MDB_dbi table;
static uint64_t number;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void check(int result)
{
    if (result != 0)
        load_stop("lmdb", mdb_strerror(result));
}

static void load_open(const struct load *load)
{
    MDB_txn *transaction;
    check(mdb_env_create(&environment));
    check(mdb_env_set_mapsize(environment, (size_t)16 << 30));
    check(mdb_env_open(environment, load->directory, 0, 0600));
    check(mdb_txn_begin(environment, NULL, 0, &transaction));
    check(mdb_dbi_open(transaction, NULL, MDB_INTEGERKEY, &table));
    check(mdb_txn_commit(transaction));
}

static void load_commit(const void *bytes, size_t size)
{
    MDB_txn *transaction;
    pthread_mutex_lock(&mutex);
    number++;
    MDB_val key = {.mv_size = sizeof number, .mv_data = &number}, value = {.mv_size = size};
    memcpy(&value.mv_data, &bytes, sizeof bytes); /* it only reads */
    check(mdb_txn_begin(environment, NULL, 0, &transaction));
    check(mdb_put(transaction, table, &key, &value, MDB_APPEND));
    check(mdb_txn_commit(transaction));
    pthread_mutex_unlock(&mutex);
}

static void load_close(void)
{
    mdb_env_close(environment);
}

int main(int argument_count, char **arguments)
{
    return load_main(argument_count, arguments, "lmdb");
}
