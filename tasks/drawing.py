"""Compiled drawing shared by the contour tasks: stamps, bitmaps and reduction.

A *stamp* is a small picture made once (a paddle, a disc, a ring). A *bitmap* is a canvas of one bit
a pixel, 64 pixels a word, in which "does this shape meet anything?" is a few AND instructions.
Bitmaps carry one empty word on either side, so that shapes may hang over the edge.
"""

from __future__ import annotations

import numpy as np
from einops import rearrange
from numba import njit

_ONE = np.uint64(1)
_SIX, _LOW6 = np.uint64(6), np.uint64(63)
_ODD, _PAIRS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_NIBBLES, _BYTES = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
_S1, _S2, _S4, _S56 = (np.uint64(s) for s in (1, 2, 4, 56))

REDUCTIONS = ("nearest", "area")


# --- stamps, made once with NumPy ---


def lanczos_halving(side: int) -> np.ndarray:
    """float64 [side, 2 * side]: halves a signal with the Lanczos-3 filter (Turkowski 1990)."""
    centre = 2.0 * np.arange(side)[:, None] + 1.0
    t = (np.arange(2 * side)[None, :] + 0.5 - centre) / 2.0
    weights = np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0.0)
    return weights / weights.sum(1, keepdims=True)


def antialiased(doubled: np.ndarray) -> np.ndarray:
    """uint8 [s, s]: a 0/1 picture [2s, 2s] drawn at twice the size, reduced with antialiasing."""
    halve = lanczos_halving(doubled.shape[0] // 2)
    return np.rint(255 * np.clip(halve @ doubled.astype(np.float64) @ halve.T, 0, 1)).astype(
        np.uint8
    )


def _doubled_grid(reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, in pixels from the middle pixel's centre, of a grid at twice the size."""
    offset = (np.arange(2 * (2 * reach + 1)) + 0.5) / 2.0 - (reach + 0.5)
    return np.meshgrid(offset, offset, indexing="ij")


def line_stamp(
    degrees: float, length: float, thickness: float, reach: int, overrun: float = 0.0
) -> np.ndarray:
    """uint8 [2 * reach + 1] squared: a line that ends in the middle, having come from `degrees` +
    180.

    degrees: counter-clockwise from the direction of growing columns. length, thickness: pixels; the
    line runs `overrun` pixels past either end, as one drawn from pixel to pixel, both included,
    does.
    """
    rows, columns = _doubled_grid(reach)
    angle = np.deg2rad(degrees)
    along = columns * np.cos(angle) - rows * np.sin(angle)
    across = columns * np.sin(angle) + rows * np.cos(angle)
    inside = (along <= overrun) & (along >= -length - overrun) & (np.abs(across) <= thickness / 2)
    return antialiased(inside)


def disc_stamp(radius: float, reach: int) -> np.ndarray:
    """uint8 [2 * reach + 1] squared: a filled disc around the middle."""
    rows, columns = _doubled_grid(reach)
    return antialiased(np.hypot(rows, columns) <= radius)


def near_line(degrees: float, length: float, distance: float, reach: int) -> np.ndarray:
    """bool [2 * reach + 1] squared: pixels within `distance` of the middle line of `line_stamp`."""
    rows, columns = np.meshgrid(*2 * (np.arange(-reach, reach + 1.0),), indexing="ij")
    angle = np.deg2rad(degrees)
    along = columns * np.cos(angle) - rows * np.sin(angle)
    across = columns * np.sin(angle) + rows * np.cos(angle)
    return np.hypot(along - np.clip(along, -length, 0), across) <= distance


def disc_bits(radius: float) -> np.ndarray:
    """uint64 [2r + 1]: the pixels within `radius` of the middle one, as rows of bits, r =
    ceil(radius)."""
    r = int(np.ceil(radius))
    rows, columns = np.meshgrid(*2 * (np.arange(-r, r + 1),), indexing="ij")
    return pack_rows(np.hypot(rows, columns) <= radius)


def pack_rows(shape: np.ndarray) -> np.ndarray:
    """uint64 [..., h]: rows of a bool [..., h, w] as bits, column 0 lowest. ValueError if w >
    64."""
    if shape.shape[-1] > 64:
        raise ValueError(f"a stamp has at most 64 columns, not {shape.shape[-1]}")
    powers = _ONE << np.arange(shape.shape[-1], dtype=np.uint64)
    return (shape.astype(np.uint64) * powers).sum(-1, dtype=np.uint64)


def unpack_rows(bitmap: np.ndarray, side: int) -> np.ndarray:
    """bool [..., side, side] of a bitmap uint64 [..., side, words]."""
    ones = (bitmap[..., None] >> np.arange(64, dtype=np.uint64)) & _ONE
    pixels = rearrange(ones, "... row word bit -> ... row (word bit)")
    return pixels[..., 64 : 64 + side].astype(bool)


# --- bitmaps ---


def words_across(side: int) -> int:
    """Words in a bitmap row of `side` pixels, with the empty word on either side."""
    return (side + 63) // 64 + 2


@njit(inline="always")
def meets(bits, rows, top, left):
    """Whether a shape with its corner at (top, left) touches a set bit; left >= -64."""
    column = np.uint64(left + 64)
    word, shift = np.int64(column >> _SIX), column & _LOW6
    for r in range(max(0, -top), min(len(rows), bits.shape[0] - top)):
        line = bits[top + r]
        if line[word] & (rows[r] << shift):
            return True
        # Two shifts: by 64 at once is undefined.
        if line[word + 1] & ((rows[r] >> _ONE) >> (_LOW6 - shift)):
            return True
    return False


@njit(inline="always")
def set_bits(bits, rows, top, left):
    """Set the bits of a shape with its corner at (top, left); left >= -64."""
    column = np.uint64(left + 64)
    word, shift = np.int64(column >> _SIX), column & _LOW6
    for r in range(max(0, -top), min(len(rows), bits.shape[0] - top)):
        bits[top + r, word] |= rows[r] << shift
        bits[top + r, word + 1] |= (rows[r] >> _ONE) >> (_LOW6 - shift)


@njit(inline="always")
def flip_bits(bits, rows, top, left):
    """Flip the bits of a shape: takes away one that was set where nothing else is."""
    column = np.uint64(left + 64)
    word, shift = np.int64(column >> _SIX), column & _LOW6
    for r in range(max(0, -top), min(len(rows), bits.shape[0] - top)):
        bits[top + r, word] ^= rows[r] << shift
        bits[top + r, word + 1] ^= (rows[r] >> _ONE) >> (_LOW6 - shift)


@njit(inline="always")
def bit_at(bits, row, column):
    """The bit of a pixel on the canvas, 0 or 1."""
    place = np.uint64(column + 64)
    return (bits[row, np.int64(place >> _SIX)] >> (place & _LOW6)) & _ONE


@njit(inline="always")
def count_ones(word):
    """Set bits of a uint64, in parallel (Warren, "Hacker's Delight", 5-1)."""
    word = word - ((word >> _S1) & _ODD)
    word = (word & _PAIRS) + ((word >> _S2) & _PAIRS)
    word = (word + (word >> _S4)) & _NIBBLES
    return np.int64((word * _BYTES) >> _S56)


@njit(inline="always")
def distance(a, b):
    """Pixels between two places (row, column)."""
    return np.hypot(np.float64(a[0] - b[0]), np.float64(a[1] - b[1]))


@njit(inline="always")
def area(bits):
    """Set bits of the whole bitmap."""
    total = 0
    for r in range(bits.shape[0]):
        for w in range(bits.shape[1]):
            total += count_ones(bits[r, w])
    return total


@njit(inline="always")
def shared_area(a, b):
    """Bits set in both bitmaps."""
    total = 0
    for r in range(a.shape[0]):
        for w in range(a.shape[1]):
            total += count_ones(a[r, w] & b[r, w])
    return total


@njit(inline="always")
def window_count(bits, top, left, side, side_mask):
    """Bits set in a square of `side` <= 64 pixels on the canvas; side_mask has `side` low bits."""
    column = np.uint64(left + 64)
    word, shift = np.int64(column >> _SIX), column & _LOW6
    total = 0
    for r in range(top, top + side):
        low = bits[r, word] >> shift
        high = (bits[r, word + 1] << _ONE) << (_LOW6 - shift)
        total += count_ones((low | high) & side_mask)
    return total


# --- painting ---


@njit(inline="always")
def paint_max(image, stamp, top, left, brightness):
    """Ink combines by maximum. image: uint8 [h, w]; brightness scales the stamp, 256 is all."""
    for r in range(max(0, -top), min(stamp.shape[0], image.shape[0] - top)):
        for c in range(max(0, -left), min(stamp.shape[1], image.shape[1] - left)):
            value = np.uint8((np.int64(stamp[r, c]) * brightness) >> 8)
            if value > image[top + r, left + c]:
                image[top + r, left + c] = value


@njit(inline="always")
def erase(image, stamp, top, left):
    """Take away the ink under a stamp, in part where the stamp covers in part."""
    for r in range(max(0, -top), min(stamp.shape[0], image.shape[0] - top)):
        for c in range(max(0, -left), min(stamp.shape[1], image.shape[1] - left)):
            most = np.uint8(255) - stamp[r, c]
            if image[top + r, left + c] > most:
                image[top + r, left + c] = most


@njit(inline="always")
def fill_square(image, top, left, side):
    """A solid square, cut at the canvas."""
    for r in range(max(0, top), min(top + side, image.shape[0])):
        for c in range(max(0, left), min(left + side, image.shape[1])):
            image[r, c] = 255


# --- reduction ---


@njit(inline="always")
def _reduce_nearest(image, out, low):
    canvas, size = image.shape[0], out.shape[0]
    for r in range(size):
        row = image[((2 * r + 1) * canvas) // (2 * size)]
        for c in range(size):
            out[r, c] = row[((2 * c + 1) * canvas) // (2 * size)] * np.float32(1 / 255) + low


@njit(inline="always")
def _reduce_area(image, out, low):
    canvas, size = image.shape[0], out.shape[0]
    rows = np.zeros((size, canvas), np.float32)
    ratio = canvas / size
    share = np.float32(1.0 / (255.0 * ratio * ratio))
    for r in range(size):
        start, stop = r * ratio, (r + 1) * ratio
        for y in range(int(start), min(canvas, int(np.ceil(stop)))):
            part = np.float32(min(stop, y + 1.0) - max(start, np.float64(y)))
            for x in range(canvas):
                rows[r, x] += part * image[y, x]
    for c in range(size):
        start, stop = c * ratio, (c + 1) * ratio
        first, last = int(start), min(canvas, int(np.ceil(stop)))
        for r in range(size):
            total = np.float32(0)
            for x in range(first, last):
                total += np.float32(min(stop, x + 1.0) - max(start, np.float64(x))) * rows[r, x]
            out[r, c] = total * share + low


@njit(nogil=True, cache=True)
def reduce_into(image, out, by_area, low):
    """Bring a uint8 canvas down to the square float32 `out`; values from `low` to `low` + 1.

    by_area: mean over each output pixel's area, else the canvas pixel nearest to its centre.
    """
    if by_area:
        _reduce_area(image, out, np.float32(low))
    else:
        _reduce_nearest(image, out, np.float32(low))
