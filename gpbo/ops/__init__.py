"""Kernel-matrix operations: compiled where the library is at hand, plain torch everywhere else.

One op a file: kernel_matrix, contraction, product, likelihood, fit, improvement, posterior.
`reference` has the kernels' formulas in torch, `library` the loading.
"""
