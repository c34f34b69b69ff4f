// The CUDA library's kernels, run on a CPU (emulation/cuda_runtime.h), beside the CPU library.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "cuda_runtime.h"
#include "gpbo.h"

namespace {

int failures = 0;

void expect(bool holds, const char* what, int64_t n, int64_t m, int64_t d, int kernel) {
  if (holds) return;
  std::printf("failed: %s for %d points by %d in %d dimensions, kernel %d\n", what,
              static_cast<int>(n), static_cast<int>(m), static_cast<int>(d), kernel);
  ++failures;
}

template <typename T>
std::vector<T> draw(int64_t count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0.1, 1.0);
  std::vector<T> numbers(count);
  for (T& number : numbers) number = static_cast<T>(uniform(random));
  return numbers;
}

// Whether two results are the same up to rounding, in shares of the largest number; nan is nowhere.
template <typename T>
bool alike(const std::vector<T>& a, const std::vector<T>& b) {
  T most = 0, apart = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return false;
    most = std::max(most, std::fabs(b[i]));
    apart = std::max(apart, std::fabs(a[i] - b[i]));
  }
  return apart <= most * (sizeof(T) == 8 ? T(1e-12) : T(2e-4));
}

// Two matrices of a problem whose points lie column by column where `turned`, and every other
// number apart; lengthscales and shapes of each matrix.
template <typename T>
struct Case {
  int64_t batch = 2, n, m, d;
  bool symmetric, turned;
  std::vector<T> x1, x2, lengthscale, shape;

  Case(int64_t n, int64_t m, int64_t d, bool symmetric, bool turned, double shrunk)
      : n(n),
        m(symmetric ? n : m),
        d(d),
        symmetric(symmetric),
        turned(turned),
        x1(draw<T>(2 * batch * n * d, 1)),
        x2(draw<T>(2 * batch * m * d, 2)),
        lengthscale(draw<T>(batch * d, 3)),
        shape(draw<T>(batch, 4)) {
    for (T& length : lengthscale) length = static_cast<T>(length * shrunk);
  }

  gpbo_pairs pairs() const {
    gpbo_pairs p{};
    p.dtype = sizeof(T) == 8 ? GPBO_FLOAT64 : GPBO_FLOAT32;
    p.symmetric = symmetric;
    p.batch = batch, p.n = n, p.m = m, p.d = d;
    p.x1 = x1.data(), p.x1_batch = 2 * n * d;
    p.x1_row = turned ? 2 : 2 * d, p.x1_column = turned ? 2 * n : 2;
    if (!symmetric) {
      p.x2 = x2.data(), p.x2_batch = 2 * m * d;
      p.x2_row = turned ? 2 : 2 * d, p.x2_column = turned ? 2 * m : 2;
    }
    p.lengthscale = lengthscale.data(), p.lengthscale_batch = d, p.lengthscale_column = 1;
    p.shape = shape.data(), p.shape_batch = 1;
    return p;
  }
};

template <typename T>
void check_matrix(const Case<T>& c, int kernel) {
  const gpbo_pairs p = c.pairs();
  const std::vector<T> scale = draw<T>(c.batch, 5), diagonal = draw<T>(2 * c.batch * c.n, 6);
  for (const bool whole : {true, false}) {
    std::vector<T> got[3], want[3];
    gpbo_matrix on[2] = {};
    for (int library : {0, 1}) {
      auto& results = library ? want : got;
      for (auto& result : results) result.assign(c.batch * c.n * c.m, T(NAN));
      gpbo_matrix& asked = on[library];
      asked.value = results[0].data();
      if (whole) {
        asked.slope = results[1].data(), asked.by_shape = results[2].data();
        asked.outputscale = scale.data(), asked.outputscale_batch = 1;
        asked.diagonal = diagonal.data(), asked.diagonal_batch = 2 * c.n, asked.diagonal_row = 2;
      }
    }
    const bool done = gpbo_cuda_kernel_matrix(kernel, &p, &on[0], 0, nullptr) == GPBO_OK &&
                      gpbo_cpu_kernel_matrix(kernel, &p, &on[1], 1) == GPBO_OK;
    bool same = done;
    for (int k = 0; k < (whole ? 3 : 1); ++k) same = same && alike(got[k], want[k]);
    expect(same, "a matrix is not the CPU's", c.n, c.m, c.d, kernel);
  }
}

