"""Items that were written by a statement are read as they were meant, whatever is in them."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.stores.dynamodb import Exchange, Item, Table
from functions.stores.partiql import insertion, replacement
from infra.local.embedded_aws import Resources

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ["it's", "'", "''", "\\'", "--", "?", '"', "}", "' , 'a':'b", "a;b", "/* */", "é", "$x", "null", "17"]
)
VALUES = st.recursive(
    st.builds(lambda text: {"S": text}, TEXTS)
    | st.builds(lambda number: {"N": str(number)}, st.integers(-(10**12), 10**12))
    | st.builds(lambda flag: {"BOOL": flag}, st.booleans())
    | st.just({"NULL": True}),
    lambda inner: (
        st.builds(lambda found: {"L": found}, st.lists(inner, max_size=3))
        | st.builds(lambda found: {"M": found}, st.dictionaries(TEXTS, inner, max_size=3))
    ),
    max_leaves=6,
)
ITEMS = st.fixed_dictionaries({"a": VALUES, "b": VALUES, "c": VALUES})


@pytest.fixture
def exact(dynamodb: Any, resources: Resources) -> Table:
    return Table(dynamodb, resources.table)


@given(values=ITEMS)
def test_no_text_gets_into_a_statement_that_could_end_it(values: Item) -> None:
    for statement in (
        insertion("table", {"pk": {"S": "v#a"}, **values}),
        replacement("table", {"pk": {"S": "v#a"}, **values}, unchanged="a", before=values["a"]),
    ):
        quoted = statement["Statement"].split("'")[1::2]
        assert all(text.replace("#", "").isascii() and not set(text) & set("\"\\?{}[],;'") for text in quoted)
        assert statement["Statement"].count("?") == len(statement.get("Parameters", []))


async def test_what_was_inserted_and_replaced_is_there(exact: Table) -> None:
    found = [example_item(number) for number in range(60)]
    for start in range(0, 60, 20):
        items = found[start : start + 20]
        assert await exact.insert(items) == [None] * 20
        for item in items:
            assert await exact.get(item["pk"]["S"]) == item
        following = [{**item, **example_values(7 + n), "rev": {"N": "2"}} for n, item in enumerate(items)]
        exchanges = [Exchange(item, "rev", {"N": "1"}) for item in following]
        assert await exact.exchange(exchanges) == [True] * 20
        for item in following:
            assert await exact.get(item["pk"]["S"]) == item


def example_item(number: int) -> Item:
    return {"pk": {"S": f"v#{secrets.token_hex(12)}"}, "rev": {"N": "1"}, **example_values(number)}


def example_values(number: int) -> Item:
    """Every kind of value, plain and not, in turns."""
    texts = ["plain", "it's", "a 'quoted' one", "?", "é 码", 'say "so"', "--", "1795000000 abc_-="]
    text = {"S": texts[number % len(texts)]}
    return {
        "a": text,
        "b": {"L": [text, {"N": str(number - 3)}]},
        "c": {"M": {"x": text, texts[(number + 1) % len(texts)]: {"BOOL": number % 2 == 0}}},
        "d": {"NULL": True},
    }
