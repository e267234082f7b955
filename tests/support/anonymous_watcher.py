"""Requests private keys without credentials, again and again, while other clients use the bucket."""

from __future__ import annotations

import http.client
import threading
import time

from sync_world import Visitor


class AnonymousWatcher:
    """Sends requests in a thread, until the `with` block ends. A key is checked from the moment it is added."""

    def __init__(self, store, bucket, keys):
        self._store, self._bucket = store, bucket
        self._keys = list(keys)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.exposed = []
        self.answers = 0
        self.troubles = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_details):
        self._stop.set()
        self._thread.join(timeout=30)

    def add(self, *keys):
        """Also request these keys from now on."""
        self._keys = [*self._keys, *keys]

    def remove(self, key):
        """Stop requesting this key."""
        self._keys = [kept for kept in self._keys if kept != key]

    def wait(self, rounds=2):
        """Wait until each key was requested this many times."""
        wanted = self.answers + rounds * (len(self._keys) + 1)
        deadline = time.monotonic() + 30
        while self.answers < wanted and time.monotonic() < deadline and self._thread.is_alive():
            time.sleep(0.01)
        assert self.answers >= wanted, f"{self.answers} of {wanted} answers: {self.troubles[-3:]}"

    def _poll(self):
        visitor = Visitor(self._store)
        while not self._stop.is_set():
            for key in ("", *self._keys):
                if self._stop.is_set():
                    break
                try:
                    status, _body = visitor.get(self._bucket, key)
                except (OSError, http.client.HTTPException) as error:
                    self.troubles.append(repr(error))
                    visitor.close()
                    visitor = Visitor(self._store)
                    continue
                self.answers += 1
                if status not in (401, 403, 404):
                    self.exposed.append((key or "(list)", status))
                # Not so fast that nobody else gets an answer.
                self._stop.wait(0.002)
        visitor.close()
