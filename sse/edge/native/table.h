/* A table of rows as it lies in the model file, and what follows the mean. Nothing is copied or expanded. */
#ifndef SSE_TABLE_H
#define SSE_TABLE_H
#include "base.h"

enum { F32, F16, INT8_COLUMN, INT8_ROW, INT4, KINDS };

typedef struct {
    int kind;
    const u8 *codes;   /* row-major; INT4: two indices a byte, the even column in the high half */
    const u8 *scales;  /* INT8_ROW: float32 a row; INT4: (rows, groups), float16 or float32 */
    int scales_f16;
    size_t rows, dim, stride; /* stride: bytes from row to row */
    size_t groups, group;     /* INT4: columns of a row that share a scale */
    float pairs[256][2];      /* INT4: the two levels of a byte */
    float *alpha, *beta, *bias; /* padded with zeros to a multiple of PAD; alpha holds the scales of INT8_COLUMN */
} Table;

enum { PAD = 64 };
static inline size_t padded(size_t dim) { return (dim + PAD - 1) / PAD * PAD; }

/* Exact: normal and subnormal numbers alike are moved into place and scaled by a power of two; what is not finite stays so. */
static inline float half_to_float(u16 h) {
    u32 bits = (u32)(h & 0x7FFF) << 13, sign = (u32)(h & 0x8000) << 16;
    float f;
    memcpy(&f, &bits, 4);
    f *= 0x1p112f;
    memcpy(&bits, &f, 4);
    bits |= sign | ((h & 0x7C00) == 0x7C00 ? 0x7F800000u : 0);
    memcpy(&f, &bits, 4);
    return f;
}
static inline float scale_at(const Table *t, size_t i) {
    if (t->scales_f16) {
        u16 h;
        memcpy(&h, t->scales + 2 * i, 2);
        return half_to_float(h);
    }
    float f;
    memcpy(&f, t->scales + 4 * i, 4);
    return f;
}
#endif
