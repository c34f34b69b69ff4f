// What candidates promise under a Gaussian belief, its gradient, and the way uphill, on the CPU.
//
// Candidates go in blocks of kBlock, as the columns of tiles whose rows are the observations: a
// block needs each number of the model once. A column is computed alone and in one order, so a
// candidate's value depends neither on its neighbours nor on threads.

#include <vector>

#include "lbfgsb.h"
#include "normal.h"
#include "problem.h"
#include "workers.h"

namespace gpbo {
namespace {

using Numbers = std::vector<double>;

// The observations of a belief divided by the lengthscales, in blocks as the loops want them.
class Observed {
 public:
  Observed(const gpbo_belief& belief, int64_t d)
      : belief_(belief), d_(d), origin_(d, 0.0), inverse_(d) {
    points_.assign(blocks() * kBlock * d + kPadding, 0.0);
    for (int64_t k = 0; k < d; ++k) {
      inverse_[k] = 1.0 / positive(belief.lengthscale[k]);
      if (belief.n > 0) origin_[k] = belief.points[k];
    }
    for (int64_t i = 0; i < belief.n; ++i)
      for (int64_t k = 0; k < d; ++k)
        points_[(i / kBlock * d + k) * kBlock + i % kBlock] = scaled(belief.points[i * d + k], k);
  }

  const gpbo_belief& belief() const { return belief_; }
  int64_t blocks() const { return (belief_.n + kBlock - 1) / kBlock; }
  int rows(int64_t block) const {
    return static_cast<int>(std::min<int64_t>(kBlock, belief_.n - block * kBlock));
  }
  const double* block(int64_t b) const { return points_.data() + b * kBlock * d_; }
  double scaled(double x, int64_t k) const { return (x - origin_[k]) * inverse_[k]; }
  double inverse(int64_t k) const { return inverse_[k]; }

 private:
  const gpbo_belief& belief_;
  int64_t d_;
  Numbers origin_, inverse_, points_;
};

// The belief about a block of candidates: columns c of `stride` numbers.
class Prediction {
 public:
  Prediction(const Observed& observed, Loops<double>::Evaluate evaluate, int64_t d)
      : observed_(observed), loops_(loops<double>()), evaluate_(evaluate), d_(d) {
    const int64_t n = observed.belief().n + kBlock, samples = observed.belief().samples;
    for (Numbers* each : {&k_, &slope_, &white_, &weight_})
      each->assign(n * kBlock + kPadding, 0.0);
    for (Numbers* each : {&mean_, &by_mean_}) each->assign(samples * kBlock + kPadding, 0.0);
    for (Numbers* each : {&x_, &pulled_}) each->assign(d * kBlock + kPadding, 0.0);
    r2_.assign(kPairs + kPadding, 0.0);
  }

  // points (columns, d), where column c starts at points[c].
  void look(const double* const* points, int columns, bool gradient) {
    const gpbo_belief& belief = observed_.belief();
    columns_ = columns, stride_ = padded(columns, loops_.width);
    std::fill(x_.begin(), x_.end(), 0.0);
    for (int c = 0; c < columns; ++c)
      for (int64_t k = 0; k < d_; ++k) x_[k * kBlock + c] = observed_.scaled(points[c][k], k);
    for (int64_t b = 0; b < observed_.blocks(); ++b) {
      const int rows = observed_.rows(b);
      const int64_t at = b * kBlock * stride_;
      loops_.distances(observed_.block(b), x_.data(), rows, stride_, d_, r2_.data());
      evaluate_(r2_.data(), rows * stride_, 1.0, belief.outputscale, &k_[at],
                gradient ? &slope_[at] : nullptr, nullptr);
    }
    loops_.multiply(belief.weights, belief.n, belief.samples, belief.n, k_.data(), stride_,
                    mean_.data());
    std::fill_n(variance_, kBlock, belief.outputscale);
    for (int64_t i = 0; i < belief.n; i += 4) {  // the factor's inverse has zeros right of its rows
      const int64_t rows = std::min<int64_t>(4, belief.n - i);
      double* white = &white_[i * stride_];
      loops_.multiply(belief.inverse + i * belief.n, belief.n, rows, i + rows, k_.data(), stride_,
                      white);
      for (int64_t r = 0; r < rows; ++r)
        for (int c = 0; c < stride_; ++c)
          variance_[c] -= white[r * stride_ + c] * white[r * stride_ + c];
    }
  }

