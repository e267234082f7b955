"""What the role announces, and says of it: cases for tests/unit/role/test_texts.py, which explains them."""

from __future__ import annotations

_NOW = {"__mastodon_s3_host_facts": {"ansible_facts": {"ansible_date_time": {"iso8601": "2026-12-09T12:00:00Z"}}}}
_AWS = {"mastodon_s3_provider": "aws", "mastodon_s3_endpoint_url": "", "mastodon_s3_region": "eu-central-1"}
_ALIAS = {"mastodon_s3_alias_host": "files.example"}
_WHAT = "{{ [__mastodon_s3_announce_variable, __mastodon_s3_announce_source, __mastodon_s3_announce_value] }}"
_WITHDRAWN = "{{ [__mastodon_s3_withdrawn_variables, __mastodon_s3_withdrawn_absent] }}"
_PROBLEMS = "{{ __mastodon_s3_checks_announce | selectattr('failed') | map(attribute='message') | list }}"
_PLAN = "{{ [__mastodon_s3_plan_announced, __mastodon_s3_plan_site_policy] }}"
_PAGE = {"status": 200, "content_security_policy": "img-src 'self' https://files.example https://old.example"}
_ADDED = {"variable": "EXTRA_MEDIA_HOSTS", "added": True, "before": None, "since": "2026-12-06T11:00:00Z"}
_ADDED |= {"source": "https://files.example/", "written": "https://files.example/"}


def _env(**values):
    """The variables of the env file."""
    return {name: {"value": value, "dynamic": False, "path": "/live/.env.production"} for name, value in values.items()}


def _world(version="4.4.2", env=(), recorded=None, page=None, **variables):
    """The variables for a version of Mastodon, with an env file, a record and the page of the web process."""
    return {
        "mastodon_s3_mastodon_version": version,
        "__mastodon_s3_variables": _env(**dict(env)),
        "__mastodon_s3_announcement": recorded or {},
        "__mastodon_s3_page": page or _PAGE,
        **_NOW,
        **variables,
    }


_HELD = {"EXTRA_MEDIA_HOSTS": "https://files.example/"}

CASES = {
    "a bucket on AWS": (_WHAT, _world(**_AWS), ['"https://s3.eu-central-1.amazonaws.com/social-media/"'], []),
    "a list that ends with a space": (
        _WHAT,
        _world(env={"EXTRA_MEDIA_HOSTS": "https://a.example, https://b.example "}, **_ALIAS),
        ['"https://a.example, https://b.example,https://files.example/"'],
        [],
    ),
    "a list that has the host already": (
        _WHAT,
        _world(env={"EXTRA_MEDIA_HOSTS": "https://files.example https://b.example"}, **_ALIAS),
        ['"https://files.example https://b.example"'],
        [],
    ),
    "another host than last time": (
        _WHAT,
        _world(env=_HELD, recorded=_ADDED, mastodon_s3_alias_host="new.example"),
        ['"https://new.example/"]'],
        ["files.example"],
    ),
    "Mastodon 4.3 with a host of its own": (
        _WHAT,
        _world("4.3.1", **_ALIAS),
        ['["S3_ALIAS_HOST", "https://files.example/", "files.example"]'],
        [],
    ),
    "Mastodon 4.3 with the store's host": (
        _WHAT,
        _world("4.3.1", **_AWS),
        ['["S3_HOSTNAME", "https://s3.eu-central-1.amazonaws.com/", "s3.eu-central-1.amazonaws.com"]'],
        [],
    ),
    "Mastodon 4.2 with the store's host": (
        "{{ __mastodon_s3_announce_lines }}",
        _world("4.2.9"),
        ["Mastodon 4.2.9 can not announce the host of a store", "(mastodon_s3_alias_host) can be announced"],
        [],
    ),
    "Mastodon 4.3 that names another host": (
        _PROBLEMS,
        _world("4.3.1", env={"S3_ALIAS_HOST": "old.example"}, **_ALIAS),
        ["S3_ALIAS_HOST is already set to 'old.example'. Mastodon 4.3.1 can announce only one host."],
        [],
    ),
    "web that does not answer": (
        _PROBLEMS,
        _world(page={"status": -1, "msg": "Connection refused"}, **_ALIAS),
        ["does not answer at http://127.0.0.1:3000/: Connection refused. Start it"],
        [],
    ),
    "nothing wrong": (_PROBLEMS, _world(**_ALIAS), ["[]"], []),
    "announced three days ago": (
        _PLAN,
        _world(env=_HELD, recorded=_ADDED, **_ALIAS),
        ["Announced: https://files.example/ is in", "since 2026-12-06", "before 4 more days have passed"],
        ["Note"],
    ),
    "announced long ago": (
        _PLAN,
        _world(env=_HELD, recorded={**_ADDED, "since": "2026-12-02T11:59:00Z"}, **_ALIAS),
        ["Announced: ", "for up to a week"],
        ["Some visitors", "Note"],
    ),
    "announced by hand": (_PLAN, _world(env=_HELD, **_ALIAS), ["Since when is not known"], ["Note", "Announced"]),
    "not announced": (
        _PLAN,
        _world(mastodon_s3_alias_host="new.example"),
        [
            "Note: browsers keep",
            "does not name https://new.example/ yet",
            "run the announce playbook, and switch a week",
        ],
        [],
    ),
    "Mastodon 4.2 can't announce it, and allows pictures from everywhere": (_PLAN, _world("4.2.9"), ['["", ""]'], []),
    "a site that can not be read from here": (
        _PLAN,
        _world(
            page={"status": -1},
            __mastodon_s3_address_check={
                "site_policy": {"url": "https://s.example/", "allows": None, "reason": "TimedOut", "problems": []}
            },
        ),
        ['["", "Note: https://s.example/ could not be read from the controller (TimedOut)'],
        [],
    ),
    "withdrawn, since nothing was there before": (
        _WITHDRAWN,
        _world(env=_HELD, recorded=_ADDED),
        ['[{}, ["EXTRA_MEDIA_HOSTS"]]'],
        [],
    ),
    "withdrawn from a list": (
        _WITHDRAWN,
        _world(
            env={"EXTRA_MEDIA_HOSTS": "https://a.example,https://files.example/"},
            recorded={**_ADDED, "before": "https://a.example", "written": "https://a.example,https://files.example/"},
        ),
        ['[{"EXTRA_MEDIA_HOSTS": "https://a.example"}, []]'],
        [],
    ),
    "withdrawn from a list that was edited since": (
        _WITHDRAWN,
        _world(env={"EXTRA_MEDIA_HOSTS": "https://files.example/ https://b.example"}, recorded=_ADDED),
        ['[{"EXTRA_MEDIA_HOSTS": "https://b.example"}, []]'],
        [],
    ),
    "what was there anyway is kept": (
        _WITHDRAWN,
        _world(env=_HELD, recorded={**_ADDED, "added": False}),
        ["[{}, []]"],
        [],
    ),
    "Mastodon 4.3 with another host by now": (
        _WITHDRAWN,
        _world(
            "4.3.1",
            env={"S3_ALIAS_HOST": "new.example"},
            recorded={**_ADDED, "variable": "S3_ALIAS_HOST", "written": "files.example"},
        ),
        ['[{"S3_ALIAS_HOST": "new.example"}, []]'],
        [],
    ),
}
