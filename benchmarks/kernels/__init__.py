"""Times each op of gpbo.ops beside its peers and beside the limits of the machine, in one run.

cases     what is measured, and the numbers it is measured with
with_*    a case as gpbo, GPyTorch, plain torch and KeOps do it; `lineup` collects them
race      rounds in which everybody takes a turn
measure   a case becomes rows: answers compared, then raced
memory    what an op allocates; repeats: whether its bits ever change
asked     what was asked for, and what the rows say about it
table     rows on a terminal and in docs/performance/kernels.md
"""
