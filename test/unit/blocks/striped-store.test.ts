/** What is particular to several servers as one store; what all stores do is in the suite of all block stores. */
import test from 'ava';
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import { placeOf } from '../../../src/blocks/placement.ts';
import { StripedBlockStore } from '../../../src/blocks/striped-store.ts';
import type { BlockStore } from '../../../src/blocks/store.ts';
import { ManualClock } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';
import type { Dataset } from '../../../src/layout.ts';
import { POLICIES } from '../../../src/policy.ts';
import { isPromiseLike } from '../../../src/task.ts';
import {
  MIB,
  codeOf,
  datasetOf,
  failureOf,
  makeLocator,
  readBytes,
  statFor,
  viewOf,
  writeBytes,
} from '../../support/block-datasets.ts';
import { replacing } from '../../support/stores.ts';

const BLOCK = 4096;

function makeMembers(count: number): MemoryBlockStore[] {
  const clock = new ManualClock();
  const options = { capacityBytes: 8 * MIB, blockSizeBytes: BLOCK, clock };
  return Array.from({ length: count }, () => new MemoryBlockStore(options));
}

function storedAt(member: MemoryBlockStore, dataset: Dataset, block: number): boolean {
  const range = { offset: 0, length: 1 };
  return member.readStored(viewOf(dataset), block as BlockIndex, range) !== undefined;
}

test('each block is on the server that its policy names, and nowhere else', (t) => {
  for (const policy of POLICIES) {
    if (policy === 'LOCAL') continue;
    const members = makeMembers(4);
    const store = new StripedBlockStore({ members, locator: makeLocator() });
    const file = datasetOf(9, { policy, blockSizeBytes: BLOCK });
    void store.createInner(file, { stat: statFor(file) });
    for (let block = 1; block <= 20; block++) {
      const payload = { bytes: Buffer.alloc(BLOCK, block) };
      void store.writeBlock(viewOf(file), block as BlockIndex, 0, payload);
      const places = members.flatMap((member, n) => (storedAt(member, file, block) ? [n] : []));
      t.deepEqual(places, [placeOf(file, block, 4)]);
    }
    const homes = members.flatMap((member, n) => (member.readInner(file) === undefined ? [] : [n]));
    t.deepEqual(homes, [placeOf(file, 0, 4)]);
  }
});

test('over local memory, everything is answered in the same turn', (t) => {
  const store = new StripedBlockStore({ members: makeMembers(1), locator: makeLocator() });
  const file = datasetOf(1, { policy: 'LOCAL', blockSizeBytes: BLOCK });
  const view = viewOf(file);
  const one = 1 as BlockIndex;
  for (const answer of [
    store.createInner(file, { stat: statFor(file) }),
    store.readBlock(view, one, { offset: 0, length: 1 }),
    store.writeBlock(view, one, 0, { bytes: Buffer.from('a') }),
    store.readBlock(view, one, { offset: 0, length: 1 }),
    store.readInners([file]),
    store.discard(view),
    store.usage(),
    store.free(file.inode),
  ]) {
    t.false(isPromiseLike(answer));
  }
});

test("LOCAL data goes to the writer's own server, and is found by others", async (t) => {
  const members = makeMembers(3);
  const locator = makeLocator();
  const [first, second, stranger] = [2, 0, undefined].map(
    (ownServer) => new StripedBlockStore({ members, locator, ownServer }),
  ) as [StripedBlockStore, StripedBlockStore, StripedBlockStore];
  const file = datasetOf(1, { policy: 'LOCAL', blockSizeBytes: BLOCK, home: 1 });
  const view = viewOf(file);
  await first.createInner(file, { stat: statFor(file) });
  t.deepEqual(
    members.map((member) => member.readInner(file) !== undefined),
    [false, true, false],
  );
  await writeBytes(first, view, { block: 1, bytes: Buffer.from('one') });
  await writeBytes(second, view, { block: 2, bytes: Buffer.from('two') });
  await writeBytes(second, view, { block: 1, offset: 3, bytes: Buffer.from('!') });
  await writeBytes(stranger, view, { block: 3, bytes: Buffer.from('three') });
  const places = (block: number): boolean[] => members.map((one) => storedAt(one, file, block));
  t.deepEqual(places(1), [false, false, true], 'who wrote first decides');
  t.deepEqual(places(2), [true, false, false]);
  t.is(places(3).filter(Boolean).length, 1);
  for (const store of [first, second, stranger]) {
    t.is((await readBytes(store, view, { block: 1, length: 4 })).toString(), 'one!');
    t.is((await readBytes(store, view, { block: 2, length: 3 })).toString(), 'two');
    t.is((await readBytes(store, view, { block: 3, length: 5 })).toString(), 'three');
    t.deepEqual(await readBytes(store, view, { block: 4, length: 5 }), Buffer.alloc(5));
  }
});

