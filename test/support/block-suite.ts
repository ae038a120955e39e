/** What every block store does, whether it is memory, behind the net, or several servers: one suite for all. */
import test, { type ExecutionContext } from 'ava';
import {
  type BlockStore,
  StaleGenerationError,
  UnconfirmedTruncationError,
} from '../../src/blocks/store.ts';
import { compareTime } from '../../src/clock.ts';
import { FsError } from '../../src/errno.ts';
import type { InodeId } from '../../src/ids.ts';
import type { Dataset } from '../../src/layout.ts';
import type { Stat } from '../../src/stat.ts';
import type { MaybePromise } from '../../src/task.ts';
import {
  EPOCH,
  MIB,
  codeOf,
  datasetOf,
  failureOf,
  readBytes,
  statFor,
  viewOf,
  writeBytes,
} from './block-datasets.ts';

export interface SuiteOptions {
  /** Of the whole store. */
  readonly capacityBytes: number;
  /** Epoch at which the store's memory came to life. */
  readonly bornEpoch: number;
}

/** A store under test, and how it is closed. */
export interface OpenStore {
  readonly store: BlockStore;
  readonly close?: () => Promise<void>;
}

export type OpenSuiteStore = (options: SuiteOptions) => MaybePromise<OpenStore>;

type Case = (
  t: ExecutionContext,
  open: (options?: Partial<SuiteOptions>) => Promise<BlockStore>,
) => Promise<void>;

