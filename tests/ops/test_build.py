"""Wheels with and without a compiler, and the compiled library without Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent

# Runs against an unpacked wheel, so an editable install must not come first.
PROBE = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "ScikitBuild" not in type(f).__name__]
sys.path.insert(0, sys.argv[1])
import torch
from gpbo.ops import library
from gpbo.ops.kernel_matrix import matern52
assert library.__file__.startswith(sys.argv[1]), library.__file__
x = torch.tensor([[0.0], [1.0]], dtype=torch.float64, requires_grad=True)
k = matern52(x, None, torch.ones(1, dtype=torch.float64))
assert abs(k[0, 1].item() - 0.5239941088318203) < 1e-15, k
k.sum().backward()
assert x.grad.isfinite().all()
print(library.describe()["cpu"]["compiled"], library.describe()["cpu"]["note"])
"""


def build(folder: Path, *settings: str, **environment: str) -> tuple[Path, list[str], str]:
    """Builds a wheel; its file, the names in it, and what the build said."""
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--verbose", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--wheel-dir", str(folder), *settings]
    path = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    done = subprocess.run(
        command, env={**os.environ, "PATH": path, **environment}, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    (wheel,) = folder.glob("*.whl")
    return wheel, zipfile.ZipFile(wheel).namelist(), said


def probe(wheel: Path, folder: Path) -> str:
    """Uses the package in a wheel, warnings being errors; says whether it is compiled."""
    zipfile.ZipFile(wheel).extractall(folder)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE, str(folder)],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "GPBO_REFERENCE"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_serves_every_python_and_holds_the_library(tmp_path):
    wheel, names, _ = build(tmp_path, "-C", "cmake.define.GPBO_CUDA=OFF")
    assert wheel.name.startswith("gpbo-0.1.0-py3-none-")
    assert not wheel.name.endswith("-any.whl")
    libraries = [name for name in names if "gpbo_cpu" in name]
    assert len(libraries) == 1
    assert libraries[0].startswith("gpbo/ops/lib/")
    assert not [name for name in names if not name.startswith(("gpbo/", "gpbo-0.1.0.dist-info/"))]
    assert probe(wheel, tmp_path / "site") == "True"


def test_without_a_compiler_the_pure_package_is_built_and_works(tmp_path):
    nowhere = str(tmp_path / "no" / "such" / "compiler")
    wheel, names, said = build(tmp_path, CC=nowhere, CXX=nowhere, CUDACXX=nowhere)
    assert wheel.name == "gpbo-0.1.0-py3-none-any.whl"
    assert not [name for name in names if "gpbo/ops/lib/" in name]
    assert "installed without its compiled library" in said
    assert probe(wheel, tmp_path / "site").startswith("False not built")


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in compiler is a shell script")
@pytest.mark.parametrize("breaks", ["at once", "at the kernels"])
def test_a_broken_nvcc_costs_the_cuda_library_only(tmp_path, breaks):
    real = shutil.which("nvcc")
    if breaks == "at the kernels" and real is None:
        pytest.skip("needs an nvcc that works up to the kernels")
    nvcc = tmp_path / "nvcc"
    check = f'case "$*" in *kernel_matrix*) exit 1;; esac\nexec {real} "$@"'
    nvcc.write_text("#!/bin/sh\n" + ("exit 1" if breaks == "at once" else check) + "\n")
    nvcc.chmod(0o755)
    _, names, said = build(tmp_path / "wheel", CUDACXX=str(nvcc), CUDAARCHS="75")
    assert [name for name in names if "gpbo_cpu" in name]
    assert not [name for name in names if "gpbo_cuda" in name]
    notice = "no working nvcc" if breaks == "at once" else "CUDA library could not be built"
    assert notice in said


def native_tests(folder: Path, *settings: str) -> None:
    """Builds csrc/tests and runs them, the CPU's for each instruction set."""
    path = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    cmake = shutil.which("cmake", path=path)
    assert cmake is not None, "the dev extra brings cmake"
    env = {**os.environ, "PATH": path, "LD_PRELOAD": ""}
    settings = ("-DGPBO_TESTS=ON", "-DGPBO_CUDA=OFF", *settings)
    source = ["-S", str(ROOT / "csrc"), "-B", str(folder)]
    subprocess.run([cmake, *source, *settings], check=True, env=env)
    build = [cmake, "--build", str(folder), "--config", "Release", "--parallel", "2"]
    subprocess.run(build, check=True, env=env)
    tests = {p.stem: p for p in folder.rglob("test_*") if p.is_file() and os.access(p, os.X_OK)}
    runs = [("test_cpu", level) for level in ("avx512", "avx2", "baseline")]
    if sys.platform == "linux":
        runs.append(("test_cuda", "baseline"))  # in emulation, beside the CPU's
    for name, level in runs:
        env["GPBO_ISA"] = level
        done = subprocess.run([str(tests[name])], capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "all native tests passed" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="the CUDA kernels are emulated on Linux")
def test_the_tests_of_the_gpu_pass_on_a_pretended_one(tmp_path):
    path = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    cmake = shutil.which("cmake", path=path)
    assert cmake is not None, "the dev extra brings cmake"
    settings = ("-DGPBO_TESTS=ON", "-DGPBO_CUDA=OFF")
    subprocess.run([cmake, "-S", str(ROOT / "csrc"), "-B", str(tmp_path), *settings], check=True)
    subprocess.run([cmake, "--build", str(tmp_path), "--target", "pretended_cuda"], check=True)
    # In emulation whole studies take long: of them, those in a plain space.
    some = "not test_study or reference or promises or (asks_alone and space0)"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.gpu.pretend", "tests/gpu", "-k", some],
        cwd=ROOT,
        env={**os.environ, "GPBO_PRETEND": str(tmp_path / "libgpbo_cuda.so")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 130


def test_the_library_passes_its_own_tests_without_python(tmp_path):
    native_tests(tmp_path)


def test_sanitizers_find_nothing_in_the_library(tmp_path):
    probe = tmp_path / "probe.cpp"
    probe.write_text("int main() { return 0; }\n")
    compiler = shutil.which("c++")
    command = [str(compiler), "-fsanitize=address,undefined", str(probe), "-o", str(tmp_path / "p")]
    if compiler is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("the compiler has no address and undefined-behaviour sanitizers")
    native_tests(tmp_path / "build", "-DGPBO_SANITIZE=address,undefined")
