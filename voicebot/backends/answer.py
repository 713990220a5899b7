"""Reads what another system answers, bounded, however many pieces it comes in."""

from __future__ import annotations

import asyncio

import aiohttp


async def read_answer(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """Return the whole body; of a longer one `most_bytes` and one more, which tells that it is too long.

    Raises:
        aiohttp.ClientError: The connection broke before the body was there.
    """
    try:
        return await response.content.readexactly(most_bytes + 1)  # `read(n)` returns whatever has come so far
    except asyncio.IncompleteReadError as all_of_it:
        return all_of_it.partial
