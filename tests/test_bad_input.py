"""The table of bad input: each row ends in a clear error with a fix, and leaves everything as it was."""

from __future__ import annotations

import errno
import json
import os
import pickle
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.cli.main import run

EVERYWHERE = "0.0.0.0"  # noqa: S104 - that it is refused is what is tested
HEADER = "id,prediction\n"


def call(tiny, capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a verb on this project."""
    capsys.readouterr()
    code = run([*arguments, "--project", str(tiny.folder)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def done(tiny, *arguments: str) -> None:
    assert run([*arguments, "--project", str(tiny.folder)]) in (0, 3)


def text(tiny, name: str, content: str) -> str:
    (tiny.folder / name).write_text(content)
    return tiny.file(name)


@dataclass(frozen=True)
class Bad:
    """One row of the table.

    Args:
        spoil: prepares the project; answers the command line.
        says: what the message holds: which value was wrong, and what to do.
        adds: kinds of ledger rows that this attempt leaves on record. Nothing else may change.
        leaves: where whole files, named by their content, may lie that no record names; `gc` sweeps them.
    """

    name: str
    spoil: Callable[..., list[str]]
    says: tuple[str, ...]
    code: int = 2
    adds: tuple[str, ...] = ()
    leaves: str = "nothing"


def logged(tiny) -> None:
    done(tiny, "predict", tiny.file("rows.parquet"), "--output", tiny.file("answers.csv"), "--log")


def log_of(content: str) -> Callable[..., list[str]]:
    return lambda tiny: ["log", text(tiny, "day.csv", content)]


def labels_of(content: str) -> Callable[..., list[str]]:
    def spoil(tiny) -> list[str]:
        logged(tiny)
        return ["label", "--answers", text(tiny, "answers-to-labels.csv", content)]

    return spoil


def logged_twice(tiny) -> list[str]:
    done(tiny, "log", text(tiny, "first.csv", HEADER + "p1,yes\np2,no\n"))
    return ["log", text(tiny, "second.csv", HEADER + "p3,yes\np2,no\n")]


def with_scores(value: str) -> Callable[..., list[str]]:
    def spoil(tiny) -> list[str]:
        change(tiny, "\n[predictions]\nscore = 'score'\npositive = 'yes'\n")
        return ["log", text(tiny, "day.csv", f"id,prediction,score\np1,yes,0.9\np2,no,{value}\n")]

    return spoil


def change(tiny, more: str) -> None:
    file = tiny.folder / "backstay.toml"
    file.write_text(file.read_text() + more)


def project_file(old: str, new: str) -> Callable[..., list[str]]:
    def spoil(tiny) -> list[str]:
        file = tiny.folder / "backstay.toml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        return ["status"]

    return spoil


def unknown_rule(*arguments: str) -> Callable[..., list[str]]:
    def spoil(tiny) -> list[str]:
        project_file("no_worse_than_champion", "no_worse_then_champion")(tiny)
        return [a.replace("@", f"{tiny.folder}/") for a in arguments]

    return spoil


def future_store(tiny) -> list[str]:
    tiny.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    return ["status"]


def not_a_store(tiny) -> list[str]:
    for file in tiny.database.parent.glob("state.db*"):
        file.unlink()
    tiny.database.write_bytes(b"this is no database, it is a poem\n" * 200)
    return ["status"]


def champion_bundle(tiny) -> Path:
    [model] = (tiny.folder / ".backstay" / "bundles").glob("*/model.onnx")
    return model


def tampered(*arguments: str) -> Callable[..., list[str]]:
    def spoil(tiny) -> list[str]:
        model = champion_bundle(tiny)
        content = bytearray(model.read_bytes())
        content[len(content) // 2] ^= 1
        model.write_bytes(bytes(content))
        return [a.replace("@", f"{tiny.folder}/") for a in arguments]

    return spoil


def edited_ledger(statement: str) -> Callable[..., list[str]]:
    def spoil(tiny) -> list[str]:
        done(tiny, "adopt", tiny.file("good.onnx"), "--challenger")
        done(tiny, "promote")
        tiny.execute(statement)
        return ["verify"]

    return spoil


def offered(model: str, *then: str) -> Callable[..., list[str]]:
    def spoil(tiny) -> list[str]:
        done(tiny, "adopt", tiny.file(model), "--challenger")
        return list(then)

    return spoil


def another_policy(tiny) -> list[str]:
    done(tiny, "adopt", tiny.file("good.onnx"), "--challenger")
    file = tiny.folder / "backstay.toml"
    file.write_text(file.read_text().replace("margin = 0.05", "margin = 0.04"))
    return ["promote"]


def a_pickle(name: str) -> Callable[..., list[str]]:
    def spoil(tiny) -> list[str]:
        (tiny.folder / name).write_bytes(pickle.dumps({"coef": [1.0, 2.0]}))
        return ["adopt", tiny.file(name), "--challenger"]

    return spoil


def in_the_way(*arguments: str) -> Callable[..., list[str]]:
    """A file lies where a folder is wanted, which stops root as well."""

    def spoil(tiny) -> list[str]:
        logged(tiny)
        (tiny.folder / "wall").write_text("a file\n")
        return [a.replace("@", f"{tiny.folder}/") for a in arguments]

    return spoil


def asked_and(spoil: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """With rows that wait for a label: without, nothing would be written."""

    def spoiled(tiny) -> list[str]:
        arguments = spoil(tiny)
        backstay.open(tiny.folder).labels.request(2)
        return arguments

    return spoiled


def plain(*arguments: str) -> Callable[..., list[str]]:
    return lambda tiny: [a.replace("@", f"{tiny.folder}/") for a in arguments]


def other_columns(drop: str) -> Callable[..., list[str]]:
    def spoil(tiny) -> list[str]:
        rows = pq.read_table(tiny.folder / "rows.parquet").drop_columns([drop])
        pq.write_table(rows, tiny.folder / "fewer.parquet")
        return ["predict", tiny.file("fewer.parquet"), "--output", tiny.file("answers.csv"), "--log"]

    return spoil


def one_class(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.equal(rows.column("y"), "yes"))


def single(verb: str) -> Callable[..., list[str]]:
    def spoil(tiny) -> list[str]:
        rows = pq.read_table(tiny.folder / "ref.parquet")
        pq.write_table(one_class(rows), tiny.folder / "ref.parquet")
        return [verb]

    return spoil


def few_rows(tiny) -> list[str]:
    rows = pq.read_table(tiny.folder / "ref.parquet").slice(0, 3)
    pq.write_table(rows, tiny.folder / "ref.parquet")
    return ["run"]


TABLE = [
    Bad(
        "log: a broken row",
        log_of(HEADER + "p1,yes\np2,no,what,is,this\n"),
        ("day.csv, line 3 has 5 fields", "mend that line"),
    ),
    Bad("log: a missing column", log_of("id,answer\np1,yes\n"), ("'prediction'", "answer")),
    Bad("log: no rows", log_of(HEADER), ("no rows", "header")),
    Bad("log: an empty file", log_of(""), ("is empty", "header")),
    Bad("log: an id twice", log_of(HEADER + "p1,yes\np1,no\n"), ("p1", "id")),
    Bad("log: an id that was logged before", logged_twice, ("p2", "logged")),
    Bad("log: a class that the model lacks", log_of(HEADER + "p1,yes\np2,perhaps\n"), ("perhaps", "known: no, yes")),
    Bad("log: an empty id", log_of(HEADER + ",yes\n"), ("id",)),
    Bad("log: a probability that is NaN", with_scores("nan"), ("'score'", "no score in row 2", "the row out")),
    Bad("log: a probability above one", with_scores("1.5"), ("'score'", "1.5 in row 2", "probabilities")),
    Bad("log: no such file", plain("log", "@nowhere.csv"), ("nowhere.csv", "check the path")),
    Bad("log: an unknown ending", lambda t: ["log", text(t, "day.docx", "x")], (".docx", ".parquet")),
    Bad("predict: a missing column", other_columns("b"), ("'b'",)),
    Bad(
        "predict: a folder to write to",
        plain("predict", "@rows.parquet", "--output", "@.backstay", "--log"),
        ("is a folder", "rows.parquet"),
    ),
    Bad("predict: an ending that is not written", plain("predict", "@rows.parquet", "--output", "@a.xyz"), ("/a.xyz",)),
    Bad(
        "label: ids that were never logged",
        labels_of("id,label\nlive-0,yes\nghost,no\n"),
        ("ghost", "never logged", "leave"),
    ),
    Bad("label: a missing column", labels_of("id,verdict\nlive-0,yes\n"), ("'label'", "id and label")),
    Bad("label: two values for one row", labels_of("id,label\nlive-0,yes\nlive-0,no\n"), ("live-0", "one label")),
    Bad(
        "label: a purpose that there is not",
        plain("label", "--request", "3", "--purpose", "retrian"),
        ("retrian", "retrain"),
    ),
    Bad("label: no rows asked for", plain("label", "--request", "0"), ("0 rows", "at least one")),
    Bad("label: more rows than there are", plain("label", "--request", "9"), ("9 rows", "wait for more traffic")),
    Bad("retrain: no labels", plain("retrain"), ("no new labels", "backstay label")),
    Bad("audit: one class", single("audit"), ("'y' has one class (yes)", "at least two")),
    Bad("run: one class", single("run"), ("'y' has one class (yes)", "at least two")),
    Bad("run: too few rows of data", few_rows, ("rows",)),
    Bad("project file: a future version", project_file("version = 1", "version = 99"), ("99", "newer Backstay")),
    Bad("project file: an unknown key", project_file("minimum_n", "minimun_n"), ("minimun_n", "minimum_n")),
    Bad(
        "project file: an unknown rule, run",
        unknown_rule("run"),
        ("no_worse_then_champion", "did you mean 'no_worse_than_champion'"),
    ),
    Bad(
        "project file: an unknown rule, a successor",
        unknown_rule("adopt", "@good.onnx", "--challenger"),
        ("no_worse_then_champion", "did you mean 'no_worse_than_champion'"),
    ),
    Bad(
        "project file: a value out of range",
        project_file("labels_per_month = 50", "labels_per_month = -1"),
        ("labels_per_month", "-1"),
    ),
    Bad("project file: not TOML", project_file("[budget]", "[budget"), ("TOML", "mend")),
    Bad("store: a future version", future_store, ("version 99", "install")),
    Bad("store: not a database", not_a_store, ("not a Backstay store", "backup")),
    Bad(
        "bundle tampered: predict",
        tampered("predict", "@rows.parquet", "--output", "@answers.csv", "--log"),
        ("model.onnx", "restore"),
    ),
    Bad("bundle tampered: a successor", tampered("adopt", "@good.onnx", "--challenger"), ("model.onnx", "restore")),
    Bad("bundle tampered: serve", tampered("serve", "--no-key", "--port", "0"), ("model.onnx", "restore")),
    Bad("bundle tampered: verify", tampered("verify"), ("model.onnx", "NOT sound"), code=3),
    Bad(
        "ledger: a row edited",
        edited_ledger("UPDATE ledger SET actor = 'mallory' WHERE seq = 3"),
        ("row 3", "NOT sound"),
        code=3,
    ),
    Bad("ledger: a row deleted", edited_ledger("DELETE FROM ledger WHERE seq = 4"), ("4", "NOT sound"), code=3),
    Bad(
        "ledger: a release moved",
        edited_ledger("UPDATE releases SET sequence = 9 WHERE sequence = 1"),
        ("release", "NOT sound"),
        code=3,
    ),
    Bad("promote: nothing was offered", plain("promote"), ("no candidate", "backstay run")),
    Bad("promote: an unknown model", plain("promote", "model-zzz"), ("model-zzz", "known")),
    Bad(
        "promote: a refused candidate",
        offered("bad.onnx", "promote"),
        ("may be worse", "better candidate"),
        3,
        ("promotion_refused",),
    ),
    Bad("promote: under another policy", another_policy, ("policy", "again"), 3, ("promotion_refused",)),
    Bad("rollback: no reason", plain("rollback"), ("needs a reason", "--reason")),
    Bad("rollback: blanks for a reason", plain("rollback", "--reason", "  "), ("needs a reason", "--reason")),
    Bad("rollback: nothing to go back to", plain("rollback", "--reason", "x"), ("no other model", "promote")),
    Bad(
        "rollback: an unknown release",
        plain("rollback", "--to", "release-zzz", "--reason", "x"),
        ("release-zzz", "known"),
    ),
    Bad("adopt: a pickle", a_pickle("model.pkl"), ("is a pickle", "skl2onnx")),
    Bad("adopt: a pickle called onnx", a_pickle("model.onnx"), ("is a pickle", "skl2onnx")),
    Bad("adopt: not a model", lambda t: ["adopt", text(t, "m.onnx", "hello"), "--challenger"], ("m.onnx",)),
    Bad("adopt: no such file", plain("adopt", "@none.onnx", "--challenger"), ("none.onnx",)),
    Bad(
        "adopt: a second time",
        plain("adopt", "@good.onnx", "--reference", "@ref.parquet", "--target", "y"),
        ("release 1", "--challenger"),
        3,
    ),
    Bad("key: an unknown scope", plain("key", "create", "app", "--scope", "predcit"), ("predcit", "predict")),
    Bad("key: an unknown name", plain("key", "revoke", "nobody"), ("nobody",)),
    Bad("key: no name", plain("key", "create"), ("key create", "NAME")),
    Bad("serve: no key made", plain("serve", "--port", "0"), ("no key", "key create")),
    Bad(
        "serve: open to others",
        plain("serve", "--port", "0", "--no-key", "--host", EVERYWHERE),
        (EVERYWHERE, "127.0.0.1"),
    ),
    Bad("an unknown verb", plain("promot"), ("promot",)),
    Bad("an unknown option", plain("promote", "--because", "x"), ("--because",)),
    Bad("an unknown model of the project", plain("status", "--model", "tiney"), ("tiney", "did you mean 'tiny'")),
    Bad("an unknown environment", plain("status", "--environment", "prod"), ("prod", "production")),
    Bad("init: a project is there", plain("init", "@ref.parquet", "--target", "y"), ("backstay.toml", "--force")),
    Bad(
        "verify: not an exported head",
        lambda t: ["verify", "--head", text(t, "head.json", "{}")],
        ("head.json", "--export-head"),
    ),
    Bad("restore: over a store", plain("restore", "@wall"), ("wall",)),
    Bad("unwritable: answers", in_the_way("predict", "@rows.parquet", "--output", "@wall/answers.csv"), ("wall",)),
    Bad("unwritable: the queue", asked_and(in_the_way("label", "--export", "@wall/queue.csv")), ("wall",)),
    Bad("unwritable: a head", in_the_way("verify", "--export-head", "@wall/head.json"), ("wall",)),
    Bad("unwritable: a backup", in_the_way("backup", "@wall/copy"), ("wall",)),
    Bad("unwritable: the report", in_the_way("report", "--page", "@wall/report.html"), ("wall",)),
]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_bad_input_is_explained_and_changes_nothing(tiny, capsys, bad):
    arguments = bad.spoil(tiny)
    before = state(tiny)
    code, out, err = call(tiny, capsys, *arguments)
    told = out + err
    assert code == bad.code, told
    assert "Traceback" not in told
    for words in bad.says:
        assert words in told
    assert_only_added(before, state(tiny), bad.adds, bad.leaves)


def state(tiny) -> tuple[dict, dict]:
    try:
        return tiny.tables(), tiny.files()
    except Exception as error:  # noqa: BLE001 - a store that was spoilt for the test cannot be listed
        return {"unreadable": [str(error)]}, tiny.files()


def assert_only_added(before, after, kinds: tuple[str, ...] = (), leaves: str = "nothing") -> None:
    """Nothing differs but these rows at the end of the ledger, and whole files where they may lie unused."""
    tables, files = before
    now, files_now = after
    more = {name for name in files_now if name not in files and name.startswith(leaves) and "tmp" not in name}
    assert {name: content for name, content in files_now.items() if name not in more} == files
    if kinds:
        fresh = now["ledger"][len(tables["ledger"]) :]
        assert len(fresh) == len(kinds)
        assert all(kind in row for kind, row in zip(kinds, fresh, strict=True))
        now = {**now, "ledger": now["ledger"][: len(tables["ledger"])]}
    assert now == tables


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder without a project, with a good reference beside it."""
    folder = tmp_path / "new"
    folder.mkdir()
    return folder


@dataclass(frozen=True)
class First:
    """A first command in a folder without a project; `{new}` is that folder and `{old}` holds the good files."""

    name: str
    arguments: tuple[str, ...]
    says: tuple[str, ...]


ADOPT = ("--reference", "{old}/ref.parquet", "--target", "y", "--id", "id")
FIRST = [
    First("no project file", ("status",), ("no backstay.toml", "backstay adopt")),
    First("init: no such column", ("init", "{old}/ref.parquet", "--target", "yy"), ("'yy'", "did you mean 'y'")),
    First("init: no such time", ("init", "{old}/ref.parquet", "--target", "y", "--time", "t"), ("'t'", "known")),
    First("init: one class", ("init", "{old}/single.parquet", "--target", "y"), ("one", "yes")),
    First("init: a broken row", ("init", "{old}/broken.csv", "--target", "y"), ("line 3", "mend")),
    First("init: a pickle", ("init", "{old}/data.pkl", "--target", "y"), ("pickle",)),
    First("init: a pickle called csv", ("init", "{old}/data.csv", "--target", "y"), ("pickle",)),
    First("adopt: a pickle", ("adopt", "{old}/model.pkl", *ADOPT), ("is a pickle", "skl2onnx")),
    First(
        "adopt: no such column",
        ("adopt", "{old}/champion.onnx", *ADOPT[:2], "--target", "yy"),
        ("'yy'", "did you mean 'y'"),
    ),
    First("adopt: no reference", ("adopt", "{old}/champion.onnx", "--target", "y"), ("--reference", "true labels")),
    First("adopt: no model", ("adopt", *ADOPT), ("no model file", "--predictions-only")),
    First(
        "adopt: labels of another kind",
        ("adopt", "{old}/champion.onnx", "--reference", "{old}/others.parquet", "--target", "y"),
        ("class",),
    ),
    First("adopt: a column that the model needs is missing", ("adopt", "{old}/wide.onnx", *ADOPT), ("'c'",)),
    First(
        "adopt: an empty label",
        ("adopt", "{old}/champion.onnx", "--reference", "{old}/holes.parquet", "--target", "y", "--id", "id"),
        ("'y' is missing in 1 rows", "fill in"),
    ),
]


@pytest.fixture(scope="session")
def spoilt_files(tiny_original: Path, threshold, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoilt")
    rows = pq.read_table(tiny_original / "ref.parquet")
    shutil.copy(tiny_original / "ref.parquet", folder)
    shutil.copy(tiny_original / "champion.onnx", folder)
    (folder / "wide.onnx").write_bytes(threshold((2.0, 2.0), wide=True))
    pq.write_table(one_class(rows), folder / "single.parquet")
    labels = rows.column("y").to_pylist()
    place = rows.column_names.index("y")
    pq.write_table(rows.set_column(place, "y", pa.array([None, *labels[1:]])), folder / "holes.parquet")
    renamed = pa.array([{"yes": "good", "no": "poor"}[v] for v in labels[:-1]] + ["middling"])
    pq.write_table(rows.set_column(place, "y", renamed), folder / "others.parquet")
    (folder / "broken.csv").write_text("a,b,y\n1,2,yes\n1,2,no,no,no\n")
    for name in ("model.pkl", "data.pkl", "data.csv"):
        (folder / name).write_bytes(pickle.dumps({"coef": [1.0, 2.0]}))
    return folder


@pytest.mark.parametrize("first", FIRST, ids=lambda first: first.name)
def test_a_bad_beginning_leaves_an_empty_folder(empty, spoilt_files, capsys, first):
    code = run([*(a.format(new=empty, old=spoilt_files) for a in first.arguments), "--project", str(empty)])
    told = capsys.readouterr().err
    assert code == 2, told
    for words in first.says:
        assert words in told
    assert sorted(p.name for p in empty.rglob("*")) == []


@contextmanager
def full_disk(how: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file may grow beyond some bytes (the kernel refuses), or what was written cannot be brought to the disk."""
    if how == "fsync":

        def refuse(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refuse)
            yield
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(how), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WRITES = [
    ("log", "@day.csv"),
    ("predict", "@more.parquet", "--output", "@fresh.parquet"),
    ("predict", "@more.parquet", "--output", "@fresh.csv", "--log"),
    ("label", "--request", "5"),
    ("label", "--answers", "@labels.csv"),
    ("label", "--export", "@queue.csv"),
    ("adopt", "@bad.onnx", "--challenger"),
    ("promote",),
    ("rollback", "--reason", "x"),
    ("watch", "--now"),
    ("report", "--page", "@report.html"),
    ("backup", "@copy"),
    ("key", "create", "other"),
    ("verify", "--export-head", "@head.json"),
    ("init", "@ref.parquet", "--target", "y", "--force"),
]
SMALL = ("label --request", "label --answers", "promote", "rollback", "watch", "key create")
"""Only the store is written, which SQLite brings to the disk by itself."""


@pytest.fixture(scope="session")
def busy_original(tiny_original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project after a promotion, with traffic, requests and a successor that passed."""
    folder = tmp_path_factory.mktemp("busy") / "project"
    shutil.copytree(tiny_original, folder)
    where = ("--project", str(folder))
    for arguments in (
        ("adopt", str(folder / "good.onnx"), "--challenger"),
        ("promote",),
        ("predict", str(folder / "rows.parquet"), "--output", str(folder / "answers.csv"), "--log"),
        ("adopt", str(folder / "champion.onnx"), "--challenger"),
        ("label", "--request", "3"),
    ):
        assert run([*arguments, *where]) == 0
    rows = pq.read_table(folder / "rows.parquet")
    pq.write_table(rows.set_column(0, "id", pa.array([f"more-{i}" for i in range(len(rows))])), folder / "more.parquet")
    (folder / "day.csv").write_text(HEADER + "p1,yes\np2,no\n")
    (folder / "labels.csv").write_text("id,label\nlive-0,yes\n")
    return folder


FULL = [
    pytest.param(arguments, how, id=f"{' '.join(arguments)} ({how})")
    for arguments in WRITES
    for how in ("0", "40", "fsync")
    if how != "fsync" or not " ".join(arguments).startswith(SMALL)
]


@pytest.mark.parametrize(("arguments", "how"), FULL)
def test_a_full_disk_is_explained_and_leaves_nothing_half_written(
    busy_original, tiny, capsys, monkeypatch, arguments, how
):
    shutil.rmtree(tiny.folder)
    shutil.copytree(busy_original, tiny.folder)
    before = state(tiny)
    given = [a.replace("@", f"{tiny.folder}/") for a in arguments]
    with full_disk(how, monkeypatch):
        code, out, err = call(tiny, capsys, *given)
    assert code == 2, out + err
    assert "Traceback" not in err
    assert any(word in err for word in ("space", "name another place", "choose")), err
    assert_only_added(before, state(tiny), leaves=".backstay/bundles/")
    assert run(["verify", "--project", str(tiny.folder)]) == 0


def infer(**changes) -> Callable[..., tuple[str, str, object, dict[str, str]]]:
    """An inference request with some part of its first input changed."""

    def make(asked):
        body = asked([0.5, 1.0], [0.5, 1.0])
        body["inputs"][0].update(changes)
        return "POST", "/v2/models/tiny/infer", body, {}

    return make


def sent(method: str, path: str, body: object = None, **headers: str) -> Callable[..., object]:
    return lambda asked: (method, path, body, headers)


def edited(change: Callable[[dict], object]) -> Callable[..., object]:
    def make(asked):
        body = asked([0.5], [0.5])
        change(body)
        return "POST", "/v2/models/tiny/infer", body, {}

    return make


@dataclass(frozen=True)
class Request:
    """One bad request: what is asked, the status, and what the error says."""

    name: str
    make: Callable[..., tuple[str, str, object, dict[str, str]]]
    status: int
    says: tuple[str, ...]


INFER = "/v2/models/tiny/infer"
FEEDBACK = "/v2/models/tiny/feedback"
REQUESTS = [
    Request("no key", sent("POST", INFER, b"{}", Authorization=""), 401, ("key",)),
    Request("a wrong key", sent("POST", INFER, b"{}", Authorization="Bearer bsk_x.y"), 401, ("key",)),
    Request("a key for something else", sent("GET", "/metrics"), 403, ("read",)),
    Request("malformed JSON", sent("POST", INFER, b'{"inputs": ['), 400, ("JSON",)),
    Request("not an object", sent("POST", INFER, b"[1, 2]"), 400, ("inference request",)),
    Request(
        "NaN",
        sent("POST", INFER, b'{"inputs": [{"name": "a", "shape": [1, 1], "datatype": "FP32", "data": [NaN]}]}'),
        400,
        ("NaN", "null"),
    ),
    Request("a wrong shape", infer(shape=[2, 3]), 400, ("'a'", "shape")),
    Request("too few values", infer(data=[0.5]), 400, ("'a'", "1")),
    Request("a wrong datatype", infer(datatype="BYTES"), 400, ("BYTES", "FP32")),
    Request("text for numbers", infer(data=["high", "low"]), 400, ("'a'",)),
    Request("a negative shape", infer(shape=[-2, 1]), 400, ("rows",)),
    Request("an unknown input", infer(name="z"), 400, ("'a' is missing", "a, b")),
    Request("no inputs", edited(lambda b: b.update(inputs=[])), 400, ("missing",)),
    Request(
        "ids for other rows",
        edited(lambda b: b.update(parameters={"prediction_ids": ["x", "y"]})),
        400,
        ("prediction_ids",),
    ),
    Request(
        "an id twice",
        lambda asked: ("POST", INFER, asked([0.1, 0.2], [0.1, 0.2], prediction_ids=["x", "x"]), {}),
        400,
        ("prediction_ids",),
    ),
    Request(
        "too many rows", lambda asked: ("POST", INFER, asked([0.1] * 9, [0.1] * 9), {}), 413, ("9 rows", "at most 8")
    ),
    Request("too many bytes", sent("POST", INFER, b"[" + b" " * 5000 + b"]"), 413, ("4096", "several requests")),
    Request(
        "another content type",
        sent("POST", INFER, b"<x/>", Content_Type="text/xml"),
        415,
        ("text/xml", "application/json"),
    ),
    Request("an unknown model", sent("POST", "/v2/models/tinny/infer", b"{}"), 404, ("'tinny'", "'tiny'")),
    Request(
        "an unknown version", sent("POST", "/v2/models/tiny/versions/7/infer", b"{}"), 404, ("'7'", "loaded are 1")
    ),
    Request("an unknown address", sent("GET", "/v3/../../etc/passwd"), 404, ("there is nothing",)),
    Request("another method", sent("GET", INFER), 405, ("POST",)),
    Request("feedback: malformed", sent("POST", FEEDBACK, b'{"id": '), 400, ("feedback",)),
    Request("feedback: no value", sent("POST", FEEDBACK, {"id": "x"}), 400, ("value",)),
    Request("feedback: an empty value", sent("POST", FEEDBACK, {"id": "x", "value": ""}), 400, ("empty",)),
    Request(
        "feedback: of no kind", sent("POST", FEEDBACK, {"id": "x", "value": "1", "kind": "odd"}), 400, ("odd", "label")
    ),
]


@pytest.fixture(scope="module")
def server(tiny_original: Path, serving_process, tmp_path_factory: pytest.TempPathFactory):
    """A server of the tiny project with narrow limits; its tests change nothing."""
    folder = tmp_path_factory.mktemp("served") / "project"
    shutil.copytree(tiny_original, folder)
    file = folder / "backstay.toml"
    file.write_text(file.read_text() + "\n[serve]\nmax_rows = 8\nmax_body_bytes = 4096\n")
    return serving_process(folder)


@pytest.fixture(scope="module")
def journal_of(server) -> Callable[[], dict[str, bytes]]:
    folder = Path(server.folder) / ".backstay" / "journal"
    return lambda: {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.name)
def test_a_bad_request_is_explained_and_logs_nothing(server, journal_of, asked, request_):
    method, path, body, headers = request_.make(asked)
    before = journal_of()
    status, answer = server.call(method, path, body, **headers)
    assert status == request_.status, answer
    assert list(answer) == ["error"]
    for words in request_.says:
        assert words in answer["error"]
    assert journal_of() == before
    assert server.call("POST", INFER, asked([1.0], [1.0], probe=True))[0] == 200


def test_a_server_whose_disk_is_full_refuses_and_logs_nothing(tiny, serving_process, asked):
    change(tiny, f"\n[serve]\nminimum_free_bytes = {2**60}\n")
    server = serving_process(tiny.folder)
    before = tiny.files()
    for path, body in ((INFER, asked([1.0], [1.0])), (FEEDBACK, {"id": "x", "value": "yes"})):
        status, answer = server.call("POST", path, body)
        assert status == 507
        assert "bytes are free" in answer["error"]
        assert "free some disk space" in answer["error"]
    assert tiny.files() == before


def test_a_missing_number_is_not_an_error(tiny, capsys):
    """NaN in a file of rows means missing: every row has an answer; one that is no number blinds no detector."""
    rows = pq.read_table(tiny.folder / "rows.parquet")
    values = [float("nan"), *rows.column("a").to_pylist()[1:]]
    pq.write_table(rows.set_column(1, "a", pa.array(values)), tiny.folder / "gaps.parquet")
    done(tiny, "predict", tiny.file("gaps.parquet"), "--output", tiny.file("answers.csv"), "--log")
    assert csv.read_csv(tiny.folder / "answers.csv").num_rows == len(rows)
    code, out, err = call(tiny, capsys, "watch", "--now", "--json")
    assert code == 0, err
    watched = json.loads(out)
    [window] = watched["windows"]
    assert window["rows"] == len(rows) - 1
    assert watched["notes"] == ["1 rows have scores or embeddings that are not numbers: left out"]
    assert next(s for s in window["signals"] if s["detector"] == "prediction")["figures"].get("judged", True)


def test_an_error_is_one_json_document_for_programs(tiny, capsys):
    code, out, _ = call(tiny, capsys, "rollback", "--json")
    assert code == 2
    body = json.loads(out)
    assert body == {
        "error": "a rollback needs a reason",
        "fix": "say why with --reason",
        "kind": "BackstayError",
        "exit_code": 2,
    }


def test_each_refused_promotion_is_on_record(tiny, capsys):
    done(tiny, "adopt", tiny.file("bad.onnx"), "--challenger")
    for _ in range(3):
        assert call(tiny, capsys, "promote")[0] == 3
    refused = [row for row in tiny.tables()["ledger"] if "promotion_refused" in row]
    assert len(refused) == 3
    assert call(tiny, capsys, "verify")[0] == 0
