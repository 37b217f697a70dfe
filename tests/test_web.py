"""The web page: what it serves, what it refuses, and what a person sees of it."""

from __future__ import annotations

import json
import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from flopwise.cli import main
from flopwise.web.server import KEPT, Server
from flopwise.web.upload import safe
from support.browser import SIZES

EXAMPLES = Path(__file__).parents[1] / "examples"
VGG = EXAMPLES / "vgg16.prototxt"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(0, limit=2**20) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


class Answer:
    """What came back."""

    def __init__(self, connection: HTTPConnection) -> None:
        response = connection.getresponse()
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode()
        connection.close()

    @property
    def error(self) -> str:
        line: str = json.loads(self.text)["error"]
        assert "\n" not in line and "Traceback" not in line
        return line


def ask(
    server: Server, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Answer:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request(method, path, body, headers or {})
    return Answer(connection)


def count(
    server: Server, body: bytes, headers: dict[str, str] | None = None, **fields: Any
) -> Answer:
    path = f"/count?{urlencode({'name': 'net.prototxt', **fields}, doseq=True)}"
    return ask(server, "POST", path, body, {"X-Flopwise": server.secret, **(headers or {})})


def embedded(server: Server, answer: Answer) -> dict[str, Any]:
    """The numbers inside the report that an answer points to."""
    assert answer.status == 200, answer.text
    page = ask(server, "GET", json.loads(answer.text)["report"])
    assert page.status == 200
    found: dict[str, Any] = json.loads(re.search(r'id="data">(.*?)</script>', page.text, re.S)[1])
    return found


def test_a_file_becomes_a_report(server: Server) -> None:
    found = embedded(server, count(server, VGG.read_bytes()))
    assert found["totals"]["macs"] == 15_470_264_320 and found["convention"] == "flops"


def test_batch_shapes_and_convention_are_taken(server: Server) -> None:
    body = VGG.read_bytes()
    assert embedded(server, count(server, body, batch=4))["totals"]["macs"] == 4 * 15_470_264_320
    found = embedded(server, count(server, body, input="data=Nx3x224x224", convention="macs"))
    assert found["totals"]["macs"] == "15470264320*N" and found["convention"] == "macs"
    found = embedded(server, count(server, body, input="\n--input data=2x3x64x64 ;"))
    assert found["totals"]["params"] == 138_357_544 - (25_088 - 2_048) * 4_096


def test_nothing_is_left_of_a_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert count(server, VGG.read_bytes()).status == 200
    assert count(server, b"nonsense").status == 422
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("body", "fields", "said"),
    [
        (b"nonsense", {"name": "x.bin"}, "x.bin: not a file that this page reads"),
        (b"", {}, "the file is empty"),
        (b"layer {", {}, "net.prototxt"),
        (VGG.read_bytes(), {"batch": "0"}, "size 0 is not between"),
        (VGG.read_bytes(), {"batch": "two words"}, "is not a size"),
        (VGG.read_bytes(), {"input": "dota=1x3x2x2"}, "did you mean data"),
        (VGG.read_bytes(), {"convention": "flop"}, "did you mean flops"),
        (VGG.read_bytes(), {"dtype": "float33"}, "no dtype"),
        (VGG.read_bytes(), {"colour": "red"}, "no field 'colour'"),
        (b'layer { name: "c" type: "Convolution" bottom: "data" top: "c" }', {}, "kernel_size"),
    ],
)
def test_what_cannot_be_counted_is_one_line(
    server: Server, body: bytes, fields: dict[str, str], said: str
) -> None:
    answer = count(server, body, **fields)
    assert answer.status == 422 and said in answer.error
    assert tempfile.gettempdir() not in answer.error


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "/etc/passwd", "..\\..\\x.onnx", "a/../b.prototxt", "....", ".ssh",
     "torch:load", "x" * 9999 + ".onnx", "\0.cfg", "~root", "", "con\n.onnx", "é ü.tflite"],
)  # fmt: skip
def test_names_lead_nowhere(name: str) -> None:
    kept = safe(name)
    assert re.fullmatch(r"[\w-][\w.-]{0,99}", kept)
    assert (Path("/tmp/folder") / kept).resolve().parent == Path("/tmp/folder").resolve()
    suffix = Path(name).suffix
    assert not re.fullmatch(r"\.\w+", suffix) or kept.endswith(suffix)


