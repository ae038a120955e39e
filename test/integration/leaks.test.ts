import type { ExecutionContext } from 'ava';
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listRunStates, allRunDirectories } from '../../src/cli/run-state.ts';
import { commandTest, daemonOf } from '../support/command.ts';
import { countsOf, countsWhen } from '../support/counts.ts';
import type { Daemon, DaemonCounts } from '../support/counts.ts';
import * as libc from '../support/libc.ts';
import { mountTest } from '../support/mount.ts';
import type { Mount } from '../support/mount.ts';
import { pattern } from '../support/pattern.ts';
import { isAlive, mountsBelow } from '../support/processes.ts';
import { describe, runOk } from '../support/run.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

const collector = new URL('../support/collect-garbage.js', import.meta.url);
const COLLECTS_GARBAGE = { NODE_OPTIONS: `--import=${collector.href}` };

/** Code that is compiled late, and URIs of up to 4,096 folders, which are forgotten all at once. */
const HEAP_NOISE_BYTES = MiB;
/** What the allocator and V8 keep for themselves, whatever the number of cycles; some 2 MiB have been seen. */
const RSS_NOISE_BYTES = 12 * MiB;
/** The two halves of a tree that is rewritten differ by a page here and there. */
const METADATA_NOISE_BYTES = 256 * KiB;

function daemonOfMount(mount: Mount): Daemon {
  return {
    pid: daemonOf(mount.path),
    logFile: join(dirname(mount.path), 'imssfs.log'),
  };
}

function df(mount: Mount): unknown {
  const { bfree, files } = statfsSync(mount.path);
  return { bfree, files };
}

/**
 * Counts once the kernel has told of all that programs have let go of: it sends FUSE_RELEASE and FUSE_FORGET in its own
 * time, after close(2) and unlink(2) have returned.
 */
async function settled(
  daemon: Daemon,
  most: { knownInodes?: number; usedBytes?: number } = {},
): Promise<DaemonCounts> {
  const { knownInodes = Infinity, usedBytes = Infinity } = most;
  return countsWhen(
    daemon,
    ({ counts }) =>
      counts.handles === 0 &&
      counts.openFiles === 0 &&
      counts.orphans === 0 &&
      counts.knownInodes <= knownInodes &&
      // With servers of its own, a mount does not count what is stored.
      !(counts.usedBytes > usedBytes),
  );
}

/** What must be exactly as it was; memory, which breathes, is left to {@link assertFlat}. */
function exactly({ counts, process: use }: DaemonCounts): unknown {
  const { handles, openFiles, knownInodes, lookups, orphans, inodes, datasets, usedBytes } = counts;
  return {
    ...{ handles, openFiles, knownInodes, lookups, orphans, inodes, datasets, usedBytes },
    descriptors: use.descriptors,
  };
}

function assertFlat(
  t: ExecutionContext,
  mount: Mount,
  earlier: DaemonCounts,
  later: DaemonCounts,
): void {
  const grown = (
    name: string,
    figure: (answer: DaemonCounts) => number,
    mostBytes: number,
  ): void => {
    const growth = figure(later) - figure(earlier);
    t.log(`${name}: ${figure(earlier)} -> ${figure(later)}`);
    t.true(growth <= mostBytes, `${name} grew by ${growth} bytes`);
  };
  grown('heap', ({ process: use }) => use.heapUsedBytes, HEAP_NOISE_BYTES);
  grown('RSS', ({ process: use }) => use.rssBytes, RSS_NOISE_BYTES);
  if (mount.engine === 'detached') return;
  grown('blocks touched', ({ counts }) => counts.touchedBytes, MiB);
  grown('metadata', ({ counts }) => counts.metadataBytes, METADATA_NOISE_BYTES);
  grown('metadata file', ({ counts }) => counts.metadataFileBytes, METADATA_NOISE_BYTES);
}

/** What every program does. */
function plainCycle(mount: Mount, name: string): void {
  const at = (...names: string[]): string => mount.at(name, ...names);
  mkdirSync(at());
  const fd = openSync(at('file'), 'wx');
  writeSync(fd, 'some data');
  closeSync(fd);
  const again = openSync(at('file'), 'r');
  readSync(again, Buffer.alloc(16));
  closeSync(again);
  readdirSync(at());
  unlinkSync(at('file'));
  rmdirSync(at());
}

