import hashlib
import http.server
import socket
import threading
import time

import pytest

from rlvm.data import download, source

CONTENT = b"0 1\n" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.paths.append(self.path)
        if self.path == "/none.amat":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100] if self.path == "/cut.amat" else CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("localhost", 0), Handler) as server:
        server.paths = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://localhost:{server.server_port}"
        yield server
        server.shutdown()


def files(folder, manual_dir=None):
    return source.Files("toy", folder / "data", manual_dir)


def complaint(folder, url, sha256=SHA256):
    with pytest.raises(ValueError) as error:
        download.fetch(files(folder), url, sha256, "toy.npz")
    message = str(error.value)
    name = url.rsplit("/")[-1]
    assert "\n" not in message and message.startswith(f"toy needs {name} (or toy.npz): no --manual")
    assert f"downloading {url} failed: " in message
    assert message.endswith(
        f"python launch/prepare_data.py --dataset=toy --data_dir={folder}/data --manual_dir=M"
    )
    assert not list((folder / "data").iterdir()), "nothing half-made stays"
    return message


def test_downloads_once(server, tmp_path):
    for _ in range(2):
        path = download.fetch(files(tmp_path), f"{server.url}/a.amat", SHA256, "toy.npz")
        assert path == tmp_path / "data/downloads/a.amat" and path.read_bytes() == CONTENT
    assert server.paths == ["/a.amat"]


def test_a_damaged_copy_is_fetched_again(server, tmp_path):
    path = download.fetch(files(tmp_path), f"{server.url}/a.amat", SHA256, "toy.npz")
    path.write_bytes(b"?")
    download.fetch(files(tmp_path), f"{server.url}/a.amat", SHA256, "toy.npz")
    assert path.read_bytes() == CONTENT and len(server.paths) == 2


def test_other_content(server, tmp_path):
    message = complaint(tmp_path, f"{server.url}/a.amat", sha256="0" * 64)
    assert f"sha256 is {SHA256[:16]}..., expected 0000000000000000..." in message


def test_cut_short(server, tmp_path):
    assert "sha256 is" in complaint(tmp_path, f"{server.url}/cut.amat")


def test_not_there(server, tmp_path):
    assert "failed: Not Found" in complaint(tmp_path, f"{server.url}/none.amat")
    assert server.paths == ["/none.amat"], "one try"


def test_nobody_listens(tmp_path):
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        url = f"http://localhost:{unused.getsockname()[1]}/a.amat"
        assert "Connection refused" in complaint(tmp_path, url)


def test_no_answer(tmp_path, monkeypatch):
    assert download.TIMEOUT == 10
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with socket.create_server(("localhost", 0)) as silent:
        start = time.perf_counter()
        message = complaint(tmp_path, f"http://localhost:{silent.getsockname()[1]}/a.amat")
        assert time.perf_counter() - start < 2
    assert "timed out" in message


def test_manual_dir_is_named(tmp_path):
    error = files(tmp_path, tmp_path / "my files").missing("a.npz")
    assert str(error).startswith(f"toy needs a.npz: not in {tmp_path}/my files (--manual_dir). Put")
    assert str(error).endswith(f"'--manual_dir={tmp_path}/my files'")
