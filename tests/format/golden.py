#!/usr/bin/env python3
"""The frozen images of test_golden.c, made from core/FORMAT.md alone: no line of dwal's code is used.

Prints each as hexadecimal. To be run by hand when a new version of the format gets its images."""
import struct


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc_table()


def crc(data, seed=0):
    value = seed ^ 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ TABLE[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


def mix32(v):
    v ^= v >> 16
    v = v * 0x85EBCA6B & 0xFFFFFFFF
    v ^= v >> 13
    v = v * 0xC2B2AE35 & 0xFFFFFFFF
    return v ^ v >> 16


LOG_ID = bytes(range(0xA0, 0xB0))
TAG_KEY = 0x9BADCAFE
BLOCK_SIZE, SECTOR_SIZE, VOLUME_SIZE, TOC_LENGTH = 4096, 512, 1 << 20, 100
D, P = 253, 4036  # of this geometry


def tag(number):
    return struct.pack("<I", mix32(number ^ TAG_KEY))


def block(number, block_number, watermark, fill, first_record, flags):
    covered = struct.pack("<QQHHHH", block_number, watermark, fill, first_record, flags, 0)
    return tag(number) + struct.pack("<I", crc(covered, crc(LOG_ID))) + covered


def record(lsn, metadata, data, flags, user):
    rest = struct.pack("<IIIBBH", crc(data), len(metadata), len(data), 1, flags, user)
    return struct.pack("<I", crc(struct.pack("<Q", lsn) + rest + metadata, crc(LOG_ID, 0x9E3779B9))) + rest


def volume(number, predecessor, predecessor_end, cut, in_flight_blocks, epoch, claim_time):
    covered = b"dwalVOLH" + struct.pack("<II", 1, number) + LOG_ID
    covered += struct.pack("<IIQ", predecessor, predecessor_end, cut)
    covered += struct.pack("<IIQI", BLOCK_SIZE, SECTOR_SIZE, VOLUME_SIZE, TOC_LENGTH)
    covered += struct.pack("<IQQ", in_flight_blocks, epoch, claim_time) + bytes(32)
    return tag(number) + struct.pack("<I", crc(covered)) + covered


def toc(number, flags, first_lsn, last_lsn, end, entry_count, time_first, time_last, watermark, table):
    covered = b"dwalTOC1" + struct.pack("<II", number, flags) + LOG_ID
    covered += struct.pack("<QQQQQQ", first_lsn, last_lsn, end, entry_count, time_first, time_last)
    covered += struct.pack("<IIQ", len(table), 0, watermark) + bytes(24)
    return tag(number) + struct.pack("<I", crc(covered + table)) + covered + table


def superblock(sequence, epoch, claimed, state, trim, clean_end, watermark, features, blanks, fill_mode,
               in_flight_blocks, magic_number, head, create_time, write_time):
    covered = struct.pack("<IQ", 1, sequence) + LOG_ID
    covered += struct.pack("<IIQII", TAG_KEY, BLOCK_SIZE, VOLUME_SIZE, SECTOR_SIZE, TOC_LENGTH)
    covered += struct.pack("<QIIQQQ", epoch, claimed, state, trim, clean_end, watermark)
    covered += struct.pack("<IIIIII", *features, blanks, fill_mode, in_flight_blocks)
    covered += struct.pack("<IIQQ", magic_number, head, create_time, write_time) + bytes(104)
    return b"dwalSUPR" + struct.pack("<I", crc(covered)) + covered


DEVICE_ID = bytes(range(0xC0, 0xD0))


def device(sequence, device_size, slot_size, slots_at, slot_count, slots_used, create_time, write_time, logs):
    covered = struct.pack("<IQ", 1, sequence) + DEVICE_ID
    covered += struct.pack("<QQQIII", device_size, slot_size, slots_at, slot_count, slots_used, BLOCK_SIZE)
    covered += struct.pack("<IIIQQ", 1, 2, 4, create_time, write_time) + bytes(152)
    for state, quota, log_id, name, time in logs:
        covered += struct.pack("<II", state, quota) + log_id + name.ljust(32, b"\0") + struct.pack("<Q", time) + bytes(32)
    covered += bytes(4096 - 12 - len(covered))
    return b"dwalDEVS" + struct.pack("<I", crc(covered)) + covered


def slot(index, log_id, state, uses):
    covered = b"dwalSLOT" + struct.pack("<II", 1, index) + DEVICE_ID + log_id
    covered += struct.pack("<IIQ", state, 0, uses) + bytes(56)
    return bytes(4) + struct.pack("<I", crc(covered)) + covered


def volume_in_slot(number, predecessor, in_flight_blocks, epoch, claim_time, slot_uses, slot_index):
    covered = b"dwalVOLH" + struct.pack("<II", 1, number) + LOG_ID
    covered += struct.pack("<IIQ", predecessor, 1, 0)
    covered += struct.pack("<IIQI", BLOCK_SIZE, SECTOR_SIZE, VOLUME_SIZE, TOC_LENGTH)
    covered += struct.pack("<IQQ", in_flight_blocks, epoch, claim_time)
    covered += struct.pack("<QI", slot_uses, slot_index + 1) + bytes(20)
    return tag(number) + struct.pack("<I", crc(covered)) + covered


IMAGES = {
    "block": block(7, 7 * D + 3, 7 * D + 1, 4036, 1234, 0),
    "marker": block(7, 7 * D + 4, 7 * D + 4, 0, 0xFFFF, 1),
    "record": record(7 * D * P + 4711, b"meta", b"some data", 1, 0x1234),
    "empty_record": record(0, b"", b"", 0, 0),
    "volume_cut": volume(7, 5, 2, 5 * D * P + 8072, 512, 3, 1700000000123456789),
    "volume_runs_on": volume(8, 7, 1, 0, 512, 3, 1700000000123456790),
    "toc": toc(7, 0xC, 7 * D * P + 10, 7 * D * P + 1000000, 8 * D * P, 12345, 1700000000000000001,
               1700000001000000002, 8 * D + 5, b"table!"),
    "superblock": superblock(9, 3, 8, 2, 5 * D * P, 0x1112131415161718, 8 * D, (1, 2, 4), 4, 1, 512, 0xFEEDBEEF, 7,
                             1600000000000000000, 1700000000999999999),
    "device": device(6, 67108864, 1048576, 1048576, 62, 17, 1600000000000000000, 1700000000999999999,
                     [(2, 0, LOG_ID, b"orders", 1600000000000000001),
                      (1, 20, bytes(range(0xB0, 0xC0)), b"", 1600000000000000002)])[:256 + 2 * 96],
    "slot_free": slot(3, bytes(16), 1, 41),
    "slot_blank": slot(4, LOG_ID, 3, 42),
    "volume_in_slot": volume_in_slot(8, 7, 512, 3, 1700000000123456790, 5, 12),
}

for name, image in IMAGES.items():
    digits = image.hex()
    print(f"/* {name} */ {len(image)}")
    for at in range(0, len(digits), 96):
        print(f'    "{digits[at:at + 96]}"')
