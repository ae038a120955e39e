/** Ranges of files that fail half-way, and what others do meanwhile: what is stored, what counts, and what is seen of it. */
import test from 'ava';
import type { BlockStore } from '../../../src/blocks/store.ts';
import { FsError } from '../../../src/errno.ts';
import type { BlockIndex } from '../../../src/ids.ts';
import { runTask } from '../../../src/task.ts';
import { datasetOf } from '../../support/block-datasets.ts';
import { nextTurn } from '../../support/mounts.ts';
import { pattern } from '../../support/pattern.ts';
import { replacing, type TestStoreOptions, withStores } from '../../support/stores.ts';
import { createFile, outcomeOf, readAll, writeAt } from '../../support/vfs-files.ts';

const BLOCK = 4096;

/** Answers of servers: all come later, and those about block `full` of a dataset that is `meant` say that there is no room. */
function serversOf(
  blocks: BlockStore,
  full: number,
  code: 'ENOSPC' | 'EIO' = 'ENOSPC',
): { blocks: BlockStore; isFull: boolean } {
  const state = { blocks, isFull: false };
  const refuse = (block: number): void => {
    if (state.isFull && block === full) throw new FsError(code);
  };
  const writing = replacing(blocks, 'writeBlock', (original) => async (...args) => {
    await nextTurn();
    refuse(args[1]);
    return original(...args);
  });
  state.blocks = replacing(writing, 'copyBlock', (original) => async (...args) => {
    await nextTurn();
    refuse(args[1].block);
    return original(...args);
  });
  return state;
}

test('a copy by way of this process has what was there when it was read', async (t) => {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  let isHeld = false;
  const wrap: TestStoreOptions['wrap'] = ({ meta, blocks }) => {
    const apart = replacing(blocks, 'copyBlock', () => () => undefined);
    const slow = replacing(apart, 'writeBlock', (original) => (...args) => {
      return isHeld ? gate.then(() => original(...args)) : original(...args);
    });
    return { meta, blocks: slow };
  };
  await withStores({ wrap, blockSizeBytes: BLOCK }, async ({ vfs }) => {
    const source = createFile(vfs, 'source');
    const target = createFile(vfs, 'target');
    await writeAt(vfs, source.handle, 0, pattern(3 * BLOCK, 1));
    isHeld = true;
    const copied = runTask(
      vfs.ranges.copy(
        { handle: source.handle, offset: 0 },
        { handle: target.handle, offset: 0 },
        { length: 3 * BLOCK, dropPrivilegeBits: false },
      ),
    );
    isHeld = false;
    await writeAt(vfs, source.handle, 0, pattern(3 * BLOCK, 2));
    open();
    t.is(await copied, 3 * BLOCK);
    t.deepEqual(await readAll(vfs, target.handle), pattern(3 * BLOCK, 1));
  });
});

for (const code of ['ENOSPC', 'EIO'] as const) {
  for (const way of ['write', 'copy'] as const) {
    test(`what a ${way} has stored beside a failure with ${code} counts, and is no part of the file`, async (t) => {
      let servers: ReturnType<typeof serversOf> | undefined;
      const wrap: TestStoreOptions['wrap'] = ({ meta, blocks }) => {
        servers = serversOf(blocks, 2, code);
        return { meta, blocks: servers.blocks };
      };
      await withStores({ wrap, blockSizeBytes: BLOCK }, async ({ vfs, blocks }) => {
        const data = pattern(4 * BLOCK, 3);
        const source = createFile(vfs, 'source');
        await writeAt(vfs, source.handle, 0, data);
        const { inode, handle } = createFile(vfs, 'target');
        const stale: number[] = [];
        vfs.onStalePages = (of) => {
          stale.push(of);
          return Promise.resolve();
        };
        if (servers !== undefined) servers.isFull = true;
        const failure =
          way === 'write'
            ? await outcomeOf(() => writeAt(vfs, handle, 0, data))
            : await outcomeOf(() =>
                runTask(
                  vfs.ranges.copy(
                    { handle: source.handle, offset: 0 },
                    { handle, offset: 0 },
                    { length: data.length, dropPrivilegeBits: false },
                  ),
                ),
              );
        t.is(failure, code === 'ENOSPC' ? BLOCK : 'EIO');
        if (way === 'copy') t.deepEqual(stale, [inode], 'the kernel is to read it again');
        if (servers !== undefined) servers.isFull = false;
        const sizeBytes = code === 'ENOSPC' ? BLOCK : 0;
        const before = await runTask(vfs.getattr(inode));
        const numbers = [1, 2, 3, 4] as BlockIndex[];
        const located = blocks.locate(datasetOf(inode, { blockSizeBytes: BLOCK }), numbers);
        const there = located.map(({ storedBytes }) => storedBytes ?? 0);
        t.is(before.sizeBytes, sizeBytes);
        t.is(
          before.storedBytes,
          there.reduce((sum, one) => sum + one, 0),
        );
        await writeAt(vfs, handle, 5 * BLOCK, Buffer.from('end'));
        const expected = Buffer.concat([data.subarray(0, sizeBytes)], 5 * BLOCK);
        t.deepEqual((await readAll(vfs, handle)).subarray(0, 5 * BLOCK), expected);
      });
    });
  }
}

test('a zeroed range whose room was made and whose bytes could not be taken away counts its room', async (t) => {
  const wrap: TestStoreOptions['wrap'] = ({ meta, blocks }) => ({
    meta,
    blocks: replacing(blocks, 'punch', () => () => Promise.reject(new FsError('EIO'))),
  });
  await withStores({ wrap, blockSizeBytes: BLOCK }, async ({ vfs }) => {
    const { inode, handle } = createFile(vfs, 'file');
    const range = { offset: 0, length: 3 * BLOCK };
    const change = { range, keepsSize: false, dropPrivilegeBits: false };
    t.is(await outcomeOf(() => runTask(vfs.ranges.zero(handle, change))), 'EIO');
    const { sizeBytes, storedBytes } = await runTask(vfs.getattr(inode));
    t.deepEqual({ sizeBytes, storedBytes }, { sizeBytes: 0, storedBytes: 3 * BLOCK });
  });
});

test('before data is looked for, the kernel writes what was mapped, if the file is open for writing', async (t) => {
  await withStores({ blockSizeBytes: BLOCK }, async ({ vfs }) => {
    const { inode, handle } = createFile(vfs, 'file');
    await runTask(vfs.setattr(inode, { sizeBytes: 4 * BLOCK }));
    let asked = 0;
    vfs.onStalePages = async () => {
      asked++;
      await nextTurn();
      await writeAt(vfs, handle, BLOCK, Buffer.from('mapped'));
    };
    t.is(await runTask(vfs.ranges.seekData(handle, 0)), BLOCK);
    await runTask(vfs.release(handle));
    const reader = await runTask(vfs.open(inode, { write: false, truncate: false }));
    t.is(await runTask(vfs.ranges.seekHole(reader.handle, BLOCK)), 2 * BLOCK);
    t.is(asked, 1);
  });
});
