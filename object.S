/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The compiled XDP program, in the binary. */
	.section .rodata.xdp_object, "a"
	.balign 8
	.globl xdp_object, xdp_object_end
xdp_object:
	.incbin "xdp_prog.o"
xdp_object_end:
	.section .note.GNU-stack, "", %progbits
