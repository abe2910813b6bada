"""Texts to learn from: what a line says, in which font, and how its letters are drawn.

The fonts are Debian's. Those of the style ``OTHER`` of tests/make/phantoms.py are left out on purpose: B612, OCR-A,
Inconsolata, Terminus, and OpenCV's plain, duplex and complex ones. The words are chance, but for common ones.
"""

import functools
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Random = np.random.Generator

_FOLDERS = (Path("/usr/share/fonts/truetype"), Path("/usr/share/fonts/opentype"), Path("/usr/share/fonts/fonts-go"))
_BITMAPS = (Path("/usr/share/fonts/X11/misc"), Path("/usr/share/fonts/X11/75dpi"), Path("/usr/share/fonts/X11/100dpi"))
_HELD_OUT = ("b612", "ocr-a", "ocra", "inconsolata", "terminus")
_NO_LETTERS = ("glyphicons", "d050000l", "symbols", "karlatamil", "math", "emoji", "/noto/", "cursor", "olgl", "spleen")
_NOTO = ("NotoSans-", "NotoSerif-", "NotoMono-", "NotoSansMono-", "NotoSansDisplay-", "NotoSerifDisplay-")
_WIDE = ("dejavu", "freefont", "liberation", "NotoSans-", "NotoSerif-", "roboto", "firacode", "jetbrains", "unifont")
_PLOTTED = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_ITALIC)
_OTHER_SCRIPTS = {  # fonts, and the signs that they are tried with
    "NotoSansArabic-Regular": (0x0621, 0x064A),
    "NotoSansHebrew-Regular": (0x05D0, 0x05EA),
    "NotoSansThai-Regular": (0x0E01, 0x0E2E),
    "NotoSansDevanagari-Regular": (0x0905, 0x0939),
    "NotoSansGeorgian-Regular": (0x10D0, 0x10F0),
    "NotoSansArmenian-Regular": (0x0531, 0x0556),
    "DroidSansFallbackFull": (0x4E00, 0x9FA0),
}
_UPPER, _LOWER, _DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"
_CYRILLIC, _GREEK = "абвгдежзийклмнопрстуфхцчшщыьэюя", "αβγδεζηθικλμνξοπρστυφχψω"
_ACCENTS = "äöüÄÖÜßéèàçñøåØÅŁłšžčő"
_MARKS = ":/.,-()#*+%=^_&'\"<>[]°"
_COMMON = (
    *("Name", "Patient", "ID", "MRN", "Age", "Sex", "M", "F", "Date", "Time", "Hospital", "Clinic", "Dr", "Study"),
    *("mm", "cm", "cm/s", "Hz", "MHz", "dB", "bpm", "kV", "mAs", "mA", "ms", "%", "fps", "TR", "TE", "FOV", "SL"),
    *("LEFT", "RIGHT", "SUPINE", "PRONE", "LATERAL", "OBL", "PORTABLE", "UPRIGHT", "RLO", "LCC", "RMLO", "Vol", "Vel"),
    *("born", "Accession", "Series", "Image", "Scan", "Depth", "Power", "Map", "WF", "Persist", "Preset", "Probe"),
)
_LONE = ("L", "R", "L", "R", "A", "P", "H", "F", "I", "S")


@functools.cache
def outline_fonts() -> tuple[str, ...]:
    files = sorted(
        str(file) for folder in _FOLDERS for end in ("ttf", "otf") for file in folder.rglob(f"*.{end}")
    )  # fmt: skip
    return tuple(
        file
        for file in files
        if not any(name in file.lower() for name in _HELD_OUT)
        and (not any(name in file.lower() for name in _NO_LETTERS) or Path(file).name.startswith(_NOTO))
        and _of_any_size(file)
    )


def _of_any_size(file: str) -> bool:
    try:
        ImageFont.truetype(file, 13)
    except OSError:
        return False
    return True


@functools.cache
def bitmap_fonts() -> tuple[tuple[str, int], ...]:
    """Return the X Window System's, each with its only size."""
    found = []
    for file in sorted(str(file) for folder in _BITMAPS for file in folder.glob("*.pcf.gz")):
        if any(
            name in file.lower()
            for name in (*_HELD_OUT, *_NO_LETTERS, "sym", "dec", "ja", "ko", "gb", "hang", "-iso8859-")
        ):
            continue
        for size in range(6, 40):
            try:
                font = ImageFont.truetype(file, size)
                if font.getbbox("Rg4"):
                    found.append((file, size))
                    break
            except OSError:
                continue
    return tuple(found)


