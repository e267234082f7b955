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
"""

import secrets

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import (
    AddressError,
    AnonymousClient,
    check_base,
    public_address,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.media_address import judge_server, plain
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.signed_addresses import (
    addresses_of,
    judge_endpoint,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "ca_bundle": {"type": "path"},
            "endpoint_url": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        url = check_base("url", module.params["url"])
        endpoint = module.params["endpoint_url"] and check_base("endpoint_url", module.params["endpoint_url"])
        visitor = AnonymousClient(ca_bundle=module.params["ca_bundle"] or None)
    except AddressError as error:
        module.fail_json(msg=str(error))
    answer = visitor.get(public_address(url, f"accounts/avatars/{secrets.token_hex(8)}.png"))
    visitor.close()
    problems = judge_endpoint(endpoint, addresses_of(endpoint)) if endpoint else []
    module.exit_json(
        changed=False,
        status=answer.status,
        problem=plain(judge_server(url, answer)),
        endpoint_problems=[plain(each) for each in problems],
    )


if __name__ == "__main__":
    main()
