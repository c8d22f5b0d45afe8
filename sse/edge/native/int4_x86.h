/* Sums of 4-bit rows with look-ups in registers. Even and odd columns are summed apart and woven together at the end;
 * every column sees the products and the order of the plain loop in kernels.inc.h, so the bits are the same. */
#ifndef SSE_INT4_X86_H
#define SSE_INT4_X86_H
#include "table.h"
#if defined(ON_X86_64) && (defined(__GNUC__) || defined(__clang__))

static inline void weave(const float *even, const float *odd, size_t d, float *acc) {
    for (size_t i = 0; i < d / 2; i++) {
        acc[2 * i] = even[i];
        acc[2 * i + 1] = odd[i];
    }
}

__attribute__((target("avx512f"))) static void int4_avx512(const Table *t, const u32 *ids, u32 n, size_t d, float *acc, void *work) {
    float *even = work, *odd = even + d / 2, levels[16];
    for (int k = 0; k < 16; k++) levels[k] = t->pairs[k][1];
    __m512 book = _mm512_loadu_ps(levels);
    memset(even, 0, d * sizeof(float));
    for (u32 j = 0; j < n; j++) {
        const u8 *codes = t->codes + t->stride * ids[j];
        for (size_t g = 0, from = 0; from < d; g++, from += t->group) {
            __m512 s = _mm512_set1_ps(scale_at(t, t->groups * ids[j] + g));
            size_t to = from + t->group < d ? from + t->group : d;
            for (size_t i = from / 2; i < to / 2; i += 16) {
                __m512i b = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(codes + i)));
                __m512 high = _mm512_mul_ps(_mm512_permutexvar_ps(_mm512_srli_epi32(b, 4), book), s);
                __m512 low = _mm512_mul_ps(_mm512_permutexvar_ps(b, book), s); /* only the low 4 bits choose */
                _mm512_storeu_ps(even + i, _mm512_add_ps(_mm512_loadu_ps(even + i), high));
                _mm512_storeu_ps(odd + i, _mm512_add_ps(_mm512_loadu_ps(odd + i), low));
            }
        }
    }
    weave(even, odd, d, acc);
}

/* Eight lanes choose among 16 levels: both halves are asked, bit 3 decides. */
__attribute__((target("avx2"))) static inline __m256 choose_avx2(__m256 first, __m256 second, __m256i index) {
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(first, index), _mm256_permutevar8x32_ps(second, index),
                            _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}
__attribute__((target("avx2"))) static void int4_avx2(const Table *t, const u32 *ids, u32 n, size_t d, float *acc, void *work) {
    float *even = work, *odd = even + d / 2, levels[16];
    for (int k = 0; k < 16; k++) levels[k] = t->pairs[k][1];
    __m256 first = _mm256_loadu_ps(levels), second = _mm256_loadu_ps(levels + 8);
    memset(even, 0, d * sizeof(float));
    for (u32 j = 0; j < n; j++) {
        const u8 *codes = t->codes + t->stride * ids[j];
        for (size_t g = 0, from = 0; from < d; g++, from += t->group) {
            __m256 s = _mm256_set1_ps(scale_at(t, t->groups * ids[j] + g));
            size_t to = from + t->group < d ? from + t->group : d;
            for (size_t i = from / 2; i < to / 2; i += 8) {
                __m256i b = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(codes + i)));
                __m256 high = _mm256_mul_ps(choose_avx2(first, second, _mm256_srli_epi32(b, 4)), s);
                __m256 low = _mm256_mul_ps(choose_avx2(first, second, b), s);
                _mm256_storeu_ps(even + i, _mm256_add_ps(_mm256_loadu_ps(even + i), high));
                _mm256_storeu_ps(odd + i, _mm256_add_ps(_mm256_loadu_ps(odd + i), low));
            }
        }
    }
    weave(even, odd, d, acc);
}
#endif
#endif
