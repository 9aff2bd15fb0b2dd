/* image_damage.c - what a device or a careless hand does to an image: see image.h. */
#include <string.h>

#include "base/assert.h"
#include "tests/lib/image.h"

void dw_image_lose(struct dw_image *image, uint64_t block)
{
    dw_image_make_old_block(image, block, dw_image_block(image, block));
}

void dw_image_lose_sector(struct dw_image *image, uint64_t block, uint32_t sector)
{
    uint8_t old[4096];
    uint32_t size = image->geometry.sector_size;
    dw_image_make_old_block(image, block, old);
    memcpy(dw_image_block(image, block) + (size_t)sector * size, old + (size_t)sector * size, size);
}

void dw_image_garble_sector(struct dw_image *image, uint64_t block, uint32_t sector)
{
    uint32_t size = image->geometry.sector_size;
    uint8_t *bytes = dw_image_block(image, block) + (size_t)sector * size;
    for (uint32_t i = 0; i < size; i++)
        bytes[i] = dw_image_byte(block * 31 + sector, i);
    uint32_t alien = dw_tag_of_volume(&image->identity, DW_VOLUME_NUMBER_MAX);
    memcpy(bytes, &alien, sizeof alien);
}

void dw_image_misdirect(struct dw_image *image, uint64_t block, uint64_t over)
{
    memcpy(dw_image_block(image, over), dw_image_block(image, block), image->geometry.block_size);
    dw_image_lose(image, block);
}

void dw_image_flip(struct dw_image *image, uint32_t number, uint64_t byte, uint32_t bit)
{
    dw_image_volume(image, number)->bytes[byte] ^= (uint8_t)(1u << bit);
}

void dw_image_flip_payload(struct dw_image *image, uint64_t block, uint32_t offset)
{
    dw_image_block(image, block)[dw_byte_of_payload(&image->geometry, offset)] ^= 0x10;
}

void dw_image_flip_tag(struct dw_image *image, uint64_t block, uint32_t sector)
{
    dw_image_block(image, block)[(size_t)sector * image->geometry.sector_size + 1] ^= 0x10;
}

void dw_image_remove(struct dw_image *image, uint32_t number)
{
    dw_image_volume(image, number)->size = 0;
}

void dw_image_truncate(struct dw_image *image, uint32_t number, uint64_t size)
{
    dw_image_volume(image, number)->size = size;
}

void dw_image_unreadable(struct dw_image *image, uint32_t number, uint64_t byte)
{
    dw_assert(image->unreadable_count < sizeof image->unreadable / sizeof image->unreadable[0]);
    image->unreadable[image->unreadable_count].volume = number;
    image->unreadable[image->unreadable_count++].offset = byte / 512 * 512;
}
