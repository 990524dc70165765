# The only build file.  make: build/nin.  make demo, make test: see README.  BUILD=dir: everything generated lives there.
BUILD ?= build
# make V=1 shows the commands.
Q = $(if $(V),,@)
CC = gcc
LLVM_CONFIG ?= llvm-config-19
OPT ?= -O2
WARN = -Wall -Wextra -Wshadow -Wswitch-enum -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-missing-field-initializers -Werror
CFLAGS = -std=gnu11 $(OPT) -g -ffp-contract=off -fvisibility=hidden -fPIC -pthread $(WARN) $(SANITIZE) \
         -Icompiler -Iruntime -Ilang -I. -I$(BUILD)/gen
LDFLAGS = -pthread $(SANITIZE)
LIBS = -ljansson -larchive -ljpeg -lpng -lz -ldl -lm

LAYERS = base syntax graph pass sema kernel emit driver
GEN = $(patsubst lang/%,$(BUILD)/gen/%.c,$(basename $(wildcard lang/lexer.re lang/grammar.y))) $(BUILD)/gen/stdlib.c $(BUILD)/gen/digits.c
SRC = $(filter-out compiler/emit/llvm% compiler/driver/main.c compiler/driver/cli% compiler/driver/build%,$(wildcard $(LAYERS:%=compiler/%/*.c))) $(wildcard runtime/*/*.c)
OBJ = $(SRC:%.c=$(BUILD)/%.o) $(GEN:%.c=%.o)
CLI_OBJ = $(patsubst %.c,$(BUILD)/%.o,$(wildcard compiler/driver/main.c compiler/driver/cli*.c compiler/driver/build*.c))
LLVM_OBJ = $(patsubst %.c,$(BUILD)/%.o,$(wildcard compiler/emit/llvm*.c))
UNIT = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*.c))
NINTEST = $(wildcard tests/nintest/*.c)
JOBS ?= 2
FUZZ_SECONDS ?= 600
ASAN ?= detect_leaks=0
VERSION := $(shell sed -n 's/.define NIN_VERSION "\(.*\)"/\1/p' runtime/experiment/lab.h)
SONAME = libnin.so.$(firstword $(subst ., ,$(VERSION)))

.PHONY: all lib unit demo test test-long suite deps asan layers bench fuzz tsan clean install uninstall
all: $(BUILD)/nin $(BUILD)/libnin-llvm.so $(BUILD)/$(SONAME) $(BUILD)/whole/libnin.a
lib: $(BUILD)/libnin.a
unit: $(UNIT)

# What a newcomer runs.  Both install missing Debian packages first, and say so.
deps:
	@tools/install-deps.sh
demo: deps
	@echo "Building (some minutes the first time) ..."
	@$(MAKE) -s -j$(JOBS) all
	$(BUILD)/nin run examples/xor.nin
	@echo "Figures and tables:" && ls -d results/xor/*/*.png results/xor/*/*.tsv
test: deps
	@$(MAKE) -s -j$(JOBS) suite
# The long tests too, with compilers and emulators of the machines that models are built for.
DEVICE_PACKAGES = clang-19 lld-19 nodejs gcc-arm-none-eabi libnewlib-dev qemu-system-arm qemu-user \
                  gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
test-long:
	@tools/install-deps.sh $(DEVICE_PACKAGES)
	@$(MAKE) -s -j$(JOBS) suite NINTEST_FLAGS=--long
# Everything, then the test runner: its last line is "N passed, N failed, N skipped".
suite: all unit $(BUILD)/nintest
	@$(BUILD)/nintest $(BUILD) -j$(JOBS) $(NINTEST_FLAGS)
# The same under AddressSanitizer and UBSan, in a build folder of its own.
asan: deps
	@echo "Building and testing with sanitizers ..."
	@ASAN_OPTIONS=$(ASAN) UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) -s -j$(JOBS) suite BUILD=$(BUILD)/asan OPT=-O1 \
	    SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
layers:
	@tools/layers.sh
# tests/bench/NAME.c, each a program that prints what it measured.
bench: $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
	@for b in $^; do echo "== $${b##*/}"; $$b || exit 1; done
# Needs clang: FUZZ_SECONDS of any bytes through the parser.
fuzz:
	@$(MAKE) -s BUILD=$(BUILD)/fuzz CC=clang OPT=-O1 SANITIZE="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all" fuzz-run
