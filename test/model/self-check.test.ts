/** The model-based test is worth something: deliberate faults are found, and shown by scripts of few operations. */
import test from 'ava';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compare, minimize, search, showFailure, type Sides } from './comparison.ts';
import type { Fault } from './fault.ts';
import { ALL_FEATURES } from './features.ts';
import { scripts } from './generator.ts';
import type { Operation } from './operation.ts';
import { hasXattrs, stampsAreFine } from './places.ts';
import { Side } from './side.ts';

/** The same each time: how short a script becomes is a matter of luck, too. */
const SEED = 1;
/** Far more than it takes to meet any of the faults. */
const SCRIPTS = 2_000;

/** Two plain folders of one file system; one of the two is at fault. */
async function withSides(
  fault: Fault | undefined,
  body: (sides: Sides) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  chmodSync(folder, 0o755);
  const showMoves = fault === 'a write moves no mtime';
  const make = (name: string, itsFault: Fault | undefined): Side => {
    const base = join(folder, name);
    mkdirSync(base);
    const common = { name, base, users: false, showMoves, forgetsNames: false };
    return new Side({ ...common, ...(itsFault !== undefined && { fault: itsFault }) });
  };
  const sides = { expected: make('right', undefined), found: make('wrong', fault) };
  try {
    await body(sides);
  } finally {
    await Promise.all([sides.expected.close(), sides.found.close()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What temporary files can have here decides which of the faults can be seen. */
const can = probe();

function probe(): { xattrs: boolean; fineStamps: boolean } {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  try {
    return { xattrs: hasXattrs(folder), fineStamps: stampsAreFine(folder) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const arbitrary = scripts({
  features: { ...ALL_FEATURES, users: false, directIo: false, xattrs: can.xattrs },
  blockSizeBytes: 4096,
  maxOperations: 60,
});

/** How short a script that shows the fault must become (one more than the shortest there is), and what it must contain. */
const FAULTS: readonly [Fault, length: number, shows: RegExp][] = [
  // Two names, then a rename.
  ['RENAME_NOREPLACE is ignored', 4, /rename .* noreplace/],
  // Something to write after, and an append that is not at the end.
  ['O_APPEND is ignored', 5, /O_APPEND/],
  ['O_EXCL is ignored', 3, /O_EXCL/],
  ['chmod loses the sticky bit', 2, /chmod .* [1357]\d\d\d/],
  ['truncate grows by one byte too few', 3, /truncate/],
  // Seen right after it, not when it is read.
  ['pwrite stores a wrong last byte', 3, /pwrite .*, tells[^]*data/],
  ['listings lack an entry', 3, /w\d list slot/],
  // Two of one name, and a look at it.
  ['setxattr replaces nothing', 4, /setxattr[^]*(getxattr|tree)/],
  ['a write moves no mtime', 3, /write .*, tells[^]*mtime recent as before/],
];
const unseen = new Set<Fault>([
  ...(can.xattrs ? [] : ['setxattr replaces nothing' as const]),
  ...(can.fineStamps ? [] : ['a write moves no mtime' as const]),
]);

for (const [fault, length, shows] of FAULTS) {
  const declare = unseen.has(fault) ? test.skip : test.serial;
  declare(
    `a file system where ${fault} is found out by a script of at most ${length} operations`,
    async (t) => {
      t.timeout(120_000);
      await withSides(fault, async (sides) => {
        const failure = await search(sides, arbitrary, { seed: SEED, scripts: SCRIPTS });
        if (failure === undefined) {
          t.fail('The fault was not found');
          return;
        }
        const shown = showFailure(failure, sides);
        t.true(failure.script.length <= length, shown);
        t.regex(shown, shows);
      });
    },
  );
}

test.serial('a failure is found again by its seed and path, and by its script', async (t) => {
  t.timeout(120_000);
  await withSides('O_EXCL is ignored', async (sides) => {
    const first = await search(sides, arbitrary, { seed: SEED, scripts: SCRIPTS });
    if (first === undefined) {
      t.fail('The fault was not found');
      return;
    }
    const options = { seed: first.seed, path: first.path, scripts: SCRIPTS };
    const second = await search(sides, arbitrary, options);
    t.deepEqual(second?.script, first.script);
    const stored = JSON.parse(JSON.stringify(first.script)) as Operation[];
    t.deepEqual(await compare(sides, stored), first.difference);
  });
});

test.serial('a script that differed only once is told with what it showed then', async (t) => {
  await withSides(undefined, async (sides) => {
    const script: Operation[] = [{ worker: 0, op: 'umask', mask: 0o22 }];
    const once = { index: 0, expected: 'ok', found: 'EIO' };
    const error = await t.throwsAsync(minimize(sides, script, once));
    t.regex(error.message, /w0 umask 0022\n[^]*right: ok\n[^]*wrong: EIO/);
  });
});

test.serial('two folders of one file system do not differ', async (t) => {
  t.timeout(120_000);
  await withSides(undefined, async (sides) => {
    let operations = 0;
    const failure = await search(sides, arbitrary, {
      seed: SEED,
      scripts: 50,
      onScript: (count) => {
        operations += count;
      },
    });
    t.is(failure === undefined ? undefined : showFailure(failure, sides), undefined);
    t.true(operations > 50);
  });
});
