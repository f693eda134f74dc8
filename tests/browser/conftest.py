"""JupyterLab and Notebook in a real Chromium: one server, one browser, and one window that a test begins with."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from servers import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TOKEN = "browser-tests"
APPS = {"lab": "lab/tree", "notebook": "notebooks"}
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
READY = """() => {
  const { commands, shell } = window.jupyterapp ?? {};
  const panel = shell?.currentWidget;
  const idle = panel?.context?.isReady && panel.sessionContext.session?.kernel?.status === "idle";
  return idle && commands.isEnabled("notebook:run-all-cells"); // which is so once the notebook has the focus
}"""
OPEN = "async (path) => { await window.jupyterapp.commands.execute('docmanager:open', { path }); }"
CLOSE = """async () => {
  const { serviceManager, shell } = window.jupyterapp;
  await serviceManager.sessions.shutdownAll();
  [...shell.widgets("main")].forEach((widget) => widget.dispose());
}"""
OUTPUTS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .map(cell => cell.model.outputs?.toJSON() ?? [])"""

# What a person does, a verb and its argument each, without a pause between; a word alone is a command of JupyterLab's.
DO = """async (steps) => {
  const { commands, shell } = window.jupyterapp;
  const { content: notebook, context, sessionContext } = shell.currentWidget;
  const verbs = {
    run: (id) => commands.execute(id),
    at: (words) => { // in the first cell with these words, or in that with this number
      const has = (cell) => ` ${cell.model.sharedModel.source} `.split(/\\W+/).includes(words);
      const number = typeof words === "number" ? words : notebook.widgets.findIndex(has);
      if (number < 0) throw new Error(`no cell says ${words}`);
      notebook.deselectAll();
      notebook.activeCellIndex = number;
    },
    write: (source) => notebook.activeCell.model.sharedModel.setSource(source),
    cursor: (line) => {
      notebook.mode = "edit";
      notebook.activeCell.editor.setCursorPosition({ line, column: 0 });
    },
    undoFrom: () => notebook.model.sharedModel.clearUndoHistory(), // else it takes what was done shortly before, too
    rename: (name) => context.rename(name),
    restart: () => sessionContext.session.kernel.restart(),
  };
  for (const step of steps) {
    const [verb, argument] = typeof step === "string" ? ["run", step] : step;
    await verbs[verb](argument);
  }
  return notebook.activeCell.model.outputs?.toJSON();
}"""


