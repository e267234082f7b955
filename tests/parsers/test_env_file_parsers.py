"""env_file against the real readers: Ruby dotenv (old and new), Node's dotenv, systemd and compose."""

from __future__ import annotations

import re

import pytest
from dotenv_files import NAMES, VALUES, WILD, files
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import (
    DotenvEditError,
    DotenvError,
    DotenvValueError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import parse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.problems import find_problems
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.quoting import is_portable, quote
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers import compose, node, systemd
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers.model import Reference, RefusalError

OLD = "ruby-dotenv of Debian stable"
NEW = "ruby-dotenv 3"
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
many = settings(max_examples=300, suppress_health_check=QUIET)


@pytest.fixture
def read(folder, readers):
    """Writes a file and returns what each reader takes from it."""

    def everywhere(data, names=tuple(readers)):
        return read_all([data], names)[0]

    def read_all(contents, names):
        paths = [folder / f"{number}.env" for number in range(len(contents))]
        for path, data in zip(paths, contents):
            path.write_bytes(data)
        found = {name: readers[name].read(paths) for name in names}
        return [{name: found[name][number] for name in names} for number in range(len(paths))]

    everywhere.all = read_all
    return everywhere


def settable(wanted):
    """Leaves out the values that can't be written."""
    values = {}
    for name, value in wanted.items():
        try:
            quote(name, value)
        except DotenvValueError:
            continue
        values[name] = value
    return values


def untouched(segments, touched, line_end):
    """A pattern: all pieces of other variables, byte by byte; between them lines of touched ones and comments."""
    names = "|".join(sorted(touched)) or "(?!)"
    between = rb"(?:[ \t]*(?:#[^\r\n]*|(?:%s)=[^\r\n]*)?\r?\n)*" % names.encode()
    pattern = b"(?:\xef\xbb\xbf)?" + between
    for segment in segments:
        piece = re.escape(segment.text.replace("\n", line_end).encode()) + rb"\r?\n"
        # Duplicates of a touched variable stay too.
        pattern += (b"(?:%s)?" % piece if segment.name in touched else piece) + between
    return pattern


@many
@given(
    file=files(),
    wanted=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3),
    absent=st.lists(st.sampled_from(NAMES), max_size=2),
    comment_out=st.booleans(),
)
def test_all_readers_agree_and_the_rest_stays(read, file, wanted, absent, comment_out):
    segments, data, line_end = file
    values = settable(wanted)
    absent = tuple(name for name in absent if name not in values)
    try:
        edited = edit(data, values, absent, comment_out=comment_out)
    except DotenvEditError:
        # Only where systemd joins lines, which the others do not.
        assert any(a.text.endswith("\\") for a in segments)
        return
    result = edited.after.data

    # The old gem reads line by line, so what looks like an assignment within a key is one for it, before and after.
    names = [NEW, "node", "compose", "systemd"]
    if not any(segment.several_lines for segment in segments):
        names.append(OLD)
    before, after = read.all([data, result], names)
    touched = {*values, *absent}
    for reader in names:
        assert after[reader] is not None, f"{reader} refuses the file"
        for name, value in values.items():
            assert after[reader].get(name) == value, f"{reader} reads another value of {name}"
        assert not set(absent) & set(after[reader]), f"{reader} still reads a removed variable"
        if before[reader] is not None:
            others = {name: value for name, value in before[reader].items() if name not in touched}
            assert {name: value for name, value in after[reader].items() if name not in touched} == others

    assert re.fullmatch(untouched(segments, touched, line_end), result + (b"" if result.endswith(b"\n") else b"\n"))
    if not touched:
        assert result == data

    # The second run changes nothing.
    again = edit(result, values, absent, comment_out=comment_out)
    assert again.after.data == result


@many
@given(value=VALUES)
@example("a\\")
@example("é\u2028")
def test_every_accepted_value_is_read_alike_from_its_own_file(read, value):
    values = settable({"NAME": value})
    assume(values)
    for reader, found in read(edit(b"", values).after.data).items():
        assert found == values, reader


@many
@given(
    inside=st.one_of(st.text("abZ09 ;=~!(){}[]<>|*?^&%:,.@-", max_size=12), st.text("'\"\\$#` \tabZ9é", max_size=6)),
    quotes=st.sampled_from(["", "'", '"']),
)
def test_a_line_that_is_left_alone_reads_alike_everywhere(read, inside, quotes):
    text = f"{quotes}{inside}{quotes}"
    data = f"NAME={text}\n".encode()
    value = parse(data).values().get("NAME")
    assume(value is not None and is_portable(text.strip(" \t"), value))
    for reader, found in read(data).items():
        assert found == {"NAME": value}, reader


@settings(many, max_examples=1500)
@given(data=WILD)
def test_our_parser_reads_as_ruby_does(read, data):
    document = parse(data)
    ruby = read(data, [NEW])[NEW]
    faults = [problem for problem in find_problems(document) if problem.fatal and "before 3.2" not in problem.message]
    if ruby is None:
        assert faults
        return
    assert not faults
    last = document.last()
    assert set(last) == set(ruby)
    for name, found in last.items():
        if found.bare:
            assert ruby[name] == ""
        elif found.dynamic:
            assert b"$" in data[found.value_start : found.value_end]
        else:
            assert found.value == ruby[name]


