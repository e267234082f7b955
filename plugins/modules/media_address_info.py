#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.media_address_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: media_address_info
short_description: Check that the public address of the media can be reached
description:
  - Requests an object that does not exist from the address that visitors will use, without credentials, and reports
    what goes wrong.
  - It needs neither a bucket nor boto3. It checks DNS, the connection, TLS and the certificate, and whether an
    unrelated web server answers.
  - Once the bucket exists, O(fediverse.mastodon_s3.s3_storage_info#module:probe) fetches a real object.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
  - fediverse.mastodon_s3.attributes.info_module
options:
  url:
    description:
      - Base URL from which visitors will fetch the files, for example V(https://files.example.com).
    type: str
    required: true
  ca_bundle:
    description:
      - File with additional CA certificates to trust, in PEM format, on the host that runs the module.
    type: path
  endpoint_url:
    description:
      - The store's endpoint, as in Mastodon's E(S3_ENDPOINT). Users download their account archives from signed
        addresses of it, even if O(url) is another host. See RV(endpoint_problems).
    type: str
  site_url:
    description:
      - Address of a page of the site, such as V(https://social.example.com/). Its content security policy is read, as
        visitors get it. See RV(site_policy).
    type: str
  site_header:
    description:
      - The header C(Content-Security-Policy) that Mastodon's web process sends with this page, if it is asked directly.
      - Mastodon adds the media host to its own policy. So only policies that are not in this header are problems, since
        a web server in front of Mastodon has added them. Without this option, no policy is a problem.
    type: str
    default: ""
seealso:
  - module: fediverse.mastodon_s3.s3_storage_info
"""

EXAMPLES = r"""
- name: Check the media host
  fediverse.mastodon_s3.media_address_info:
    url: https://files.example.com
  register: media_host

- name: Stop if there is a problem with it
  ansible.builtin.assert:
    that: media_host.problem is none
    fail_msg: "{{ media_host.problem.message }} {{ media_host.problem.remedy }}"

- name: Check also whether users will be able to download their archives
  fediverse.mastodon_s3.media_address_info:
    url: https://files.example.com
    endpoint_url: https://s3.example.com
  register: media_host

- name: Check also whether the site's pages will be able to show the media
  fediverse.mastodon_s3.media_address_info:
    url: https://files.example.com
    site_url: https://social.example.com/
  register: media_host
"""

RETURN = r"""
status:
  description: HTTP status of the response, V(none) if there was no response.
  returned: success
  type: int
  sample: 404
problem:
  description: The problem that was found, V(none) if there is none.
  returned: success
  type: dict
  contains:
    code:
      description:
        - V(NameNotResolved), V(ConnectionRefused), V(ConnectionFailed), V(TimedOut), V(TlsFailed), V(NotTls),
          V(CertificateNotTrusted), V(CertificateOfOtherHost) or V(CertificateExpired).
        - V(OtherContent) if the server answers with a page even though the object does not exist.
      type: str
    message:
      description: What was tried and how it failed.
      type: str
    remedy:
      description: What to do.
      type: str
  sample: null
endpoint_problems:
  description:
    - What keeps users from downloading their archives from O(endpoint_url). Nothing is requested from there, only its
      DNS entry is read.
  returned: success
  type: list
  elements: dict
  contains:
    code:
      description: V(PlainHttp), V(PrivateAddress) or V(NameNotResolved).
      type: str
    message:
      description: What is wrong.
      type: str
    remedy:
      description: What to do.
      type: str
  sample: []
site_policy:
  description: What the content security policies of O(site_url) say. V(none) without this option.
  returned: success
  type: dict
  contains:
    url:
      description: The page that was requested.
      type: str
    status:
      description: HTTP status of the page, V(none) if there was no response.
      type: int
    reason:
      description: Why the page could not be read, as in RV(problem.code) or C(HTTP) with the status. Empty if it could.
      type: str
    allows:
      description:
        - Whether all policies allow pictures (C(img-src)), players (C(media-src)) and scripts (C(connect-src)) from
          O(url).
        - V(none) if the page could not be read.
      type: bool
    problems:
      description: Policies that do not allow this, and that are not in O(site_header).
      type: list
      elements: dict
      contains:
        code:
          description: V(PolicyBlocksMedia).
          type: str
        message:
          description: What is wrong.
          type: str
        remedy:
          description: What to do.
          type: str
  sample: null
"""

import secrets
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import (
    AddressError,
    AnonymousClient,
    check_base,
    public_address,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.content_security_policy import judge_site
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.media_address import judge_server, plain
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.signed_addresses import (
    addresses_of,
    judge_endpoint,
)


def _site_policy(visitor: AnonymousClient, page: str, media_url: str, own_header: str) -> dict[str, t.Any]:
    found = judge_site(page, visitor.get(page), media_url, own_header)
    return {
        "url": found.url,
        "status": found.status,
        "reason": found.reason,
        "allows": found.allows,
        "problems": [plain(each) for each in found.problems],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "ca_bundle": {"type": "path"},
            "endpoint_url": {"type": "str"},
            "site_url": {"type": "str"},
            "site_header": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        url = check_base("url", params["url"])
        endpoint = params["endpoint_url"] and check_base("endpoint_url", params["endpoint_url"])
        page = params["site_url"] and check_base("site_url", params["site_url"]) + "/"
        visitor = AnonymousClient(ca_bundle=params["ca_bundle"] or None)
    except AddressError as error:
        module.fail_json(msg=str(error))
    answer = visitor.get(public_address(url, f"accounts/avatars/{secrets.token_hex(8)}.png"))
    site_policy = _site_policy(visitor, page, url, params["site_header"]) if page else None
    visitor.close()
    problems = judge_endpoint(endpoint, addresses_of(endpoint)) if endpoint else []
    module.exit_json(
        changed=False,
        status=answer.status,
        problem=plain(judge_server(url, answer)),
        endpoint_problems=[plain(each) for each in problems],
        site_policy=site_policy,
    )


if __name__ == "__main__":
    main()
