"""A file that is too large for a single request, sent whole to the null store, which checks every part's digest."""

from __future__ import annotations

import pytest
from sync_world import StoreWorld

MEBIBYTE = 1024 * 1024
SIZE = 5 * 1024 * MEBIBYTE + 3  # one PUT takes five gibibytes
START, END = b"\x00\x00\x00\x18ftypmp42", b"end"


@pytest.fixture
def world(null_store, tmp_path):
    with null_store() as running:
        running.store.client().create_bucket(Bucket="large")
        yield StoreWorld(running.store, "large", tmp_path)


def test_a_file_over_five_gibibytes_is_sent_in_parts(world):
    path = world.write("media_attachments/files/1/original/film.mp4", START)
    with path.open("r+b") as sparse:
        sparse.seek(SIZE - len(END))
        sparse.write(END)
    assert path.stat().st_blocks * 512 < MEBIBYTE, "the file system does not know sparse files"
    result = world.sync()
    assert not result.get("failed"), result["msg"]
    assert result["uploads_by"] == {"fast": 0, "boto3": 1}
    assert result["transferred_bytes"] == SIZE
    stored = world.client.head_object(Bucket="large", Key="media_attachments/files/1/original/film.mp4")
    assert (stored["ContentLength"], stored["ContentType"]) == (SIZE, "video/mp4")
    assert result["requests"]["UploadPart"] == 641  # of eight mebibytes each
    assert "Uploads" not in world.client.list_multipart_uploads(Bucket="large")
    assert world.done() == {}
