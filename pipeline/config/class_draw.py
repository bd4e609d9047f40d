"""How often each class is drawn."""

from __future__ import annotations

from typing import Literal

ClassDraw = Literal["uniform", "data"]
"""How classes are drawn: all alike, or as often as the data that a model was made from show them."""
