/**
 * Random work on a few files through two mounts in turns, compared with a model in memory: what one mount has closed or
 * synced, the other sees at its next open. Some descriptors stay open across turns, so that views grow old.
 */
import test, { type ExecutionContext } from 'ava';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { type Cluster, withCluster } from '../support/cluster.ts';
import { skipsMounts } from '../support/mount.ts';
import { random } from '../support/random.ts';

const FILES = ['a', 'b', 'c'];
const MOST_HELD = 6;
const MOST_BLOCKS = 12;
const MOST_BYTES = 4 * 1024 * 1024;
const TURN_OPERATIONS = 12;

const TURNS = Number(process.env['IMSSFS_TEST_TURNS'] ?? 40);
const ONE_SEED = process.env['IMSSFS_TEST_SEED'];
const SEEDS = ONE_SEED === undefined ? [1, 2] : [Number(ONE_SEED)];

interface Held {
  readonly fd: number;
  readonly name: string;
  readonly mount: number;
}

/** One run: the same seed does the same. */
class Play {
  readonly #cluster: Cluster;
  readonly #next: () => number;
  readonly #mostBytes: number;
  readonly #blockBytes: number;
  readonly #model = new Map<string, Buffer>();
  #held: Held[] = [];
  readonly trace: string[] = [];

  constructor(cluster: Cluster, blockBytes: number, seed: number) {
    this.#cluster = cluster;
    this.#blockBytes = blockBytes;
    this.#mostBytes = Math.min(MOST_BYTES, blockBytes * MOST_BLOCKS);
    this.#next = random(seed);
  }

