"""What goes wrong is one message with a fix, on standard error, and as JSON where JSON was asked for."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.cli import main, options
from backstay.kernel.errors import BackstayError

BACKSTAY = [sys.executable, "-m", "backstay.cli.main"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("frobnicate",), "No such command 'frobnicate'"),
        (("watch", "--bogus"), "No such option: --bogus"),
        (("predict",), "Missing argument 'source'"),
        (("serve", "--port", "abc"), "Invalid value for '--port'"),
    ],
)
def test_wrong_usage(command, arguments, said):
    text = command(*arguments)
    assert text.code == 2
    assert text.out == ""
    assert text.err.startswith("error: ")
    assert said in text.err
    assert "--help" in text.err
    value = command(*arguments, "--json")
    assert value.code == 2
    assert said in value.json["error"]
    assert value.json["exit_code"] == 2


def test_no_project(command, tmp_path):
    said = command("status", "--json", project=tmp_path)
    assert said.code == 2
    assert said.json["kind"] == "NotFound"
    assert "no backstay.toml" in said.json["error"]
    assert "backstay init" in said.json["fix"]


def test_an_unknown_key_names_the_nearest(command, tiny):
    file = tiny.folder / "backstay.toml"
    file.write_text(file.read_text().replace("[budget]", "[budget]\nlabels_per_mont = 3", 1))
    said = command("status", "--json", project=tiny.folder)
    assert said.code == 2
    assert "budget.labels_per_mont" in said.json["error"]
    assert "'labels_per_month'" in said.json["fix"]


def test_an_unknown_model_and_environment_name_the_known_ones(command, tiny):
    assert "tiny" in command("status", "--model", "tinny", "--json", project=tiny.folder).json["fix"]
    assert "production" in command("status", "--environment", "prod", "--json", project=tiny.folder).json["fix"]


def test_a_folder_that_nobody_may_write_to_is_told_with_its_name(command, monkeypatch, tiny):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "state.db-wal")

    monkeypatch.setattr("backstay.loop.look.status", full)
    said = command("status", "--json", project=tiny.folder)
    assert said.code == 2
    assert "state.db-wal" in said.json["error"]
    assert "No space left" in said.json["error"]


def test_ctrl_c(command, monkeypatch, tiny):
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("backstay.loop.look.status", stopped)
    said = command("status", project=tiny.folder)
    assert said.code == 130
    assert "nothing was left half-done" in said.err


def test_a_fault_of_ours_is_exit_code_1_and_keeps_its_trace(tiny, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import backstay.loop.look as look\ndef status(ws): raise RuntimeError('a fault')\nlook.status = status\n"
    )
    done = subprocess.run(
        [*BACKSTAY, "status", "--project", str(tiny.folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 1
    assert "RuntimeError: a fault" in done.stderr


def test_a_reader_that_goes_away_is_no_fault():
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m backstay.cli.main settings --schema | head -c 10"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == '{\n  "$defs'
    assert "Traceback" not in done.stderr


def test_main_ends_the_process_with_the_code(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["backstay", "status", "--project", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2


def test_the_refusing_word_is_for_refusals_only(capsys):
    from backstay.kernel.errors import Refused

    options.complain(Refused("no", fix="yes"), as_json=False)
    options.complain(BackstayError("no", fix="yes"), as_json=False)
    assert capsys.readouterr().err == "refused: no\n  yes\nerror: no\n  yes\n"


def test_standard_output_is_json_only(command, tiny):
    said = command("adopt", tiny.file("good.onnx"), "--challenger", "--json", project=tiny.folder)
    assert isinstance(said.json, dict)
    assert io.StringIO(said.err).readline().startswith('{"event": "step"')


def test_an_answer_in_a_folder_that_is_not_there(command, tiny):
    said = command(
        "predict", tiny.file("rows.parquet"), "--output", tiny.file("no/such/place.csv"), project=tiny.folder
    )
    if said.code == 0:
        assert Path(tiny.file("no/such/place.csv")).exists()
    else:
        assert said.code == 2
        assert "place.csv" in said.err
