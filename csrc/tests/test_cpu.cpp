// The CPU library through its C interface, without Python.

#include <algorithm>
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

int matrix(int kernel, const gpbo_pairs* p, double* value, double* slope, int threads) {
  gpbo_matrix m{};
  m.value = value, m.slope = slope;
  return gpbo_cpu_kernel_matrix(kernel, p, &m, threads);
}

void check_values(int64_t batch, int64_t n, int64_t m, int64_t d) {
  const Case c(batch, n, m, d);
  const gpbo_pairs p = c.pairs();
  std::vector<double> value(batch * n * m, NAN), threaded(value), slope(value);
  expect(matrix(GPBO_MATERN52, &p, value.data(), slope.data(), 1) == GPBO_OK,
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
  matrix(GPBO_MATERN52, &p, threaded.data(), nullptr, 4);
  expect(threaded == value, "threads do not change a bit");
}

void check_symmetric(int64_t n, int64_t d) {
  Case c(2, n, n, d);
  c.x2 = c.x1;
  const gpbo_pairs one = c.pairs(true), two = c.pairs(false);
  std::vector<double> mirrored(2 * n * n, NAN), full(mirrored);
  matrix(GPBO_MATERN52, &one, mirrored.data(), nullptr, 1);
  matrix(GPBO_MATERN52, &two, full.data(), nullptr, 1);
  expect(mirrored == full, "the mirrored triangle is the computed one");
}

// Every kernel and op over sizes around the edges of tiles: what a sanitizer would object to.
void check_every_op(int64_t n, int64_t m, int64_t d) {
  const Case c(2, n, m, d);
  const double alpha = 0.7, scale = 1.3;
  std::vector<double> value(2 * n * std::max(n, m)), slope(value), by_shape(value);
  std::vector<double> diagonal(n, 0.1), y(n, 1.0), point1(2 * n * d), point2(2 * m * d);
  std::vector<double> v(2 * std::max(n, m) * 3, 0.5), out(2 * n * 3), lengths(2 * d), numbers(20);
  for (int kernel = GPBO_MATERN52; kernel < GPBO_KERNELS; ++kernel)
    for (const bool symmetric : {true, false}) {
      gpbo_pairs p = c.pairs(symmetric);
      p.shape = &alpha;
      gpbo_matrix whole{};
      whole.value = value.data(), whole.slope = slope.data(), whole.by_shape = by_shape.data();
      whole.outputscale = &scale;
      whole.diagonal = diagonal.data(), whole.diagonal_row = n <= m || symmetric ? 1 : 0;
      expect(gpbo_cpu_kernel_matrix(kernel, &p, &whole, 2) == GPBO_OK, "matrix");
      gpbo_contraction sums{};
      sums.weight = value.data(), sums.weight_batch = p.n * p.m, sums.weight_row = p.m;
      sums.weight_column = 1;
      sums.left = v.data(), sums.right = v.data(), sums.rank = 3;
      sums.by_lengthscale = lengths.data(), sums.by_shape = numbers.data();
      sums.total = numbers.data() + 2, sums.by_x1 = point1.data();
      if (!symmetric) sums.by_x2 = point2.data();
      std::vector<double> partial(gpbo_cpu_contract_scratch(&p, &sums));
      sums.partial = partial.data();
      expect(gpbo_cpu_contract(kernel, &p, &sums, 2) == GPBO_OK, "contraction");
      gpbo_product product{};
      product.v = v.data(), product.v_batch = p.m * 3, product.v_row = 3, product.v_column = 1;
      product.columns = 3, product.product = out.data();
      expect(gpbo_cpu_product(kernel, &p, &product, 2) == GPBO_OK, "product");
      if (!symmetric) continue;
      const double jitters[] = {0.0, 1e-3};
      std::vector<double> by_diagonal(2 * n), weights(2 * n);
      gpbo_likelihood asked{};
      asked.y = y.data(), asked.y_row = 1;
      asked.diagonal = diagonal.data(), asked.diagonal_row = 1;
      asked.profile = 1, asked.jitter_count = 2, asked.jitters = jitters;
      asked.mean = numbers.data(), asked.value = numbers.data() + 2;
      asked.jitter = numbers.data() + 4, asked.by_outputscale = numbers.data() + 6;
      asked.by_shape = numbers.data() + 8, asked.by_mean = numbers.data() + 10;
      asked.log_determinant = numbers.data() + 12, asked.by_lengthscale = lengths.data();
      asked.by_diagonal = by_diagonal.data(), asked.weights = weights.data();
      expect(gpbo_cpu_likelihood(kernel, &p, &asked, 2) == GPBO_OK, "likelihood");
      expect(std::isfinite(numbers[2]) && std::fabs(numbers[0] - 1) < 1e-9,
             "the mean of equal observations is their value");
    }
}

// Fits with and without groups, from points of which one is not finite.
void check_fit(int64_t n, int64_t d) {
  const Case c(1, n, n, d);
  gpbo_pairs p = c.pairs(true);
  p.lengthscale = nullptr;
  std::vector<int64_t> groups(d, 0);
  for (const bool grouped : {false, true}) {
    const int64_t g = grouped ? 1 : d, size = g + 2, starts = 3;
    std::vector<double> y(n), known(n), unknown(n), start(starts * size, -0.5), prior(4 * size);
    for (int64_t i = 0; i < n; ++i)
      y[i] = std::sin(3.0 * i), unknown[i] = i % 2, known[i] = 0.1 * (1 - unknown[i]);
    std::fill(prior.begin() + 2 * size, prior.begin() + 3 * size, -0.5);  // standard normal
    for (int64_t i = 0; i < size; ++i) start[size + i] = 0.1 * i, start[2 * size + i] = NAN;
    const std::vector<double> lower(size, -6.0), upper(size, 6.0);
    const double jitters[] = {0.0, 1e-6};
    gpbo_fit fit{};
    fit.y = y.data(), fit.y_row = 1, fit.known = known.data(), fit.unknown = unknown.data();
    fit.groups = grouped ? groups.data() : nullptr, fit.group_count = g;
    fit.starts = starts, fit.start = start.data(), fit.prior = prior.data();
    fit.lower = lower.data(), fit.upper = upper.data();
    fit.jitter_count = 2, fit.jitters = jitters;
    fit.iterations = 200, fit.gradient = 1e-7;
    std::vector<double> theta(starts * size), results(3 * starts), once;
    std::vector<int64_t> counts(3 * starts);
    fit.theta = theta.data(), fit.log_posterior = results.data(), fit.counts = counts.data();
    fit.gradient_norm = results.data() + starts, fit.jitter = results.data() + 2 * starts;
    std::vector<double> inverse(starts * size * size);
    fit.inverse = inverse.data();
    for (int threads : {1, 3}) {
      expect(gpbo_cpu_fit(GPBO_MATERN52, &p, &fit, threads) == GPBO_OK, "fit");
      expect(results[starts] < 1e-4 && results[starts + 1] < 1e-4, "a fit ends at a maximum");
      expect(std::isnan(results[2]) && counts[8] == 0, "a start that is nan ends at once");
      if (once.empty()) once = theta;
      for (int64_t i = 0; i < 2 * size; ++i)
        expect(theta[i] == once[i], "threads do not change a bit of a fit");
    }
    const std::vector<double> metric(inverse.begin(), inverse.begin() + size * size);
    const int64_t before = counts[1];
    fit.metric = metric.data(), fit.decrement = 1e-9;
    expect(gpbo_cpu_fit(GPBO_MATERN52, &p, &fit, 2) == GPBO_OK, "fit with a metric");
    expect(counts[1] <= before + 5, "a metric does not slow a fit down");
    expect(std::fabs(theta[0] - once[0]) < 1e-2, "a metric leads to the same maximum");
    fit.metric = nullptr;
    groups[0] = 1;
    expect(!grouped || gpbo_cpu_fit(GPBO_MATERN52, &p, &fit, 1) == GPBO_BAD_ARGUMENT,
           "a group that is none is refused");
    p.dtype = GPBO_FLOAT32;
    expect(gpbo_cpu_fit(GPBO_MATERN52, &p, &fit, 1) == GPBO_BAD_ARGUMENT, "a fit is in float64");
    p.dtype = GPBO_FLOAT64, groups[0] = 0;
  }
}

void check_refusals() {
  const Case c(1, 3, 4, 2);
  double value[12];
  gpbo_pairs p = c.pairs();
  expect(matrix(99, &p, value, nullptr, 1) == GPBO_BAD_ARGUMENT, "an unknown kernel is refused");
  expect(matrix(GPBO_MATERN52, nullptr, value, nullptr, 1) == GPBO_BAD_ARGUMENT,
         "no problem is refused");
  expect(matrix(GPBO_RATIONAL_QUADRATIC, &p, value, nullptr, 1) == GPBO_BAD_ARGUMENT,
         "a missing shape is refused");
  p.dtype = 5;
  expect(matrix(GPBO_MATERN52, &p, value, nullptr, 1) == GPBO_BAD_ARGUMENT,
         "an unknown dtype is refused");
  p = c.pairs();
  p.n = 0;
  expect(matrix(GPBO_MATERN52, &p, nullptr, nullptr, 1) == GPBO_OK, "nothing to do is fine");
  p = c.pairs();
  const double bad[] = {1.0, -1.0};
  p.lengthscale = bad;
  expect(matrix(GPBO_MATERN52, &p, value, nullptr, 1) == GPBO_BAD_LENGTHSCALE,
         "a negative lengthscale is refused");
}

}  // namespace

int main() {
  expect(gpbo_cpu_abi() == GPBO_ABI, "the library is of this header's version");
  for (int64_t n : {1, 31, 32, 33, 70})
    for (int64_t m : {1, 5, 32, 65})
      for (int64_t d : {1, 3, 17}) check_values(2, n, m, d);
  // The last two are written past the caches, with and without rows that begin on lines.
  for (int64_t n : {1, 32, 33, 100, 640, 643}) check_symmetric(n, 5);
  for (int64_t n : {1, 16, 31, 70})
    for (int64_t m : {1, 33})
      for (int64_t d : {0, 1, 5}) check_every_op(n, m, d);
  check_every_op(420, 1, 2);  // so many are eliminated in groups
  for (int64_t n : {0, 1, 2, 33})
    for (int64_t d : {1, 4}) check_fit(n, d);
  check_refusals();
  if (failures == 0) std::printf("all native tests passed\n");
  return failures != 0;
}
