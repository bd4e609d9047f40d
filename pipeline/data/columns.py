"""Which columns of a table hold images and labels, judged by its schema alone: of parquet files and of the hub."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow

from pipeline.config.data import DataConfig
from pipeline.data.labels import AS_NUMBERS_OR_NAMES
from pipeline.system.errors import StraightflowError, nearest

LABEL_COLUMN = "label"


def image_column(schema: pyarrow.Schema, origin: str, config: DataConfig) -> str:
    """The configured column, else the only one of structs with bytes, else the only one of bytes.

    Args:
        schema: Of the table.
        origin: Names the table in errors.
        config: Names the column, or none.

    Raises:
        StraightflowError: If there is no such column, or several.
    """
    structs = [field.name for field in schema if _holds_bytes(field.type)]
    plain = [field.name for field in schema if _is_bytes(field.type)]
    if config.image_column is None:
        candidates = structs or plain
        if len(candidates) == 1:
            return str(candidates[0])
    elif config.image_column in structs + plain:
        _require_single(config.image_column, schema, origin)
        return config.image_column
    raise StraightflowError(
        expected="one image column" if config.image_column is None else f"image column {config.image_column!r}",
        found=f"image columns {structs + plain} among {schema.names} in {origin}",
        mend="set data.image_column to a column of encoded images",
    )


def label_column(schemas: Mapping[str, pyarrow.Schema], config: DataConfig) -> str | None:
    """The configured column of labels, else ``label`` if there is one; None if there are no labels.

    Args:
        schemas: Of the table of each split, by what names it in errors.
        config: Names the column, or none.

    Raises:
        StraightflowError: If a table has not the configured column, has it twice, or of a type that no label has; or
            if some tables have ``label`` and others not.
    """
    column = config.label_column or LABEL_COLUMN
    having = [origin for origin, schema in schemas.items() if column in schema.names]
    without = [origin for origin in schemas if origin not in having]
    if without and (having or config.label_column is not None):
        raise StraightflowError(
            expected=f"label column {column!r} in {without[0]}",
            found=f"{column!r}{nearest(column, schemas[without[0]].names)}",
            mend="set data.label_column",
        )
    for origin in having:
        _require_single(column, schemas[origin], origin)
        _require_label_type(column, schemas[origin], origin)
    return column if having else None


def _require_single(column: str, schema: pyarrow.Schema, origin: str) -> None:
    """Refuses a name that several columns have."""
    count = schema.names.count(column)
    if count > 1:
        raise StraightflowError(
            expected=f"one column {column!r} in {origin}", found=f"{count} of that name", mend="rename the others"
        )


def _require_label_type(column: str, schema: pyarrow.Schema, origin: str) -> None:
    """Refuses a column whose every value :func:`pipeline.data.labels.number_labels` would refuse."""
    kind = schema.field(column).type
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        pyarrow.types.is_integer,
        pyarrow.types.is_boolean,
        pyarrow.types.is_string,
        pyarrow.types.is_large_string,
        pyarrow.types.is_string_view,
    )
    if not any(test(kind) for test in tests):
        raise StraightflowError(
            expected=f"integers or names in label column {column!r} of {origin}",
            found=str(kind)[:80],
            mend=f"{AS_NUMBERS_OR_NAMES}, or name another column in data.label_column",
        )


def _is_bytes(kind: pyarrow.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pyarrow.types.is_binary,
            pyarrow.types.is_large_binary,
            pyarrow.types.is_binary_view,
            pyarrow.types.is_fixed_size_binary,
        )
    )


def _holds_bytes(kind: pyarrow.DataType) -> bool:
    if not pyarrow.types.is_struct(kind):
        return False
    place = kind.get_field_index("bytes")
    return place >= 0 and _is_bytes(kind.field(place).type)