test('who keeps a LOCAL block is asked once; whether somebody does, each time', async (t) => {
  const locator = makeLocator();
  const asked: string[] = [];
  const store = new StripedBlockStore({
    members: makeMembers(2),
    locator: {
      claim: (inode, blocks, server) => {
        asked.push(`claim ${blocks.join()} for ${server}`);
        return Promise.resolve(locator.claim(inode, blocks, server));
      },
      locate: (inode, blocks) => {
        asked.push(`locate ${blocks.join()}`);
        return Promise.resolve(locator.locate(inode, blocks));
      },
    },
    ownServer: 1,
  });
  const view = viewOf(datasetOf(1, { policy: 'LOCAL', blockSizeBytes: BLOCK }));
  await readBytes(store, view, { block: 5 });
  await readBytes(store, view, { block: 5 });
  await writeBytes(store, view, { block: 5, bytes: Buffer.from('x') });
  await writeBytes(store, view, { block: 5, bytes: Buffer.from('y') });
  t.is((await readBytes(store, view, { block: 5, length: 1 })).toString(), 'y');
  t.deepEqual(asked, ['locate 5', 'locate 5', 'claim 5 for 1']);
  await store.free(view.inode);
  await readBytes(store, view, { block: 5 });
  t.is(asked.length, 4, 'freed, it is forgotten');
});

test('what is read of own LOCAL blocks whose place had to be asked for stays what it was', async (t) => {
  const [own, other] = makeMembers(2) as [MemoryBlockStore, MemoryBlockStore];
  const locator = makeLocator();
  const file = viewOf(datasetOf(1, { policy: 'LOCAL', blockSizeBytes: BLOCK }));
  const writer = new StripedBlockStore({ members: [own, other], locator, ownServer: 0 });
  await writeBytes(writer, file, { bytes: Buffer.alloc(BLOCK, 'a') });
  const reader = new StripedBlockStore({
    members: [own, other],
    locator: {
      ...locator,
      locate: (inode, blocks) => Promise.resolve(locator.locate(inode, blocks)),
    },
    ownServer: 0,
  });
  const { slices } = await reader.readBlock(file, 1 as BlockIndex, { offset: 0, length: BLOCK });
  own.free(file.inode);
  const stranger = viewOf(datasetOf(2, { policy: 'LOCAL', blockSizeBytes: BLOCK }));
  await writeBytes(own, stranger, { bytes: Buffer.alloc(BLOCK, 'b') });
  t.deepEqual(Buffer.concat(slices), Buffer.alloc(BLOCK, 'a'));
});

test('a server that is down fails its own files, not those of others', async (t) => {
  const members: BlockStore[] = makeMembers(3);
  const dead = replacing(
    members[1] as BlockStore,
    'readInners',
    () => () => Promise.reject(new FsError('EIO', 'block server 1 is away')),
  );
  const store = new StripedBlockStore({
    members: members.map((member, n) => (n === 1 ? dead : member)),
    locator: makeLocator(),
  });
  const files = Array.from({ length: 9 }, (_, n) => datasetOf(n + 1));
  const answers = await store.readInners(files);
  const expected = files.map((file) => (placeOf(file, 0, 3) === 1 ? 'EIO' : undefined));
  t.true(expected.includes('EIO') && expected.includes(undefined));
  t.deepEqual(
    answers.map((answer) => (answer instanceof FsError ? answer.code : answer)),
    expected,
  );
});

