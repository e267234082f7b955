"""What the role says in and of its report: cases for tests/unit/role/test_texts.py, which explains them."""

from __future__ import annotations

_FOUND = "{{ __mastodon_s3_checks_report | selectattr('failed') | map(attribute='message') | list }}"
_STEPS = "{{ __mastodon_s3_report_steps | selectattr('when') | list }}"


def _steps(state: str, **variables: object) -> dict[str, object]:
    return {
        "__mastodon_s3_state": {
            "record": {"state": state},
            "source_of_truth": "bucket" if state == "switched" else "disk",
            "switch_settings": {},
        },
        "inventory_file": "/home/me/my servers/hosts.yml",
        **variables,
    }


CASES = {
    "a folder for reports that is not absolute": (
        _FOUND,
        {"mastodon_s3_report_dir": "reports"},
        ["mastodon_s3_report_dir: 'reports' is not an absolute path. Give the whole path"],
        ["can't become one"],
    ),
    "a folder for reports that can't be made": (
        _FOUND,
        {"mastodon_s3_report_dir": "/nonexistent/reports/"},
        ["mastodon_s3_report_dir: '/nonexistent/reports/' is not a folder on the controller and can't become one"],
        ["absolute"],
    ),
    "a file in the place of the folder for reports": (
        _FOUND,
        {"mastodon_s3_report_dir": "/etc/passwd"},
        ["'/etc/passwd' is not a folder on the controller"],
        [],
    ),
    "a folder for reports that will be made": (_FOUND, {"mastodon_s3_report_dir": "/tmp/reports-to-be"}, ["[]"], []),
    "no folder for reports": (_FOUND, {}, ["[]"], []),
    "the name of a report on the controller": (
        "{{ __mastodon_s3_report_here }}",
        {"mastodon_s3_report_dir": "/r/", "mastodon_s3_bucket": "media", "inventory_hostname": "../a b"},
        ["/r/.._a_b.media.report"],
        ["//"],
    ),
    "next steps after a switch": (
        _STEPS,
        _steps("switched", __mastodon_s3_comparison={"left_out": {"filtered": 2, "symlink": 1, "too_new": 5}}),
        [
            "ansible-playbook -i '/home/me/my servers/hosts.yml' fediverse.mastodon_s3.verify -e ",
            "-e mastodon_s3_hosts=localhost",
            "fediverse.mastodon_s3.rollback",
            "In /live/public/system, 3 paths are not in the bucket",
        ],
        ["migrate -e", "proxy"],
    ),
    "next steps with an open bucket": (
        _STEPS,
        _steps("switched", mastodon_s3_exposure="open_bucket", mastodon_s3_alias_host="files.example"),
        ["Deny account archives in the proxy", "(backups|imports)/ { return 403; }"],
        ["Save what was left out"],
    ),
    "next steps before a switch": (
        _STEPS,
        _steps("copying"),
        ["fediverse.mastodon_s3.migrate -e mastodon_s3_hosts=localhost"],
        ["rollback", "verify", "old addresses"],
    ),
}
