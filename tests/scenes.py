"""Small scenes with a key, each of which one guard or another keeps in; what leaves the stage is looked at."""

from __future__ import annotations

import base64
import json
import os
import pickle
import sys
from typing import TYPE_CHECKING

from scripted import DONE, PATIENCE, STOP, Pause, answer, delta, event, reply, whole
from stage import FOREIGN, KEY, MASKED

if TYPE_CHECKING:
    from stage import Stage


def split(stage: Stage) -> None:
    stage.behind(whole("It is ", *(KEY[place : place + 4] for place in range(0, len(KEY), 4)), "."))
    stage.run("%chat x")


def spelled(stage: Stage) -> None:
    stage.behind(whole(*KEY))
    stage.run("%chat x")


def replayed(stage: Stage) -> None:
    stage.unknown("%chat --fresh x")
    stage.run("%chat --fresh --replay only x")


def labelled(stage: Stage) -> None:
    said = {"model": KEY, "choices": [{"index": 0, "delta": {"content": "Hi."}}]}
    stage.behind(answer(event(said), event(said | {"choices": [{"delta": {}, "finish_reason": "stop"}]}), DONE))
    stage.run("%chat x")


def ended(stage: Stage) -> None:
    stage.behind(answer(delta("Hi.", finish_reason=KEY), DONE))
    stage.run("%chat x")


def numbered(stage: Stage) -> None:
    stage.behind([reply(200, content_type="text/event-stream", x_oneapi_request_id=KEY), delta("Hi."), STOP, DONE])
    stage.run("%chat x")


def called(stage: Stage) -> None:
    arguments = json.dumps({"text": KEY})
    pieces = [{"function": {"arguments": arguments[place : place + 5]}} for place in range(0, len(arguments), 5)]
    pieces[0] |= {"id": "c1", "function": {"name": "tell", **pieces[0]["function"]}}
    asks = [event({"choices": [{"delta": {"tool_calls": [{"index": 0, **piece}]}}]}) for piece in pieces]
    stage.behind(answer(*asks, STOP, DONE), whole("Done."))
    stage.run("def tell(text: str): return 1", "%chat --tool tell --yes x")


def returned(stage: Stage) -> None:
    asks = {"index": 0, "id": "c1", "function": {"name": "tell", "arguments": "{}"}}
    stage.behind(answer(event({"choices": [{"delta": {"tool_calls": [asks]}}]}), STOP, DONE), whole("Done."))
    stage.run("def tell(): return key", "%chat --tool tell --yes x")


SCHEMA = """
from typing import Annotated
from pydantic import BaseModel, BeforeValidator
def check(value): raise ValueError(key)
class Film(BaseModel):
    title: Annotated[str, BeforeValidator(check)]
"""


def repaired(stage: Stage) -> None:
    stage.behind(whole('{"title": "x"}'))
    stage.run(SCHEMA, "%chat --schema Film x")


def compared(stage: Stage) -> None:
    stage.behind(whole('{"title": "x"}'))
    stage.run(SCHEMA, "%chat -m a -m b --schema Film x")


def listed(stage: Stage) -> None:
    stage.behind(reply(200, {"data": [{"id": KEY}, {"id": "x", "owned_by": KEY}]}))
    stage.run("%model --list")


def quoted(stage: Stage) -> None:
    stage.refused(401, {"message": f"your key {KEY} is bad", "code": "x"})


def coded(stage: Stage) -> None:
    stage.refused(400, {"message": "no", "code": KEY})


def hinted(stage: Stage) -> None:
    from mixroute_magic.errors import MixRouteError

    stage.run("%mixroute")
    error = MixRouteError("It failed.", f"Do without {KEY}.", request_id=KEY)
    error.redact(stage.session.credentials.redact)
    stage.keep("error", error.lines())


def in_capitals(stage: Stage) -> None:
    stage.refused(401, {"message": f"your key {KEY.upper()} is bad"})


def in_base64(stage: Stage) -> None:
    for before in ("", "u:", "Bearer "):
        stage.refused(401, {"message": f"your key {base64.b64encode((before + KEY).encode()).decode()} is bad"})


def in_hex(stage: Stage) -> None:
    stage.refused(401, {"message": f"your key {KEY.encode().hex()} is bad"})


def escaped(stage: Stage) -> None:
    for form in ("%{:02X}", "\\u{:04x}"):
        stage.refused(401, {"message": "your key " + "".join(form.format(ord(c)) for c in KEY) + " is bad"})
        special = "".join(c if c.isalnum() else form.format(ord(c)) for c in KEY)
        stage.refused(401, {"message": f"your key {special} is bad"})


def cut(stage: Stage) -> None:
    stage.shell.user_ns |= {"long": "x" * 99_970 + KEY, "tail": KEY[-30:]}
    stage.run("%chat --dry-run {{ long }}", "%chat --dry-run {{ tail }}")


def of_another(stage: Stage) -> None:
    stage.refused(401, {"message": f"Incorrect API key provided: {MASKED}"})
    stage.refused(401, {"message": f"Incorrect API key provided: {FOREIGN}"})


def failed(stage: Stage) -> None:
    stage.run("%chat {{ int(key) }}")


def redirected(stage: Stage) -> None:
    to = stage.elsewhere.base_url
    for status in (301, 302, 303, 307, 308):
        stage.behind(reply(status, Location=f"{to}/chat/completions?key={KEY}"))
        stage.run("%chat x")


def unencrypted(stage: Stage) -> None:
    os.environ |= {"HTTP_PROXY": stage.elsewhere.base_url.removesuffix("/v1"), "NO_PROXY": ""}
    os.environ["MIXROUTE_BASE_URL"] = "http://gateway.example/v1"
    stage.run("%chat x")


