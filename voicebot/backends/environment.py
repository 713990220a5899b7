"""What ``systems.yaml`` takes from the environment: which variables are not set, and which hold nothing of use."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from sqlalchemy import create_engine
from sqlalchemy.exc import ArgumentError

from voicebot.backends.systems import (
    FILE,
    ClientCertificate,
    HeaderAuth,
    HttpSpec,
    OAuthClient,
    Spec,
    SqlSpec,
    is_web_address,
)
from voicebot.errors import ConfigurationError, Problem


def unset(specs: Sequence[Spec], environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """Return a problem for each variable that a system needs and that is not set or empty."""
    return tuple(
        Problem(
            FILE, spec.line, f"'{spec.name}' needs the environment variable {variable}.", "Set it, or mend the name."
        )
        for spec in specs
        for variable in _variables(spec)
        if not environ.get(variable)
    )


def unusable(specs: Sequence[Spec], environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """Return a problem for each variable that is set to what cannot be used. No problem tells a value: it is secret."""
    return tuple(problem for spec in specs for problem in _unusable(spec, environ))


def web_address(spec: HttpSpec, environ: Mapping[str, str]) -> str:
    """Return where a web service is, without a slash at the end."""
    return environ.get(spec.url, spec.url).rstrip("/")


def tls_context(spec: HttpSpec, environ: Mapping[str, str]) -> ssl.SSLContext | None:
    """Read a service's certificate; None where it wants none. `ConfigurationError` when it cannot be read."""
    if not isinstance(spec.auth, ClientCertificate):
        return None
    authority = spec.auth.authority
    try:
        context = ssl.create_default_context(cafile=environ[authority] if authority else None)
        context.load_cert_chain(environ[spec.auth.certificate], environ[spec.auth.key])
    except (OSError, ssl.SSLError) as error:
        what = f"The certificate of '{spec.name}' cannot be read."
        raise ConfigurationError(
            [Problem(FILE, spec.line, what, "Check the paths and that certificate and key fit.")]
        ) from error
    return context


def _variables(spec: Spec) -> tuple[str, ...]:
    if isinstance(spec, SqlSpec):
        return (spec.url,)
    address = (spec.url,) if spec.url.isupper() else ()
    match spec.auth:
        case None:
            return address
        case HeaderAuth(value=value):
            return (*address, value)
        case OAuthClient(client_id=client_id, client_secret=client_secret):
            return (*address, client_id, client_secret)
        case ClientCertificate(certificate=certificate, key=key, authority=authority):
            return (*address, certificate, key, *((authority,) if authority else ()))


def _unusable(spec: Spec, environ: Mapping[str, str]) -> Iterator[Problem]:
    if isinstance(spec, SqlSpec):
        if url := environ.get(spec.url):
            yield from _unusable_database(spec, url)
        return
    if environ.get(spec.url) and not is_web_address(web_address(spec, environ)):
        what = f"{spec.url}, where '{spec.name}' is, holds no address of a web service."
        yield Problem(FILE, spec.line, what, "Write it like https://shop.example/api.")
    if not unset((spec,), environ):
        try:
            tls_context(spec, environ)
        except ConfigurationError as wrong:
            yield from wrong.problems


def _unusable_database(spec: SqlSpec, url: str) -> Iterator[Problem]:
    try:
        create_engine(url).dispose()
    except ArgumentError:  # also of a kind of database that there is not
        what = f"{spec.url}, where '{spec.name}' is, holds no URL of a database."
        yield Problem(FILE, spec.line, what, "Write it like postgresql+psycopg://user:password@host/name.")
    except ModuleNotFoundError as error:
        kind = urlsplit(url).scheme
        what = f"'{spec.name}' is a database of the kind {kind}, for which '{error.name}' is not installed here."
        fix = "Install it, or name a driver that is, such as postgresql+psycopg."
        yield Problem(FILE, spec.line, what, fix)
