# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that name a tree, its place in a bucket, and what belongs there."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of `place_argument_spec`."""

    DOCUMENTATION = r"""
options:
  src:
    description:
      - Folder with the files, on the host that runs the module, such as Mastodon's C(public/system).
      - Symlinks below it are not followed. The folder O(src) itself may be a symlink.
    type: path
    required: true
  bucket:
    description:
      - Name of the bucket.
    type: str
    required: true
  key_prefix:
    description:
      - Folder in the bucket under which all keys are, as E(S3_KEY_PREFIX) of Mastodon.
      - Always taken as a whole folder, so V(config) has nothing to do with keys below C(config-old/).
    type: str
    default: ''
  exposure:
    description:
      - How it is decided who can read an object.
      - With V(acl), every object has the ACL C(public-read) or C(private).
      - With V(policy), for stores that ignore or refuse ACLs, a bucket policy is expected to open O(public_prefixes)
        and nothing else. Private files inside these prefixes stay at home and are reported.
      - With V(bucket), for stores that open a bucket as a whole or not at all, everything private stays at home, also
        what is below O(private_prefixes).
      - Only with V(acl) a suspended account's media can be closed in the bucket.
    type: str
    choices: [acl, policy, bucket]
    default: acl
  open_private:
    description:
      - Treat private files inside O(public_prefixes) as public ones, instead of keeping them at home. Media of
        suspended accounts can then be read by everybody who knows their address.
      - Refused with O(exposure=acl), where they are sent and stay private.
    type: bool
    default: false
  public_prefixes:
    description:
      - Folders of O(src) whose files are public, but for those that neither their group nor others may read.
      - Files that are below none of O(public_prefixes) and O(private_prefixes) are left out and reported.
    type: list
    elements: str
    default:
      - accounts/
      - cache/
      - custom_emojis/
      - media_attachments/
      - preview_card_providers/
      - preview_cards/
      - site_uploads/
  private_prefixes:
    description:
      - Folders of O(src) whose files are private whatever their mode. Wins over O(public_prefixes).
      - Names of files outside of O(public_prefixes) are masked in all output.
    type: list
    elements: str
    default: [backups/]
  include:
    description:
      - If not empty, only files that match one of these patterns are looked at.
      - A pattern is matched against the whole path relative to O(src). C(*) and C(?) stand for anything but a slash,
        C(**) for anything, C(**/) for any number of folders or none, C([...]) for a set of characters. A pattern that
        matches a folder matches everything in it.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - Files that match one of these patterns are left alone, in O(src) as in the bucket. Wins over O(include), see
        there for the patterns.
    type: list
    elements: str
    default: ['**/.*']
"""
