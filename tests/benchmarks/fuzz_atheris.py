"""The readers of streams and of records under atheris, which looks for inputs that reach new code.

Run by hand, in an environment of its own, for as long as wanted::

    python3 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris hypothesis -e .
    /tmp/fuzz/bin/python tests/benchmarks/fuzz_atheris.py stream -max_total_time=300
    /tmp/fuzz/bin/python tests/benchmarks/fuzz_atheris.py record -max_total_time=300

It ends with the number of executions, or at the first finding with the input that made it: that belongs into
``tests/test_fuzz.py``. The targets check what the property tests check.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["mixroute_magic", "sseclient"]):
    from fuzzing import CHUNKS, RECORDS, check_answer, check_record, read

    from mixroute_magic.errors import MixRouteError
    from mixroute_magic.gateway.faults import Refusal


def stream(data: bytes) -> None:
    """Read bytes as a stream, in pieces of the length that the first byte says, and as an error's body."""
    size, body = (data[0] + 1, data[1:]) if data else (1, b"")
    chunks = []
    error = None
    try:
        for chunk in read(body[start : start + size] for start in range(0, len(body), size)):
            chunks.append(chunk)  # noqa: PERF402 - what came before an error counts
    except MixRouteError as caught:
        error = caught
    check_answer(chunks, error)
    Refusal.read(503, {}, body, "gateway.test").error().lines()


def record(data: bytes) -> None:
    """Read bytes as the record of an output."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # as the readers of files do
        return
    check_record(found)


def seeds(target: str) -> str:
    """Write valid inputs into a folder, to begin with."""
    folder = Path(tempfile.mkdtemp())
    known = [json.dumps(value).encode() for value in (CHUNKS if target == "stream" else RECORDS)]
    if target == "stream":
        known = [b"\xff" + b"".join(b"data: " + chunk + b"\n\n" for chunk in pair) for pair in zip(known, known[::-1])]  # noqa: B905
    for number, content in enumerate(known):
        (folder / str(number)).write_bytes(content)
    return str(folder)


if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup([*sys.argv, "-timeout=20", "-max_len=4096", seeds(name)], {"stream": stream, "record": record}[name])
    atheris.Fuzz()