fuzz-run: lib
	$(CC) $(CFLAGS) -fsanitize=fuzzer,address,undefined -o $(BUILD)/fuzz-parser tests/fuzz/fuzz_parse.c $(BUILD)/libnin.a $(LIBS)
	@mkdir -p $(BUILD)/corpus
	$(BUILD)/fuzz-parser -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -artifact_prefix=$(BUILD)/ $(BUILD)/corpus \
	    $(wildcard examples tests/lang tests/diagnostics tests/data/targets)
# The thread pool, and several sessions at once, under ThreadSanitizer.
TSAN_TESTS = test_threads test_sessions test_nin
tsan:
	$(MAKE) BUILD=$(BUILD)/tsan SANITIZE=-fsanitize=thread OPT=-O1 $(TSAN_TESTS:%=$(BUILD)/tsan/unit/%)
	@for t in $(TSAN_TESTS); do TSAN_OPTIONS=suppressions=tests/tsan.supp $(BUILD)/tsan/unit/$$t || exit 1; done

$(BUILD)/nin: $(CLI_OBJ) $(BUILD)/libnin.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -ledit
$(BUILD)/libnin.a: $(OBJ)
	@rm -f $@
	@echo "  AR $@"
	@ar rcs $@ $^
$(BUILD)/compiler/emit/objects.o: CFLAGS += -DNIN_LLVM='"$(shell $(LLVM_CONFIG) --version)"'
$(BUILD)/libnin-llvm.so: $(LLVM_OBJ)
	$(CC) $(LDFLAGS) -shared -o $@ $^ $$($(LLVM_CONFIG) --ldflags --libs)
# libnin for others: nin_* (compiler/driver/nin.h) and nothing else is seen from outside.
$(BUILD)/$(SONAME): $(OBJ)
	@echo '{ global: nin_*; local: *; };' > $(BUILD)/libnin.map
	$(CC) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,-z,defs -Wl,--version-script=$(BUILD)/libnin.map -o $@ $^ $(LIBS)
# (The folder is not called install: with the build on the path it would stand for install(1), as that of older builds does.)
$(BUILD)/whole/libnin.a: $(OBJ)
	@rm -rf $(BUILD)/install
	@mkdir -p $(@D)
	@rm -f $@
	@echo "  AR $@"
	@ld -r -o $(BUILD)/whole/libnin.o $^ && objcopy --wildcard --keep-global-symbol='nin_*' $(BUILD)/whole/libnin.o && ar rcs $@ $(BUILD)/whole/libnin.o

# make install PREFIX=/usr/local DESTDIR=: the program, libnin, its header, pkg-config's nin.pc, the manual page, completions of
# bash, zsh and fish, grammars for editors.  The program finds its back end in ../lib/nin, libnin in nin/ beside itself.
PREFIX ?= /usr/local
INSTALL = install -D -m 644
INSTALLED = bin/nin lib/nin/libnin-llvm.so lib/libnin.so.$(VERSION) lib/$(SONAME) lib/libnin.so lib/libnin.a include/nin.h lib/pkgconfig/nin.pc \
            share/man/man1/nin.1 share/bash-completion/completions/nin share/zsh/site-functions/_nin share/fish/vendor_completions.d/nin.fish
TO = $(DESTDIR)$(PREFIX)
install: all
	$(INSTALL) -m 755 $(BUILD)/nin $(TO)/bin/nin
	$(INSTALL) $(BUILD)/libnin-llvm.so $(TO)/lib/nin/libnin-llvm.so
	$(INSTALL) $(BUILD)/$(SONAME) $(TO)/lib/libnin.so.$(VERSION)
	ln -sf libnin.so.$(VERSION) $(TO)/lib/$(SONAME)
	ln -sf $(SONAME) $(TO)/lib/libnin.so
	$(INSTALL) $(BUILD)/whole/libnin.a $(TO)/lib/libnin.a
	$(INSTALL) compiler/driver/nin.h $(TO)/include/nin.h
	$(INSTALL) docs/nin.1 $(TO)/share/man/man1/nin.1
	@mkdir -p $(TO)/share/nin && cp -R lang/editors $(TO)/share/nin/
	@mkdir -p $(TO)/lib/pkgconfig $(TO)/share/bash-completion/completions $(TO)/share/zsh/site-functions $(TO)/share/fish/vendor_completions.d
	@tools/completions.sh bash > $(TO)/share/bash-completion/completions/nin
	@tools/completions.sh zsh > $(TO)/share/zsh/site-functions/_nin
	@tools/completions.sh fish > $(TO)/share/fish/vendor_completions.d/nin.fish
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: nin' \
	    'Description: a language and a laboratory for neural nets whose neurons are learned' 'Version: $(VERSION)' \
	    'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lnin' 'Libs.private: $(LIBS) -pthread' > $(TO)/lib/pkgconfig/nin.pc
