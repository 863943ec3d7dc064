"""Files of Outlook for the tests: `make_msg`, in the compound file format of Microsoft (MS-CFB, MS-OXMSG)."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from itertools import count

SECTOR, SMALL_SECTOR, SMALL = 512, 64, 4096
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
STORAGE, STREAM, ROOT = 1, 2, 5

Tree = dict[str, "bytes | Tree"]


def make_msg(values, attachments=(), receivers=()):
    """Return a message.

    Args:
        values: its properties by number: text, bytes, an integer, a time, or a pair of an encoding and a text.
        attachments, receivers: their properties; a value that is a dictionary is an embedded message.
    """
    parts = {"attach": attachments, "recip": receivers}
    tree = make_item(values, 32)
    for name, items in parts.items():
        for number, each in enumerate(items):
            tree[f"__{name}_version1.0_#{number:08X}"] = make_item(each, 8)
    return make_ole(tree)


def make_item(values, offset):
    listed, tree = bytes(offset), {}
    for number, value in values.items():
        kind, data, short = write_value(value)
        listed += struct.pack("<HHI8s", kind, number, 6, short)
        if data is not None:
            tree[f"__substg1.0_{number:04X}{kind:04X}"] = data
    return tree | {"__properties_version1.0": listed}


def write_value(value):
    """Return a property's kind, its bytes in a stream of their own, and its bytes in the list."""
    if isinstance(value, int):
        return 0x0003, None, struct.pack("<q", value)
    if isinstance(value, datetime):
        seconds = (value - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()
        return 0x0040, None, struct.pack("<Q", int(seconds * 10**7))
    if isinstance(value, dict):
        return 0x000D, make_item(value, 24), bytes(8)
    if isinstance(value, tuple):
        encoding, text = value
        return 0x001E, text.encode(encoding), bytes(8)
    kind, data = (0x001F, value.encode("utf-16-le")) if isinstance(value, str) else (0x0102, value)
    return kind, data, struct.pack("<Q", len(data))


def make_ole(tree):
    """Return a compound file with these streams and storages."""
    entries, small, big = [["Root Entry", ROOT, FREE, FREE, END, 0]], bytearray(), bytearray()
    small_chain, chain = [], []

    def store(data, sectors, links, size):
        first = len(links)
        links += [*range(first + 1, first + -(-len(data) // size)), END] if data else []
        sectors += data + bytes(-len(data) % size)
        return first if data else END

    def add(owner, content):
        previous = None
        for name, value in content.items():
            entry = [name, STREAM, FREE, FREE, END, 0]
            place = len(entries)
            entries.append(entry)
            (entries[owner] if previous is None else previous)[3 if previous is None else 2] = place
            previous = entry
            if isinstance(value, dict):
                entry[1], entry[4] = STORAGE, 0
                add(place, value)
            else:
                is_small = len(value) < SMALL
                where = (small, small_chain, SMALL_SECTOR) if is_small else (big, chain, SECTOR)
                entry[4:] = store(value, *where), len(value)

    add(0, tree)
    entries[0][4:] = store(bytes(small), big, chain, SECTOR), len(small)
    small_fat = struct.pack(f"<{len(small_chain)}I", *small_chain)
    small_fat += b"\xff" * (-len(small_fat) % SECTOR)
    small_start = store(small_fat, big, chain, SECTOR)
    directory = b"".join(map(write_entry, entries))
    directory_start = store(directory + bytes(-len(directory) % SECTOR), big, chain, SECTOR)
    fat_size = next(size for size in count(1) if size * 128 >= len(chain) + size)
    fat_places = [*range(len(chain), len(chain) + fat_size)]
    links = chain + [FAT] * fat_size
    fat = struct.pack(f"<{len(links)}I", *links) + b"\xff" * (4 * (fat_size * 128 - len(links)))
    header = struct.pack(
        "<8s16sHHHHH6xIIIIIIIII",
        *(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6),
        *(0, fat_size, directory_start, 0, SMALL, small_start, len(small_fat) // SECTOR, END, 0),
    )
    places = struct.pack(f"<{fat_size}I", *fat_places)
    return header + places + b"\xff" * (SECTOR - len(header) - len(places)) + bytes(big) + fat


def write_entry(entry):
    name, kind, right, child, start, size = entry
    written = name.encode("utf-16-le")
    return struct.pack(
        "<64sHBBIII16x4x16xIQ", written, len(written) + 2, kind, 1, FREE, right, child, start & 0xFFFFFFFF, size
    )
