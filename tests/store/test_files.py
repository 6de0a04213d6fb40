from __future__ import annotations

import errno
import shutil

import pytest

from backstay.kernel.errors import BackstayError, NotFound
from backstay.store import files
from backstay.store.files import FileBlobs, size_of


@pytest.fixture
def blobs(tmp_path):
    return FileBlobs(tmp_path / "blobs")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"rows")
    return path


@pytest.fixture
def source_folder(tmp_path):
    path = tmp_path / "bundle"
    (path / "inner").mkdir(parents=True)
    (path / "a").write_bytes(b"12")
    (path / "inner" / "b").write_bytes(b"345")
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


def test_a_folder_goes_in_whole(blobs, source_folder):
    path = blobs.put_directory("model-1", source_folder)
    assert (path / "inner" / "b").read_bytes() == b"345"
    assert blobs.put_directory("model-1", source_folder) == path
    assert list(blobs.ids()) == ["model-1"]
    assert size_of(path) == 5
    assert blobs.remove("model-1") == 5
    assert list(blobs.ids()) == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", ".hidden", "/etc/passwd"])
def test_an_id_is_never_a_path(blobs, source, name):
    with pytest.raises(BackstayError, match="not a content id"):
        blobs.put_file(name, source)


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_nothing(blobs, source, source_folder, monkeypatch):
    monkeypatch.setattr(files, "synchronise", full)
    with pytest.raises(BackstayError, match="No space left"):
        blobs.put_file("data-1", source)
    with pytest.raises(BackstayError, match="No space left"):
        blobs.put_directory("model-1", source_folder)
    assert list(blobs.folder.iterdir()) == []


def test_the_second_of_two_equal_writers_is_content(blobs, source_folder, monkeypatch):
    copy = shutil.copytree

    def overtaken(source, target, *options, **more):
        monkeypatch.setattr(files.shutil, "copytree", copy)
        copy(source, blobs.folder / "model-1")
        copy(source, target)

    monkeypatch.setattr(files.shutil, "copytree", overtaken)
    assert blobs.put_directory("model-1", source_folder).is_dir()
    assert [p.name for p in blobs.folder.iterdir()] == ["model-1"]
