/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The beginning of a packed xguard (x86-64): unpacks the image that pack.c made, where it was linked
 * to be, and goes on there. The image's pages are already there, writable and zero.
 *
 * Behind the code:
 *
 *	u32 image      its address
 *	u32 size       bytes of it to unpack; what follows stays zero
 *	u32 code       bytes of it to be executable, whole pages
 *	u32 entry      address of its first instruction
 *	u32 calls      bytes of it, the first stretch, in which calls and jumps to one of them are absolute and
 *	               big-endian
 *	u32 mark       from where on those are counted
 *	bits, of each byte the highest first:
 *		TABLES tables, each for its symbols from 0 on until all SLOTS are given away:
 *		gamma  slots + 1: as many 0 as bits follow its highest one, then it
 *		KIND_BITS for each stretch and each byte before: which table a step there begins with
 *		8 bits, the first byte; LOG_SLOTS bits, the state; steps
 *
 * A step is a symbol that is a byte; or MATCH + length, bits, distance, bits, the distance by the table
 * that the length chooses; or AGAIN + length, bits: from as far back as the last time. 0 to 7 is such a
 * number from 0 on, 8 + n means n + 3 bits below a 1; a distance + 1 is a 1, the symbol's lowest bit,
 * and then bits, half the symbol.
 *
 * The state (asymmetric numeral systems, with tables) is a slot of the table that is asked next. There
 * stand a symbol << 16, then << 4 what becomes the next state with so many bits below it as stand here.
 *
 * rsi: bits, ebp: how many were read, rdi: where the next byte of the image goes, r8: -distance of the
 * last match, r10: tables, behind them which to begin with (rbx: in this stretch), r11: SLOTS + state.
 */
	.set KINDS, 6
	.set KIND_BITS, 3
	.set TABLES, KINDS + 3
	.set LOG_SLOTS, 11
	.set SLOTS, 1 << LOG_SLOTS
	.set SPREAD, 1283
	.set ROOM, TABLES * SLOTS * 4 + 512

	.text
	.globl _start
_start:
	lea packed(%rip), %rsi
	sub $ROOM, %rsp
	mov %rsp, %r10
	mov %rsp, %rdi
	lea ROOM - 512(%rsp), %r14
	xor %ebp, %ebp

table:	xor %ebx, %ebx		/* symbol << 16 */
	xor %r11d, %r11d	/* slot */
	mov $SLOTS, %r8d	/* left */
share:	or $-1, %r12d
1:	inc %r12d
	push $1
	pop %rcx
	xor %edx, %edx
	call bits
	test %edx, %edx
	jz 1b
	mov %r12d, %ecx
	call bits
	dec %edx
	jz 3f
	sub %edx, %r8d
	lea (%rdx, %rdx), %r12d
2:	bsr %edx, %ecx
	mov %edx, %eax
	shl $4, %eax
	or %ebx, %eax
	sub %ecx, %eax
	add $LOG_SLOTS, %eax
	mov %eax, (%rdi, %r11, 4)
	add $SPREAD, %r11d
	and $SLOTS - 1, %r11d
	inc %edx
	cmp %r12d, %edx
	jne 2b
3:	add $1 << 16, %ebx
	test %r8d, %r8d
	jnz share
	add $SLOTS * 4, %rdi
	cmp %r14, %rdi
	jb table

	mov %rdi, %rbx
	mov $512, %r8d
1:	push $KIND_BITS
	pop %rcx
	xor %edx, %edx
	call bits
	xchg %eax, %edx
	stosb
	dec %r8d
	jnz 1b

	mov image(%rip), %edi
	mov calls(%rip), %r13d
	add %rdi, %r13		/* end of the stretch */
	push $8
	pop %rcx
	xor %edx, %edx
	call bits
	mov %edx, %r14d		/* the byte */
	push $LOG_SLOTS
	pop %rcx
	push $1
	pop %rdx
	call bits
	mov %edx, %r11d
	mov %r14d, %eax
	jmp literal

/* The next symbol, of table eax, in eax. */
symbol:
	shl $LOG_SLOTS, %eax
	add %r11d, %eax
	mov -SLOTS * 4(%r10, %rax, 4), %r12d
	mov %r12d, %ecx
	and $15, %ecx
	movzwl %r12w, %edx
	shr $4, %edx
	shr $16, %r12d
	call bits
	mov %edx, %r11d
	mov %r12d, %eax
	ret

