"""Runs sipp with scenarios written step by step. A missing sipp fails: it is a Debian package (`sip-tester`)."""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

#: Where the Debian package keeps its captures.
_CAPTURES = Path("/usr/share/sip-tester")

SDP = """v=0
o=sipp 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [auto_media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000"""
WITH_A_LAW = SDP.replace("AVP 0 101", "AVP 8 0 101")
HELD = SDP + "\na=sendonly"
VIDEO_ONLY = SDP.replace("RTP/AVP 0 101", "RTP/AVP 97").replace("rtpmap:0 PCMU", "rtpmap:97 nothing")

_REQUEST = """{method} sip:bot@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch};rport
From: <sip:+15550100199@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:bot@[remote_ip]:[remote_port]>{to_tag}
Call-ID: [call_id]
CSeq: {cseq} {cseq_method}
Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
{headers}Content-Length: [len]
"""
_RESPONSE = """SIP/2.0 {code} Whatever
[last_Via:]
[last_From:]
[last_To:]{tag}
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:agent@[local_ip]:[local_port];transport=[transport]>
{headers}Content-Length: [len]
"""


def send(
    method: str,
    cseq: int,
    *,
    body: str = "",
    kind: str = "application/sdp",
    headers: str = "",
    inside: bool = False,
    branch: str = "[branch]",
    cseq_method: str = "",
    resent: bool = False,
) -> str:
    """Return a step that sends a request, again while unanswered if `resent`; `inside` a dialog with the peer's tag."""
    told = headers + (f"Content-Type: {kind}\n" if body else "")
    text = _REQUEST.format(
        method=method,
        branch=branch,
        to_tag="[peer_tag_param]" if inside else "",
        cseq=cseq,
        cseq_method=cseq_method or method,
        headers=told,
    )
    step = '<send retrans="500">' if resent else "<send>"
    return f"{step}<![CDATA[\n{text}\n{body}\n]]></send>" if body else f"{step}<![CDATA[\n{text}\n]]></send>"


def answer(code: int, *, body: str = "", headers: str = "", tag: bool = True) -> str:
    """Return a step that answers the last request; `tag` adds our own to its To."""
    told = headers + ("Content-Type: application/sdp\n" if body else "")
    text = _RESPONSE.format(code=code, tag=";tag=[call_number]" if tag else "", headers=told)
    return f"<send><![CDATA[\n{text}\n{body}\n]]></send>" if body else f"<send><![CDATA[\n{text}\n]]></send>"


def receive(what: int | str, *, optional: bool = False, check: tuple[str, str] | None = None) -> str:
    """Return a step that awaits a response code or a request; `check` is a header and what must stand in it."""
    kind = f'response="{what}"' if isinstance(what, int) else f'request="{what}"'
    if optional:
        kind += ' optional="true"'
    if check is None:
        return f"<recv {kind}/>"
    header, pattern = check
    return (
        f'<recv {kind}><action><ereg regexp="{pattern}" search_in="hdr" header="{header}:" check_it="true" '
        'assign_to="1"/><log message="[$1]"/></action></recv>'
    )


def pause(milliseconds: int) -> str:
    return f'<pause milliseconds="{milliseconds}"/>'


def stream(path: Path) -> str:
    """Return a step that plays a file of mu-law as RTP; unlike pcap play it needs no root."""
    return f'<nop><action><exec rtp_stream="{path},1,0"/></action></nop>'


#: Awaits a 2xx and keeps the port of its audio, for `pcap`.
ANSWERED_WITH_PORT = (
    '<recv response="200"><action><ereg regexp="m=audio ([0-9]+)" search_in="body" check_it="true" '
    'assign_to="3,4"/><log message="[$3]"/></action></recv>'
)


def pcap(*names: str) -> str:
    """Return a step that plays captures that come with sipp, one by one, to the port of `ANSWERED_WITH_PORT`."""
    player = Path(__file__).with_name("play_pcap.py")
    captures = " ".join(str(_CAPTURES / f"{name}.pcap") for name in names)
    return f'<nop><action><exec command="{sys.executable} {player} [$4] {captures}"/></action></nop>'


@dataclass(frozen=True, slots=True)
class Ran:
    status: int
    errors: str


async def run_sipp(
    folder: Path, steps: list[str], *options: str, remote_port: int | None = None, local_port: int | None = None
) -> Ran:
    """Run one scenario to its end; `remote_port` makes sipp the caller."""
    sipp = shutil.which("sipp")
    assert sipp is not None, "sipp is missing; apt-get install sip-tester (scripts/setup --tests does it)"
    scenario = folder / "scenario.xml"
    scenario.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<scenario name="test">\n' + "\n".join(steps) + "\n</scenario>\n"
    )
    errors = folder / "errors.log"
    process = await asyncio.create_subprocess_exec(
        sipp,
        *([f"127.0.0.1:{remote_port}"] if remote_port else []),
        *("-sf", str(scenario), "-m", "1", "-i", "127.0.0.1", "-mi", "127.0.0.1", "-timeout", "60", "-timeout_error"),
        *("-trace_err", "-error_file", str(errors), "-nd", "-recv_timeout", "8000"),
        *(["-p", str(local_port)] if local_port else []),
        *options,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"TERM": "dumb", "PATH": "/usr/bin:/bin"},
    )
    try:
        async with asyncio.timeout(70):
            status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ran(status, errors.read_text() if errors.exists() else "")
