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

/* Raised by one with every change to this file; gpbo/ops/library.py asks for its own number. */
#define GPBO_ABI 1

enum gpbo_status {
  GPBO_OK = 0,
  GPBO_BAD_ARGUMENT = 1,
  GPBO_OUT_OF_MEMORY = 2,
  GPBO_CUDA_ERROR = 1000 /* plus the cudaError_t */
};

enum gpbo_dtype { GPBO_FLOAT32 = 0, GPBO_FLOAT64 = 1 };

enum gpbo_kernel { GPBO_MATERN52 = 0 };

/* Every pair of a point in x1 (batch, n, d) and one in x2 (batch, m, d), each column divided by
 * its lengthscale (batch, d). A batch stride of 0 repeats. Where symmetric is not 0, x2 is not
 * looked at and x1 stands in its place, with m == n. Pointers to nothing (d == 0) may be NULL. A
 * lengthscale below the smallest normal number counts as that number. */
typedef struct gpbo_pairs {
  int64_t dtype, symmetric;
  int64_t batch, n, m, d;
  const void* x1;
  int64_t x1_batch, x1_row, x1_column;
  const void* x2;
  int64_t x2_batch, x2_row, x2_column;
  const void* lengthscale;
  int64_t lengthscale_batch, lengthscale_column;
} gpbo_pairs;

/* The kernel matrix k(r2) and its slope dk/dr2, where r2 is the squared distance of a pair: two
 * dense row-major (batch, n, m) arrays, either of which may be NULL when it is not wanted. */

/* threads: the most that the call may use; the result does not depend on it. */
GPBO_API int gpbo_cpu_kernel_matrix(int kernel, const gpbo_pairs* pairs, void* value, void* slope,
                                    int threads);
/* stream: a cudaStream_t of that device, on which the work is queued. */
GPBO_API int gpbo_cuda_kernel_matrix(int kernel, const gpbo_pairs* pairs, void* value, void* slope,
                                     int device, void* stream);

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
