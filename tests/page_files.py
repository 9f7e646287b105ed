"""Image files for the tests of the page: sound, odd and hostile ones."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(width=40, height=30, mode="RGB") -> Image.Image:
    """Return a picture that is red at the left and blue at the right."""
    values = np.zeros((height, width, 3), "uint8")
    values[:, : width // 2, 0] = 255
    values[:, width // 2 :, 2] = 255
    return Image.fromarray(values).convert(mode)


def encoded(image, kind="PNG", **options) -> bytes:
    """Return an image as a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    check = zlib.crc32(name + content)
    size = struct.pack(">I", len(content))
    return size + name + content + struct.pack(">I", check)


def png_of(width, height, bits, kind, rows: bytes) -> bytes:
    """Return a PNG file of a size that need not be true."""
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def gray16(values) -> bytes:
    """Return a gray PNG file of 16 bits."""
    values = np.asarray(values, ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    return png_of(values.shape[1], values.shape[0], 16, 0, rows)


def rgb16(values) -> bytes:
    """Return a PNG file in colour of 16 bits a channel."""
    values = np.asarray(values, ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    return png_of(values.shape[1], values.shape[0], 16, 2, rows)


def bomb(side=30_000) -> bytes:
    """Return a small PNG file that says that it is huge, and is."""
    return png_of(side, side, 1, 0, bytes(side * (side // 8 + 1)))


def animation(kind, count=3) -> bytes:
    """Return frames of 8x8 pixels, the first white, the others black."""
    frames = [Image.new("L", (8, 8), 255)]
    frames += [Image.new("L", (8, 8), i) for i in range(count - 1)]
    return encoded(
        frames[0], kind, save_all=True, append_images=frames[1:], duration=50
    )


def turned(orientation=6) -> bytes:
    """Return a JPEG file whose EXIF data say that it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture(), "JPEG", exif=exif.tobytes(), quality=95)


def half_transparent() -> bytes:
    """Return a PNG file, black at the left, nothing at the right."""
    values = np.zeros((8, 8, 4), "uint8")
    values[:, :4, 3] = 255
    return encoded(Image.fromarray(values))


def many_scans(count=200) -> bytes:
    """Return a JPEG file with more scans than a photograph has."""
    whole = encoded(picture(), "JPEG", progressive=True)
    place = whole.rindex(b"\xff\xda")
    return whole[:place] + whole[place:-2] * count + whole[-2:]


def sound_files() -> dict[str, bytes]:
    """Return files of each kind that can be read, by their names."""
    return {
        "rgb.png": encoded(picture()),
        "gray.png": encoded(picture(mode="L")),
        "palette.png": encoded(picture(mode="P")),
        "bits.png": encoded(picture(mode="1")),
        "alpha.png": half_transparent(),
        "gray_alpha.png": encoded(picture(mode="LA")),
        "gray16.png": gray16(np.full((4, 4), 40_000)),
        "rgb16.png": rgb16(np.full((4, 4, 3), 40_000)),
        "one.png": encoded(Image.new("L", (1, 1), 77)),
        "thin.png": encoded(Image.new("L", (300, 1), 77)),
        "photo.jpeg": encoded(picture(), "JPEG"),
        "gray.jpeg": encoded(picture(mode="L"), "JPEG"),
        "progressive.jpeg": encoded(picture(), "JPEG", progressive=True),
        "cmyk.jpeg": encoded(picture(mode="CMYK"), "JPEG"),
        "turned.jpeg": turned(),
        "one.gif": encoded(picture(), "GIF"),
        "moving.gif": animation("GIF"),
        "moving.png": animation("PNG"),
        "plain.bmp": encoded(picture(), "BMP"),
    }
