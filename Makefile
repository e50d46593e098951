# SPDX-License-Identifier: GPL-2.0-or-later
# make            build xguard, a static binary
# make check      run the tests (those under tests/system need root)
# make check-decode   compare what is decoded with tshark
# make check-fleet    three hosts, scraped by a Prometheus
# make check-kernels  boot real kernels in QEMU and trace there
# make check-arches   other architectures; check-package: in a fresh Debian; check-dist: make dist twice
# make ARCH=...   for another machine; make dist: for all; make deb: a package (cross.mk)
# make demo       a tour on a veth pair; make bench: measure (both need root)
# make install    to $(DESTDIR)$(PREFIX); make uninstall removes it
# Everything that is missing is installed by ./setup TARGET, which then runs make TARGET.
VERSION := 0.1.0

PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions

CLANG ?= clang

all: xguard

include cross.mk

# $(call known,FLAG...): those that this compiler knows.
known = $(foreach flag,$(1),$(if $(shell $(CC) -Werror $(flag) -c -o /dev/null -x c /dev/null 2>&1),,$(flag)))

OPTIMIZE := $(or $(call known,-Oz),-Os)
CFLAGS ?= $(OPTIMIZE) -g
BPF_CFLAGS ?= -O2 -g0
WARNINGS := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wvla
XCFLAGS := -std=gnu11 $(WARNINGS) -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
	-D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -DXGUARD_VERSION='"$(VERSION)"' -I. $(HEADERS)
# Smaller code; the last one does without floating point, which a function with ... would save. Where
# instructions stay as they were written, the same ones follow each other more often: they pack better.
SMALL := $(call known,-fno-pie -fcf-protection=none -fno-jump-tables -fno-caller-saves -fno-schedule-insns2 \
	-fno-tree-loop-im -fno-if-conversion -fno-optimize-sibling-calls -fno-tree-dominator-opts -fno-tree-tail-merge \
	-fno-tree-dse -fno-ipa-modref -fno-move-loop-invariants -fno-thread-jumps -fno-tree-fre -fno-code-hoisting \
	-fno-ipa-bit-cp -fno-tree-forwprop -fno-ssa-phiopt -fno-bit-tests -fno-lra-remat -fno-ipa-sra -mgeneral-regs-only)
# For x86-64 and musl xguard is packed: half the size, and it unpacks itself when it starts (unpack.S).
# make PACK= leaves it as it was linked.
ifeq ($(origin PACK),undefined)
predefined := $(shell $(CC) $(HEADERS) -dM -E -include features.h -x c /dev/null 2>/dev/null)
PACK := $(if $(filter __x86_64__,$(predefined)),$(if $(filter __ILP32__ __GLIBC__,$(predefined)),,yes))
endif
HOSTCC ?= cc
OBJCOPY ?= $(CROSS_COMPILE)objcopy
XLDFLAGS := $(STATIC) -no-pie -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noseparate-code \
	-Wl,-z,common-page-size=64 -Wno-unused-command-line-argument

SRCS := xguard.c loop.c tell.c progress.c window.c moment.c status.c probe.c probe_link.c run.c options.c options_rows.c options_usage.c report.c metrics.c metrics_file.c serve.c http.c output.c names.c flows.c trace_pipe.c trace_line.c guardian.c hints.c \
	filter.c filter_lex.c filter_names.c filter_parse.c filter_id.c filter_gen.c filter_protocol.c filter_host.c filter_link.c \
	filter_arith.c filter_flow.c filter_steer.c filter_join.c filter_code.c filter_both.c filter_load.c filter_eval.c filter_chain.c \
	filter_pieces.c filter_copy.c filter_field.c filter_header.c filter_dump.c \
	bpf_load.c bpf_code.c bpf_fold.c bpf_place.c bpf_maps.c load_hints.c bpf_elf.c bpf.c netlink.c netlink_parse.c \
	guardian_serve.c guardian_follow.c guardian_link.c guardian_alive.c holder.c environment.c ssh.c confine.c \
	top.c top_draw.c screen.c terminal.c say.c failure.c printf.c libc.c
