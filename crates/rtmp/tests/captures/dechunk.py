#!/usr/bin/env python3
"""A second, independent reading of a captured RTMP direction.

    dechunk.py CAPTURE.c2s.bin OUT.flv OUT.tags

Written straight from the specification, for whole and well-formed input; it shares nothing with
the crate. OUT.flv holds the audio, video and data messages as FLV tags; OUT.tags lists them:
type, timestamp, size and CRC-32 of the payload. A message cut off by the end is left out.
"""

import struct
import sys
import zlib

HANDSHAKE = 3073


def messages(data):
    at, chunk_size, last, parts = HANDSHAKE, 128, {}, {}
    while at < len(data):
        first = data[at]
        at += 1
        fmt, csid = first >> 6, first & 63
        extra = {0: 1, 1: 2}.get(csid, 0)
        if extra:
            csid = 64 + int.from_bytes(data[at : at + extra], "little")
            at += extra
        size = (11, 7, 3, 0)[fmt]
        head = data[at : at + size]
        if len(head) < size:
            return
        at += size
        ts, delta, length, kind, stream, extended = last.get(csid, (0, 0, 0, 0, 0, False))
        starts = csid not in parts
        if fmt < 3:
            field = int.from_bytes(head[:3], "big")
            extended = field == 0xFFFFFF
            if fmt < 2:
                length, kind = int.from_bytes(head[3:6], "big"), head[6]
            if fmt < 1:
                stream = struct.unpack("<I", head[7:11])[0]
        if extended:
            value = int.from_bytes(data[at : at + 4], "big")
            at += 4
            if fmt < 3:
                field = value
        if starts:
            if fmt == 0:
                ts = delta = field
            elif fmt < 3:
                delta = field
                ts = (ts + delta) & 0xFFFFFFFF
            else:
                ts = (ts + delta) & 0xFFFFFFFF
        last[csid] = (ts, delta, length, kind, stream, extended)
        body = parts.pop(csid, b"")
        piece = data[at : at + min(chunk_size, length - len(body))]
        if len(piece) < min(chunk_size, length - len(body)):
            return
        at += len(piece)
        body += piece
        if len(body) < length:
            parts[csid] = body
            continue
        if kind == 1:
            chunk_size = int.from_bytes(body[:4], "big") & 0x7FFFFFFF
        elif kind == 2:
            parts.pop(int.from_bytes(body[:4], "big"), None)
        else:
            yield ts, kind, stream, body


def main():
    source, flv, tags = sys.argv[1:4]
    with open(source, "rb") as file:
        data = file.read()
    with open(flv, "wb") as video, open(tags, "w") as listing:
        video.write(b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")
        for ts, kind, _, body in messages(data):
            if kind not in (8, 9, 18) or not body:
                continue
            listing.write(f"{kind} {ts} {len(body)} {zlib.crc32(body):08x}\n")
            head = struct.pack(">I", (kind << 24) | len(body))
            head += (ts & 0xFFFFFF).to_bytes(3, "big") + bytes([ts >> 24, 0, 0, 0])
            video.write(head + body + struct.pack(">I", len(head) + len(body)))


main()
