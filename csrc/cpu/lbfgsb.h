// Minimization in a box by limited-memory BFGS, one run: it says at which point it wants the
// function, is told value and gradient, and goes on. So many runs can share each evaluation.
//
// A direction comes from the last steps (two-loop recursion) over the coordinates that are not held
// on a bound by the gradient; its end is brought back into the box, and the search is along the
// straight segment to there, on which the function is smooth. gpbo/lbfgsb.py does the same for a
// batch of tensors, with an exact treatment of bounds that short runs do not need.
// Sources: Nocedal & Wright 2006, algorithm 7.4; Bertsekas 1982, doi:10.1137/0320018 (bounds);
// Lewis & Overton 2013, doi:10.1007/s10107-012-0514-2, algorithm 2.6 (the line search).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace gpbo {

struct Stop {
  int64_t iterations;    // at most
  double gradient;       // largest entry of the projected gradient
  double value;          // decrease / max(|f|, |f before|, 1)
  int64_t memory = 10;   // steps that are remembered
  double decrement = 0;  // decrease that the next step promises; with a metric only
};

class Minimizer {
 public:
  // x: where to start; lower <= upper. The arrays are read during the call only, but metric (p, p)
  // until the end: the inverse of the curvature to begin with, null where it is not known.
  void start(int64_t p, const double* x, const double* lower, const double* upper, const Stop& stop,
             const double* metric = nullptr) {
    p_ = p, stop_ = stop, metric_ = metric;
    const size_t size = static_cast<size_t>(p), pairs = size * static_cast<size_t>(stop.memory);
    lower_.assign(lower, lower + p), upper_.assign(upper, upper + p);
    x_.resize(size), tried_.resize(size), grad_.assign(size, 0.0), direction_.assign(size, 0.0);
    free_.assign(size, 1), metric_step_.resize(size);
    s_.resize(pairs), y_.resize(pairs), share_.resize(static_cast<size_t>(stop.memory));
    for (int64_t i = 0; i < p; ++i) x_[i] = std::min(std::max(x[i], lower[i]), upper[i]);
    tried_ = x_;
    count_ = 0, iterations_ = evaluations_ = restarted_ = trials_ = 0;
    started_ = done_ = converged_ = false;
  }

  bool done() const { return done_; }
  bool converged() const { return converged_; }
  int64_t iterations() const { return iterations_; }
  int64_t evaluations() const { return evaluations_; }
  double value() const { return value_; }
  double gradient_norm() const { return norm_; }
  // The best point so far, and the point whose value is wanted next.
  const double* best() const { return x_.data(); }
  const double* tried() const { return tried_.data(); }

  // The inverse curvature (p, p) as it is known by now, without regard to the box.
  void inverse(double* out) {
    free_.assign(free_.size(), 1);
    const double scale = first_scale();
    for (int64_t k = 0; k < p_; ++k) {
      std::fill(direction_.begin(), direction_.end(), 0.0);
      direction_[k] = 1.0;
      multiply(scale);
      std::copy_n(direction_.data(), p_, out + k * p_);
    }
  }

  // Value and gradient at tried(). What is not finite makes the search step back.
  void tell(double value, const double* grad) {
    ++evaluations_;
    const bool finite = std::isfinite(value) && all_finite(grad);
    if (!started_) return begin(value, grad, finite);
    ++trials_;
    double slope = 0.0;
    for (int64_t i = 0; i < p_; ++i) slope += grad[i] * direction_[i];
    const double gain = value_ - value;
    // Near the minimum the gain drowns in rounding; there the slope tells (Hager & Zhang 2005,
    // doi:10.1137/030601880, eq. 4.1).
    const bool level = gain >= -kRounding * std::fabs(value_);
    const bool enough = finite && (gain >= -kArmijo * step_ * slope_ ||
                                   (level && slope <= (2 * kArmijo - 1) * slope_));
    const bool steep = enough && slope < kWolfe * slope_ && step_ < limit_;
    if (enough && !steep) return accept(value, grad);
    if (trials_ >= kTrials) return give_up();
    correct(value, finite, !enough);
    place();
  }

 private:
  static constexpr double kArmijo =
      1e-4;                              // the decrease that a step must give, of what was promised
  static constexpr double kWolfe = 0.9;  // the share of the slope that may be left
  static constexpr double kRounding = 1e-15;
  static constexpr double kUsable = 1e-10;  // the least cosine that is taken for curvature
  static constexpr int kTrials = 20;        // points of one line search

