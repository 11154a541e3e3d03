"""Downloads with a known sha256: one try, ten seconds of silence at most, then one clear line."""

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from rlvm.data.packed import staging
from rlvm.data.source import Files

TIMEOUT = 10.0  # seconds without an answer
FOLDER = "downloads"


def fetch(files: Files, url: str, sha256: str, instead: str) -> Path:
    """The local copy of `url`, kept under data_dir; `instead` names a file that serves as well."""
    filename = url.rsplit("/", 1)[-1]
    path = files.data_dir / FOLDER / filename
    if path.is_file() and file_sha256(path) == sha256:
        return path
    try:
        _save(url, sha256, path, files.data_dir)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        reason = getattr(error, "reason", None) or error
        also = f"; downloading {url} failed: {reason}"
        raise files.missing(f"{filename} (or {instead})", also) from error
    return path


def _save(url: str, sha256: str, path: Path, data_dir: Path) -> None:
    with staging(data_dir) as folder:
        partial = folder / path.name
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, partial.open("wb") as file:
            shutil.copyfileobj(answer, file)
        if (got := file_sha256(partial)) != sha256:
            raise OSError(f"sha256 is {got[:16]}..., expected {sha256[:16]}...")
        path.parent.mkdir(exist_ok=True)
        os.replace(partial, path)


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
