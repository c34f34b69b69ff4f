/* The C interface of gpbo's compiled libraries, and all that the outside ever calls.
 *
 * Two libraries hold it: gpbo_cpu and gpbo_cuda. Neither allocates results, prints, exits or keeps
 * state between calls; the CUDA one never synchronizes. Sizes and strides are int64 and count
 * elements, not bytes. Every call returns a status.
 */
#ifndef GPBO_H
#define GPBO_H

#include <stdint.h>

#if defined(_WIN32)
#define GPBO_API __declspec(dllexport)
#else
#define GPBO_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised by one with every change to this file; gpbo/ops/compiled.py asks for its own number. */
#define GPBO_ABI 5

enum gpbo_status {
  GPBO_OK = 0,
  GPBO_BAD_ARGUMENT = 1,
  GPBO_OUT_OF_MEMORY = 2,
  GPBO_BAD_LENGTHSCALE = 3, /* nan or not positive; nothing was computed (CPU only) */
  GPBO_BAD_SHAPE = 4,       /* the same for the kernel's shape */
  GPBO_CUDA_ERROR = 1000    /* plus the cudaError_t */
};

enum gpbo_dtype { GPBO_FLOAT32 = 0, GPBO_FLOAT64 = 1 };

enum gpbo_kernel {
  GPBO_MATERN52 = 0,
  GPBO_MATERN32 = 1,
  GPBO_MATERN12 = 2,
  GPBO_RBF = 3,
  GPBO_RATIONAL_QUADRATIC = 4, /* its shape is alpha */
  GPBO_KERNELS                 /* how many there are */
};

/* Every pair of a point in x1 (batch, n, d) and one in x2 (batch, m, d), each column divided by
 * its lengthscale (batch, d). A batch stride of 0 repeats. Where symmetric is not 0, x2 is not
 * looked at and x1 stands in its place, with m == n. Pointers to nothing (d == 0) may be NULL. A
 * lengthscale below the smallest normal number counts as that number, on a GPU also one that is
 * negative.
 * shape (batch): what a kernel has beside lengthscales; NULL where it has nothing. */
typedef struct gpbo_pairs {
  int64_t dtype, symmetric;
  int64_t batch, n, m, d;
  const void* x1;
  int64_t x1_batch, x1_row, x1_column;
  const void* x2;
  int64_t x2_batch, x2_row, x2_column;
  const void* lengthscale;
  int64_t lengthscale_batch, lengthscale_column;
  const void* shape;
  int64_t shape_batch;
} gpbo_pairs;

/* Dense row-major (batch, n, m) arrays, any of which may be NULL when it is not wanted, with r2 the
 * squared distance of a pair:
 *   value     outputscale * k(r2), plus the diagonal where i == j
 *   slope     dk/dr2          by_shape  dk/dshape
 * outputscale (batch) and diagonal (batch, min(n, m)) may be NULL for 1 and 0. */
typedef struct gpbo_matrix {
  void *value, *slope, *by_shape;
  const void* outputscale;
  int64_t outputscale_batch;
  const void* diagonal;
  int64_t diagonal_batch, diagonal_row;
} gpbo_matrix;

/* threads: the most that the call may use; the result does not depend on it. */
GPBO_API int gpbo_cpu_kernel_matrix(int kernel, const gpbo_pairs* pairs, const gpbo_matrix* matrix,
                                    int threads);
/* stream: a cudaStream_t of that device, on which the work is queued. */
GPBO_API int gpbo_cuda_kernel_matrix(int kernel, const gpbo_pairs* pairs, const gpbo_matrix* matrix,
                                     int device, void* stream);

