#!/usr/bin/env python3
"""read_hdr.py RUN.json RUN.hlog SYNC.hgrm DWAL.hgrm: do HdrHistogram's formats hold what the JSON says?

Written from the description of the formats, not from the code that writes them."""
import base64
import json
import struct
import sys
import zlib


def decode(text):
    cookie, length = struct.unpack(">II", base64.b64decode(text)[:8])
    assert cookie & 0xFF == 0x14 and cookie >> 8 == 0x1C8493, hex(cookie)
    stream = base64.b64decode(text)[8:]
    assert len(stream) == length
    plain = zlib.decompress(stream)
    cookie, payload, offset, digits, lowest, highest, ratio = struct.unpack(">IIIIQQd", plain[:40])
    assert cookie == 0x1C849313 and offset == 0 and digits == 2 and lowest == 1 and ratio == 1.0
    assert highest == 100 * 10**9 and len(plain) == 40 + payload
    counts, at, index = {}, 40, 0
    while at < len(plain):
        bits = 0
        for byte in range(9):
            value = plain[at]
            at += 1
            bits |= (value if byte == 8 else value & 0x7F) << (7 * byte)
            if byte == 8 or value < 0x80:
                break
        number = (bits >> 1) ^ -(bits & 1)
        if number < 0:
            index -= number
        else:
            if number:
                counts[value_at(index)] = number
            index += 1
    return counts


def value_at(index):
    """The lowest value of HdrHistogram's counts index: 256 sub-buckets, the upper half of them in every bucket but the first."""
    bucket, sub = index // 128 - 1, index % 128 + 128
    if bucket < 0:
        bucket, sub = 0, sub - 128
    return sub << bucket


def read_percentiles(path):
    rows, total = [], None
    for line in open(path):
        if line.startswith("#[Max"):
            total = int(line.split("Total count    =")[1].strip(" ]\n"))
        elif line.strip() and line.split()[0].replace(".", "").isdigit():
            fields = line.split()
            rows.append((float(fields[0]), float(fields[1]), int(fields[2])))
    return rows, total


def main():
    run = json.load(open(sys.argv[1]))
    lines = [line.rstrip("\n") for line in open(sys.argv[2]) if line.startswith("Tag=")]
    assert len(lines) == len(run["contenders"])
    for contender, line in zip(run["contenders"], lines):
        tag, start, length, longest, text = line.split(",")
        assert tag == "Tag=" + contender["label"].replace(" ", "-")
        wanted = {low: count for low, count in contender["issue_to_durable"]["buckets"]}
        assert decode(text) == wanted, (contender["label"], "the log differs")
        assert abs(float(longest) - contender["issue_to_durable"]["max"] / 1e6) < 0.001
    by_label = {contender["label"]: contender for contender in run["contenders"]}
    for path, label in ((sys.argv[3], "sync"), (sys.argv[4], "dwal")):
        rows, total = read_percentiles(path)
        told = by_label[label]["issue_to_durable"]
        assert total == told["count"] == rows[-1][2] and rows[-1][1] == 1.0
        assert abs(rows[-1][0] - told["max"] / 1000) < 0.001
        assert rows == sorted(rows), "values, percentiles and counts only grow"
        for value, percentile, count in rows:
            assert count >= percentile * total - 1e-6 * total
            below = sum(n for low, n in told["buckets"] if low / 1000 <= value + 0.0005)
            assert below == count, (label, value, below, count)


main()