def test_no_format_that_runs_code(server: Server) -> None:
    """A config.json builds a model by a library; a name in place of a file is only a name."""
    config = json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}).encode()
    answer = count(server, config, name="config.json")
    assert answer.status == 422 and "config.json: this page reads caffe" in answer.error
    answer = count(server, b"import os", name="os:getcwd")
    assert answer.status == 422 and "not a file that this page reads" in answer.error
    pickled = b"\x80\x04cos\nsystem\n(S'touch /tmp/flopwise-was-here'\ntR."
    assert count(server, pickled, name="model.pt").status == 422
    assert not Path("/tmp/flopwise-was-here").exists()


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/../server.py", "/%2e%2e/page.py", "//page.py", "/page.html", "/report/",
     "/report/" + "0" * 32, "/report/../page.css", "/count", "/server.py", "/page.css/.."],
)  # fmt: skip
def test_only_the_listed_paths_are_there(server: Server, path: str) -> None:
    assert ask(server, "GET", path).status == 404


def test_parts_of_the_page(server: Server) -> None:
    page = ask(server, "GET", "/")
    assert page.status == 200 and server.secret in page.text and "{{" not in page.text
    assert "<option" in page.text and "onnx" in page.text
    for part in re.findall(r'(?:href|src)="(/[^"]+)"', page.text):
        assert ask(server, "GET", part).status == 200, part
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and page.headers["Cache-Control"] == "no-store"


def test_a_report_runs_as_a_stranger(server: Server) -> None:
    """Its scripts must not reach the page that holds the secret."""
    path = json.loads(count(server, VGG.read_bytes()).text)["report"]
    policy = ask(server, "GET", path).headers["Content-Security-Policy"]
    assert "sandbox allow-scripts" in policy and "allow-same-origin" not in policy


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "[::1]", ""])
def test_another_name_for_this_machine_is_refused(server: Server, host: str) -> None:
    """What a page elsewhere can do by pointing its own name at 127.0.0.1."""
    assert ask(server, "GET", "/", headers={"Host": host}).status == 403
    answer = count(server, VGG.read_bytes(), {"Host": host})
    assert answer.status == 403 and server.url in answer.error


def test_localhost_is_this_machine(server: Server) -> None:
    headers = {"Host": f"localhost:{server.server_port}"}
    assert ask(server, "GET", "/", headers=headers).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Flopwise": "0" * 32},
        {"X-Flopwise": ""},
        {"X-Flopwise": "\xe9"},
    ],
)
def test_another_page_is_refused(server: Server, headers: dict[str, str]) -> None:
    answer = count(server, VGG.read_bytes(), headers)
    assert answer.status == 403 and answer.error


def test_no_page_is_allowed_across_origins(server: Server) -> None:
    for method in ("OPTIONS", "PUT", "DELETE"):
        answer = ask(server, method, "/count", headers={"Origin": "https://evil.example"})
        assert answer.status == 501
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_uploads_are_bounded(server: Server) -> None:
    answer = count(server, bytes(server.limit + 1))
    assert answer.status == 413 and "1 MiB are allowed" in answer.error
    lied = {"X-Flopwise": server.secret, "Content-Length": str(10**14)}
    answer = ask(server, "POST", "/count?name=a.onnx", b"", lied)
    assert answer.status == 413


@pytest.mark.parametrize("length", ["", "-5", "1e3", "٣", "99999999999999999999"])
def test_a_length_is_needed(server: Server, length: str) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), 10) as line:
        head = f"POST /count HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n"
        head += f"X-Flopwise: {server.secret}\r\n"
        head += f"Content-Length: {length}\r\n\r\n" if length else "\r\n"
        line.sendall(head.encode())
        assert line.recv(2**16).startswith(b"HTTP/1.1 411 ")


def test_a_file_in_chunks_is_refused(server: Server) -> None:
    headers = {"X-Flopwise": server.secret, "Transfer-Encoding": "chunked"}
    assert ask(server, "POST", "/count", b"0\r\n\r\n", headers).status == 411


def test_a_file_that_ends_early_is_told(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), 10) as line:
        head = f"POST /count?name=a.onnx HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n"
        head += f"X-Flopwise: {server.secret}\r\nContent-Length: 500\r\n\r\nhalf"
        line.sendall(head.encode())
        line.shutdown(socket.SHUT_WR)
        answer = line.makefile("rb").read().decode()
    assert " 422 " in answer and "the last 496 bytes did not come" in answer


