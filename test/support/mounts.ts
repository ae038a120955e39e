/**
 * Several mounts over the same stores, each of whose calls takes a turn of the event loop, is counted and can be held
 * up. The metadata server among them knows who has what open, as one for many mounts does.
 */
import type { BlockData, BlockStore } from '../../src/blocks/store.ts';
import { Vfs } from '../../src/fs/vfs.ts';
import { type InodeId, ROOT_INODE } from '../../src/ids.ts';
import { silentLogger } from '../../src/log.ts';
import type { LockStore } from '../../src/meta/lock-store.ts';
import type { InodeRecord, Listing, MetaStore, OpenLevel } from '../../src/meta/store.ts';
import { FileType, fileTypeOf } from '../../src/stat.ts';
import { type TestStoreOptions, type TestStores, withStores } from './stores.ts';

type Method = (...args: never[]) => unknown;

export class TestMount {
  readonly vfs: Vfs;
  /** Names of the calls so far, those of the block store with `blocks.` before them. */
  readonly calls: string[] = [];
  /** What this mount last said it has open. */
  readonly levels = new Map<InodeId, OpenLevel>();
  readonly #held = new Map<string, Promise<void>>();
  readonly #failing = new Map<string, Error>();

  constructor(
    stores: Pick<TestStores, 'meta' | 'clock'> & { readonly blocks: BlockStore },
    mounts: readonly TestMount[],
    locks: LockStore | undefined,
  ) {
    const isUnsettled = (inode: InodeId): boolean =>
      mounts.some(({ levels }) => levels.get(inode) === 'write');
    const meta = this.#remote<MetaStore>(stores.meta, '', (name, args, answer) => {
      this.#noteLevel(name, args, answer);
      return settled(answer, isUnsettled);
    });
    const blocks = this.#remote<BlockStore>(stores.blocks, 'blocks.', (name, _args, answer) =>
      name === 'readBlock' ? copied(answer as BlockData) : answer,
    );
    const shared = new Proxy(meta, {
      get: (target, property): unknown => {
        if (property === 'shared') return true;
        return property === 'locks' ? locks : (Reflect.get(target, property) as unknown);
      },
    });
    this.vfs = new Vfs({
      meta: shared,
      blocks,
      clock: stores.clock,
      logger: silentLogger,
      root: ROOT_INODE,
      atimePolicy: 'noatime',
    });
  }

  /** The calls that `action` makes, in their order. */
  async callsOf(action: () => unknown): Promise<string[]> {
    const from = this.calls.length;
    await action();
    return this.calls.slice(from);
  }

  /** Calls of `name` wait until what this returns is called. */
  hold(name: string): () => void {
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#held.set(name, gate);
    return () => {
      this.#held.delete(name);
      open();
    };
  }

  /** Calls of `name` fail from now on, or work again. */
  fail(name: string, error: Error | undefined): void {
    if (error === undefined) this.#failing.delete(name);
    else this.#failing.set(name, error);
  }

  #noteLevel(name: string, args: readonly unknown[], answer: unknown): void {
    if (name === 'openInode') this.levels.set(args[0] as InodeId, args[1] as OpenLevel);
    if (name === 'closeInode') this.levels.set(args[0] as InodeId, args[1] as OpenLevel);
    if (name === 'create' && args[2] !== undefined) {
      this.levels.set((answer as InodeRecord).inode, args[2] as OpenLevel);
    }
  }

  #remote<S extends object>(
    store: S,
    prefix: string,
    finish: (name: string, args: readonly unknown[], answer: unknown) => unknown,
  ): S {
    return new Proxy(store, {
      get: (target, property): unknown => {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== 'function' || typeof property !== 'string') return value;
        return async (...args: never[]): Promise<unknown> => {
          const call = prefix + property;
          this.calls.push(call);
          await nextTurn();
          await this.#held.get(call);
          const failure = this.#failing.get(call);
          if (failure !== undefined) throw failure;
          const answer = await ((value as Method).apply(target, args) as Promise<unknown>);
          return finish(property, args, answer);
        };
      },
    });
  }
}

/** Opens stores and `count` mounts of them, runs `body`, closes the stores whatever happens. */
export async function withMounts(
  count: number,
  body: (mounts: TestMount[], stores: TestStores) => Promise<void>,
  options: TestStoreOptions & { locks?: (mount: number) => LockStore } = {},
): Promise<void> {
  await withStores(options, async (stores) => {
    const mounts: TestMount[] = [];
    while (mounts.length < count) {
      mounts.push(new TestMount(stores, mounts, options.locks?.(mounts.length)));
    }
    await body(mounts, stores);
  });
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets everything happen that is not held up. */
export async function manyTurns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await nextTurn();
}

/** What another store answers stays what it is. */
function copied({ slices }: BlockData): BlockData {
  return { slices: slices.map((slice) => Buffer.from(slice)) };
}

/** The records in an answer, with `unsettled` as a server says it that is told of openers. */
function settled(answer: unknown, isUnsettled: (inode: InodeId) => boolean): unknown {
  if (typeof answer !== 'object' || answer === null) return answer;
  const fix = (record: InodeRecord): InodeRecord => {
    const isRegular = fileTypeOf(record.mode) === FileType.REGULAR;
    return { ...record, unsettled: isRegular && isUnsettled(record.inode) };
  };
  if ('unsettled' in answer) return fix(answer as InodeRecord);
  if ('record' in answer) return { ...answer, record: fix(answer.record as InodeRecord) };
  if (!('entries' in answer)) return answer;
  const entries = (answer as Listing).entries.map((entry) =>
    entry.record === undefined ? entry : { ...entry, record: fix(entry.record) },
  );
  return { ...answer, entries };
}
