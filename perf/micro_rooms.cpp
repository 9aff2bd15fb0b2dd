/* micro_rooms.cpp - what one operation of a private room costs: checksum, encode, decode, seal, scan, histogram. */
#include <vector>

#include <benchmark/benchmark.h>

#include "perf/measure.h"
#include "perf/micro_rooms.h"

namespace
{

std::vector<unsigned char> random_bytes(size_t size)
{
    std::vector<unsigned char> bytes(size);
    perf_fill_random(bytes.data(), size, 1);
    return bytes;
}

void crc32c(benchmark::State &state)
{
    auto bytes = random_bytes(static_cast<size_t>(state.range(0)));
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_crc32c(bytes.data(), bytes.size()));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(crc32c)->Arg(16)->Arg(64)->Arg(128)->Arg(192)->Arg(256)->Arg(512)->Arg(1024)->Arg(4096)->Arg(65536);

/* Of so many bytes of disk each. */
void count_blocks(benchmark::State &state, size_t size)
{
    state.SetItemsProcessed(state.iterations());
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size));
}

void block_encode(benchmark::State &state)
{
    micro_rooms_init();
    alignas(4096) static unsigned char block[MICRO_BLOCK_SIZE];
    uint64_t number = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_block_encode(block, number++));
    count_blocks(state, MICRO_BLOCK_SIZE);
}
BENCHMARK(block_encode);

void block_decode(benchmark::State &state)
{
    micro_rooms_init();
    alignas(4096) static unsigned char block[MICRO_BLOCK_SIZE];
    micro_block_encode(block, 7);
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_block_decode(block, 7));
    count_blocks(state, MICRO_BLOCK_SIZE);
}
BENCHMARK(block_decode);

void toc_encode(benchmark::State &state)
{
    micro_rooms_init();
    const auto table = static_cast<uint32_t>(state.range(0));
    auto area = random_bytes(micro_toc_area_size(table));
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_toc_encode(area.data(), table));
    count_blocks(state, area.size());
}
BENCHMARK(toc_encode)->Arg(MICRO_TABLE_NONE)->Arg(MICRO_TABLE_LARGE);

void toc_decode(benchmark::State &state)
{
    micro_rooms_init();
    const auto table = static_cast<uint32_t>(state.range(0));
    auto area = random_bytes(micro_toc_area_size(table));
    micro_toc_encode(area.data(), table);
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_toc_decode(area.data(), table));
    count_blocks(state, area.size());
}
BENCHMARK(toc_decode)->Arg(MICRO_TABLE_NONE)->Arg(MICRO_TABLE_LARGE);

void superblock_encode(benchmark::State &state)
{
    micro_rooms_init();
    alignas(4096) static unsigned char block[MICRO_BLOCK_SIZE];
    uint64_t sequence = 1;
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_superblock_encode(block, sequence++));
    count_blocks(state, MICRO_BLOCK_SIZE);
}
BENCHMARK(superblock_encode);

void superblock_decode(benchmark::State &state)
{
    micro_rooms_init();
    alignas(4096) static unsigned char block[MICRO_BLOCK_SIZE];
    micro_superblock_encode(block, 1);
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_superblock_decode(block));
    count_blocks(state, MICRO_BLOCK_SIZE);
}
BENCHMARK(superblock_decode);

void seal_padded(benchmark::State &state)
{
    micro_seal_open();
    const auto size = static_cast<uint32_t>(state.range(0));
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_seal_padded(size));
    count_blocks(state, MICRO_BLOCK_SIZE);
    micro_seal_close();
}
BENCHMARK(seal_padded)->Arg(64)->Arg(512)->Arg(3500);

void seal_full(benchmark::State &state)
{
    micro_seal_open();
    const auto count = static_cast<uint32_t>(state.range(0));
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_seal_full(count));
    state.SetItemsProcessed(state.iterations() * count);
    state.SetBytesProcessed(state.iterations() * count * MICRO_BLOCK_SIZE);
    micro_seal_close();
}
BENCHMARK(seal_full)->Arg(1)->Arg(16)->Arg(256);

void scan(benchmark::State &state)
{
    auto volume = micro_walk_make(static_cast<uint32_t>(state.range(0)));
    for (auto _ : state)
        if (micro_walk_count(&volume) != volume.entries) {
            state.SkipWithError("the walk did not find every entry");
            break;
        }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(volume.entries));
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(volume.data_bytes));
    micro_walk_free(&volume);
}
BENCHMARK(scan)->Arg(64)->Arg(512)->Arg(4096)->Arg(65536)->Unit(benchmark::kMillisecond);

void payload_write(benchmark::State &state)
{
    micro_rooms_init();
    alignas(4096) static unsigned char block[MICRO_BLOCK_SIZE];
    auto bytes = random_bytes(static_cast<size_t>(state.range(0)));
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_payload_write(block, bytes.data(), bytes.size()));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(payload_write)->Arg(64)->Arg(128)->Arg(512)->Arg(3500);

void record_encode(benchmark::State &state)
{
    micro_rooms_init();
    auto bytes = random_bytes(static_cast<size_t>(state.range(0)));
    uint64_t lsn = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_record_encode(lsn += 256, bytes.data(), static_cast<uint32_t>(bytes.size())));
    state.SetItemsProcessed(state.iterations());
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(record_encode)->Arg(64)->Arg(128)->Arg(1024)->Arg(4096);

void record_decode(benchmark::State &state)
{
    micro_rooms_init();
    const auto size = static_cast<uint32_t>(state.range(0));
    auto data = random_bytes(size), record = random_bytes(size + 20);
    micro_record_put(record.data(), 4096, data.data(), size);
    for (auto _ : state)
        if (micro_record_decode(record.data(), 4096) != size)
            return state.SkipWithError("the record does not check");
    state.SetItemsProcessed(state.iterations());
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(record_decode)->Arg(64)->Arg(128)->Arg(1024)->Arg(4096);

void histogram_record(benchmark::State &state)
{
    uint64_t value = 100000;
    for (auto _ : state)
        micro_histogram_record(value = value * 5 % 1000003);
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(histogram_record)->Threads(1)->Threads(2);

} // namespace