@dataclass(frozen=True)
class NotebookPage:
    """A notebook open in JupyterLab or Notebook. ``page`` is Playwright's, for all that is not named here."""

    page: Page
    path: Path

    def start(self, command: str = "notebook:run-all-cells") -> None:
        """Run all cells, or what else a command runs, and return while they run."""
        self.page.evaluate(
            "command => { window.ran = false;"
            "window.jupyterapp.commands.execute(command).finally(() => { window.ran = true; }); }",
            command,
        )

    def wait(self) -> None:
        """Wait until the cells that `start` began have ended."""
        self.page.wait_for_function("window.ran")

    def run_all(self) -> None:
        """Run all cells, to the end."""
        self.start()
        self.wait()

    def do(self, *steps: str | tuple[str, Any]) -> list[dict[str, Any]]:
        """Do steps in the words of `DO`, and return the outputs of the cell that is active then."""
        return self.page.evaluate(DO, list(steps))

    def restart_and_run_all(self) -> None:
        """Restart the kernel and run all cells to the end, by the command that asks whether one is sure."""
        self.start("notebook:restart-run-all")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.wait()

    def reload(self) -> None:
        """Load the page again, as its user would, beside the running kernel."""
        self.page.reload()
        self.page.wait_for_function(READY)

    def outputs(self) -> list[list[dict[str, Any]]]:
        """Return each cell's outputs as the notebook holds them."""
        return self.page.evaluate(OUTPUTS)

    def output_texts(self) -> list[str]:
        """Return the text of each output area as the page shows it."""
        return self.page.locator(".jp-OutputArea").evaluate_all("areas => areas.map(area => area.textContent)")

    def save(self) -> nbformat.NotebookNode:
        """Save the notebook, and return what the file says."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        return nbformat.read(self.path, as_version=4)

    def set_theme(self, name: str) -> None:
        """Change the theme: ``JupyterLab Light`` or ``JupyterLab Dark``."""
        self.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name)
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)

    def screenshot(self, path: Path, cell: int | None = None) -> None:
        """Write a picture of the page, or of one cell."""
        target = self.page if cell is None else self.page.locator(".jp-Notebook .jp-Cell").nth(cell)
        target.screenshot(path=path)


class Lab:
    """A running JupyterLab, which serves Notebook too, and a browser to look at it."""

    def __init__(self, url: str, folder: Path, browser: Browser) -> None:
        self._url = url
        self._folder = folder
        self._browser = browser
        self._kept: Page | None = None  # a window with JupyterLab, which takes longer to load than most tests
        self._pages: list[Page] = []

    def open(
        self, notebook: nbformat.NotebookNode, name: str = "test.ipynb", *, width: int = 1000, app: str = "lab"
    ) -> NotebookPage:
        """Save ``notebook`` on the server, and open it with an idle kernel in a window of an app (`APPS`)."""
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self._folder / name
        nbformat.write(notebook, path)
        if app == "lab" and self._kept is not None and not self._pages:
            page, self._kept = self._kept, None
            page.bring_to_front()
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(OPEN, name)
        else:
            page = self._browser.new_page(viewport={"width": width, "height": 900})
            page.set_default_timeout(60_000)
            page.goto(f"{self._url}/{APPS[app]}/{name}?reset&token={TOKEN}")
        self._pages.append(page)
        page.wait_for_function(READY)
        page.evaluate("window.loadedOnce = true")
        return NotebookPage(page, path)

    def tell(self) -> None:
        """Print what stands on the pages, for whoever reads why a test has failed."""
        for page in self._pages:
            print(page.url, page.locator("body").inner_text(), sep="\n")

    def close_pages(self, *, keep: bool) -> None:
        """End what a test has opened, kernels included, and keep one window of JupyterLab for the next, perhaps."""
        for page in self._pages:
            page.evaluate(CLOSE)
            # One that was loaded again may be about to open anew what was open in it before.
            if keep and self._kept is None and "/lab" in page.url and page.evaluate("window.loadedOnce"):
                self._kept = page
            else:
                page.close()
        self._pages.clear()


def find_chromium() -> str | None:
    """Return where the system has a Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def chromium_at(path: str) -> Iterator[Browser]:
    """Run a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, Path]]:
    """Run a JupyterLab that keeps all it has in ``home``, and tell its address and the folder it serves."""
    folder = home / "notebooks"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = (
        f"--no-browser --allow-root --ip=127.0.0.1 --port={port} --ServerApp.port_retries=0 "
        f"--IdentityProvider.token={TOKEN} --ServerApp.root_dir={folder} --LabApp.expose_app_in_browser=True "
        "--JupyterNotebookApp.expose_app_in_browser=True "
        "--LabApp.extension_manager=readonly --LanguageServerManager.autodetect=False"
    )
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options.split()], env=_environment(home), stdout=log, stderr=log
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/api/status?token={TOKEN}", server, home / "server.log")
            yield f"http://127.0.0.1:{port}", folder
        finally:
            server.terminate()
            server.wait()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; its absence is a reason to skip, but never in CI."""
    path = find_chromium()
    if path is None:
        reason = "no Chromium found: install the system's package `chromium`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium_at(path) as browser:
        yield browser


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A JupyterLab that shares nothing with the machine's own settings: its address, and the folder it serves."""
    with serving(tmp_path_factory.mktemp("lab")) as served:
        yield served


@pytest.fixture(scope="session")
def running_lab(lab_server: tuple[str, Path], chromium: Browser) -> Lab:
    """The session's JupyterLab and its windows."""
    return Lab(*lab_server, chromium)


@pytest.fixture
def lab(running_lab: Lab, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The same, with no notebook open. Kernels import this checkout and know no ``MIXROUTE_*``: set these in a cell."""
    failures = request.session.testsfailed
    yield running_lab
    failed = request.session.testsfailed > failures
    if failed:
        running_lab.tell()
    running_lab.close_pages(keep=not failed and request.node.get_closest_marker("spoils") is None)


def _environment(home: Path) -> dict[str, str]:
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    theirs = ("MIXROUTE_", "JUPYTER", "COVERAGE_")  # what is counted in kernels makes a page wait for them
    ours = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    return ours | {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": str(ROOT),
    }