const CASES: Record<string, Case> = {
  'block 0 is created once and keeps what it was created with': async (t, open) => {
    const store = await open();
    const file = datasetOf(7);
    t.is(await store.readInner(file), undefined);
    const seed = { stat: statFor(file, { sizeBytes: 3 }), target: Buffer.from('a/b') };
    const created = await store.createInner(file, seed);
    t.like(created, { sizeBytes: 3, dataVersion: 0, generation: 0 });
    t.deepEqual(await store.createInner(file, { stat: statFor(file, { sizeBytes: 9 }) }), created);
    t.deepEqual(await store.readInner(file), created);
    t.is((await store.readTarget(file)).toString(), 'a/b');
  },

  'without block 0, changes fail with ENOENT and the rest answers as if nothing were there': async (
    t,
    open,
  ) => {
    const store = await open();
    const file = datasetOf(7);
    const name = Buffer.from('user.a');
    t.is(await codeOf(() => store.noteWrite(file, { endBytes: 1, storedDelta: 1 })), 'ENOENT');
    t.is(await codeOf(() => store.reserveAppend(file, 1)), 'ENOENT');
    const cut = { sizeBytes: 1, confirmedGeneration: 0 };
    t.is(await codeOf(() => store.truncate(file, cut)), 'ENOENT');
    t.is(await codeOf(() => store.setTimes(file, {})), 'ENOENT');
    t.is(await codeOf(() => store.touchAtime(file, EPOCH)), 'ENOENT');
    t.is(await codeOf(() => store.setXattr(file, name, name, 'either')), 'ENOENT');
    t.is(await codeOf(() => store.getXattr(file, name)), 'ENODATA');
    t.is(await codeOf(() => store.removeXattr(file, name)), 'ENODATA');
    t.is(await codeOf(() => store.readTarget(file)), 'EIO');
    t.deepEqual(await store.listXattr(file), []);
    await store.copyStat(file, statFor(file));
    await store.free(file.inode);
    t.is((await store.usage()).usedBytes, 0);
  },

  'a change with a seed writes block 0 first': async (t, open) => {
    const store = await open();
    const seedOf = (file: Dataset): { stat: Stat } => ({ stat: statFor(file) });
    const [one, two, three] = [datasetOf(1), datasetOf(2), datasetOf(3)];
    const change = { endBytes: 5, storedDelta: 5 };
    t.like(await store.noteWrite(one, change, seedOf(one)), { sizeBytes: 5, dataVersion: 1 });
    t.deepEqual(await store.reserveAppend(two, 4, seedOf(two)), { offset: 0 });
    t.deepEqual(await store.reserveAppend(two, 4, seedOf(two)), { offset: 4 });
    const cut = { sizeBytes: 8, confirmedGeneration: 0 };
    t.like(await store.truncate(three, cut, seedOf(three)), { sizeBytes: 8, truncatedBytes: 0 });
  },

  'many block 0s are asked for at once, in the order of the question': async (t, open) => {
    const store = await open();
    const files = Array.from({ length: 40 }, (_, n) => datasetOf(n + 1));
    for (const file of files.filter((_, n) => n % 3 === 0)) {
      await store.createInner(file, { stat: statFor(file, { sizeBytes: file.inode }) });
    }
    const answers = await store.readInners(files);
    const sizes = answers.map((answer) =>
      answer instanceof FsError ? 'failed' : answer?.sizeBytes,
    );
    t.deepEqual(
      sizes,
      files.map((file, n) => (n % 3 === 0 ? file.inode : undefined)),
    );
    t.deepEqual(await store.readInners([]), []);
  },

  'noteWrite raises size, stored bytes and version, and never lowers the size': async (t, open) => {
    const store = await open();
    const file = datasetOf(1);
    await store.createInner(file, { stat: statFor(file) });
    const first = await store.noteWrite(file, { endBytes: 100, storedDelta: 60 });
    t.like(first, { sizeBytes: 100, storedBytes: 60, dataVersion: 1, atime: EPOCH });
    t.is(compareTime(first.mtime, EPOCH), 1);
    const second = await store.noteWrite(file, { endBytes: 10, storedDelta: -20 });
    t.like(second, { sizeBytes: 100, storedBytes: 40, dataVersion: 2 });
    t.deepEqual(await store.readInner(file), second);
  },

  'sizes end at 2^53 - 1: EFBIG': async (t, open) => {
    const store = await open();
    const file = datasetOf(1);
    await store.createInner(file, { stat: statFor(file) });
    const most = Number.MAX_SAFE_INTEGER;
    const cut = { sizeBytes: most, confirmedGeneration: 0 };
    t.is((await store.truncate(file, cut)).sizeBytes, most);
    t.is(await codeOf(() => store.reserveAppend(file, 1)), 'EFBIG');
  },

  'times are set as given; an access time only moves forward': async (t, open) => {
    const store = await open();
    const file = datasetOf(1);
    await store.createInner(file, { stat: statFor(file) });
    const early = { seconds: -3, nanoseconds: 7 };
    const late = { seconds: 9, nanoseconds: 8 };
    t.like(await store.setTimes(file, { atime: early }), { atime: early, mtime: EPOCH });
    t.like(await store.setTimes(file, { mtime: late }), { atime: early, mtime: late });
    await store.touchAtime(file, { seconds: -3, nanoseconds: 6 });
    t.like(await store.readInner(file), { atime: early });
    await store.touchAtime(file, late);
    t.like(await store.readInner(file), { atime: late, dataVersion: 0 });
  },

  'extended attributes keep modes, order and bytes that are no text': async (t, open) => {
    const store = await open();
    const file = datasetOf(1);
    await store.createInner(file, { stat: statFor(file) });
    const [a, b, raw] = [Buffer.from('user.a'), Buffer.from('user.b'), Buffer.from([0xff, 0xfe])];
    t.is(await codeOf(() => store.setXattr(file, a, raw, 'replace')), 'ENODATA');
    await store.setXattr(file, b, Buffer.alloc(65_536, 3), 'create');
    await store.setXattr(file, a, raw, 'either');
    await store.setXattr(file, raw, Buffer.alloc(0), 'create');
    t.is(await codeOf(() => store.setXattr(file, a, b, 'create')), 'EEXIST');
    t.deepEqual(await store.listXattr(file), [b, a, raw]);
    t.deepEqual(await store.getXattr(file, b), Buffer.alloc(65_536, 3));
    t.deepEqual(await store.getXattr(file, raw), Buffer.alloc(0));
    await store.removeXattr(file, b);
    t.deepEqual(await store.listXattr(file), [a, raw]);
    t.is(await codeOf(() => store.getXattr(file, b)), 'ENODATA');
  },

  'data is read as it was written, and what is not stored as zeros': async (t, open) => {
    const store = await open();
    const view = viewOf(datasetOf(1));
    t.is(await writeBytes(store, view, { offset: 3, bytes: Buffer.from('abc') }), 6);
    t.deepEqual(await readBytes(store, view, { length: 8 }), Buffer.from('\0\0\0abc\0\0'));
    t.deepEqual(await readBytes(store, view, { offset: 4, length: 2 }), Buffer.from('bc'));
    t.deepEqual(await readBytes(store, view, { offset: 9, length: 4 }), Buffer.alloc(4));
    t.deepEqual(await readBytes(store, view, { length: 0 }), Buffer.alloc(0));
    t.deepEqual(await readBytes(store, view, { block: 5, length: MIB }), Buffer.alloc(MIB));
    t.is(await writeBytes(store, view, { offset: 10, bytes: Buffer.from('z') }), 5);
    t.deepEqual(await readBytes(store, view, { length: 11 }), Buffer.from('\0\0\0abc\0\0\0\0z'));
  },

  'whole blocks of any size come back': async (t, open) => {
    const store = await open();
    for (const blockSizeBytes of [4096, 5000, 65_536, 1_000_000, MIB]) {
      const view = viewOf(datasetOf(blockSizeBytes, { blockSizeBytes }));
      for (let block = 1; block <= 3; block++) {
        const bytes = Buffer.alloc(blockSizeBytes, block);
        t.is(await writeBytes(store, view, { block, bytes }), blockSizeBytes);
        t.is(await writeBytes(store, view, { block, bytes }), 0);
      }
      for (let block = 1; block <= 3; block++) {
        const bytes = await readBytes(store, view, { block, length: blockSizeBytes });
        t.true(bytes.equals(Buffer.alloc(blockSizeBytes, block)));
      }
    }
  },

  'ENOSPC leaves data and accounting as they were': async (t, open) => {
    const store = await open({ capacityBytes: 40_000 });
    const view = viewOf(datasetOf(1, { blockSizeBytes: 65_536 }));
    await writeBytes(store, view, { bytes: Buffer.alloc(4096, 1) });
    const before = await store.usage();
    const bytes = Buffer.alloc(50_000, 2);
    t.is(await codeOf(() => writeBytes(store, view, { offset: 4000, bytes })), 'ENOSPC');
    t.is(await codeOf(() => writeBytes(store, view, { block: 2, bytes })), 'ENOSPC');
    t.deepEqual(await store.usage(), before);
    const expected = Buffer.concat([Buffer.alloc(4096, 1), Buffer.alloc(1)]);
    t.deepEqual(await readBytes(store, view, { length: 4097 }), expected);
  },

  'shrinking and growing again reads zeros on every server': async (t, open) => {
    const store = await open();
    const file = datasetOf(1, { blockSizeBytes: 4096 });
    const old = viewOf(file, await store.createInner(file, { stat: statFor(file) }));
    for (let block = 1; block <= 6; block++) {
      await writeBytes(store, old, { block, bytes: Buffer.alloc(4096, 9) });
    }
    await store.noteWrite(file, { endBytes: 6 * 4096, storedDelta: 6 * 4096 });
    const cut = await store.truncate(file, { sizeBytes: 4106, confirmedGeneration: 0 });
    t.like(cut, { sizeBytes: 4106, truncatedBytes: 4106, generation: 1 });
    t.deepEqual(await store.discard(viewOf(file, cut)), { storedDelta: 4106 - 6 * 4096 });
    t.deepEqual(await store.discard(viewOf(file, cut)), { storedDelta: 0 });
    await store.confirmTruncation(file, 1);
    const grown = await store.truncate(file, { sizeBytes: 6 * 4096, confirmedGeneration: 0 });
    t.like(grown, { sizeBytes: 6 * 4096, truncatedBytes: 4106, generation: 2 });
    const view = viewOf(file, grown);
    t.deepEqual(await readBytes(store, view, { block: 1 }), Buffer.alloc(16, 9));
    const tail = Buffer.concat([Buffer.alloc(10, 9), Buffer.alloc(10)]);
    t.deepEqual(await readBytes(store, view, { block: 2, length: 20 }), tail);
    for (let block = 3; block <= 6; block++) {
      t.deepEqual(await readBytes(store, view, { block, length: 4096 }), Buffer.alloc(4096));
    }
  },

  'a server that knows of a later truncation refuses requests of before it': async (t, open) => {
    const store = await open();
    const file = datasetOf(1, { blockSizeBytes: 4096 });
    const view = viewOf(file);
    await writeBytes(store, view, { bytes: Buffer.alloc(4096, 9) });
    const newer = { ...view, generation: 1, truncatedBytes: 100 };
    const expected = Buffer.concat([Buffer.alloc(100, 9), Buffer.alloc(2)]);
    t.deepEqual(await readBytes(store, newer, { length: 102 }), expected);
    for (const run of [
      () => readBytes(store, view),
      () => writeBytes(store, view, { bytes: Buffer.from('a') }),
      () => store.discard(view),
    ]) {
      t.true((await failureOf(run)) instanceof StaleGenerationError);
    }
    t.deepEqual(await store.discard(newer), { storedDelta: 100 - 4096 });
  },

  'a server remembers a truncation also of a dataset of which it has nothing': async (t, open) => {
    const store = await open();
    const file = datasetOf(1, { blockSizeBytes: 4096 });
    const view = viewOf(file);
    const newer = { ...view, generation: 1, truncatedBytes: 0 };
    t.deepEqual(await store.discard(newer), { storedDelta: 0 });
    const bytes = Buffer.from('written after the cut');
    for (let block = 1; block <= 4; block++) {
      // Taken as of before the cut, it would be discarded by whoever knows of that.
      const failure = await failureOf(() => writeBytes(store, view, { block, bytes }));
      t.true(failure instanceof StaleGenerationError, `block ${block}`);
    }
    await store.free(file.inode);
    t.is((await store.usage()).datasets, 0);
  },

  'a truncation waits for the one before it to be confirmed': async (t, open) => {
    const store = await open();
    const file = datasetOf(1);
    await store.createInner(file, { stat: statFor(file, { sizeBytes: 500 }) });
    const cut = await store.truncate(file, { sizeBytes: 100, confirmedGeneration: 0 });
    const again = { sizeBytes: 50, confirmedGeneration: 0 };
    const failure = await failureOf(() => store.truncate(file, again));
    t.true(failure instanceof UnconfirmedTruncationError);
    t.deepEqual((failure as UnconfirmedTruncationError).attributes, cut);
    const repeated = await store.truncate(file, { ...again, confirmedGeneration: cut.generation });
    t.like(repeated, { sizeBytes: 50, generation: 2, truncatedBytes: 50 });
    const conditional = { sizeBytes: 0, confirmedGeneration: 2, onlyIfSizeBytes: 51 };
    t.deepEqual(await store.truncate(file, conditional), repeated);
  },

  'free removes block 0 and all blocks from every server': async (t, open) => {
    const store = await open();
    for (const inode of [1, 2, 3, 4, 5]) {
      const file = datasetOf(inode, { blockSizeBytes: 4096 });
      await store.createInner(file, { stat: statFor(file) });
      for (let block = 1; block <= 10; block++) {
        await writeBytes(store, viewOf(file), { block, bytes: Buffer.alloc(4096, 1) });
      }
    }
    t.true((await store.usage()).usedBytes > 5 * 10 * 4096);
    await Promise.all([1, 2, 3, 4, 5].map(async (inode) => store.free(inode as InodeId)));
    t.like(await store.usage(), { usedBytes: 0, datasets: 0 });
    const file = datasetOf(3, { blockSizeBytes: 4096 });
    t.is(await store.readInner(file), undefined);
    t.deepEqual(await readBytes(store, viewOf(file), { block: 7 }), Buffer.alloc(16));
  },

  'what an earlier life of the servers may have had is lost: EIO, never zeros': async (t, open) => {
    const store = await open({ bornEpoch: 5 });
    const old = datasetOf(1, { mapEpoch: 4, blockSizeBytes: 4096 });
    const young = datasetOf(2, { mapEpoch: 5, blockSizeBytes: 4096 });
    t.is(await codeOf(() => readBytes(store, viewOf(old))), 'EIO');
    t.is(await codeOf(() => store.readInner(old)), 'EIO');
    t.is(await codeOf(() => store.noteWrite(old, { endBytes: 1, storedDelta: 1 })), 'EIO');
    const part = Buffer.from('part');
    t.is(await codeOf(() => writeBytes(store, viewOf(old), { bytes: part })), 'EIO');
    t.deepEqual(await readBytes(store, viewOf(young)), Buffer.alloc(16));
    const [lost, none] = await store.readInners([old, young]);
    t.is(lost instanceof FsError ? lost.code : lost, 'EIO');
    t.is(none, undefined);
    t.is(await writeBytes(store, viewOf(old), { bytes: Buffer.alloc(4096, 1) }), 4096);
    t.deepEqual(await readBytes(store, viewOf(old), { length: 1 }), Buffer.from([1]));
  },
};

/** Declares the whole suite for one kind of store. */
export function declareBlockSuite(kind: string, open: OpenSuiteStore): void {
  for (const [title, run] of Object.entries(CASES)) {
    test(`${kind}: ${title}`, async (t) => {
      const opened: OpenStore[] = [];
      try {
        await run(t, async ({ capacityBytes = 64 * MIB, bornEpoch = 0 } = {}) => {
          const one = await open({ capacityBytes, bornEpoch });
          opened.push(one);
          return one.store;
        });
      } finally {
        for (const one of opened) await one.close?.();
      }
    });
  }
}
