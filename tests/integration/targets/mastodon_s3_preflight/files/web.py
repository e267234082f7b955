"""A web process of Mastodon, as far as its API names a version and pictures. GET /stop ends it.

Usage: web.py PORT_FILE VERSION PICTURE...
"""

from __future__ import annotations

import http.server
import json
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

PORT_FILE, VERSION, *PICTURES = sys.argv[1:]
URLS = [f"https://social.example/system/{picture}" for picture in PICTURES]
ANSWERS = {
    "/api/v1/instance": {"version": VERSION, "thumbnail": "https://social.example/packs/preview.png"},
    "/api/v1/directory": [
        {"avatar": url, "header": "https://social.example/headers/original/missing.png"} for url in URLS
    ],
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers what Mastodon 3.5 and later do; /api/v2/instance is left to the newer."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/stop":
            threading.Thread(target=self.server.shutdown).start()
        answer = ANSWERS.get(path)
        body = json.dumps(answer).encode()
        self.send_response(200 if answer or path == "/stop" else 404)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    Path(PORT_FILE).write_text(str(server.server_address[1]), encoding="utf-8")
    server.serve_forever()
