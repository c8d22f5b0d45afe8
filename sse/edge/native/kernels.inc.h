/* Sums of rows and the finish, in plain C that compilers turn into vector code. Included once for each instruction
 * set; FN(name) gives each copy its own name. The order of every sum is fixed and nothing is contracted or reordered
 * (-ffp-contract=off, no fast-math), so all copies give the same bits. `acc` and `work` have padded(d) items. */

static void FN(prefetch)(const Table *t, const u32 *ids, u32 n, size_t bytes) {
    if (n > 16) n = 16; /* enough to cover the latency of the first rows; the rest is fetched by the loads */
    for (u32 j = 0; j < n; j++)
        for (size_t b = 0; b < bytes; b += 64) PREFETCH(t->codes + t->stride * ids[j] + b);
}

static void FN(sum_f32)(const Table *t, const u32 *ids, u32 n, size_t d, float *RESTRICT acc, void *work) {
    u32 j = 0;
    (void)work;
    FN(prefetch)(t, ids, n, 4 * d);
    for (size_t i = 0; i < d; i++) acc[i] = 0;
    for (; j + 4 <= n; j += 4) { /* four rows a pass: the accumulators are read and written once for four */
        const float *a = (const float *)(const void *)(t->codes + t->stride * ids[j]);
        const float *b = (const float *)(const void *)(t->codes + t->stride * ids[j + 1]);
        const float *c = (const float *)(const void *)(t->codes + t->stride * ids[j + 2]);
        const float *e = (const float *)(const void *)(t->codes + t->stride * ids[j + 3]);
        for (size_t i = 0; i < d; i++) acc[i] += (a[i] + b[i]) + (c[i] + e[i]);
    }
    for (; j < n; j++) {
        const float *a = (const float *)(const void *)(t->codes + t->stride * ids[j]);
        for (size_t i = 0; i < d; i++) acc[i] += a[i];
    }
}

static void FN(sum_f16)(const Table *t, const u32 *ids, u32 n, size_t d, float *RESTRICT acc, void *work) {
    u32 j = 0;
    (void)work;
    FN(prefetch)(t, ids, n, 2 * d);
    for (size_t i = 0; i < d; i++) acc[i] = 0;
    for (; j + 4 <= n; j += 4) {
        const u16 *a = (const u16 *)(const void *)(t->codes + t->stride * ids[j]);
        const u16 *b = (const u16 *)(const void *)(t->codes + t->stride * ids[j + 1]);
        const u16 *c = (const u16 *)(const void *)(t->codes + t->stride * ids[j + 2]);
        const u16 *e = (const u16 *)(const void *)(t->codes + t->stride * ids[j + 3]);
        for (size_t i = 0; i < d; i++)
            acc[i] += (half_to_float(a[i]) + half_to_float(b[i])) + (half_to_float(c[i]) + half_to_float(e[i]));
    }
    for (; j < n; j++) {
        const u16 *a = (const u16 *)(const void *)(t->codes + t->stride * ids[j]);
        for (size_t i = 0; i < d; i++) acc[i] += half_to_float(a[i]);
    }
}

/* Column scales wait for the finish: sums of integers, exact in any order. 256 rows of at most 128 fit into int16. */
static void FN(sum_int8_column)(const Table *t, const u32 *ids, u32 n, size_t d, float *RESTRICT acc, void *work) {
    int32_t *RESTRICT big = work;
    int16_t *RESTRICT small = (int16_t *)(void *)(big + padded(d));
    FN(prefetch)(t, ids, n, d);
    for (size_t i = 0; i < d; i++) big[i] = 0;
    for (u32 first = 0; first < n; first += 256) {
        u32 last = n - first > 256 ? first + 256 : n, j = first;
        for (size_t i = 0; i < d; i++) small[i] = 0;
        for (; j + 4 <= last; j += 4) {
            const int8_t *a = (const int8_t *)(t->codes + t->stride * ids[j]);
            const int8_t *b = (const int8_t *)(t->codes + t->stride * ids[j + 1]);
            const int8_t *c = (const int8_t *)(t->codes + t->stride * ids[j + 2]);
            const int8_t *e = (const int8_t *)(t->codes + t->stride * ids[j + 3]);
            for (size_t i = 0; i < d; i++)
                small[i] = (int16_t)(small[i] + (int16_t)((int16_t)(a[i] + b[i]) + (int16_t)(c[i] + e[i])));
        }
        for (; j < last; j++) {
            const int8_t *a = (const int8_t *)(t->codes + t->stride * ids[j]);
            for (size_t i = 0; i < d; i++) small[i] = (int16_t)(small[i] + a[i]);
        }
        for (size_t i = 0; i < d; i++) big[i] += small[i];
    }
    for (size_t i = 0; i < d; i++) acc[i] = (float)big[i]; /* exact: at most CHUNK * 128 < 2^24 */
}

