/* A start for Cortex-M in an emulator: vectors, FPU on, the self-test, its number as the exit code by semihosting. */
#include <stddef.h>
#include <stdint.h>

#include HEADER

extern uint32_t stack_top[];
void reset(void);
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile unsigned char *)to)[i] = ((const unsigned char *)from)[i];
    return to;
}

void *memset(void *to, int c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile unsigned char *)to)[i] = (unsigned char)c;
    return to;
}

/* The names that the Arm run-time ABI has for them. */
void __aeabi_memcpy(void *to, const void *from, size_t n) __attribute__((alias("memcpy")));
void __aeabi_memcpy4(void *to, const void *from, size_t n) __attribute__((alias("memcpy")));
void __aeabi_memcpy8(void *to, const void *from, size_t n) __attribute__((alias("memcpy")));

static void leave(int code)
{
    uint32_t block[2] = {0x20026, (uint32_t)code};                          /* ADP_Stopped_ApplicationExit */
    register uint32_t operation __asm__("r0") = 0x20;                       /* SYS_EXIT_EXTENDED */
    register uint32_t *argument __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(argument) : "memory");
    for (;;) continue;
}

static WORK work;
#ifdef STATE
static STATE state;
#endif

void reset(void)
{
    *(volatile uint32_t *)0xe000ed88 |= 0xf00000;                           /* CPACR: the FPU */
    __asm__ volatile("dsb\n isb");
#ifdef STATE
    leave(SELFTEST(&state, &work));
#else
    leave(SELFTEST(&work));
#endif
}

__attribute__((section(".vectors"), used)) static void *const vectors[] = {stack_top, (void *)reset};
