"""What the role says of a wait before the switch: cases for tests/unit/role/test_texts.py, which explains them."""

from __future__ import annotations

_FOUND = "(__mastodon_s3_checks_wait | selectattr('failed') | map(attribute='message') | list)"
_WAIT = f"{{{{ [__mastodon_s3_plan_wait, __mastodon_s3_wait_purpose] + {_FOUND} }}}}"

CASES = {
    "after a copy, without a feed": (
        "{{ __mastodon_s3_copy_lines | join(' ') }}",
        {
            "__mastodon_s3_round": {"actions": {"upload": {"count": 200}}, "seconds": {"total": 71.26}},
            "__mastodon_s3_feed_result": {"msg": "/m is on nfs4"},
        },
        ["sent 200 files", "Warning: Mastodon writes files faster", "because /m is on nfs4", "expect about 71.3 s"],
        ["are followed for"],
    ),
    "a switch at night": (
        _WAIT,
        {
            "mastodon_s3_switch_when": "03:30",
            "__mastodon_s3_wait_stats": {"results": [{"skipped": True}, {"skipped": True}]},
            "__mastodon_s3_host_facts": {"ansible_facts": {"ansible_date_time": {"time": "22:15:01", "tz": "CET"}}},
        },
        ["the switch begins when it is 03:30 on this host, where it is now 22:15 CET"],
        ["mastodon_s3_"],
    ),
    "a switch when a file is there": (
        _WAIT,
        {
            "mastodon_s3_switch_when": "/run/now",
            "__mastodon_s3_wait_stats": {"results": [{"stat": {"isdir": True}}, {"stat": {"exists": True}}]},
        },
        ["the switch begins when /run/now exists on this host, which it already does", '"/run/now exists"'],
        ["mastodon_s3_"],
    ),
    "no time of day": (f"{{{{ {_FOUND} }}}}", {"mastodon_s3_switch_when": "25:00"}, ["'25:00' is"], []),
    "nothing to wait for": (_WAIT, {}, ['["", ""]'], []),
}
