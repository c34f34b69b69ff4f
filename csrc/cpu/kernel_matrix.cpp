// Kernel matrices on the CPU.
//
// The matrix is cut into blocks of kBlock x kBlock pairs. A worker divides the points by the
// lengthscales once into its scratch, columns side by side in blocks so that the inner loops run
// over neighbours, then does each block in three steps in cache: squared distances, formula, copy
// out. In the symmetric case only blocks on and above the diagonal are computed, the others are
// mirrored. Every element is computed alone and in one order: neither threads nor blocks change a
// bit of it.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "../formula.h"
#include "../pairs.h"
#include "vector.h"

namespace gpbo {
namespace {

constexpr int64_t kBlock = 32;
constexpr int64_t kPairs = kBlock * kBlock;

template <typename T>
struct Points {
  const T* data;
  int64_t count, batch, row, column;
};

// r2[i][j] = sum over k of (a[i][k] - b[k][j])^2 for `rows` rows.
template <typename T>
GPBO_HD void distances(const T* a, const T* b, int64_t rows, int64_t d, T* r2) {
  for (int64_t i = 0; i < rows; ++i) {
    T sum[kBlock] = {};
    for (int64_t k = 0; k < d; ++k) {
      const T x = a[i * d + k];
      const T* y = b + k * kBlock;
      for (int64_t j = 0; j < kBlock; ++j) sum[j] += (x - y[j]) * (x - y[j]);
    }
    for (int64_t j = 0; j < kBlock; ++j) r2[i * kBlock + j] = sum[j];
  }
}

template <typename Kernel, typename T>
GPBO_HD void evaluate(const T* r2, int64_t pairs, T* value, T* slope) {
  if (value && slope) {
    for (int64_t p = 0; p < pairs; ++p) {
      value[p] = Kernel::value(r2[p]);
      slope[p] = Kernel::slope(r2[p]);
    }
  } else if (value) {
    for (int64_t p = 0; p < pairs; ++p) value[p] = Kernel::value(r2[p]);
  } else {
    for (int64_t p = 0; p < pairs; ++p) slope[p] = Kernel::slope(r2[p]);
  }
}

GPBO_CLONES void distances_of(const double* a, const double* b, int64_t rows, int64_t d,
                              double* r2) {
  distances(a, b, rows, d, r2);
}
GPBO_CLONES void distances_of(const float* a, const float* b, int64_t rows, int64_t d, float* r2) {
  distances(a, b, rows, d, r2);
}
GPBO_CLONES void matern52_of(const double* r2, int64_t pairs, double* value, double* slope) {
  evaluate<Matern52>(r2, pairs, value, slope);
}
GPBO_CLONES void matern52_of(const float* r2, int64_t pairs, float* value, float* slope) {
  evaluate<Matern52>(r2, pairs, value, slope);
}

template <typename T>
using Formula = void (*)(const T* r2, int64_t pairs, T* value, T* slope);

template <typename T>
Formula<T> formula_of(int kernel) {
  switch (kernel) {
    case GPBO_MATERN52:
      return matern52_of;
    default:
      return nullptr;
  }
}

template <typename T>
struct Job {
  Formula<T> formula;
  int64_t batch, d;
  Points<T> x1, x2;
  const T* lengthscale;
  int64_t lengthscale_batch, lengthscale_column;
  T* value;
  T* slope;
  int64_t stride;   // from row to row of value and slope
  bool symmetric;   // x2 is x1
  bool transposed;  // x1 and x2 have changed places

  int64_t row_blocks() const { return (x1.count + kBlock - 1) / kBlock; }
  int64_t column_blocks() const { return (x2.count + kBlock - 1) / kBlock; }
};

template <typename T>
class Worker {
 public:
  explicit Worker(const Job<T>& job) : job_(job) {}

  bool allocate() {
    const int64_t columns = job_.column_blocks() * kBlock;
    scratch_.reset(new (std::nothrow) T[3 * kPairs + (2 + kBlock + columns) * job_.d]);
    r2_ = scratch_.get();
    value_ = r2_ + kPairs;
    slope_ = value_ + kPairs;
    origin_ = slope_ + kPairs;
    inverse_ = origin_ + job_.d;
    a_ = inverse_ + job_.d;
    b_ = a_ + kBlock * job_.d;
    return scratch_ != nullptr;
  }

  // One row of blocks of one matrix. Units of the same matrix share what was scaled for it.
  void run(int64_t unit) {
    const int64_t batch = unit / job_.row_blocks(), row_block = unit % job_.row_blocks();
    if (batch != batch_) start_matrix(batch);
    const int64_t i = row_block * kBlock, rows = std::min(kBlock, job_.x1.count - i);
    for (int64_t r = 0; r < rows; ++r) scale(job_.x1, i + r, a_ + r * job_.d, 1);
    for (int64_t c = job_.symmetric ? row_block : 0; c < job_.column_blocks(); ++c) {
      distances_of(a_, b_ + c * kBlock * job_.d, rows, job_.d, r2_);
      job_.formula(r2_, rows * kBlock, job_.value ? value_ : nullptr,
                   job_.slope ? slope_ : nullptr);
      const int64_t j = c * kBlock, columns = std::min(kBlock, job_.x2.count - j);
      store(value_, job_.value, i, rows, j, columns);
      store(slope_, job_.slope, i, rows, j, columns);
    }
  }

