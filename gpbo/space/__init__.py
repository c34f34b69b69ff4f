"""What may be tried: parameters, nested choices, and the space that they make."""

from gpbo.space.category import Bool, Categorical, Constant, Ordinal
from gpbo.space.distribution import Distribution
from gpbo.space.lattice import Lattice
from gpbo.space.numeric import Float, Int
from gpbo.space.parameter import Parameter, Params, Value
from gpbo.space.space import Choice, Space

__all__ = [
    "Bool",
    "Categorical",
    "Choice",
    "Constant",
    "Distribution",
    "Float",
    "Int",
    "Lattice",
    "Ordinal",
    "Parameter",
    "Params",
    "Space",
    "Value",
]
