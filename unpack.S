/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The beginning of a packed xguard (x86-64): unpacks the image that pack.c made, where it was linked
 * to be, and goes on there. The image's pages are already there, writable and zero.
 *
 * rsi: packed bytes, rdi: where the next byte of the image goes, ebx: bits not yet used, the highest
 * first, then a 1 that ends them, rbp: -distance of the last match. Behind the code:
 *
 *	u32 image      its address
 *	u32 size       bytes of it to unpack; what follows stays zero
 *	u32 code       bytes of it to be executable, whole pages
 *	u32 entry      address of its first instruction
 *	u32 calls      bytes of it whose calls and jumps are absolute and big-endian
 *	packed bytes
 *
 * Bits stand in little-endian words of 32 between the bytes, each where its first bit is needed.
 *
 *	0 byte                    that byte
 *	10 gamma byte gamma       (first gamma - 1) * 256 + byte + 1 back, second gamma + 1 bytes
 *	11 gamma                  gamma bytes from as far back as the last time
 *
 * gamma is a number from 1 on: a 1, then for each more of its bits a 1 and the bit, then a 0.
 */
	.text
	.globl _start
_start:
	lea header(%rip), %rsi
	lodsl
	mov %eax, %r12d		/* image */
	mov %eax, %edi
	lodsl
	lea (%rdi, %rax), %r13d	/* its end */
	lodsl
	mov %eax, %r14d		/* bytes of code */
	lodsl
	mov %eax, %r15d		/* entry */
	lodsl
	lea (%rdi, %rax), %r8d	/* end of the calls */
	mov $0x80000000, %ebx

literal:
	movsb
next:
	cmp %r13, %rdi
	jae unpacked
	call bit
	jnc literal
	call bit
	jc again
	call gamma
	dec %eax
	shl $8, %eax
	lodsb
	not %rax
	mov %rax, %rbp
	call gamma
	inc %eax
	jmp copy
again:
	call gamma
copy:
	mov %eax, %ecx
	push %rsi
	lea (%rdi, %rbp), %rsi
	rep movsb
	pop %rsi
	jmp next

gamma:
	xor %eax, %eax
	inc %eax
1:	call bit
	jnc 2f
	call bit
	adc %eax, %eax
	jmp 1b

/* The next bit, in the carry flag. */
bit:
	add %ebx, %ebx
	jnz 2f
	mov (%rsi), %ebx
	sub $-4, %rsi		/* sets the carry, which becomes the 1 at the end */
	adc %ebx, %ebx
2:	ret

/* Calls and jumps, e8 and e9, want a distance again, counted from where it stands as pack.c did. */
unpacked:
	mov %r12, %rdi
calls:
	mov (%rdi), %al
	inc %rdi
	and $0xfe, %al
	cmp $0xe8, %al
	jne 1f
	mov (%rdi), %eax
	bswap %eax
	sub %edi, %eax
	stosl
1:	cmp %r8, %rdi
	jb calls

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
header:
	.section .note.GNU-stack, "", %progbits
