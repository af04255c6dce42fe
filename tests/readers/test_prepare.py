import fcntl
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from errors import UserError
from readers.base import Reader
from readers.glyphs import Glyphs
from readers.images import open_grey, scan, to_array
from readers.listing import Listing, stamp
from readers.prepare import build_once, lock_of, prepare

PROJECT = Path(__file__).parents[2]


class Folder(Reader):
    """Images of a folder named `<label>_<scenery>-<variant>.png`; counts its calls and fails where told to."""

    name = "folder"
    classes = ("zero", "one")
    fail_at: int | None = None
    failure: type[BaseException] = UserError

    def fill(self, listing):
        grouped = {}
        for entry in scan(self.root, listing):
            grouped.setdefault(entry.name.split("-")[0], []).append(entry)
        for name, entries in grouped.items():
            listing.add(name, (int(name.split("_")[0]),), [entry.path for entry in entries], [*map(stamp, entries)])

    def prepare(self, source, size):
        calls.append(source)
        if self.fail_at is not None and len(calls) > self.fail_at:
            raise self.failure("bad image")
        return to_array(open_grey(source), size)


class Newer(Folder):
    version = 2


calls = []


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


@pytest.fixture
def source(tmp_path):
    """Five sceneries with 1, 2, 3, 1 and 2 variants."""
    folder = tmp_path / "source"
    folder.mkdir()
    for i in range(5):
        for variant in range(i % 3 + 1):
            picture(folder / f"{i % 2}_s{i}-{variant}.png", 10 * i + variant)
    return folder


def picture(path, seed):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 20), dtype=np.uint8)).save(path)


def reader(source, kind=Folder):
    return kind(source, [], None)


def decoded(source, size=16):
    """The prepared images, one by one."""
    paths = sorted(source.iterdir())
    return np.stack([np.asarray(Image.open(path).resize((size, size), Image.Resampling.BILINEAR))[None]
                     for path in paths])


