# The server with its voices, without test tools. Build: docker build -t voicebot .
# Run:  docker run -p 8080:8080 -v voicebot-data:/data -e VOICEBOT_API_TOKEN --stop-timeout 90 voicebot
FROM python:3.11-slim-bookworm AS build
WORKDIR /opt/voicebot
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY scripts/part_of_lock.py scripts/
RUN python3 -m venv .venv \
    && python3 scripts/part_of_lock.py gpl build >server.lock \
    && .venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r server.lock
COPY voicebot voicebot
COPY scripts/sentence_encoder.py scripts/
RUN .venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && .venv/bin/python scripts/sentence_encoder.py \
    && .venv/bin/voicebot models --models .venv/share/voicebot/models pull whisper-tiny.en

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends flite postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin voicebot \
    && install -d -o voicebot -g voicebot -m 700 /data
WORKDIR /opt/voicebot
COPY --from=build /opt/voicebot/.venv .venv
COPY flows flows
COPY audio audio
COPY LICENSE ./
# In a container the port is published on purpose, so the server listens on every address of it.
ENV PATH=/opt/voicebot/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    VOICEBOT_HOST=0.0.0.0 \
    VOICEBOT_DATA=/data \
    VOICEBOT_FLOWS=/opt/voicebot/flows \
    VOICEBOT_HOLD_MUSIC=/opt/voicebot/audio/hold-music.wav \
    VOICEBOT_LOG_FORMAT=json
USER voicebot
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=90s --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
CMD ["voicebot", "serve", "--port", "8080"]
