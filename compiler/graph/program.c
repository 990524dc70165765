/* program.c -- the table of a run's state block. */
#include "graph/program.h"

enum { SLOT_ALIGN = 64 };

void block_layout(Slot *slots, int count, BlockLayout *layout) {
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        slots[i].offset = size;
        size += (size_t)shape_size(&slots[i].shape) * dtype_size(slots[i].dtype);
        size = (size + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
    }
    *layout = (BlockLayout){slots, count, size};
}
