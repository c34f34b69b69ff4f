// The log marginal likelihood of each batch element; see likelihood.h.

#include "likelihood.h"

#include "workers.h"

namespace gpbo {
namespace {

template <typename T>
int start(int kernel, const gpbo_pairs& p, const gpbo_likelihood& asked, int threads) {
  const Loops<T>& chosen = loops<T>();
  const LikelihoodJob<T> job{chosen, Problem<T>(p), kernel, asked};
  const int status = job.problem.check();
  return status == GPBO_OK ? run_units<Likelihood<T>>(job, p.batch, threads) : status;
}

}  // namespace
}  // namespace gpbo

extern "C" int gpbo_cpu_likelihood(int kernel, const gpbo_pairs* pairs,
                                   const gpbo_likelihood* likelihood, int threads) {
  if (!gpbo::valid(kernel, pairs) || !pairs->symmetric || !likelihood) return GPBO_BAD_ARGUMENT;
  return pairs->dtype == GPBO_FLOAT32 ? gpbo::start<float>(kernel, *pairs, *likelihood, threads)
                                      : gpbo::start<double>(kernel, *pairs, *likelihood, threads);
}