static void FN(sum_int8_row)(const Table *t, const u32 *ids, u32 n, size_t d, float *RESTRICT acc, void *work) {
    u32 j = 0;
    (void)work;
    FN(prefetch)(t, ids, n, d);
    for (size_t i = 0; i < d; i++) acc[i] = 0;
    for (; j + 4 <= n; j += 4) {
        const int8_t *a = (const int8_t *)(t->codes + t->stride * ids[j]);
        const int8_t *b = (const int8_t *)(t->codes + t->stride * ids[j + 1]);
        const int8_t *c = (const int8_t *)(t->codes + t->stride * ids[j + 2]);
        const int8_t *e = (const int8_t *)(t->codes + t->stride * ids[j + 3]);
        float sa = scale_at(t, ids[j]), sb = scale_at(t, ids[j + 1]), sc = scale_at(t, ids[j + 2]), se = scale_at(t, ids[j + 3]);
        for (size_t i = 0; i < d; i++)
            acc[i] += ((float)a[i] * sa + (float)b[i] * sb) + ((float)c[i] * sc + (float)e[i] * se);
    }
    for (; j < n; j++) {
        const int8_t *a = (const int8_t *)(t->codes + t->stride * ids[j]);
        float sa = scale_at(t, ids[j]);
        for (size_t i = 0; i < d; i++) acc[i] += (float)a[i] * sa;
    }
}

static void FN(sum_int4)(const Table *t, const u32 *ids, u32 n, size_t d, float *RESTRICT acc, void *work) {
    (void)work;
    FN(prefetch)(t, ids, n, d / 2);
#if defined(VECTOR_INT4) /* whole blocks of 32 columns with one scale: the same products and sums, 16 or 8 at a time */
    if (t->group % 32 == 0 && d % 32 == 0) {
        VECTOR_INT4(t, ids, n, d, acc, work);
        return;
    }
#endif
    for (size_t i = 0; i < d; i++) acc[i] = 0;
    for (u32 j = 0; j < n; j++) {
        const u8 *codes = t->codes + t->stride * ids[j];
        for (size_t g = 0, from = 0; from < d; g++, from += t->group) {
            float s = scale_at(t, t->groups * ids[j] + g);
            size_t to = from + t->group < d ? from + t->group : d, i = from;
            for (; i + 1 < to; i += 2) {
                const float *pair = t->pairs[codes[i / 2]];
                acc[i] += pair[0] * s;
                acc[i + 1] += pair[1] * s;
            }
            if (i < to) acc[i] += t->pairs[codes[i / 2]][0] * s; /* an odd d cuts a byte in half */
        }
    }
}

/* y = beta * tanh(alpha * mean + bias), the columns after d are 0; returns |y|^2. tanh(z) = z P(z^2) / Q(z^2) on |z| <= 9
 * to 3.5e-7, coefficients fitted by tools/fit_tanh.py. In place: `y` holds the sums. Every column up to padded(d) is
 * computed, so that there is no tail; what lies behind d is then cleared. */
static float FN(finish)(const Table *t, size_t d, float inverse, float *RESTRICT y) {
    const float *RESTRICT a = t->alpha, *RESTRICT b = t->beta, *RESTRICT c = t->bias;
    size_t width = padded(d);
    float part[16] = {0}, sum = 0;
    for (size_t i = 0; i < width; i++) {
        float z = a[i] * (y[i] * inverse) + c[i];
        z = z < -9.f ? -9.f : z;
        z = z > 9.f ? 9.f : z;
        float s = z * z, p = -8.290920439e-14f, q = 2.538590359e-04f;
        p = p * s + 5.192538869e-11f;
        p = p * s - 2.002924071e-08f;
        p = p * s + 1.110174500e-05f;
        p = p * s + 3.098646944e-03f;
        p = p * s + 1.307915710e-01f;
        p = p * s + 9.999999689e-01f;
        q = q * s + 2.447373230e-02f;
        q = q * s + 4.641247735e-01f;
        q = q * s + 1.f;
        y[i] = b[i] * (z * p / q);
    }
    for (size_t i = d; i < width; i++) y[i] = 0;
    for (size_t i = 0; i < width; i += 16)
        for (size_t k = 0; k < 16; k++) part[k] += y[i + k] * y[i + k];
    for (size_t k = 0; k < 16; k++) sum += part[k];
    return sum;
}

/* Are the sums numbers? 0 * x is 0 for every number and NaN for everything else. tanh would hide an infinity. */
static int FN(finite)(const float *y, size_t d) {
    float part[16] = {0}, sum = 0;
    for (size_t i = 0; i < padded(d); i += 16)
        for (size_t k = 0; k < 16; k++) part[k] += y[i + k] * 0.f;
    for (size_t k = 0; k < 16; k++) sum += part[k];
    return sum == 0;
}

static void FN(scale)(const float *RESTRICT y, size_t d, float r, float *RESTRICT out) {
    for (size_t i = 0; i < d; i++) out[i] = y[i] * r;
}

static void FN(add)(const float *RESTRICT x, size_t d, double weight, double *RESTRICT sum) {
    for (size_t i = 0; i < d; i++) sum[i] += weight * (double)x[i];
}

static void FN(blend)(const float *RESTRICT x, size_t d, float weight, float *RESTRICT sum) {
    for (size_t i = 0; i < d; i++) sum[i] += weight * x[i];
}

static const Kernels FN(kernels) = {
    {FN(sum_f32), FN(sum_f16), FN(sum_int8_column), FN(sum_int8_row), FN(sum_int4)}, FN(finish), FN(finite), FN(scale), FN(add), FN(blend), ISA_NAME};
