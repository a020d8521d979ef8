"""Pictures that look the same although their files differ: saved again, resized, made a little lighter.

Candidates are found by their difference hashes (the package ``dhash``) in time that grows with the
number of pictures, not with its square; small grey copies then decide.
"""

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
from PIL import Image

HASH_SIDE = 8
"""Two bits for each square of so many by so many."""

WORDS = 8
"""Parts of a hash, 16 bits each."""

MOST_BITS = WORDS - 1
"""That differ between hashes of one picture. At least one word of the two is then the same."""

NEIGHBOURS = 32
"""With the same word, that a picture is compared with: where very many share one, a copy may be missed."""

SIDE = 128
"""Pixels of the short side that a decoder leaves at least: with fewer, copies of other sizes look different."""

COPY_SIDE = 16
LEAST_CONTRAST = 4.0
"""Standard deviation of grey levels below which a copy is too plain to say anything."""

MOST_DIFFERENCE, MEAN_DIFFERENCE = 40.0, 5.0
"""Grey levels, of one spot and on average, between copies of one picture; between others 7 and more on average."""

PAIRS_AT_ONCE = 10_000

MISSING = "pictures that look the same are not looked for: pip install dhash"


def is_available() -> bool:
    """Whether the package is there."""
    return find_spec("dhash") is not None


def look(image: Image.Image) -> bytes:
    """How an image looks, to be given to ``Looks``."""
    from dhash import dhash_row_col

    grey = image.convert("L")
    side = HASH_SIDE + 1
    levels = list(grey.resize((side, side), Image.Resampling.LANCZOS).tobytes())
    words = b"".join(value.to_bytes(HASH_SIDE, "big") for value in dhash_row_col(levels, HASH_SIDE))
    return words + grey.resize((COPY_SIDE, COPY_SIDE), Image.Resampling.BOX, reducing_gap=3.0).tobytes()


class Looks:
    """The looks of many pictures.

    Args:
        count: of pictures, numbered from 0; those that are not added are like none.
    """

    def __init__(self, count: int):
        self._words = np.zeros((count, WORDS), np.uint16)
        self._copies = np.zeros((count, COPY_SIDE**2), np.uint8)
        self._usable = np.zeros(count, bool)

    def add(self, number: int, look: bytes) -> None:
        """Take note of one picture."""
        self._words[number] = np.frombuffer(look, np.uint16, WORDS)
        self._copies[number] = np.frombuffer(look, np.uint8, offset=2 * WORDS)
        self._usable[number] = self._copies[number].std() >= LEAST_CONTRAST

    def alike(self) -> list[tuple[int, int]]:
        """Pairs of pictures that look the same, the smaller number first, each once, in order."""
        usable = np.flatnonzero(self._usable)
        found: set[tuple[int, int]] = set()
        for word in range(WORDS):
            keys = np.roll(self._words[usable], -word, axis=1)
            order = usable[np.lexsort(keys.T[::-1])]
            for distance in range(1, min(NEIGHBOURS + 1, len(order))):
                together = self._words[order[:-distance], word] == self._words[order[distance:], word]
                if not together.any():
                    break
                pairs = np.stack([order[:-distance][together], order[distance:][together]])
                for start in range(0, pairs.shape[1], PAIRS_AT_ONCE):
                    found.update(self._same(pairs[:, start : start + PAIRS_AT_ONCE], word))
        return sorted(found)

    def _same(self, pairs: np.ndarray, word: int) -> Iterator[tuple[int, int]]:
        one, two = np.sort(pairs, axis=0)
        differing = self._words[one] ^ self._words[two]
        bits = np.unpackbits(differing.view(np.uint8), axis=1).sum(axis=1)
        close = (bits <= MOST_BITS) & (differing[:, :word] != 0).all(axis=1)  # the others were seen at an earlier word
        one, two = one[close], two[close]
        (first, spread), (second, other_spread) = self._normalised(one), self._normalised(two)
        difference = np.abs(first - second) * np.minimum(spread, other_spread)
        same = (difference.max(axis=1) <= MOST_DIFFERENCE) & (difference.mean(axis=1) <= MEAN_DIFFERENCE)
        return zip(one[same].tolist(), two[same].tolist(), strict=True)

    def _normalised(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Grey copies without their brightness and contrast, and the contrast."""
        copies = self._copies[numbers].astype(np.float32)
        spread = copies.std(axis=1, keepdims=True)
        return (copies - copies.mean(axis=1, keepdims=True)) / spread, spread
