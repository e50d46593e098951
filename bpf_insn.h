/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eBPF instructions under the kernel's own names for them, each an expression of type struct
 * bpf_insn. Registers: BPF_REG_0 result, 1 to 5 arguments (lost in a call), 6 to 9 kept by calls,
 * 10 the frame pointer. The 64-bit loads are two instructions, to stand in an initializer of an
 * array. An offset of a jump counts from the instruction behind it.
 *
 *	 0    8    12   16     32       64
 *	| code | dst | src | off  |  imm  |     on a big-endian host dst and src change places
 */
#ifndef XGUARD_BPF_INSN_H
#define XGUARD_BPF_INSN_H

#include <linux/bpf.h>

/* Any instruction, field by field; all others are made of this one. */
#define BPF_RAW_INSN(CODE, DST, SRC, OFF, IMM)                                                     \
	((struct bpf_insn){.code = (CODE), .dst_reg = (DST), .src_reg = (SRC), .off = (OFF),       \
			   .imm = (IMM)})

/* DST = DST op SRC, DST = DST op IMM; OP is BPF_ADD, BPF_SUB, BPF_AND, BPF_LSH ... */
#define BPF_ALU64_REG(OP, DST, SRC) BPF_RAW_INSN(BPF_ALU64 | BPF_OP(OP) | BPF_X, DST, SRC, 0, 0)
#define BPF_ALU64_IMM(OP, DST, IMM) BPF_RAW_INSN(BPF_ALU64 | BPF_OP(OP) | BPF_K, DST, 0, 0, IMM)
#define BPF_ALU32_REG(OP, DST, SRC) BPF_RAW_INSN(BPF_ALU | BPF_OP(OP) | BPF_X, DST, SRC, 0, 0)
#define BPF_ALU32_IMM(OP, DST, IMM) BPF_RAW_INSN(BPF_ALU | BPF_OP(OP) | BPF_K, DST, 0, 0, IMM)

/* DST = SRC, DST = IMM. The 32-bit forms clear the upper half, the 64-bit IMM is sign-extended. */
#define BPF_MOV64_REG(DST, SRC) BPF_ALU64_REG(BPF_MOV, DST, SRC)
#define BPF_MOV64_IMM(DST, IMM) BPF_ALU64_IMM(BPF_MOV, DST, IMM)
#define BPF_MOV32_REG(DST, SRC) BPF_ALU32_REG(BPF_MOV, DST, SRC)
#define BPF_MOV32_IMM(DST, IMM) BPF_ALU32_IMM(BPF_MOV, DST, IMM)

/* The low LEN (16, 32, 64) bits of DST to or from TYPE: BPF_TO_BE, BPF_TO_LE. Clears the others. */
#define BPF_ENDIAN(TYPE, DST, LEN) BPF_RAW_INSN(BPF_ALU | BPF_END | BPF_SRC(TYPE), DST, 0, 0, LEN)

/* DST = 64-bit constant; a map, by its descriptor; OFF bytes into the value of a one-entry map. */
#define BPF_LD_IMM64_RAW(DST, SRC, LOW, HIGH)                                                      \
	BPF_RAW_INSN(BPF_LD | BPF_DW | BPF_IMM, DST, SRC, 0, LOW), BPF_RAW_INSN(0, 0, 0, 0, HIGH)
#define BPF_LD_IMM64(DST, IMM)                                                                     \
	BPF_LD_IMM64_RAW(DST, 0, (__s32)(__u64)(IMM), (__s32)((__u64)(IMM) >> 32))
#define BPF_LD_MAP_FD(DST, FD) BPF_LD_IMM64_RAW(DST, BPF_PSEUDO_MAP_FD, FD, 0)
#define BPF_LD_MAP_VALUE(DST, FD, OFF) BPF_LD_IMM64_RAW(DST, BPF_PSEUDO_MAP_VALUE, FD, OFF)

/* Memory: DST = *(SRC + OFF), *(DST + OFF) = SRC, = IMM; SIZE is BPF_B, BPF_H, BPF_W, BPF_DW. */
#define BPF_LDX_MEM(SIZE, DST, SRC, OFF)                                                           \
	BPF_RAW_INSN(BPF_LDX | BPF_SIZE(SIZE) | BPF_MEM, DST, SRC, OFF, 0)
#define BPF_STX_MEM(SIZE, DST, SRC, OFF)                                                           \
	BPF_RAW_INSN(BPF_STX | BPF_SIZE(SIZE) | BPF_MEM, DST, SRC, OFF, 0)
#define BPF_ST_MEM(SIZE, DST, OFF, IMM)                                                            \
	BPF_RAW_INSN(BPF_ST | BPF_SIZE(SIZE) | BPF_MEM, DST, 0, OFF, IMM)

/* if (DST op SRC) skip OFF; OP is BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JSET ... JMP32: the low halves. */
#define BPF_JMP_REG(OP, DST, SRC, OFF) BPF_RAW_INSN(BPF_JMP | BPF_OP(OP) | BPF_X, DST, SRC, OFF, 0)
#define BPF_JMP_IMM(OP, DST, IMM, OFF) BPF_RAW_INSN(BPF_JMP | BPF_OP(OP) | BPF_K, DST, 0, OFF, IMM)
#define BPF_JMP32_REG(OP, DST, SRC, OFF)                                                           \
	BPF_RAW_INSN(BPF_JMP32 | BPF_OP(OP) | BPF_X, DST, SRC, OFF, 0)
#define BPF_JMP32_IMM(OP, DST, IMM, OFF)                                                           \
	BPF_RAW_INSN(BPF_JMP32 | BPF_OP(OP) | BPF_K, DST, 0, OFF, IMM)
#define BPF_JMP_A(OFF) BPF_RAW_INSN(BPF_JMP | BPF_JA, 0, 0, OFF, 0)

/* Call a helper by its BPF_FUNC_ number; a subprogram DISTANCE instructions from the next one. */
#define BPF_EMIT_CALL(FUNC) BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, FUNC)
#define BPF_CALL_REL(DISTANCE) BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, DISTANCE)
#define BPF_EXIT_INSN() BPF_RAW_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

#endif