# The issue's own samples, and their relatives.
ODD = [
    b'FOO-BAR="abc\nS3_BUCKET=old\nZ=1\n',
    b"X=`a\nS3_BUCKET=old\nb`\nZ=1\n",
    b'FOO BAR="abc\nS3_BUCKET=old\n',
    b"X=1\rS3_BUCKET=old\rZ=1\r",
    b"X=a\\\nS3_BUCKET=old\n",
    b"# c\\\nS3_BUCKET=old\n",
    b"# it's\nS3_BUCKET=old\n",
    b"; it's\nS3_BUCKET=old\n",
    b"\xef\xbb\xbfS3_BUCKET=old\nX='$(id)'\n",
    b"X=$(id)\nS3_BUCKET=$X\nY=${S3_BUCKET}\n",
    b"X=${\nS3_BUCKET=old\n",
    b"X='a\nS3_BUCKET=old\n",
    b'X="a\nS3_BUCKET=old\n',
    "\u00a0S3_BUCKET=old\n\u2028X=1\u2029Y=2\n".encode(),
    b"S3_BUCKET: a\nexport S3_BUCKET=b\nS3_BUCKET = c\n",
    b"X=\"\\t\\0101\\$y\\q\"\nY='a\\'b'\n",
    b"X=" + b"y" * 5000 + b"\nword",
]
MODELS = {"node": node.read, "compose": compose.read, "systemd": systemd.read}


def modelled(reader, data):
    """What our model of a reader takes from a file, in the form in which the real one is asked."""
    try:
        return MODELS[reader](data)
    except RefusalError:
        return None


def compare(reader, data, real):
    values = modelled(reader, data)
    if values is None or real is None:
        assert (values, real) == (None, None), reader
        return
    # systemd's own stand-in for the environment leaves out what has no name or no text.
    assert set(values) - {""} == set(real) - {""}, reader
    assert {name: real[name] for name, value in values.items() if name and not isinstance(value, Reference)} == {
        name: value for name, value in values.items() if name and not isinstance(value, Reference)
    }, reader


@settings(many, max_examples=12)
@given(contents=st.lists(WILD, min_size=25, max_size=25))
@example(contents=ODD)
def test_our_models_read_as_the_real_readers_do(read, contents):
    for data, found in zip(contents, read.all(contents, list(MODELS))):
        for reader, real in found.items():
            compare(reader, data, real)


def agree(before, after, values, absent, unknown):
    """Whether a reader takes from the new file what was asked for, and all else as before; None is a refused file."""
    if after is None:
        return before is None and not values
    if any(after.get(name) != value for name, value in values.items()) or set(absent) & set(after):
        return False
    others = set(after).union(before or ()) - {*values, *absent, *unknown, ""}
    return before is None or all(before.get(name) == after.get(name) for name in others)


@settings(many, max_examples=12)
@given(
    contents=st.lists(WILD, min_size=25, max_size=25),
    value=VALUES,
    name=st.sampled_from(["A", "B_1", "S3_BUCKET"]),
    remove=st.booleans(),
)
@example(contents=ODD, value="new", name="S3_BUCKET", remove=False)
@example(contents=ODD, value="new", name="S3_BUCKET", remove=True)
def test_an_edit_of_a_wild_file_is_read_alike_by_all_or_refused(read, contents, value, name, remove):
    values = {} if remove else settable({name: value})
    absent = (name,) if remove else ()
    assume(values or absent)
    edits = []
    for data in contents:
        try:
            edits.append((data, edit(data, values, absent).after.data))
        except DotenvError:
            continue
    names = [NEW, "node", "compose", "systemd"]
    before = read.all([data for data, _after in edits], names)
    after = read.all([data for _before, data in edits], names)
    for (data, result), old, new in zip(edits, before, after):
        # What refers to other variables depends on them.
        unknown = {found.name for found in parse(data).last().values() if found.value is None}
        for reader in names:
            if reader == NEW and old[reader] is None:
                continue
            known = modelled(reader, data) if reader in MODELS else None
            references = {n for n, v in (known or {}).items() if isinstance(v, Reference)}
            assert agree(old[reader], new[reader], values, absent, unknown if reader == NEW else references), (
                reader,
                data,
                result,
            )


def test_bytes_that_are_not_utf_8_are_a_fault_for_ruby_and_survive(read):
    data = b"A=1\n# caf\xe9\nB='\xff'\n"
    assert read(data, [NEW])[NEW] is None
    document = edit(data, {"A": "2"}).after
    assert [problem.line for problem in find_problems(document) if problem.fatal] == [2]
    assert document.data == b"A=2\n# caf\xe9\nB='\xff'\n"


def test_the_readers_are_different_ones(read):
    """Each of them shows the very behaviour for which it is compared."""
    found = read(b"A=a#b\nexport B=1\nC=x\\y\nD=$A\nE=\"q\\nr\"\nF='x\ny'\n")
    assert found["systemd"]["A"] == "a#b"
    assert "B" not in found["systemd"]
    assert found[NEW]["C"] == "xy"
    assert found["node"]["E"] == "q\nr"
    assert found["compose"]["D"] == "a#b"
    assert found[OLD]["F"] != found[NEW]["F"]
