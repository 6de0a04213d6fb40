"""What each entry loads, proved in a process of its own: help is quick, and a server needs neither torch nor charts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "cryptography",
    "numpy",
    "pyarrow",
    "sqlalchemy",
    "torch",
    "onnxruntime",
    "onnx",
    "matplotlib",
    "pydantic",
    "scipy",
}
LEARNING = {"torch", "tokenizers", "sklearn", "pandas", "skl2onnx", "onnxscript"}


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after these lines have run in a fresh interpreter."""
    told = "print('\\n' + json.dumps(sorted({m.split('.')[0] for m, found in sys.modules.items() if found})))"
    script = f"{code}\nimport json, sys\n{told}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import backstay",
        "import backstay; sorted(backstay.__all__)",
        "from backstay.cli.main import run; assert run(['--help']) == 0",
    ],
)
def test_help_loads_nothing_heavy(code):
    found = loaded_by(code)
    assert "backstay" in found
    assert found & (HEAVY | LEARNING) == set()


def test_the_installed_command_is_the_one_that_is_tested():
    from importlib.metadata import entry_points

    (command,) = entry_points(group="console_scripts", name="backstay")
    assert command.value == "backstay.cli.main:main"


def test_this_test_would_see_a_heavy_module():
    assert "numpy" in loaded_by("import backstay.loop.watch") & HEAVY


def test_serving_loads_neither_torch_nor_pandas_nor_matplotlib():
    modules = ("loop.serve", "serve.app", "serve.server", "serve.live", "serve.batcher", "serve.protocol")
    found = loaded_by("import " + ", ".join(f"backstay.{m}" for m in modules))
    assert found & (LEARNING | {"matplotlib", "scipy", "onnx"}) == set()


def test_the_server_modules_do_not_know_the_database():
    assert "sqlalchemy" not in loaded_by("import backstay.serve.app, backstay.serve.server")


def test_the_loop_loads_torch_only_when_it_trains():
    modules = ("watch", "adopt", "run", "retrain", "predict", "look", "report", "forget", "label", "promote")
    found = loaded_by("import backstay.project, " + ", ".join(f"backstay.loop.{m}" for m in modules))
    assert found & LEARNING == set()


def test_watching_draws_only_when_a_page_is_asked_for():
    assert "matplotlib" not in loaded_by("import backstay.project, backstay.loop.watch")


@pytest.mark.parametrize("page", [False, True])
def test_a_whole_look_without_torch(tiny, page):
    """The verb itself, not only its imports: log, watch, answer, on a machine where torch cannot be imported."""
    code = f"""
import sys
sys.modules["torch"] = sys.modules["sklearn"] = None
import backstay
project = backstay.open({str(tiny.folder)!r})
project.models.predict({tiny.file("rows.parquet")!r}, record=True)
watched = project.monitor.watch(close_now=True, page={repr(tiny.folder / "w.html") if page else None!s})
assert watched.latest.rows == 120
""".replace("PosixPath", "__import__('pathlib').Path")
    found = loaded_by(code)
    assert ("matplotlib" in found) is page


def test_training_without_torch_says_what_to_install(tiny):
    code = f"""
import sys
sys.modules["torch"] = None
import backstay
try:
    backstay.open({str(tiny.folder)!r}).models.run()
except backstay.BackstayError as error:
    assert "backstay[learn]" in error.fix, error
else:
    raise SystemExit("nothing was said")
"""
    assert "backstay" in loaded_by(code)
