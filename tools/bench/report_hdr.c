/* report_hdr.c - a run in the formats of HdrHistogram, which many plotters read; see report.h.
 *
 * .hgrm: the percentile distribution as text, values in microseconds. Log: one line for each contender, its histogram in
 * the compressed form V2 as base64, tagged with its label. Our buckets are HdrHistogram's for 1 ns .. 100 s and two
 * significant digits, so the counts go over one to one. The compressed form is a zlib stream, whose blocks may also be
 * stored as they are: a few hundred bytes need no compressor, and so no library. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/bench/file.h"
#include "tools/bench/report.h"

#define COOKIE            0x1c849313u /* V2, word size 0x10 */
#define COOKIE_COMPRESSED 0x1c849314u
#define HEADER_SIZE       40u
#define PAYLOAD_MAX       (DW_BENCH_BUCKETS * 9u)
#define STREAM_MAX        (HEADER_SIZE + PAYLOAD_MAX + 64u)
#define TICKS_PER_HALF    5 /* lines of the percentile text for each halving of the distance to 100 % */

/* ---- .hgrm -------------------------------------------------------------------------------------------------------------*/

static uint64_t upper_edge(const struct dw_bench_histogram *histogram, uint32_t bucket)
{
    uint64_t high = dw_bench_bucket_high(bucket), max = dw_bench_get(&histogram->max);
    return high > max && max <= DW_BENCH_LONGEST ? max : high;
}

static void write_percentiles(FILE *file, const struct dw_bench_histogram *histogram)
{
    uint64_t count = dw_bench_get(&histogram->count), seen = 0;
    double next = 0; /* percent to be told next */
    fputs("       Value     Percentile TotalCount 1/(1-Percentile)\n\n", file);
    for (uint32_t i = 0; i < DW_BENCH_BUCKETS && seen < count; i++) {
        uint64_t here = dw_bench_get(&histogram->buckets[i]);
        seen += here;
        double percent = 100.0 * (double)seen / (double)count;
        while (here > 0 && next < 100 && percent >= next && seen < count) {
            fprintf(file, "%12.3f %2.12f %10" PRIu64 " %14.2f\n", (double)upper_edge(histogram, i) / 1000, next / 100,
                    seen, 1 / (1 - next / 100));
            double halvings = floor(log2(100 / (100 - next))) + 1;
            next += 100 / (TICKS_PER_HALF * exp2(halvings));
        }
    }
    if (count > 0)
        fprintf(file, "%12.3f %2.12f %10" PRIu64 "\n", (double)dw_bench_get(&histogram->max) / 1000, 1.0, count);
    fprintf(file, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", dw_bench_mean(histogram) / 1000,
            dw_bench_deviation(histogram) / 1000);
    fprintf(file, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n", (double)dw_bench_get(&histogram->max) / 1000,
            count);
    fprintf(file, "#[Buckets = %12d, SubBuckets     = %12d]\n", 30, 256);
}

/* The label without what file names should not have. */
static void plain_label(const char *label, char *plain, size_t size)
{
    size_t n = 0;
    for (; label[n] && n + 1 < size; n++)
        plain[n] = strchr(" /,\"'\\", label[n]) ? '-' : label[n];
    plain[n] = 0;
}

