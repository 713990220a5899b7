from __future__ import annotations

from tests.fakes.web_server import serving


async def test_the_server_tells_whether_it_is_alive_and_ready() -> None:
    async with serving() as server:
        assert (await server.http.get(server.base + "/healthz")).status == 200
        answer = await server.http.get(server.base + "/readyz")
        assert answer.status == 200
        assert await answer.json() == {"ready": True, "parts": {"recognition": "ready"}}
    async with serving(ready=False) as server:
        assert (await server.http.get(server.base + "/healthz")).status == 200
        assert (await server.http.get(server.base + "/readyz")).status == 503


async def test_metrics_are_prometheus_text() -> None:
    async with serving() as server:
        answer = await server.http.get(server.base + "/metrics")

        assert answer.content_type == "text/plain"
        assert await answer.text() == "voicebot_live_calls 0\n"


async def test_every_answer_bears_the_security_headers() -> None:
    async with serving() as server:
        for path in ("/healthz", "/call", "/static/style.css", "/nowhere", "/api/calls"):
            headers = (await server.http.get(server.base + path)).headers
            assert "default-src 'none'" in headers["Content-Security-Policy"], path
            assert headers["X-Content-Type-Options"] == "nosniff", path


async def test_no_file_outside_the_static_folder_is_served() -> None:
    async with serving() as server:
        for path in ("/static/", "/static/../server.py", "/static/..%2Fserver.py", "/static/%2e%2e/server.py"):
            assert (await server.http.get(server.base + path)).status in {403, 404}, path
