import json


def test_a_profile_says_where_the_time_goes_and_leaves_a_trace_but_no_run(script, config_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = script("train_ae.py", config_file(), "--profile", 4)
    assert code == 0, err
    assert "4 steps: " in out
    assert "sceneries per second" in out
    assert "aten::convolution_backward" in out
    events = json.loads((tmp_path / "tiny_extractor_tae.trace.json").read_text())["traceEvents"]
    names = [event["name"] for event in events if event.get("ph") == "X"]
    assert names.count("step") == names.count("batch") == 4
    assert not (tmp_path / "results").exists()


def test_a_profile_needs_steps_and_a_config(script, config_file, tmp_path):
    for arguments in ((config_file(), "--profile", 0), (config_file(), "--profile", 2, "--dry-run"),
                      ("--resume", tmp_path, "--profile", 2)):
        code, _, err = script("train_ae.py", *arguments)
        assert code == 2
        assert "--profile takes a config file and a number of steps" in err
