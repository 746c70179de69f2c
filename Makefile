# SPDX-License-Identifier: Apache-2.0
#
# Thin, over meson and the scripts:
#
#   make            set up and build into build/; the command is build/apps/pel/pel
#   make demo       show it (KEEP=1 leaves it up, and prints what to try)
#   make test       every test, as shipped and under sanitizers; ends with the totals
#   make test-long  what takes minutes more
#   make bench      every question of bench/ (ONLY=name,name: some of them)
#   make install    into PREFIX, below DESTDIR
#   make clean      remove the builds (the set-up stays; make distclean removes that too)

PREFIX ?= /usr/local
DESTDIR ?=
KEEP ?=
ONLY ?=

.PHONY: all setup demo test test-long bench install clean distclean
.DEFAULT_GOAL := all

all: setup build/build.ninja
	@ninja -C build --quiet

setup:
	@scripts/setup

# Order-only: a set-up that had nothing to do must not configure anew.
build/build.ninja: | setup
	meson setup build --buildtype=debugoptimized --prefix=$(PREFIX)

# Sanitized objects take the sanitizer's functions from the program that loads
# them, hence b_lundef=false.  UBSan by itself only talks: make it fail.
build-asan/build.ninja: | setup
	CC=clang CXX=clang++ meson setup build-asan --buildtype=debugoptimized \
		-Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true \
		-Dc_args=-fno-sanitize-recover=all -Dcpp_args=-fno-sanitize-recover=all

demo: all
	@KEEP=$(KEEP) scripts/demo

test: setup
	+@scripts/test

test-long: all
	@meson test -C build --no-rebuild --no-stdsplit --print-errorlogs --setup long --suite long </dev/null

bench: all
	@bench/run build $(ONLY)

install: all
	@meson configure build --prefix=$(PREFIX)
	@ninja -C build --quiet
	DESTDIR=$(DESTDIR) meson install -C build --no-rebuild --quiet

clean:
	rm -rf build build-asan

distclean: clean
	rm -rf .cache subprojects/boringssl subprojects/lwip
