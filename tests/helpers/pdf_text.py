"""What a PDF file of Chromium's says, in letters: enough of the format for a test."""

from __future__ import annotations

import re
import unicodedata
import zlib


def pages(data: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", data))


def sizes(data: bytes) -> list[tuple[float, float]]:
    """Width and height of each page, in points."""
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", data)
    return [(float(width), float(height)) for width, height in boxes]


def text(data: bytes) -> str:
    """All text, without spaces: a file places words where it likes."""
    objects = {m[1]: m[2] for m in re.finditer(rb"(?ms)^(\d+) 0 obj\s(.*?)^endobj", data)}
    letters = {name: _letters(_stream(body)) for name, body in objects.items() if b"stream" in body}
    fonts = {
        name: letters[found[1]]
        for name, body in objects.items()
        if (found := re.search(rb"/ToUnicode (\d+) 0 R", body)) and found[1] in letters
    }
    said = []
    for body in objects.values():
        content = _stream(body) if b"stream" in body else b""
        if b" Tf" not in content:
            continue
        font: dict[int, str] = {}
        for m in re.finditer(rb"/F(\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>", content):
            if m[1]:
                font = fonts.get(_font_object(objects, m[1]), {})
            else:
                codes = (int(m[2][i : i + 4], 16) for i in range(0, len(m[2]), 4))
                said += [font.get(code, "") for code in codes]
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", "".join(said)))  # no ligatures


def _font_object(objects: dict[bytes, bytes], number: bytes) -> bytes:
    for body in objects.values():
        if found := re.search(rb"/F" + number + rb" (\d+) 0 R", body):
            return found[1]
    return b""


def _stream(body: bytes) -> bytes:
    found = re.search(rb"stream\r?\n(.*?)\r?\nendstream", body, re.DOTALL)
    try:
        return zlib.decompress(found[1]) if found else b""
    except zlib.error:
        return b""


def _letters(table: bytes) -> dict[int, str]:
    """By code, of a ToUnicode table."""
    found: dict[int, str] = {}
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", table, re.DOTALL):
        for code, letter in re.findall(rb"<(\w+)>\s*<(\w+)>", block):
            found[int(code, 16)] = _utf16(letter)
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", table, re.DOTALL):
        for first, last, letter in re.findall(rb"<(\w+)>\s*<(\w+)>\s*<(\w+)>", block):
            for i in range(int(last, 16) - int(first, 16) + 1):
                found[int(first, 16) + i] = chr(ord(_utf16(letter)[0]) + i)
    return found


def _utf16(letter: bytes) -> str:
    return bytes.fromhex(letter.decode()).decode("utf-16-be")