OBJS := $(SRCS:%.c=$(B)/%.o) $(B)/object.o
UNITS := $(patsubst tests/unit/%.c,$(B)/tests/%.t,$(wildcard tests/unit/*.c))
SANITIZED := $(UNITS:%.t=%.sanitized.t)
SYSTEM := $(wildcard tests/system/*.t)
TOOLS := $(B)/tests/send $(B)/tests/generate $(B)/tests/make-capture $(B)/tests/filter-count \
	$(B)/tests/hold-link $(B)/tests/tun $(B)/tests/measure $(B)/tests/drop
PROVE := prove --timer -e 'timeout --foreground -k 10 300'

Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$@")

xguard: $(B)/xguard always
	$(Q)cmp -s $< $@ || cp -f $< $@

$(B)/xguard: $(OBJS) $(if $(PACK),$(B)/pack $(B)/unpack.bin)
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(XLDFLAGS) $(LDFLAGS) -Wl,-Map=$(B)/xguard.map -o $(B)/xguard.debug $(OBJS) $(LIBS)
	$(Q)$(STRIP) -s -R .comment -R '.note*' -o $(B)/xguard.stripped $(B)/xguard.debug
	$(Q)$(if $(PACK),$(B)/pack $(B)/xguard.stripped $(B)/unpack.bin $@,cp $(B)/xguard.stripped $@)

$(B)/pack: pack.c pack_code.c pack.h
	$(call say,HOSTCC)
	$(Q)$(HOSTCC) -std=gnu11 $(WARNINGS) -O2 -D_GNU_SOURCE -o $@ $(filter %.c,$^)

$(B)/unpack.bin: unpack.S
	$(call say,AS)
	$(Q)$(CC) -c -o $(B)/unpack.o $<
	$(Q)$(OBJCOPY) -O binary -j .text $(B)/unpack.o $@

$(B)/completion: completion.c options_rows.c options_rows.h http.c moment.c names.c failure.c
	$(call say,HOSTCC)
	$(Q)$(HOSTCC) -std=gnu11 $(WARNINGS) -O1 -D_GNU_SOURCE -I. -o $@ $(filter %.c,$^)

$(B)/xguard.bash: $(B)/completion
	$(call say,GEN)
	$(Q)$< >$@

# What each file, ours and libc's, has of the binary.
size: xguard
	$(Q)tests/size $(B)/xguard.map xguard

$(SRCS:%.c=$(B)/%.o): XCFLAGS += $(SMALL)

$(B)/%.o: %.c Makefile cross.mk $(COMPILER)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(XCFLAGS) -MMD -MP -c -o $@ $<

# By way of the assembler text, where the names of jump targets can be made local: a fifth of the object.
$(B)/xdp_prog.o: xdp_prog.c Makefile cross.mk $(COMPILER)
	$(call say,CLANG)
	$(Q)$(CLANG) -target $(BPF_TARGET) -mcpu=v2 $(BPF_CFLAGS) $(WARNINGS) $(HOST_HEADERS) -fno-addrsig \
		-MMD -MP -MT $@ -S -o $(B)/xdp_prog.s $<
	$(Q)sed 's/LBB\([0-9]*_\)/.LBB\1/g' $(B)/xdp_prog.s | $(CLANG) -target $(BPF_TARGET) -c -o $@ -x assembler -

# What takes libc's place must not be made of calls to itself.
$(B)/libc.o $(B)/printf.o: XCFLAGS += -fno-builtin

$(B)/object.o: object.S $(B)/xdp_prog.o
	$(call say,AS)
	$(Q)$(CC) -Wa,-I$(B) -c -o $@ $<

$(B)/tests/%.t: tests/unit/%.c Makefile cross.mk $(COMPILER)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(XCFLAGS) -Itests -MMD -MP $(STATIC) -o $@ $< $(WITH) $(LIBS)

$(B)/tests/%.sanitized.t: tests/unit/%.c Makefile cross.mk $(COMPILER)
	$(call say,CC)
	$(Q)gcc $(XCFLAGS) -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -Itests \
		-MMD -MP -o $@ $< $(WITH)
FILTER_UNITS := $(foreach unit,filter filter_long,$(B)/tests/$(unit).t $(B)/tests/$(unit).sanitized.t)
$(FILTER_UNITS): WITH := $(filter-out filter_dump.c,$(wildcard filter*.c))
$(FILTER_UNITS): $(wildcard filter*.c)

$(TOOLS): $(B)/tests/%: $(B)/tests/%.o
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(XLDFLAGS) $(LDFLAGS) -o $@ $^ -lm $(LIBS)
$(B)/tests/generate: $(B)/tests/traffic.o $(B)/bpf.o
$(B)/tests/hold-link: $(B)/bpf.o
$(B)/tests/measure: $(patsubst %,$(B)/%.o,bpf bpf_load bpf_code bpf_fold bpf_place bpf_maps bpf_elf load_hints netlink \
	netlink_parse failure)

# The same program, but one that asks a full hash for room each time, as a plain one would.
$(B)/tests/plain-hash.o: xdp_prog.c $(B)/xdp_prog.o
	$(Q)$(CLANG) -target $(BPF_TARGET) -mcpu=v2 $(BPF_CFLAGS) $(HOST_HEADERS) -DRETRY=1 -c -o $@ $<
$(B)/tests/filter-count: $(filter-out $(B)/xguard.o $(B)/run.o $(B)/probe.o,$(OBJS))

include checks.mk

check: xguard $(B)/xguard.bash $(UNITS) $(SANITIZED) $(TOOLS)
	$(Q)$(if $(wildcard xguard.8),mandoc -T lint -W warning xguard.8)
	$(Q)$(if $(UNITS)$(SYSTEM),,echo "there are no tests" >&2; exit 1;) \
		$(PROVE) $(UNITS) $(SANITIZED) $(SYSTEM) tests/kernels/bookworm.t

check-decode: xguard $(TOOLS)
	$(Q)$(PROVE) tests/check-decode

check-kernels: xguard $(TOOLS)
	$(Q)$(PROVE) tests/kernels/*.t

check-fleet: xguard $(TOOLS)
	$(Q)$(PROVE) tests/check-fleet

demo: xguard
	$(Q)tests/demo

bench: xguard $(TOOLS) $(B)/tests/plain-hash.o
	$(Q)tests/bench $(if $(V),--csv)

install: xguard $(B)/xguard.bash
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(BASHCOMPDIR)
	install -m 755 xguard $(DESTDIR)$(SBINDIR)/xguard
	install -m 644 xguard.8 $(DESTDIR)$(MANDIR)/man8/xguard.8
	install -m 644 $(B)/xguard.bash $(DESTDIR)$(BASHCOMPDIR)/xguard

uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/xguard $(DESTDIR)$(MANDIR)/man8/xguard.8 \
		$(DESTDIR)$(BASHCOMPDIR)/xguard

clean:
	$(Q)rm -rf build xguard

.PHONY: all size check check-decode check-kernels check-fleet demo bench install uninstall clean
.SECONDARY:
-include $(wildcard $(B)/*.d $(B)/tests/*.d)
