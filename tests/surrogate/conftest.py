"""GPyTorch warns of a deprecation in torch when it is imported; here that is no error."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import gpytorch  # noqa: F401
