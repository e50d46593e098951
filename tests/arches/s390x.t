#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
exec tests/kernels/suite "bookworm trixie sid" s390x
