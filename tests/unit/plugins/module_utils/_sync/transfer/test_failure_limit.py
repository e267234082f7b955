# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    BadCredentialsError,
    PermissionDeniedError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.executor import failure_of
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Exposure,
    Failure,
    Outcome,
    Result,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.failure_limit import (
    MOST_IN_A_ROW,
    FailureLimit,
)

EXPIRED = failure_of(BadCredentialsError("the token expired", code="ExpiredToken"))
DENIED = failure_of(PermissionDeniedError("denied", code="AccessDenied"))
FILE_ONLY = Failure("can't be read", local=True)


def outcome(failure=None, exposure=Exposure.PUBLIC, result=Result.UPLOADED, kind=ActionKind.UPLOAD):
    action = Action(kind, "a.png", "new", exposure)
    return Outcome(action, Result.FAILED if failure else result, failure=failure)


def after(outcomes, *, acl=True):
    failure_limit = FailureLimit(acl=acl)
    for each in outcomes:
        failure_limit.watch(each)
    return failure_limit.stopped


def test_so_many_in_a_row_stop_a_run_and_one_less_does_not():
    assert after([outcome(EXPIRED)] * (MOST_IN_A_ROW - 1)) is None
    assert after([outcome(EXPIRED)] * MOST_IN_A_ROW) == f"the token expired ({MOST_IN_A_ROW} times in a row)"


@pytest.mark.parametrize(
    ("between", "stops"),
    [
        (outcome(), False),
        (outcome(DENIED), False),
        (outcome(EXPIRED, exposure=Exposure.PRIVATE), True),
        (outcome(EXPIRED, kind=ActionKind.SET_ACL), True),
        (outcome(result=Result.SKIPPED), True),
        (outcome(FILE_ONLY), True),
        (outcome(failure_of(S3Error("odd", code="Odd"))), True),
    ],
)
def test_only_a_success_or_another_refusal_of_the_same_kind_begins_the_count_anew(between, stops):
    stopped = after([outcome(EXPIRED)] * (MOST_IN_A_ROW - 1) + [between, outcome(EXPIRED)])
    assert (stopped is not None) is stops


def test_what_says_nothing_of_the_next_file_never_stops_a_run():
    assert after([outcome(FILE_ONLY)] * 1000) is None


def test_a_store_that_refuses_one_file_in_twenty_five_and_three_side_by_side_is_borne():
    refused = [outcome(EXPIRED)] * 3 + [outcome()] * 72
    assert after(refused * 1000) is None


@pytest.mark.parametrize(
    ("acl", "exposure", "named"),
    [(True, Exposure.PUBLIC, True), (True, Exposure.PRIVATE, False), (False, Exposure.PUBLIC, False)],
)
def test_where_only_public_acls_may_be_the_cause_the_remedy_says_so(acl, exposure, named):
    assert ("s3:PutObjectAcl" in after([outcome(DENIED, exposure)] * MOST_IN_A_ROW, acl=acl)) is named


def test_the_first_cause_is_kept():
    failure_limit = FailureLimit(acl=False)
    failure_limit.stop("one")
    failure_limit.stop("two")
    assert failure_limit.stopped == "one"
