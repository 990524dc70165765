/* sha256.h -- SHA-256 (FIPS 180-4), for the identity of data files, runs and programs. */
#ifndef NIN_SHA256_H
#define NIN_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct Sha256 { uint32_t state[8]; uint64_t length; uint8_t block[64]; } Sha256;
void sha256_start(Sha256 *sha);
void sha256_add(Sha256 *sha, const void *bytes, size_t length);
void sha256_end(Sha256 *sha, uint8_t digest[32]);
/* Lower-case hexadecimal with the final NUL. */
void sha256_end_hex(Sha256 *sha, char hex[65]);
void sha256_hex(const void *bytes, size_t length, char hex[65]);

#endif
