"""Uploaded image files, decoded within bounds and fitted to a network."""

import io
import struct
import zlib

import numpy as np
from PIL import Image
from PIL import ImageOps

from irevnet_tf.apps.page.refused import Refused

# Of a file, and of the picture in it. A photograph has 12 to 24 million.
MAX_BYTES = 20 * 2**20
MAX_PIXELS = 40_000_000
# A WebP file allocates its canvas before anybody can look at its size.
FORMATS = ("BMP", "GIF", "JPEG", "PNG")
# A progressive JPEG file of 10,000 scans would be decoded 10,000 times.
_MAX_SCANS = 100
_SCAN = b"\xff\xda"
# What Pillow's decoders raise for files that are not what they seem.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def read_upload(
    raw: bytes, shape: tuple[int, int, int]
) -> tuple[np.ndarray, str]:
    """Decode an image file and fit it to a network's images.

    The largest part of the right aspect ratio is cut out of the centre and
    resized. Pictures are turned as their EXIF data say; transparent parts
    become white; of an animation the first frame is taken.

    Args:
        raw: bytes. The file.
        shape: tuple of ints. Height, width, and 1 or 3 channels.

    Returns:
        uint8 array of the shape `shape`, and a sentence about what was done,
        "" if there is nothing to say.

    Raises:
        Refused: if it is no such file, is damaged, or is too large.
    """
    if not raw:
        raise Refused(400, "The file is empty.")
    if len(raw) > MAX_BYTES:
        raise too_many_bytes()
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            _check(image, raw)
            notes = _notes(image)
            return fitted(_upright(image, shape), shape), notes
    except _BOMBS as error:
        raise _too_many_pixels() from error
    except MemoryError as error:
        raise Refused(413, "The picture does not fit into memory.") from error
    except Image.UnidentifiedImageError as error:
        raise Refused(
            415,
            "The file is no picture that can be read here: JPEG, PNG, GIF or "
            "BMP is expected.",
        ) from error
    except _UNREADABLE as error:
        raise Refused(
            422, "The file is damaged or not whole: it cannot be decoded."
        ) from error


def too_many_bytes() -> Refused:
    """Return the refusal of a file that is too large."""
    return Refused(
        413, f"The file is too large: at most {MAX_BYTES >> 20} MB are taken."
    )


def _too_many_pixels():
    return Refused(
        413,
        "The picture is too large: at most "
        f"{MAX_PIXELS // 10**6} million pixels are taken.",
    )


def _check(image, raw):
    width, height = image.size
    if width < 1 or height < 1:
        raise ValueError("no pixels")
    if width * height > MAX_PIXELS:
        raise _too_many_pixels()
    if image.format in ("JPEG", "MPO") and raw.count(_SCAN) > _MAX_SCANS:
        raise Refused(
            422, f"The JPEG file has more than {_MAX_SCANS} scans, too many."
        )


def _notes(image):
    notes = []
    if image.format in ("GIF", "PNG") and getattr(image, "is_animated", False):
        notes.append("This is the first frame of an animation.")
    if image.has_transparency_data:
        notes.append("Its transparent parts are white here.")
    return " ".join(notes)


def _upright(image, shape):
    # Only JPEG files can be decoded at a fraction of their size, never below
    # what is asked for.
    longer = 4 * max(shape[:2])
    image.draft(None, (longer, longer))
    image.load()
    # A frame of a GIF file may be larger than the file says.
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels()
    try:
        return ImageOps.exif_transpose(image)
    except _UNREADABLE:
        # Only the EXIF data are damaged; Pillow warns of most such, and goes
        # on as here.
        return image


def fitted(image: Image.Image, shape: tuple[int, int, int]) -> np.ndarray:
    """Return a picture cut to an aspect ratio and resized.

    Args:
        image: Pillow's `Image`. The picture, of any mode.
        shape: tuple of ints. Height, width, and 1 or 3 channels.

    Returns:
        uint8 array of the shape `shape`.
    """
    height, width, channels = shape
    scale = min(image.width / width, image.height / height)
    size = [max(1, round(side * scale)) for side in (width, height)]
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    image = image.crop((left, top, left + size[0], top + size[1]))
    image = _opaque(image).convert("L" if channels == 1 else "RGB")
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, "uint8").reshape(shape)


def _opaque(image):
    """Return an image of 8 bits, on white."""
    if image.mode.startswith("I"):
        # 16 bits; Pillow would cut off what is above 255.
        values = np.asarray(image).astype("float64")
        values = np.clip(np.rint(values / 257.0), 0, 255)
        return Image.fromarray(values.astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image)
    return image
