/* cuBLAS as the program is linked with it by scripts/cuda: its library is looked for at the first call, so that a program for
 * GPUs also starts, and says what is missing, where there is none. The engine loads the library before (native/cublas.rs).
 * The functions are those that ggml calls. */
#include <cublas_v2.h>
#include <dlfcn.h>
#include <stddef.h>

static void *find(const char *name) {
  static void *library;
  if (library == NULL) library = dlopen(CUBLAS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  return library == NULL ? NULL : dlsym(library, name);
}

#define FORWARD(name, parameters, arguments)               \
  cublasStatus_t name parameters {                         \
    static __typeof__(&name) there;                        \
    if (there == NULL) there = (__typeof__(&name))find(#name); \
    return there == NULL ? CUBLAS_STATUS_NOT_INITIALIZED : there arguments; \
  }

FORWARD(cublasCreate_v2, (cublasHandle_t *handle), (handle))
FORWARD(cublasDestroy_v2, (cublasHandle_t handle), (handle))
FORWARD(cublasSetStream_v2, (cublasHandle_t handle, cudaStream_t stream), (handle, stream))
FORWARD(cublasSetMathMode, (cublasHandle_t handle, cublasMath_t mode), (handle, mode))

FORWARD(cublasSgemm_v2,
        (cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const float *alpha,
         const float *a, int lda, const float *b, int ldb, const float *beta, float *c, int ldc),
        (handle, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc))

FORWARD(cublasGemmEx,
        (cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const void *alpha,
         const void *a, cudaDataType a_type, int lda, const void *b, cudaDataType b_type, int ldb, const void *beta, void *c,
         cudaDataType c_type, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t algorithm),
        (handle, ta, tb, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, compute, algorithm))

FORWARD(cublasGemmBatchedEx,
        (cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const void *alpha,
         const void *const a[], cudaDataType a_type, int lda, const void *const b[], cudaDataType b_type, int ldb,
         const void *beta, void *const c[], cudaDataType c_type, int ldc, int count, cublasComputeType_t compute,
         cublasGemmAlgo_t algorithm),
        (handle, ta, tb, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, count, compute, algorithm))

FORWARD(cublasGemmStridedBatchedEx,
        (cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const void *alpha,
         const void *a, cudaDataType a_type, int lda, long long int a_step, const void *b, cudaDataType b_type, int ldb,
         long long int b_step, const void *beta, void *c, cudaDataType c_type, int ldc, long long int c_step, int count,
         cublasComputeType_t compute, cublasGemmAlgo_t algorithm),
        (handle, ta, tb, m, n, k, alpha, a, a_type, lda, a_step, b, b_type, ldb, b_step, beta, c, c_type, ldc, c_step, count,
         compute, algorithm))

FORWARD(cublasStrsmBatched,
        (cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t fill, cublasOperation_t transposed,
         cublasDiagType_t diagonal, int m, int n, const float *alpha, const float *const a[], int lda, float *const b[], int ldb,
         int count),
        (handle, side, fill, transposed, diagonal, m, n, alpha, a, lda, b, ldb, count))

const char *cublasGetStatusString(cublasStatus_t status) {
  const char *(*there)(cublasStatus_t) = (const char *(*)(cublasStatus_t))find("cublasGetStatusString");
  return there == NULL ? CUBLAS_LIBRARY " is not there" : there(status);
}
