"""A recorded turn, streamed once more at a pace that people can follow."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.saved import SavedNotebook
from mixroute_magic.conversation.turn import Turn, answer_to
from mixroute_magic.wire import Chunk, Usage

if TYPE_CHECKING:
    from collections.abc import Collection, Generator
    from pathlib import Path

__all__ = ["Beside", "replay"]

_CHARACTERS_A_SECOND = 600
_LONGEST = 4.0  # seconds, however long the answer is
_PIECE = re.compile(r"\s*\S{1,24}\s*|\s+")
_NOTHING_SPENT = Usage(0, 0, 0, 0, "replayed")


def replay(turn: Turn, *, paced: bool) -> Generator[Chunk]:
    """Yield the answer of a turn in chunks, as a stream would; tokens are zero, since nothing was asked.

    ``paced`` spreads it over at most four seconds; otherwise it comes at once.
    """
    answer = turn.messages[-1].text if turn.answered else ""
    pieces = _PIECE.findall(answer)
    pause = min(_LONGEST, len(answer) / _CHARACTERS_A_SECOND) / max(1, len(pieces)) if paced else 0.0
    yield Chunk(reasoning=turn.reasoning, model=turn.served_model, request_id=turn.request_id, demo=turn.demo)
    for piece in pieces:
        time.sleep(pause)
        yield Chunk(text=piece)
    yield Chunk(finish_reason=turn.finish_reason, usage=_NOTHING_SPENT)


class Beside:
    """The notebooks of a folder, as a record of what was asked.

    Whoever executes a notebook without a page (nbclient, nbconvert, papermill) tells the kernel the folder in which it
    lies, and no more. The hash is of the whole request, so that another notebook's turn is as good.
    """

    def __init__(self, folder: Path) -> None:
        self._saved = [SavedNotebook(path) for path in sorted(folder.glob("*.ipynb"))]

    def find(self, request_hash: str, besides: Collection[str] = ()) -> Turn | None:
        """Return a complete answer to this request, ``besides`` those with these ids."""
        cells = (cell for saved in self._saved for cell in saved.cells())
        records = (record for cell in cells for record in cell.records if _mentions(record, request_hash))
        turns = (turn for record in records if (turn := Turn.from_metadata(record)) is not None)
        return answer_to(turns, request_hash, besides)


def _mentions(record: Mapping[str, Any], request_hash: str) -> bool:
    """Say whether a record may be that of an answer to this request: reading it whole takes longer."""
    alternatives = record.get("alternatives")
    known = [record, *(alternatives if isinstance(alternatives, list) else [])]
    return any(isinstance(one, Mapping) and one.get("request_hash") == request_hash for one in known)
