# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import runner_unit as under_test

ENV_FILE = "/live/.env.production"
FILES = under_test.Files("/u/x.service", "/u/x-files.service", "/r/x.rb", ENV_FILE, "/r/x.env", "/r/x.out", "/r/x.err")
SHIPPED = """\
[Unit]
Description=mastodon-web
After=network.target
OnFailure=call-me.service
JoinsNamespaceOf=vpn.service

[Service]
Type=simple
User=mastodon
WorkingDirectory=/live
Environment="RAILS_ENV=production" "PORT=3000"
Environment="LD_PRELOAD=libjemalloc.so"
EnvironmentFile=-/etc/default/mastodon
ExecStartPre=/bin/rm -rf /live/tmp
ExecStart=/home/mastodon/.rbenv/shims/bundle exec puma -C config/puma.rb
ExecReload=/bin/kill -SIGUSR1 $MAINPID
TimeoutSec=15
Restart=always
RestartSec=1
WatchdogSec=3
KillMode=process
StandardOutput=null
PIDFile=/run/x.pid
FailureAction=reboot
RuntimeDirectory=mastodon
# Proc filesystem
ProcSubset=pid
ProtectSystem=strict
ReadWritePaths=/live
SystemCallFilter=@system-service
SystemCallFilter=~@mount \\
  # said in between
  @reboot

[Install]
WantedBy=multi-user.target
"""


def unit(*texts, root="/live"):
    return under_test.runner_unit(texts or (SHIPPED,), root, FILES, 300).splitlines()


def service(start):
    return f"[Service]\nExecStart={start}\n"


def test_the_sandbox_is_kept_and_the_supervision_is_not():
    assert unit() == [
        "[Unit]",
        "Description=Runs Ruby code in the sandbox of Mastodon's web process",
        "Requires=x-files.service",
        "After=x-files.service",
        "JoinsNamespaceOf=vpn.service",
        "[Service]",
        "Environment=RAILS_ENV=production",
        "User=mastodon",
        "WorkingDirectory=/live",
        'Environment="RAILS_ENV=production" "PORT=3000"',
        'Environment="LD_PRELOAD=libjemalloc.so"',
        "EnvironmentFile=-/etc/default/mastodon",
        "RuntimeDirectory=mastodon",
        "ProcSubset=pid",
        "ProtectSystem=strict",
        "ReadWritePaths=/live",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@mount  @reboot",
        "Type=oneshot",
        "ExecStart=/home/mastodon/.rbenv/shims/bundle exec rails runner -",
        "TimeoutStartSec=300",
        "TimeoutStopSec=20",
        "StandardInput=file:/r/x.rb",
        "StandardOutput=file:/r/x.out",
        "StandardError=file:/r/x.err",
        "BindReadOnlyPaths=/r/x.env:/live/.env.production",
        "NoNewPrivileges=yes",
        "RuntimeDirectoryPreserve=yes",
        "OOMScoreAdjust=1000",
        "Nice=10",
    ]


def test_the_files_are_removed_by_a_unit_that_does_not_see_the_copy():
    lines = under_test.cleaner_unit(FILES).splitlines()
    assert "StopWhenUnneeded=yes" in lines
    assert "ExecStop=/bin/rm -f /r/x.env /u/x.service /u/x-files.service" in lines
    assert not any("ExecStop" in line for line in unit())


def test_drop_ins_follow_the_unit():
    drop_in = "[Service]\nEnvironment=\nEnvironment=A=1\nIPAddressDeny=any\nExecStart=\nExecStart=/b/bundle exec puma\n"
    lines = unit(SHIPPED, drop_in)
    assert lines.index("Environment=") > lines.index("ReadWritePaths=/live")
    assert lines.index("Environment=A=1") < lines.index("IPAddressDeny=any") < lines.index("Type=oneshot")
    assert [line for line in lines if line.startswith("ExecStart=")] == ["ExecStart=/b/bundle exec rails runner -"]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("/a/bundle exec puma", "/a/bundle exec rails runner -"),
        ("-/a/bundle exec puma", "/a/bundle exec rails runner -"),
        ("@/a/bundle bundle exec puma -p $PORT", "@/a/bundle bundle exec rails runner -"),
        (
            "/a/bundle exec --keep-file-descriptors puma -e production",
            "/a/bundle exec --keep-file-descriptors rails runner -",
        ),
        ("/a/bundle exec /a/bin/puma -b 'unix:///s'", "/a/bundle exec rails runner -"),
        ("/a/bundle3.1 exec rails s -p 3000", "/a/bundle3.1 exec rails runner -"),
        ("/nix/store/x-mastodon/bin/puma -C config/puma.rb", "/live/bin/rails runner -"),
        ("/live/bin/rails server -p 3000", "/live/bin/rails runner -"),
        ("/usr/bin/env PORT=3000 /live/bin/puma", "/usr/bin/env PORT=3000 /live/bin/rails runner -"),
        (
            "/bin/bash -lc 'cd /live && exec bundle exec puma -C config/puma.rb'",
            "/bin/bash -lc 'cd /live && exec bundle exec rails runner -'",
        ),
        ('/bin/sh -c "bundle exec puma || exit 1" name', '/bin/sh -c "bundle exec rails runner -" name'),
        ("/bin/sh -c 'echo puma; bundle exec puma'", "/bin/sh -c 'echo puma; bundle exec rails runner -'"),
    ],
)
def test_rails_runner_takes_the_place_of_the_server(start, expected):
    assert under_test.runner_command("\n".join(unit(service(start)))) == expected


@pytest.mark.parametrize(
    "text",
    [
        service("/usr/local/bin/start-mastodon"),
        service("/a/bundle exec unicorn"),
        service("/opt/pumas/start"),
        "[Service]\nUser=mastodon\n",
        service("/a/bundle exec puma") + "ExecStart=/a/bundle exec puma\n",
        service("/a/bundle exec puma") + "ExecStart=\n",
        "[Unit]\nExecStart=/a/bundle exec puma\n",
        service("/a/bundle exec puma") + "DynamicUser=yes\n",
    ],
)
def test_other_units_are_refused(text):
    with pytest.raises(under_test.RunnerUnsupportedError):
        unit(text)


@pytest.mark.parametrize("root", ["/my live", "/a%n", "/a:b", "/a\nExecStart=/x", "relative"])
def test_paths_with_a_meaning_for_systemd_are_refused(root):
    with pytest.raises(under_test.RunnerUnsupportedError):
        unit(root=root)


def test_the_copy_is_read_by_the_service_manager_too(tmp_path):
    env_file, link = tmp_path / "env", tmp_path / "link"
    env_file.touch()
    link.symlink_to(env_file)
    files = under_test.Files("/u/x", "/u/y", "/r/x.rb", str(env_file), "/r/x.env", "/r/x.out", "/r/x.err")
    text = (
        service("/a/bundle exec puma")
        + f"EnvironmentFile={env_file}\nEnvironmentFile=-{link}\nEnvironmentFile=/other\n"
    )
    lines = under_test.runner_unit([text], "/live", files, 1).splitlines()
    assert [line for line in lines if line.startswith("EnvironmentFile=")] == [
        "EnvironmentFile=/r/x.env",
        "EnvironmentFile=-/r/x.env",
        "EnvironmentFile=/other",
    ]
