"""A CSV file as ./salvo send reads it: whatever bytes are in it, lines come out, or a sentence that says why not."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.send.item import as_item
from infra.send.problems import BadLine, Unusable, quoted
from infra.send.table import LONGEST_LINE, open_table


def written(folder: Path, content: bytes) -> Path:
    path = folder / "phones.csv"
    path.write_bytes(content)
    return path


def items(path: Path) -> list[dict[str, object] | str]:
    """Each line's item, or what is wrong with it."""
    table, found = open_table(path), list[dict[str, object] | str]()
    for line in table.lines():
        try:
            found.append(as_item(table.cells(line)))
        except BadLine as error:
            found.append(error.reason)
    return found


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_every_spreadsheets_way_to_write_it_is_read_alike(tmp_path: Path, delimiter: str, end: str, bom: bytes) -> None:
    rows = [["to", "locale", "key"], ["+4915112345678", "de", '"a, b; c"'], ["+33612345678", "", "é"]]
    content = bom + end.join(delimiter.join(row) for row in rows).encode()

    assert items(written(tmp_path, content)) == [
        {"to": "+4915112345678", "locale": "de", "key": "a, b; c"},
        {"to": "+33612345678", "key": "é"},
    ]


def test_a_quote_that_nobody_closes_spoils_its_own_line_and_no_other(tmp_path: Path) -> None:
    path = written(tmp_path, b'to,key\n"+4915112345678,a\n+4915112345679,b\n')

    assert items(path) == ["has quotes that do not match", {"to": "+4915112345679", "key": "b"}]


def test_empty_lines_are_none_and_are_counted_all_the_same(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, b"to,key\n\n,,\r\n+4915112345678,a\n \n"))

    assert [line.number for line in table.lines()] == [4]


def test_a_line_of_any_length_is_told_and_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, b"to\n" + b"9" * (3 * LONGEST_LINE) + b"\n+4915112345678\n")

    assert items(path) == [f"has more than {LONGEST_LINE:,} bytes", {"to": "+4915112345678"}]
    assert [line.number for line in open_table(path).lines()] == [2, 3]


def test_a_line_that_is_not_utf_8_or_has_too_many_cells_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, b"to,key\n+49151,\xff\n+49151,a,b\n+49151\n")

    assert items(path) == ["is not UTF-8", "has 3 cells, and the first line 2", "has 1 cells, and the first line 2"]


def test_metadata_comes_in_columns_or_as_json(tmp_path: Path) -> None:
    columns = written(tmp_path, b"to,metadata.order,metadata.shop\n+49151,17,\n")
    assert items(columns) == [{"to": "+49151", "metadata": {"order": "17"}}]

    as_json = written(
        tmp_path, b'to,metadata\n+49151,"{""order"": ""17""}"\n+49152,\n+49153,[1]\n+49154,"{""a"": 1}"\n'
    )
    good, none, *bad = items(as_json)
    assert good == {"to": "+49151", "metadata": {"order": "17"}}
    assert none == {"to": "+49152"}
    assert bad == ['metadata is a JSON object of texts, such as {"order": "17"}'] * 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the first line has to name the columns, and has no `to`: empty"),
        (b"+4915112345678,de\n", "has no `to`: +…78, de"),
        (b"to,phone,town\n", "unknown columns: phone, town; there are to, service, locale, key"),
        (b"to,\n", "unknown columns: one without a name"),
        (b"to,metadata.\n", "unknown columns: metadata."),
        (b"to,locale,to\n", "columns that are there twice: to"),
        (b"to,metadata,metadata.a\n", "not in both"),
        ("to,locale\n".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (b"to,\xe4\n", "is not UTF-8"),
        (b"to\r+49151\r+49152\r", "its lines end as on the first Macs"),
        (b"x" * (LONGEST_LINE + 1), "the first line is longer than"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_in_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(Unusable) as told:
        open_table(written(tmp_path, content))

    assert said in str(told.value)


def test_nothing_but_a_file_is_read() -> None:
    with pytest.raises(Unusable, match="is no file"):
        open_table(Path("/dev/null"))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from([b"to\n", b"to;key\r\n", b"\xef\xbb\xbfto,metadata\n", b""]),
    lines=st.lists(st.binary(max_size=80), max_size=8),
)
def test_any_bytes_are_lines_or_clear_errors(tmp_path: Path, head: bytes, lines: list[bytes]) -> None:
    content = head + b"\n".join(lines)
    path = written(tmp_path, content)
    try:
        table = open_table(path)
    except Unusable:
        return
    found = list(table.lines())

    for line in found:
        assert content[line.begin : line.end] == line.raw
        with contextlib.suppress(BadLine):
            assert as_item(table.cells(line)).keys() <= {*table.columns}
    assert [line.number for line in found] == sorted({line.number for line in found})


@given(st.text(max_size=60))
def test_what_is_quoted_holds_no_whole_number(text: str) -> None:
    assert "4915112345678" not in quoted(f"{text}+4915112345678{text}")
