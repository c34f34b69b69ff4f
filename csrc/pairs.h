// What both libraries do the same: look at a gpbo_pairs before they touch a pointer in it, and name
// a status.
#pragma once

#include "include/gpbo.h"

namespace gpbo {

inline bool valid(int kernel, const gpbo_pairs* p) {
  if (kernel < GPBO_MATERN52 || kernel >= GPBO_KERNELS) return false;
  if (!p || (p->dtype != GPBO_FLOAT32 && p->dtype != GPBO_FLOAT64)) return false;
  if (p->batch < 0 || p->n < 0 || p->m < 0 || p->d < 0) return false;
  if (kernel == GPBO_RATIONAL_QUADRATIC && !p->shape && p->batch > 0) return false;
  return !p->symmetric || p->m == p->n;
}

inline const char* status_text(int status) {
  switch (status) {
    case GPBO_OK:
      return "ok";
    case GPBO_BAD_ARGUMENT:
      return "bad argument";
    case GPBO_OUT_OF_MEMORY:
      return "out of memory";
    case GPBO_BAD_LENGTHSCALE:
      return "a lengthscale is nan or not positive";
    case GPBO_BAD_SHAPE:
      return "a kernel's shape is nan or not positive";
    default:
      return "unknown status";
  }
}

inline bool empty(const gpbo_pairs& p) { return p.batch == 0 || p.n == 0 || p.m == 0; }

}  // namespace gpbo