  void begin(double value, const double* grad, bool finite) {
    started_ = true;
    value_ = value;
    std::copy_n(grad, p_, grad_.data());
    norm_ = projected_norm();
    if (!finite) {
      done_ = true;
      return;
    }
    converged_ = norm_ <= stop_.gradient;
    done_ = converged_ || stop_.iterations == 0;
    if (!done_) aim();
  }

  void accept(double value, const double* grad) {
    learn(grad);
    const double size = std::max({std::fabs(value_), std::fabs(value), 1.0});
    const bool settled = value_ - value <= stop_.value * size;
    x_ = tried_;
    value_ = value;
    std::copy_n(grad, p_, grad_.data());
    ++iterations_;
    norm_ = projected_norm();
    converged_ = settled || norm_ <= stop_.gradient;
    done_ = converged_ || iterations_ >= stop_.iterations;
    if (!done_) aim();
  }

  // Nothing lower on this segment: start over without what was learned; when just started, stop.
  void give_up() {
    if ((count_ == 0 && !metric_) || restarted_ == iterations_ + 1) {
      done_ = true;
      return;
    }
    restarted_ = iterations_ + 1;
    count_ = 0, metric_ = nullptr;
    aim();
  }

  void correct(double value, bool finite, bool too_long) {
    (too_long ? long_ : short_) = step_;
    if (!std::isfinite(long_)) {
      step_ = std::min(4 * step_, limit_);
      return;
    }
    const double width = long_ - short_;
    double next = short_ + 0.5 * width;
    // The minimum of the parabola through f(0), f'(0) and f(t), kept well inside the bracket.
    const double bend = 2 * (value - value_ - step_ * slope_);
    if (finite && short_ == 0.0 && bend > 0) next = -slope_ * step_ * step_ / bend;
    step_ = std::min(std::max(next, short_ + 0.1 * width), short_ + 0.5 * width);
  }

  // Remembers the last step in place of the oldest one, if it shows curvature.
  void learn(const double* grad) {
    double sy = 0.0, ss = 0.0, yy = 0.0;
    for (int64_t i = 0; i < p_; ++i) {
      const double s = tried_[i] - x_[i], y = grad[i] - grad_[i];
      sy += s * y, ss += s * s, yy += y * y;
    }
    if (!(sy > kUsable * std::sqrt(ss * yy))) return;
    const int64_t at = count_++ % stop_.memory;
    for (int64_t i = 0; i < p_; ++i)
      s_[at * p_ + i] = tried_[i] - x_[i], y_[at * p_ + i] = grad[i] - grad_[i];
  }

  void aim() {
    for (int64_t i = 0; i < p_; ++i)
      free_[i] = !((x_[i] <= lower_[i] && grad_[i] >= 0) || (x_[i] >= upper_[i] && grad_[i] <= 0));
    quasi_newton();
    if (!towards()) {  // the box or rounding made an ascent of it: straight down instead
      count_ = 0, metric_ = nullptr;
      quasi_newton();
      towards();
    }
    if (metric_ && iterations_ > 0 && -0.5 * slope_ <= stop_.decrement) {
      done_ = converged_ = true;
      return;
    }
    limit_ = std::numeric_limits<double>::infinity();
    for (int64_t i = 0; i < p_; ++i)
      if (direction_[i] != 0.0)
        limit_ =
            std::min(limit_, ((direction_[i] > 0 ? upper_[i] : lower_[i]) - x_[i]) / direction_[i]);
    limit_ = std::max(limit_, 1.0);
    step_ = 1.0, short_ = 0.0, long_ = std::numeric_limits<double>::infinity(), trials_ = 0;
    if (!(slope_ < 0)) {  // nowhere to go
      done_ = true;
      return;
    }
    place();
  }

  // direction = -H g over the free coordinates; without anything to learn from, of length one.
  void quasi_newton() {
    double size = 0.0;
    for (int64_t i = 0; i < p_; ++i) {
      direction_[i] = free_[i] ? -grad_[i] : 0.0;
      size += direction_[i] * direction_[i];
    }
    const double scale = first_scale();
    multiply(scale > 0 ? scale : size > 0 ? 1.0 / std::sqrt(size) : 1.0);
  }

  // The inverse curvature along the last step over the free coordinates; 0 where none is known.
  double first_scale() const {
    const int64_t m = stop_.memory, kept = std::min(count_, m);
    for (int64_t q = count_ - 1; q >= count_ - kept; --q) {
      const Pair pair = over_free(q % m);
      if (pair.usable) return pair.sy / pair.yy;
    }
    return 0.0;
  }

