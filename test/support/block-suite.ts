/** What every block store does, whether it is memory, behind the net, or several servers: one suite for all. */
import test, { type ExecutionContext } from 'ava';
import { dataRuns } from '../../src/blocks/block-map.ts';
import {
  type BlockExtent,
  type BlockStore,
  type DatasetView,
  StaleGenerationError,
  UnconfirmedTruncationError,
} from '../../src/blocks/store.ts';
import { compareTime } from '../../src/clock.ts';
import { FsError } from '../../src/errno.ts';
import type { BlockIndex, InodeId } from '../../src/ids.ts';
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

const ONE_PAGE = Buffer.alloc(4096, 1);

function extentOf(block: number, offset: number, length: number): BlockExtent {
  return { block: block as BlockIndex, offset, length };
}

/** Where the store says that data is, among the first blocks. */
async function runsOf(store: BlockStore, view: DatasetView, count = 64): Promise<number[][]> {
  const first = 1 as BlockIndex;
  const map = await store.map(view, first, count);
  const { blockSizeBytes } = view.layout;
  return [...dataRuns(map, first, { blockSizeBytes })].map(({ start, end }) => [start, end]);
}

/** Writes datasets of large blocks, and then of small ones, until none fits on any server. */
async function fill(store: BlockStore): Promise<void> {
  for (const [inode, blockSizeBytes] of [
    [98, 65_536],
    [99, 4096],
  ] as const) {
    const view = viewOf(datasetOf(inode, { blockSizeBytes }));
    const bytes = Buffer.alloc(blockSizeBytes, 1);
    for (let block = 1, refused = 0; refused < 16; block++) {
      const code = await codeOf(() => writeBytes(store, view, { block, bytes }));
      refused = code === undefined ? 0 : refused + 1;
      if (code !== undefined && code !== 'ENOSPC') throw code as Error;
    }
  }
}

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

  'a hole is what was never written or was punched, page by page': async (t, open) => {
    const store = await open();
    const view = viewOf(datasetOf(1, { blockSizeBytes: 65_536 }));
    t.is(await writeBytes(store, view, { offset: 20_000, bytes: Buffer.alloc(1000, 1) }), 4616);
    for (const block of [2, 3, 5]) {
      await writeBytes(store, view, { block, bytes: Buffer.alloc(65_536, block) });
    }
    const runs = (): Promise<number[][]> => runsOf(store, view);
    t.deepEqual(await runs(), [
      [16_384, 21_000],
      [65_536, 3 * 65_536],
      [4 * 65_536, 5 * 65_536],
    ]);
    const range = { offset: 65_536 + 4096, length: 65_536 };
    t.deepEqual(await store.punch(view, range, 'freed'), { storedDelta: -65_536 });
    t.deepEqual(await store.punch(view, range, 'freed'), { storedDelta: 0 });
    t.deepEqual(await runs(), [
      [16_384, 21_000],
      [65_536, 65_536 + 4096],
      [2 * 65_536 + 4096, 3 * 65_536],
      [4 * 65_536, 5 * 65_536],
    ]);
    t.deepEqual(
      await readBytes(store, view, { block: 3, offset: 4090, length: 12 }),
      Buffer.concat([Buffer.alloc(6), Buffer.alloc(6, 3)]),
    );
    const all = { offset: 0, length: Number.MAX_SAFE_INTEGER };
    t.deepEqual(await store.punch(view, all, 'freed'), { storedDelta: -(65_536 * 2 + 4616) });
    t.deepEqual(await runs(), []);
    t.is((await store.usage()).usedBytes, 0);
  },

  'where data is can be asked in a file of 2^53 - 1 bytes, and among very many blocks': async (
    t,
    open,
  ) => {
    const store = await open();
    const view = viewOf(datasetOf(1, { blockSizeBytes: 4096 }));
    const far = (2 ** 41 - 1) as BlockIndex;
    t.like(await store.map(view, 1 as BlockIndex, 100), { next: undefined, mayBeLost: false });
    await writeBytes(store, view, { block: far, bytes: Buffer.from('far') });
    t.is((await store.map(view, 1 as BlockIndex, 100)).next, far);
    for (let block = 1; block <= 70; block++) {
      await writeBytes(store, view, { block, bytes: ONE_PAGE });
    }
    t.deepEqual(await runsOf(store, view, 1000), [[0, 70 * 4096]]);
    t.is((await store.map(view, 71 as BlockIndex, 1)).next, far);
  },

  'what is reserved counts as stored, reads as zeros, and is there when the store is full': async (
    t,
    open,
  ) => {
    const store = await open({ capacityBytes: MIB });
    const view = viewOf(datasetOf(1, { blockSizeBytes: 65_536 }));
    await writeBytes(store, view, { block: 2, bytes: Buffer.alloc(10_000, 7) });
    const extents = [1, 2, 3, 4].map((block) => extentOf(block, 4096, 61_440));
    const reserved = await store.reserve(view, extents);
    // Of block 2, what is not data up to a page's end.
    t.is(reserved.storedDelta, 4 * 61_440 - (10_000 - 4096));
    t.is((await store.reserve(view, extents)).added.length, 0);
    t.deepEqual(await runsOf(store, view), [[65_536, 65_536 + 10_000]]);
    t.deepEqual(await readBytes(store, view, { block: 3, offset: 4096 }), Buffer.alloc(16));
    await fill(store);
    for (const block of [4, 2, 3, 1]) {
      const bytes = Buffer.alloc(61_440, block);
      await writeBytes(store, view, { block, offset: 4096, bytes });
      t.true((await readBytes(store, view, { block, offset: 4096, length: 61_440 })).equals(bytes));
    }
    const more = extentOf(9, 0, 65_536);
    t.is(await codeOf(() => store.reserve(view, [more])), 'ENOSPC');
  },

  'a reservation that does not fit leaves nothing, and one can be taken back': async (t, open) => {
    const store = await open({ capacityBytes: MIB });
    const view = viewOf(datasetOf(1, { blockSizeBytes: 65_536 }));
    await writeBytes(store, view, { block: 1, bytes: Buffer.alloc(10, 7) });
    const before = await store.usage();
    const most = Array.from({ length: 200 }, (_, index) => extentOf(index + 1, 0, 65_536));
    t.is(await codeOf(() => store.reserve(view, most)), 'ENOSPC');
    t.deepEqual((await store.usage()).usedBytes, before.usedBytes);
    const { storedDelta, added } = await store.reserve(view, most.slice(0, 3));
    t.is(storedDelta, 3 * 65_536 - 10);
    t.deepEqual(await store.unreserve(view, added), { storedDelta: -storedDelta });
    t.is((await store.usage()).usedBytes, before.usedBytes);
    t.deepEqual(await readBytes(store, view, { length: 10 }), Buffer.alloc(10, 7));
  },

  'a range that is zeroed with its room reserved can be written when the store is full': async (
    t,
    open,
  ) => {
    const store = await open({ capacityBytes: MIB });
    const view = viewOf(datasetOf(1, { blockSizeBytes: 65_536 }));
    for (const block of [1, 2, 3]) {
      await writeBytes(store, view, { block, bytes: Buffer.alloc(65_536, block) });
    }
    const range = { offset: 100, length: 3 * 65_536 - 100 };
    t.deepEqual(await store.punch(view, range, 'reserved'), { storedDelta: 0 });
    t.deepEqual(await runsOf(store, view), [[0, 100]]);
    await fill(store);
    for (const block of [1, 2, 3]) {
      await writeBytes(store, view, { block, offset: 100, bytes: Buffer.alloc(65_436, 9) });
    }
    t.deepEqual(await readBytes(store, view, { block: 3, length: 100 }), Buffer.alloc(100));
  },

  'a block is copied with its holes, or not at all where the two are apart': async (t, open) => {
    const store = await open();
    const shape = { blockSizeBytes: 65_536 };
    const [one, two] = [viewOf(datasetOf(1, shape)), viewOf(datasetOf(2, shape))];
    let copies = 0;
    for (let block = 1; block <= 16; block++) {
      await writeBytes(store, one, { block, bytes: Buffer.alloc(100, block) });
      await writeBytes(store, one, { block, offset: 32_768, bytes: Buffer.alloc(4096, block) });
      await writeBytes(store, two, { block, bytes: Buffer.alloc(65_536, 99) });
      const place = { block: block as BlockIndex, offset: 0 };
      const copied = await store.copyBlock(
        { view: one, ...place },
        { view: two, ...place },
        65_536,
      );
      const bytes = await readBytes(store, two, { block, length: 65_536 });
      if (copied === undefined) {
        t.true(bytes.equals(Buffer.alloc(65_536, 99)));
        continue;
      }
      copies++;
      t.is(copied.storedDelta, 4096 + 4096 - 65_536);
      t.true(bytes.equals(await readBytes(store, one, { block, length: 65_536 })));
    }
    const shifted = { view: one, block: 1 as BlockIndex, offset: 40_000 };
    const own = { view: one, block: 1 as BlockIndex, offset: 50 };
    t.not(await store.copyBlock(own, shifted, 50), undefined);
    t.deepEqual(
      await readBytes(store, one, { offset: 39_999, length: 52 }),
      Buffer.concat([Buffer.alloc(1), Buffer.alloc(50, 1), Buffer.alloc(1)]),
    );
    t.true(copies <= 16);
  },

  'operations on ranges obey truncations as reads and writes do': async (t, open) => {
    const store = await open();
    const file = datasetOf(1, { blockSizeBytes: 4096 });
    const view = viewOf(file);
    for (let block = 1; block <= 6; block++) {
      await writeBytes(store, view, { block, bytes: ONE_PAGE });
    }
    const newer = { ...view, generation: 1, truncatedBytes: 4096 + 100 };
    await store.discard(newer);
    const place = { view, block: 1 as BlockIndex, offset: 0 };
    for (const run of [
      () => store.punch(view, { offset: 0, length: 10 }, 'freed'),
      () => store.map(view, 1 as BlockIndex, 10),
      () =>
        store.reserve(
          view,
          [1, 2, 3].map((block) => extentOf(block, 0, 4096)),
        ),
      () => store.unreserve(view, [extentOf(1, 0, 4096)]),
      () => store.copyBlock(place, { ...place, block: 1 as BlockIndex, offset: 2048 }, 100),
    ]) {
      t.true((await failureOf(run)) instanceof StaleGenerationError, run.toString());
    }
    t.deepEqual(await runsOf(store, newer), [[0, 4096 + 100]]);
    await store.reserve(newer, [extentOf(1, 0, 4096), extentOf(5, 0, 4096)]);
    const cut = { ...newer, generation: 2, truncatedBytes: 4096 };
    t.deepEqual(await store.discard(cut), { storedDelta: -100 - 4096 });
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
    t.true((await store.map(viewOf(old), 1 as BlockIndex, 4)).mayBeLost);
    t.false((await store.map(viewOf(young), 1 as BlockIndex, 4)).mayBeLost);
    const whole = [extentOf(1, 0, 4096)];
    t.is(await codeOf(() => store.reserve(viewOf(old), whole)), 'EIO');
    t.deepEqual(await store.punch(viewOf(old), { offset: 0, length: 4096 }, 'freed'), {
      storedDelta: 0,
    });
    t.is(await codeOf(() => readBytes(store, viewOf(old))), 'EIO');
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
