"""``--image``: images go with a question by reference, are shown once, and are in the request only as it is sent."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.notebook import cell_id, execute_request
from mixroute_magic.display.images import image_output, show_image
from mixroute_magic.errors import SettingError, TemplateError
from mixroute_magic.gateway.families import takes_images
from mixroute_magic.parts import images_in, lost, with_bytes
from mixroute_magic.prompt.images import read_image
from mixroute_magic.session import variables

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from mixroute_magic.chat import Answer
    from mixroute_magic.parts import Find
    from mixroute_magic.plan import Plan
    from mixroute_magic.prompt.images import Image
    from mixroute_magic.session import Session
    from mixroute_magic.wire import Chunk, Message, Request

__all__ = ["attach", "check", "outputs", "sending", "show", "unavailable"]


def attach(session: Session, notebook: Path | None, refs: Sequence[str]) -> list[Image]:
    """Return the images that these words name, and remember their bytes.

    Raises
    ------
    TemplateError
        If one of them cannot be sent.
    """
    names = session.shell.user_ns

    def output(number: int) -> Any:
        ran_here = number < len(names.get("_ih", ()))  # else the number is one that a saved cell has kept
        shown = session.pictures.of_cell(number, None if ran_here else notebook)
        return names.get("_oh", {}).get(number) if shown is None else shown

    images = [read_image(ref, variables(session.shell), output=output, folders=_folders(notebook)) for ref in refs]
    for image in images:
        if session.credentials.is_in(image.data.decode("latin-1")):  # a file may carry texts
            message = f"--image {image.source}: this file contains your API key; nothing was sent."
            raise TemplateError(message, "Save it anew, without the texts in it.")
        if image.data:
            session.pictures.keep(image.data)
    return images


def check(plan: Plan) -> None:
    """Raise `SettingError` if images would go to a model that is known to take none."""
    model = plan.settings.model
    if takes_images(model) is not False or not images_in(plan.request().messages):
        return
    if plan.images:
        what, way = "this question has some", "Ask one that looks at images, as in -m gpt-4o."
    else:
        what, way = (
            "the conversation above has some",
            "Ask another one (-m NAME), or without what stands above: --fresh.",
        )
    raise SettingError(f"{model} takes no images, and {what}; nothing was sent.", way)


def unavailable(session: Session, notebook: Path | None, messages: Iterable[Message]) -> list[str]:
    """Say which images of earlier turns a request has to do without."""
    return [f"no longer available: image {name}" for name in lost(messages, _find(session, notebook))]


def sending(session: Session, notebook: Path | None, answer: Answer) -> Answer:
    """Return what sends a request with its images in it."""
    find = _find(session, notebook)

    def send(request: Request, on_retry: Callable[[Exception, float], None]) -> Generator[Chunk]:
        return answer(replace(request, messages=with_bytes(request.messages, find)), on_retry)

    return send


def outputs(session: Session, notebook: Path | None, messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return the images of messages, each as an output of its own."""
    find = _find(session, notebook)
    found = {image.sha256: (image, data) for image in images_in(messages) if (data := find(image))}
    return [
        image_output(data, image.media_type, sha256=sha256, name=image.name, size=(image.width, image.height))
        for sha256, (image, data) in found.items()
    ]


def show(session: Session, notebook: Path | None, messages: Iterable[Message]) -> None:
    """Show the images of messages below the running cell, besides those that stand in another cell already."""
    running = cell_id(execute_request(session.shell))
    for output in outputs(session, notebook, messages):
        if not session.pictures.displayed.stands(output["metadata"]["mixroute"]["sha256"], running):
            show_image(output)


def _find(session: Session, notebook: Path | None) -> Find:
    """Return what finds the bytes of an image."""

    def read(path: str) -> bytes | None:
        with suppress(TemplateError):
            return read_image(path, {}, output=lambda _: None, folders=_folders(notebook)).data
        return None

    return lambda image: session.pictures.find(image, notebook, read)


def _folders(notebook: Path | None) -> list[Path]:
    """Return where relative paths begin: mostly they are one folder, by two ways to find it."""
    return list(dict.fromkeys([Path.cwd(), *([notebook.parent] if notebook else [])]))