 private:
  void start_matrix(int64_t batch) {
    batch_ = batch;
    const T* lengthscale = job_.lengthscale + batch * job_.lengthscale_batch;
    const T* first = job_.x1.data + batch * job_.x1.batch;
    for (int64_t k = 0; k < job_.d; ++k) {
      inverse_[k] = T(1) / positive(lengthscale[k * job_.lengthscale_column]);
      // Distances do not change when one point is taken off everywhere, and digits are kept.
      const T origin = first[k * job_.x1.column];
      origin_[k] = std::isfinite(origin) ? origin : T(0);
    }
    for (int64_t c = 0; c < job_.column_blocks(); ++c) {
      T* block = b_ + c * kBlock * job_.d;
      const int64_t columns = std::min(kBlock, job_.x2.count - c * kBlock);
      if (columns < kBlock) std::fill_n(block, kBlock * job_.d, T(0));
      for (int64_t j = 0; j < columns; ++j) scale(job_.x2, c * kBlock + j, block + j, kBlock);
    }
  }

  void scale(const Points<T>& points, int64_t index, T* out, int64_t out_stride) const {
    const T* x = points.data + batch_ * points.batch + index * points.row;
    for (int64_t k = 0; k < job_.d; ++k)
      out[k * out_stride] = (x[k * points.column] - origin_[k]) * inverse_[k];
  }

  void store(const T* block, T* matrices, int64_t i, int64_t rows, int64_t j,
             int64_t columns) const {
    if (!matrices) return;
    T* out = matrices + batch_ * job_.x1.count * job_.x2.count;
    if (!job_.transposed) {
      for (int64_t r = 0; r < rows; ++r)
        std::copy_n(block + r * kBlock, columns, out + (i + r) * job_.stride + j);
    }
    if (job_.transposed || (job_.symmetric && i != j)) {
      for (int64_t c = 0; c < columns; ++c)
        for (int64_t r = 0; r < rows; ++r)
          out[(j + c) * job_.stride + i + r] = block[r * kBlock + c];
    }
  }

  const Job<T>& job_;
  int64_t batch_ = -1;
  std::unique_ptr<T[]> scratch_;
  T *r2_, *value_, *slope_, *origin_, *inverse_, *a_, *b_;
};

// Workers take units until none is left. One that cannot start or get its scratch leaves its share
// to the others; only when all of them fail is something left undone.
template <typename T>
int run(const Job<T>& job, int threads) {
  const int64_t units = job.batch * job.row_blocks();
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    Worker<T> worker(job);
    if (!worker.allocate()) return;
    for (int64_t unit = next++; unit < units; unit = next++) worker.run(unit);
  };
  std::vector<std::thread> helpers;
  try {
    for (int64_t h = 1; h < std::min<int64_t>(threads, units); ++h) helpers.emplace_back(work);
  } catch (const std::exception&) {
  }
  work();
  for (std::thread& helper : helpers) helper.join();
  return next < units ? GPBO_OUT_OF_MEMORY : GPBO_OK;
}

template <typename T>
int start(int kernel, const gpbo_pairs& p, void* value, void* slope, int threads) {
  const auto points = [](const void* data, int64_t count, int64_t batch, int64_t row,
                         int64_t column) {
    return Points<T>{static_cast<const T*>(data), count, batch, row, column};
  };
  Job<T> job{};
  job.formula = formula_of<T>(kernel);
  if (!job.formula) return GPBO_BAD_ARGUMENT;
  job.batch = p.batch;
  job.d = p.d;
  job.x1 = points(p.x1, p.n, p.x1_batch, p.x1_row, p.x1_column);
  job.symmetric = p.symmetric != 0;
  job.x2 = job.symmetric ? job.x1 : points(p.x2, p.m, p.x2_batch, p.x2_row, p.x2_column);
  job.lengthscale = static_cast<const T*>(p.lengthscale);
  job.lengthscale_batch = p.lengthscale_batch;
  job.lengthscale_column = p.lengthscale_column;
  job.value = static_cast<T*>(value);
  job.slope = static_cast<T*>(slope);
  job.stride = p.m;
  // Columns are padded to whole blocks, rows are not: let the short side be the rows.
  job.transposed = !job.symmetric && p.m < kBlock && p.m < p.n;
  if (job.transposed) std::swap(job.x1, job.x2);
  return run(job, threads);
}

}  // namespace
}  // namespace gpbo

extern "C" {

int gpbo_cpu_abi(void) { return GPBO_ABI; }

const char* gpbo_cpu_status_text(int status) { return gpbo::status_text(status); }

int gpbo_cpu_kernel_matrix(int kernel, const gpbo_pairs* pairs, void* value, void* slope,
                           int threads) {
  if (!gpbo::valid(pairs)) return GPBO_BAD_ARGUMENT;
  if (gpbo::empty(*pairs) || (!value && !slope)) return GPBO_OK;
  return pairs->dtype == GPBO_FLOAT32 ? gpbo::start<float>(kernel, *pairs, value, slope, threads)
                                      : gpbo::start<double>(kernel, *pairs, value, slope, threads);
}

}  // extern "C"