test('a dataset that is said to be at home on a server that is none fails, and no other', async (t) => {
  const store = new StripedBlockStore({ members: makeMembers(3), locator: makeLocator() });
  const file = datasetOf(1);
  const lost = { ...datasetOf(2, { policy: 'LOCAL', blockSizeBytes: BLOCK }), home: 3 };
  const answers = await store.readInners([lost, file]);
  t.is((answers[0] as FsError).code, 'EIO');
  t.is(answers[1], undefined);
  t.is(await codeOf(() => store.readInner(lost)), 'EIO');
  t.is(await codeOf(() => store.createInner(lost, { stat: statFor(lost) })), 'EIO');
});

test('what concerns all servers has failed when one has, but only after all have answered', async (t) => {
  for (const method of ['free', 'discard', 'usage'] as const) {
    const order: string[] = [];
    const members = makeMembers(3).map((member, n) =>
      replacing(
        member as BlockStore,
        method,
        () => () =>
          new Promise<never>((resolve, reject) => {
            setImmediate(() => {
              order.push(`server ${n}`);
              if (n === 0) reject(new FsError('EIO', 'server 0'));
              else
                setImmediate(() => {
                  order.push(`server ${n} done`);
                  resolve(undefined as never);
                });
            });
          }),
      ),
    );
    const store = new StripedBlockStore({ members, locator: makeLocator() });
    const view = viewOf(datasetOf(1));
    const failure = await failureOf(() =>
      method === 'discard'
        ? store.discard(view)
        : method === 'free'
          ? store.free(1 as InodeId)
          : store.usage(),
    );
    t.is((failure as FsError).message, 'EIO: server 0');
    t.deepEqual(order.slice(0, 3), ['server 0', 'server 1', 'server 2'], 'all at once');
    t.is(order.length, 5);
  }
});

test('a server that refuses at once does not keep the others from being asked', async (t) => {
  const members: BlockStore[] = makeMembers(2);
  const file = datasetOf(1, { blockSizeBytes: BLOCK });
  for (let block = 1; block <= 4; block++) {
    for (const member of members) {
      void member.writeBlock(viewOf(file), block as BlockIndex, 0, { bytes: Buffer.from('a') });
    }
  }
  const refusing = replacing(members[0] as BlockStore, 'free', () => () => {
    throw new FsError('EIO', 'no');
  });
  const store = new StripedBlockStore({
    members: [refusing, members[1] as BlockStore],
    locator: makeLocator(),
  });
  t.is(await codeOf(() => store.free(file.inode)), 'EIO');
  t.is((await (members[1] as BlockStore).usage()).usedBytes, 0);
});

test('what some servers have told of a change that failed on another counts with the next one', async (t) => {
  const dead = new FsError('EIO', 'away');
  for (const failing of ['punch', 'discard', 'reserve'] as const) {
    const members = makeMembers(2);
    const [one, two] = members as [MemoryBlockStore, MemoryBlockStore];
    let isAway = true;
    const store = new StripedBlockStore({
      members: [
        one,
        replacing(two as BlockStore, failing, (original) => (...args: never[]) => {
          if (isAway) throw dead;
          return (original as (...all: never[]) => never)(...args);
        }),
      ],
      locator: makeLocator(),
    });
    const file = datasetOf(1, { blockSizeBytes: BLOCK });
    const view = viewOf(file);
    let counted = 0;
    for (let block = 1; block <= 8; block++) {
      counted += await writeBytes(store, view, { block, bytes: Buffer.alloc(BLOCK, block) });
    }
    const cut = { ...view, generation: 1, truncatedBytes: 4 * BLOCK };
    const extents = Array.from({ length: 12 }, (_, n) => {
      return { block: (n + 1) as BlockIndex, offset: 0, length: BLOCK };
    });
    const change = async (): Promise<void> => {
      const range = { offset: 2 * BLOCK, length: 4 * BLOCK };
      if (failing === 'punch') counted += (await store.punch(view, range, 'freed')).storedDelta;
      else if (failing === 'discard') counted += (await store.discard(cut)).storedDelta;
      else counted += (await store.reserve(cut, extents)).storedDelta;
    };
    t.is(await codeOf(change), 'EIO');
    isAway = false;
    await change();
    const all = extents.map(({ block }) => block);
    const stored = [one, two].flatMap((member) => member.locate(file, all));
    const sum = stored.reduce((total, { storedBytes }) => total + (storedBytes ?? 0), 0);
    t.is(counted, sum, failing);
  }
});
