/* test_slots.c - the map of a device's slots: choices, wear, quotas, sharing; and a long random walk beside a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "alloc/alloc.h"
#include "alloc/slots.h"

static void take(struct dw_slots *slots, uint32_t owner, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        uint32_t slot;
        assert_int_equal(dw_slots_choose(slots, owner, &slot), 0);
        assert_int_equal(dw_slots_take(slots, slot, owner), 0);
    }
}

static struct dw_slots *make(uint32_t count, uint32_t owners)
{
    struct dw_slots *slots = dw_slots_create(count);
    assert_non_null(slots);
    for (uint32_t i = 0; i < owners; i++)
        dw_slots_set_owner(slots, i, true, 0);
    return slots;
}

static void one_owner_gets_every_slot_and_then_none(void **state)
{
    (void)state;
    struct dw_slots *slots = make(5, 1);
    uint32_t slot;
    take(slots, 0, 5);
    assert_int_equal(dw_slots_choose(slots, 0, &slot), -ENOSPC);
    assert_int_equal(dw_slots_give(slots, 3, 0), 0);
    assert_int_equal(dw_slots_choose(slots, 0, &slot), 0);
    assert_int_equal(slot, 3);
    dw_slots_destroy(slots);
}

static void a_slot_claimed_twice_is_refused_and_stays_with_the_first(void **state)
{
    (void)state;
    struct dw_slots *slots = make(4, 2);
    assert_int_equal(dw_slots_take(slots, 2, 0), 0);
    assert_int_equal(dw_slots_take(slots, 2, 1), -EEXIST);
    assert_int_equal(dw_slots_take(slots, 2, 0), -EEXIST);
    assert_int_equal(dw_slots_owner(slots, 2), 0);
    assert_int_equal(dw_slots_give(slots, 2, 1), -EPERM);
    assert_int_equal(dw_slots_give(slots, 2, 0), 0);
    assert_int_equal(dw_slots_give(slots, 2, 0), -EPERM);
    dw_slots_destroy(slots);
}

static void a_damaged_slot_is_never_handed_out(void **state)
{
    (void)state;
    struct dw_slots *slots = make(3, 1);
    uint32_t slot;
    dw_slots_set(slots, 1, DW_SLOT_DAMAGED, 0);
    take(slots, 0, 2);
    assert_int_equal(dw_slots_choose(slots, 0, &slot), -ENOSPC);
    assert_int_equal(dw_slots_take(slots, 1, 0), -EEXIST);
    assert_int_equal(dw_slots_owner(slots, 1), DW_SLOT_DAMAGED);
    dw_slots_destroy(slots);
}

/* A log that rotates through a few volumes comes round to all slots, so none wears out before the others. */
static void wear_spreads_over_all_slots(void **state)
{
    (void)state;
    struct dw_slots *slots = make(16, 1);
    struct dw_slots_summary summary;
    for (uint32_t i = 0; i < 16 * 50; i++) {
        uint32_t slot;
        assert_int_equal(dw_slots_choose(slots, 0, &slot), 0);
        assert_int_equal(dw_slots_take(slots, slot, 0), 0);
        dw_slots_use(slots, slot);
        assert_int_equal(dw_slots_give(slots, slot, 0), 0);
    }
    dw_slots_summarize(slots, &summary);
    assert_int_equal(summary.uses_least, 50);
    assert_int_equal(summary.uses_most, 50);
    assert_int_equal(summary.uses_total, 16 * 50);
    dw_slots_destroy(slots);
}

static void the_least_used_slot_comes_first(void **state)
{
    (void)state;
    struct dw_slots *slots = make(4, 1);
    for (uint32_t i = 0; i < 4; i++)
        dw_slots_set(slots, i, DW_SLOT_FREE, i == 2 ? 3 : 7);
    uint32_t slot;
    assert_int_equal(dw_slots_choose(slots, 0, &slot), 0);
    assert_int_equal(slot, 2);
    dw_slots_destroy(slots);
}

static void a_quota_limits_its_owner_only(void **state)
{
    (void)state;
    struct dw_slots *slots = make(8, 2);
    uint32_t slot;
    dw_slots_set_owner(slots, 0, true, 2);
    take(slots, 0, 2);
    assert_int_equal(dw_slots_choose(slots, 0, &slot), -EDQUOT);
    take(slots, 1, 6);
    assert_int_equal(dw_slots_choose(slots, 1, &slot), -ENOSPC);
    dw_slots_destroy(slots);
}

