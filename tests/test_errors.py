import subprocess
import sys
from pathlib import Path

import pytest

from errors import UserError, choice_error, run_script

PROJECT = Path(__file__).parents[1]


@pytest.mark.parametrize(("found", "allowed", "message"), [
    ("forrest", ["knn", "forest"], "x: 'forrest' is not known; allowed: knn, forest; did you mean 'forest'?"),
    ("svn", ["knn", "svm"], "x: 'svn' is not known; allowed: knn, svm; did you mean 'svm'?"),
    ("banana", ["knn", "svm"], "x: 'banana' is not known; allowed: knn, svm"),
    ("y", [], "x: 'y' is not known; allowed: nothing"),
    ("svn", ["svm", *"a" * 100], f"x: 'svn' is not known; did you mean 'svm'? allowed: svm{', a' * 100}"),
    (3, (number for number in (10, 20)), "x: '3' is not known; allowed: 10, 20"),
    ("two\nlines", ["a\x1b"], r"x: 'two lines' is not known; allowed: a\x1b")])
def test_a_wrong_choice_says_in_one_line_what_was_found_what_is_allowed_and_the_nearest(found, allowed, message):
    assert str(choice_error("x", found, allowed)) == message


def failing(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(("main", "code", "said"), [
    (failing(UserError("model.knn: too many")), 2, "error: model.knn: too many\n"),
    (failing(KeyboardInterrupt()), 130, "interrupted\n"),
    (lambda: Path("/absent").read_text(), 2, "error: /absent: No such file or directory\n")])
def test_a_mistake_an_interrupt_and_a_file_that_fails_are_one_line_on_stderr(capsys, main, code, said):
    with pytest.raises(SystemExit) as stop:
        run_script(main)
    assert stop.value.code == code
    assert capsys.readouterr() == ("", said)


def test_a_script_that_succeeds_returns_and_a_bug_keeps_its_traceback(capsys):
    run_script(lambda: print("done"))
    assert capsys.readouterr().out == "done\n"
    with pytest.raises(ZeroDivisionError):
        run_script(failing(ZeroDivisionError()))


@pytest.mark.parametrize("argument", ["--name=caf\udce9", "dataset.root=/data/\udce9"])
def test_an_argument_that_is_no_utf_8_is_refused_and_shown_with_escapes(capsys, monkeypatch, argument):
    monkeypatch.setattr(sys, "argv", ["train_ae.py", "Grün.toml", argument])
    with pytest.raises(SystemExit) as stop:
        run_script(lambda: pytest.fail("started"))
    assert stop.value.code == 2
    escaped = argument.replace("\udce9", r"\udce9")
    assert capsys.readouterr().err == f"error: {escaped}: arguments have to be UTF-8; rename the file or folder\n"


def test_a_reader_that_goes_away_gets_no_traceback():
    code = ("from errors import run_script\n"
            "def main():\n"
            "    for i in range(100000): print(i)\n"
            "run_script(main)\n")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() != 0
