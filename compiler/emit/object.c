/* object.c -- a linker for what the code generator writes: ELF objects of x86-64 with code, constants and few kinds of
 * relocations.
 *
 * All allocated sections go into one mapping, in their order; behind them a table of addresses and jumps for the few
 * functions of the C library that code may call.  The mapping is written, then made executable and read-only.  Offsets
 * and sizes of the file are checked before use; what is not known is refused. */
#define _GNU_SOURCE
#include "emit/object.h"

#include <elf.h>
#include <math.h>
#include <sys/mman.h>

#ifdef __x86_64__

enum { MAX_SECTIONS = 256, JUMP = 16 };

static const struct { const char *name; void (*at)(void); } outside[] = {
    {"memset", (void (*)(void))memset}, {"memcpy", (void (*)(void))memcpy}, {"memmove", (void (*)(void))memmove},
    {"fma", (void (*)(void))fma}, {"fmaf", (void (*)(void))fmaf},
};

typedef struct Object {
    const char *bytes;
    size_t length;
    const Elf64_Shdr *section;
    int sections;
    size_t place[MAX_SECTIONS];            /* in the mapping; SIZE_MAX: not there */
    const Elf64_Sym *symbol;
    size_t symbols;
    const char *names;
    size_t names_length;
    char *map;
    size_t size, table;                    /* table: an address (8 bytes) and a jump for each of outside[] */
} Object;

static bool inside(const Object *o, uint64_t at, uint64_t size) { return at <= o->length && size <= o->length - at; }

static bool read_header(Object *o) {
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)(const void *)o->bytes;
    if (o->length < sizeof *head || memcmp(head->e_ident, ELFMAG, SELFMAG) || head->e_ident[EI_CLASS] != ELFCLASS64
        || head->e_ident[EI_DATA] != ELFDATA2LSB || head->e_type != ET_REL || head->e_machine != EM_X86_64)
        return false;
    o->sections = head->e_shnum;
    if (head->e_shentsize != sizeof(Elf64_Shdr) || o->sections > MAX_SECTIONS || head->e_shoff % 8
        || !inside(o, head->e_shoff, (uint64_t)o->sections * sizeof(Elf64_Shdr))) return false;
    o->section = (const Elf64_Shdr *)(const void *)(o->bytes + head->e_shoff);
    for (int i = 0; i < o->sections; i++)
        if (o->section[i].sh_type != SHT_NOBITS && !inside(o, o->section[i].sh_offset, o->section[i].sh_size))
            return false;
    return true;
}

static bool read_symbols(Object *o) {
    for (int i = 0; i < o->sections; i++) {
        const Elf64_Shdr *s = &o->section[i];
        if (s->sh_type != SHT_SYMTAB) continue;
        if (o->symbol || s->sh_entsize != sizeof(Elf64_Sym) || s->sh_link >= (unsigned)o->sections || s->sh_offset % 8)
            return false;
        const Elf64_Shdr *names = &o->section[s->sh_link];
        o->symbol = (const Elf64_Sym *)(const void *)(o->bytes + s->sh_offset);
        o->symbols = s->sh_size / sizeof(Elf64_Sym);
        o->names = o->bytes + names->sh_offset;
        o->names_length = names->sh_size;
        if (names->sh_type != SHT_STRTAB || !o->names_length || o->names[o->names_length - 1]) return false;
    }
    return o->symbol != NULL;
}

/* Tables for unwinding are not needed: nothing throws. */
static bool wanted(const Elf64_Shdr *s) {
    return s->sh_flags & SHF_ALLOC && s->sh_type == SHT_PROGBITS && s->sh_size;
}

static bool place_sections(Object *o) {
    for (int i = 0; i < o->sections; i++) {
        const Elf64_Shdr *s = &o->section[i];
        o->place[i] = SIZE_MAX;
        if (s->sh_flags & SHF_ALLOC && s->sh_size && (s->sh_type == SHT_NOBITS || s->sh_flags & (SHF_WRITE | SHF_TLS)))
            return false;
        if (!wanted(s)) continue;
        uint64_t align = s->sh_addralign ? s->sh_addralign : 1;
        if (align > 4096 || align & (align - 1)) return false;
        o->place[i] = (o->size + align - 1) & ~(align - 1);
        o->size = o->place[i] + s->sh_size;
    }
    o->table = (o->size + 63) & ~(size_t)63;
    o->size = o->table + (8 + JUMP) * COUNT(outside);
    return true;
}

/* jmp *[rip + ...] through the table */
static void fill_table(Object *o) {
    for (int k = 0; k < COUNT(outside); k++) {
        size_t jump = o->table + 8 * COUNT(outside) + (size_t)(JUMP * k);
        int32_t to = (int32_t)(o->table + 8 * (size_t)k) - (int32_t)(jump + 6);
        uint64_t address = (uint64_t)(uintptr_t)outside[k].at;
        memcpy(o->map + o->table + 8 * k, &address, 8);
        memcpy(o->map + jump, "\xff\x25", 2);
        memcpy(o->map + jump + 2, &to, 4);
    }
}

