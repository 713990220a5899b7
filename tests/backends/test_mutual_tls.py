"""A service that lets in only who shows its certificate."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.fakes.authority import Authority
from voicebot.backends.backends import BackendResult, System
from voicebot.backends.opening import open_systems
from voicebot.dialog.flow import Operation
from voicebot.dialog.values import ValueKind
from voicebot.errors import BackendUnavailable, ConfigurationError

CONTRACT = Operation("crm.name", {"number": ValueKind.DIGITS}, {"name": ValueKind.NAME})
FILE = """\
systems:
  - name: crm
    http: CRM_URL
    retries: 0
    auth: {certificate: CRM_CERTIFICATE, key: CRM_KEY, authority: CRM_AUTHORITY}
    operations:
      crm.name: {get: "/customers/{number}", result: {name: name}}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def crm(authority: Authority) -> AsyncIterator[str]:
    """The address of a service that asks for a certificate."""

    async def name(request: web.Request) -> web.Response:
        return web.json_response({"name": f"Customer {request.match_info['number']}"})

    app = web.Application()
    app.router.add_get("/customers/{number}", name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.path))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.issue("service"))
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    yield f"https://127.0.0.1:{server.port}"
    await server.close()


def opened(folder: Path, url: str, certificate: Path, key: Path, authority: Path) -> System:
    (folder / "systems.yaml").write_text(FILE, encoding="utf-8")
    environ = {
        "CRM_URL": url,
        "CRM_CERTIFICATE": str(certificate),
        "CRM_KEY": str(key),
        "CRM_AUTHORITY": str(authority),
    }
    (system,) = open_systems(
        folder, {"crm.name": CONTRACT}, data=folder, environ=environ, clock=lambda: 100.0, jitter=lambda: 0.0
    )
    return system


async def test_who_shows_the_right_certificate_is_answered(authority: Authority, crm: str, tmp_path: Path) -> None:
    system = opened(tmp_path, crm, *authority.issue("voicebot"), authority.path)
    answer = await system.call("crm.name", {"number": "7"}, idempotency_key=None)
    assert answer == BackendResult("ok", {"name": "Customer 7"})
    await system.close()


async def test_a_certificate_of_another_authority_is_not_let_in(authority: Authority, crm: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    system = opened(tmp_path, crm, *Authority(elsewhere).issue("voicebot"), authority.path)
    with pytest.raises(BackendUnavailable):
        await system.call("crm.name", {"number": "7"}, idempotency_key=None)
    await system.close()


async def test_a_service_that_cannot_prove_itself_is_not_asked(authority: Authority, crm: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    system = opened(tmp_path, crm, *authority.issue("voicebot"), Authority(elsewhere).path)
    with pytest.raises(BackendUnavailable):
        await system.call("crm.name", {"number": "7"}, idempotency_key=None)
    await system.close()


def test_a_certificate_that_is_none_is_a_clear_error(authority: Authority, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="certificate of 'crm' cannot be read"):
        opened(tmp_path, "https://127.0.0.1:1", broken, broken, authority.path)