int dw_bench_report_hgrm(const struct dw_bench_run *run, const char *path)
{
    const char *percent = strchr(path, '%');
    if (!percent && run->contender_count > 1)
        return -EISDIR; /* several contenders do not fit into one file */
    for (uint32_t i = 0; i < run->contender_count; i++) {
        char name[4608], label[256];
        plain_label(run->contenders[i]->label, label, sizeof label);
        if (percent)
            (void)snprintf(name, sizeof name, "%.*s%s%s", (int)(percent - path), path, label, percent + 1);
        else
            (void)snprintf(name, sizeof name, "%s", path);
        FILE *file = dw_bench_file_open(name);
        if (!file)
            return -errno;
        write_percentiles(file, dw_bench_latency(run->contenders[i]));
        int result = dw_bench_file_close(file);
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---- log -----------------------------------------------------------------------------------------------------------------*/

struct bytes {
    uint8_t *at;
};

static void put_big(struct bytes *bytes, uint64_t value, unsigned size)
{
    for (unsigned i = size; i > 0; i--)
        *bytes->at++ = (uint8_t)(value >> (8 * (i - 1)));
}

/* ZigZag, then seven bits to a byte, low ones first; a ninth byte holds eight. */
static void put_signed(struct bytes *bytes, int64_t value)
{
    uint64_t bits = ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
    for (int i = 0; i < 8 && bits > 0x7f; i++) {
        *bytes->at++ = (uint8_t)(bits | 0x80);
        bits >>= 7;
    }
    *bytes->at++ = (uint8_t)bits;
}

/* Counts up to the last that is not zero; a run of zeros is its negative length. */
static size_t encode_counts(const struct dw_bench_histogram *histogram, uint8_t *to)
{
    struct bytes bytes = {to};
    int64_t zeros = 0;
    for (uint32_t i = 0; i < DW_BENCH_BUCKETS; i++) {
        uint64_t count = dw_bench_get(&histogram->buckets[i]);
        if (count == 0) {
            zeros++;
            continue;
        }
        if (zeros == 1)
            put_signed(&bytes, 0);
        else if (zeros > 1)
            put_signed(&bytes, -zeros);
        zeros = 0;
        put_signed(&bytes, (int64_t)count);
    }
    return (size_t)(bytes.at - to);
}

static size_t encode_histogram(const struct dw_bench_histogram *histogram, uint8_t *to)
{
    struct bytes bytes = {to};
    size_t payload = encode_counts(histogram, to + HEADER_SIZE);
    double ratio = 1;
    uint64_t ratio_bits;
    memcpy(&ratio_bits, &ratio, sizeof ratio_bits);
    put_big(&bytes, COOKIE, 4);
    put_big(&bytes, payload, 4);
    put_big(&bytes, 0, 4); /* normalizing index offset */
    put_big(&bytes, 2, 4); /* significant digits */
    put_big(&bytes, 1, 8); /* lowest value told apart */
    put_big(&bytes, DW_BENCH_LONGEST, 8);
    put_big(&bytes, ratio_bits, 8);
    return HEADER_SIZE + payload;
}

/* A zlib stream of stored blocks. */
static size_t wrap(const uint8_t *from, size_t size, uint8_t *to)
{
    struct bytes bytes = {to};
    put_big(&bytes, 0x7801, 2);
    uint32_t a = 1, b = 0;
    for (size_t at = 0; at < size;) {
        size_t piece = size - at < 65535 ? size - at : 65535;
        *bytes.at++ = at + piece == size;
        *bytes.at++ = (uint8_t)piece;
        *bytes.at++ = (uint8_t)(piece >> 8);
        *bytes.at++ = (uint8_t)~piece;
        *bytes.at++ = (uint8_t)(~piece >> 8);
        for (size_t i = 0; i < piece; i++) {
            *bytes.at++ = from[at + i];
            a = (a + from[at + i]) % 65521; /* adler32 */
            b = (b + a) % 65521;
        }
        at += piece;
    }
    put_big(&bytes, (uint64_t)b << 16 | a, 4);
    return (size_t)(bytes.at - to);
}

static void write_base64(FILE *file, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t word = (uint32_t)bytes[i] << 16;
        word |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        word |= left > 2 ? (uint32_t)bytes[i + 2] : 0;
        fputc(digits[word >> 18], file);
        fputc(digits[word >> 12 & 63], file);
        fputc(left > 1 ? digits[word >> 6 & 63] : '=', file);
        fputc(left > 2 ? digits[word & 63] : '=', file);
    }
}

static int write_histogram(FILE *file, const struct dw_bench_histogram *histogram)
{
    uint8_t *plain = malloc(STREAM_MAX), *stream = malloc(STREAM_MAX + 8);
    if (plain && stream) {
        size_t size = wrap(plain, encode_histogram(histogram, plain), stream + 8);
        struct bytes head = {stream};
        put_big(&head, COOKIE_COMPRESSED, 4);
        put_big(&head, size, 4);
        write_base64(file, stream, size + 8);
    }
    bool is_written = plain && stream;
    free(plain);
    free(stream);
    return is_written ? 0 : -ENOMEM;
}

int dw_bench_report_log(const struct dw_bench_run *run, const char *path)
{
    FILE *file = dw_bench_file_open(path);
    if (!file)
        return -errno;
    time_t seconds = (time_t)(run->start_time_ns / 1000000000u);
    char when[64] = "";
    struct tm parts;
    if (gmtime_r(&seconds, &parts))
        (void)strftime(when, sizeof when, "%a %b %d %H:%M:%S UTC %Y", &parts);
    fprintf(file, "#[Logged with dwal bench]\n#[Histogram log format version 1.3]\n");
    fprintf(file, "#[StartTime: %.3f (seconds since epoch), %s]\n", (double)run->start_time_ns / 1e9, when);
    fprintf(file, "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"HdrHistogram\"\n");
    int result = 0;
    for (uint32_t i = 0; i < run->contender_count && result == 0; i++) {
        const struct dw_bench_contender *contender = run->contenders[i];
        char label[256];
        plain_label(contender->label, label, sizeof label);
        fprintf(file, "Tag=%s,0.000,%.3f,%.3f,", label, (double)contender->measured_ns / 1e9,
                (double)dw_bench_get(&dw_bench_latency(contender)->max) / 1e6);
        result = write_histogram(file, dw_bench_latency(contender));
        fputc('\n', file);
    }
    int closed = dw_bench_file_close(file);
    return result ? result : closed;
}
