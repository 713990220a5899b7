"""A process that writes once, to be killed at the worst moment: ``killed_writer URL-OR-DATABASE FOLDER KEY ONCE``."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from pathlib import Path

from tests.backends.test_http import Client
from voicebot.backends.systems import Once


async def main() -> None:
    url, folder, key, once = sys.argv[1:]
    client = Client(url, Path(folder), once=Once(once))
    answer = await client.credit(key)
    assert answer.result == {"balance": Decimal("27.00")}
    await client.system.close()


if __name__ == "__main__":
    asyncio.run(main())
