"""What mastodon_instance_info takes from an EnvironmentFile= against what systemd itself takes from it."""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers.systemd import (
    parse_environment_file,
)

AT_ONCE = 20
PIECES = st.sampled_from(
    [
        "A",
        "B",
        "C1=",
        "=",
        "=",
        "\n",
        "\n",
        "\r\n",
        " ",
        "\t",
        "'",
        '"',
        "\\",
        "\\\n",
        "#",
        ";",
        "$A",
        "`",
        "ü",
        "export ",
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(TEXTS, min_size=AT_ONCE, max_size=AT_ONCE))
@example(texts=["A='x'\"y\" z\nB=1 # no comment\n", "# goes on \\\nA=1\nB=2\n", "A=x\\\n  y\nexport B=1\nC1 = 'a\nb'"])
def test_systemd_takes_the_same(folder, readers, texts):
    paths = [folder / f"unit-{number}.env" for number in range(len(texts))]
    for path, text in zip(paths, texts):
        path.write_bytes(text.encode())
    taken = [{name: found.value for name, found in parse_environment_file(text).items()} for text in texts]
    assert taken == readers["systemd"].read(paths)
