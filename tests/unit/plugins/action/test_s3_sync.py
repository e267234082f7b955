# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin against a host that is played: what it runs there, shows, and returns."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsiblePromptInterrupt, AnsiblePromptNoninteractive

from ansible_collections.fediverse.mastodon_s3.plugins.action import s3_sync
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import ENDED, Snapshot

ABOUT = json.dumps({"process": 42, "progress": "/state/x.progress"})
RESULT = {"changed": True, "actions": {}, "failed": False}


def seen(job="unfinished", alive="alive", snapshot=None):
    return f"s3_sync {job} {alive}\n{ABOUT}\n{snapshot.as_line() if snapshot else ''}"


def at(seconds, process=42, **more):
    return Snapshot(process, seconds=seconds, **more)


class Connection:
    _shell = SimpleNamespace(tmpdir="", get_option=lambda name: "~/jobs")
    resets = 0

    def reset(self):
        self.resets += 1


class ActionOnHost(s3_sync.ActionModule):
    """The plugin, with a host's answers in `looks`, and modules' results in `results`; time passes by sleeping."""

    def __init__(self, monkeypatch, args=None, *, looks=(), results=(), **task):
        self._task = SimpleNamespace(
            **{"args": args or {}, "async_val": 0, "check_mode": False, "delegate_to": None, "action": "x", **task}
        )
        self._VALID_ARGS = frozenset()
        self._connection = Connection()
        self._templar = SimpleNamespace(template=lambda value: value)
        self._looks, self._results = list(looks), list(results)
        self.modules, self.commands, self.shown, self.warned = [], [], [], []
        self.now = 1000.0
        monkeypatch.setattr(s3_sync.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(s3_sync.time, "sleep", self._sleep)
        monkeypatch.setattr(s3_sync.display, "display", lambda text, stderr: self.shown.append((text, stderr)))
        monkeypatch.setattr(s3_sync.display, "warning", self.warned.append)

    def _sleep(self, seconds):
        self.now += seconds

    def _execute_module(self, module_name=None, module_args=None, task_vars=None, wrap_async=False):
        self.modules.append((module_name, module_args, wrap_async, self._task.async_val))
        if wrap_async and not self._results_are_of_jobs:
            return self._results.pop(0)
        if wrap_async:
            folder = self.get_shell_option("async_dir")
            return {"ansible_job_id": "j1.2", "results_file": f"{folder}/j1.2", "changed": True}
        return self._results.pop(0)

    _results_are_of_jobs = True

    def _low_level_execute_command(self, cmd):
        self.commands.append(cmd)
        if cmd.startswith("rm -rf"):
            return {"rc": 0, "stdout": "", "stderr": ""}
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        if isinstance(look, Exception):
            raise look
        return {"rc": 0, "stdout": look, "stderr": ""}

    def texts(self):
        assert all(stderr for _text, stderr in self.shown)
        return [text for text, _stderr in self.shown]

    def go(self):
        return self.run(task_vars={"inventory_hostname": "web1"})


def test_returns_the_result_of_the_module_and_removes_the_job(monkeypatch):
    added = {"ansible_job_id": "j1.2", "started": True, "finished": True, "results_file": "f", "stderr": "deprecated!"}
    host = ActionOnHost(
        monkeypatch, {"src": "/x"}, looks=[seen(), seen("-")], results=[{**RESULT, **added, "stderr_lines": []}]
    )
    assert host.go() == RESULT
    assert host._task.async_val == 0
    start, status = host.modules
    folder = status[1]["_async_dir"]
    assert start == (None, None, True, s3_sync.JOB_SECONDS)
    assert folder.startswith("~/jobs/s3_sync/")
    assert status[0] == "ansible.legacy.async_status"
    assert status[1] == {"jid": "j1.2", "mode": "status", "_async_dir": folder}
    assert host.commands[-1].splitlines()[0] == f"rm -rf '{folder}'"
    assert host.texts() == [], "a short run is not worth a line"


@pytest.mark.parametrize(
    ("role", "said"),
    [("other", "raise max_delete_percent"), ("a.b.mastodon_s3", "raise mastodon_s3_max_delete_percent")],
)
def test_an_error_in_the_role_names_the_variable(monkeypatch, role, said):
    result = {"failed": True, "msg": "raise max_delete_percent", "exception": "raise max_delete_percent"}
    host = ActionOnHost(monkeypatch, looks=[seen("-")], results=[result])
    variables = {
        "ansible_role_name": role,
        "__mastodon_s3_option_names": {"max_delete_percent": "mastodon_s3_max_delete_percent"},
    }
    done = host.run(task_vars=variables)
    assert done["msg"] == said
    assert done.get("exception", said) == said


def test_a_long_run_shows_progress_and_first_how_to_resume(monkeypatch):
    looks = [seen(), *(seen(snapshot=at(float(age), done_files=age)) for age in range(1, 60)), seen("-")]
    host = ActionOnHost(monkeypatch, looks=looks, results=[RESULT], delegate_to="db1")
    host.go()
    texts = host.texts()
    assert all(text.startswith("[web1 -> db1] ") for text in texts)
    assert "attaches to it (to end it there: kill 42)" in texts[0]
    assert " files, " in texts[1]
    assert texts[-1].startswith("[web1 -> db1] ended after ")
    assert 4 < len(texts) < 15


@pytest.mark.parametrize(
    ("args", "task", "wrapped"),
    [
        ({"progress": False}, {}, 0),
        ({"progress": "no"}, {}, 0),
        ({"progress": "nonsense"}, {}, 0),
        ({}, {"check_mode": True}, 0),
        ({}, {"async_val": 300}, 300),
    ],
)
def test_without_progress_the_module_runs_directly(monkeypatch, args, task, wrapped):
    host = ActionOnHost(monkeypatch, args, results=[RESULT], **task)
    host._results_are_of_jobs = False
    assert host.go() == RESULT
    assert host.modules == [(None, None, wrapped, wrapped)]
    assert (host.commands, host.shown, host.warned) == ([], [], [])


@pytest.mark.parametrize(
    "args",
    [
        {"secret_key": "hunter2"},
        {"aws_secret_access_key": "hunter2"},
        {"aws_session_token": "hunter2"},
        {"aws_config": {"proxies": {"https": "http://user:hunter2@proxy"}}},
    ],
)
def test_options_with_a_secret_are_not_run_as_a_job(monkeypatch, args):
    host = ActionOnHost(monkeypatch, args, results=[RESULT])
    assert host.go() == RESULT
    assert [wrapped for _name, _args, wrapped, _limit in host.modules] == [0]
    (warning,) = host.warned
    assert next(iter(args)) in warning
    assert "hunter2" not in warning


def test_a_lost_connection_is_reported_once_and_tolerated(monkeypatch):
    lost = AnsibleConnectionFailure("no route")
    looks = [seen(), lost, lost, "", lost, seen(snapshot=at(1.0)), seen("-")]
    host = ActionOnHost(monkeypatch, looks=looks, results=[RESULT])
    assert host.go() == RESULT
    assert [text for text in host.texts() if "lost" in text] == [
        "[web1] the connection is lost, trying again; the run on the host continues"
    ]
    assert "[web1] connected again" in host.texts()
    assert host._connection.resets == 4


def test_a_permanently_lost_connection_makes_the_host_unreachable(monkeypatch):
    host = ActionOnHost(monkeypatch, looks=[seen(), AnsibleConnectionFailure("no route")])
    with pytest.raises(
        AnsibleConnectionFailure, match=r"no connection for 15 min; the run on the host continues.*no route"
    ):
        host.go()
    assert 900 <= host.now - 1000 < 950


def test_a_killed_module_is_a_failure_with_a_remedy(monkeypatch):
    host = ActionOnHost(monkeypatch, looks=[seen(), seen(alive="dead")])
    result = host.go()
    assert result["failed"] is True
    assert "run the task again" in result["msg"]
    assert 10 <= host.now - 1000 < 30


def test_a_job_that_never_starts_fails(monkeypatch):
    host = ActionOnHost(monkeypatch, looks=["s3_sync unfinished -\n\n"])
    assert host.go()["failed"] is True
    assert 120 <= host.now - 1000 < 140


def test_a_job_that_cannot_be_started_fails(monkeypatch):
    host = ActionOnHost(monkeypatch, results=[{"failed": True, "msg": "no interpreter"}])
    host._results_are_of_jobs = False
    assert host.go() == {"failed": True, "msg": "no interpreter"}
    assert host._task.async_val == 0


def test_attaches_to_a_running_copy(monkeypatch):
    busy = {"failed": True, "msg": "another run", "busy": {"process": 7, "progress": "/state/x.progress"}}
    other = [seen("-", "alive", at(float(age), 7, done_files=age)) for age in range(100, 130)]
    looks = [seen("-"), *other, seen("-", "alive", at(130.0, 7, stage=ENDED)), seen("-")]
    host = ActionOnHost(monkeypatch, looks=looks, results=[busy, RESULT])
    assert host.go() == RESULT
    texts = host.texts()
    assert "another run (process 7 on the host) is in progress: its progress is shown here" in texts[0]
    assert "files" in texts[1]
    assert len([module for module in host.modules if module[2]]) == 2


def test_does_not_wait_for_a_process_that_reuses_a_pid(monkeypatch):
    busy = {"failed": True, "busy": {"process": 7, "progress": "/state/x.progress"}}
    host = ActionOnHost(
        monkeypatch, looks=[seen("-"), *[seen("-", "alive", at(5.0, 7))] * 90, seen("-")], results=[busy, RESULT]
    )
    assert host.go() == RESULT


def test_a_failure_of_the_module_is_not_mistaken_for_another_run(monkeypatch):
    failed = {"failed": True, "msg": "no such bucket"}
    host = ActionOnHost(monkeypatch, looks=[seen("-")], results=[failed])
    assert host.go() == failed


def _given(answer):
    """Return a played answer, or raise it if it is an error."""
    if isinstance(answer, Exception):
        raise answer
    return answer


class Waiting(ActionOnHost):
    """The plugin with `repeat_until`. A round takes a second; the host's clock begins at 03:00:00."""

    def __init__(self, monkeypatch, until, *, rounds=(), found_after=None, answers=(), lost=range(0), **task):
        super().__init__(monkeypatch, {"src": "/x", "repeat_until": until}, **task)
        self._rounds_left, self._answers = list(rounds), list(answers)
        self._found_after, self._lost_at = found_after, lost
        self.began, self.arguments, self.questions = [], [], []
        monkeypatch.setattr(s3_sync.display, "prompt_until", self._prompt)

    def _execute_module(self, module_name=None, module_args=None, task_vars=None, wrap_async=False):
        raise AssertionError("a round is played")

    def _round(self):
        self.began.append(self.now - 1000)
        self.arguments.append(dict(self._task.args))
        self.now += 1
        result = self._rounds_left.pop(0) if self._rounds_left else {**RESULT, "changed": False}
        return dict(_given(result))

    def _low_level_execute_command(self, cmd):
        age = int(self.now - 1000)
        if age in self._lost_at:
            raise AnsibleConnectionFailure("no route")
        found = self._found_after is not None and age >= self._found_after
        clock = f"2026-12-01T{3 + age // 3600:02}:{age // 60 % 60:02}:{age % 60:02}"
        return {"rc": 0, "stdout": f"s3_sync_wait {'found' if found else '-'} {clock} CET\n", "stderr": ""}

    def _prompt(self, text, seconds):
        self.questions.append(text)
        answer = self._answers.pop(0) if self._answers else b""
        _given(answer)
        self.now += 2 if answer else seconds
        return answer


def test_rounds_go_on_until_a_time_of_day(monkeypatch):
    host = Waiting(monkeypatch, "03:11", rounds=[{**RESULT, "changed": True}])
    assert host.go() == {**RESULT, "changed": True}
    assert host.began == [300, 601, 660], "the last one begins at 03:11"
    assert host.arguments == [{"src": "/x"}] * 3, "the module does not get the option"
    (text,) = host.texts()
    assert text.startswith("[web1] waiting until 2026-12-01 03:11 CET on the host, in 11 min; the bucket is kept up to")


def test_rounds_go_on_until_a_file_appears(monkeypatch):
    host = Waiting(monkeypatch, "/run/now", found_after=415)
    assert host.go()["changed"] is False
    assert host.began[0] == 300
    assert 415 <= host.began[1] < 430
    assert "waiting until /run/now exists on the host" in host.texts()[0]
    assert Waiting(monkeypatch, "/run/now", found_after=0).go() == {**RESULT, "changed": False}


def test_a_round_that_fails_while_waiting_is_only_reported_but_the_last_one_counts(monkeypatch):
    broken = {"failed": True, "msg": "the store does not answer"}
    host = Waiting(monkeypatch, "03:11", rounds=[broken, AnsibleConnectionFailure("no route"), RESULT])
    assert host.go() == RESULT
    assert "[web1] this round failed, and the next one tries again: the store does not answer" in host.texts()
    assert "[web1] this round failed, and the next one tries again: no route" in host.texts()
    host = Waiting(monkeypatch, "03:11", rounds=[RESULT, RESULT, broken])
    assert host.go() == {**broken, "changed": True}


def test_a_time_that_was_slept_through_is_that_of_the_next_day(monkeypatch):
    host = Waiting(monkeypatch, "03:11", rounds=[{"stopped": "request"}])
    monkeypatch.setattr(s3_sync.time, "sleep", lambda _seconds: setattr(host, "now", host.now + 2 * 3600))
    assert host.go() == {"changed": False, "stopped": "request"}
    assert "[web1] 03:11 CET was missed by more than an hour" in host.texts()
    assert "waiting until 2026-12-02 03:11 CET" in host.texts()[-1]


def test_a_lost_connection_ends_the_waiting_only_if_it_stays_lost(monkeypatch):
    host = Waiting(monkeypatch, "03:11", lost=range(310, 610))
    host.go()
    assert host.began[-1] == 660
    assert "[web1] the connection is lost, trying again" in host.texts()
    assert "[web1] connected again" in host.texts()
    with pytest.raises(AnsibleConnectionFailure, match=r"no connection for 15 min: no route"):
        Waiting(monkeypatch, "/run/now", lost=range(10, 9999)).go()


def test_a_question_is_asked_again_after_each_round_until_it_is_answered_with_yes(monkeypatch):
    host = Waiting(monkeypatch, "confirmed", answers=[b"", b"perhaps", b"", b" Yes "])
    assert host.go() == {**RESULT, "changed": False}
    assert host.began == [300, 601, 604]
    assert len(host.questions) == 4
    assert host.questions[0].startswith("[web1] The copy is up to date, and changes are sent every 5 min. Go on now?")


@pytest.mark.parametrize("answer", [b"no", AnsiblePromptInterrupt("ctrl-c")])
def test_no_ends_it_without_another_round(monkeypatch, answer):
    host = Waiting(monkeypatch, "confirmed", answers=[answer])
    result = host.go()
    assert (result["stopped"], result.get("failed", False), host.began) == ("declined", False, [])


@pytest.mark.parametrize(
    ("until", "task", "said"),
    [
        ("25:00", {}, "mastodon_s3_switch_when: '25:00' is no time of day"),
        ("confirmed", {}, "no terminal to ask on. Use one, or set mastodon_s3_switch_when to a time of day or a file"),
        ("03:30", {"async_val": 60}, "does not work with async"),
    ],
)
def test_what_can_not_be_waited_for_fails_at_once(monkeypatch, until, task, said):
    host = Waiting(monkeypatch, until, answers=[AnsiblePromptNoninteractive("no")], **task)
    names = {"repeat_until": "mastodon_s3_switch_when"}
    result = host.run(task_vars={"ansible_role_name": "mastodon_s3", "__mastodon_s3_option_names": names})
    assert result["failed"]
    assert said in result["msg"]
    assert host.began == []


def test_nothing_waits_in_check_mode(monkeypatch):
    host = Waiting(monkeypatch, "03:30", check_mode=True)
    host.go()
    assert host.began == [0]
