"""Old addresses below /system/, served by a real nginx with the files of the role media_server."""

from __future__ import annotations

import pytest
from nginx_world import nginx_world
from stores import ProgramMissingError

PICTURE = "accounts/avatars/000/000/001/original/0123456789abcdef.png"
SUSPENDED = "media_attachments/files/109/574/002/original/suspended.png"
ARCHIVE = "backups/dumps/000/000/001/original/archive.zip"
LISTS = "imports/data/000/000/001/original/follows.csv"
SWITCHED = {"S3_ENABLED": "true", "S3_BUCKET": "media", "S3_ALIAS_HOST": "media.example", "S3_PERMISSION": ""}


@pytest.fixture(scope="module")
def world():
    try:
        with nginx_world() as made:
            made.put(PICTURE, b"picture")
            made.put(SUSPENDED, b"suspended", 0o600)
            made.put(ARCHIVE, b"archive")
            made.put(LISTS, b"lists")
            yield made
    except ProgramMissingError as error:
        pytest.skip(str(error))


def test_from_disk_before_the_switch_then_redirects_for_ever(world):
    status, said = world.apply("--check", "--diff")
    assert status == 0, said
    assert "+    alias " in said
    assert not (world.etc / "media_server").exists()

    status, said = world.apply()
    assert status == 0, said
    assert f"In {world.site}, replace the whole block `location ^~ /system/ {{ ... }}`" in said
    assert f"include {world.etc}/media_server/system.conf;" in said
    world.include_system()
    picture = world.get(f"/system/{PICTURE}")
    assert (picture.status, picture.body) == (200, b"picture")
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert world.get(f"/system/{SUSPENDED}").status == 403
    assert world.get(f"/system/{ARCHIVE}").body == b"archive"  # as before: Mastodon's downloads lead here
    assert world.get(f"/system/{LISTS}").status == 403

    # Until the switch is finished, services may still read the disk, so nothing changes
    world.env(SWITCHED)
    world.record("media", "configuring")
    status, said = world.apply()
    assert status == 0, said
    assert "changed=0" in said
    assert "No site of nginx includes" not in said
    assert world.get(f"/system/{PICTURE}").status == 200

    world.record("media", "switched")
    status, said = world.apply()
    assert status == 0, said
    for path, location in {
        f"/system/{PICTURE}": f"https://media.example/{PICTURE}",
        f"/system/{PICTURE}?1668000000": f"https://media.example/{PICTURE}",
        f"/system/{SUSPENDED}": f"https://media.example/{SUSPENDED}",
        "/system/site_uploads/files/000/000/001/@1x/a%20b+c%25d.png": "https://media.example/site_uploads/files/"
        "000/000/001/@1x/a%20b+c%25d.png",
        "/system/accounts/%0d%0aX-Injected:%201": "https://media.example/accounts/%0d%0aX-Injected:%201",
    }.items():
        answer = world.get(path)
        assert (answer.status, answer.headers["location"]) == (301, location)
        assert "x-injected" not in answer.headers
        assert answer.headers["cache-control"] == "public, max-age=3600"
        assert answer.headers["access-control-allow-origin"] == "*"
    for path in (ARCHIVE, LISTS, f"accounts/../{ARCHIVE}", f"/{ARCHIVE}", ARCHIVE.replace("backups", "%62ackups")):
        assert world.get(f"/system/{path}").status == 403, path
    # What nginx reads as this path, but other servers may not
    assert world.get(f"//system/{PICTURE}").status == 404

    world.env({})
    world.record("media", "rolled back")
    status, said = world.apply()
    assert status == 0, said
    assert world.get(f"/system/{PICTURE}").body == b"picture"


def test_a_configuration_that_nginx_refuses_is_taken_back(world):
    world.include_system()
    before = world.etc.joinpath("media_server/system.conf").read_bytes()
    whole = world.site.read_text(encoding="utf-8")
    # The same location twice, but only with the role's next file
    other = "location ^~ /old/ { return 404; }"
    world.site.write_text(whole.replace("root ", f"{other}\n    root "), encoding="utf-8")
    world.env({"PAPERCLIP_ROOT_URL": "/old"})
    workers = world.workers()
    status, said = world.apply()
    assert status != 0
    assert "duplicate location" in said
    assert "the old files are back" in said
    assert world.etc.joinpath("media_server/system.conf").read_bytes() == before
    assert world.workers() == workers
    assert not world.etc.joinpath("media_server/.reload-due").exists()

    world.env({})
    world.site.write_text("broken", encoding="utf-8")
    status, said = world.apply(media_server_system="redirect", media_server_url="https://media.example")
    assert status != 0
    assert "Nothing was changed. Correct this first:" in said
    assert "site.conf" in said
    assert world.etc.joinpath("media_server/system.conf").read_bytes() == before
    world.include_system()


def test_values_that_nginx_could_misread_are_refused_in_one_error(world):
    before = world.etc.joinpath("media_server/system.conf").read_bytes()
    status, said = world.apply(
        media_server_url="https://media.example/; } server { listen 81;",
        media_server_media_root="/srv/$document_root",
        media_server_sytem="disk",
        media_server_domain="media.example\n",
        media_server_certificate="/etc/ssl/a'b.pem",
        media_server_secret_key="hidden}",
    )
    assert status != 0
    assert "media_server_url is 'https://media.example/; } server { listen 81;'. Set it to an address such as" in said
    assert "media_server_media_root is '/srv/$document_root'. Set it to an absolute path" in said
    assert "media_server_sytem" in said
    assert "media_server_domain is 'media.example\\\\n'. Set it to a host name" in said
    assert "media_server_certificate is" in said
    assert "media_server_secret_key has characters that nginx could misread" in said
    assert "hidden" not in said
    # The env file belongs to the instance's account
    world.env({**SWITCHED, "S3_BUCKET": "by-hand", "S3_ALIAS_HOST": "'media.example;}'"})
    status, said = world.apply()
    assert status != 0
    assert "records no switch to it. If all media are in the bucket, set media_server_system to 'redirect'" in said
    assert "The address of the media, from the variables S3_* of the instance is 'https://media.example;}'" in said
    assert world.etc.joinpath("media_server/system.conf").read_bytes() == before
