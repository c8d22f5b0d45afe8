/* What a code point becomes in BERT-uncased normalisation and pre-tokenisation, read from the table that
 * tools/unicode_table.py measures from the reference tokenizer. Layout of the file (little-endian):
 *   "SSEU", u32 version, u32 pages, u32 pool words, u16 index[0x1100], u32 entries[pages][256], u32 pool[]
 * An entry holds a class in its low 3 bits. MAPPED: the rest is an offset into the pool, where a count n is followed
 * by n words (class << 24 | code point). */
#ifndef SSE_UNICODE_H
#define SSE_UNICODE_H
#include "base.h"

enum { IN_WORD = 0, SPACE = 1, PUNCT = 2, DROP = 3, MAPPED = 4 };
enum { UNICODE_VERSION = 1, UNICODE_INDEX = 0x1100, UNICODE_HEADER = 16 };

typedef struct {
    const u16 *index;
    const u32 *pages, *pool;
} Unicode;

/* 1 if `data` (4-byte aligned, alive as long as `u`) is a whole and consistent table. */
static int unicode_open(Unicode *u, const u8 *data, size_t size) {
    u32 head[4];
    if (size < UNICODE_HEADER + 2 * UNICODE_INDEX || (uintptr_t)data % 4) return 0;
    memcpy(head, data, sizeof head);
    if (memcmp(data, "SSEU", 4) || head[1] != UNICODE_VERSION || head[2] > UNICODE_INDEX || head[3] > 1u << 24) return 0;
    size_t entries = (size_t)head[2] * 256;
    if (size != UNICODE_HEADER + 2 * UNICODE_INDEX + 4 * (entries + head[3])) return 0;
    u->index = (const u16 *)(const void *)(data + UNICODE_HEADER);
    u->pages = (const u32 *)(const void *)(data + UNICODE_HEADER + 2 * UNICODE_INDEX);
    u->pool = u->pages + entries;
    for (int i = 0; i < UNICODE_INDEX; i++)
        if (u->index[i] >= head[2]) return 0;
    for (size_t i = 0; i < entries; i++) {
        u32 class = u->pages[i] & 7, at = u->pages[i] >> 3;
        if (class > MAPPED) return 0;
        if (class == MAPPED && (at >= head[3] || u->pool[at] > head[3] - at - 1)) return 0;
    }
    return 1;
}

static inline u32 unicode_entry(const Unicode *u, u32 cp) { return u->pages[(u32)u->index[cp >> 8] << 8 | (cp & 255)]; }

static inline int utf8_get(const u8 *p, u32 *cp) { /* the input is valid UTF-8: CPython made it */
    if (p[0] < 0x80) { *cp = p[0]; return 1; }
    if (p[0] < 0xE0) { *cp = (u32)(p[0] & 31) << 6 | (p[1] & 63); return 2; }
    if (p[0] < 0xF0) { *cp = (u32)(p[0] & 15) << 12 | (u32)(p[1] & 63) << 6 | (p[2] & 63); return 3; }
    *cp = (u32)(p[0] & 7) << 18 | (u32)(p[1] & 63) << 12 | (u32)(p[2] & 63) << 6 | (p[3] & 63);
    return 4;
}
static inline int utf8_put(u32 c, u8 *o) {
    if (c < 0x80) { o[0] = (u8)c; return 1; }
    if (c < 0x800) { o[0] = (u8)(0xC0 | c >> 6); o[1] = (u8)(0x80 | (c & 63)); return 2; }
    if (c < 0x10000) {
        o[0] = (u8)(0xE0 | c >> 12);
        o[1] = (u8)(0x80 | ((c >> 6) & 63));
        o[2] = (u8)(0x80 | (c & 63));
        return 3;
    }
    o[0] = (u8)(0xF0 | c >> 18);
    o[1] = (u8)(0x80 | ((c >> 12) & 63));
    o[2] = (u8)(0x80 | ((c >> 6) & 63));
    o[3] = (u8)(0x80 | (c & 63));
    return 4;
}
#endif