/** The rest: links, renames, attributes, files without a name. */
function fullCycle(mount: Mount, name: string): void {
  const at = (...names: string[]): string => mount.at(name, ...names);
  mkdirSync(at());
  writeFileSync(at('file'), 'some data');
  libc.setxattr(at('file'), 'user.name', Buffer.from('value'));
  linkSync(at('file'), at('hard'));
  symlinkSync('file', at('soft'));
  readlinkSync(at('soft'));
  readdirSync(at(), { withFileTypes: true });
  statSync(at('soft'));
  statSync(at('missing'), { throwIfNoEntry: false });
  truncateSync(at('file'), 4);
  renameSync(at('hard'), at('renamed'));
  writeFileSync(at('replacement'), 'other data');
  renameSync(at('replacement'), at('file'));
  const orphan = openSync(at('renamed'), 'r+');
  unlinkSync(at('renamed'));
  writeSync(orphan, 'more');
  closeSync(orphan);
  unlinkSync(at('soft'));
  unlinkSync(at('file'));
  rmdirSync(at());
}

mountTest(
  'after thousands of cycles of creating, opening, listing and removing, nothing more is held than before',
  async (t, mount) => {
    // fuse-native takes several times as long for each: it translates a path for every operation.
    const count = mount.engine === 'kernel' ? 2_000 : 500;
    const daemon = daemonOfMount(mount);
    const cycles = (prefix: string, times: number): void => {
      for (let i = 0; i < times; i++) {
        (i % 5 === 0 ? fullCycle : plainCycle)(mount, `${prefix}-${i}`);
      }
    };
    statSync(mount.path);
    const empty = { knownInodes: (await countsOf(daemon)).counts.knownInodes, usedBytes: 0 };
    cycles('warm-up', count / 5);
    const before = await settled(daemon, empty);
    const dfBefore = df(mount);
    cycles('first', (count * 2) / 5);
    const between = await settled(daemon, empty);
    cycles('second', (count * 2) / 5);
    const after = await settled(daemon, empty);
    t.deepEqual(exactly(between), exactly(before));
    t.deepEqual(exactly(after), exactly(before));
    t.deepEqual(df(mount), dfBefore);
    t.like(after.counts, { handles: 0, openFiles: 0, orphans: 0 });
    if (mount.engine !== 'detached') t.like(after.counts, { inodes: 1, usedBytes: 0 });
    assertFlat(t, mount, between, after);
  },
  { notOn: ['tmpfs'], env: COLLECTS_GARBAGE, timeoutMs: 270_000 },
);

mountTest(
  'files that stay, opened and listed again and again, hold no more than before',
  async (t, mount) => {
    const daemon = daemonOfMount(mount);
    for (let i = 0; i < 50; i++) writeFileSync(mount.at(`file-${i}`), pattern(100 * i, i));
    const touchAll = (times: number): void => {
      for (let time = 0; time < times; time++) {
        for (const name of readdirSync(mount.path)) readFileSync(mount.at(name));
        libc.setxattr(mount.at('file-7'), 'user.changing', pattern(time % 700));
        libc.removexattr(mount.at('file-7'), 'user.changing');
        writeFileSync(mount.at('file-9'), pattern((time * 37) % 9000));
      }
      writeFileSync(mount.at('file-9'), pattern(900));
    };
    touchAll(50);
    const before = await settled(daemon);
    const { knownInodes, handles, inodes, datasets, usedBytes } = before.counts;
    touchAll(50);
    const between = await settled(daemon, { knownInodes, usedBytes });
    touchAll(50);
    const after = await settled(daemon, { knownInodes, usedBytes });
    for (const { counts, process: use } of [between, after]) {
      t.like(counts, { knownInodes, handles, inodes, datasets, usedBytes });
      t.is(use.descriptors, before.process.descriptors);
    }
    t.is(handles, 0);
    assertFlat(t, mount, between, after);
  },
  { notOn: ['tmpfs'], env: COLLECTS_GARBAGE, notByDefaultOn: ['fuse-native'] },
);

mountTest(
  'a large file written and deleted again and again takes no more memory than the second time',
  async (t, mount) => {
    const daemon = daemonOfMount(mount);
    const piece = pattern(MiB);
    const answers: DaemonCounts[] = [];
    for (let round = 0; round < 6; round++) {
      const fd = openSync(mount.at('large'), 'w');
      for (let written = 0; written < 256 * MiB; written += piece.length) writeSync(fd, piece);
      closeSync(fd);
      unlinkSync(mount.at('large'));
      answers.push(await settled(daemon, { usedBytes: 0 }));
    }
    const [, second, ...later] = answers;
    for (const answer of later) {
      t.is(answer.counts.usedBytes, 0);
      if (second !== undefined) assertFlat(t, mount, second, answer);
    }
    t.is(later.length, 4);
  },
  { notOn: ['tmpfs', 'detached'], env: COLLECTS_GARBAGE, capacity: '1G' },
);

