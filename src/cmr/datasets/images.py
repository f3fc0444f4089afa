"""Reading image files as every part of the project sees them."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from cmr.errors import UserError


def load_rgb(path: Path) -> Image.Image:
    """Decode a whole image to RGB; transparent pixels lie on white.

    Raises
    ------
    UserError : the file is missing, empty, cut short or no image.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "RGB" and "transparency" not in image.info:
                return image.copy()
            # RGBA first: palettes, grey with alpha and colour-key transparency all reach white by the same way.
            rgba = image.convert("RGBA")
    except FileNotFoundError as error:
        raise UserError(f"image {path} does not exist") from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "the file is empty" if path.stat().st_size == 0 else str(error)
        raise UserError(f"image {path} cannot be read: {reason}") from error
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")
