"""Kernel-matrix operations: compiled where the library is at hand, plain torch everywhere else.

`kernel_matrix` holds the public ops, `reference` their definition in torch, `library` the loading.
"""