template <typename T>
void check_contraction(const Case<T>& c, int kernel) {
  const gpbo_pairs p = c.pairs();
  const std::vector<T> weight = draw<T>(2 * c.batch * c.n * c.m, 7);
  const std::vector<T> left = draw<T>(c.batch * c.n * 3, 8), right = draw<T>(c.batch * c.m * 3, 9);
  // Everything, the two numbers alone, a product alone, points of one side alone.
  for (int what = 0; what < 5; ++what) {
    if (what == 4 && c.symmetric) continue;
    std::vector<T> got[5], want[5], partial[2];
    for (int library : {0, 1}) {
      auto& results = library ? want : got;
      gpbo_contraction sums{};
      if (what != 2) {
        sums.weight = weight.data(), sums.weight_batch = 2 * c.n * c.m;
        sums.weight_row = c.turned ? 2 : 2 * c.m, sums.weight_column = c.turned ? 2 * c.n : 2;
      }
      if (what != 1) sums.left = left.data(), sums.right = right.data(), sums.rank = 3;
      const int64_t sizes[5] = {c.batch, c.batch, c.batch * c.d, c.batch * c.n * c.d,
                                c.symmetric ? 0 : c.batch * c.m * c.d};
      void** const wanted[5] = {&sums.by_shape, &sums.total, &sums.by_lengthscale, &sums.by_x1,
                                &sums.by_x2};
      for (int k = 0; k < 5; ++k) {
        if ((what == 1 && k > 1) || (what > 2 && k != what) || (k == 4 && c.symmetric)) continue;
        results[k].assign(sizes[k], T(NAN));
        *wanted[k] = results[k].data();
      }
      partial[library].assign(
          library ? gpbo_cpu_contract_scratch(&p, &sums) : gpbo_cuda_contract_scratch(&p, &sums),
          T(NAN));
      sums.partial = partial[library].data();
      const int status = library ? gpbo_cpu_contract(kernel, &p, &sums, 1)
                                 : gpbo_cuda_contract(kernel, &p, &sums, 0, nullptr);
      expect(status == GPBO_OK, "a contraction fails", c.n, c.m, c.d, kernel);
    }
    bool same = true;
    for (int k = 0; k < 5; ++k) same = same && alike(got[k], want[k]);
    expect(same, "a contraction is not the CPU's", c.n, c.m, c.d, kernel);
  }
}

template <typename T>
void check_product(const Case<T>& c, int kernel) {
  const gpbo_pairs p = c.pairs();
  for (const int64_t columns : {1, 11}) {
    const std::vector<T> v = draw<T>(2 * c.batch * c.m * columns, 10);
    std::vector<T> got(c.batch * c.n * columns, T(NAN)), want(got);
    for (int library : {0, 1}) {
      gpbo_product asked{};
      asked.v = v.data(), asked.v_batch = 2 * c.m * columns, asked.columns = columns;
      asked.v_row = c.turned ? 2 : 2 * columns, asked.v_column = c.turned ? 2 * c.m : 2;
      asked.product = library ? want.data() : got.data();
      const int status = library ? gpbo_cpu_product(kernel, &p, &asked, 1)
                                 : gpbo_cuda_product(kernel, &p, &asked, 0, nullptr);
      expect(status == GPBO_OK, "a product fails", c.n, c.m, c.d, kernel);
    }
    expect(alike(got, want), "a product is not the CPU's", c.n, c.m, c.d, kernel);
  }
}

// `shrunk`: what lengthscales are multiplied by.
template <typename T>
void check(int64_t n, int64_t m, int64_t d, int kernel, double shrunk = 1) {
  for (const bool symmetric : {true, false}) {
    const Case<T> c(n, m, d, symmetric, kernel % 2, shrunk);
    check_matrix(c, kernel);
    check_contraction(c, kernel);
    check_product(c, kernel);
  }
}

}  // namespace

int main() {
  for (const bool backwards : {false, true}) {
    emulation::backwards = backwards;
    int kernel = GPBO_MATERN52;  // another one for every size
    for (int64_t n : {1, 31, 65})
      for (int64_t m : {1, 70})
        for (int64_t d : {1, 16, 35}) {
          check<double>(n, m, d, kernel);
          kernel = (kernel + 1) % GPBO_KERNELS;
        }
    check<float>(33, 40, 5, GPBO_MATERN52);
    check<double>(130, 3, 2, GPBO_MATERN52);
    for (int far = GPBO_MATERN52; far < GPBO_KERNELS; ++far)
      for (const double shrunk : {3e-3, 1e-12}) check<double>(40, 3, 3, far, shrunk);
    check<double>(5, 3, 0, GPBO_RBF);
    check<double>(0, 3, 2, GPBO_RBF);
    check<double>(3, 0, 2, GPBO_RBF);
  }
  if (failures == 0) std::printf("all native tests passed\n");
  return failures != 0;
}
