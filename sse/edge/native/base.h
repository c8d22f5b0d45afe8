/* Types and the few things that compilers spell differently. No Python here: the core can be fuzzed alone. */
#ifndef SSE_BASE_H
#define SSE_BASE_H
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#define ON_X86_64 1
#include <immintrin.h>
#elif defined(__aarch64__) || defined(_M_ARM64)
#define ON_ARM64 1
#include <arm_neon.h>
#endif
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#define RESTRICT __restrict
#define LIKELY(x) (x)
#define PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#if defined(_M_ARM64)
#undef PREFETCH
#define PREFETCH(p) __prefetch(p)
#endif
#else
#define RESTRICT restrict
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define PREFETCH(p) __builtin_prefetch(p)
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are little-endian and are read in place"
#endif

typedef uint64_t u64;
typedef uint32_t u32;
typedef uint16_t u16;
typedef uint8_t u8;

/* Both halves of the 128-bit product, folded by xor. The constants are the fractional bits of the golden ratio and
 * of the square root of two: no structure that a text could match. */
static inline u64 mix(u64 a, u64 b) {
    a ^= 0x9E3779B97F4A7C15ull;
    b ^= 0x6A09E667F3BCC909ull;
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 u128;
    u128 r = (u128)a * b;
    return (u64)r ^ (u64)(r >> 64);
#elif defined(_M_X64)
    u64 high, low = _umul128(a, b, &high);
    return low ^ high;
#elif defined(_M_ARM64)
    return (a * b) ^ __umulh(a, b);
#else
    u64 al = (u32)a, ah = a >> 32, bl = (u32)b, bh = b >> 32;
    u64 mid = ah * bl + (al * bl >> 32), cross = al * bh + (u32)mid;
    return (a * b) ^ (ah * bh + (mid >> 32) + (cross >> 32));
#endif
}

static inline int trailing_zeros(u64 x) { /* x != 0 */
#if defined(_MSC_VER) && !defined(__clang__)
    unsigned long i;
    _BitScanForward64(&i, x);
    return (int)i;
#else
    return __builtin_ctzll(x);
#endif
}
#endif
