// A stand-in for CUDA's header of this name, with which the kernels of csrc/cuda are compiled for a
// CPU and run there: what a machine without a GPU can find out about them.
//
// A launch takes the blocks of its grid in turn. The threads of a block are contexts, of which one
// runs up to the next barrier, then the next one does, from the first to the last or, where
// `emulation::backwards` is set, from the last to the first: where a barrier is missing the results
// differ. AddressSanitizer sees what lies outside. Nothing is said about speed, about how much
// memory a GPU has, or about two blocks that write the same number.
#pragma once

#include <math.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define __CUDACC__
#define __global__
#define __host__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ static
#define __constant__ const
#define __syncthreads() emulation::block->wait(__LINE__)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

// The halves of a number.
inline int __double2hiint(double x) {
  int64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<int>(bits >> 32);
}
inline int __double2loint(double x) {
  int64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<int>(bits);
}
inline double __hiloint2double(int high, int low) {
  const uint64_t bits = uint64_t{static_cast<uint32_t>(high)} << 32 | static_cast<uint32_t>(low);
  double x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

namespace emulation {

inline bool backwards = false;

class Block {
 public:
  explicit Block(unsigned threads) : threads_(threads) {
    for (Thread& thread : threads_) thread.stack.reset(new char[kStack]);
  }

  void run(const std::function<void()>& kernel) {
    kernel_ = &kernel;
    for (Thread& thread : threads_) {
      getcontext(&thread.context);
      thread.context.uc_stack.ss_sp = thread.stack.get();
      thread.context.uc_stack.ss_size = kStack;
      thread.context.uc_link = &main_;
      thread.line = kEnd;
      makecontext(&thread.context, start, 0);
    }
    do {
      for (unsigned k = 0; k < threads_.size(); ++k) {
        current_ = backwards ? static_cast<unsigned>(threads_.size()) - 1 - k : k;
        threadIdx = dim3(current_ % blockDim.x, current_ / blockDim.x);
        threads_[current_].line = kEnd;
        swapcontext(&main_, &threads_[current_].context);
      }
      for (const Thread& thread : threads_)
        if (thread.line != threads_[0].line) {
          std::printf("threads of a block are at lines %d and %d\n", threads_[0].line, thread.line);
          std::abort();
        }
    } while (threads_[0].line != kEnd);
  }

  // A barrier.
  void wait(int line) {
    Thread& thread = threads_[current_];
    thread.line = line;
    swapcontext(&thread.context, &main_);
  }

 private:
  static constexpr size_t kStack = size_t{1} << 16;
  static constexpr int kEnd = 0;  // of the kernel, in place of a barrier's line

  struct Thread {
    std::unique_ptr<char[]> stack;
    ucontext_t context;
    int line;
  };

  static void start();

  std::vector<Thread> threads_;
  ucontext_t main_;
  unsigned current_ = 0;
  const std::function<void()>* kernel_ = nullptr;
};

inline Block* block;
inline void Block::start() { (*block->kernel_)(); }

}  // namespace emulation

enum cudaError_t { cudaSuccess = 0 };
using cudaStream_t = struct Stream*;
struct cudaFuncAttributes {};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  void* attrs;
  unsigned numAttrs;
};

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               const Arguments&... arguments) {
  gridDim = config->gridDim, blockDim = config->blockDim;
  emulation::Block block(blockDim.x * blockDim.y);
  emulation::block = &block;
  for (unsigned k = 0; k < gridDim.x; ++k) {
    blockIdx = dim3(emulation::backwards ? gridDim.x - 1 - k : k);
    block.run([&] { kernel(arguments...); });
  }
  return cudaSuccess;
}

inline cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return ""; }
inline cudaError_t cudaMemsetAsync(void* to, int byte, size_t count, cudaStream_t) {
  std::memset(to, byte, count);
  return cudaSuccess;
}
template <typename Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, Kernel) {
  return cudaSuccess;
}
