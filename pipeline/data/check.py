"""Whether the data are there and have the configured shape: by listing the images and opening a few."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from pipeline.config.data import DataConfig
from pipeline.data.image_format import UNREADABLE, image_problem, unreadable_image
from pipeline.data.order import evenly_spaced
from pipeline.data.parquet_splits import parquet_splits
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.fingerprint import fingerprint_json
from pipeline.system.hub import hub_revision

OPENED_IMAGES = 64


def check_data(data: DataConfig, previous: dict[str, object]) -> dict[str, object]:
    """Checks the configured images without decoding them all; points, which are drawn, need no check.

    Args:
        data: Where they come from.
        previous: What this function returned before; where the hub does not answer now, it vouches for a
            data set that was reached then.

    Returns:
        What the data stage depends on: source, location and fingerprint. The fingerprint of local files is that
        of their names, sizes and modification times, as reading a large set every time would take minutes.

    Raises:
        StraightflowError: If the images are missing, unreadable, or of another size or colour than configured.
    """
    record: dict[str, object] = {"source": data.source, "location": data.location}
    if data.source == "digits" and (data.channels, data.resolution) != (1, 8):
        raise StraightflowError(
            expected="data.channels: 1 and data.resolution: 8 for data.source: digits",
            found=f"{data.channels} and {data.resolution}",
            mend="correct them, or name other images",
        )
    if data.location is None:  # nothing outside of the code and the configuration that could change
        return record | {"fingerprint": None}
    location = data.location
    if data.source == "hub":
        try:
            return record | {"fingerprint": hub_revision("dataset", location)}
        except StraightflowError:
            if {key: previous.get(key) for key in record} == record or _is_cached(location):
                return record | {"fingerprint": previous.get("fingerprint")}
            raise
    check_files = _check_folder if data.source == "folder" else _check_parquet
    return record | {"fingerprint": _fingerprint(check_files(Path(location), data))}


def _fingerprint(files: Iterable[Path]) -> str:
    status = ((path, path.stat()) for path in files)
    return fingerprint_json([[str(path), item.st_size, item.st_mtime_ns] for path, item in status])


def _check_folder(folder: Path, data: DataConfig) -> list[Path]:
    if not folder.is_dir():
        raise StraightflowError(
            expected=f"a folder of images at {folder}",
            found="a file" if folder.exists() else "no such path",
            mend="correct data.location",
        )
    extensions = {extension for extension, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in extensions and path.is_file())
    if not files:
        raise StraightflowError(
            expected=f"image files in {folder} or in one subfolder per label",
            found="none",
            mend="correct data.location",
        )
    for index in evenly_spaced(len(files), OPENED_IMAGES):
        _check_one(files[index], str(files[index]), data)
    return files


def _check_parquet(location: Path, data: DataConfig) -> list[Path]:
    import pyarrow
    import pyarrow.parquet

    if not location.exists():
        raise StraightflowError(
            expected=f"parquet files at {location}", found="no such path", mend="correct data.location"
        )
    files = parquet_splits(location, data)
    for split, path in files.items():
        try:
            table = pyarrow.parquet.ParquetFile(path)
            row = next(table.iter_batches(batch_size=1)).to_pylist()[0]
        except (pyarrow.ArrowException, OSError, StopIteration) as error:
            raise StraightflowError(
                expected=f"a readable parquet file with at least one row at {path}",
                found="no rows" if isinstance(error, StopIteration) else one_line(error),
                mend="write the file again",
            ) from error
        for name, value in row.items():
            encoded = value.get("bytes") if isinstance(value, dict) else None
            if encoded is not None and data.image_column in (None, name):
                _check_one(io.BytesIO(encoded), f"row 0 of split {split!r} in {path}", data)
    return list(files.values())


def _check_one(file: Path | io.BytesIO, where: str, data: DataConfig) -> None:
    try:
        with Image.open(file) as image:
            problem = image_problem(image, data, where)
            image.load()
    except UNREADABLE as error:
        raise unreadable_image(where, error) from error
    if problem is not None:
        raise problem


def _is_cached(name: str) -> bool:
    """Whether ``datasets`` has prepared this hub data set before."""
    import datasets

    return (Path(datasets.config.HF_DATASETS_CACHE) / name.replace("/", "___")).is_dir()
