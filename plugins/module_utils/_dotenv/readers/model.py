# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a reader gets from a dotenv file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Reference:
    """A value that depends on other variables, so that the file alone does not determine it: its original text."""

    text: str


Values = dict[str, Union[str, Reference]]


class RefusalError(Exception):
    """The reader refuses the whole file."""