def left_in(cache):
    """What the cache holds but for the empty lock files."""
    return [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_the_array_holds_every_image_in_order_and_the_index_finds_it(source, tmp_path):
    prepared = prepare(reader(source), 16, tmp_path / "cache")
    np.testing.assert_array_equal(prepared.images, decoded(source))
    assert prepared.images.dtype == np.uint8
    assert prepared.names == ["0_s0", "0_s2", "0_s4", "1_s1", "1_s3"]
    assert prepared.count.tolist() == [1, 3, 2, 2, 1]
    assert prepared.first.tolist() == [0, 1, 4, 6, 8]
    assert prepared.labels.tolist() == [[0], [0], [0], [1], [1]]


def test_the_second_call_prepares_nothing_and_writing_to_images_never_reaches_the_file(source, tmp_path):
    first = prepare(reader(source), 16, tmp_path / "cache")
    assert len(calls) == 9
    assert isinstance(first.images, np.memmap)
    first.images[:] = 0
    second = prepare(reader(source), 16, tmp_path / "cache")
    assert len(calls) == 9
    np.testing.assert_array_equal(second.images, decoded(source))
    assert (first.key, first.names) == (second.key, second.names)


def test_a_changed_source_a_new_image_and_a_new_version_of_the_reader_are_prepared_anew(source, tmp_path):
    found = [prepare(reader(source), 16, tmp_path / "cache")]
    path = source / "1_s1-0.png"
    status = path.stat()
    picture(path, 99)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    for kind, new in ((Folder, "0_s0-0.png"), (Newer, "0_s0-0.png"), (Newer, "1_t-0.png")):
        picture(source / new, 0)
        found.append(prepare(reader(source, kind), 16, tmp_path / "cache"))
        np.testing.assert_array_equal(found[-1].images, decoded(source))
    assert len({each.key for each in found}) == 4
    assert len(calls) == 9 + 9 + 9 + 10
    assert (np.asarray(found[0].images) != found[1].images).any()


def test_sizes_and_limits_do_not_overwrite_each_other(source, tmp_path):
    large, small = (prepare(reader(source), size, tmp_path / "cache") for size in (32, 16))
    part = prepare(reader(source), 16, tmp_path / "cache", limit=2)
    assert len({large.key, small.key, part.key}) == 3
    np.testing.assert_array_equal(large.images, decoded(source, 32))
    np.testing.assert_array_equal(small.images, decoded(source, 16))
    starts = {name: (first, count) for name, first, count in zip(small.names, small.first, small.count, strict=True)}
    expected = [small.images[start : start + count] for start, count in (starts[name] for name in part.names)]
    assert len(part.names) == 2
    np.testing.assert_array_equal(part.images, np.concatenate(expected))


@pytest.mark.parametrize("failure", [UserError, RuntimeError, KeyboardInterrupt])
def test_an_interrupted_preparation_leaves_nothing_behind(source, tmp_path, monkeypatch, failure):
    monkeypatch.setattr(Folder, "fail_at", 4)
    monkeypatch.setattr(Folder, "failure", failure)
    with pytest.raises(failure, match="bad image"):
        prepare(reader(source), 16, tmp_path / "cache")
    assert left_in(tmp_path / "cache") == []
    assert [path for path in (tmp_path / "cache" / "images").iterdir() if path.is_dir()] == []
    monkeypatch.undo()
    np.testing.assert_array_equal(prepare(reader(source), 16, tmp_path / "cache").images, decoded(source))


@pytest.mark.parametrize("place", ["cache", "cache/images"])
def test_a_cache_that_cannot_be_written_is_one_line_about_the_cache(source, tmp_path, place):
    blocked = tmp_path / place
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file")
    message = refused(prepare, reader(source), 16, tmp_path / "cache")
    assert message.startswith("dataset.cache: ")
    assert str(tmp_path / "cache") in message
    assert "None" not in message
    assert blocked.read_text() == "a file"


@pytest.mark.parametrize("left", [-100, 0])
def test_damaged_prepared_images_are_one_line_that_says_what_to_do(source, tmp_path, left):
    prepare(reader(source), 16, tmp_path / "cache")
    (path,) = (tmp_path / "cache").rglob("*.npy")
    path.write_bytes(path.read_bytes()[:left])
    message = refused(prepare, reader(source), 16, tmp_path / "cache")
    assert str(path) in message
    assert "delete" in message


def empty(listing):
    return Listing()


def dropped(listing):
    return Listing(dropped={"too dark": ["a", "b"]})


def mixed(listing):
    listing.labels[1] = (0, 1)
    return listing


@pytest.mark.parametrize(("change", "told"), [(empty, "no images"), (dropped, "2 left out: too dark"),
                                              (mixed, "seats")])
def test_what_cannot_be_a_dataset_is_refused_before_anything_is_written(source, tmp_path, change, told):
    class Changed(Folder):
        def listing(self):
            return change(super().listing())

    message = refused(prepare, reader(source, Changed), 16, tmp_path / "cache")
    assert told in message
    assert str(source) in message or change is mixed
    assert not (tmp_path / "cache").exists()


def test_whoever_waits_for_another_process_says_so(tmp_path, capsys):
    folder = tmp_path / "features"
    with lock_of(folder).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=build_once, args=(folder, lambda _: pytest.fail("was there already")))
        waiting.start()
        waiting.join(1)
        said = capsys.readouterr().err
        assert waiting.is_alive()
        folder.mkdir()
    waiting.join()
    assert said == f"{folder}: another process is making it; waiting for that\n"


CHILD = """
import os, sys, time
from pathlib import Path
from readers.glyphs import Glyphs
from readers.prepare import prepare

class Slow(Glyphs):
    def prepare(self, source, size):
        time.sleep(0.01)
        with open(sys.argv[2], "a") as log:
            log.write(source + "\\n")
        {then}
        return super().prepare(source, size)

def log_length():
    return len(open(sys.argv[2]).readlines())

print("ready", flush=True)
sys.stdin.readline()
prepared = prepare(Slow(Path("unused"), [], None), 16, Path(sys.argv[1]), limit=8)
import hashlib
print(hashlib.sha256(prepared.images.tobytes()).hexdigest())
"""


def child(cache, log, then="pass"):
    command = [sys.executable, "-c", CHILD.format(then=then), str(cache), str(log)]
    return subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)


def drawn():
    """The right answer of the child, and its sources."""
    glyphs = Glyphs(Path("unused"), [], None)
    sources = [source for variants in glyphs.listing().limited(8).sources for source in variants]
    content = np.stack([glyphs.prepare(source, 16) for source in sources])
    return hashlib.sha256(content.tobytes()).hexdigest(), sources


