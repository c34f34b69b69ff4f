// Work that is cut into numbered units, done by as many threads as the caller allows.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <new>
#include <thread>
#include <vector>

#include "../include/gpbo.h"

namespace gpbo {

// Each thread has a Worker of its own, made from a Job: allocate() gets its scratch, run(unit) does
// a unit. What a unit computes does not depend on who does it. A worker that cannot start or get
// its scratch leaves its share to the others; without memory for a unit, all of it has failed.
template <typename Worker, typename Job>
int run_units(const Job& job, int64_t units, int threads) {
  if (threads <= 1 || units <= 1) {
    Worker worker(job);
    if (!worker.allocate()) return GPBO_OUT_OF_MEMORY;
    for (int64_t unit = 0; unit < units; ++unit) worker.run(unit);
    return GPBO_OK;
  }
  std::atomic<int64_t> next{0};
  std::atomic<bool> lost{false};
  const auto work = [&] {
    bool ready = false;
    try {
      Worker worker(job);
      if (!worker.allocate()) return;
      ready = true;
      for (int64_t unit = next++; unit < units; unit = next++) worker.run(unit);
    } catch (const std::bad_alloc&) {
      if (ready) lost = true;
    }
  };
  std::vector<std::thread> helpers;
  try {
    for (int64_t h = 1; h < std::min<int64_t>(threads, units); ++h) helpers.emplace_back(work);
  } catch (const std::exception&) {
  }
  work();
  for (std::thread& helper : helpers) helper.join();
  return lost || next < units ? GPBO_OUT_OF_MEMORY : GPBO_OK;
}

}  // namespace gpbo
