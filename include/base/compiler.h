/* compiler.h - what dwal asks of the compiler, in one place. Leaf header: C standard headers only. */
#ifndef DW_BASE_COMPILER_H
#define DW_BASE_COMPILER_H

#define DW_NODISCARD                   __attribute__((warn_unused_result))
#define DW_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#define DW_COLD                        __attribute__((cold, noinline))
#define DW_INLINE                      static inline __attribute__((always_inline))
#define DW_LIKELY(x)                   __builtin_expect(!!(x), 1)
#define DW_UNLIKELY(x)                 __builtin_expect(!!(x), 0)
/* Exported by the shared library; everything else is hidden (-fvisibility=hidden). */
#define DW_EXPORT __attribute__((visibility("default")))

#define DW_CACHE_LINE                          64
#define DW_COUNT_OF(array)                     (sizeof(array) / sizeof((array)[0]))
#define DW_CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
