"""What is done to results after they were steadied: the palette of a reference, the pixels of pixel art."""

from stylize.finish.finish import Finish
from stylize.finish.tones import Tones, match_tones, measure_tones

__all__ = ["Finish", "Tones", "match_tones", "measure_tones"]
