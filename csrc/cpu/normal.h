// Logs of what a standard normal variable does in its tail, with their slopes.
//
// For z = -t the Mills ratio R = Phi(-t) / phi(t) is the continued fraction 1 / (t + c) with
// c = 1 / (t + 2 / (t + 3 / (t + ...))) (Abramowitz & Stegun 26.2.14). In terms of c nothing
// cancels:
//   log Phi(-t) = log phi(t) - log(t + c),  its slope t + c
//   h = phi + z Phi = phi (1 - t R) = phi c / (t + c),  log h has slope Phi / h = 1 / c
#pragma once

#include <cmath>

namespace gpbo {

constexpr double kLogRootTwoPi = 0.91893853320467274178;
constexpr double kRootHalf = 0.70710678118654752440;
constexpr double kTail = -5.0;  // below: the continued fraction; above, cancellation costs 3 digits

struct Sloped {
  double value, slope;
};

// c for t >= 5; so many terms leave half a unit in the last place.
inline double tail_fraction(double t) {
  const int terms = 9 + static_cast<int>(450.0 / (t * t));
  double rest = t;
  for (int k = terms; k > 1; --k) rest = t + k / rest;
  return 1.0 / rest;
}

// log(phi(z) + z Phi(z)), the log of what a standard normal variable is expected to exceed -z by.
inline Sloped log_h(double z) {
  if (z > kTail) {
    const double density = std::exp(-0.5 * z * z - kLogRootTwoPi);
    const double cdf = 0.5 * std::erfc(-z * kRootHalf), h = density + z * cdf;
    return {std::log(h), cdf / h};
  }
  const double c = tail_fraction(-z);
  return {-0.5 * z * z - kLogRootTwoPi + std::log(c / (c - z)), 1.0 / c};
}

// log Phi(z).
inline Sloped log_cdf(double z) {
  if (z > kTail) {
    const double cdf = 0.5 * std::erfc(-z * kRootHalf);
    return {std::log(cdf), std::exp(-0.5 * z * z - kLogRootTwoPi) / cdf};
  }
  const double c = tail_fraction(-z);
  return {-0.5 * z * z - kLogRootTwoPi - std::log(c - z), c - z};
}

}  // namespace gpbo
