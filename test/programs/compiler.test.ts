/** A C project of generated code, built by gcc and make in the mount, and what make makes of its times. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mountTest } from '../support/mount.ts';
import type { Mount } from '../support/mount.ts';
import { sh } from '../support/run.ts';
import { LONG, WHOLE_TEST } from './bounds.ts';

const MODULES = 48;
/** Modules of which the shared library is made; all of them are in the static one. */
const SHARED_MODULES = 8;

/** What module `index` computes from what the one before it did. */
function factorOf(index: number): number {
  return 2_654_435_761 - 2 * index;
}

/** What the program prints for `input`. */
function expected(input: number, modules: number, offset: number): number {
  let value = input;
  for (let index = 0; index < modules; index++) {
    value = (Math.imul(value, factorOf(index)) + index + offset) >>> 0;
  }
  return value;
}

const MAKEFILE = `
CFLAGS = -O1 -Iinclude -MMD -MP
SOURCES = $(wildcard src/module*.c)
OBJECTS = $(SOURCES:src/%.c=build/%.o)
SHARED = $(foreach n,$(shell seq 0 ${SHARED_MODULES - 1}),src/module$(n).c)
all: build/program build/with-shared
build/%.o: src/%.c | build
	$(CC) $(CFLAGS) -c -o $@ $<
build/libmodules.a: $(OBJECTS)
	$(AR) rcs $@ $^
build/libfirst.so: $(SHARED) | build
	$(CC) -O1 -Iinclude -fPIC -shared -o $@ $^
build/program: build/main.o build/libmodules.a
	$(CC) -o $@ $^
build/with-shared: src/short.c build/libfirst.so
	$(CC) -Iinclude -o $@ $< -Lbuild -lfirst '-Wl,-rpath,$$ORIGIN'
build:
	mkdir -p $@
clean:
	rm -r build
-include $(wildcard build/*.d)
`;

function writeProject(mount: Mount): void {
  mkdirSync(mount.at('src'));
  mkdirSync(mount.at('include'));
  writeFileSync(mount.at('Makefile'), MAKEFILE);
  writeFileSync(mount.at('include', 'offset.h'), '#include <stdint.h>\n#define OFFSET 1\n');
  for (let index = 0; index < MODULES; index++) {
    const before = index === 0 ? 'input' : `module${index - 1}(input)`;
    const header = index === 0 ? 'offset.h' : `module${index - 1}.h`;
    writeFileSync(
      mount.at('include', `module${index}.h`),
      `#pragma once\n#include "offset.h"\nuint32_t module${index}(uint32_t input);\n`,
    );
    writeFileSync(
      mount.at('src', `module${index}.c`),
      `#include "module${index}.h"\n#include "${header}"
       uint32_t module${index}(uint32_t input) { return ${before} * ${factorOf(index)}u + ${index} + OFFSET; }\n`,
    );
  }
  for (const [name, last] of [
    ['main', MODULES - 1] as const,
    ['short', SHARED_MODULES - 1] as const,
  ]) {
    writeFileSync(
      mount.at('src', `${name}.c`),
      `#include <stdio.h>\n#include <stdlib.h>\n#include "module${last}.h"
       int main(int count, char **words) { printf("%u\\n", module${last}(strtoul(words[1], 0, 10))); return 0; }\n`,
    );
  }
}

mountTest(
  'gcc and make -j2 build a program, a static and a shared library, and rebuild what a change asks for and no more',
  async (t, mount) => {
    writeProject(mount);
    const options = { ...LONG, cwd: mount.path };
    await sh('make -s -j2', options);
    t.is(await sh('build/program 12345', options), String(expected(12_345, MODULES, 1)));
    t.is(await sh('build/with-shared 7', options), String(expected(7, SHARED_MODULES, 1)));
    t.is(await sh('ar t build/libmodules.a | wc -l', options), String(MODULES));
    await sh('make -q', options);
    t.regex(readFileSync(mount.at('build', 'module5.d'), 'utf8'), /include\/module4\.h/);

    // A module's header is read by the module itself and by the next.
    await sh('touch include/module20.h', options);
    const compiled = "grep -o -e '-c -o build/module[0-9]*' | grep -o '[0-9]*$' | sort";
    t.is(await sh(`make -j2 | ${compiled}`, options), '20\n21');
    await sh('make -q', options);

    await sh("sed -i 's/OFFSET 1/OFFSET 5/' include/offset.h; make -s -j2; make -q", options);
    t.is(await sh('build/program 12345', options), String(expected(12_345, MODULES, 5)));
    await sh('strip build/program; make -s clean', options);
    t.is(await sh('ls -A', options), 'Makefile\ninclude\nsrc');
  },
  WHOLE_TEST,
);
