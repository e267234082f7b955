# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role concludes from what it found on a host: the variables in vars/main, with their templates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
import yaml
from announce_texts import CASES as ANNOUNCE_CASES
from report_texts import CASES as REPORT_CASES
from trial_texts import CASES as TRIAL_CASES
from wait_texts import CASES as WAIT_CASES

ROLE = Path(__file__).resolve().parents[3] / "roles" / "mastodon_s3"
SECRET = {"value": None, "secret": True, "empty": False, "dynamic": False, "path": "/live/.env.production"}
INSTANCE = {
    "root": "/live",
    "env_file": "/live/.env.production",
    "env_file_exists": True,
    "managed_by": None,
    "media_root": "/live/public/system",
    "media_root_state": {"exists": True, "empty": False, "real_path": "/m", "file_system": "ext4", "mount_point": "/m"},
    "media_mounts": [],
    "media_url_path": "/system",
    "units": [],
    "web_units": ["mastodon-web.service"],
    "sidekiq_units": ["mastodon-sidekiq.service"],
    "shadowed": [],
    "variables": {},
    "version": {"full": "4.4.2"},
}
BASE = {
    "role_path": str(ROLE),
    "mastodon_s3_bucket": "social-media",
    "mastodon_s3_provider": "minio",
    "mastodon_s3_endpoint_url": "http://127.0.0.1:9",
    "mastodon_s3_web_url": "http://127.0.0.1:3000",
    "mastodon_s3_boto3": "venv",
    "mastodon_s3_identity": "instance_profile",
    "__mastodon_s3_instance": INSTANCE,
    "__mastodon_s3_state": {
        "record": {},
        "source_of_truth": "disk",
        "switch_settings": {},
        "restart_due": False,
        "contradiction": "",
    },
    "__mastodon_s3_host_epoch": 0,
    "__mastodon_s3_controller_epoch": 0,
}
NFS = {"media_root_state": {**INSTANCE["media_root_state"], "file_system": "nfs4", "mount_point": "/srv/nfs"}}
NO_VENV = json.dumps({"boto3": "", "venv": False})
FACTS = {"python": {"executable": "/usr/bin/python3", "version_info": [3, 10, 12]}, "os_family": "Debian"}
FOUND = "{{ %s | selectattr('failed') | map(attribute='message') | list }}"
COUNT = {"count": 1, "bytes": 1}
WRITERS = [{"message": "tootctl (process 7)"}, {"message": "ruby x"}]


def probed(**variables):
    """The role's variable with a probe's result that recommends these variables."""
    recommended = {name: {"value": value, "reason": "it is: why"} for name, value in variables.items()}
    recommendation = {"exposure": "policy", "reason": "", "variables": recommended, "warnings": []}
    return {"__mastodon_s3_access": {"problem": None, "probe": {"recommendation": recommendation}}}


PUBLIC = {"requested": 4, "unreadable": 0, "wrong_type": 0, "wrong_cache_header": 0, "examples": []}
PRIVATE = {"requested": 1, "readable": 0, "examples": []}
SENT = {
    "counts": {"files": 4, "missing": 0, "size_differs": 0, "exposed": 0},
    "missing": [],
    "size_differs": [],
    "sampled": {"public": PUBLIC, "private": PRIVATE},
    "inspected": {
        "acl": None,
        "headers": {"objects": 4, "unknown": 0, "wrong_type": 0, "wrong_cache_header": 0, "examples": []},
    },
    "last_run": 7,
    "listable": False,
}
SWITCHED = {"source_of_truth": "bucket", "record": {}, "switch_settings": {}}
UNITS = {"__mastodon_s3_thumbnail_response": {"skipped": True}, "__mastodon_s3_unit_states": {}}


def sent(missing=(), **public):
    """Return the variables after a switch of four files, of which some are missing or unreadable."""
    counts = {**SENT["counts"], "missing": len(missing)}
    sampled = {"public": {**PUBLIC, **public}, "private": PRIVATE}
    found = {**SENT, "counts": counts, "missing": list(missing), "sampled": sampled}
    return {"__mastodon_s3_sent": found, "__mastodon_s3_undo_switch": True, "__mastodon_s3_state": SWITCHED, **UNITS}


def compared(*, last_run, state, undo=False, **counts):
    """Return the variables after a full comparison."""
    found = {**SENT, "counts": {**SENT["counts"], **counts}, "missing": ["a.png"], "last_run": last_run}
    return {
        "__mastodon_s3_comparison": found,
        "__mastodon_s3_state": {**SWITCHED, "source_of_truth": state},
        "__mastodon_s3_undo_switch": undo,
        "__mastodon_s3_unsent_files": 0,
        "mastodon_s3_exposure": "acl",
    }


