"""Real images through ``datasets``: one memory-mapped uint8 set with a fixed train/held-out split."""

from __future__ import annotations

import hashlib
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

from pipeline.config.data import DataConfig, split_sizes
from pipeline.data.image_format import UNREADABLE, image_problem, unreadable_image
from pipeline.data.parquet_splits import parquet_splits
from pipeline.system.atomic import atomic_folder, write_json
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.progress import Progress


def prepare_images(config: DataConfig, folder: Path) -> None:
    """Reads the configured images, splits them and writes them to ``folder``, atomically.

    Raises:
        StraightflowError: If the source is missing or unreadable, a column or split does not exist, or an image
            has another size or more channels than configured.
    """
    train, heldout = _load_splits(config)
    digest = hashlib.sha256()
    with atomic_folder(folder) as temporary:
        counts = {}
        for name, dataset in (("train", train), ("heldout", heldout)):
            images = _decode(dataset, config, name)
            digest.update(images.tobytes())
            np.save(temporary / f"{name}_images.npy", images)
            counts[name] = len(images)
            column = config.label_column or ("label" if "label" in dataset.column_names else None)
            if column is not None:
                labels = np.asarray(dataset[column][:], dtype=np.int64)
                digest.update(labels.tobytes())
                np.save(temporary / f"{name}_labels.npy", labels)
        info = {
            "source": config.source,
            "location": config.location,
            "resolution": config.resolution,
            "channels": config.channels,
            "num_train": counts["train"],
            "num_heldout": counts["heldout"],
            "fingerprint": digest.hexdigest(),
        }
        write_json(temporary / "info.json", info)


def _load_splits(config: DataConfig) -> tuple[datasets.Dataset, datasets.Dataset]:
    loaded = _load(config)
    if config.train_split not in loaded:
        raise _wrong_split(config.train_split, loaded)
    if config.heldout_split is not None:
        if config.heldout_split not in loaded:
            raise _wrong_split(config.heldout_split, loaded)
        return loaded[config.train_split], loaded[config.heldout_split]
    whole = loaded[config.train_split]
    order = np.random.Generator(np.random.Philox(config.seed)).permutation(len(whole))
    sizes = split_sizes(len(whole), config.heldout_share)
    num_heldout = sizes[1]
    if min(sizes) < 2:
        raise StraightflowError(
            expected="at least two images in each split",
            found=f"{len(whole)} images with heldout_share {config.heldout_share}",
            mend="give more images or another data.heldout_share",
        )
    return whole.select(np.sort(order[num_heldout:])), whole.select(np.sort(order[:num_heldout]))


def _load(config: DataConfig) -> dict[str, datasets.Dataset]:
    if config.source == "digits":
        return {config.train_split: _digits()}
    location = str(config.location)
    if config.source != "hub" and not Path(location).exists():
        raise StraightflowError(expected=f"images at {location}", found="no such path", mend="correct data.location")
    try:
        if config.source == "hub":
            splits = [split for split in (config.train_split, config.heldout_split) if split is not None]
            return dict(zip(splits, datasets.load_dataset(location, config.subset, split=splits), strict=True))
        if config.source == "folder":
            return dict(datasets.load_dataset("imagefolder", data_dir=location))
        files = {split: str(path) for split, path in parquet_splits(Path(location), config).items()}
        return dict(datasets.load_dataset("parquet", data_files=files))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise StraightflowError(
            expected=f"a readable {config.source} data set at {location}",
            found=one_line(error),
            mend="correct data.location; a hub id needs the network on first use, a local copy does not "
            "(data.source: folder or parquet)",
        ) from error


def _digits() -> datasets.Dataset:
    """scikit-learn's 1,797 handwritten digits of 8×8, grey values 0 to 16 spread over 0 to 255."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = [Image.fromarray(image) for image in np.rint(bundle.images * 255 / 16).astype(np.uint8)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    return datasets.Dataset.from_dict({"image": images, "label": bundle.target.tolist()}, features=features)


def _decode(dataset: datasets.Dataset, config: DataConfig, split: str) -> np.ndarray:
    column = _image_column(dataset, config)
    feature = dataset.features[column]
    encoded = dataset.cast_column(column, datasets.Image(decode=False))[column]
    images = np.empty((len(dataset), *config.image_shape), dtype=np.uint8)
    with Progress(f"reading {split} images", len(dataset), "images") as progress:
        for row, stored in enumerate(encoded):
            where = f"row {row} of split {split!r}"
            if stored is None:
                raise unreadable_image(where, ValueError("an empty cell"))
            where += f" ({stored['path']})" if stored["path"] else ""
            try:
                image = feature.decode_example(stored)
            except UNREADABLE as error:
                raise unreadable_image(where, error) from error
            images[row] = _to_array(image, config, where)
            progress.advance()
    return images


def _image_column(dataset: datasets.Dataset, config: DataConfig) -> str:
    columns = [name for name, feature in dataset.features.items() if isinstance(feature, datasets.Image)]
    if config.image_column is None and len(columns) == 1:
        return str(columns[0])
    if config.image_column in columns:
        return str(config.image_column)
    raise StraightflowError(
        expected="one image column" if config.image_column is None else f"image column {config.image_column!r}",
        found=f"image columns {columns} among {dataset.column_names}",
        mend="set data.image_column",
    )


def _to_array(image: Image.Image, config: DataConfig, where: str) -> np.ndarray:
    problem = image_problem(image, config, where)
    if problem is not None:
        raise problem
    array = np.asarray(image.convert("L" if config.channels == 1 else "RGB"))
    return array[None] if config.channels == 1 else array.transpose(2, 0, 1)


def _wrong_split(wanted: str, loaded: dict[str, datasets.Dataset]) -> StraightflowError:
    return StraightflowError(
        expected=f"split {wanted!r}",
        found=f"splits {sorted(loaded)}",
        mend="set data.train_split or data.heldout_split",
    )
