// The maximum of the log posterior of hyperparameters, from several starts. Starts are independent;
// each is followed by one thread, which allocates nothing on its way.

#include <cmath>
#include <limits>
#include <new>
#include <vector>

#include "lbfgsb.h"
#include "likelihood.h"
#include "workers.h"

namespace gpbo {
namespace {

struct FitJob {
  int kernel;
  Problem<double> problem;
  const gpbo_fit& asked;
};

// An evaluation costs more than all that is remembered: with 20 steps a search takes 31 of them,
// with 10 it takes 34, with 5 37, and with 40 no fewer than with 20 (25 fits, 2 to 20 dimensions).
constexpr int64_t kMemory = 20;

class FitWorker {
 public:
  explicit FitWorker(const FitJob& job)
      : fit_(job.asked),
        job_{loops<double>(), job.problem, job.kernel, likelihood_},
        evaluate_(job_) {}

  bool allocate() {
    const int64_t n = job_.problem.x1.count, d = job_.problem.d;
    try {
      for (auto* numbers : {&diagonal_, &by_diagonal_}) numbers->resize(n);
      for (auto* numbers : {&lengthscale_, &by_lengthscale_}) numbers->resize(d);
      for (auto* numbers : {&values_, &gradient_}) numbers->resize(size());
      minimizer_.start(size(), fit_.start, fit_.lower, fit_.upper, stop());
    } catch (const std::bad_alloc&) {
      return false;
    }
    job_.problem.lengthscale = lengthscale_.data();
    job_.problem.lengthscale_column = 1;
    likelihood_.y = fit_.y, likelihood_.y_row = fit_.y_row;
    likelihood_.outputscale = &outputscale_;
    likelihood_.diagonal = diagonal_.data(), likelihood_.diagonal_row = 1;
    likelihood_.profile = 1;
    likelihood_.jitter_count = fit_.jitter_count, likelihood_.jitters = fit_.jitters;
    likelihood_.mean = &mean_, likelihood_.value = &value_, likelihood_.jitter = &jitter_;
    likelihood_.by_lengthscale = by_lengthscale_.data();
    likelihood_.by_outputscale = &by_outputscale_;
    likelihood_.by_diagonal = by_diagonal_.data();
    return evaluate_.allocate();
  }

  void run(int64_t start) {
    const int64_t p = size();
    minimizer_.start(p, fit_.start + start * p, fit_.lower, fit_.upper, stop(), fit_.metric);
    double jitter = 0.0;
    while (!minimizer_.done()) {
      const double value = posterior(minimizer_.tried());
      minimizer_.tell(-value, gradient_.data());
      if (minimizer_.value() == -value || std::isnan(value)) jitter = jitter_;
    }
    std::copy_n(minimizer_.best(), p, fit_.theta + start * p);
    fit_.log_posterior[start] = -minimizer_.value();
    fit_.gradient_norm[start] = minimizer_.gradient_norm();
    fit_.jitter[start] = jitter;
    int64_t* counts = fit_.counts + start * 3;
    counts[0] = minimizer_.iterations(), counts[1] = minimizer_.evaluations();
    counts[2] = minimizer_.converged();
    if (fit_.inverse) minimizer_.inverse(fit_.inverse + start * p * p);
  }

 private:
  int64_t size() const { return fit_.group_count + 2; }
  int64_t group(int64_t column) const { return fit_.groups ? fit_.groups[column] : column; }
  Stop stop() const {
    return {fit_.iterations, fit_.gradient, fit_.value, kMemory, fit_.decrement};
  }

  // The log posterior at theta; minus its gradient goes to gradient_.
  double posterior(const double* theta) {
    const int64_t n = job_.problem.x1.count, d = job_.problem.d, p = size(), g = fit_.group_count;
    for (int64_t i = 0; i < p; ++i) values_[i] = std::exp(theta[i]);
    for (int64_t k = 0; k < d; ++k) lengthscale_[k] = values_[group(k)];
    outputscale_ = values_[g];
    const double noise = values_[g + 1];
    for (int64_t i = 0; i < n; ++i) diagonal_[i] = fit_.known[i] + noise * fit_.unknown[i];
    evaluate_.run(0);
    double by_noise = 0.0, value = value_;
    for (int64_t i = 0; i < n; ++i) by_noise += by_diagonal_[i] * fit_.unknown[i];
    std::fill(gradient_.begin(), gradient_.end(), 0.0);
    for (int64_t k = 0; k < d; ++k) gradient_[group(k)] -= by_lengthscale_[k];
    gradient_[g] = -by_outputscale_;
    gradient_[g + 1] = -by_noise;
    for (int64_t i = 0; i < p; ++i) {
      const double *c = fit_.prior + i, t = theta[i], v = values_[i];
      value += c[0] + t * (c[p] + t * c[2 * p]) + v * c[3 * p];
      gradient_[i] = v * gradient_[i] - (c[p] + 2 * t * c[2 * p] + v * c[3 * p]);
    }
    return value;
  }

  const gpbo_fit& fit_;
  gpbo_likelihood likelihood_{};
  LikelihoodJob<double> job_;
  Likelihood<double> evaluate_;
  Minimizer minimizer_;
  double outputscale_ = 1.0, mean_ = 0.0, value_ = 0.0, jitter_ = 0.0, by_outputscale_ = 0.0;
  std::vector<double> diagonal_, by_diagonal_, lengthscale_, by_lengthscale_, values_, gradient_;
};

bool sensible(const gpbo_pairs& p, const gpbo_fit& fit) {
  if (p.dtype != GPBO_FLOAT64 || !p.symmetric || p.batch != 1) return false;
  if (fit.starts < 0 || fit.group_count < 0 || fit.iterations < 0) return false;
  if (!fit.groups) return fit.group_count == p.d;
  for (int64_t k = 0; k < p.d; ++k)
    if (fit.groups[k] < 0 || fit.groups[k] >= fit.group_count) return false;
  return true;
}

}  // namespace
}  // namespace gpbo

extern "C" int gpbo_cpu_fit(int kernel, const gpbo_pairs* pairs, const gpbo_fit* fit, int threads) {
  if (!gpbo::valid(kernel, pairs) || !fit || !gpbo::sensible(*pairs, *fit))
    return GPBO_BAD_ARGUMENT;
  if (fit->starts == 0) return GPBO_OK;
  const gpbo::FitJob job{kernel, gpbo::Problem<double>(*pairs), *fit};
  if (job.problem.shape && !(job.problem.shape_of(0) > 0)) return GPBO_BAD_SHAPE;
  return gpbo::run_units<gpbo::FitWorker>(job, fit->starts, threads);
}
