/** Many processes that change one tree at once: what is left is a tree, and nothing is left of what was removed. */
import type { ExecutionContext } from 'ava';
import {
  type BigIntStats,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '../support/command.ts';
import { mountTest } from '../support/mount.ts';
import { describe, run } from '../support/run.ts';

const WORKER = fileURLToPath(new URL('../support/stress-tree.js', import.meta.url));
const PROCESSES = 4;
const OPERATIONS = 600;

/** Everything below `folder`, by its path. */
function walk(folder: string): Map<string, BigIntStats> {
  const found = new Map<string, BigIntStats>();
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const stat = lstatSync(path, { bigint: true });
    found.set(path, stat);
    if (stat.isDirectory()) for (const [below, one] of walk(path)) found.set(below, one);
  }
  return found;
}

/** Every name leads to what its inode says of itself. */
function assertConsistent(t: ExecutionContext, root: string): void {
  const tree = walk(root);
  const names = new Map<bigint, number>();
  for (const { ino } of tree.values()) names.set(ino, (names.get(ino) ?? 0) + 1);
  for (const [path, stat] of tree) {
    if (stat.isFile()) t.is(BigInt(readFileSync(path).length), stat.size, path);
    if (stat.isSymbolicLink()) t.is(BigInt(readlinkSync(path).length), stat.size, path);
    if (!stat.isDirectory()) t.is(stat.nlink, BigInt(names.get(stat.ino) ?? 0), path);
    else {
      const folders = readdirSync(path, { withFileTypes: true }).filter((entry) =>
        entry.isDirectory(),
      );
      t.is(stat.nlink, BigInt(2 + folders.length), path);
      t.is(names.get(stat.ino), 1, path);
    }
  }
}

mountTest(
  'a tree that many processes change at once stays whole, and removing it frees all of it',
  async (t, mount) => {
    const seed = Number(process.env['IMSSFS_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    t.log(`IMSSFS_TEST_SEED=${seed}`);
    const usage = (): [number, number] => {
      const { bfree, files } = statfsSync(mount.path);
      return [bfree, files];
    };
    const before = usage();
    const root = mount.at('tree');
    mkdirSync(root);
    const results = await Promise.all(
      Array.from({ length: PROCESSES }, (_, index) =>
        run(process.execPath, [WORKER, root, String(seed + index), String(OPERATIONS)]),
      ),
    );
    for (const result of results) t.is(result.status, 0, describe(result));
    assertConsistent(t, root);
    rmSync(root, { recursive: true });
    t.deepEqual(readdirSync(mount.path), []);
    await eventually(() => String(usage()) === String(before));
    t.deepEqual(usage(), before);
  },
  { lacks: 'hiddenFiles' },
);
