import json
import os

import pytest
from small_records import row

from errors import UserError
from experiment.records import FIELDS, FILE_NAME, IDENTITY, append, check_writable, read, record


def put(folder, content):
    (folder / FILE_NAME).write_bytes(content if isinstance(content, bytes) else content.encode())


def test_rows_come_back_as_they_were_appended_one_json_object_per_line(tmp_path):
    assert read(tmp_path) == []
    rows = [row(seed=1), row(seed=2, value=0.1 + 0.2), row(metric="loss/ssim", classifier="", value=1e-7)]
    append(tmp_path, rows[:2])
    before = (tmp_path / FILE_NAME).read_bytes()
    append(tmp_path, [])
    append(tmp_path, rows[2:])
    assert read(tmp_path) == rows
    assert (tmp_path / FILE_NAME).read_bytes().startswith(before)
    assert [json.loads(line) for line in (tmp_path / FILE_NAME).read_text().splitlines()] == rows


def test_the_last_row_of_an_identity_wins_at_the_place_of_the_first(tmp_path):
    append(tmp_path, [row(seed=1, value=0.1), row(seed=2), row(seed=1, value=0.2, n=5, selection="anew")])
    append(tmp_path, [row(seed=1, value=0.3)])
    assert read(tmp_path) == [row(seed=1, value=0.3), row(seed=2)]


@pytest.mark.parametrize("name", IDENTITY)
def test_rows_that_differ_in_any_part_of_the_identity_are_both_kept(tmp_path, name):
    rows = [row(), row(**{name: 99 if isinstance(row()[name], int) else "another"})]
    append(tmp_path, rows)
    assert read(tmp_path) == rows


LAST = row(experiment="größe {1}", seed=2)
UNFINISHED = json.dumps(LAST, ensure_ascii=False).encode()


def test_a_line_cut_anywhere_by_a_kill_is_skipped_and_spoils_no_later_one(tmp_path):
    whole = json.dumps(row(seed=1)).encode() + b"\n"
    for length in range(1, len(UNFINISHED)):
        put(tmp_path, whole + UNFINISHED[:length])
        assert read(tmp_path) == [row(seed=1)], UNFINISHED[:length]
        append(tmp_path, [row(seed=3), row(seed=4)])
        assert read(tmp_path) == [row(seed=1), row(seed=3), row(seed=4)], UNFINISHED[:length]


def test_a_whole_last_line_without_its_newline_counts(tmp_path):
    put(tmp_path, UNFINISHED)
    assert read(tmp_path) == [LAST]
    append(tmp_path, [row(seed=3)])
    assert read(tmp_path) == [LAST, row(seed=3)]


@pytest.mark.parametrize("line", [
    "hello", "[1, 2]", "null", '"text"', "{}", '{"seed": 1}', "<<<<<<< HEAD", json.dumps(row() | {"more": 1}),
    *(json.dumps(row(**changes)) for changes in (
        {"experiment": ["a"]}, {"value": None}, {"value": "0.75"}, {"value": True}, {"seed": "1"}, {"seed": None},
        {"n": 1.5}, {"n": 0}, {"metric": "a\0b"}, {"epoch": "30"}, {"experiment": 3}, {"factor": None}))])
def test_a_foreign_line_is_refused_with_its_number(tmp_path, line):
    put(tmp_path, f"{json.dumps(row(seed=1))}\n{line}\n{json.dumps(row(seed=2))}\n")
    with pytest.raises(UserError, match=f"{tmp_path / FILE_NAME}: line 2 is no record$"):
        read(tmp_path)


def test_windows_line_ends_and_blank_lines_are_read(tmp_path):
    rows = [row(seed=1), row(seed=2)]
    put(tmp_path, "\r\n".join([json.dumps(rows[0]), "", json.dumps(rows[1]), ""]))
    assert read(tmp_path) == rows


@pytest.mark.parametrize("text", [
    "größe", "日本", '"quoted" {x}', "back\\slash", "😀",
    *(f"a{separator}b" for separator in ["\u2028", "\u2029", "\x85", "\x1c", "\x0b", "\x0c", "\n", "\r", "\r\n"])])
def test_any_text_survives(tmp_path, text):
    rows = [row(factor=text), row(experiment=text)]
    append(tmp_path, rows)
    append(tmp_path, [row(seed=9)])
    assert read(tmp_path) == [*rows, row(seed=9)]


def test_a_row_has_exactly_the_fields_of_the_store():
    assert tuple(record(**row())) == FIELDS
    with pytest.raises(ValueError, match="accurracy"):
        record(**row(accurracy=0.5))


def test_values_that_are_not_finite_whole_values_and_unknown_epochs_are_records(tmp_path):
    rows = [row(seed=1, value=1), row(seed=2, value=float("inf")), row(seed=3, epoch=None)]
    append(tmp_path, rows)
    assert read(tmp_path) == rows


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_records_that_are_no_file_are_refused_before_anything_waits_for_them(tmp_path, make):
    make(tmp_path / "records.jsonl")
    with pytest.raises(OSError, match="not a regular file"):
        read(tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        check_writable(tmp_path)
