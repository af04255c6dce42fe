import subprocess
import sys
from pathlib import Path

import pytest

from errors import UserError, choice_error, run_script

PROJECT = Path(__file__).parents[1]


def test_a_wrong_choice_says_what_was_found_what_is_allowed_and_the_nearest():
    message = str(choice_error("model.type", "extracter", ["conv", "extractor", "classifier"]))
    assert message.startswith("model.type: ")
    assert "'extracter'" in message
    assert "conv, extractor, classifier" in message
    assert "did you mean 'extractor'?" in message


@pytest.mark.parametrize(
    ("found", "nearest"), [("knm", "knn"), ("forrest", "forest"), ("svn", "svm"), ("tucsen", "tucson")]
)
def test_the_nearest_is_the_one_with_the_fewest_changes(found, nearest):
    assert f"did you mean '{nearest}'?" in str(choice_error("x", found, ["knn", "forest", "svm", "tucson"]))


def test_nothing_is_suggested_where_nothing_is_near():
    assert "did you mean" not in str(choice_error("x", "banana", ["knn", "svm"]))


def test_an_empty_choice_is_said_to_be_empty():
    assert "allowed: nothing" in str(choice_error("x", "y", []))


def test_what_is_found_and_allowed_may_be_of_any_type():
    message = str(choice_error("x", 3, (number for number in (10, 20))))
    assert "'3'" in message
    assert "10, 20" in message


def test_the_message_is_one_line_whatever_was_found():
    assert "\n" not in str(choice_error("x", "two\nlines", ["other\nlines"]))


def failing(error):
    def main():
        raise error

    return main


def test_a_users_mistake_is_one_line_on_stderr_and_exit_code_2(capsys):
    with pytest.raises(SystemExit) as stop:
        run_script(failing(UserError("model.knn: too many")))
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err == "error: model.knn: too many\n"


@pytest.mark.parametrize("argument", ["--name=caf\udce9", "dataset.root=/data/\udce9"])
def test_an_argument_that_is_no_utf_8_is_refused_and_shown_with_escapes(capsys, monkeypatch, argument):
    monkeypatch.setattr(sys, "argv", ["train_ae.py", "Grün.toml", argument])
    with pytest.raises(SystemExit) as stop:
        run_script(lambda: pytest.fail("started"))
    assert stop.value.code == 2
    escaped = argument.replace("\udce9", r"\udce9")
    assert capsys.readouterr().err == f"error: {escaped}: arguments have to be UTF-8; rename the file or folder\n"


def test_an_interrupt_is_no_traceback(capsys):
    with pytest.raises(SystemExit) as stop:
        run_script(failing(KeyboardInterrupt()))
    assert stop.value.code == 130
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_script(failing(ZeroDivisionError()))


def test_a_script_that_succeeds_returns(capsys):
    run_script(lambda: print("done"))
    assert capsys.readouterr().out == "done\n"


def test_a_file_that_fails_is_one_line_that_names_it_with_exit_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run_script(lambda: (tmp_path / "absent").read_text())
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'absent'}: No such file or directory\n"


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
