"""A table of how each kind of store treats ACLs and policies, and of the exposure mode that follows.

The rows are stores, the columns are expected results. tests/stores/test_matrix.py tests all rows and fills in the
cells.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class MatrixRow:
    """A store and the way that suits it.

    name: as it is printed. store: the fixture that runs it.
    exposure: the mode of s3_sync, and what the probe has to recommend.
    acl: what the probe has to find out about ACLs.
    ownership: what an administrator sets on the bucket, by the parameters of amazon.aws.s3_bucket.
    opened: keys that the bucket's policy opens from the beginning, as the user's own statement; * stands for anything.
    """

    name: str
    store: str
    exposure: str
    acl: str
    ownership: tuple[dict[str, t.Any], ...] = ()
    opened: str | None = None


def _blocked(*, acls: bool, policy: bool) -> dict[str, t.Any]:
    return {
        "public_access": {
            "block_public_acls": acls,
            "ignore_public_acls": acls,
            "block_public_policy": policy,
            "restrict_public_buckets": policy,
        }
    }


ROWS = (
    MatrixRow("MinIO, TLS", "minio", "policy", "ignored"),
    MatrixRow("Ceph RGW, TLS", "rgw", "acl", "honoured"),
    MatrixRow("SeaweedFS, TLS", "seaweedfs", "policy", "ignored"),
    MatrixRow("VersityGW, TLS", "versitygw", "policy", "ignored"),
    MatrixRow("moto", "moto", "acl", "honoured"),
    MatrixRow(
        "AWS (stand-in), ACLs switched on",
        "aws",
        "acl",
        "honoured",
        ({"object_ownership": "BucketOwnerPreferred"}, _blocked(acls=False, policy=True)),
    ),
    MatrixRow(
        "AWS (stand-in), owner enforced",
        "aws",
        "policy",
        "unsupported",
        (_blocked(acls=True, policy=False),),
    ),
    MatrixRow("all or nothing (MinIO opened whole)", "minio", "open_bucket", "ignored", opened="*"),
)

COLUMNS = {
    "probe": "the probe finds out about ACLs and recommends this mode",
    "public": "visitors read everything public, with its content type and cache header",
    "private": "visitors read nothing private",
    "polled": "an anonymous reader who asked for private keys all the time never got one",
    "list": "visitors can't list the bucket",
    "bucket": "the bucket holds what it must, byte for byte, and nothing else",
    "suspended": "what is suspended is shut within the next round",
    "switch": "after the switch late files arrive, and what was deleted in the bucket stays away",
    "audit": "s3_sync_info finds nothing missing, exposed or unreadable",
    "again": "one more run changes nothing",
}


class Verdicts:
    """The cells that were filled in so far."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], str] = {}

    @contextlib.contextmanager
    def cell(self, row: MatrixRow, column: str) -> t.Iterator[None]:
        """Fill in a cell with whether the block ends without an exception."""
        if column not in COLUMNS:
            raise KeyError(column)
        self._cells[row.name, column] = "FAILED"
        yield
        self._cells[row.name, column] = "ok"

    def table(self) -> list[str]:
        """Return the lines of a Markdown table of the tested rows. A cell that was not tested is `-`."""
        rows = [row for row in ROWS if any(name == row.name for name, _column in self._cells)]
        if not rows:
            return []
        cells = [["store", "ACLs", "mode", *COLUMNS]]
        cells += [
            [row.name, row.acl, row.exposure, *(self._cells.get((row.name, name), "-") for name in COLUMNS)]
            for row in rows
        ]
        widths = [max(len(line[index]) for line in cells) for index in range(len(cells[0]))]
        lines = [
            f"| {' | '.join(word.ljust(width) for word, width in zip(line, widths, strict=True))} |" for line in cells
        ]
        return [lines[0], f"| {' | '.join('-' * width for width in widths)} |", *lines[1:]]
