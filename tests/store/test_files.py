from __future__ import annotations

import errno

import pytest

from backstay.kernel.errors import BackstayError, NotFound
from backstay.store import files
from backstay.store.files import FileBlobs


@pytest.fixture
def blobs(tmp_path):
    return FileBlobs(tmp_path / "blobs")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"rows")
    return path


def test_a_file_goes_in_and_out(blobs, source):
    assert list(blobs.ids()) == []
    path = blobs.put_file("data-1", source)
    assert path.read_bytes() == b"rows"
    assert blobs.path("data-1") == path
    assert ("data-1" in blobs, "data-2" in blobs, 7 in blobs) == (True, False, False)
    source.write_bytes(b"other")
    assert blobs.put_file("data-1", source).read_bytes() == b"rows"
    assert blobs.remove("data-1") == 4
    with pytest.raises(NotFound, match="data-1 is missing"):
        blobs.path("data-1")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", ".hidden", "/etc/passwd"])
def test_an_id_is_never_a_path(blobs, source, name):
    with pytest.raises(BackstayError, match="not a content id"):
        blobs.put_file(name, source)


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_nothing(blobs, source, monkeypatch):
    monkeypatch.setattr(files, "synchronise", full)
    with pytest.raises(BackstayError, match="No space left"):
        blobs.put_file("data-1", source)
    assert list(blobs.folder.iterdir()) == []
