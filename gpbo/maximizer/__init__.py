"""Where an acquisition is highest, over continuous, discrete and conditional coordinates."""

from gpbo.maximizer.batch import Situation, propose
from gpbo.maximizer.box import Box
from gpbo.maximizer.domain import Domain
from gpbo.maximizer.settings import Settings
from gpbo.maximizer.start import best_known, candidates

__all__ = ["Box", "Domain", "Settings", "Situation", "best_known", "candidates", "propose"]
