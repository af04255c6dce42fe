"""Files that are none, archives that claim more than they hold, and writing that fails half way."""

import io
import os
import threading
import zipfile

import numpy as np
import pytest

import files
from errors import UserError
from files import open_regular, parse_json, read_arrays, read_bytes, read_text, replacing, write_arrays, write_out
from memory import available_memory, check_memory


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)],
                         ids=["pipe", "folder", "device"])
def test_what_is_no_regular_file_is_refused_at_once_and_named(tmp_path, make):
    path = tmp_path / "odd"
    make(path)
    for read in (open_regular, read_text, lambda path: read_arrays(path, ["a"])):
        with pytest.raises(OSError, match="not a regular file") as caught:
            read(path)
        assert caught.value.filename == str(path)


def test_a_file_is_read_up_to_a_size(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert read_text(path) == "a\nb"
    assert len(read_bytes(path, most=7)) == 7
    with pytest.raises(OSError, match=r"larger than 6 bytes"):
        read_bytes(path, most=6)
    os.truncate(path, 10**12)
    with pytest.raises(OSError, match=r"larger than 16\.0 MB"):
        read_text(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    os.truncate(path, 4)
    assert read_text(link) == "a"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "nan?"])
def test_json_that_cannot_be_read_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"nested|digits|Expecting"):
        parse_json(text)


def fail_half_way(path, error):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / ("a" * 250)
    for text in ("old", "new"):
        with replacing(path) as temporary:
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "old"
    for error in (OSError("disk full"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            fail_half_way(path, error)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_arrays_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(file, **_):
        file.write(b"half")
        raise OSError("disk full")

    write_arrays(tmp_path / "a.npz", {"a": np.arange(3)})
    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        write_arrays(tmp_path / "a.npz", {"a": np.arange(4)})
    assert read_arrays(tmp_path / "a.npz", ["a"])["a"].tolist() == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_table_goes_into_a_pipe_and_through_a_link(tmp_path):
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    writer = threading.Thread(target=write_out, args=(pipe, "table\n"))
    writer.start()
    assert pipe.read_text() == "table\n"
    writer.join()
    assert pipe.is_fifo()
    link.symlink_to(file)
    write_out(link, "caf\udce9")
    assert link.is_symlink()
    assert file.read_text() == "caf\\udce9"


def archive(path, header, data=b"", compression=zipfile.ZIP_DEFLATED):
    """Write an archive with one array `a` under a header of its own."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"fortran_order": False, **header})
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a.npy", content.getvalue() + data)


def damage(path):
    write_arrays(path, {"a": np.arange(1000)})
    content = bytearray(path.read_bytes())
    content[60:80] = b"\xff" * 20
    path.write_bytes(content)


HOSTILE = {
    "10^13 items": lambda path: archive(path, {"descr": "|u1", "shape": (10**13, 1)}),
    "more text than bytes": lambda path: archive(path, {"descr": "<U1000000000", "shape": (10**4,)}),
    "beyond 64 bits": lambda path: archive(path, {"descr": "|u1", "shape": (2**70, 2**70)}),
    "negative": lambda path: archive(path, {"descr": "|u1", "shape": (-2, -2)}, bytes(4)),
    "too much": lambda path: archive(path, {"descr": "|u1", "shape": (2,)}, bytes(3)),
    "complex": lambda path: archive(path, {"descr": "<c8", "shape": (1,)}, bytes(8)),
    "objects": lambda path: archive(path, {"descr": "|O", "shape": (1,)}, b"N."),
    "another compression": lambda path: archive(path, {"descr": "|u1", "shape": (1,)}, b"1", zipfile.ZIP_BZIP2),
    "plain npy": lambda path: np.save(path.open("wb"), np.ones(3)),
    "another name": lambda path: np.savez(path, b=np.ones(3)),
    "empty": lambda path: path.write_bytes(b""), "damaged": damage,
    "bomb": lambda path: np.savez_compressed(path, a=np.zeros(files.HARMLESS // 1000 + 10**5, dtype=np.uint8)),
}  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_archives_that_hold_no_such_arrays_are_refused_before_memory_is_taken(tmp_path, make, monkeypatch):
    path = tmp_path / "a.npz"
    make(path)
    monkeypatch.setattr(files, "HARMLESS", files.HARMLESS // 1000)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("was read"))
    with pytest.raises(ValueError, match=r".") as caught:
        read_arrays(path, ["a"])
    assert "\n" not in str(caught.value)


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {"text": np.array(["ü", "bc"]), "none": np.zeros((0, 3), dtype=bool), "number": np.array(-5),
              "columns": np.asfortranarray(np.random.default_rng(0).normal(size=(4, 3))), "about": np.array("{}")}
    write_arrays(tmp_path / "a.npz", arrays)
    found = read_arrays(tmp_path / "a.npz", arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_memory_is_that_of_the_machine_and_a_lack_of_it_is_told_in_numbers():
    assert 0 < available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    check_memory(1000, "nothing")
    with pytest.raises(UserError, match=r"^model: would need 9\.2 EB of memory; available: [\d.]+ [MG]B$"):
        check_memory(2**63, "model")
