from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.system.errors import StraightflowError
from pipeline.system.yaml_text import MOST_VALUES, parse_yaml, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_ordinary_yaml_with_aliases_and_merges_is_what_it_says() -> None:
    text = "one: &one {x: 1, y: [2.5, null, true]}\ntwo: {<<: *one, x: 3}\nthree: *one\n"
    one = {"x": 1, "y": [2.5, None, True]}
    assert parse_yaml(text, origin="test") == {"one": one, "two": one | {"x": 3}, "three": one}
    assert parse_yaml("", origin="test") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "more than 100,000 values"),
        ("a: &a [*a]", "contains itself"),
        ("a: &a {b: *a}", "contains itself"),
        ("rounds: {x: 1}\nother: 2\nrounds: {y: 1}\n", "the key 'rounds' twice"),
        ("a: {b: 1, b: 2}", "the key 'b' twice"),
        ("a: [", "YAML in test"),
        ("[" * 5000, "YAML in test"),
        ("a: 2024-13-45", "YAML in test"),
        (f"seed: {'9' * 5000}", "YAML in test"),
        (f"seed: 0x{'f' * 5000}", "an integer of more than 1,000 digits"),
        ("a: !!bool x", "YAML in test"),
        ("a: !!int ''", "YAML in test"),
        ("a: !!timestamp x", "YAML in test"),
        ("name: !!binary c21va2U=", "YAML in test"),
        (f"a: [{'1,' * 200_000}1]", "more than 100,000 values"),
        ("a: !!python/object:os.system x", "YAML in test"),
        ("a: 1\n---\nb: 2", "YAML in test"),
        ("a: \x00", "YAML in test"),
    ],
)
def test_what_is_no_yaml_of_ours_is_one_message(text: str, message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        parse_yaml(text, origin="test")


def test_values_are_counted_where_aliases_stand() -> None:
    def nested(count: int) -> str:  # 1 mapping, 2 keys, an inner list of 1,000 in all, an outer list, its aliases
        return f"a: &a [{', '.join(['x'] * 999)}]\nb: [{', '.join(['*a'] * count)}]\n"

    fits = (MOST_VALUES - 4 - 1000) // 1000
    assert len(parse_yaml(nested(fits), origin="test")["b"]) == fits
    with pytest.raises(StraightflowError, match="more than"):
        parse_yaml(nested(fits + 1), origin="test")


def test_a_byte_of_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes("a: é\n".encode() + "b: é\n".encode("latin-1"))
    with pytest.raises(StraightflowError, match=r"the byte 0xe9 in line 2(.|\n)*UTF-8"):
        read_yaml(path)
    path.write_bytes("\ufeffa: é\n".encode())
    assert read_yaml(path) == {"a": "é"}
