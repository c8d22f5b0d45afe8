/* A file mapped read-only, so that processes share its pages and only rows that are used are read. */
#ifndef SSE_MAPPING_H
#define SSE_MAPPING_H
#include "base.h"
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
typedef wchar_t PathChar;
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
typedef char PathChar;
#endif

typedef struct {
    const u8 *data;
    u64 size;
} Mapping;

static int mapping_open(Mapping *m, const PathChar *path) { /* 0: not a file that can be mapped */
    m->data = NULL;
    m->size = 0;
#if defined(_WIN32)
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL), map;
    LARGE_INTEGER size;
    if (file == INVALID_HANDLE_VALUE) return 0;
    if (GetFileSizeEx(file, &size) && size.QuadPart > 0 && (map = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL))) {
        m->data = MapViewOfFile(map, FILE_MAP_READ, 0, 0, 0);
        m->size = (u64)size.QuadPart;
        CloseHandle(map);
    }
    CloseHandle(file);
#else
    struct stat st;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (!fstat(file, &st) && S_ISREG(st.st_mode) && st.st_size > 0 && (u64)st.st_size <= SIZE_MAX) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, file, 0);
        if (p != MAP_FAILED) {
            m->data = p;
            m->size = (u64)st.st_size;
        }
    }
    close(file);
#endif
    return m->data != NULL;
}

static void mapping_close(Mapping *m) {
    if (!m->data) return;
#if defined(_WIN32)
    UnmapViewOfFile((void *)m->data);
#else
    munmap((void *)(uintptr_t)m->data, (size_t)m->size);
#endif
    m->data = NULL;
}
#endif