@functools.cache
def script_fonts() -> tuple[tuple[str, int, int], ...]:
    files = {file.stem: str(file) for folder in _FOLDERS for file in folder.rglob("*.ttf")}
    return tuple((files[name], *signs) for name, signs in _OTHER_SCRIPTS.items() if name in files)


@functools.lru_cache(maxsize=4000)
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def words(random: Random) -> str:
    """Return a line: one letter, a word, a name, a number, a date, or some of them."""
    if random.random() < 0.22:
        return str(random.choice(_LONE)) if random.random() < 0.6 else _signs(random, _UPPER + _DIGITS + _LOWER, 1)
    parts = [_part(random) for _ in range(int(random.choice((1, 1, 1, 2, 2, 3, 4))))]
    return str(random.choice((" ", " ", " ", ", ", ": ", "^", "  "))).join(parts)


def _part(random: Random) -> str:
    form = random.random()
    if form < 0.2:
        return str(random.choice(_COMMON))
    if form < 0.4:
        word = _syllables(random)
        return str(random.choice((word.upper(), word.capitalize(), word)))
    if form < 0.7:
        return _number(random)
    if form < 0.78:
        return _signs(random, _UPPER + _DIGITS, int(random.integers(1, 9)))
    if form < 0.84:
        return _signs(random, _UPPER + _LOWER + _DIGITS + _MARKS, int(random.integers(2, 9)))
    if form < 0.88:
        return _signs(random, _LOWER + _ACCENTS, int(random.integers(2, 9)))
    letters = _CYRILLIC if form < 0.95 else _GREEK
    return _signs(random, letters, int(random.integers(2, 10))).capitalize()


def _syllables(random: Random) -> str:
    ends = "aeiou"
    pairs = (
        random.choice(list("bcdfghjklmnprstvwz")) + random.choice(list(ends)) for _ in range(random.integers(1, 5))
    )
    return "".join(pairs) + random.choice(["", "", "n", "r", "s", "tt", "ck"])


def _number(random: Random) -> str:
    number = _signs(random, _DIGITS, int(random.integers(1, 9)))
    day, month, year = int(random.integers(1, 32)), int(random.integers(1, 13)), int(random.integers(1920, 2030))
    hour, minute, second = int(random.integers(24)), int(random.integers(60)), int(random.integers(60))
    return str(
        random.choice(
            [
                *(number, number, f"{random.uniform(0, 200):.1f}", f"{random.uniform(0, 9):.2f}", f"#{number}"),
                *(f"{day:02}.{month:02}.{year}", f"{year}-{month:02}-{day:02}", f"{month}/{day}/{year % 100:02}"),
                *(
                    f"{hour:02}:{minute:02}:{second:02}",
                    f"{hour}:{minute:02}",
                    f"{number[:3]}/{number[:4]}",
                    f"-{number}",
                ),
            ]
        )
    )


def _signs(random: Random, letters: str, count: int) -> str:
    return "".join(letters[int(at)] for at in random.integers(0, len(letters), count))


def glyphs(random: Random, line: str, size: int) -> np.ndarray | None:
    """Return the line's shares of ink, float32 0 to 1, cut to its ink; None if the font has none of its signs."""
    form = random.random()
    if form < 0.12:
        drawn = _plotted(random, line, size)
    elif form < 0.27 and size < 30:
        drawn = _bitmap(random, line, size)
    elif form < 0.33:
        drawn = _dots(random, line, size)
    elif form < 0.37:
        drawn = _script(random, size)
    else:
        drawn = _outlined(random, line, size)
    drawn = _changed(random, drawn.astype(np.float32) / 255)
    down, across = np.flatnonzero((drawn > 0.2).any(axis=1)), np.flatnonzero((drawn > 0.2).any(axis=0))
    if not down.size:
        return None
    return drawn[down[0] : down[-1] + 1, across[0] : across[-1] + 1]


