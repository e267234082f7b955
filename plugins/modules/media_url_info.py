#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.media_url_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: media_url_info
short_description: Find out why a URL of media does not work
version_added: 0.1.0
description:
  - Requests one URL as a visitor does, asks the store for the object with the instance's key, looks for the file on
    disk and in the journal of M(fediverse.mastodon_s3.s3_sync), and concludes why visitors do not see the picture.
  - Run it on the Mastodon host.
  - The URL is requested without credentials. Up to three redirects are followed, and only the start of the response is
    read.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.place
  - fediverse.mastodon_s3.place.source
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.connection.s3
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_s3
  - fediverse.mastodon_s3.attributes.info_module
options:
  url:
    description:
      - URL of the picture, sound or video, as the browser requests it.
    type: str
    required: true
  public_url:
    description:
      - Public address of the bucket, without O(key_prefix).
    type: str
    required: true
  public_ca_bundle:
    description:
      - File with additional CA certificates that visitors trust, in PEM format.
    type: path
  site_url:
    description:
      - Address of the site, such as V(https://social.example.com). Its content security policy is checked, and whether
        its pages may use the media (CORS).
    type: str
  old_urls:
    description:
      - Addresses below which media on disk were public before the switch.
    type: list
    elements: str
    default: []
  state_dir:
    description:
      - Folder with the journals, as in M(fediverse.mastodon_s3.s3_sync).
    type: path
    default: /var/lib/mastodon_s3
seealso:
  - module: fediverse.mastodon_s3.s3_sync_info
  - module: fediverse.mastodon_s3.media_address_info
"""

EXAMPLES = r"""
- name: Find out why a picture does not load
  fediverse.mastodon_s3.media_url_info:
    url: https://files.example.com/media_attachments/files/109/574/002/original/0123456789abcdef.png
    public_url: https://files.example.com
    site_url: https://social.example.com
    src: /home/mastodon/live/public/system
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
  register: picture

- name: Show the causes
  ansible.builtin.debug:
    msg: "{{ picture.causes }}"
"""

RETURN = r"""
causes:
  description:
    - Why the URL does not work. The first cause is what visitors see, the others would show after it is gone. Empty if
      nothing is wrong.
  returned: success
  type: list
  elements: dict
  contains:
    code:
      description:
        - V(NameNotResolved), V(ConnectionRefused), V(ConnectionFailed), V(TimedOut), V(TlsFailed), V(NotTls),
          V(CertificateNotTrusted), V(CertificateExpired), V(CertificateOfOtherHost) or V(DotInBucketName) if the host
          can't be reached.
        - V(OtherServer), V(OldAddressNotRedirected), V(Redirects), V(WrongRegion), V(AliasPointsElsewhere),
          V(BucketInPath), V(KeyPrefix) or V(CachedAnswer) if the request does not reach the object.
        - V(PrivateFolder), V(PrivateObject), V(AclIsPrivate), V(PolicyDenies) or V(PublicAccessBlock) if visitors may
          not read it.
        - V(NeverSent), V(OnlyOnDisk), V(DeletedByMastodon) or V(Unknown) if the object does not exist.
        - V(WrongContentType), V(CorsMissing), V(CorsTwice) or V(PolicyBlocksMedia) if browsers do not use what they
          get.
        - Otherwise a code of the store.
      type: str
    message:
      description: What was found.
      type: str
    remedy:
      description: What to do.
      type: str
place:
  description: Where the URL leads, V(bucket), V(old) (an address on the site) or V(elsewhere).
  returned: success
  type: str
  sample: bucket
key:
  description: Key of the object that the URL asks for. Names in private folders are masked.
  returned: success
  type: str
requests:
  description: What a visitor gets, one entry for each redirect.
  returned: success
  type: list
  elements: dict
  contains:
    url:
      description: The address, without a query.
      type: str
    status:
      description: HTTP status, V(none) if there was no response.
      type: int
    reason:
      description: Error code of the store, or why there was no response. Empty for a success.
      type: str
    headers:
      description: Those headers of the response that matter here, by name in lower case.
      type: dict
object:
  description: The object in the bucket, as the instance's key sees it. V(none) means unknown.
  returned: success
  type: dict
  contains:
    exists:
      description: Whether it exists.
      type: bool
    content_type:
      description: Its content type.
      type: str
    readable:
      description: Whether its ACL lets everybody read it.
      type: bool
file:
  description: The file on disk. V(none) means unknown.
  returned: success
  type: dict
  contains:
    exists:
      description: Whether it exists.
      type: bool
    private:
      description: Whether its mode makes it private.
      type: bool
    left_out:
      description: Why it is not sent. Empty if it is.
      type: str
    sent:
      description: Whether it was sent, by the journal.
      type: bool
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._diagnosis.causes import causes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._diagnosis.collect import Surroundings, collect
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._diagnosis.facts import (
    Facts,
    Hop,
    UrlError,
    checked,
    target,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    Boto3MissingError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import (
    AddressError,
    check_base,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.media_address import plain
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    STATE_DIR,
    absolute,
    journal_path_from,
    key_prefix_from,
    rules_from,
    source_argument_spec,
)

_SHOWN = {
    *("content-type", "content-length", "cache-control", "location", "server", "age", "x-cache", "x-cache-status"),
    *("x-proxy-cache", "cf-cache-status", "access-control-allow-origin", "x-amz-bucket-region"),
}


def _request(hop: Hop) -> dict[str, t.Any]:
    headers = {name: value.partition("?")[0] for name, value in hop.headers.items() if name in _SHOWN}
    return {"url": hop.url, "status": hop.status, "reason": hop.reason, "headers": headers}


def _result(facts: Facts) -> dict[str, t.Any]:
    return {
        "causes": [plain(cause) for cause in causes(facts)],
        "place": facts.target.place.value,
        "key": facts.target.object_key,
        "requests": [_request(hop) for hop in facts.hops],
        "object": {
            "exists": facts.found.exists,
            "content_type": facts.found.content_type,
            "readable": facts.found.readable,
        },
        "file": {
            "exists": facts.host.on_disk,
            "private": facts.host.private,
            "left_out": facts.host.left_out,
            "sent": facts.host.sent,
        },
    }


def _masked(value: t.Any, names: t.Sequence[str]) -> t.Any:
    """Return a result without these names, which let everybody who knows them load private files."""
    if isinstance(value, dict):
        return {name: _masked(each, names) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each, names) for each in value]
    if isinstance(value, str):
        for name in names:
            value = value.replace(name, "***")
    return value


def _surroundings(params: dict[str, t.Any]) -> Surroundings:
    return Surroundings(
        options=connection_options(params),
        bucket=params["bucket"],
        key_prefix=key_prefix_from(params["key_prefix"]),
        public_url=check_base("public_url", params["public_url"]),
        public_ca_bundle=params["public_ca_bundle"],
        site_url=check_base("site_url", params["site_url"]) if params["site_url"] else "",
        rules=rules_from(params),
        src=absolute("src", params["src"]),
        journal=journal_path_from(params),
    )


def _run(params: dict[str, t.Any]) -> dict[str, t.Any]:
    around = _surroundings(params)
    url = checked(params["url"])
    asked = target(
        url,
        bucket=around.bucket,
        key_prefix=around.key_prefix,
        public_url=around.public_url,
        old_urls=[check_base("old_urls", each) for each in params["old_urls"]],
    )
    facts = collect(url, asked, around)
    result = _result(facts)
    if not facts.private_folder:
        return result
    return t.cast(
        "dict[str, t.Any]", _masked(result, (asked.url.rpartition("/")[2], asked.object_key.rpartition("/")[2]))
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **source_argument_spec(),
            "url": {"type": "str", "required": True},
            "public_url": {"type": "str", "required": True},
            "public_ca_bundle": {"type": "path"},
            "site_url": {"type": "str"},
            "old_urls": {"type": "list", "elements": "str", "default": []},
            "state_dir": {"type": "path", "default": STATE_DIR},
            **connection_argument_spec(),
        },
        supports_check_mode=True,
    )
    try:
        result = _run(module.params)
    except S3Error as error:
        module.fail_json(msg=str(error))
    except (AddressError, Boto3MissingError, ConnectionOptionsError, SyncError, UrlError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
