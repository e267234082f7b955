# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options for a tree, its place in a bucket, and which files belong there."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of `place_argument_spec`, and in `SOURCE` those that `source_argument_spec` adds."""

    DOCUMENTATION = r"""
options:
  bucket:
    description:
      - Name of the bucket.
    type: str
    required: true
  key_prefix:
    description:
      - Folder in the bucket that contains all keys, like E(S3_KEY_PREFIX) of Mastodon.
      - It is always a whole folder, so V(config) does not match keys below C(config-old/).
    type: str
    default: ''
  exposure:
    description:
      - What decides who can read an object.
      - With V(acl), every object has the ACL C(public-read) or C(private).
      - With V(policy), for stores that ignore or refuse ACLs, a bucket policy is expected to make
        O(public_prefixes) public and nothing else. Private files inside these prefixes stay on the disk and are
        reported.
      - With V(open_bucket), for stores that can only make a whole bucket public, all private files stay on the disk,
        including those below O(private_prefixes).
      - Only with V(acl) can the media of a suspended account be made private in the bucket.
    type: str
    choices: [acl, policy, open_bucket]
    default: acl
  public_prefixes:
    description:
      - Folders whose files are public, except those that neither their group nor others may read.
      - Files outside O(public_prefixes) and O(private_prefixes) are left out and reported.
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
      - Folders whose files are private whatever their mode. Takes precedence over O(public_prefixes).
      - Names of files outside O(public_prefixes) are masked in all output.
    type: list
    elements: str
    default: [backups/]
  include:
    description:
      - If not empty, only files that match one of these patterns are included.
      - A pattern is matched against the whole path below the folder. C(*) and C(?) match anything but a slash,
        C(**) matches anything, C(**/) any number of folders or none, and C([...]) a set of characters. A pattern that
        matches a folder matches everything in it.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - Files that match one of these patterns are ignored, both in the folder and in the bucket. Takes precedence over
        O(include), which describes the patterns.
    type: list
    elements: str
    default: ['**/.*']
"""

    SOURCE = r"""
options:
  src:
    description:
      - Folder with the files, on the host that runs the module, such as Mastodon's C(public/system).
      - Symlinks below it are not followed. The folder O(src) itself may be a symlink.
    type: path
    required: true
  open_private:
    description:
      - Treat private files inside O(public_prefixes) as public, instead of keeping them on the disk. Then everybody who
        knows their addresses can read the media of suspended accounts.
      - Refused with O(exposure=acl), where such files are sent and stay private.
    type: bool
    default: false
"""