  turn(): void {
    const mount = this.#below(2);
    const name = FILES[this.#below(FILES.length)] ?? 'a';
    const choice = this.#below(12);
    if (choice === 0) this.#unlink(mount, name);
    else if (choice === 1) this.#rename(mount, name);
    else if (choice === 2) this.#truncatePath(mount, name);
    else this.#work(mount, name);
    for (const each of FILES) this.#compare(this.#below(2), each);
    if (this.#next() < 0.3) this.#release();
  }

  #below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }

  #say(what: string): void {
    this.trace.push(what);
  }

  /** An offset or a size, often at or near a border of blocks. */
  #place(limit: number): number {
    const at = this.#below(limit);
    if (this.#next() < 0.5) return at;
    const near = Math.round(at / this.#blockBytes) * this.#blockBytes + this.#below(3) - 1;
    return Math.min(limit - 1, Math.max(0, near));
  }

  #unlink(mount: number, name: string): void {
    if (!this.#model.has(name)) return;
    this.#say(`unlink ${mount}:${name}`);
    unlinkSync(this.#cluster.at(mount, name));
    this.#model.delete(name);
    this.#drop(name);
  }

  #rename(mount: number, name: string): void {
    const to = FILES[this.#below(FILES.length)] ?? 'a';
    const content = this.#model.get(name);
    if (content === undefined || to === name) return;
    this.#say(`rename ${mount}:${name} ${to}`);
    renameSync(this.#cluster.at(mount, name), this.#cluster.at(mount, to));
    this.#model.delete(name);
    this.#model.set(to, content);
    this.#drop(to);
    this.#held = this.#held.map((held) => (held.name === name ? { ...held, name: to } : held));
  }

  /** Closes what is held of a file that has lost its name. */
  #drop(name: string): void {
    for (const held of this.#held) if (held.name === name) closeSync(held.fd);
    this.#held = this.#held.filter((held) => held.name !== name);
  }

  #release(): void {
    const [held] = this.#held.splice(this.#below(this.#held.length), 1);
    if (held === undefined) return;
    this.#say(`release ${held.mount}:${held.name}`);
    closeSync(held.fd);
  }

  #truncatePath(mount: number, name: string): void {
    const content = this.#model.get(name);
    if (content === undefined) return;
    const size = this.#place(this.#mostBytes);
    this.#say(`truncate ${mount}:${name} ${size}`);
    truncateSync(this.#cluster.at(mount, name), size);
    this.#model.set(name, resized(content, size));
  }

  /** Opens, works, and closes, or syncs and keeps it open; or works with what was kept open and syncs it. */
  #work(mount: number, name: string): void {
    const kept = this.#held.find((held) => held.name === name && held.mount === mount);
    const reuses = kept !== undefined && this.#next() < 0.4;
    const fd = reuses ? kept.fd : this.#open(mount, name);
    if (reuses) this.#say(`again ${mount}:${name}`);
    const count = 1 + this.#below(TURN_OPERATIONS);
    for (let done = 0; done < count; done++) this.#operate(fd, name, reuses);
    if (reuses || (this.#held.length < MOST_HELD && this.#next() < 0.3)) {
      this.#say('fsync');
      fsyncSync(fd);
      if (!reuses) this.#held.push({ fd, name, mount });
    } else {
      this.#say('close');
      closeSync(fd);
    }
  }

  #open(mount: number, name: string): number {
    const exists = this.#model.has(name);
    const flags = this.#next() < 0.15 || !exists ? 'w+' : 'r+';
    this.#say(`open ${mount}:${name} ${flags}`);
    if (flags === 'w+') this.#model.set(name, Buffer.alloc(0));
    return openSync(this.#cluster.at(mount, name), flags);
  }

  /** A descriptor that was opened before others closed promises nothing of what it reads. */
  #operate(fd: number, name: string, isOld: boolean): void {
    const content = this.#model.get(name) ?? Buffer.alloc(0);
    const choice = this.#below(8);
    if (choice < 4) {
      const offset = this.#place(this.#mostBytes);
      const length = 1 + this.#place(Math.min(this.#mostBytes - offset, 3 * this.#blockBytes));
      const bytes = Buffer.alloc(length, `${this.#below(1e9)}.`);
      this.#say(`write ${offset} ${length}`);
      if (writeSync(fd, bytes, 0, length, offset) !== length) throw new Error('a short write');
      const grown = resized(content, Math.max(content.length, offset + length));
      bytes.copy(grown, offset);
      this.#model.set(name, grown);
    } else if (choice === 4) {
      const size = this.#next() < 0.3 ? 0 : this.#place(this.#mostBytes);
      this.#say(`ftruncate ${size}`);
      ftruncateSync(fd, size);
      this.#model.set(name, resized(content, size));
    } else if (choice === 5) {
      if (!isOld) expect(`size by ${name}'s descriptor`, fstatSync(fd).size, content.length);
    } else if (!isOld) {
      const offset = this.#place(this.#mostBytes);
      const length = this.#place(3 * this.#blockBytes);
      const bytes = Buffer.alloc(length);
      const read = readSync(fd, bytes, 0, length, offset);
      expectSame(
        `read ${offset} ${length}`,
        bytes.subarray(0, read),
        content.subarray(offset, offset + length),
      );
    }
  }

  #compare(mount: number, name: string): void {
    const content = this.#model.get(name);
    const path = this.#cluster.at(mount, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    expect(`size of ${mount}:${name}`, stat?.size, content?.length);
    if (content === undefined) return;
    const fd = openSync(path, 'r');
    const bytes = Buffer.alloc(content.length + 1);
    let at = 0;
    for (let read = -1; read !== 0; at += read)
      read = readSync(fd, bytes, at, bytes.length - at, at);
    closeSync(fd);
    expectSame(`contents of ${mount}:${name}`, bytes.subarray(0, at), content);
  }

  end(): void {
    for (const { fd } of this.#held) closeSync(fd);
    this.#held = [];
  }
}

function resized(content: Buffer, size: number): Buffer {
  const result = Buffer.alloc(size);
  content.copy(result);
  return result;
}

function expect<T>(what: string, found: T, wanted: T): void {
  if (found !== wanted) throw new Error(`${what}: ${String(found)} instead of ${String(wanted)}`);
}

function expectSame(what: string, found: Buffer, wanted: Buffer): void {
  expect(`length of ${what}`, found.length, wanted.length);
  if (found.equals(wanted)) return;
  const at = found.findIndex((byte, index) => byte !== wanted[index]);
  const excerpt = (bytes: Buffer): string => bytes.subarray(at, at + 12).toString('latin1');
  throw new Error(
    `${what} at ${at}: ${JSON.stringify(excerpt(found))}, not ${JSON.stringify(excerpt(wanted))}`,
  );
}

async function playTurns(t: ExecutionContext, blockBytes: number, seed: number): Promise<void> {
  t.log(`repeat with IMSSFS_TEST_SEED=${seed}; IMSSFS_TEST_TURNS for more`);
  const mountArgs = ['-b', `${blockBytes / 1024}KiB`];
  const shape = { meta: 2, blocks: 3, mounts: 2, mountArgs, timeoutMs: 120_000 + TURNS * 1000 };
  await withCluster(t, shape, (cluster) => {
    const play = new Play(cluster, blockBytes, seed);
    try {
      for (let turn = 0; turn < TURNS; turn++) play.turn();
    } catch (error) {
      for (const line of play.trace.slice(-60)) t.log(line);
      throw error;
    } finally {
      play.end();
    }
    t.pass();
    return Promise.resolve();
  });
}

for (const blockBytes of [4096, 1024 * 1024]) {
  for (const seed of SEEDS) {
    const declare = skipsMounts ? test.skip : test.serial;
    declare(
      `two mounts in turns see what a model in memory has (blocks of ${blockBytes} bytes, seed ${seed})`,
      async (t) => {
        await playTurns(t, blockBytes, seed);
      },
    );
  }
}
