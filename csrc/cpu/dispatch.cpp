// Which instruction set this machine has. Built for the least of them all.

#include <cstdlib>
#include <cstring>

#include "tile.h"

namespace gpbo {

#define GPBO_DECLARE(isa)                  \
  namespace isa {                          \
  extern const Loops<double> kLoopsDouble; \
  extern const Loops<float> kLoopsFloat;   \
  }
GPBO_DECLARE(baseline)
#if defined(GPBO_HAS_LEVELS)
GPBO_DECLARE(avx2)
GPBO_DECLARE(avx512)
#endif
#undef GPBO_DECLARE

namespace {

enum Level { kBaseline, kAvx2, kAvx512 };

Level machine() {
#if defined(GPBO_HAS_LEVELS)
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                  __builtin_cpu_supports("avx512vl");
  return v3 && v4 ? kAvx512 : v3 ? kAvx2 : kBaseline;
#else
  return kBaseline;
#endif
}

Level chosen() {
  const Level most = machine();
  const char* asked = std::getenv("GPBO_ISA");
  if (!asked) return most;
  if (!std::strcmp(asked, "baseline")) return kBaseline;
  if (!std::strcmp(asked, "avx2") && most > kAvx2) return kAvx2;
  return most;
}

Level level() {
  static const Level value = chosen();
  return value;
}

}  // namespace

template <>
const Loops<double>& loops<double>() {
#if defined(GPBO_HAS_LEVELS)
  if (level() == kAvx512) return avx512::kLoopsDouble;
  if (level() == kAvx2) return avx2::kLoopsDouble;
#endif
  return baseline::kLoopsDouble;
}

template <>
const Loops<float>& loops<float>() {
#if defined(GPBO_HAS_LEVELS)
  if (level() == kAvx512) return avx512::kLoopsFloat;
  if (level() == kAvx2) return avx2::kLoopsFloat;
#endif
  return baseline::kLoopsFloat;
}

}  // namespace gpbo