static void the_greedy_leave_room_for_those_below_their_share(void **state)
{
    (void)state;
    struct dw_slots *slots = make(12, 3); /* a share is 4 */
    uint32_t slot;
    take(slots, 0, 8); /* 12 - 8 = 4 are kept: 2 for each of the two others */
    assert_int_equal(dw_slots_choose(slots, 0, &slot), -ENOSPC);
    take(slots, 1, 2);
    take(slots, 2, 2);
    assert_int_equal(dw_slots_choose(slots, 1, &slot), -ENOSPC); /* really full */
    dw_slots_set_owner(slots, 2, false, 0);                      /* an owner that is gone needs no room */
    assert_int_equal(dw_slots_give(slots, 0, 0), 0);
    assert_int_equal(dw_slots_choose(slots, 1, &slot), 0);
    dw_slots_destroy(slots);
}

static void growing_adds_free_slots_and_keeps_the_rest(void **state)
{
    (void)state;
    struct dw_slots *slots = make(2, 1);
    take(slots, 0, 2);
    dw_slots_use(slots, 1);
    assert_int_equal(dw_slots_grow(slots, 5), 0);
    struct dw_slots_summary summary;
    dw_slots_summarize(slots, &summary);
    assert_int_equal(summary.total, 5);
    assert_int_equal(summary.free, 3);
    assert_int_equal(summary.owned[0], 2);
    assert_int_equal(summary.longest_free_run, 3);
    assert_int_equal(summary.longest_free_at, 2);
    assert_int_equal(dw_slots_uses(slots, 1), 1);
    dw_slots_destroy(slots);
}

static void no_memory_is_no_map(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        dw_alloc_fail_at(n, false);
        assert_null(dw_slots_create(4));
        dw_alloc_fail_at(0, false);
    }
    struct dw_slots *slots = make(4, 1);
    dw_alloc_fail_at(1, false);
    assert_int_equal(dw_slots_grow(slots, 9), -ENOMEM);
    dw_alloc_fail_at(0, false);
    assert_int_equal(dw_slots_count(slots), 4);
    dw_slots_destroy(slots);
    assert_int_equal(dw_alloc_bytes(), 0);
}

/* ---- a random walk ---- */

enum { MODEL_SLOTS = 23, MODEL_OWNERS = 4, MODEL_STEPS = 200000 };

struct model {
    uint32_t owner[MODEL_SLOTS];
    uint64_t uses[MODEL_SLOTS];
    uint32_t quota[MODEL_OWNERS];
    bool is_there[MODEL_OWNERS];
};

static uint32_t draw(uint64_t *random, uint32_t limit)
{
    uint64_t z = (*random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) % limit);
}

static uint32_t count_of(const struct model *model, uint32_t owner)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < MODEL_SLOTS; i++)
        count += model->owner[i] == owner;
    return count;
}

static uint32_t share_of(const struct model *model, uint32_t owner)
{
    uint32_t owners = 0;
    for (uint32_t i = 0; i < MODEL_OWNERS; i++)
        owners += model->is_there[i];
    uint32_t share = MODEL_SLOTS / (owners ? owners : 1);
    return model->quota[owner] && model->quota[owner] < share ? model->quota[owner] : share;
}

/* The rule of slots.h, said a second time. */
static int expected(const struct model *model, uint32_t owner)
{
    uint32_t kept = 0, free = count_of(model, DW_SLOT_FREE);
    if (model->quota[owner] && count_of(model, owner) >= model->quota[owner])
        return -EDQUOT;
    for (uint32_t i = 0; i < MODEL_OWNERS; i++) {
        uint32_t share = share_of(model, i), owned = count_of(model, i);
        if (i != owner && model->is_there[i] && owned < share)
            kept += share - owned < DW_SLOTS_KEPT ? share - owned : DW_SLOTS_KEPT;
    }
    bool is_below = count_of(model, owner) < share_of(model, owner);
    return free > (is_below ? 0 : kept) ? 0 : -ENOSPC;
}

