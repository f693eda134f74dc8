"""``python -m mixroute_magic.demo``: serve the demo gateway until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import time

from .server import DemoGateway


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m mixroute_magic.demo", description="Serve the MixRoute protocol offline; no model is called."
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--pace", type=float, default=1.0, help="1 is realistic, 2 twice as slow, 0 does not wait")
    arguments = parser.parse_args()
    try:
        gateway = DemoGateway.start(arguments.port, arguments.pace)
    except (OSError, OverflowError) as error:
        parser.error(f"cannot listen on port {arguments.port}: {error}")
    with gateway, contextlib.suppress(KeyboardInterrupt):
        print(  # noqa: T201 - a command line speaks
            f"Offline demo gateway, no model is called: {gateway.base_url} (Ctrl-C stops it)",
            f"To use it, set MIXROUTE_BASE_URL={gateway.base_url} before starting Jupyter; it needs no key.",
            sep="\n",
            flush=True,
        )
        while True:
            time.sleep(3600)  # unlike waiting on a lock, Ctrl-C ends it on every system


if __name__ == "__main__":
    main()
