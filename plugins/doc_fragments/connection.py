# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the connection options; their argument specs are in C(module_utils/_s3/connection/options.py)."""

from __future__ import annotations


class ModuleDocFragment:
    """Options for the address of the store and the credentials."""

    DOCUMENTATION = r"""
options:
  endpoint_url:
    description:
      - Base URL of the store, without the bucket, for example V(https://fsn1.example.com). Not needed for AWS.
      - An endpoint that contains the bucket's name, a path, a user name or a password is refused.
    type: str
    aliases: [aws_endpoint_url, s3_url]
  region:
    description:
      - Region for which requests are signed.
      - By default the region that botocore finds in the environment or in its configuration files on the host that runs
        the module, or else V(us-east-1).
    type: str
    aliases: [aws_region]
  access_key:
    description:
      - Access key ID. Needs O(secret_key).
      - If neither O(access_key), O(credentials_file) nor O(profile) is set, botocore looks for credentials on the
        host that runs the module, in the environment, in its configuration files and in the instance's metadata.
      - On the Mastodon host it is better to use O(credentials_file), since a module's arguments may be stored there
        while it runs.
    type: str
    aliases: [aws_access_key_id, aws_access_key]
  secret_key:
    description:
      - Secret access key. Needs O(access_key).
    type: str
    aliases: [aws_secret_access_key, aws_secret_key]
  session_token:
    description:
      - Session token of temporary credentials. Needs O(access_key) and O(secret_key).
    type: str
    aliases: [aws_session_token]
  profile:
    description:
      - Name of a profile in botocore's configuration files on the host that runs the module.
      - Cannot be combined with keys or O(credentials_file).
    type: str
    aliases: [aws_profile]
  credentials_file:
    description:
      - Path of a dotenv file on the host that runs the module, such as Mastodon's C(.env.production), from which
        E(AWS_ACCESS_KEY_ID) and E(AWS_SECRET_ACCESS_KEY) are read. This keeps secrets out of the module's arguments.
      - Cannot be combined with keys or O(profile).
    type: path
  aws_ca_bundle:
    description:
      - File with the certificates of the authorities to trust, in PEM format, on the host that runs the module.
      - Needed for a store whose certificate is signed by a private authority. Has no effect with
        O(validate_certs=false).
    type: path
  validate_certs:
    description:
      - Whether the store's TLS certificate is checked. With V(false), anyone in between can read and change everything.
    type: bool
    default: true
"""

    # To be used together with the standard fragment, by every module that uses the S3 API.
    S3 = r"""
options:
  aws_config:
    description:
      - Further arguments of botocore's C(Config), for example a dictionary with C(connect_timeout). They override what
        the module sets.
      - Arguments that the installed botocore does not know are refused.
    type: dict
  addressing_style:
    description:
      - Whether the bucket's name is in the path of a URL (V(path)) or in its host (V(virtual)).
      - V(auto) uses the host on AWS, and the path if O(endpoint_url) names another store. The path works with nearly
        every store and with every certificate.
      - V(path) also allows an endpoint whose host begins with the bucket's name.
    type: str
    choices: [auto, path, virtual]
    default: auto
  checksums:
    description:
      - When botocore 1.36 or newer adds its newer checksums to requests and checks those of responses. Older versions
        never do.
      - V(when_supported) is botocore's default and suits AWS. Many other stores refuse such requests over TLS.
        The content is protected either way, by TLS and by its signed digest.
    type: str
    choices: [when_required, when_supported]
    default: when_required
requirements:
  - boto3 >= 1.26.0
  - botocore >= 1.29.0
"""
