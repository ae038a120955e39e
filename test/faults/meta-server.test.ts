/**
 * A metadata server that is killed again and again in the middle of a stream of mutations: every operation of the
 * client succeeds, as it could not had one been lost or run twice, and the names are those of a plain model.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { type EntrySequence, type InodeId, ROOT_INODE } from '../../src/ids.ts';
import type { RemoteMetaStore } from '../../src/meta/client.ts';
import type { EntryName } from '../../src/meta/store.ts';
import { connectMeta } from '../support/meta-server.ts';

const WORKER = fileURLToPath(new URL('meta-server-worker.js', import.meta.url));
const FILE = { mode: 0o100644, uid: 0, gid: 0 };
const LANES = 16;
const DEATHS = 8;
const SEED = Number(process.env['IMSSFS_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

/** Numbers from 0 to below 1; Marsaglia's xorshift with shifts 13, 17, 5. */
function randomFrom(seed: number): () => number {
  let state = seed === 0 ? 1 : seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

interface Death {
  /** Transactions of the server's life; 0: it lives on. */
  at: number;
  where: 'within' | 'after';
}

interface Running {
  child: ChildProcess;
  /** Its exit code and signal. */
  exited: Promise<unknown[]>;
  port: number;
}

async function start(path: string, port: number, death: Death): Promise<Running> {
  const args = [WORKER, path, String(port), String(death.at), death.where];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    return { child, exited, port: Number(line) };
  }
  throw new Error('the server did not start');
}

const at = (name: string): EntryName => ({ parent: ROOT_INODE, name: Buffer.from(name) });

/** Changes names of its own only, one operation after the other, each of which succeeds if all before did once. */
class Lane {
  readonly names = new Map<string, InodeId>();
  readonly #meta: RemoteMetaStore;
  readonly #random: () => number;
  readonly #prefix: string;
  #next = 0;

  constructor(meta: RemoteMetaStore, options: { prefix: string; random: () => number }) {
    this.#meta = meta;
    this.#random = options.random;
    this.#prefix = options.prefix;
  }

  #newName(): string {
    return `${this.#prefix}-${this.#next++}`;
  }

  #someName(): string | undefined {
    const names = [...this.names.keys()];
    return names[Math.floor(this.#random() * names.length)];
  }

  async step(): Promise<void> {
    const name = this.#someName();
    const choice = this.#random();
    if (name === undefined || choice < 0.4) {
      const made = this.#newName();
      this.names.set(made, (await this.#meta.create(at(made), FILE, 'write')).inode);
    } else if (choice < 0.55) {
      await this.#link(name);
    } else if (choice < 0.75) {
      await this.#rename(name);
    } else {
      await this.#unlink(name);
    }
  }

  #inodeOf(name: string): InodeId {
    return this.names.get(name) ?? ROOT_INODE;
  }

  async #link(name: string): Promise<void> {
    const other = this.#newName();
    await this.#meta.link(this.#inodeOf(name), at(other));
    this.names.set(other, this.#inodeOf(name));
  }

  async #rename(name: string): Promise<void> {
    const other = this.#newName();
    await this.#meta.rename(at(name), at(other));
    this.names.set(other, this.#inodeOf(name));
    this.names.delete(name);
  }

  async #unlink(name: string): Promise<void> {
    const { record } = await this.#meta.unlink(at(name));
    this.names.delete(name);
    if (record.nlink > 0) return;
    await this.#meta.closeInode(record.inode, 'none');
    await this.#meta.reap(record.inode);
  }
}

async function compare(t: ExecutionContext, meta: RemoteMetaStore, lanes: Lane[]): Promise<void> {
  const expected = new Map(lanes.flatMap((lane) => [...lane.names]));
  const page = { after: 0 as EntrySequence, upTo: undefined, limit: 1e6, withRecords: true };
  const { entries } = await meta.list(ROOT_INODE, page);
  const found = entries.map(({ name, inode }): [string, InodeId] => [name.toString(), inode]);
  t.deepEqual(Object.fromEntries(found), Object.fromEntries(expected));
  const links = new Map<InodeId, number>();
  for (const inode of expected.values()) links.set(inode, (links.get(inode) ?? 0) + 1);
  for (const { record } of entries) t.is(record?.nlink, links.get(record?.inode ?? ROOT_INODE));
  t.is(await meta.inodeCount(), links.size + 1);
}

test('a metadata server killed in the middle of mutations has run each that it answered once, and none twice', async (t) => {
  t.log(`IMSSFS_TEST_SEED=${SEED} npx ava dist/test/faults/meta-server.test.js`);
  const random = randomFrom(SEED);
  const deathOf = (): Death => ({
    at: 2 + Math.floor(random() * 300),
    where: random() < 0.5 ? 'within' : 'after',
  });
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  const path = join(folder, 'meta');
  let running = await start(path, 0, deathOf());
  const { port } = running;
  const client = connectMeta({ host: '127.0.0.1', port });
  t.teardown(async () => {
    await client.close();
    running.child.kill('SIGKILL');
    await running.exited;
    rmSync(folder, { recursive: true, force: true });
  });
  const lanes = Array.from({ length: LANES }, (_, index) => {
    const laneRandom = randomFrom(Math.floor(random() * 2 ** 32));
    return new Lane(client.meta, { prefix: String(index), random: laneRandom });
  });
  let deaths = 0;
  const work = lanes.map(async (lane) => {
    while (deaths < DEATHS) await lane.step();
    for (let step = 0; step < 20; step++) await lane.step();
  });
  while (deaths < DEATHS) {
    const [, signal] = await running.exited;
    t.is(signal, 'SIGKILL');
    running = await start(path, port, deaths + 1 < DEATHS ? deathOf() : { at: 0, where: 'after' });
    deaths++;
  }
  await Promise.all(work);
  await compare(t, client.meta, lanes);
});
