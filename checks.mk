# SPDX-License-Identifier: GPL-2.0-or-later
# Checks that take tools or time of their own. The Makefile includes this file.
#
#	make check-analyze  clang-tidy, cppcheck and gcc -fanalyzer over all sources
#	make check-fuzz     a few seconds of each libFuzzer target; tests/fuzz/run 600 takes longer
#	make check-soak     two minutes at full rate; make soak: an hour
FUZZ_elf := bpf_code.c bpf_fold.c bpf_place.c bpf_elf.c failure.c
FUZZ_filter := $(filter-out filter_dump.c,$(wildcard filter*.c)) bpf.c
FUZZ_http := http.c
FUZZ_moment := moment.c
FUZZ_netlink := netlink_parse.c
FUZZ_options := http.c moment.c options.c options_rows.c options_usage.c failure.c names.c output.c
FUZZ_trace_line := trace_pipe.c trace_line.c report.c names.c output.c failure.c

$(B)/tests/fuzz-%: tests/fuzz/%.c $(wildcard *.c *.h) Makefile checks.mk
	$(call say,CLANG)
	$(Q)$(CLANG) $(XCFLAGS) -g -O1 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o $@ $< $(FUZZ_$*)

# The whole program under ASan and UBSan, with libc's allocator and formatter in place of our own.
$(B)/tests/xguard-sanitized: $(filter-out libc.c printf.c,$(SRCS)) tests/descriptors.c $(B)/object.o \
		$(wildcard *.h) Makefile checks.mk
	$(call say,CC)
	$(Q)gcc $(filter-out -static,$(XCFLAGS)) -g -O1 -fsanitize=address,undefined \
		-fno-sanitize-recover=all -o $@ $(filter %.c %.o,$^)

check: $(B)/tests/xguard-sanitized

check-fuzz: $(B)/xdp_prog.o
	+$(Q)tests/fuzz/run

check-soak: xguard $(TOOLS)
	$(Q)prove --timer tests/soak :: 120

soak: xguard $(TOOLS)
	$(Q)prove --timer tests/soak :: 3600

analyze check-analyze:
	$(Q)prove --timer --comments tests/analyze

.PHONY: check-soak soak check-fuzz analyze check-analyze
