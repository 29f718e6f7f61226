"""What is done to results after they were steadied: the palette of a reference, grades, pixels."""

from stylize.finish.finish import Finish
from stylize.finish.grades import Grade
from stylize.finish.tones import Tones, match_tones, measure_tones

__all__ = ["Finish", "Grade", "Tones", "match_tones", "measure_tones"]
