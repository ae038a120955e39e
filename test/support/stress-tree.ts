/**
 * Changes a tree at random, as one of several processes that do: `ROOT SEED OPERATIONS`. Names are few, so the processes meet.
 * What may fail because of that is counted; anything else ends the process with status 1.
 */
import {
  appendFileSync,
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { argv, exit, stderr } from 'node:process';
import { renameat2, RENAME_EXCHANGE, setxattr } from './libc.ts';
import { mapFile } from './mapping.ts';
import { chance, pattern } from './pattern.ts';

/** What a process may meet because another one was faster, or because of what its random choice was. */
const EXPECTED = new Set([
  ...['ENOENT', 'EEXIST', 'ENOTDIR', 'EISDIR', 'ENOTEMPTY', 'EINVAL', 'ELOOP', 'EPERM', 'EXDEV'],
]);

const [root = '', seed = '', operations = ''] = argv.slice(2);
const choose = chance(Number(seed));

function folder(): string {
  const depth = choose(3);
  return join(root, ...Array.from({ length: depth }, () => `d${choose(3)}`));
}

function name(): string {
  return join(folder(), `f${choose(6)}`);
}

function anything(): string {
  return choose(3) === 0 ? join(folder(), `d${choose(3)}`) : name();
}

function useOpen(): void {
  const path = name();
  const fd = openSync(path, 'a+');
  try {
    writeSync(fd, pattern(1 + choose(9000), choose(100)), 0);
    if (choose(3) === 0) unlinkSync(path);
    writeSync(fd, 'the end');
  } finally {
    closeSync(fd);
  }
}

/** In a file of its own: one that another process cuts would end this one by SIGBUS. */
function useMapped(): void {
  const path = join(root, `own-${seed}`);
  const fd = openSync(path, 'w+');
  try {
    writeSync(fd, pattern(20_000), 0);
    const { bytes, unmap } = mapFile(fd, { offset: 4096, length: 8192 });
    bytes.write('by the mapping', 100);
    unmap();
    const expected = pattern(20_000);
    expected.write('by the mapping', 4196);
    if (!readFileSync(path).equals(expected)) throw new Error('the mapping is not in the file');
  } finally {
    closeSync(fd);
    unlinkSync(path);
  }
}

const ACTIONS: readonly (() => void)[] = [
  () => { mkdirSync(join(folder(), `d${choose(3)}`)); }, // prettier-ignore
  () => { mkdirSync(join(folder(), `d${choose(3)}`)); }, // prettier-ignore
  () => { writeFileSync(name(), pattern(choose(70_000), choose(100))); }, // prettier-ignore
  () => { appendFileSync(name(), pattern(choose(5000))); }, // prettier-ignore
  () => { truncateSync(name(), choose(200_000)); }, // prettier-ignore
  () => { renameSync(anything(), anything()); }, // prettier-ignore
  () => { renameSync(anything(), anything()); }, // prettier-ignore
  () => { renameat2(anything(), anything(), RENAME_EXCHANGE); }, // prettier-ignore
  () => { linkSync(name(), name()); }, // prettier-ignore
  () => { symlinkSync(anything(), name()); }, // prettier-ignore
  () => { unlinkSync(name()); }, // prettier-ignore
  () => { unlinkSync(name()); }, // prettier-ignore
  () => { rmdirSync(join(folder(), `d${choose(3)}`)); }, // prettier-ignore
  () => { readdirSync(folder(), { withFileTypes: true }); }, // prettier-ignore
  () => { lstatSync(anything()); }, // prettier-ignore
  () => { readFileSync(name()); }, // prettier-ignore
  () => { readlinkSync(name()); }, // prettier-ignore
  () => { chmodSync(anything(), 0o700 | choose(0o100)); }, // prettier-ignore
  () => { utimesSync(anything(), choose(1e9), choose(1e9)); }, // prettier-ignore
  () => { setxattr(name(), `user.n${choose(4)}`, pattern(choose(500))); }, // prettier-ignore
  useOpen,
  useMapped,
];

for (let done = 0; done < Number(operations); done++) {
  const action = ACTIONS[choose(ACTIONS.length)];
  try {
    action?.();
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (EXPECTED.has(code)) continue;
    stderr.write(`operation ${done}: ${String(action)}: ${String(error)}\n`);
    exit(1);
  }
}