uninstall:
	rm -f $(INSTALLED:%=$(TO)/%)
	rm -rf $(TO)/share/nin/editors $(TO)/lib/nin
# Those that run the program itself need it.
$(BUILD)/unit/test_cli $(BUILD)/unit/test_build $(BUILD)/unit/test_bits $(BUILD)/unit/test_sweeps $(BUILD)/unit/test_fmt $(BUILD)/unit/test_embed: $(BUILD)/nin tests/nintest/process.c tests/unit/child.h
$(BUILD)/unit/test_embed: $(BUILD)/$(SONAME) $(BUILD)/whole/libnin.a
$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libnin.a | $(BUILD)/libnin-llvm.so
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -DNIN_PLUGIN='"$(abspath $(BUILD))/libnin-llvm.so"' -DNIN_TESTS='"$(abspath tests)"' -MMD -MP -MF $@.d \
	    $(LDFLAGS) -o $@ $< $(BUILD)/libnin.a -lcmocka $(LIBS)
# Peers of the benchmarks, where they are installed: OpenBLAS, oneDNN.
has_header = $(shell echo '\#include <$(1)>' | $(CC) -E - >/dev/null 2>&1 && echo $(2))
$(BUILD)/bench/bench_matmul: PEER = $(call has_header,cblas.h,-DNIN_OPENBLAS -lopenblas)
$(BUILD)/bench/bench_conv: PEER = $(call has_header,oneapi/dnnl/dnnl.h,-DNIN_ONEDNN -ldnnl)
$(BUILD)/bench/compile: PEER = -Wl,--wrap=code_jit,--wrap=plan_get
$(BUILD)/bench/%: tests/bench/%.c tests/bench/bench.h $(BUILD)/libnin.a | $(BUILD)/libnin-llvm.so
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -DNIN_PLUGIN='"$(abspath $(BUILD))/libnin-llvm.so"' -DNIN_TESTS='"$(abspath tests)"' $(LDFLAGS) -o $@ $< $(BUILD)/libnin.a $(PEER) $(LIBS)
$(BUILD)/nintest: $(NINTEST) tests/nintest/nintest.h $(BUILD)/libnin.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(NINTEST) $(BUILD)/libnin.a $(LIBS)

# At -O1 gcc leaves out vzeroupper, and every instruction of SSE behind these loops then waits: forty times slower.
CFLAGS_loops_avx2 = -fexpensive-optimizations
CFLAGS_loops_avx512 = -fexpensive-optimizations
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(CFLAGS) $(CFLAGS_$(notdir $(<:.c=))) -MMD -MP -c -o $@ $<
$(LLVM_OBJ): CFLAGS += $(shell $(LLVM_CONFIG) --cflags 2>/dev/null | sed 's/-I/-isystem /')
$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	@echo "  CC $<"
	$(Q)$(CC) $(filter-out -W%,$(CFLAGS)) -MMD -MP -c -o $@ $<
$(BUILD)/gen/lexer.c: lang/lexer.re
	@mkdir -p $(@D)
	re2c -W -Werror -i --no-generation-date -o $@ $<
$(BUILD)/gen/grammar.c: lang/grammar.y
	@mkdir -p $(@D)
	lemon -q -l -d$(BUILD)/gen $<
# The standard library travels inside the binary: one string per file.
$(BUILD)/gen/stdlib.c: $(wildcard stdlib/*.nin)
	@mkdir -p $(@D)
	@{ echo '#include "sema/prelude.h"'; echo 'const PreludeFile prelude_files[] = {'; \
	   for f in $(sort $^); do printf '{"%s", (const char[]){' $$f; od -An -v -td1 $$f | sed 's/ *\(-*[0-9][0-9]*\)/\1,/g'; echo '0}},'; done; \
	   echo '{0, 0}};'; } > $@
# The built-in digits, as an array.
$(BUILD)/gen/digits.c: stdlib/data/digits.csv.gz
	@mkdir -p $(@D)
	@{ echo '#include "data/builtin.h"'; echo 'const unsigned char digits_csv_gz[] = {'; od -An -v -tu1 $< | sed 's/ *\([0-9][0-9]*\)/\1,/g'; \
	   echo '};'; echo 'const size_t digits_csv_gz_size = sizeof digits_csv_gz;'; } > $@
$(OBJ) $(CLI_OBJ): | $(filter %grammar.c,$(GEN))

clean:
	rm -rf $(BUILD)
-include $(OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(LLVM_OBJ:.o=.d) $(UNIT:=.d)