  double mean(int64_t sample, int c) const {
    return observed_.belief().constant + mean_[sample * stride_ + c];
  }
  // Below `least` a variance is rounding: it is a constant then.
  bool known(int c) const { return !(variance_[c] > observed_.belief().least); }
  double variance(int c) const { return known(c) ? observed_.belief().known : variance_[c]; }

  // How the result depends on the beliefs, set by the caller before add_gradient.
  double& by_mean(int64_t sample, int c) { return by_mean_[sample * stride_ + c]; }
  double& by_variance(int c) { return by_variance_[c]; }

  // gradient (columns, d) += the result's, through means and variances.
  void add_gradient(double* gradient) {
    const gpbo_belief& belief = observed_.belief();
    const int64_t n = belief.n;
    for (int c = columns_; c < stride_; ++c) {
      by_variance_[c] = 0.0;
      for (int64_t s = 0; s < belief.samples; ++s) by_mean(s, c) = 0.0;
    }
    for (int64_t i = 0; i < n; ++i)
      for (int c = 0; c < stride_; ++c) white_[i * stride_ + c] *= -2.0 * by_variance_[c];
    std::fill_n(weight_.begin(), (n + kBlock) * stride_, 0.0);
    for (int64_t i = 0; i < n; i += 8) {
      const int64_t rows = std::min<int64_t>(8, n - i);
      loops_.add_turned(belief.inverse + i * n, n, rows, i + rows, &white_[i * stride_], stride_,
                        weight_.data());
    }
    loops_.add_turned(belief.weights, n, belief.samples, n, by_mean_.data(), stride_,
                      weight_.data());
    std::fill(pulled_.begin(), pulled_.end(), 0.0);
    for (int64_t b = 0; b < observed_.blocks(); ++b) {
      const int rows = observed_.rows(b);
      double* weight = &weight_[b * kBlock * stride_];
      const double* slope = &slope_[b * kBlock * stride_];
      for (int p = 0; p < rows * stride_; ++p) weight[p] *= slope[p];
      loops_.pull(observed_.block(b), x_.data(), weight, rows, stride_, d_, pulled_.data());
    }
    for (int64_t k = 0; k < d_; ++k) {
      const double scale = 2.0 * belief.outputscale * observed_.inverse(k);
      for (int c = 0; c < columns_; ++c) gradient[c * d_ + k] += scale * pulled_[k * kBlock + c];
    }
  }

 private:
  const Observed& observed_;
  const Loops<double>& loops_;
  Loops<double>::Evaluate evaluate_;
  int64_t d_;
  int columns_ = 0, stride_ = 0;
  Numbers x_, r2_, k_, slope_, white_, weight_, mean_, by_mean_, pulled_;
  double variance_[kBlock + kWidest], by_variance_[kBlock + kWidest];
};

struct Job {
  int kernel;
  const gpbo_improvement& asked;
  Observed objective, success;

  Job(int kernel_, const gpbo_improvement& improvement)
      : kernel(kernel_),
        asked(improvement),
        objective(improvement.objective, improvement.d),
        success(improvement.success, improvement.success.samples ? improvement.d : 0) {}
};

// Values and gradients of one block of candidates after the other.
class Evaluator {
 public:
  explicit Evaluator(const Job& job)
      : asked_(job.asked),
        objective_(job.objective, loops<double>().evaluate[job.kernel], job.asked.d),
        success_(job.success, loops<double>().evaluate[job.kernel],
                 job.asked.success.samples ? job.asked.d : 0),
        logs_(job.asked.objective.samples) {}

  // value (columns), gradient (columns, d) or NULL.
  void evaluate(const double* const* points, int columns, double* value, double* gradient) {
    objective_.look(points, columns, gradient != nullptr);
    for (int c = 0; c < columns; ++c) value[c] = improvement(c) + news(c);
    if (gradient) {
      std::fill_n(gradient, columns * asked_.d, 0.0);
      objective_.add_gradient(gradient);
    }
    if (!asked_.success.samples) return;
    success_.look(points, columns, gradient != nullptr);
    for (int c = 0; c < columns; ++c) value[c] += feasibility(c);
    if (gradient) success_.add_gradient(gradient);
  }

