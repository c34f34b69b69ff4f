// Functions compiled once per instruction set; the loader picks the best that the CPU has.
#pragma once

// GPBO_HAS_CLONES comes from CMakeLists.txt, where compiler and C library were tried.
#if defined(GPBO_HAS_CLONES)
#define GPBO_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GPBO_CLONES
#endif