mountTest(
  'many files of mixed sizes, written, deleted in another order and written anew, leave no gaps behind',
  async (t, mount) => {
    const daemon = daemonOfMount(mount);
    const data = pattern(128 * KiB);
    const COUNT = 300;
    const answers: DaemonCounts[] = [];
    for (let round = 0; round < 6; round++) {
      const bytesOf = (index: number): number => (index * 7919 + round * 104_729) % data.length;
      const write = (index: number): void => {
        writeFileSync(mount.at(`file-${index}`), data.subarray(0, bytesOf(index)));
      };
      for (let index = 0; index < COUNT; index++) write(index);
      for (let index = 0; index < COUNT; index += 2) unlinkSync(mount.at(`file-${index}`));
      for (let index = COUNT; index < 1.5 * COUNT; index++) write(index);
      for (const name of readdirSync(mount.path)) {
        const index = Number(name.slice('file-'.length));
        t.true(readFileSync(mount.at(name)).equals(data.subarray(0, bytesOf(index))), name);
        unlinkSync(mount.at(name));
      }
      answers.push(await settled(daemon, { usedBytes: 0 }));
    }
    const last = answers.at(-1);
    t.like(last?.counts, { usedBytes: 0, datasets: 0, inodes: 1, orphans: 0, handles: 0 });
    const touched = answers.map(({ counts }) => counts.touchedBytes);
    t.true(Math.max(...touched) <= 1.5 * (touched[0] ?? 0), `touched: ${touched.join(', ')}`);
    const [, , third] = answers;
    if (third !== undefined && last !== undefined) {
      t.true(last.process.heapUsedBytes - third.process.heapUsedBytes <= HEAP_NOISE_BYTES);
      t.true(
        last.counts.metadataFileBytes - third.counts.metadataFileBytes <= METADATA_NOISE_BYTES,
      );
    }
  },
  {
    notOn: ['tmpfs', 'detached'],
    env: COLLECTS_GARBAGE,
    capacity: '512M',
    notByDefaultOn: ['fuse-native'],
  },
);

commandTest('many mounts on one folder leave no process, note or file behind', async (t, shell) => {
  for (let round = 0; round < 10; round++) {
    const pid = await shell.mount();
    writeFileSync(join(shell.mnt, 'file'), `round ${round}`);
    t.is(readFileSync(join(shell.mnt, 'file'), 'utf8'), `round ${round}`);
    const [note] = listRunStates(allRunDirectories()).filter((state) => state.pid === pid);
    t.is(note?.phase, 'mounted');
    const metadata = metadataPathOf(shell.logFile);
    t.true(existsSync(metadata));
    const result = await shell.umount([shell.mnt]);
    t.is(result.status, 0, describe(result));
    t.false(isAlive(pid));
    t.false(existsSync(note?.file ?? ''));
    t.false(existsSync(dirname(metadata)));
    t.deepEqual(mountsBelow(shell.mnt), []);
    t.deepEqual(readdirSync(shell.mnt), []);
  }
});

/** Where the daemon that began to log last keeps its metadata. */
function metadataPathOf(logFile: string): string {
  const line = readFileSync(logFile, 'utf8')
    .split('\n')
    .findLast((text) => text.includes('"metadata opened"'));
  return (JSON.parse(line ?? '{}') as { path: string }).path;
}

interface ManyMounts {
  descriptors: number[];
  heapUsedBytes: number[];
}

/**
 * The package refers to the callbacks of a session until the process ends, and they to its stores. A daemon mounts
 * once, so this costs nobody anything; it must not become more, though.
 */
const NATIVE_SESSION_BYTES = 300 * KiB;

commandTest(
  'a process that mounts and unmounts many times holds no descriptor of it, and no memory but what fuse-native keeps',
  async (t, shell) => {
    const program = fileURLToPath(new URL('./programs/many-mounts.js', import.meta.url));
    const ROUNDS = 16;
    const { stdout } = await runOk(
      process.execPath,
      [program, shell.mnt, String(ROUNDS), shell.engine],
      {
        timeoutMs: 100_000,
      },
    );
    const { descriptors, heapUsedBytes } = JSON.parse(stdout) as ManyMounts;
    t.is(descriptors.length, ROUNDS);
    t.is(new Set(descriptors.slice(2)).size, 1, descriptors.join(' '));
    const growth = (heapUsedBytes.at(-1) ?? 0) - (heapUsedBytes[ROUNDS / 2] ?? 0);
    const kept = shell.engine === 'fuse-native' ? (ROUNDS / 2) * NATIVE_SESSION_BYTES : 0;
    t.log(`heap: ${heapUsedBytes.join(' ')}`);
    t.true(growth <= HEAP_NOISE_BYTES + kept, `the heap grew by ${growth} bytes`);
    t.deepEqual(mountsBelow(shell.mnt), []);
  },
);