/* What a weight for every pair makes of the kernel matrix and its derivatives, in one pass and
 * without a further n x m array:
 *   by_lengthscale (batch, d)   sum over pairs of weight * dk/dlengthscale
 *   by_shape (batch)            sum of weight * dk/dshape
 *   total (batch)               sum of weight * k
 *   by_x1 (batch, n, d), by_x2 (batch, m, d)   sum of weight * dk/dpoint; where symmetric, by_x1 is
 *                               for both places in which a point stands, and by_x2 is NULL
 * Results are dense; any of them may be NULL. The weight of pair (i, j) is weight (batch, n, m), of
 * any strides, plus left_i . right_j for dense left (batch, n, rank) and right (batch, m, rank);
 * NULL and rank 0 leave a part out. Where pairs are symmetric and mirrored is not 0, the caller
 * promises that the weight is symmetric; about half of it may be left unread.
 * Partial sums are kept in `partial`, which holds gpbo_*_contract_scratch numbers. */
typedef struct gpbo_contraction {
  const void* weight;
  int64_t weight_batch, weight_row, weight_column;
  const void *left, *right;
  int64_t rank, mirrored;
  void *by_lengthscale, *by_shape, *total, *by_x1, *by_x2;
  void* partial;
} gpbo_contraction;

GPBO_API int gpbo_cpu_contract(int kernel, const gpbo_pairs* pairs, const gpbo_contraction* sums,
                               int threads);
GPBO_API int gpbo_cuda_contract(int kernel, const gpbo_pairs* pairs, const gpbo_contraction* sums,
                                int device, void* stream);
/* How many numbers `partial` needs, of the dtype of the pairs. */
GPBO_API int64_t gpbo_cpu_contract_scratch(const gpbo_pairs* pairs, const gpbo_contraction* sums);
GPBO_API int64_t gpbo_cuda_contract_scratch(const gpbo_pairs* pairs, const gpbo_contraction* sums);

/* The log marginal likelihood of y (batch, n) under a normal distribution with a constant mean and
 * covariance K = outputscale * k + diagonal, of symmetric pairs, and its derivatives:
 *   value, by_outputscale, by_shape, by_mean (batch), by_lengthscale (batch, d),
 *   by_diagonal (batch, n), weights = K^-1 (y - mean) (batch, n); log_determinant (batch)
 * mean (batch): used as it is, or where profile is not 0 the one that makes the value largest is
 * written there. jitters: what is added to the diagonal in turn, relative to outputscale, until K
 * has a factor; jitter (batch) tells what was added, and is nan, as are all results, where nothing
 * helped. Every pointer for a result may be NULL, except value, mean and jitter. */
typedef struct gpbo_likelihood {
  const void* y;
  int64_t y_batch, y_row;
  const void* outputscale;
  int64_t outputscale_batch;
  const void* diagonal;
  int64_t diagonal_batch, diagonal_row;
  int64_t profile, jitter_count;
  const double* jitters;
  void *mean, *value, *jitter, *by_lengthscale, *by_outputscale, *by_shape, *by_mean, *by_diagonal;
  void *weights, *log_determinant;
} gpbo_likelihood;

GPBO_API int gpbo_cpu_likelihood(int kernel, const gpbo_pairs* pairs,
                                 const gpbo_likelihood* likelihood, int threads);

/* The most probable hyperparameters of a Gaussian process, found from `starts` points, each on its
 * own. theta holds logs: of group_count lengthscales, the outputscale and the noise, p in all. The
 * diagonal of K is known + noise * unknown, dense (n); groups (d) tells the lengthscale of each
 * column, NULL: its own. The log posterior is the log marginal likelihood, with the mean that makes
 * it largest, plus the sum of c0 + c1 t + c2 t^2 + c3 exp(t) over theta, for prior (4, p).
 *   start (starts, p), lower, upper (p)     where to look
 *   iterations, gradient, value             when to stop: iterations at most, largest entry of the
 *                                           projected gradient, relative gain of an iteration
 *   decrement                               and the gain that the next step can be expected to have
 *   metric (p, p), NULL: unknown            the inverse of the curvature to begin with, symmetric
 *   theta (starts, p), log_posterior, gradient_norm, jitter (starts)   where each start ended
 *   inverse (starts, p, p), NULL: unwanted  the inverse curvature that each start has learned
 *   counts (starts, 3)                      iterations, evaluations, whether it converged
 * All numbers are float64, and the pairs one symmetric batch element without lengthscales. */
