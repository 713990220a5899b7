"""An OpenAI-compatible service on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from voicebot.backends.held_model import HeldModel, ModelAccess


class Model:
    """An OpenAI-compatible service that says what it is told to."""

    def __init__(self) -> None:
        self.says: Any = ""
        self.status = 200
        self.delay_s = 0.0
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []

    async def complete(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("Authorization", ""))
        await asyncio.sleep(self.delay_s)
        return web.json_response({"choices": [{"message": {"content": self.says}}]}, status=self.status)


@asynccontextmanager
async def model_serving(*, timeout_s: float = 0.5) -> AsyncIterator[tuple[Model, HeldModel]]:
    """Serve one while the block lasts, and what asks it."""
    model = Model()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", model.complete)
    server = TestServer(app)
    await server.start_server()
    held = HeldModel(ModelAccess(str(server.make_url("/v1")), "small", "key-1", timeout_s))
    try:
        yield model, held
    finally:
        await held.close()
        await server.close()
