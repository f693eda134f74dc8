"""SQLite's write-ahead log, where a file system can carry one.

The log needs memory that all processes share (https://www.sqlite.org/wal.html): kernels on two hosts that share a
folder have none, and on some file systems the file for it cannot be made. SQLite switches to the log all the same, and
cannot write afterwards; so it is tried, and taken back.
"""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

__all__ = ["network_kind", "unstick", "write_ahead"]

_BUSY = (5, 6)  # SQLITE_BUSY and SQLITE_LOCKED: somebody else is at it, which says nothing of the file system
_PATIENCE = 0.5  # seconds
_NETWORK = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "fuse.ceph-fuse", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "gpfs", "lustre"}
) | {"ncpfs", "nfs", "nfs4", "smb3", "smbfs"}


def unstick(path: Path) -> None:
    """Take the log from a SQLite file that has one and can therefore not be written: it may have been moved here."""
    if not _can_write(path):
        _without_log(path)


def write_ahead(path: Path) -> str:
    """Let a SQLite file have a write-ahead log, while nothing is done with it here; return why it has none, if so."""
    kind = network_kind(path)
    if kind:
        _without_log(path)
        return f"its file system ({kind}) is on a network"
    if _has_log(path) and _can_write(path):
        return ""
    _without_log(path)
    return "its file system cannot carry one"


def network_kind(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system that a path is on, if that is one of a network and the system tells."""
    resolved = path.resolve()
    kind, longest = "", -1
    with suppress(OSError, ValueError):
        for line in mounts.read_text().splitlines():
            _, point, its_kind, *_ = line.split(" ")  # fstab(5)
            folder = Path(point.replace("\\040", " "))
            if resolved.is_relative_to(folder) and len(folder.parts) >= longest:
                kind, longest = its_kind, len(folder.parts)
    return kind if kind in _NETWORK else ""


def _has_log(path: Path) -> bool:
    import sqlite3

    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(path, timeout=0)) as db:
        return bool(db.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal")
    return True  # somebody else is at it: kernels that opened it before have switched


def _can_write(path: Path) -> bool:
    import sqlite3

    try:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF in _BUSY
    return True


def _without_log(path: Path) -> None:
    """Take the log back. Whoever locks the file for itself needs no shared memory for that."""
    import sqlite3

    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(path, timeout=_PATIENCE)) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        db.execute("PRAGMA journal_mode = DELETE").fetchall()
