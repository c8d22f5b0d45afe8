/* The kernels for each instruction set, and the choice among them when the program runs. */
#ifndef SSE_KERNELS_H
#define SSE_KERNELS_H
#include "int4_x86.h"
#include "table.h"

typedef void (*Sum)(const Table *, const u32 *ids, u32 n, size_t d, float *acc, void *work);
typedef struct {
    Sum sum[KINDS];
    float (*finish)(const Table *, size_t d, float inverse, float *y);
    int (*finite)(const float *y, size_t d);
    void (*scale)(const float *y, size_t d, float r, float *out);
    void (*add)(const float *x, size_t d, double weight, double *sum);
    void (*blend)(const float *x, size_t d, float weight, float *sum);
    const char *name;
} Kernels;

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define FN(name) JOIN(name, ISA)

#define ISA baseline
#define ISA_NAME "baseline"
#include "kernels.inc.h"
#undef ISA
#undef ISA_NAME

#if defined(ON_X86_64) && (defined(__GNUC__) || defined(__clang__))
#define DISPATCH 1
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
#define ISA avx2
#define ISA_NAME "avx2"
#define VECTOR_INT4 int4_avx2
#include "kernels.inc.h"
#undef ISA
#undef ISA_NAME
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")
#endif
#define ISA avx512
#define ISA_NAME "avx512"
#undef VECTOR_INT4
#define VECTOR_INT4 int4_avx512
#include "kernels.inc.h"
#undef ISA
#undef ISA_NAME
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/* `wanted`: "auto" for the best one that this processor has, or a name; NULL if the processor has it not. */
static const Kernels *kernels_for(const char *wanted) {
    int any = !strcmp(wanted, "auto");
#if defined(DISPATCH)
    __builtin_cpu_init();
    if ((any || !strcmp(wanted, "avx512")) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return &kernels_avx512;
    if ((any || !strcmp(wanted, "avx2")) && __builtin_cpu_supports("avx2")) return &kernels_avx2;
#endif
    return any || !strcmp(wanted, "baseline") ? &kernels_baseline : NULL;
}
#endif