static const char *symbol_name(const Object *o, const Elf64_Sym *symbol) {
    return symbol->st_name < o->names_length ? o->names + symbol->st_name : "";
}

static int find_outside(const char *name) {
    for (int k = 0; k < COUNT(outside); k++)
        if (strcmp(outside[k].name, name) == 0) return k;
    return -1;
}

/* The place of a symbol in the mapping: its own, or the jump to it (indirect: the entry with its address). */
static bool symbol_place(const Object *o, const Elf64_Sym *symbol, bool indirect, size_t *place) {
    if (symbol->st_shndx == SHN_UNDEF) {
        int k = find_outside(symbol_name(o, symbol));
        if (k < 0) return false;
        *place = indirect ? o->table + 8 * (size_t)k : o->table + 8 * COUNT(outside) + (size_t)(JUMP * k);
        return true;
    }
    if (indirect || symbol->st_shndx >= o->sections || o->place[symbol->st_shndx] == SIZE_MAX
        || symbol->st_value > o->section[symbol->st_shndx].sh_size) return false;
    *place = o->place[symbol->st_shndx] + symbol->st_value;
    return true;
}

static bool relocate(Object *o, const Elf64_Shdr *target, size_t base, const Elf64_Rela *r) {
    uint32_t type = ELF64_R_TYPE(r->r_info);
    bool indirect = type == R_X86_64_GOTPCREL || type == R_X86_64_GOTPCRELX || type == R_X86_64_REX_GOTPCRELX;
    size_t width = type == R_X86_64_64 || type == R_X86_64_PC64 ? 8 : 4, place;
    if (!indirect && type != R_X86_64_64 && type != R_X86_64_PC64 && type != R_X86_64_PC32 && type != R_X86_64_PLT32)
        return false;
    if (target->sh_size < width || r->r_offset > target->sh_size - width || ELF64_R_SYM(r->r_info) >= o->symbols
        || !symbol_place(o, &o->symbol[ELF64_R_SYM(r->r_info)], indirect, &place)) return false;
    char *at = o->map + base + r->r_offset;
    uint64_t value = (uint64_t)(uintptr_t)o->map + place + (uint64_t)r->r_addend;
    if (type != R_X86_64_64) value -= (uint64_t)(uintptr_t)at;
    int64_t distance = (int64_t)value;
    if (width == 4 && distance != (int32_t)distance) return false;
    memcpy(at, &value, width);
    return true;
}

static bool relocate_all(Object *o) {
    for (int i = 0; i < o->sections; i++) {
        const Elf64_Shdr *s = &o->section[i];
        if (s->sh_type == SHT_REL) return false;
        if (s->sh_type != SHT_RELA || s->sh_info >= (unsigned)o->sections || o->place[s->sh_info] == SIZE_MAX) continue;
        if (s->sh_entsize != sizeof(Elf64_Rela) || s->sh_offset % 8) return false;
        const Elf64_Rela *r = (const Elf64_Rela *)(const void *)(o->bytes + s->sh_offset);
        for (uint64_t k = 0; k < s->sh_size / sizeof *r; k++)
            if (!relocate(o, &o->section[s->sh_info], o->place[s->sh_info], &r[k])) return false;
    }
    return true;
}

static KernelFn find_function(const Object *o, const char *name) {
    size_t place;
    for (size_t i = 1; i < o->symbols; i++) {
        const Elf64_Sym *s = &o->symbol[i];
        if (s->st_shndx == SHN_UNDEF || strcmp(symbol_name(o, s), name) || !symbol_place(o, s, false, &place)) continue;
        return (KernelFn)(uintptr_t)(o->map + place);
    }
    return NULL;
}

static bool fill(Object *o, const char *const *symbol, KernelFn *functions, int n) {
    for (int i = 0; i < o->sections; i++)
        if (o->place[i] != SIZE_MAX)
            memcpy(o->map + o->place[i], o->bytes + o->section[i].sh_offset, o->section[i].sh_size);
    fill_table(o);
    if (!relocate_all(o) || mprotect(o->map, o->size, PROT_READ | PROT_EXEC)) return false;
    for (int k = 0; k < n; k++)
        if (!(functions[k] = find_function(o, symbol[k]))) return false;
    return true;
}

bool object_link(const char *bytes, size_t length, const char *const *symbol, KernelFn *functions, int n, Linked *out) {
    Object o = {.bytes = bytes, .length = length};
    *out = (Linked){0};
    if ((uintptr_t)bytes % 8 || !read_header(&o) || !read_symbols(&o) || !place_sections(&o)) return false;
    o.map = mmap(NULL, o.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (o.map == MAP_FAILED) return false;
    *out = (Linked){o.map, o.size};
    if (fill(&o, symbol, functions, n)) return true;
    object_unlink(out);
    return false;
}

#else

bool object_link(const char *bytes, size_t length, const char *const *symbol, KernelFn *functions, int n, Linked *out) {
    (void)bytes, (void)length, (void)symbol, (void)functions, (void)n;
    *out = (Linked){0};
    return false;
}

#endif

void object_unlink(Linked *linked) {
    if (linked->at) munmap(linked->at, linked->size);
    *linked = (Linked){0};
}