# What is asked, with which variables, what the answer contains, and what it does not.
CASES = {
    "media on NFS": (
        "{{ __mastodon_s3_plan_network }}",
        {"__mastodon_s3_instance": {**INSTANCE, **NFS}},
        ["on a network file system (nfs4 at /srv/nfs)", "reads the whole tree over the network"],
        [],
    ),
    "media on a disk": ("{{ [__mastodon_s3_plan_network] }}", {}, ['[""]'], []),
    "only web": (
        FOUND % "__mastodon_s3_checks_services",
        {"__mastodon_s3_instance": {**INSTANCE, "sidekiq_units": []}},
        ["This host runs only the web process", "not supported yet", "set mastodon_s3_sidekiq_units"],
        ["mastodon_s3_restart_command", "only Sidekiq"],
    ),
    "only Sidekiq": (
        FOUND % "__mastodon_s3_checks_services",
        {"__mastodon_s3_instance": {**INSTANCE, "web_units": []}},
        ["This host runs only Sidekiq", "set mastodon_s3_web_units"],
        ["mastodon_s3_restart_command", "only the web process"],
    ),
    "both": (FOUND % "__mastodon_s3_checks_services", {}, ["[]"], []),
    "no ensurepip": (
        FOUND % "__mastodon_s3_checks_host",
        {"__mastodon_s3_python_result": {"stdout": NO_VENV}, "__mastodon_s3_venv_stat": {"stat": {"exists": False}}},
        ["/usr/bin/python3 on this host can't make virtual environments", "apt-get install python3-venv"],
        [],
    ),
    "no ensurepip any more": (
        FOUND % "__mastodon_s3_checks_host",
        {"__mastodon_s3_python_result": {"stdout": NO_VENV}, "__mastodon_s3_venv_stat": {"stat": {"exists": True}}},
        ["[]"],
        [],
    ),
    "a secret that is removed": (
        "{{ __mastodon_s3_plan_removed }}",
        {
            "__mastodon_s3_instance": {
                **INSTANCE,
                "variables": {
                    "AWS_SECRET_ACCESS_KEY": SECRET,
                    "S3_ALIAS_HOST": {**SECRET, "value": "files.example.com", "secret": False},
                },
            }
        },
        ["AWS_SECRET_ACCESS_KEY=********", "S3_ALIAS_HOST=files.example.com"],
        [],
    ),
    "what is left out": (
        "{{ __mastodon_s3_plan_left_out }}",
        {"__mastodon_s3_round": {"left_out": {"filtered": COUNT, "local_only": COUNT, "symlink": {"count": 0}}}},
        ["excluded by mastodon_s3_exclude", "private files that stay on disk"],
        ["filtered", "local_only", "symbolic"],
    ),
    "an API that answers, but not with what it should": (
        "{{ __mastodon_s3_plan_compared }}",
        {"__mastodon_s3_api_responses": {"results": [{"status": 401, "json": {}}, {"status": -1}]}},
        ["its API answered with status 401 at http://127.0.0.1:3000"],
        ["does not answer"],
    ),
    "an API that does not answer": (
        "{{ __mastodon_s3_plan_compared }}",
        {"__mastodon_s3_api_responses": {"results": [{"status": -1}]}},
        ["its API does not answer at http://127.0.0.1:3000"],
        [],
    ),
    "variables that the probe recommends": (
        "{{ __mastodon_s3_probe_variable_warnings }}",
        probed(S3_READ_TIMEOUT="20", S3_ENABLE_CHECKSUM_MODE="true", S3_PERMISSION="", S3_MULTIPART_THRESHOLD=None),
        [
            "should run with S3_READ_TIMEOUT=20, because it is: why. Add it to mastodon_s3_extra_env",
            "with S3_ENABLE_CHECKSUM_MODE=true, because",
        ],
        ["S3_PERMISSION", "S3_MULTIPART_THRESHOLD"],
    ),
    "recommended variables that are set": (
        "{{ __mastodon_s3_probe_variable_warnings }}",
        {
            **probed(
                S3_READ_TIMEOUT="20", S3_ENABLE_CHECKSUM_MODE="true", AWS_RESPONSE_CHECKSUM_VALIDATION="when_required"
            ),
            "mastodon_s3_extra_env": {"S3_ENABLE_CHECKSUM_MODE": "true"},
            "__mastodon_s3_instance": {
                **INSTANCE,
                "variables": {"S3_READ_TIMEOUT": {**SECRET, "value": "60", "secret": False}},
            },
        },
        ["[]"],
        [],
    ),
    "recommended variables that are set to something else": (
        "{{ __mastodon_s3_probe_variable_warnings }}",
        {
            **probed(S3_READ_TIMEOUT="20", S3_ENABLE_CHECKSUM_MODE="true"),
            "mastodon_s3_extra_env": {"S3_ENABLE_CHECKSUM_MODE": "false", "S3_READ_TIMEOUT": 15},
            "__mastodon_s3_instance": {
                **INSTANCE,
                "variables": {"S3_READ_TIMEOUT": {**SECRET, "value": "60", "secret": False}},
            },
        },
        ["S3_READ_TIMEOUT=20", "S3_ENABLE_CHECKSUM_MODE=true"],
        [],
    ),
    "everything that was sent is fine": ("{{ __mastodon_s3_switch_problems }}", sent(), ["[]"], []),
    "a few that users may have deleted do not undo a switch": (
        "{{ __mastodon_s3_switch_problems + __mastodon_s3_sent_lines }}",
        sent(["a.png"], unreadable=1, examples=[{"key": "b.png", "status": 403, "reason": "AccessDenied"}]),
        ["4 files were sent during the switch", "2 are gone, or visitors can not read them: a.png, b.png"],
        ["not in the bucket"],
    ),
    "most are missing": (
        "{{ __mastodon_s3_switch_problems }}",
        sent(["a.png", "b.png", "c.png"]),
        ["3 of 4 files that were sent during the switch are not in the bucket: a.png, b.png, c.png."],
        [],
    ),
    "one has a wrong header": (
        "{{ __mastodon_s3_switch_problems }}",
        sent(wrong_type=1),
        ["1 files that were sent", "wrong content type"],
        [],
    ),
    "an old fault before the switch": (
        "{{ [__mastodon_s3_audit_failed] + __mastodon_s3_media_problems + __mastodon_s3_switch_stands }}",
        compared(last_run=7, state="disk", missing=1),
        [
            "Mastodon still uses the disk",
            "1 files are not in the bucket: a.png. Run again with mastodon_s3_repair=true",
        ],
        ["The switch stands"],
    ),
    "a verification before the switch": (
        "{{ __mastodon_s3_media_problems }}",
        compared(last_run=None, state="disk", missing=1),
        ["1 files are not in the bucket: a.png. Run the sync again."],
        ["repair"],
    ),
    "an old fault after the switch": (
        "{{ __mastodon_s3_switch_stands + __mastodon_s3_media_problems }}",
        compared(last_run=None, state="bucket", undo=True, exposed=1),
        ["The switch stands: Mastodon uses the bucket", "nothing was undone", "1 private files have an object"],
        [],
    ),
    "archives that nobody can download": (
        "{{ __mastodon_s3_plan_archives }}",
        {
            "__mastodon_s3_address_check": {
                "endpoint_problems": [
                    {"code": "PlainHttp", "message": "It is open.", "remedy": "Set endpoint_url to another."},
                    {"code": "PrivateAddress", "message": "It is private.", "remedy": "Move it."},
                ]
            }
        },
        ["Warning: It is open. Set mastodon_s3_endpoint_url to another. It is private. Move it."],
        [],
    ),
    "archives on AWS": (
        "{{ [__mastodon_s3_plan_archives, __mastodon_s3_env.S3_ENDPOINT | default('none')] }}",
        {
            "mastodon_s3_provider": "aws",
            "mastodon_s3_endpoint_url": None,
            "__mastodon_s3_address_check": {"endpoint_problems": []},
        },
        ['["", "none"]'],
        [],
    ),
    **REPORT_CASES,
    **TRIAL_CASES,
    **ANNOUNCE_CASES,
    **WAIT_CASES,
    "other writers": (
        "{{ [__mastodon_s3_plan_writers, __mastodon_s3_plan_schedules, __mastodon_s3_writers_problem] }}",
        {
            "__mastodon_s3_processes_now": {
                "other_writers": WRITERS,
                "schedules": [{"source": "clean.timer", "command": "bin/tootctl"}, {"source": "/c", "command": "* x"}],
            },
            "__mastodon_s3_writers_now": {"other_writers": WRITERS},
        },
        [
            "for 300 seconds (mastodon_s3_other_writers_timeout), and then fails: tootctl (process 7); ruby x",
            "until after the switch: clean.timer: bin/tootctl; /c: * x",
            "after the switch: tootctl (process 7); ruby x. The play waited for 300 seconds",
        ],
        [],
    ),
    "no other writers": (
        "{{ [__mastodon_s3_plan_writers, __mastodon_s3_plan_schedules, __mastodon_s3_service_units] }}",
        {
            "__mastodon_s3_processes_now": {"other_writers": [], "schedules": []},
            "__mastodon_s3_instance": {**INSTANCE, "units": [{"name": "streaming@4000.service", "kind": "streaming"}]},
        },
        ['["", "", ["mastodon-web.service", "mastodon-sidekiq.service", "streaming@4000.service"]]'],
        [],
    ),
    "services that a command restarts": (
        "{{ __mastodon_s3_service_units }}",
        {"mastodon_s3_restart_command": "docker compose up -d"},
        ["[]"],
        [],
    ),
    "prices that are a list": (
        FOUND % "__mastodon_s3_checks_input",
        {"mastodon_s3_prices": [1]},
        ["mastodon_s3_prices: [1] is not a dictionary of prices", "{storage_gb_month: 0.023}", "put_per_1000"],
        [],
    ),
    "prices that are none": (
        FOUND % "__mastodon_s3_checks_input",
        {"mastodon_s3_prices": {"currency": "EUR", "storage": 1, "transfer_out_gb": -1, "put_per_1000": "low"}},
        ["no price 'storage'", "transfer_out_gb is not a number", "put_per_1000 is not a number"],
        ["currency is not"],
    ),
    "prices": (
        FOUND % "__mastodon_s3_checks_input",
        {"mastodon_s3_prices": {"storage_gb_month": 0.02, "transfer_out_gb": 1e-05, "put_per_1000": "0.1"}},
        ["[]"],
        [],
    ),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """The answers to all cases, of one play."""
    folder = tmp_path_factory.mktemp("play")
    tasks = [
        {
            "ansible.builtin.set_fact": {f"answer_{number}": template},
            "vars": {**BASE, "facts": FACTS, **variables},
        }
        for number, (template, variables, _says, _says_not) in enumerate(CASES.values())
    ]
    facts = {"ansible.builtin.set_fact": {**FACTS, "cacheable": True}}
    said = [f"{{{{ answer_{number} | to_json }}}}" for number in range(len(CASES))]
    files = [str(ROLE / "defaults" / "main.yml"), *sorted(map(str, (ROLE / "vars" / "main").glob("*.yml")))]
    write = {"ansible.builtin.copy": {"content": "{{ said | to_json }}", "dest": str(folder / "answers")}}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": files,
        "tasks": [facts, *tasks, {**write, "vars": {"said": said}}],
    }
    (folder / "play.json").write_text(json.dumps([play]), encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "ANSIBLE_HOME": str(folder / "home")}
    interpreter = f"ansible_python_interpreter={sys.executable}"
    command = [sys.executable, "-m", "ansible", "playbook", "play.json", "-e", interpreter]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(zip(CASES, json.loads((folder / "answers").read_text(encoding="utf-8"))))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_conclusions_from_the_probe(answers, case):
    _template, _variables, says, says_not = CASES[case]
    assert [text for text in says if text not in answers[case]] == [], answers[case]
    assert [text for text in says_not if text in answers[case]] == [], answers[case]