def _outlined(random: Random, line: str, size: int) -> np.ndarray:
    fonts = outline_fonts()
    file = fonts[int(random.integers(len(fonts)))]
    if not line.isascii():
        wide = _of_many_scripts()
        file = wide[int(random.integers(len(wide)))]
    return _typed(line, _font(file, size), smooth=random.random() < 0.7)


@functools.cache
def _of_many_scripts() -> tuple[str, ...]:
    return tuple(file for file in outline_fonts() if any(name in file for name in _WIDE))


def _bitmap(random: Random, line: str, size: int) -> np.ndarray:
    near = [(file, high) for file, high in bitmap_fonts() if abs(high - size) <= max(3, size // 5)]
    if not near or not line.isascii():
        return _outlined(random, line, size)
    file, high = near[int(random.integers(len(near)))]
    drawn = _typed(line, _font(file, high), smooth=False)
    return drawn.repeat(2, axis=0).repeat(2, axis=1) if random.random() < 0.15 else drawn


def _dots(random: Random, line: str, size: int) -> np.ndarray:
    """Enlarged by whole numbers, now and then as single dots: what old scanners and printers write."""
    small = int(random.integers(7, 14))
    if random.random() < 0.5:
        drawn = _typed(line.encode("ascii", "replace").decode(), ImageFont.load_default_imagefont(), smooth=False)
    else:
        drawn = _bitmap(random, line, small)
    times = max(1, round(size / small))
    drawn = drawn.repeat(times, axis=0).repeat(times, axis=1)
    if times > 2 and random.random() < 0.4:
        drawn[::times] = drawn[:, ::times] = 0
    return drawn


def _script(random: Random, size: int) -> np.ndarray:
    fonts = script_fonts()
    file, first, last = fonts[int(random.integers(len(fonts)))]
    line = "".join(chr(int(sign)) for sign in random.integers(first, last + 1, int(random.integers(1, 9))))
    return _typed(line, _font(file, max(size, 10)), smooth=random.random() < 0.7)


def _plotted(random: Random, line: str, size: int) -> np.ndarray:
    image = np.zeros((3 * size + 8, 2 * size * len(line) + 8), dtype=np.uint8)
    way = cv2.LINE_AA if random.random() < 0.7 else cv2.LINE_8
    face = _PLOTTED[int(random.integers(len(_PLOTTED)))]
    thick = max(1, round(size / random.uniform(9, 24)))
    return cv2.putText(image, line.encode("ascii", "replace").decode(), (4, 2 * size), face, size / 30, 255, thick, way)


def _typed(line: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, *, smooth: bool) -> np.ndarray:
    left, top, right, bottom = font.getbbox(line)
    image = Image.new("L" if smooth else "1", (int(right - left) + 4, int(bottom - top) + 4), 0)
    ImageDraw.Draw(image).text((2 - left, 2 - top), line, fill=255 if smooth else 1, font=font)
    return np.array(image.convert("L"))


def _changed(random: Random, drawn: np.ndarray) -> np.ndarray:
    """Stretched, blurred, set bold, slanted or turned, each of them seldom."""
    high, wide = drawn.shape
    if random.random() < 0.12:
        size = (max(1, round(wide * random.uniform(0.7, 1.5))), max(1, round(high * random.uniform(0.85, 1.3))))
        drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_LINEAR)
    if random.random() < 0.06:
        drawn = cv2.dilate(np.pad(drawn, 1), np.ones((2, 2), dtype=np.uint8))
    if random.random() < 0.12:
        drawn = cv2.GaussianBlur(np.pad(drawn, 3), (0, 0), float(random.uniform(0.4, 0.08 * min(high, wide) + 0.5)))
        drawn = np.clip(drawn / max(0.3, float(drawn.max())), 0, 1)
    if random.random() < 0.08:
        high, wide = drawn.shape
        turn = float(random.uniform(-8, 8))
        more = int(abs(np.sin(np.radians(turn))) * wide / 2) + 3
        drawn = np.pad(drawn, ((more, more), (3, 3)))
        middle = (drawn.shape[1] / 2, drawn.shape[0] / 2)
        drawn = cv2.warpAffine(drawn, cv2.getRotationMatrix2D(middle, turn, 1.0), drawn.shape[::-1])
    return drawn
