"""Programs whose output nobody reads, whose descriptors are closed, whose locale is not UTF-8: real processes."""

import os
import pty
import subprocess
import sys

import pytest
from locales import in_locale
from locations import ROOT

TALKS = """
import sys
from imgcls.machine.streams import prepare_streams
prepare_streams()
for number in range(20_000):
    print("line 猫 \\udcff", number)
    if number % 1000 == 0:
        print("said", file=sys.stderr)
open({done!r}, "w").close()
sys.exit(3)
"""


def talk(tmp_path, redirect: str, **variables: str):
    """Run a program that says much, and then notes that it came to its end."""
    done = tmp_path / "done"
    program = tmp_path / "talks.py"
    program.write_text(TALKS.format(done=str(done)), encoding="utf-8")
    command = f"{sys.executable} {program} {redirect}"
    result = subprocess.run(
        ["bash", "-c", command], env={**os.environ, "PYTHONPATH": str(ROOT), **variables}, capture_output=True
    )
    return result, done.exists()


@pytest.mark.parametrize(
    "redirect",
    ["2>&1 | head -1; exit ${PIPESTATUS[0]}", ">&-", "2>&-", ">&- 2>&- <&-", "2>/dev/full >/dev/null", "2>&1 >&- | :"],
)
def test_the_work_is_done_and_the_status_is_its_own(tmp_path, redirect):
    result, done = talk(tmp_path, redirect if "PIPESTATUS" in redirect else redirect + "; exit ${PIPESTATUS[0]}")
    assert done
    assert result.returncode == 3, result.stderr


def test_a_full_disk_under_standard_output_is_an_error(tmp_path):
    """It may be what the program is for."""
    result, done = talk(tmp_path, ">/dev/full")
    assert not done
    assert result.returncode not in (0, 3)
    assert b"No space left on device" in result.stderr


@pytest.mark.parametrize("command", ["-m imgcls", "-m imgcls.compare --help"])
def test_a_full_disk_is_one_message(command, tmp_path):
    result = subprocess.run(
        ["bash", "-c", f"{sys.executable} {command} >/dev/full"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (2, "error: standard output: No space left on device.\n")


def test_a_closed_descriptor_is_no_file_of_the_program(tmp_path):
    program = (
        "from imgcls.machine.streams import prepare_streams\nprepare_streams()\nimport os\n"
        f"file = open({str(tmp_path / 'log')!r}, 'w')\nos.write(2, b'noise')\nfile.write('kept')"
    )
    subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "$0" 2>&-', program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert (tmp_path / "log").read_text() == "kept"


def test_a_pipe_that_does_not_wait_loses_nothing(tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    program = (
        "from imgcls.machine.streams import prepare_streams\nprepare_streams()\n"
        "for number in range(30_000): print('line', number)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=writer, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        os.close(writer)
        with open(reader, "rb") as output:
            lines = output.read().splitlines()
    assert process.returncode == 0
    assert lines == [b"line %d" % number for number in range(30_000)]


@pytest.mark.parametrize("locale", ["zh_CN.GBK", "en_US.ISO-8859-1"])
def test_a_pipe_is_utf8_in_any_locale(tmp_path, locale):
    result, done = talk(tmp_path, "| head -1", **in_locale(locale))
    assert result.stdout.decode("utf-8") == "line 猫 \\udcff 0\n"
    assert done


@pytest.mark.parametrize(("locale", "shown"), [("zh_CN.GBK", "猫".encode("gbk")), ("en_US.ISO-8859-1", b"\\u732b")])
def test_a_terminal_is_spoken_to_in_its_own_encoding(locale, shown):
    program = "from imgcls.machine.streams import prepare_streams\nprepare_streams()\nprint('\\u732b')"
    master, terminal = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **in_locale(locale)}
    subprocess.run([sys.executable, "-c", program], stdout=terminal, env=environment, check=True)
    assert os.read(master, 100) == shown + b"\r\n"
    os.close(terminal)
    os.close(master)