@pytest.mark.parametrize(("exposure", "touches"), [("acl", True), ("policy", True), ("open_bucket", False)])
def test_the_bucket_policy_is_not_changed_with_open_bucket(exposure, touches):
    """Stores with this exposure have no policies, and answer such a request with an error."""
    tasks = yaml.safe_load((ROLE / "tasks" / "probe.yml").read_text(encoding="utf-8"))
    blocks = [task for task in tasks if "block" in task]
    rules = [task for block in blocks for task in block["block"] if "fediverse.mastodon_s3.s3_bucket_rules" in task]
    assert len(rules) == 2
    environment = jinja2.Environment(autoescape=True)
    values = {
        "__mastodon_s3_exposure": exposure,
        "__mastodon_s3_policy_statements": "a statement",
        "__mastodon_s3_protected_prefixes": "prefixes",
        "mastodon_s3_cors_origins": ["*"],
        "mastodon_s3_abort_uploads_days": 7,
        "omit": "omitted",
    }
    sent = [
        environment.from_string(task["fediverse.mastodon_s3.s3_bucket_rules"][option]).render(values)
        for task in rules
        if environment.compile_expression(task["when"])(values)
        for option in ("policy_statements", "protected_prefixes")
        if option in task["fediverse.mastodon_s3.s3_bucket_rules"]
    ]
    assert sent
    assert (set(sent) != {"omitted"}) is touches