 private:
  // Log of the mean over samples of sd h(z): value, and slopes left in the prediction.
  double improvement(int c) {
    const int64_t samples = asked_.objective.samples;
    const double variance = objective_.variance(c), sd = std::sqrt(variance);
    double largest = -std::numeric_limits<double>::infinity();
    for (int64_t s = 0; s < samples; ++s) {
      logs_[s] = log_h((objective_.mean(s, c) - asked_.best[s]) / sd);
      if (!(logs_[s].value <= largest)) largest = logs_[s].value;
    }
    double total = 0.0, by_log_sd = 1.0;
    for (int64_t s = 0; s < samples; ++s) total += std::exp(logs_[s].value - largest);
    for (int64_t s = 0; s < samples; ++s) {
      const double share = std::exp(logs_[s].value - largest) / total * logs_[s].slope;
      objective_.by_mean(s, c) = share / sd;
      by_log_sd -= share * (objective_.mean(s, c) - asked_.best[s]) / sd;
    }
    objective_.by_variance(c) = objective_.known(c) ? 0.0 : 0.5 * by_log_sd / variance;
    return largest + std::log(total / static_cast<double>(samples)) + std::log(sd);
  }

  // Log of the share of the uncertainty that one noisy observation would remove.
  double news(int c) {
    if (!(asked_.noise > 0)) return 0.0;
    const double ratio = objective_.variance(c) / asked_.noise, root = std::sqrt(1.0 + ratio);
    if (!objective_.known(c))  // root - 1 = ratio / (1 + root), without the difference
      objective_.by_variance(c) += 0.5 * (1.0 + root) / (asked_.noise * root * root * ratio);
    return std::log(ratio / (root * (1.0 + root)));
  }

  double feasibility(int c) {
    const double spread = std::sqrt(success_.variance(c) + asked_.slack);
    const double z = (success_.mean(0, c) - 0.5) / spread;
    const Sloped found = log_cdf(z);
    const double short_of = asked_.least > 0 ? found.value - std::log(asked_.least) : 0.0;
    const double slope = found.slope * (short_of < 0 ? 1.0 + asked_.steep : 1.0);
    success_.by_mean(0, c) = slope / spread;
    success_.by_variance(c) = success_.known(c) ? 0.0 : -0.5 * slope * z / (spread * spread);
    return found.value + asked_.steep * std::min(short_of, 0.0);
  }

  const gpbo_improvement& asked_;
  Prediction objective_, success_;
  std::vector<Sloped> logs_;
};

struct ValueJob : Job {
  int64_t count;
  const double* x;
  double *value, *gradient;
};

struct ClimbJob : Job {
  const gpbo_climb& climb;
};

class ValueWorker {
 public:
  explicit ValueWorker(const ValueJob& job) : job_(job), evaluator_(job) {}
  bool allocate() const { return true; }

  void run(int64_t unit) {
    const int64_t first = unit * kBlock, d = job_.asked.d;
    const int columns = static_cast<int>(std::min<int64_t>(kBlock, job_.count - first));
    const double* points[kBlock];
    for (int c = 0; c < columns; ++c) points[c] = job_.x + (first + c) * d;
    evaluator_.evaluate(points, columns, job_.value + first,
                        job_.gradient ? job_.gradient + first * d : nullptr);
  }

 private:
  const ValueJob& job_;
  Evaluator evaluator_;
};

class ClimbWorker {
 public:
  explicit ClimbWorker(const ClimbJob& job)
      : job_(job),
        evaluator_(job),
        runs_(kBlock),
        scaled_(3 * job.asked.d),
        points_(kBlock * job.asked.d),
        gradient_(kBlock * job.asked.d) {}
  bool allocate() const { return true; }

