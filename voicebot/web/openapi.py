"""The API's own description, an OpenAPI document: what is written beside this file, with the records' schema put in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml
from aiohttp import web

OPENAPI_PATH = "/api/openapi.json"


def openapi_document(record_schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document; `record_schema` is the JSON Schema of a call's record, with its parts under ``$defs``."""
    text = (resources.files("voicebot.web") / "openapi.yaml").read_text("utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    schema = json.loads(json.dumps(record_schema).replace("#/$defs/", "#/components/schemas/"))
    parts = schema.pop("$defs", {})
    for name in ("$schema", "$id"):
        schema.pop(name, None)
    document["components"]["schemas"] |= {"CallRecord": schema, **parts}
    return document


class OpenApiDoor:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def routes(self) -> list[web.RouteDef]:
        return [web.get(OPENAPI_PATH, self.send)]

    async def send(self, request: web.Request) -> web.Response:
        """Send the document; it holds nothing of any call and is open."""
        del request
        return web.json_response(self._document)
