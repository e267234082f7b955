"""Describes a running store, and its errors."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

if t.TYPE_CHECKING:
    from pathlib import Path


class StoreError(Exception):
    """A store can't be started or stopped. The text says why and what to do."""


class ProgramMissingError(StoreError):
    """A program that the store needs is missing and could not be installed."""


@dataclasses.dataclass(frozen=True)
class StartRequest:
    """How to start a store.

    directory: its folder, for data, certificates and logs.
    host, port: the address to listen on; port 0 means a free one.
    names: DNS names and addresses for the certificate; the first is the one in the endpoint's URL.
    region: the region that the store reports.
    bound_to_parent: whether the processes end when the calling process does.
    behind: for a simulation that is a proxy, the running store behind it; None: it starts one.
    """

    directory: Path
    host: str = "127.0.0.1"
    port: int = 0
    names: tuple[str, ...] = ()
    region: str = "us-east-1"
    bound_to_parent: bool = False
    behind: StoreServer | None = None

    @property
    def all_names(self) -> tuple[str, ...]:
        """The certificate's names. The first is the one in the endpoint's URL."""
        own = () if self.host in ("0.0.0.0", "::") else (self.host,)  # noqa: S104
        return tuple(dict.fromkeys((*self.names, *own, "127.0.0.1", "localhost")))

    def url(self, scheme: str, port: int) -> str:
        """The base URL for clients."""
        name = self.all_names[0]
        return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


@dataclasses.dataclass(frozen=True)
class StoreServer:
    """A running store.

    endpoint_url: with TLS, except for moto, which has only plain HTTP.
    plain_endpoint_url: the same store without TLS, if it has one.
    ca_bundle: PEM file of the private authority that signed the certificate, or None.
    pid: the server's process; pids: all processes with their start times, in the order in which they were started.
    """

    kind: str
    endpoint_url: str
    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    region: str
    ca_bundle: str | None
    plain_endpoint_url: str | None
    pid: int
    pids: tuple[tuple[int, str], ...]
    directory: str
    log: str

    def client(self, service: str = "s3", **arguments: t.Any) -> t.Any:
        """Return a boto3 client with the administrator's key. Arguments of boto3 override the defaults.

        All callers without arguments share one client, since creating one is slow.
        """
        return self._make_client(service, **arguments) if arguments else self._shared_client(service)

    @functools.lru_cache(maxsize=16)  # noqa: B019 - a store lives as long as the tests do
    def _shared_client(self, service: str) -> t.Any:
        return self._make_client(service)

    def _make_client(self, service: str, **arguments: t.Any) -> t.Any:
        import boto3
        from botocore.config import Config

        config = Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        if "config" in arguments:
            config = config.merge(arguments.pop("config"))
        make: t.Any = boto3.client
        return make(
            service,
            **{
                "endpoint_url": self.endpoint_url,
                "aws_access_key_id": self.access_key,
                "aws_secret_access_key": self.secret_key,
                "region_name": self.region,
                "verify": self.ca_bundle or True,
                "config": config,
                **arguments,
            },
        )

    def module_options(self) -> dict[str, t.Any]:
        """Return the connection options for this collection's modules."""
        return {
            "endpoint_url": self.endpoint_url,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "region": self.region,
            **({"aws_ca_bundle": self.ca_bundle} if self.ca_bundle else {}),
        }
