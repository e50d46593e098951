#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
exec tests/kernels/suite "trixie sid" riscv64
