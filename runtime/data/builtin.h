/* builtin.h -- the digits that travel inside the binary (stdlib/data/digits.csv.gz, made C by the Makefile). */
#ifndef NIN_BUILTIN_H
#define NIN_BUILTIN_H
#include <stddef.h>
extern const unsigned char digits_csv_gz[];
extern const size_t digits_csv_gz_size;
#endif
