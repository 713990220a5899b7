"""Sends the UDP payloads of captures to a port of loopback, in their own time: sipp's pcap play, which needs root.

Run by a sipp scenario as `play_pcap.py PORT CAPTURE…`; of each at most `MOST_PACKETS` are sent.
"""

from __future__ import annotations

import itertools
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MOST_PACKETS = 50
_GAP_S = 0.3
_FILE_HEADER, _PACKET_HEADER, _ETHERNET, _UDP = 24, 16, 14, 8


def packets(capture: Path) -> Iterator[tuple[float, bytes]]:
    """Yield seconds and UDP payload of each packet of an Ethernet capture of IPv4."""
    data = capture.read_bytes()
    order = "<" if data[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    at = _FILE_HEADER
    while at < len(data):
        seconds, microseconds, length = struct.unpack_from(f"{order}III", data, at)
        frame = data[at + _PACKET_HEADER : at + _PACKET_HEADER + length]
        at += _PACKET_HEADER + length
        yield seconds + microseconds / 1e6, frame[_ETHERNET + 4 * (frame[_ETHERNET] & 0xF) + _UDP :]


def main() -> None:
    # One socket for all of them: a call's media comes from one place.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        for capture in sys.argv[2:]:
            played = list(itertools.islice(packets(Path(capture)), MOST_PACKETS))
            began_s = time.monotonic() - played[0][0]
            for at_s, payload in played:
                time.sleep(max(0.0, began_s + at_s - time.monotonic()))
                line.sendto(payload, ("127.0.0.1", int(sys.argv[1])))
            time.sleep(_GAP_S)


if __name__ == "__main__":
    main()
