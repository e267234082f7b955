"""What the role concludes from a trial: cases for tests/unit/role/test_texts.py, which explains their parts."""

from __future__ import annotations

TRIED = {"supported": True, "reason": "", "command": "bundle exec rails runner -", "ended": "success", "stderr": ""}
GOOD_STEP = {"name": "settings", "seconds": 1, "error": None}


def trial(error=None, name="store", **other):
    """What the module returns after a trial in which this step had this error."""
    steps = [GOOD_STEP, {"name": name, "seconds": 1, "error": error}]
    return {"__mastodon_s3_trial_result": {**TRIED, "result": {"steps": steps}, **other}}


CASES = {
    "a trial that succeeds": (
        "{{ [__mastodon_s3_trial_problem, __mastodon_s3_trial_unsupported] }}",
        trial(),
        ['["", ""]'],
        [],
    ),
    "a trial without its authority": (
        "{{ __mastodon_s3_trial_problem }}",
        trial("Seahorse::Client::NetworkingError: SSL_connect: certificate verify failed."),
        ["The step 'store' failed: Seahorse", "verify failed. Ruby trusts only", "Nothing was switched", "to 'never'"],
        ["..", "IPAddressDeny"],
    ),
    "a trial without a network": (
        "{{ __mastodon_s3_trial_problem }}",
        trial("Errno::EPERM: Failed to open TCP connection to media.example:443", "fetch by its public address"),
        ["'fetch by its public address' failed", "IPAddressDeny=", "systemctl cat mastodon-web.service"],
        ["mastodon_s3_alias_host"],
    ),
    "a trial with an address of nobody": (
        "{{ __mastodon_s3_trial_problem }}",
        trial("RuntimeError: media.example answers with status 404", "fetch by its public address"),
        ["Check mastodon_s3_alias_host"],
        [],
    ),
    "a trial with refused checksums": (
        "{{ __mastodon_s3_trial_problem }}",
        trial("Aws::S3::Errors::MissingContentMD5: no header", "delete in a batch"),
        ["AWS_REQUEST_CHECKSUM_CALCULATION"],
        [],
    ),
    "a trial that does not start": (
        "{{ __mastodon_s3_trial_problem }}",
        trial(ended="exit-code", result=None, stderr="Storage backend failed to load"),
        [
            "Mastodon did not start",
            "'bundle exec rails runner -'",
            "result 'exit-code'",
            "Storage backend failed to load",
        ],
        ["Increase"],
    ),
    "a trial that takes too long": (
        "{{ __mastodon_s3_trial_problem }}",
        trial(ended="timeout", result=None),
        ["Increase mastodon_s3_trial_timeout"],
        [],
    ),
    "a trial that says nothing": (
        "{{ __mastodon_s3_trial_problem }}",
        trial(result=None),
        ["Mastodon did not start"],
        [],
    ),
    "a trial without a runner": (
        "{{ [__mastodon_s3_trial_problem, __mastodon_s3_trial_unsupported] }}",
        {"__mastodon_s3_trial_result": {"supported": False, "reason": "there is no /live/bin/rails"}},
        ['["", "it is not known how to run other code like mastodon-web.service: there is no /live/bin/rails"]'],
        [],
    ),
    "a trial that is required": (
        "{{ __mastodon_s3_trial_problem }}",
        {
            "mastodon_s3_trial": "require",
            "mastodon_s3_restart_command": "true",
            "__mastodon_s3_trial_result": {"skipped": True},
        },
        ["mastodon_s3_trial is 'require', but Mastodon is restarted by mastodon_s3_restart_command"],
        [],
    ),
}
