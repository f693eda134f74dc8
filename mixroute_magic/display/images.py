"""The output in which an image that goes with a question stands in the notebook."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from mixroute_magic.outside import without_controls

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["image_output", "show_image"]

_LONGEST_SIDE = 480  # pixels on the page, where all of them are there, but need not be seen


def image_output(data: bytes, kind: str, *, sha256: str, name: str, size: tuple[int, int]) -> dict[str, Any]:
    """Return the output of an image, as front ends keep it.

    Parameters
    ----------
    data, kind
        The file, and its media type.
    sha256
        Its hash, by which it is known in the notebook.
    name
        How it was named.
    size
        Width and height in pixels, 0 where they are not known.
    """
    width, height = size
    share = min(1, _LONGEST_SIDE / max(*size, 1))
    shown = {kind: {"width": max(1, round(width * share))}} if share < 1 else {}
    pixels = f": {width} × {height}" if all(size) else ""
    return {
        "data": {kind: b64encode(data).decode(), "text/plain": f"[image {without_controls(name)}{pixels}]"},
        "metadata": {"mixroute": {"version": 1, "kind": "image", "sha256": sha256}, **shown},
    }


def show_image(output: Mapping[str, Any]) -> None:
    """Show an image below the running cell."""
    from IPython.display import display

    display(output["data"], raw=True, metadata=output["metadata"])