def test_two_processes_at_once_prepare_each_image_once_and_both_get_the_right_array(tmp_path):
    children = [child(tmp_path / "cache", tmp_path / "log") for _ in range(2)]
    for each in children:
        assert each.stdout.readline() == "ready\n"
    for each in children:
        each.stdin.write("\n")
        each.stdin.flush()
    answers = [each.communicate()[0].strip() for each in children]
    expected, sources = drawn()
    assert answers == [expected, expected]
    assert sorted((tmp_path / "log").read_text().split()) == sorted(sources)


def test_a_killed_preparation_is_never_taken_for_a_whole_one(tmp_path):
    killed = child(tmp_path / "cache", tmp_path / "log", then="log_length() > 30 and os.kill(os.getpid(), 9)")
    killed.communicate("\n")
    assert killed.returncode == -9
    again = child(tmp_path / "cache", tmp_path / "log")
    assert again.communicate("\n")[0].split() == ["ready", drawn()[0]]


class Many(Reader):
    """Images by number, each of its own grey; says in which process it was made, and does not survive number 999."""

    name = "many"
    classes = ("only",)

    def __init__(self, count, bad=()):
        super().__init__(Path("unused"), [], None)
        self.count, self.bad = count, bad

    def fill(self, listing):
        for i in range(self.count):
            listing.add(str(i), (0,), [str(i)], ["stamp"])

    def prepare(self, source, size):
        number = int(source)
        if number in self.bad:
            raise UserError(f"image {number} is bad")
        if number == 999:
            os.kill(os.getpid(), 9)
        image = np.full((1, size, size), number % 256, np.uint8)
        image[0, 0, :4] = np.frombuffer(np.int32(os.getpid()).tobytes(), np.uint8)
        return image


def test_many_images_are_prepared_in_other_processes_which_end_with_it(tmp_path):
    images = prepare(Many(700), 16, tmp_path / "cache").images
    assert images[:, 0, 1, 1].tolist() == [i % 256 for i in range(700)]
    workers = {int(np.frombuffer(image[0, 0, :4].tobytes(), np.int32)[0]) for image in images}
    assert os.getpid() not in workers
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


@pytest.mark.parametrize(("reader", "message"), [
    (Many(700, bad=(650,)), "image 650 is bad"),
    (Many(1200), "a process that worked on images was killed"),
])
def test_what_goes_wrong_in_another_process_is_one_line_and_leaves_nothing_behind(tmp_path, reader, message):
    with pytest.raises(UserError, match=message):
        prepare(reader, 16, tmp_path / "cache")
    assert left_in(tmp_path / "cache") == []


FULL = """
import resource, sys
from pathlib import Path
from errors import UserError
from readers.glyphs import Glyphs
from readers.prepare import prepare

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    prepare(Glyphs(Path("unused"), [], None), 16, Path(sys.argv[1]), limit=20)
except UserError as error:
    print(error)
"""


def test_a_file_too_large_for_the_cache_is_one_line_and_leaves_nothing_behind(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "cache")], cwd=PROJECT, capture_output=True,
                          text=True, check=True)
    assert done.stdout.startswith("dataset.cache: ")
    assert len(done.stdout.splitlines()) == 1
    assert left_in(tmp_path / "cache") == []


@pytest.mark.parametrize("damage", ["too few", "other type", "lost notes", "no pairs", "no such place"])
def test_prepared_images_that_do_not_fit_the_listing_are_refused(source, tmp_path, damage):
    (source / "0_s0-0.png").write_bytes(b"")
    read = Folder(source, [], None, skip_bad=True)
    assert len(prepare(read, 16, tmp_path / "cache").images) == 8
    (path,) = (tmp_path / "cache").rglob("images.npy")
    if damage == "too few":
        np.save(path, np.zeros((7, 1, 16, 16), np.uint8))
    elif damage == "other type":
        np.save(path, np.zeros((8, 1, 16, 16), np.int8))
    elif damage == "lost notes":
        path.with_name("unreadable.json").unlink()
    else:
        path.with_name("unreadable.json").write_text("[1]" if damage == "no pairs" else '[[99, "gone"]]')
    with pytest.raises(UserError, match=r"prepared images are damaged .*delete the folder"):
        prepare(read, 16, tmp_path / "cache")