def test_old_reports_are_forgotten(server: Server) -> None:
    small = (EXAMPLES / "alexnet.prototxt").read_bytes()
    first = json.loads(count(server, small).text)["report"]
    for _ in range(KEPT):
        count(server, small)
    assert ask(server, "GET", first).status == 404 and len(server.reports) == KEPT


def test_it_listens_on_this_machine_only(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_in_use_is_one_line(server: Server) -> None:
    found = CliRunner().invoke(main, ["serve", "--no-browser", "--port", str(server.server_port)])
    assert found.exit_code == 2
    assert found.stderr == f"flopwise: --port {server.server_port}: Address already in use\n"
    found = CliRunner().invoke(main, ["serve", "--no-browser", "--max-upload", "lots"])
    assert found.exit_code == 2 and "is no quantity" in found.stderr


def test_the_command_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    served = []

    def serve(server: Server) -> None:
        served.append(server.url)
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", serve)
    found = CliRunner().invoke(main, ["serve", "--no-browser", "--port", "0"])
    assert found.exit_code == 0 and found.stdout.startswith(served[0])


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    yield browser
    severe = [
        e["message"] for e in browser.get_log("browser") if "status of 422" not in e["message"]
    ]
    assert severe == []


def opened(browser: Any, server: Server, size: str = "desktop", theme: str = "light") -> None:
    width, height = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(server.url)


def wait(browser: Any, condition: str) -> None:
    script = "const t = setInterval(() => { if (%s) { clearInterval(t); arguments[0](); } }, 20)"
    browser.set_script_timeout(20)
    browser.execute_async_script(script % condition)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_a_person_drops_a_file(
    page: Any, server: Server, size: str, theme: str, tmp_path: Path
) -> None:
    opened(page, server, size, theme)
    fits = "return document.documentElement.scrollWidth <= innerWidth"
    colour = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", colour)[0]) < 60) == (theme == "dark")
    assert page.execute_script(fits)
    wrong = tmp_path / "notes.txt"
    wrong.write_text("<b>hello</b>")
    page.find_element("id", "file").send_keys(str(wrong))
    wait(page, "!document.getElementById('error').hidden")
    assert page.find_element("id", "error").text.startswith("notes.txt: not a file")
    page.find_element("id", "file").send_keys(str(VGG))
    wait(page, "document.body.classList.contains('told')")
    assert not page.find_element("id", "error").is_displayed()
    assert page.title == "VGG-16 · flopwise" and page.execute_script(fits)
    page.switch_to.frame("report")
    wait(page, "document.documentElement.dataset.ready === 'true'")
    assert page.find_element("id", "value").text == "30.94 G"
    assert page.execute_script(fits)
    assert page.execute_script("return origin") == "null"
    page.switch_to.default_content()


def test_a_person_changes_the_batch(page: Any, server: Server) -> None:
    opened(page, server)
    page.find_element("id", "count").click()
    assert page.find_element("id", "error").text == "Choose a model file first."
    page.find_element("id", "file").send_keys(str(VGG))
    wait(page, "document.body.classList.contains('told')")
    before = page.find_element("id", "report").get_attribute("src")
    page.find_element("id", "batch").send_keys("8\n")
    wait(page, f"document.getElementById('report').src !== {json.dumps(before)}")
    page.switch_to.frame("report")
    wait(page, "document.documentElement.dataset.ready === 'true'")
    assert page.find_element("id", "value").text == "247.5 G"
    page.switch_to.default_content()
    page.find_element("id", "batch").send_keys("x?\n")
    wait(page, "!document.getElementById('error').hidden")
    assert "is not a size" in page.find_element("id", "error").text
    assert "stale" in page.find_element("tag name", "body").get_attribute("class")


def test_a_file_that_is_too_large_is_not_sent(page: Any, server: Server, tmp_path: Path) -> None:
    large = tmp_path / "large.onnx"
    large.write_bytes(bytes(server.limit + 1))
    opened(page, server)
    page.find_element("id", "file").send_keys(str(large))
    wait(page, "!document.getElementById('error').hidden")
    assert "1.0 MiB are allowed" in page.find_element("id", "error").text
