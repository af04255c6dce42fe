"""A history of translated images, from which discriminators are shown some."""

import torch
from torch import Tensor


class ImagePool:
    """Keeps up to `size` images; once full, each new one is shown or, half of the time, takes an old one's place.

    In that case the old one is shown. Source: the image pool of CycleGAN (Shrivastava et al. 2017), image after image;
    here for a batch at once, with the same result. Numbers are drawn from the global generator on the CPU.
    """

    def __init__(self, size: int, shape: tuple[int, ...], device: torch.device):
        self.images, self.size = torch.zeros(size, *shape, device=device), size
        self.filled = torch.zeros((), dtype=torch.int64)

    def exchange(self, images: Tensor) -> Tensor:
        """Take images (n, c, h, w), without a gradient, and return as many to show."""
        if not self.size:
            return images
        # Which of old ones and new ones lies in which place, and which is shown: numbers alone, the images move once.
        places, shown, filled = list(range(self.size)), [], int(self.filled)
        draws, chosen = torch.rand(len(images)).tolist(), torch.randint(self.size, (len(images),)).tolist()
        for new, (draw, place) in enumerate(zip(draws, chosen, strict=True), self.size):
            if filled < self.size:
                places[filled], filled = new, filled + 1
                shown.append(new)
            elif draw < 0.5:
                shown.append(places[place])
                places[place] = new
            else:
                shown.append(new)
        result = images[[each - self.size if each >= self.size else 0 for each in shown]]
        old = [row for row, each in enumerate(shown) if each < self.size]
        result[old] = self.images[[shown[row] for row in old]]
        changed = [place for place, each in enumerate(places) if each != place]
        self.images[changed] = images[[places[place] - self.size for place in changed]]
        self.filled.fill_(filled)
        return result

    def state(self) -> dict[str, Tensor]:
        return {"images": self.images, "filled": self.filled}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over a saved state."""
        self.images.copy_(state["images"])
        self.filled.copy_(state["filled"])