def in_the_address(stage: Stage) -> None:
    os.environ["MIXROUTE_BASE_URL"] = f"{stage.elsewhere.base_url}/{KEY}"
    stage.run("%mixroute", "%chat x")


def in_a_clients_address(stage: Stage) -> None:
    from mixroute_magic import Client, MixRouteError

    try:
        Client(f"{stage.behind(whole('Hi.'))}/{KEY}", KEY).chat([{"role": "user", "content": "x"}], model="glm-5")
    except MixRouteError as error:
        stage.keep("error", error)


def shown(stage: Stage) -> None:
    from mixroute_magic import Client

    stage.keep("client", repr(Client(f"https://gateway.example/{FOREIGN}")))


def asked_by_a_program(stage: Stage) -> None:
    from mixroute_magic import Client, MixRouteError

    try:
        Client(stage.behind(whole("Hi.")), KEY).chat([{"role": "user", "content": f"Is {KEY} good?"}], model="glm-5")
    except MixRouteError as error:
        stage.keep("error", error)


def in_a_template(stage: Stage) -> None:
    stage.run("%chat --dry-run {{ key }}")


def configured(stage: Stage) -> None:
    stage.run("%config MixRoute.system = key", "%chat --dry-run x")


def above(stage: Stage) -> None:
    stage.unknown("%chat x")
    stage.run("%chat --dry-run y")


def looked_at(stage: Stage) -> None:
    stage.unknown("%chat x")
    stage.run("%thread")


def exported(stage: Stage) -> None:
    stage.unknown("%chat x")
    stage.run("%thread --export talk.md", "%thread --export talk.json", "%thread --export talk.ipynb")


def imported(stage: Stage) -> None:
    stage.unknown("%chat x", f"%thread --export {stage.aside}/talk.json", "%thread --clear")
    stage.run(f"%thread --import {stage.aside}/talk.json")


def chosen(stage: Stage) -> None:
    from mixroute_magic.choosing import choose

    stage.run("%model")
    try:
        choose(stage.session, stage.session.notebook(), {"system": f"You know {KEY}."})
    except Exception as error:  # noqa: BLE001 - whatever it says
        stage.keep("error", error)
    stage.keep("chosen", stage.session.notebook().chosen)


def set_up(stage: Stage) -> None:
    from mixroute_magic.choosing import _Choice

    stage.run("%config MixRoute.system = key", "%config MixRoute.model = key", "%model")
    stage.keep("panel", _Choice(stage.session, "t").current())


def told(stage: Stage) -> None:
    stage.run("%config MixRoute.model = key", "%mixroute")


def on_the_line(stage: Stage) -> None:
    from IPython.utils.capture import capture_output

    with capture_output() as shown:
        for magic, line in (("thread", KEY), ("thread", f"--fork {KEY}"), ("chat", f"-t {KEY}"), ("mixroute", KEY)):
            try:
                stage.shell.run_line_magic(magic, line)
            except Exception as error:  # noqa: BLE001 - whatever it says
                print(error)
    stage.keep("lines", shown.stdout)


def of_another_on_the_line(stage: Stage) -> None:
    from IPython.utils.capture import capture_output

    stage.behind(whole("Hi."))
    with capture_output() as shown:
        try:
            stage.shell.run_line_magic("chat", f"why is {FOREIGN} refused?")
        except Exception as error:  # noqa: BLE001 - whatever it says
            print(error)
    stage.keep("line", shown.stdout)


def pictured(stage: Stage) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("Author", KEY)
    Image.new("RGB", (8, 8)).save(stage.aside / "pic.png", pnginfo=texts)
    stage.behind(whole("Hi."))
    stage.run(f"%chat -m gpt-4o --image {stage.aside}/pic.png x")


def debugged(stage: Stage) -> None:
    import http.client

    http.client.HTTPConnection.debuglevel = 1
    stage.behind(whole("Hi."))
    stage.run("%chat x")


def logged(stage: Stage) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nyour key is {KEY}\r\nX-A: b\r\n\r\n"
    stage.behind([head.encode(), delta("Hi."), STOP, DONE])
    stage.run("import logging; logging.basicConfig(level=logging.DEBUG, filename='log.txt')", "%chat x")


SLOW = """
import signal
from mixroute_magic import Client
signal.signal(signal.SIGALRM, lambda *_: 1 / 0)
client = Client()
signal.setitimer(signal.ITIMER_REAL, 0.3)
client.chat([{"role": "user", "content": "x"}], model="glm-5")
"""


def interrupted(stage: Stage) -> None:
    stage.behind([Pause(PATIENCE)])
    stage.run("%xmode Verbose", SLOW)


def pickled(stage: Stage) -> None:
    from mixroute_magic.gateway.credentials import Credentials

    try:
        stage.keep("pickle", pickle.dumps(Credentials({"MIXROUTE_API_KEY": KEY}), protocol=0))
    except TypeError as error:
        stage.keep("error", error)


LOUD = """
from keyring.backend import KeyringBackend
class Loud(KeyringBackend):
    priority = 1
    def get_password(self, *_): return None
    def set_password(self, service, name, password): raise RuntimeError(f"cannot keep {password}")
    delete_password = None
"""


def logged_in(stage: Stage) -> None:
    (stage.aside / "loud.py").write_text(LOUD)
    sys.path.insert(0, str(stage.aside))
    os.environ["PYTHON_KEYRING_BACKEND"] = "loud.Loud"
    stage.run("%mixroute", "get_ipython().meta['mixroute_session'].credentials.login(typed)")


def second_key(stage: Stage) -> None:
    login = "shown = get_ipython().meta['mixroute_session'].credentials.login(typed)"
    stage.run("%mixroute", login, "%chat --dry-run {{ typed }}")
