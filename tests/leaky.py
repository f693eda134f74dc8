"""Plays scenes in a shell in which one guard of the key is missing, and tells what of the key leaves it then.

Run as a process of its own, it reads scenes and changes from its input, and plays each in a fork: our package is
imported there only, with the guard's source changed, so that nothing of ours has to be patched.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType


class Changed(importlib.machinery.SourceFileLoader):
    """Loads a module with one piece of its source replaced."""

    def __init__(self, name: str, path: str, source: str, removed: str) -> None:
        super().__init__(name, path)
        self._source, self._removed = source, removed

    def get_code(self, fullname: str) -> CodeType:
        code = Path(self.path).read_text(encoding="utf-8")
        assert code.count(self._source) == 1, f"{self._source!r} stands {code.count(self._source)} times in {fullname}"
        return compile(code.replace(self._source, self._removed), self.path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds that one module, and no other."""

    def __init__(self, module: str, source: str, removed: str) -> None:
        self._module, self._change = module, (source, removed)

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:  # noqa: ARG002
        if name != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        spec.loader = Changed(name, str(spec.origin), *self._change)
        return spec


def played(scene: str, change: tuple[str, str, str] | None) -> list[str]:
    """Return what leaks in a scene, with a change to our source or without one."""
    import scenes
    from stage import Stage

    if change is not None:
        sys.meta_path.insert(0, Finder(*change))
    with tempfile.TemporaryDirectory() as home:
        stage = Stage(Path(home))
        getattr(scenes, scene)(stage)
        return stage.leaks()


def in_a_fork(scene: str, change: tuple[str, str, str] | None) -> list[str]:
    """Return what leaks, played in a process of its own that has imported all but our package."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = ["it did not end"]
        try:
            said = played(scene, change)
        except BaseException as error:  # noqa: BLE001 - the test shall see it
            said = [f"BROKEN {type(error).__name__}: {error}"]
        os.write(write, json.dumps(said)[:60_000].encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = json.loads(pipe.read() or b'["BROKEN: it said nothing"]')
    os.waitpid(child, 0)
    return said


def main() -> None:
    import jinja2  # noqa: F401 - what every scene would import
    import jupyter_core.paths  # noqa: F401
    import pydantic  # noqa: F401
    import requests  # noqa: F401
    import sqlalchemy.dialects.sqlite  # noqa: F401
    import tenacity  # noqa: F401
    from IPython.core.interactiveshell import InteractiveShell  # noqa: F401

    asked = json.load(sys.stdin)
    if all(change is None for _, change in asked):  # nothing is to be changed before it is imported
        import mixroute_magic.asking
        import mixroute_magic.magics  # noqa: F401
    for scene, change in asked:
        print(json.dumps(in_a_fork(scene, change)), flush=True)


if __name__ == "__main__":
    main()
