/* rocksdb_put.cpp - the neighbour: RocksDB's write-ahead log at its best, in the same loop as dwal's (load.h).
 *
 * VARIANT "put" (default): Put with sync = true, as an application would. It also fills a memtable: say so when quoting.
 * "logdata": WriteBatch::PutLogData, which goes to the log alone, into a recycled file that was written before, so that
 * no sync is also a journal commit of the file system: its best case. It needs a recovery mode that skips damage
 * silently, a weaker promise than dwal's.
 * No flush, no compaction, no statistics dump happens in a run. The database is left in DIRECTORY/rocksdb. */
#include <atomic>
#include <cstring>
#include <memory>
#include <string>

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include "perf/load.h"

static std::unique_ptr<rocksdb::DB> database;
static std::atomic<uint64_t> next_key;
static bool is_log_only;

static void check(const rocksdb::Status &status, const char *what)
{
    if (!status.ok())
        load_stop(what, status.ToString().c_str());
}

static std::string make_key()
{
    uint64_t key = __builtin_bswap64(next_key.fetch_add(1, std::memory_order_relaxed));
    return std::string(reinterpret_cast<const char *>(&key), sizeof key);
}

static rocksdb::Options make_options(const struct load *load)
{
    rocksdb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = static_cast<size_t>(load->bytes_max + (UINT64_C(512) << 20));
    options.arena_block_size = 8 << 20;
    options.max_total_wal_size = UINT64_C(20) << 30;
    options.disable_auto_compactions = true;
    options.avoid_flush_during_shutdown = true;
    options.compression = rocksdb::kNoCompression;
    options.stats_dump_period_sec = 0;
    options.stats_persist_period_sec = 0;
    if (is_log_only) {
        options.recycle_log_file_num = 2;
        /* Other modes switch recycling off without a word. */
        options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
    }
    return options;
}

/* Fill one log with real bytes, retire it, and come back to it: what follows overwrites. */
static void recycle_log(uint64_t size)
{
    std::string piece(1 << 20, 'r');
    for (uint64_t done = 0; done < size; done += piece.size()) {
        rocksdb::WriteBatch batch;
        batch.PutLogData(piece);
        check(database->Write(rocksdb::WriteOptions(), &batch), "fill");
    }
    rocksdb::WriteOptions durable;
    durable.sync = true;
    for (int turn = 0; turn < 2; turn++) { /* twice, so that the big file is the one that comes back */
        check(database->Put(durable, make_key(), "x"), "turn");
        check(database->Flush(rocksdb::FlushOptions()), "turn");
        perf_sleep_ns(UINT64_C(50000000));
    }
}

static void load_open(const struct load *load)
{
    is_log_only = std::strcmp(load->variant, "logdata") == 0;
    rocksdb::DB *opened = nullptr;
    check(rocksdb::DB::Open(make_options(load), std::string(load->directory) + "/rocksdb", &opened), "open");
    database.reset(opened);
    if (is_log_only)
        recycle_log(UINT64_C(256) << 20);
}

static void load_commit(const void *bytes, size_t size)
{
    rocksdb::WriteOptions durable;
    durable.sync = true;
    rocksdb::Slice value(static_cast<const char *>(bytes), size);
    if (!is_log_only) {
        check(database->Put(durable, make_key(), value), "put");
        return;
    }
    rocksdb::WriteBatch batch(size + 32);
    batch.PutLogData(value);
    check(database->Write(durable, &batch), "write");
}

static void load_close()
{
    database.reset();
}

int main(int argument_count, char **arguments)
{
    return load_main(argument_count, arguments, "rocksdb");
}