typedef struct gpbo_fit {
  const double* y;
  int64_t y_row;
  const double *known, *unknown;
  const int64_t* groups;
  int64_t group_count, starts;
  const double *start, *lower, *upper, *prior;
  int64_t jitter_count;
  const double* jitters;
  int64_t iterations;
  double gradient, value, decrement;
  const double* metric;
  double *theta, *log_posterior, *gradient_norm, *jitter, *inverse;
  int64_t* counts;
} gpbo_fit;

GPBO_API int gpbo_cpu_fit(int kernel, const gpbo_pairs* pairs, const gpbo_fit* fit, int threads);

/* A Gaussian belief after n observations: with k = outputscale * kernel(x, points),
 *   mean_s = constant + k . weights_s,   variance = outputscale - |inverse k|^2
 * Points (n, d), lengthscale (d), inverse (n, n): the inverse of the covariance's lower
 * Cholesky factor, with zeros above the diagonal; weights (samples, n): a row for each way in which
 * pending trials may turn out. All dense float64. A variance below `least` is rounding, and counts
 * as `known`. */
typedef struct gpbo_belief {
  int64_t n, samples;
  const double *points, *lengthscale, *inverse, *weights;
  double outputscale, constant, least, known;
} gpbo_belief;

/* What a point promises, on a log scale, the sum of
 *   log of the mean over s of the expected improvement over best_s (samples)
 *   where noise > 0: log(1 - sqrt(noise / (variance + noise)))
 *   where success.samples is 1: l + steep * min(l - log least, 0) with l the log probability that
 *   the label, with variance + slack, is above 1/2 */
typedef struct gpbo_improvement {
  int64_t d;
  const double* best;
  double noise, slack, least, steep;
  gpbo_belief objective, success;
} gpbo_improvement;

/* value (count) and, where not NULL, gradient (count, d) of dense points x (count, d). */
GPBO_API int gpbo_cpu_improvement(int kernel, const gpbo_improvement* improvement, int64_t count,
                                  const double* x, double* value, double* gradient, int threads);

/* Every point of x (count, d) moved to the top of the hill that it stands on, inside lower and
 * upper (count, d), by a search in coordinates divided by scale (d); its value goes to value
 * (count), -inf where it has none. It stops after `iterations`, where no entry of the gradient is
 * above `gradient`, or where a step gains less than gain * max(|value|, 1). */
typedef struct gpbo_climb {
  int64_t count, iterations;
  double gradient, gain;
  const double *lower, *upper, *scale;
  double *x, *value;
} gpbo_climb;

GPBO_API int gpbo_cpu_climb(int kernel, const gpbo_improvement* improvement,
                            const gpbo_climb* climb, int threads);

/* product (batch, n, c) = K V for V (batch, m, c) of any strides, without
 * storing K: pieces of it live in cache only. */
typedef struct gpbo_product {
  const void* v;
  int64_t v_batch, v_row, v_column, columns;
  void* product;
} gpbo_product;

GPBO_API int gpbo_cpu_product(int kernel, const gpbo_pairs* pairs, const gpbo_product* product,
                              int threads);
GPBO_API int gpbo_cuda_product(int kernel, const gpbo_pairs* pairs, const gpbo_product* product,
                               int device, void* stream);

/* exp(x) of count numbers x <= 0, as the kernels use it. */
GPBO_API int gpbo_cpu_exp(int64_t dtype, const void* x, int64_t count, void* result);
/* The instruction set in use: "avx512", "avx2" or "baseline". The environment variable GPBO_ISA,
 * read once, asks for a lesser one than the machine has. */
GPBO_API const char* gpbo_cpu_isa(void);

GPBO_API int gpbo_cpu_abi(void);
GPBO_API int gpbo_cuda_abi(void);
GPBO_API const char* gpbo_cpu_status_text(int status);
GPBO_API const char* gpbo_cuda_status_text(int status);
/* GPBO_OK where this library holds code that runs on the device. */
GPBO_API int gpbo_cuda_supports(int device);

#ifdef __cplusplus
}
#endif

#endif
