"""Fuzz parser, mirror and filters for a moment, from the corpus (see README.md)."""

from __future__ import annotations

import os
import pathlib
import random
import re
import shutil

import pytest
import rnlab

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "src"
COMPILER = "clang-16"
FLAGS = [
    *("-std=c11", "-g", "-O1", "-DRN_TEST_ALLOC", f"-I{SOURCES}"),
    *("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
]
SECONDS = int(os.environ.get("ROUTENOTIFY_FUZZ_SECONDS", "10"))
COMPILE_SECONDS = 120


def _sources_of(target: pathlib.Path) -> list[str]:
    words = re.findall(r"^/\* sources: (.*) \*/$", target.read_text(), re.MULTILINE)
    return [str(SOURCES / name) for line in words for name in line.split()]


def _build(target: str, directory: pathlib.Path) -> pathlib.Path:
    source = HERE / f"{target}.c"
    program = directory / target
    command = [COMPILER, *FLAGS, str(source), *_sources_of(source), "-o", str(program)]
    done = rnlab.run_bounded(command, COMPILE_SECONDS)

    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="module")
def _fuzzer_runtime(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where this clang or its libFuzzer runtime is missing."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"fuzzing needs {COMPILER}, which is missing")
    directory = tmp_path_factory.mktemp("probe")
    source = directory / "probe.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdint.h>\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n)\n"
        "{ return d && n > 1 ? 0 : 0; }\n"
    )
    command = [COMPILER, *FLAGS, str(source), "-o", str(directory / "probe")]
    done = rnlab.run_bounded(command, COMPILE_SECONDS)
    if done.returncode != 0:
        pytest.skip(f"{COMPILER} has no libFuzzer runtime (libclang-rt-16-dev)")


@pytest.mark.usefixtures("_fuzzer_runtime")
@pytest.mark.timeout(SECONDS + 2 * COMPILE_SECONDS + 150)
@pytest.mark.parametrize(
    ("target", "longest"),
    [("fuzz_rtnl", 4096), ("fuzz_mirror", 512), ("fuzz_filter", 16384)],
)
def test_target_survives(target: str, longest: int, tmp_path: pathlib.Path) -> None:
    """Any input leaves the code in bounds and its promises kept."""
    seed = os.environ.get("ROUTENOTIFY_TEST_SEED") or str(random.randrange(1, 1 << 31))
    print(f"ROUTENOTIFY_TEST_SEED={seed}")
    program = _build(target, tmp_path)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    kept = HERE / "corpus" / target.removeprefix("fuzz_")
    assert any(kept.iterdir()), "no corpus to start from"
    shutil.copytree(kept, corpus, dirs_exist_ok=True)

    done = rnlab.run_bounded(
        [
            *(str(program), f"-max_total_time={SECONDS}", f"-max_len={longest}"),
            *(f"-seed={int(seed) % (1 << 32)}", "-print_final_stats=1"),
            *(f"-artifact_prefix={tmp_path}/", str(corpus)),
        ],
        SECONDS + 120,
        errors="replace",
    )

    assert done.returncode == 0, done.stderr[-6000:]
    assert re.search(r"number_of_executed_units: [1-9]", done.stderr)
