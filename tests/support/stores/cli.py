"""The command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from stores.lifecycle import KINDS, install, start, stop
from stores.model import StoreError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stores", description="Starts and stops real S3 servers for tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    starts = commands.add_parser("start", help="start a store and print how to reach it, as JSON")
    starts.add_argument("kind", choices=KINDS)
    starts.add_argument("--dir", type=Path, required=True, help="an empty folder for its data, certificates and logs")
    starts.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    starts.add_argument("--port", type=int, default=0, help="port to bind (default: a free one)")
    starts.add_argument(
        "--name",
        action="append",
        default=[],
        help="name or address for the certificate; the first is in the endpoint's URL",
    )
    starts.add_argument("--region", default="us-east-1", help="the store's region (default: %(default)s)")
    stops = commands.add_parser("stop", help="end a store's processes and remove its data")
    stops.add_argument("--dir", type=Path, required=True, help="the folder that it was started in")
    installs = commands.add_parser("install", help="build or install the programs, so that a later start is quick")
    installs.add_argument("kind", nargs="*", choices=KINDS, default=list(KINDS))
    return parser


def main() -> int:
    """Parse the command line and run the command. Return the exit status: 0, or 1 with a message on stderr."""
    arguments = _parser().parse_args()
    try:
        if arguments.command == "start":
            store = start(
                arguments.kind,
                arguments.dir,
                host=arguments.host,
                port=arguments.port,
                names=tuple(arguments.name),
                region=arguments.region,
            )
            print(json.dumps(dataclasses.asdict(store), indent=2))
        elif arguments.command == "stop":
            if not stop(arguments.dir):
                print(f"stores: nothing to stop in {arguments.dir}", file=sys.stderr)
        else:
            for kind in arguments.kind:
                install(kind)
    except StoreError as error:
        print(f"stores: {error}", file=sys.stderr)
        return 1
    return 0