  // direction = H direction over the free coordinates, where H begins as the metric, or as a
  // multiple of the identity.
  void multiply(double scale) {
    const int64_t m = stop_.memory, kept = std::min(count_, m);
    for (int64_t q = count_ - 1; q >= count_ - kept; --q) {
      const double *s = &s_[q % m * p_], *y = &y_[q % m * p_];
      const Pair pair = over_free(q % m);
      double sd = 0.0;
      for (int64_t i = 0; i < p_; ++i)
        if (free_[i]) sd += s[i] * direction_[i];
      double& share = share_[q % m];
      share = pair.usable ? sd / pair.sy : std::numeric_limits<double>::quiet_NaN();
      if (!pair.usable) continue;  // over these coordinates it shows no curvature
      for (int64_t i = 0; i < p_; ++i)
        if (free_[i]) direction_[i] -= share * y[i];
    }
    begin_with(scale);
    for (int64_t q = count_ - kept; q < count_; ++q) {
      const double *s = &s_[q % m * p_], *y = &y_[q % m * p_], share = share_[q % m];
      if (std::isnan(share)) continue;
      double sy = 0.0, yd = 0.0;
      for (int64_t i = 0; i < p_; ++i)
        if (free_[i]) sy += s[i] * y[i], yd += y[i] * direction_[i];
      for (int64_t i = 0; i < p_; ++i)
        if (free_[i]) direction_[i] += (share - yd / sy) * s[i];
    }
  }

  void begin_with(double scale) {
    if (!metric_) {
      for (int64_t i = 0; i < p_; ++i) direction_[i] *= scale;
      return;
    }
    for (int64_t i = 0; i < p_; ++i) {
      double sum = 0.0;
      for (int64_t j = 0; j < p_; ++j) sum += metric_[i * p_ + j] * direction_[j];
      metric_step_[i] = free_[i] ? sum : 0.0;
    }
    std::copy_n(metric_step_.data(), p_, direction_.data());
  }

  struct Pair {
    double sy, yy;
    bool usable;
  };

  Pair over_free(int64_t at) const {
    const double *s = &s_[at * p_], *y = &y_[at * p_];
    double sy = 0.0, ss = 0.0, yy = 0.0;
    for (int64_t i = 0; i < p_; ++i)
      if (free_[i]) sy += s[i] * y[i], ss += s[i] * s[i], yy += y[i] * y[i];
    return {sy, yy, sy > kUsable * std::sqrt(ss * yy)};
  }

  // Cuts the direction off at the box; whether it leads downhill.
  bool towards() {
    slope_ = 0.0;
    double dd = 0.0, gg = 0.0;
    for (int64_t i = 0; i < p_; ++i) {
      direction_[i] = std::min(std::max(x_[i] + direction_[i], lower_[i]), upper_[i]) - x_[i];
      slope_ += direction_[i] * grad_[i];
      dd += direction_[i] * direction_[i];
      if (free_[i]) gg += grad_[i] * grad_[i];
    }
    return slope_ < -kUsable * std::sqrt(dd * gg);
  }

  void place() {
    for (int64_t i = 0; i < p_; ++i)
      tried_[i] = std::min(std::max(x_[i] + step_ * direction_[i], lower_[i]), upper_[i]);
  }

  double projected_norm() const {
    double norm = 0.0;
    for (int64_t i = 0; i < p_; ++i)
      norm = std::max(
          norm, std::fabs(std::min(std::max(x_[i] - grad_[i], lower_[i]), upper_[i]) - x_[i]));
    return norm;
  }

  bool all_finite(const double* grad) const {
    double sum = 0.0;
    for (int64_t i = 0; i < p_; ++i) sum += grad[i] * 0.0;
    return sum == 0.0;
  }

  int64_t p_ = 0, count_ = 0, iterations_ = 0, evaluations_ = 0, restarted_ = 0, trials_ = 0;
  Stop stop_{};
  bool started_ = false, done_ = false, converged_ = false;
  double value_ = 0.0, norm_ = 0.0, slope_ = 0.0, step_ = 1.0, limit_ = 1.0, short_ = 0.0,
         long_ = 0.0;
  const double* metric_ = nullptr;
  std::vector<double> lower_, upper_, x_, tried_, grad_, direction_, metric_step_, s_, y_, share_;
  std::vector<char> free_;
};

}  // namespace gpbo
