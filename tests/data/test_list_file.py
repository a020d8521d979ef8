"""Lists of ``path label`` lines: what is read, what is refused with its line number, and how fast."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from imgcls.data.formats.list_file import read_list
from imgcls.errors import UserError


def write_list(directory, content):
    path = directory / "train_list.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(directory, content, **options):
    options = {"check_files": "none", "allow_empty_classes": True, **options}
    return read_list(directory, write_list(directory, content), **options)


def as_pairs(samples):
    return [(samples.path(i).rpartition("/")[2], samples.label(i)) for i in range(len(samples))]


def refusal(directory, content, **options):
    with pytest.raises(UserError) as caught:
        read(directory, content, **options)
    str(caught.value).encode("utf-8")
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a.jpg 0\nb.jpg 1\n", [("a.jpg", 0), ("b.jpg", 1)]),
        ("a.jpg 0\nb.jpg 1", [("a.jpg", 0), ("b.jpg", 1)]),
        ("a.jpg 0\r\nb.jpg 1\r\n", [("a.jpg", 0), ("b.jpg", 1)]),
        ("\n\n  \na.jpg 0\n\n \t\r\nb.jpg 1\n\n", [("a.jpg", 0), ("b.jpg", 1)]),
        ("a.jpg\t0\nb.jpg \t  1  \t\n", [("a.jpg", 0), ("b.jpg", 1)]),
        ("my holiday photo.jpg 7\nb 2.jpg 12\n", [("my holiday photo.jpg", 7), ("b 2.jpg", 12)]),
        ("7 8 9\n", [("7 8", 9)]),
        ("a.jpg 007\nb.jpg 123456789\n", [("a.jpg", 7), ("b.jpg", 123456789)]),
        ("  a.jpg 3", [("a.jpg", 3)]),
        ("\ufeffa.jpg 3\n", [("a.jpg", 3)]),
        ("猫.jpg 3\nкот.jpg 255\nx.jpg 256\n", [("猫.jpg", 3), ("кот.jpg", 255), ("x.jpg", 256)]),
        ("a.jpg1 5\n", [("a.jpg1", 5)]),
    ],
)
def test_lines(tmp_path, content, expected):
    names = tuple(str(label) for label in range(300)) if max(label for _, label in expected) < 300 else ("0",) * 10**6
    options = {"num_classes": 10**9, "class_names": names}
    assert as_pairs(read(tmp_path, content, **options)) == expected


@pytest.mark.parametrize("made_on", ["windows", "linux"])
def test_backslashes_of_windows(made_on, tmp_path):
    """Separators, unless a file is called so."""
    root = tmp_path / "my\\photos"
    names = {"windows": ["cat/一 1.jpg", "dog/2.jpg"], "linux": ["cat\\一 1.jpg", "dog\\2.jpg"]}[made_on]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    samples = read(root, "\ufeffcat\\一 1.jpg\t0\r\ndog\\2.jpg\t1\r\n", check_files="all")
    assert [samples.path(i) for i in range(2)] == [str(root / name) for name in names]
    assert [samples.label(i) for i in range(2)] == [0, 1]


def test_many_random_lines_agree_with_plain_python(tmp_path):
    rng = np.random.default_rng(0)
    alphabet = list("ab 7./_\té")
    expected, lines = [], []
    for _ in range(3000):
        name = "x" + "".join(rng.choice(alphabet, rng.integers(0, 12))) + "y"
        label = int(rng.integers(0, 1100))
        expected.append((name, label))
        lines.append(name + rng.choice([" ", "\t", "   "]) + str(label) + rng.choice(["", " ", "\r", "\t \r"]))
    samples = read(tmp_path, "\n".join(lines), num_classes=1100)
    assert [samples.path(i) for i in range(3000)] == [os.path.join(tmp_path, name) for name, _ in expected]
    assert samples.labels.tolist() == [label for _, label in expected]


def test_names_that_are_not_utf8_reach_the_file(tmp_path):
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg")
    with open(name, "wb") as file:
        file.write(b"content")
    samples = read(tmp_path, b"caf\xe9.jpg 0\n", check_files="all")
    with open(samples.path(0), "rb") as file:
        assert file.read() == b"content"


def test_wrong_lines_are_named_with_their_numbers(tmp_path):
    content = "a.jpg 0\n\nnolabel.jpg\nb.jpg cat\nc.jpg 10\nd.jpg -1\ne.jpg,3\n5\nf.jpg 1.0\ng.jpg 9\n"
    message = refusal(tmp_path, content, num_classes=10)
    assert "7 of 9 lines of the list" in message
    assert f"{tmp_path}/train_list.txt" in message
    assert "line 3: no label after the path: 'nolabel.jpg'" in message
    assert "line 4: the label 'cat' is not a whole number" in message
    assert "line 5: the label 10 is outside 0 to 9 (10 classes)" in message
    assert "line 6: the label -1 is outside 0 to 9" in message
    assert "line 7: no label after the path: 'e.jpg,3'" in message
    assert "... and 2 more" in message
    assert "line 8" not in message


def test_labels_too_long_to_be_one_are_refused(tmp_path):
    assert "line 2" in refusal(tmp_path, "a.jpg 1\nb.jpg 12345678901234567890\n", num_classes=10)
    assert "line 2" in refusal(tmp_path, "a.jpg 1\nb.jpg 12345678901234567890\n")


def test_missing_list_says_which(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read the list .*/nowhere\.txt: No such file"):
        read_list(tmp_path, tmp_path / "nowhere.txt")


@pytest.mark.parametrize("content", ["", "\n\n \r\n"])
def test_empty_list(tmp_path, content):
    assert "has no lines" in refusal(tmp_path, content)


def test_utf16(tmp_path):
    assert "is UTF-16" in refusal(tmp_path, "a.jpg 0\n".encode("utf-16"))


def test_a_binary_file_is_refused_in_a_few_lines(tmp_path):
    message = refusal(tmp_path, np.random.default_rng(0).integers(0, 256, 50_000, np.uint8).tobytes())
    assert "are wrong" in message
    assert len(message) < 2000


def test_missing_files_are_named_with_their_lines(tmp_path):
    (tmp_path / "a b.jpg").touch()
    message = refusal(tmp_path, "a b.jpg 0\n\ngone.jpg 0\ntoo.jpg 0\n", check_files="all")
    assert "2 of 3 files checked" in message
    assert f"line 3: {tmp_path}/gone.jpg" in message
    assert f"line 4: {tmp_path}/too.jpg" in message
    assert len(read(tmp_path, "a b.jpg 0\n", check_files="auto")) == 1


def test_a_sample_of_files_is_spread_over_the_list(tmp_path):
    (tmp_path / "a.jpg").touch()
    content = "a.jpg 0\n" * 4000 + "gone.jpg 0\n" * 1000
    message = refusal(tmp_path, content, check_files="sample")
    assert "200 of 1,000 files checked" in message
    assert "... and 195 more" in message


def test_unknown_check(tmp_path):
    assert "check_files is 'some'" in refusal(tmp_path, "a 0\n", check_files="some")


def test_empty_class_is_named(tmp_path):
    content = "a.jpg 0\nb.jpg 2\n"
    message = refusal(tmp_path, content, class_names=("cat", "dog", "eel"), allow_empty_classes=False)
    assert "1 of 3 classes have no image" in message
    assert "class 1 'dog'" in message
    assert read(tmp_path, content, class_names=("cat", "dog", "eel")).class_counts().tolist() == [1, 0, 1]


def test_number_and_names_of_classes(tmp_path):
    samples = read(tmp_path, "a.jpg 0\nb.jpg 4\n")
    assert samples.class_names == ("0", "1", "2", "3", "4")
    samples = read(tmp_path, "a.jpg 0\nb.jpg 281\n", num_classes=1000)
    assert samples.class_names[281] == "tabby, tabby cat"


def test_samples_can_be_pickled(tmp_path):
    samples = read(tmp_path, "a b.jpg 3\nc.jpg 1\n")
    assert as_pairs(pickle.loads(pickle.dumps(samples))) == [("a b.jpg", 3), ("c.jpg", 1)]


MEASURE = """
import re, sys, time
from imgcls.data.formats.list_file import read_list
def ours():
    global samples
    samples = None
    samples = read_list(sys.argv[1], sys.argv[2], num_classes=1000, check_files="none")
