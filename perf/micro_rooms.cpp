/* micro_rooms.cpp - what one operation of a private room costs: checksum, block, record, histogram. */
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

void block_encode(benchmark::State &state)
{
    micro_rooms_init();
    alignas(4096) static unsigned char block[MICRO_BLOCK_SIZE];
    uint64_t number = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_block_encode(block, number++));
}
BENCHMARK(block_encode);

void block_decode(benchmark::State &state)
{
    micro_rooms_init();
    alignas(4096) static unsigned char block[MICRO_BLOCK_SIZE];
    micro_block_encode(block, 7);
    for (auto _ : state)
        benchmark::DoNotOptimize(micro_block_decode(block, 7));
}
BENCHMARK(block_decode);

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
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(record_encode)->Arg(64)->Arg(128)->Arg(1024)->Arg(4096);

void histogram_record(benchmark::State &state)
{
    uint64_t value = 100000;
    for (auto _ : state)
        micro_histogram_record(value = value * 5 % 1000003);
}
BENCHMARK(histogram_record)->Threads(1)->Threads(2);

} // namespace
