"""A shell with the extension, the gateway that it asks, a host that it must not ask, and all that leaves it."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any

import leaks
from scripted import Script, ScriptedGateway, reply, whole

if TYPE_CHECKING:
    from pathlib import Path

KEY = "gw-Qq7ZxV3mN8bTfW2yLr5HcJ9dKs4PgXe6UaMz1RtYv0BnCiOw"  # looks like nobody's key: only who knows it can find it
OTHER = "gw-Ty5RmB7nKq2XcW9eLz4VhJ8dPs1FgUa6NoMb3CiYt0QwErAx"
FOREIGN = "sk-" + 12 * "Fake"
MASKED = "sk-QqHvK***"
_PART = 17 / 51  # of a key is as bad as the whole

PLANTED = {form for key in (KEY, OTHER, FOREIGN) for form in leaks.forms(key, _PART)} | {b"sk-qqhvk"}


class Stage:
    """A shell with the extension, the gateway that it asks, a host that it must not ask, and all that leaves it."""

    def __init__(self, home: Path) -> None:
        self.home = home / "home"
        self.aside = home / "aside"  # for files that a scene brings along
        for folder in (self.home, self.aside):
            folder.mkdir()
        self.kept: list[tuple[str, bytes]] = []
        self._gateways: list[ScriptedGateway] = []
        self.elsewhere = ScriptedGateway([whole("Elsewhere.")])
        names = {"HOME": "", "JUPYTER_DATA_DIR": "data", "IPYTHONDIR": "ipython", "JUPYTER_CONFIG_DIR": "config"}
        os.environ |= {name: str(self.home / folder) for name, folder in names.items()}
        os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
        os.environ["MIXROUTE_API_KEY"] = KEY
        os.chdir(self.home)
        from IPython.core.interactiveshell import InteractiveShell

        self.shell = InteractiveShell.instance(colors="nocolor")
        self.shell.user_ns |= {"key": KEY, "typed": OTHER}
        self.shell.run_line_magic("load_ext", "mixroute_magic")

    def behind(self, *scripts: Script) -> str:
        """Ask a gateway that plays these from now on, and return its address."""
        self._gateways.append(ScriptedGateway(list(scripts)))
        os.environ["MIXROUTE_BASE_URL"] = self._gateways[-1].base_url
        return self._gateways[-1].base_url

    def run(self, *cells: str) -> None:
        """Run cells, whatever comes of them."""
        from IPython.utils.capture import capture_output

        for cell in cells:
            with capture_output() as shown:
                self.shell.run_cell(cell)
            outputs = [[one.data, one.metadata] for one in shown.outputs]
            self.keep(cell, f"{shown.stdout}{shown.stderr}{outputs}")

    def keep(self, what: str, left: Any) -> None:
        """Keep in mind something that has left the shell."""
        self.kept.append((what, left if isinstance(left, bytes) else str(left).encode("utf-8", "replace")))

    def refused(self, status: int, error: dict[str, Any]) -> None:
        """Ask from a program, and keep the error as that sees it."""
        from mixroute_magic import Client, MixRouteError

        client = Client(self.behind(reply(status, {"error": error})), KEY, retries=0)
        try:
            client.chat([{"role": "user", "content": "x"}], model="glm-5")
        except MixRouteError as failure:
            self.keep("error", f"{failure.lines()} {vars(failure)}")
            self.keep("pickled", pickle.dumps(failure, protocol=0))

    def unknown(self, *cells: str, says: str = f"It is {KEY}.") -> None:
        """Run cells while nobody knows the key; what they show is not looked at."""
        del os.environ["MIXROUTE_API_KEY"]
        self.behind(whole(says))
        self.run(*cells)
        self.kept.clear()
        os.environ["MIXROUTE_API_KEY"] = KEY

    @property
    def session(self) -> Any:
        return self.shell.meta["mixroute_session"]

    def leaks(self) -> list[str]:
        """Return where the key stands."""
        self.shell.run_line_magic("unload_ext", "mixroute_magic")
        asked = [leaks.outside_its_header(one) for gateway in self._gateways for one in gateway.asked]
        asked += [f"{one.line}{one.headers}".encode() + one.raw_body for one in self.elsewhere.asked]
        left = [*self.kept, *(("request", one) for one in asked), *leaks.files(self.home)]
        return [line for what, data in left for line in leaks.leaked(PLANTED, what, data)]
