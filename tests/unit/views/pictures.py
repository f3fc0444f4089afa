"""Made pictures for tests of image features."""

import numpy as np
from PIL import Image, ImageDraw


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    """Soft colours with some sharp discs and bars: every kind of structure that a feature may look for."""
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(256, size=(7, 7, 3), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
    draw = ImageDraw.Draw(soft)
    for number in range(12):
        x, y = rng.integers(width), rng.integers(height)
        reach = int(rng.integers(2, max(3, min(height, width) // 4)))
        shape = draw.ellipse if number % 2 else draw.rectangle
        shape((x, y, x + reach, y + reach // 2 + 1), fill=tuple(map(int, rng.integers(256, size=3))))
    grain = rng.integers(-8, 9, size=(height, width, 3))
    return Image.fromarray(np.clip(np.asarray(soft).astype(int) + grain, 0, 255).astype(np.uint8))


def turned(image: Image.Image) -> Image.Image:
    """By 90 degrees anticlockwise."""
    return Image.fromarray(np.rot90(np.asarray(image)).copy())


ODD = {
    "one pixel": Image.new("RGB", (1, 1), (200, 30, 90)),
    "one column": picture(300, 1),
    "one row": picture(1, 300),
    "five pixels high": picture(5, 90),
    "black": Image.new("RGB", (70, 50), "black"),
    "one colour": Image.new("RGB", (300, 300), (12, 200, 99)),
    "grey": picture(64, 48).convert("L").convert("RGB"),
    "black and white dots": Image.fromarray(np.indices((40, 40)).sum(axis=0).astype(np.uint8) % 2 * 255).convert("RGB"),
}
