/* test_choice_cache.c - the text in which measurements are remembered: read back as written, and never when damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/log/choice_cache.h"

static void made_up(struct dw_measured *measured)
{
    *measured = (struct dw_measured){.key = "dwal 0, kernel 9, a place", .time_ns = 17, .row_count = 3};
    for (uint32_t i = 0; i < measured->row_count; i++) {
        measured->rows[i] = (struct dwal_timing){.way = i == 2 ? DWAL_WAY_FLUSH : DWAL_WAY_DSYNC,
                                                 .size = 4096u << i,
                                                 .count = 64 + i,
                                                 .p50_ns = 10 + i,
                                                 .p90_ns = 20 + i,
                                                 .p99_ns = 30 + i,
                                                 .max_ns = UINT64_MAX - 100};
        snprintf(measured->rows[i].backend, sizeof measured->rows[i].backend, "%s", i == 1 ? "uring" : "sync");
    }
}

static void text_of_figures_is_read_back_and_damage_is_seen(void **state)
{
    (void)state;
    struct dw_measured measured, back;
    made_up(&measured);
    char text[DW_MEASURED_TEXT_SIZE];
    measured.rows[0].max_ns = 1234567890123456789u;
    measured.rows[1].max_ns = measured.rows[2].max_ns = 99;
    size_t size = dw_measured_encode(&measured, text);
    assert_true(dw_measured_decode(text, &back));
    assert_memory_equal(&back, &measured, sizeof back);
    for (size_t i = 0; i < size; i++) {
        char byte = text[i];
        text[i] = (char)(byte ^ 4);
        assert_false(dw_measured_decode(text, &back));
        text[i] = '\0';
        assert_false(dw_measured_decode(text, &back));
        text[i] = byte;
    }
    assert_true(dw_measured_decode(text, &back));
}

static void a_key_tells_places_apart_and_is_one_line(void **state)
{
    (void)state;
    struct dw_probe probe = {.direct_alignment = 0};
    struct dw_probe_system system = {.release = "6.18.0", .cpu_count = 2};
    char first[DW_MEASURED_KEY_SIZE], other[DW_MEASURED_KEY_SIZE];
    snprintf(probe.mount.type, sizeof probe.mount.type, "ext4");
    snprintf(probe.device.name, sizeof probe.device.name, "sda");
    snprintf(probe.device.identity, sizeof probe.device.identity, "serial\nwith a line\x01");
    dw_measured_key(&probe, &system, false, first);
    assert_null(strpbrk(first, "\n\x01"));
    dw_measured_key(&probe, &system, true, other);
    assert_string_not_equal(first, other);
    system.cpu_count = 3;
    dw_measured_key(&probe, &system, false, other);
    assert_string_not_equal(first, other);
    system.cpu_count = 2;
    probe.device.has_volatile_cache = DW_FACT_NO; /* somebody wrote to queue/write_cache */
    dw_measured_key(&probe, &system, false, other);
    assert_string_not_equal(first, other);
    probe.device.has_volatile_cache = DW_FACT_UNKNOWN;
    dw_measured_key(&probe, &system, false, other);
    assert_string_equal(first, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_figures_is_read_back_and_damage_is_seen),
        cmocka_unit_test(a_key_tells_places_apart_and_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
