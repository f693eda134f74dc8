"""Networks, disks and machines as they are: proxies, certificates of one's own, IPv6, full disks, locked files."""

from __future__ import annotations

import base64
import re
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kernels import Kernel, environment
from scripted import ScriptedGateway, reply, scripted, whole

from mixroute_magic import Client
from mixroute_magic import errors as e
from mixroute_magic.writeahead import network_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-test-key-of-a-person"
HELLO = [{"role": "user", "content": "hello"}]
GATEWAY = "http://gateway.example/v1"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def _no_network_of_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def answer(base_url: str) -> str:
    with Client(base_url, KEY, retries=0, timeout=10, allow_http=True) as client:
        return client.chat(HELLO, model="glm-5").text


def refused(base_url: str) -> list[str]:
    with pytest.raises(e.MixRouteError) as caught:
        answer(base_url)
    return caught.value.lines()


class TestProxies:
    @pytest.fixture
    def proxy(self) -> Iterator[ScriptedGateway]:
        """A proxy for plain http, which is asked for whole addresses, and lets nobody through it without a password."""
        wanted = f"Basic {base64.b64encode(b'ann:geheim').decode()}"

        def script(asked: Any) -> bytes:
            if asked.headers.get("proxy-authorization") != wanted:
                return reply(407, proxy_authenticate="Basic")
            return b"".join(piece for piece in whole("Hi.") if isinstance(piece, bytes))

        with scripted(script) as made:
            yield made

    @staticmethod
    def address(proxy: ScriptedGateway, who: str = "ann:geheim@") -> str:
        return f"http://{who}{urlsplit(proxy.base_url).netloc}"

    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
    def test_a_proxy_is_used_with_its_password(
        self, proxy: ScriptedGateway, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, self.address(proxy))
        assert answer(GATEWAY) == "Hi."
        assert [asked.line for asked in proxy.asked] == [f"POST {GATEWAY}/chat/completions HTTP/1.1"]

    def test_https_goes_through_a_tunnel_whose_refusal_is_told_without_the_password(
        self, proxy: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", self.address(proxy, "ann:secret-word@"))
        lines = refused("https://gateway.example/v1")
        assert lines == [
            "APIConnectionError: The proxy does not lead to gateway.example: it says no (HTTP 407).",
            "A proxy's name and password go into HTTPS_PROXY: http://NAME:PASSWORD@proxy.example:3128.",
        ]
        (asked,) = proxy.asked
        assert asked.line.startswith("CONNECT gateway.example:443 ")
        assert "authorization" not in asked.headers  # the key is for the gateway alone

    def test_a_proxy_that_wants_a_password_is_told_apart_from_the_gateway(
        self, proxy: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", self.address(proxy, ""))
        assert refused(GATEWAY)[0] == (
            "APIConnectionError: The proxy before gateway.example wants a name and a password (HTTP 407)."
        )

    @pytest.mark.parametrize("url", ["socks5://ann:geheim@127.0.0.1:1", "http://ann:geheim@127.0.0.1:1"])
    def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALL_PROXY", url)
        lines = " ".join(refused("https://gateway.example/v1"))
        assert "The proxy" in lines
        assert "_PROXY" in lines
        assert "geheim" not in lines

    def test_a_connection_that_could_not_be_set_up_is_not_used_half_set_up(
        self, proxy: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", self.address(proxy))
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
        with scripted(whole("Here.")) as gateway, Client(gateway.base_url, KEY, retries=0) as client:
            for _ in range(2):
                with pytest.raises(e.SettingError, match="nothing was sent"):
                    client.chat([{"role": "user", "content": "Hello"}], model="m")
            assert (proxy.asked, gateway.asked) == ([], [])

    def test_no_proxy_and_this_machine_go_without(
        self, proxy: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALL_PROXY", self.address(proxy))
        monkeypatch.setenv("HTTP_PROXY", self.address(proxy))
        with scripted(whole("Here.")) as gateway:
            assert answer(gateway.base_url) == "Here."
            assert answer(gateway.base_url.replace("127.0.0.1", "localhost")) == "Here."
        monkeypatch.setenv("NO_PROXY", "gateway.invalid")
        assert "cannot be reached" in refused("http://gateway.invalid/v1")[0]
        assert proxy.asked == []


@contextmanager
def listening(family: socket.AddressFamily, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve one answer after another at loopback of one kind only, and return the port."""
    with socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) if context else connection as talk:
                        heard = talk.recv(65536)
                        while not heard.endswith(b"}"):
                            heard += talk.recv(65536)
                        talk.sendall(b"".join(piece for piece in whole("Hi.") if isinstance(piece, bytes)))
                except OSError:  # the client does not trust us
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


class TestAddresses:
    @pytest.mark.skipif(not has_ipv6(), reason="containers often have no ::1 at which a server could listen")
    def test_an_address_of_ipv6_is_asked(self) -> None:
        with listening(socket.AF_INET6) as port:
            assert answer(f"http://[::1]:{port}") == "Hi."

    def test_of_a_hosts_addresses_the_one_that_listens_is_found(self) -> None:
        with listening(socket.AF_INET) as port:
            assert answer(f"http://localhost:{port}/v1") == "Hi."


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the certificate of an authority of ours, and one for localhost that it has signed."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Class", "localhost")]
    now = datetime.now(UTC)
    for file, key, name in (("ca.pem", authority, names[0]), ("own.pem", own, names[1])):
        made = x509.CertificateBuilder(names[0], name, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=key is authority, path_length=None), critical=True)
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        signed = made.sign(authority, hashes.SHA256())
        (folder / file).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    written = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "own.key").write_bytes(written)
    return folder


class TestCertificates:
    @pytest.fixture
    def port(self, certificates: Path) -> Iterator[int]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "own.pem", certificates / "own.key")
        with listening(socket.AF_INET, context) as port:
            yield port

    @pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
    def test_an_authority_of_ones_own_is_trusted(
        self, name: str, port: int, certificates: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, str(certificates / "ca.pem"))
        assert answer(f"https://localhost:{port}") == "Hi."

    def test_a_wrong_certificate_is_told_with_the_host_and_what_to_do(
        self, port: int, certificates: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        what, hint = refused(f"https://localhost:{port}")
        assert what.startswith(f"APIConnectionError: No safe connection to localhost:{port}: ")
        assert "certificate" in what
        assert "REQUESTS_CA_BUNDLE" in hint
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
        assert "127.0.0.1" in refused(f"https://127.0.0.1:{port}")[0]  # it is another host's

    def test_a_file_of_certificates_that_is_not_there_is_named(
        self, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
        assert refused(f"https://localhost:{port}") == [
            "SettingError: SSL_CERT_FILE names /nowhere/ca.pem, and it is not there; nothing was sent.",
            "Correct it, or unset SSL_CERT_FILE.",
        ]


WARNINGS = r"The (journal|token ledger) \S+ cannot be used \("
DATA = Path("data") / "mixroute"


@pytest.fixture(scope="module")
def gateway() -> Iterator[ScriptedGateway]:
    with scripted(whole("Hi.")) as made:
        yield made


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, gateway: ScriptedGateway) -> Iterator[Kernel]:
    home = tmp_path_factory.mktemp("kernel")
    with Kernel(home, gateway.base_url, home / "talk.ipynb") as made:
        yield made


def warned(text: str) -> list[str]:
    return re.findall(WARNINGS, text)


def rows(home: Path, file: str, table: str) -> int:
    with closing(sqlite3.connect(home / DATA / file)) as database:
        return int(database.execute(f"select count(*) from {table}").fetchone()[0])


class TestDisks:
    def test_a_disk_that_fills_up_costs_no_answer_and_what_follows_is_kept(self, kernel: Kernel) -> None:
        assert kernel.run("%%chat\nHello", "first").status == "ok"
        kept = rows(kernel.home, "ledger.sqlite", "requests"), rows(kernel.home, "journal.sqlite", "turns")
        kernel.run(
            "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "before = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))"
        )
        full = kernel.run("%%chat\nHello again, disk", "second")
        assert "Hi." in full.text
        assert sorted(warned(full.text)) == ["journal", "token ledger"]
        assert warned(kernel.run("%%chat\nHello again, disk", "second").text) == []
        kernel.run("resource.setrlimit(resource.RLIMIT_FSIZE, before)")
        assert "Hi." in kernel.run("%%chat\nHello, new disk", "third").text
        assert rows(kernel.home, "ledger.sqlite", "requests") == kept[0] + 1
        assert rows(kernel.home, "journal.sqlite", "turns") == kept[1] + 1

    def test_files_that_somebody_locks_cost_no_answer_and_what_follows_is_kept(self, kernel: Kernel) -> None:
        kernel.run("%reload_ext mixroute_magic")
        files = [kernel.home / DATA / name for name in ("ledger.sqlite", "journal.sqlite")]
        kept = rows(kernel.home, "ledger.sqlite", "requests")
        with closing(sqlite3.connect(files[0])) as one, closing(sqlite3.connect(files[1])) as two:
            for database in (one, two):
                database.execute("BEGIN IMMEDIATE")
            assert "Hi." in kernel.run("%%chat\nHello, locked", "fourth").text
        assert "Hi." in kernel.run("%%chat\nHello, free", "fifth").text
        assert rows(kernel.home, "ledger.sqlite", "requests") == kept + 1

    def test_no_figure_depends_on_the_clock_of_the_wall(self, kernel: Kernel) -> None:
        kernel.run("import os, time\nos.environ['TZ'] = 'Pacific/Kiritimati'\ntime.tzset()")
        ran = kernel.run("%%chat\nHello, Kiritimati", "sixth")
        assert 0 <= ran.metadata["seconds"] < 60
        assert 0 <= ran.metadata["first_token_seconds"] <= ran.metadata["seconds"]
        assert ran.metadata["created"].endswith("Z")

    @pytest.mark.parametrize("home", ["/dev/null/home", "/proc/home"])
    def test_a_home_that_cannot_be_written_costs_no_answer(
        self, home: str, gateway: ScriptedGateway, tmp_path: Path
    ) -> None:
        folders = ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")
        nowhere = {"HOME": home} | {name: f"{home}/{name}" for name in folders}
        with Kernel(tmp_path, gateway.base_url, tmp_path / "talk.ipynb", **nowhere) as kernel:
            first, second = kernel.run("%%chat\nHello", "first"), kernel.run("%%chat\nHello", "second")
            assert sorted(warned(first.text)) == ["journal", "token ledger"]
            assert second.text.startswith("Hi.\n\nserved · ")
            assert "The token ledger cannot be read." in kernel.run("%usage").lines[0]

    def test_no_home_at_all_costs_nothing(self, gateway: ScriptedGateway, tmp_path: Path) -> None:
        known = environment(tmp_path, gateway.base_url)
        home = {name: value for name, value in known.items() if name not in {"HOME", "USERPROFILE"}}
        code = (
            "from IPython.core.interactiveshell import InteractiveShell\n"
            "shell = InteractiveShell(colors='nocolor')\nshell.run_line_magic('load_ext', 'mixroute_magic')\n"
            "shell.run_cell('%chat hello').raise_error()\nshell.history_manager.end_session()\n"
        )
        ran = subprocess.run([sys.executable, "-c", code], env=home, capture_output=True, text=True, check=True)
        assert "Hi.\n\nserved · " in ran.stdout
        assert warned(ran.stderr) == []

    def test_where_a_file_system_has_no_write_ahead_log_nothing_is_missed_and_that_is_told_once(
        self, gateway: ScriptedGateway, tmp_path: Path
    ) -> None:
        for name in ("ledger.sqlite-shm", "journal.sqlite-shm"):  # the memory that its processes would share
            (tmp_path / DATA / name).mkdir(parents=True)
        with Kernel(tmp_path, gateway.base_url, tmp_path / "talk.ipynb") as kernel:
            first, second = kernel.run("%%chat\nHello", "first"), kernel.run("%%chat\nHello", "second")
            assert first.text.count("has no write-ahead log, since its file system cannot carry one") == 1
            assert warned(first.text) == []
            assert second.text.startswith("Hi.\n\nserved · ")
        assert rows(tmp_path, "ledger.sqlite", "requests") == rows(tmp_path, "journal.sqlite", "turns") == 2


def test_a_file_system_on_a_network_is_known_by_its_type(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "overlay / overlay rw 0 0\nserver:/home /home nfs4 rw 0 0\ntmpfs /home/fast tmpfs rw 0 0\n"
        "//class/share /mnt/our\\040class cifs rw 0 0\n"
    )
    kinds = {"/home/a/b": "nfs4", "/home/fast/b": "", "/mnt/our class/x": "cifs", "/etc": ""}
    assert {path: network_kind(Path(path), mounts) for path in kinds} == kinds
    assert network_kind(tmp_path, tmp_path / "nothing") == ""
