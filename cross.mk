# SPDX-License-Identifier: GPL-2.0-or-later
# What it takes to build for another machine. The Makefile includes this file.
#
#	make ARCH=aarch64                 one of TARGETS, by Debian's cross compilers
#	make CROSS_COMPILE=mips-linux-gnu-   or CC=...: any compiler that can link statically
#	make dist                         all of TARGETS, with checksums, into build/dist/
#	make check-arches                 unit tests of all by qemu-user, and kernels of ARCHES in QEMU
#
# With ARCH the C library is musl where Debian's package musl-dev of that architecture is installed or
# was unpacked (make musl), else the compiler's own, glibc; LIBC=glibc insists on that. Objects go to a
# folder of their own under build/; ./xguard is what was built last.
TARGETS := x86_64 i686 aarch64 armv7 riscv64 mipsel s390x

# Of each: the triplets of Debian's compiler and of its musl, Debian's name, qemu-user's name, and the
# suites that have musl for it.
target_x86_64  := x86_64-linux-gnu     x86_64-linux-musl     amd64   x86_64  bookworm trixie sid
target_i686    := i686-linux-gnu       i386-linux-musl       i386    i386    bookworm trixie sid
target_aarch64 := aarch64-linux-gnu    aarch64-linux-musl    arm64   aarch64 bookworm trixie sid
target_armv7   := arm-linux-gnueabihf  arm-linux-musleabihf  armhf   arm     bookworm trixie sid
target_riscv64 := riscv64-linux-gnu    riscv64-linux-musl    riscv64 riscv64 trixie sid
target_mipsel  := mipsel-linux-gnu     mipsel-linux-musl     mipsel  mipsel  bookworm
target_s390x   := s390x-linux-gnu      s390x-linux-musl      s390x   s390x   bookworm trixie sid

B := build
STATIC := -static
ifdef ARCH
target := $(target_$(ARCH))
ifndef target
$(error ARCH=$(ARCH): one of $(TARGETS) is wanted; for another machine give CROSS_COMPILE= or CC=)
endif
CROSS_COMPILE ?= $(word 1,$(target))-
QEMU := qemu-$(word 4,$(target))
B := build/$(ARCH)$(if $(LIBC),-$(LIBC))
musl_at := $(if $(filter glibc,$(LIBC)),,$(firstword $(foreach at,build/musl/$(ARCH)/usr /usr,\
	$(if $(wildcard $(at)/lib/$(word 2,$(target))/libc.a),$(at)))))
else ifdef CROSS_COMPILE
B := build/$(patsubst %-,%,$(notdir $(CROSS_COMPILE)))
endif
ifneq ($(origin CC),default)
else ifdef CROSS_COMPILE
CC := $(CROSS_COMPILE)gcc
else
CC := $(if $(shell command -v musl-gcc),musl-gcc,cc)
endif
STRIP ?= $(or $(shell $(CC) -print-prog-name=strip 2>/dev/null),strip)