static void check_choice(const struct model *model, uint32_t slot)
{
    assert_int_equal(model->owner[slot], DW_SLOT_FREE);
    for (uint32_t i = 0; i < MODEL_SLOTS; i++)
        assert_false(model->owner[i] == DW_SLOT_FREE && model->uses[i] < model->uses[slot]);
}

static void check_summary(const struct model *model, const struct dw_slots *slots)
{
    struct dw_slots_summary summary;
    dw_slots_summarize(slots, &summary);
    assert_int_equal(summary.free, count_of(model, DW_SLOT_FREE));
    assert_int_equal(summary.damaged, count_of(model, DW_SLOT_DAMAGED));
    uint32_t run = 0, longest = 0;
    for (uint32_t i = 0; i < MODEL_SLOTS; i++) {
        run = model->owner[i] == DW_SLOT_FREE ? run + 1 : 0;
        longest = run > longest ? run : longest;
        assert_int_equal(dw_slots_owner(slots, i), model->owner[i]);
        assert_true(dw_slots_uses(slots, i) == model->uses[i]);
    }
    assert_int_equal(summary.longest_free_run, longest);
    for (uint32_t i = 0; i < MODEL_OWNERS; i++)
        assert_int_equal(summary.owned[i], count_of(model, i));
}

static void step(struct model *model, struct dw_slots *slots, uint64_t *random)
{
    uint32_t owner = draw(random, MODEL_OWNERS), slot = draw(random, MODEL_SLOTS), chosen;
    switch (draw(random, 8)) {
    case 0:
        model->is_there[owner] = draw(random, 4) != 0;
        model->quota[owner] = draw(random, 3) ? 0 : 1 + draw(random, MODEL_SLOTS);
        dw_slots_set_owner(slots, owner, model->is_there[owner], model->quota[owner]);
        break;
    case 1: /* what a look at the device says */
        model->owner[slot] = draw(random, 9) == 0 ? DW_SLOT_DAMAGED : draw(random, 2) ? owner : DW_SLOT_FREE;
        model->uses[slot] = draw(random, 9);
        dw_slots_set(slots, slot, model->owner[slot], model->uses[slot]);
        break;
    case 2:
        assert_int_equal(dw_slots_take(slots, slot, owner), model->owner[slot] == DW_SLOT_FREE ? 0 : -EEXIST);
        if (model->owner[slot] == DW_SLOT_FREE)
            model->owner[slot] = owner;
        break;
    case 3:
    case 4:
        assert_int_equal(dw_slots_give(slots, slot, owner), model->owner[slot] == owner ? 0 : -EPERM);
        if (model->owner[slot] == owner)
            model->owner[slot] = DW_SLOT_FREE;
        break;
    default:
        assert_int_equal(dw_slots_choose(slots, owner, &chosen), expected(model, owner));
        if (expected(model, owner) != 0)
            break;
        check_choice(model, chosen);
        assert_int_equal(dw_slots_take(slots, chosen, owner), 0);
        dw_slots_use(slots, chosen);
        model->owner[chosen] = owner;
        model->uses[chosen]++;
    }
}

static void a_random_walk_agrees_with_the_model(void **state)
{
    (void)state;
    uint64_t random = 7;
    struct model model = {0};
    struct dw_slots *slots = dw_slots_create(MODEL_SLOTS);
    assert_non_null(slots);
    for (uint32_t i = 0; i < MODEL_SLOTS; i++)
        model.owner[i] = DW_SLOT_FREE;
    for (uint32_t i = 0; i < MODEL_STEPS; i++) {
        step(&model, slots, &random);
        if (i % 64 == 0)
            check_summary(&model, slots);
    }
    dw_slots_destroy(slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_owner_gets_every_slot_and_then_none),
        cmocka_unit_test(a_slot_claimed_twice_is_refused_and_stays_with_the_first),
        cmocka_unit_test(a_damaged_slot_is_never_handed_out),
        cmocka_unit_test(wear_spreads_over_all_slots),
        cmocka_unit_test(the_least_used_slot_comes_first),
        cmocka_unit_test(a_quota_limits_its_owner_only),
        cmocka_unit_test(the_greedy_leave_room_for_those_below_their_share),
        cmocka_unit_test(growing_adds_free_slots_and_keeps_the_rest),
        cmocka_unit_test(no_memory_is_no_map),
        cmocka_unit_test(a_random_walk_agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