/* The next ecx bits, behind those in edx. */
bits:
	mov %ebp, %eax
	shr $3, %eax
	mov (%rsi, %rax), %eax
	bswap %eax
	mov %ecx, %r9d
	mov %ebp, %ecx
	and $7, %ecx
	shl %cl, %eax
	mov %r9d, %ecx
	add %ecx, %ebp
	shld %cl, %eax, %edx
	ret

match:	movzbl %al, %edx
	btr $4, %edx		/* AGAIN - MATCH */
	sbb %r15, %r15
	lea -5(%rdx), %ecx
	cmp $8, %edx
	jb 1f
	push $1
	pop %rdx
	call bits
1:	lea 2(%rdx, %r15), %r14d
	test %r15d, %r15d
	jnz copy
	push $4
	pop %rax
	cmp %eax, %r14d
	cmovb %r14d, %eax
	add $KINDS - 2, %eax
	call symbol
	mov %eax, %ecx
	shr %ecx
	and $1, %eax
	lea 2(%rax), %edx
	call bits
	push $1
	pop %r8
	sub %rdx, %r8

/* Eight bytes at a time, also beyond what is asked for, where the distance lets them be there. */
copy:	mov %rdi, %rdx
	add %r14, %rdi
	cmp $-8, %r8
	ja 2f
1:	mov (%rdx, %r8), %rax
	mov %rax, (%rdx)
	add $8, %rdx
	sub $8, %r14d
	ja 1b
	jmp copied
2:	mov (%rdx, %r8), %al
	mov %al, (%rdx)
	inc %rdx
	dec %r14d
	jnz 2b
copied:	movzbl -1(%rdi), %eax
	jmp next

literal:
	mov %al, (%rdi)
	inc %rdi
next:	cmp %r13, %rdi		/* eax: the byte before */
	jae border
	movzbl (%rbx, %rax), %eax
	call symbol
	test $1, %ah
	jz literal
	jmp match

border:
	mov image(%rip), %r13d
	mov size(%rip), %edx
	add %rdx, %r13
	add $256, %rbx
	cmp %r13, %rdi
	jb next
	add $ROOM, %rsp
	movq $0, (%rdi)		/* what was copied beyond the end */
	mov image(%rip), %r12d
	mov code(%rip), %r14d
	mov entry(%rip), %r15d

/* Calls and jumps, e8 and e9, want a distance again, counted from where it stands as pack.c did. */
	mov calls(%rip), %edx
	mov %r12, %rdi
	lea (%r12, %rdx), %r8
1:	mov (%rdi), %al
	inc %rdi
	or $1, %al
	cmp $0xe9, %al
	jne 2f
	mov (%rdi), %eax
	bswap %eax
	sub mark(%rip), %eax
	cmp %edx, %eax
	jae 2f
	add %r12d, %eax
	sub %edi, %eax
	stosl
2:	cmp %r8, %rdi
	jb 1b

	mov %r12, %rdi
	mov %r14, %rsi
	push $5			/* PROT_READ | PROT_EXEC */
	pop %rdx
	push $10		/* mprotect */
	pop %rax
	syscall
	test %eax, %eax
	jz run

	/* Where what was written must not become executable: a file in memory, mapped over it. */
	lea name(%rip), %rdi
	push $1			/* MFD_CLOEXEC */
	pop %rsi
	mov $319, %eax		/* memfd_create */
	syscall
	test %eax, %eax
	js fail
	mov %eax, %ebx
	mov %eax, %edi
	mov %r12, %rsi
	mov %r14, %rdx
	push $1			/* write */
	pop %rax
	syscall
	cmp %r14, %rax
	jne fail
	mov %r12, %rdi
	mov %r14, %rsi
	push $5
	pop %rdx
	push $0x12		/* MAP_PRIVATE | MAP_FIXED */
	pop %r10
	mov %ebx, %r8d
	xor %r9d, %r9d
	push $9			/* mmap */
	pop %rax
	syscall
	cmp %r12, %rax
	jne fail
	mov %ebx, %edi
	push $3			/* close */
	pop %rax
	syscall
run:
	xor %edx, %edx		/* no function for the exit */
	jmp *%r15

fail:
	push $2
	pop %rdi
	lea message(%rip), %rsi
	push $message_end - message
	pop %rdx
	push $1			/* write */
	pop %rax
	syscall
	push $1
	pop %rdi
	push $60		/* exit */
	pop %rax
	syscall

message:
	.ascii "xguard: unpack: executable memory is refused here\n"
	.ascii "xguard: use the binary that 'make PACK=' makes\n"
message_end:
name:
	.asciz "xguard"
image:	.long 0
size:	.long 0
code:	.long 0
entry:	.long 0
calls:	.long 0
mark:	.long 0
packed:
	.section .note.GNU-stack, "", %progbits
