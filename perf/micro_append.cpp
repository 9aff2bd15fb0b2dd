/* micro_append.cpp - what one append into the ring costs, for 1 to 4 producers: no durability in the measured part.
 *
 * A real log in a fresh directory under $TMPDIR or /var/tmp, with a ring that the timed part cannot fill: each thread
 * times a batch of appends, then waits, untimed, until the batch is durable. */
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <dwal/dwal.h>

namespace
{

dwal *the_log;
std::string the_place;
constexpr size_t batch_bytes = 512 << 10;

void stop(benchmark::State &state, const char *what)
{
    state.SkipWithError((std::string(what) + ": " + dwal_last_error()->text).c_str());
}

void open_log(const benchmark::State &)
{
    const char *base = std::getenv("TMPDIR");
    the_place = std::string(base ? base : "/var/tmp") + "/dwal-micro-XXXXXX";
    if (!mkdtemp(the_place.data()))
        std::abort();
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.ring_size = 32 << 20;
    options.volume_size = 128 << 20;
    options.blanks = 2;
    options.fill = DWAL_FILL_ALLOCATE;
    if (dwal_create(the_place.c_str(), &options) != 0 || dwal_open(the_place.c_str(), &options, &the_log) != 0)
        the_log = nullptr;
}

void close_log(const benchmark::State &)
{
    dwal_close(the_log);
    std::filesystem::remove_all(the_place);
}

void append(benchmark::State &state)
{
    if (!the_log)
        return stop(state, "open");
    std::vector<char> bytes(static_cast<size_t>(state.range(0)), 'x');
    struct iovec part = {bytes.data(), bytes.size()};
    struct dwal_entry entry = {nullptr, &part, 0, 1, 0};
    const size_t batch = batch_bytes / (bytes.size() + 20);
    for (auto _ : state) {
        uint64_t end = 0;
        auto start = std::chrono::steady_clock::now();
        for (size_t i = 0; i < batch; i++)
            if (dwal_append(the_log, &entry, nullptr, &end) != 0)
                return stop(state, "append");
        state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        if (dwal_sync(the_log, end) != 0)
            return stop(state, "sync");
    }
    const auto appends = static_cast<double>(state.iterations()) * static_cast<double>(batch);
    state.counters["each"] = benchmark::Counter(
        appends / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert | benchmark::Counter::kAvgThreads);
}
BENCHMARK(append)
    ->Arg(64)
    ->Arg(128)
    ->Arg(512)
    ->Arg(4096)
    ->Iterations(64)
    ->ThreadRange(1, 4)
    ->UseManualTime()
    ->Setup(open_log)
    ->Teardown(close_log);

} // namespace
