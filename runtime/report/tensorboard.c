/* tensorboard.c -- event files of TensorBoard (tensorboard.h). */
#include "report/tensorboard.h"

/* Castagnoli's polynomial, bits reversed; a byte at a time by its eight bits: event files are small. */
uint32_t crc32c(const void *bytes, size_t length) {
    const uint8_t *p = bytes;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < length; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void put_checksum(Buf *out, const void *bytes, size_t length) {
    uint32_t crc = crc32c(bytes, length), masked = (crc >> 15 | crc << 17) + 0xa282ead8u;
    buf_put(out, &masked, sizeof masked);
}

static void put_record(Buf *out, Buf *event) {
    uint64_t length = event->len;
    buf_put(out, &length, sizeof length);
    put_checksum(out, &length, sizeof length);
    buf_put(out, event->at, event->len);
    put_checksum(out, event->at, event->len);
    buf_free(event);
}

/* ---- protobuf: a field's number and kind, then its value ---- */

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put_varint(Buf *out, uint64_t x) {
    for (; x >= 0x80; x >>= 7) {
        uint8_t byte = (uint8_t)(x | 0x80);
        buf_put(out, &byte, 1);
    }
    uint8_t last = (uint8_t)x;
    buf_put(out, &last, 1);
}

static void put_key(Buf *out, int field, int wire) { put_varint(out, (uint64_t)(field << 3 | wire)); }

static void put_bytes(Buf *out, int field, const void *bytes, size_t length) {
    put_key(out, field, WIRE_BYTES);
    put_varint(out, length);
    buf_put(out, bytes, length);
}

static void put_time(Buf *out, double wall_time) {
    put_key(out, 1, WIRE_64);
    buf_put(out, &wall_time, sizeof wall_time);
}

void events_begin(Buf *out) {
    static const char version[] = "brain.Event:2";
    Buf event = {0};
    put_time(&event, 0);
    put_bytes(&event, 3, version, sizeof version - 1);
    put_record(out, &event);
}

void events_scalar(Buf *out, double wall_time, int64_t step, const char *tag, double value) {
    Buf event = {0}, summary = {0}, scalar = {0};
    float x = (float)value;
    put_bytes(&scalar, 1, tag, strlen(tag));
    put_key(&scalar, 2, WIRE_32);
    buf_put(&scalar, &x, sizeof x);
    put_bytes(&summary, 1, scalar.at, scalar.len);
    put_time(&event, wall_time);
    put_key(&event, 2, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, 5, summary.at, summary.len);
    buf_free(&scalar);
    buf_free(&summary);
    put_record(out, &event);
}
