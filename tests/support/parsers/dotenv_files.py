"""Random dotenv files and values, for hypothesis."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

# The variables that are set and removed, and others that have to stay as they are.
NAMES = ("S3_BUCKET", "S3_REGION", "AWS_SECRET_ACCESS_KEY", "S3_PERMISSION", "S3_ALIAS_HOST")
NEIGHBOURS = ("LOCAL_DOMAIN", "DB_PASS", "OTP_SECRET", "X")

# What readers disagree about, mixed with what they don't.
_NASTY = "'\"\\$#`!%&*~;:=(){}[]<>|?@^,. \tabcXYZ019_-/+éß世😀\u00a0\u2028\ufeff"
VALUES = st.one_of(
    st.text(_NASTY, max_size=12),
    st.text("abcABC0129/+=", max_size=40),
    st.text(max_size=8),
    st.sampled_from(
        [
            "",
            " ",
            "a b",
            "a#b",
            "a #b",
            "#",
            "$HOME",
            "${A}",
            "$(id)",
            "`id`",
            "it's",
            'say "x"',
            "a\\",
            "a\\nb",
            "\\",
            "'",
            '"',
            "''",
            '""',
            "'a'",
            '"a"',
            "a'b\"c",
            "true",
            "export X",
            "A=B",
            "a: b",
            "-----BEGIN",
            "\\$x",
            "C:\\dir",
            "a\nb",
            "\r",
            "a\0b",
        ]
    ),
)

_SAFE = st.text("abcXYZ019_-/.:@", min_size=1, max_size=10)


@dataclass(frozen=True)
class Segment:
    """A part of a file: its text, and the variable that it assigns, or of which it is a commented sample."""

    text: str
    name: str | None = None
    several_lines: bool = False


@st.composite
def _assignment(draw, names):
    name = draw(st.sampled_from(names))
    value = draw(_SAFE)
    form = draw(
        st.sampled_from(
            [
                "{n}={v}",
                "{n}='{v}'",
                '{n}="{v}"',
                "{n}=",
                "export {n}={v}",
                "  {n}={v}",
                "{n} = {v}",
                "{n}: {v}",
                "{n}={v} # note",
                "{n}='{v} x' # it's",
                "{n}='a#b $x'",
                "\t{n}={v}  ",
                "{n}=a b c",
            ]
        )
    )
    return Segment(form.format(n=name, v=value), name)


@st.composite
def _several_lines(draw):
    name = draw(st.sampled_from(NAMES + NEIGHBOURS))
    inside = draw(st.sampled_from([*(f"{other}=inside" for other in NAMES), "# S3_BUCKET=", "MIIEvQIBADAN+/==", ""]))
    quote = draw(st.sampled_from("'\""))
    return Segment(
        f"{name}={quote}-----BEGIN KEY-----\n{inside}\nabc\n-----END KEY-----{quote}", name, several_lines=True
    )


@st.composite
def _sample(draw):
    name = draw(st.sampled_from(NAMES))
    form = draw(st.sampled_from(["# {n}=", "#{n}=example.com", "  # {n}='x y'", "# export {n}=a", "# {n}=a # note"]))
    return Segment(form.format(n=name), name)


_OTHER = st.sampled_from(
    [
        "",
        "# a comment",
        "# S3_BUCKET is set by the hosting company",
        "#",
        "  # it's indented",
        "# ends with \\",
        '# "quote',
        "\t",
    ]
).map(Segment)


@st.composite
def files(draw):
    """Return segments and the bytes of their file, in all forms that real files have."""
    segments = draw(
        st.lists(
            st.one_of(_assignment(NAMES), _assignment(NEIGHBOURS), _several_lines(), _sample(), _OTHER), max_size=8
        )
    )
    line_end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n"]))
    text = line_end.join(segment.text.replace("\n", line_end) for segment in segments)
    # An empty last line without an end would be no line.
    if segments and (not segments[-1].text or draw(st.booleans())):
        text += line_end
    mark = "\ufeff" if draw(st.integers(0, 7)) == 0 else ""
    return segments, (mark + text).encode(), line_end


# Pieces of which a file is made that says little, to find where the parser differs from Ruby's.
_PIECES = st.sampled_from(
    [
        "A",
        "B_1",
        "a.b",
        "=",
        " = ",
        ": ",
        ":",
        "export ",
        "export",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        "\f",
        "\v",
        "#",
        "'",
        '"',
        "\\",
        "\\'",
        '\\"',
        "\\n",
        "\\r",
        "\\\\",
        "$",
        "\\$",
        "$A",
        "${A}",
        "${",
        "}",
        "$(",
        "$(x)",
        "\\$(x)",
        "$(a (b) c)",
        "$()",
        "(",
        ")",
        "x y",
        "é",
        "A=1\n",
        "B='x\ny'\n",
        'C="q"\n',
        "export A\n",
        "D\n",
        "DOTENV_LINEBREAK_MODE=legacy\n",
        "-",
        "`",
        "\u2028",
        "\u00a0",
        "\ufeff",
        ";",
        "$$",
        "\\t",
        "\\0101",
        "A B=1\n",
        "A-B=1\n",
        "S3_BUCKET=old\n",
        "1",
    ]
)
WILD = st.lists(_PIECES, max_size=30).map("".join).map(str.encode)