# The kernel's headers come behind libc's: musl brings none, and Debian's musl-gcc does not look there.
HOST_HEADERS := $(addprefix -idirafter ,/usr/include $(patsubst %/asm/types.h,%,\
	$(firstword $(wildcard /usr/include/*/asm/types.h))))
ifdef musl_at
musl_lib := $(musl_at)/lib/$(word 2,$(target))
HEADERS := -nostdinc -isystem $(musl_at)/include/$(word 2,$(target)) \
	-isystem $(shell $(CC) -print-file-name=include) \
	$(addprefix -idirafter ,$(wildcard /usr/$(word 1,$(target))/include)) $(if \
	$(filter $(shell uname -m),$(ARCH)),$(HOST_HEADERS))
STATIC += -nostdlib $(addprefix $(musl_lib)/,crt1.o crti.o) -L$(musl_lib)
LIBS := -Wl,--start-group -lc -lgcc -Wl,--end-group $(musl_lib)/crtn.o
else ifndef CROSS_COMPILE
HEADERS := $(HOST_HEADERS)
endif

# The BPF object has the byte order of the machine that will load it.
BPF_TARGET := $(if $(findstring BIG,$(shell $(CC) -dM -E -x c /dev/null | grep __BYTE_ORDER__)),bpfeb,bpfel)

# Objects of another compiler or of other flags are made anew.
$(shell mkdir -p $(B)/tests)
COMPILER := $(B)/compiler
compiled_by = $(CC) $(CPPFLAGS) $(CFLAGS) $(STATIC) $(HEADERS) $(BPF_CFLAGS)
$(COMPILER): always
	$(Q)echo '$(compiled_by)' | cmp -s - $@ || echo '$(compiled_by)' >$@

# musl of each, unpacked from Debian's packages; not kept where this compiler cannot link it (binutils
# before 2.41 do not know what newer ones wrote for RISC-V).
musl: $(TARGETS:%=build/musl/%/packages)
build/musl/%/packages:
	$(Q)for suite in $(wordlist 5,9,$(target_$*)); do \
		tests/packages $$suite $(word 3,$(target_$*)) build/musl/$* musl-dev 2>/dev/null && break; \
	done || echo "make: no musl for $*: it will be glibc" >&2
	$(Q)[ ! -e $@ ] || $(MAKE) -s --no-print-directory ARCH=$* musl-links 2>/dev/null || { \
		rm -rf build/musl/$*/usr && echo "make: cannot link musl for $*: it will be glibc" >&2; }
musl-links:
	$(Q)echo 'int main(void) { return 0; }' | \
		$(CC) $(HEADERS) $(STATIC) -o $(B)/musl-links -x c - -x none $(LIBS)

# Names, checksums and bytes are the same wherever and whenever they are made with the same tools.
dist: musl
	$(Q)rm -rf build/dist && mkdir -p build/dist
	$(Q)for arch in $(TARGETS); do \
		$(MAKE) --no-print-directory ARCH=$$arch build/$$arch/xguard && \
		cp build/$$arch/xguard build/dist/xguard-$(VERSION)-$$arch || exit 1; \
	done
	$(Q)cd build/dist && sha256sum xguard-* >SHA256SUMS
	$(Q)for arch in $(TARGETS); do \
		libc=glibc; grep -q -e -nostdinc build/$$arch/compiler && libc=musl; \
		wc -c build/dist/xguard-$(VERSION)-$$arch | sed "s/\$$/  $$libc/"; \
	done

# A Debian package, of ARCH or of this machine: build/xguard_VERSION_ARCHITECTURE.deb
deb: $(B)/xguard $(B)/xguard.bash
	$(Q)contrib/make-deb $< $(VERSION) $(or $(word 3,$(target)),$(shell dpkg --print-architecture)) build

# The unit tests, by qemu-user where this machine cannot run them itself.
cross_units := $(patsubst tests/unit/%.c,$(B)/tests/%.t,$(wildcard tests/unit/*.c))
check-units: $(cross_units)
	$(Q)$(firstword $^) >/dev/null 2>&1; [ $$? -lt 126 ] || qemu=$(QEMU); \
		prove --timer -e "timeout --foreground -k 10 300 $$qemu" $^

# All four: make check-arches ARCHES="aarch64 armv7 riscv64 s390x"
ARCHES ?= aarch64 s390x
check-arches: musl xguard
	$(Q)$(MAKE) --no-print-directory $(TOOLS)
	$(Q)for arch in $(TARGETS); do \
		echo "# $$arch"; $(MAKE) --no-print-directory ARCH=$$arch check-units || exit 1; \
	done
	$(Q)for arch in i686 $(ARCHES); do \
		$(MAKE) --no-print-directory ARCH=$$arch build/$$arch/xguard build/$$arch/tests/send || exit 1; \
	done
	$(Q)$(PROVE) tests/arches/i686.t $(ARCHES:%=tests/arches/%.t)

# The package in a fresh Debian, and what is in contrib/: root, and a few minutes.
check-package: deb $(B)/xguard
	$(Q)$(MAKE) --no-print-directory $(B)/tests/send
	$(Q)prove --timer -e 'timeout --foreground -k 10 900' tests/package/debian.t

check-dist:
	$(Q)prove --timer -e 'timeout --foreground -k 10 900' tests/package/dist.t
.PHONY: always musl musl-links dist deb check-units check-arches check-dist check-package
