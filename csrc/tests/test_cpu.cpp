// The CPU library through its C interface, without Python.

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "gpbo.h"

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::printf("failed: %s\n", what);
  ++failures;
}

// Dense points (batch, n, d) and (batch, m, d), one row of lengthscales for all.
struct Case {
  int64_t batch, n, m, d;
  std::vector<double> x1, x2, lengthscale;

  Case(int64_t batch, int64_t n, int64_t m, int64_t d) : batch(batch), n(n), m(m), d(d) {
    std::mt19937_64 random(7);
    std::uniform_real_distribution<double> uniform(0.1, 1.0);
    x1.resize(batch * n * d);
    x2.resize(batch * m * d);
    lengthscale.resize(d);
    for (auto* values : {&x1, &x2, &lengthscale})
      for (double& value : *values) value = uniform(random);
  }

  gpbo_pairs pairs(bool symmetric = false) const {
    gpbo_pairs p{};
    p.dtype = GPBO_FLOAT64;
    p.symmetric = symmetric;
    p.batch = batch, p.n = n, p.m = symmetric ? n : m, p.d = d;
    p.x1 = x1.data(), p.x1_batch = n * d, p.x1_row = d, p.x1_column = 1;
    if (!symmetric) p.x2 = x2.data(), p.x2_batch = m * d, p.x2_row = d, p.x2_column = 1;
    p.lengthscale = lengthscale.data(), p.lengthscale_column = 1;
    return p;
  }
};

double matern52(const double* a, const double* b, const std::vector<double>& lengthscale) {
  double r2 = 0;
  for (size_t k = 0; k < lengthscale.size(); ++k) r2 += std::pow((a[k] - b[k]) / lengthscale[k], 2);
  const double s = std::sqrt(5 * r2);
  return (1 + s + s * s / 3) * std::exp(-s);
}

void check_values(int64_t batch, int64_t n, int64_t m, int64_t d) {
  const Case c(batch, n, m, d);
  const gpbo_pairs p = c.pairs();
  std::vector<double> value(batch * n * m, NAN), threaded(value), slope(value);
  expect(gpbo_cpu_kernel_matrix(GPBO_MATERN52, &p, value.data(), slope.data(), 1) == GPBO_OK,
         "a good call is accepted");
  double worst = 0;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < m; ++j) {
        const double right =
            matern52(&c.x1[(b * n + i) * d], &c.x2[(b * m + j) * d], c.lengthscale);
        worst = std::max(worst, std::fabs(value[(b * n + i) * m + j] / right - 1));
      }
  expect(worst < 1e-13, "values are those of the formula");
  gpbo_cpu_kernel_matrix(GPBO_MATERN52, &p, threaded.data(), nullptr, 4);
  expect(threaded == value, "threads do not change a bit");
}

void check_symmetric(int64_t n, int64_t d) {
  Case c(2, n, n, d);
  c.x2 = c.x1;
  const gpbo_pairs one = c.pairs(true), two = c.pairs(false);
  std::vector<double> mirrored(2 * n * n, NAN), full(mirrored);
  gpbo_cpu_kernel_matrix(GPBO_MATERN52, &one, mirrored.data(), nullptr, 1);
  gpbo_cpu_kernel_matrix(GPBO_MATERN52, &two, full.data(), nullptr, 1);
  expect(mirrored == full, "the mirrored triangle is the computed one");
}

void check_refusals() {
  const Case c(1, 3, 4, 2);
  double value[12];
  gpbo_pairs p = c.pairs();
  expect(gpbo_cpu_kernel_matrix(99, &p, value, nullptr, 1) == GPBO_BAD_ARGUMENT,
         "an unknown kernel is refused");
  expect(gpbo_cpu_kernel_matrix(GPBO_MATERN52, nullptr, value, nullptr, 1) == GPBO_BAD_ARGUMENT,
         "no problem is refused");
  p.dtype = 5;
  expect(gpbo_cpu_kernel_matrix(GPBO_MATERN52, &p, value, nullptr, 1) == GPBO_BAD_ARGUMENT,
         "an unknown dtype is refused");
  p = c.pairs();
  p.n = 0;
  expect(gpbo_cpu_kernel_matrix(GPBO_MATERN52, &p, nullptr, nullptr, 1) == GPBO_OK,
         "nothing to do is fine");
}

}  // namespace

int main() {
  expect(gpbo_cpu_abi() == GPBO_ABI, "the library is of this header's version");
  for (int64_t n : {1, 31, 32, 33, 70})
    for (int64_t m : {1, 5, 32, 65})
      for (int64_t d : {1, 3, 17}) check_values(2, n, m, d);
  for (int64_t n : {1, 32, 33, 100}) check_symmetric(n, 5);
  check_refusals();
  if (failures == 0) std::printf("all native tests passed\n");
  return failures != 0;
}
