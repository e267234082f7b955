"""moto's server, changed so that anonymous clients can't list a bucket, as in real stores by default.

Usage: moto_app.py HOST PORT
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)


def _lists_a_bucket(environ: dict[str, Any]) -> bool:
    path = [part for part in environ.get("PATH_INFO", "").split("/") if part]
    return environ["REQUEST_METHOD"] in ("GET", "HEAD") and len(path) == 1 and path[0] != "moto-api"


def _is_signed(environ: dict[str, Any]) -> bool:
    return "HTTP_AUTHORIZATION" in environ or "X-Amz-Signature" in parse_qs(environ.get("QUERY_STRING", ""))


def without_visitors_listing(app: App) -> App:
    """Wrap moto's application, so that it refuses unsigned requests to a bucket itself."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if _lists_a_bucket(environ) and not _is_signed(environ):
            start_response(
                "403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(_DENIED)))]
            )
            return [_DENIED]
        return app(environ, start_response)

    return guarded


if __name__ == "__main__":
    run_simple(
        sys.argv[1],
        int(sys.argv[2]),
        without_visitors_listing(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
    )
