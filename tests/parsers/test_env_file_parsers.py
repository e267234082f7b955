"""env_file against the real readers: Ruby dotenv (old and new), Node's dotenv, systemd and compose."""

from __future__ import annotations

import re

import pytest
from dotenv_files import NAMES, VALUES, WILD, files
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvError, DotenvValueError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import parse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.problems import find_problems
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.quoting import is_portable, quote

OLD = "ruby-dotenv of Debian stable"
NEW = "ruby-dotenv 3"
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
many = settings(max_examples=300, deadline=None, suppress_health_check=QUIET)


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
    # A key behind such a comment is no key for systemd, before and after.
    assume(not any(a.text.endswith("\\") and b.several_lines for a, b in zip(segments, segments[1:])))
    values = settable(wanted)
    absent = tuple(name for name in absent if name not in values)
    edited = edit(data, values, absent, comment_out=comment_out)
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
        # For systemd a backslash at the end and a byte order mark change what the next line is.
        plain = reader != "systemd" or not (b"\\" in data or data.startswith(b"\xef"))
        if before[reader] is not None and plain:
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


@settings(many, max_examples=1500)
@given(data=WILD, value=VALUES, name=st.sampled_from(["A", "B_1", "S3_BUCKET"]))
def test_an_edit_of_a_wild_file_is_read_by_ruby_or_refused(read, data, value, name):
    values = settable({name: value})
    before = read(data, [NEW])[NEW]
    assume(values and before is not None)
    try:
        result = edit(data, values).after.data
    except DotenvError:
        return
    after = read(result, [NEW])[NEW]
    assert after is not None
    assert after[name] == value
    dynamic = {found.name for found in parse(data).last().values() if found.dynamic}
    assert {n: v for n, v in after.items() if n not in {name, *dynamic}} == {
        n: v for n, v in before.items() if n not in {name, *dynamic}
    }


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
