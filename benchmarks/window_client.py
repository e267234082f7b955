"""A client of the instance: posts media, and fetches those that were posted by the URL that the instance hands out."""

from __future__ import annotations

import json
import os
import random
import threading
import time
import typing as t
from dataclasses import dataclass

import urllib3

_LIMIT_SECONDS = 10.0
_CHECK_SECONDS = 0.05
_RECENT = 100


@dataclass
class Medium:
    """A medium that was posted: its ID, when the instance confirmed it, and the URL that it handed out last."""

    id: str
    posted: float
    url: str


@dataclass(frozen=True)
class Fetch:
    """A request for a medium: when it was answered, for what, with which URL and status; 0 is no answer."""

    moment: float
    id: str
    url: str
    status: int


@t.final
class Client:
    """Posts and fetches media from `with` to its end, each in a thread of its own.

    Attributes:
        media: All media whose upload the instance confirmed.
        refused: When an upload was not confirmed.
        fetches: All requests for media.
        healthy: Each change of whether `/health` answers with 200, with its time.
    """

    def __init__(
        self, address: str, domain: str, store_ca: str, rate: float, media_bytes: int, port: int = 443
    ) -> None:
        """Prepare it.

        Args:
            address: IP address of the instance.
            domain: Its domain.
            store_ca: File with the certificate authority of the store.
            rate: Posts per second, and also fetches per second.
            media_bytes: Size of each medium.
            port: Port of the instance.
        """
        self._domain, self._interval, self._media_bytes = domain, 1 / rate, media_bytes
        settings: dict[str, t.Any] = {"retries": False, "timeout": _LIMIT_SECONDS, "maxsize": 4}
        self._site = urllib3.HTTPSConnectionPool(
            address, port, cert_reqs="CERT_NONE", assert_hostname=False, server_hostname=domain, **settings
        )
        self._store = urllib3.PoolManager(ca_certs=store_ca, **settings)
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self.media: list[Medium] = []
        self.refused: list[float] = []
        self.fetches: list[Fetch] = []
        self.healthy: list[tuple[float, bool]] = []
        self._missing: list[Medium] = []
        self._turn = False
        self._ended = threading.Event()
        jobs = ((self._post, self._interval), (self._fetch, self._interval), (self._check, _CHECK_SECONDS))
        self._threads = [threading.Thread(target=self._every, args=job, daemon=True) for job in jobs]

    def __enter__(self) -> Client:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def answers_again(self, moment: float) -> float | None:
        """Return when `/health` answered for the first time after it had failed after this moment, or None."""
        failed = next((since for since, good in self.healthy if since > moment and not good), None)
        if failed is None:
            return None
        return next((since for since, good in self.healthy if since > failed and good), None)

    def fetch(self, medium: Medium) -> Fetch:
        """Ask the instance for a medium's URL, and request that. While the instance is down, the last URL counts."""
        if self.healthy and self.healthy[-1][1]:
            status, body = self._ask("GET", f"/api/v1/media/{medium.id}")
            if status == 200:
                medium.url = json.loads(body)["url"]
        url, own = medium.url, f"https://{self._domain}/"
        if url.startswith(own):
            status, _body = self._ask("GET", url.removeprefix(own[:-1]))
        else:
            status = self._status_in_store(url)
        return Fetch(time.time(), medium.id, url, status)

    def _every(self, job: t.Callable[[], None], seconds: float) -> None:
        """Do a job at a fixed rate. What comes too late because an answer took long is not made up for."""
        due = time.monotonic()
        while not self._ended.is_set():
            job()
            due = max(due + seconds, time.monotonic())
            self._ended.wait(due - time.monotonic())

    def _post(self) -> None:
        status, body = self._ask("POST", "/api/v2/media", b"\x89PNG\r\n\x1a\n" + os.urandom(self._media_bytes))
        if status != 202:
            self.refused.append(time.time())
            return
        answer = json.loads(body)
        self.media.append(Medium(answer["id"], time.time(), answer["url"]))

    def _fetch(self) -> None:
        """Fetch one of the last media.

        First those that were posted before the instance handed out other URLs than now, the newest one first. Every
        second time one that was missing, so that it is known for how long.
        """
        recent = self.media[-_RECENT:]
        if not recent:
            return
        self._turn = not self._turn
        if self._turn and self._missing:
            medium = self._missing.pop(0)
        else:
            root = recent[-1].url.removesuffix(recent[-1].id)
            medium = next((each for each in reversed(recent) if not each.url.startswith(root)), random.choice(recent))
        found = self.fetch(medium)
        if found.status != 200 and medium not in self._missing:
            self._missing.append(medium)
        self.fetches.append(found)

    def _check(self) -> None:
        good = self._ask("GET", "/health")[0] == 200
        if not self.healthy or self.healthy[-1][1] != good:
            self.healthy.append((time.time(), good))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Host": self._domain, "Content-Type": "application/octet-stream"}
        try:
            answer = self._site.request(method, path, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError:
            return 0, b""
        return answer.status, answer.data

    def _status_in_store(self, url: str) -> int:
        try:
            return self._store.request("GET", url, redirect=False).status
        except urllib3.exceptions.HTTPError:
            return 0