def plain():
    with open(sys.argv[2]) as file:
        pairs = [(path, int(label)) for path, label in (line.rsplit(maxsplit=1) for line in file)]
def seconds(work):  # the shorter of two: other work on the machine makes it longer only
    times = []
    for _ in range(2):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)
taken = seconds(ours)
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1))
print(len(samples), samples.label(1281166), taken / seconds(plain), peak / 1024, "paddle" in sys.modules)
"""


def test_a_list_of_imagenets_size_is_ready_at_once_and_small(tmp_path):
    """In less time than the plainest loop over its lines takes, which checks nothing."""
    synset = [f"n{1440764 + label:08d}" for label in range(1000)]
    block = "".join(f"train/{synset[i % 1000]}/{synset[i % 1000]}_{i}.JPEG {i % 1000}\n" for i in range(20_000))
    path = write_list(tmp_path, block * 64 + "".join(block.splitlines(keepends=True)[:1167]))
    result = subprocess.run([sys.executable, "-c", MEASURE, tmp_path, path], capture_output=True, text=True, check=True)
    count, label, ratio, peak, paddle_loaded = result.stdout.split()
    assert (count, label) == ("1281167", "166")
    assert float(ratio) < 1
    assert float(peak) < 200  # MiB, of the whole process
    assert paddle_loaded == "False"


def test_line_breaks_of_old_macs_are_named(tmp_path):
    message = refusal(tmp_path, "a.jpg 0\rb.jpg 1\r", check_files="all")
    assert "Its lines end as those of old Macs (CR): save it with line breaks of today (LF)." in message