  // Up to kBlock runs side by side: those still running share each evaluation.
  void run(int64_t unit) {
    const gpbo_climb& climb = job_.climb;
    const int64_t first = unit * kBlock, d = job_.asked.d;
    const int count = static_cast<int>(std::min<int64_t>(kBlock, climb.count - first));
    const Stop stop{climb.iterations, climb.gradient, climb.gain};
    double *x = scaled_.data(), *lower = x + d, *upper = lower + d;
    for (int r = 0; r < count; ++r) {
      const int64_t row = (first + r) * d;
      for (int64_t k = 0; k < d; ++k) {
        x[k] = climb.x[row + k] / climb.scale[k];
        lower[k] = climb.lower[row + k] / climb.scale[k];
        upper[k] = climb.upper[row + k] / climb.scale[k];
      }
      runs_[r].start(d, x, lower, upper, stop);
    }
    while (step(count)) {
    }
    for (int r = 0; r < count; ++r) {
      const double value = -runs_[r].value();
      climb.value[first + r] =
          std::isfinite(value) ? value : -std::numeric_limits<double>::infinity();
      const int64_t row = (first + r) * d;
      for (int64_t k = 0; k < d; ++k)
        climb.x[row + k] =
            std::min(std::max(runs_[r].best()[k] * climb.scale[k], climb.lower[row + k]),
                     climb.upper[row + k]);
    }
  }

 private:
  // One evaluation for each run that goes on; false when none does.
  bool step(int count) {
    const int64_t d = job_.asked.d;
    const double* points[kBlock];
    int which[kBlock], running = 0;
    for (int r = 0; r < count; ++r) {
      if (runs_[r].done()) continue;
      double* point = &points_[running * d];
      for (int64_t k = 0; k < d; ++k) point[k] = runs_[r].tried()[k] * job_.climb.scale[k];
      points[running] = point, which[running++] = r;
    }
    if (running == 0) return false;
    evaluator_.evaluate(points, running, value_, gradient_.data());
    for (int c = 0; c < running; ++c) {
      double* gradient = &gradient_[c * d];
      for (int64_t k = 0; k < d; ++k) gradient[k] *= -job_.climb.scale[k];
      runs_[which[c]].tell(-value_[c], gradient);
    }
    return true;
  }

  const ClimbJob& job_;
  Evaluator evaluator_;
  std::vector<Minimizer> runs_;
  Numbers scaled_, points_, gradient_;
  double value_[kBlock];
};

bool makes_sense(int kernel, const gpbo_improvement* asked) {
  if (kernel < GPBO_MATERN52 || kernel >= GPBO_KERNELS || !asked) return false;
  if (kernel == GPBO_RATIONAL_QUADRATIC) return false;  // a belief has no shape
  const gpbo_belief &o = asked->objective, &s = asked->success;
  return asked->d >= 0 && o.n >= 0 && o.samples > 0 && s.n >= 0 &&
         (s.samples == 0 || s.samples == 1);
}

int64_t blocks_of(int64_t count) { return (count + kBlock - 1) / kBlock; }

}  // namespace
}  // namespace gpbo

extern "C" {

int gpbo_cpu_improvement(int kernel, const gpbo_improvement* improvement, int64_t count,
                         const double* x, double* value, double* gradient, int threads) {
  if (!gpbo::makes_sense(kernel, improvement) || count < 0) return GPBO_BAD_ARGUMENT;
  try {
    const gpbo::ValueJob job{{kernel, *improvement}, count, x, value, gradient};
    return gpbo::run_units<gpbo::ValueWorker>(job, gpbo::blocks_of(count), threads);
  } catch (const std::bad_alloc&) {
    return GPBO_OUT_OF_MEMORY;
  }
}

int gpbo_cpu_climb(int kernel, const gpbo_improvement* improvement, const gpbo_climb* climb,
                   int threads) {
  if (!gpbo::makes_sense(kernel, improvement) || !climb || climb->count < 0)
    return GPBO_BAD_ARGUMENT;
  try {
    const gpbo::ClimbJob job{{kernel, *improvement}, *climb};
    return gpbo::run_units<gpbo::ClimbWorker>(job, gpbo::blocks_of(climb->count), threads);
  } catch (const std::bad_alloc&) {
    return GPBO_OUT_OF_MEMORY;
  }
}

}  // extern "C"
