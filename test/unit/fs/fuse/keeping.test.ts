/** How long the kernel may keep answers of a mount that others may join at any time. */
import test from 'ava';
import { FUSE_ATTR_OUT, FUSE_ENTRY_OUT, SetattrValid } from '../../../../src/fs/fuse/abi.ts';
import { readStruct } from '../../../../src/fs/fuse/layout.ts';
import type { Aloneness, MetaStore } from '../../../../src/meta/store.ts';
import { FakeKernel, structOf } from '../../../support/fake-kernel.ts';
import { replacing, type TestStores, withStores } from '../../../support/stores.ts';

const FOLDER_MODE = 0o755;
const LEFT_MS = 1900;
/** What the kernel gets of it. */
const KEPT_MS = 1400;

class Lease implements Aloneness {
  now = 1_000_000;
  since = 0;
  until = 0;

  nowMs(): number {
    return this.now;
  }

  leftMs(sinceMs: number): number {
    return sinceMs < this.since ? 0 : Math.max(0, this.until - this.now);
  }

  get isAlone(): boolean {
    return this.now < this.until;
  }

  /** From now on. */
  grant(ms = LEFT_MS): void {
    this.since = this.now;
    this.until = this.now + ms;
  }
}

interface Fixture extends TestStores {
  lease: Lease;
  kernel: FakeKernel;
  /** From now on, questions for attributes wait; calling it answers them. */
  holdAttributes: () => () => Promise<void>;
}

async function withShared(body: (fixture: Fixture) => void | Promise<void>): Promise<void> {
  const lease = new Lease();
  let held: Promise<void> | undefined;
  const wrapped = (meta: MetaStore): MetaStore => {
    const shared = replacing(meta, 'shared', () => true);
    const lone = replacing(shared, 'lone', () => lease);
    return replacing(lone, 'inode', (inode) => (number) => {
      // What is told is what was so before it was held.
      const record = inode(number);
      return held === undefined ? record : held.then(() => record);
    });
  };
  const wrap = ({ meta, blocks }: Parameters<NonNullable<WrapOption>>[0]) => ({
    meta: wrapped(meta),
    blocks,
  });
  await withStores({ wrap }, async (stores) => {
    const kernel = new FakeKernel(stores.vfs);
    kernel.init();
    const holdAttributes = (): (() => Promise<void>) => {
      let free = (): void => undefined;
      held = new Promise((resolve) => {
        free = resolve;
      });
      return async () => {
        held = undefined;
        free();
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      };
    };
    await body({ ...stores, lease, kernel, holdAttributes });
  });
}
type WrapOption = Parameters<typeof withStores>[0]['wrap'];

/** A new folder in the root; its node. */
function mkdir(kernel: FakeKernel, name: string): number {
  const input = { mode: FOLDER_MODE, umask: 0 };
  return structOf(FUSE_ENTRY_OUT, kernel.call('MKDIR', { names: [name], input })).nodeid;
}

type Kept = Partial<
  Record<'entry_valid' | 'entry_valid_nsec' | 'attr_valid' | 'attr_valid_nsec', number>
>;

function entryMs({ entry_valid = 0, entry_valid_nsec = 0 }: Kept): number {
  return entry_valid * 1000 + entry_valid_nsec / 1e6;
}

function attributesMs({ attr_valid = 0, attr_valid_nsec = 0 }: Kept): number {
  return attr_valid * 1000 + attr_valid_nsec / 1e6;
}

/** How long the attributes in the reply to a GETATTR may be kept. */
function keptOf(kernel: FakeKernel, unique: number): number {
  const reply = kernel.replyTo(unique);
  if (reply === undefined) throw new Error('no answer');
  return attributesMs(structOf(FUSE_ATTR_OUT, reply));
}

test('names, missing names and attributes are kept for what is left of the lease, less a margin', async (t) => {
  await withShared(({ kernel, lease }) => {
    mkdir(kernel, 'folder');
    const before = kernel.lookup('folder');
    t.deepEqual([entryMs(before), attributesMs(before)], [0, 0]);
    lease.grant();
    const found = kernel.lookup('folder');
    t.deepEqual([entryMs(found), attributesMs(found)], [KEPT_MS, KEPT_MS]);
    lease.now += 400;
    const missing = kernel.lookup('missing');
    t.is(missing.nodeid, 0);
    t.is(entryMs(missing), KEPT_MS - 400);
    kernel.send('GETATTR', { nodeid: 1 });
    t.is(keptOf(kernel, kernel.lastUnique), KEPT_MS - 400);
    lease.now += LEFT_MS - 500;
    t.is(entryMs(kernel.lookup('folder')), 0, 'less than the margin is left');
  });
});

test('what readdirplus tells may be kept as well', async (t) => {
  await withShared(({ kernel, lease }) => {
    for (const name of ['a', 'b']) mkdir(kernel, name);
    const list = (): Kept[] => {
      const { body } = kernel.call('OPENDIR', { input: { flags: 0, open_flags: 0 } });
      const fh = Number(body.readBigUInt64LE(0));
      const { low, high } = { low: 0, high: 0 };
      const input = {
        fh,
        offset: 0,
        size: 4096,
        read_flags: 0,
        lock_owner: { low, high },
        flags: 0,
      };
      const page = kernel.call('READDIRPLUS', { input }).body;
      const entries: Kept[] = [];
      for (let at = 0; at < page.length;) {
        const entry = readStruct(FUSE_ENTRY_OUT, page, at);
        if (entry.nodeid !== 0) entries.push(entry);
        const nameBytes = page.readUInt32LE(at + FUSE_ENTRY_OUT.sizeBytes + 16);
        at += FUSE_ENTRY_OUT.sizeBytes + Math.ceil((24 + nameBytes) / 8) * 8;
      }
      return entries;
    };
    t.deepEqual(list().map(entryMs), [0, 0]);
    lease.grant();
    const entries = list();
    t.deepEqual(entries.map(entryMs), [KEPT_MS, KEPT_MS]);
    t.deepEqual(entries.map(attributesMs), [KEPT_MS, KEPT_MS]);
  });
});

test('an answer that took its time is kept for what is left when it is given', async (t) => {
  await withShared(async ({ kernel, lease, holdAttributes }) => {
    lease.grant();
    const free = holdAttributes();
    kernel.send('GETATTR', { nodeid: 1 });
    const asked = kernel.lastUnique;
    lease.now += 900;
    await free();
    t.is(keptOf(kernel, asked), KEPT_MS - 900);
  });
});

test('an answer to what was asked before the lease began is not kept', async (t) => {
  await withShared(async ({ kernel, lease, holdAttributes }) => {
    const free = holdAttributes();
    kernel.send('GETATTR', { nodeid: 1 });
    const asked = kernel.lastUnique;
    lease.now += 10;
    lease.grant();
    await free();
    t.is(keptOf(kernel, asked), 0);
    kernel.send('GETATTR', { nodeid: 1 });
    t.is(keptOf(kernel, kernel.lastUnique), KEPT_MS);
  });
});

test('attributes that this mount has changed after they were asked for are not kept', async (t) => {
  await withShared(async ({ kernel, lease, holdAttributes }) => {
    const folder = mkdir(kernel, 'folder');
    const other = mkdir(kernel, 'other');
    lease.grant();
    const free = holdAttributes();
    const ask = (nodeid: number): number => {
      kernel.send('GETATTR', { nodeid });
      return kernel.lastUnique;
    };
    const [ofFolder, ofOther] = [ask(folder), ask(other)];
    kernel.create('file', folder);
    await free();
    t.is(keptOf(kernel, ofFolder), 0);
    t.is(keptOf(kernel, ofOther), KEPT_MS);
    t.is(keptOf(kernel, ask(folder)), KEPT_MS);
  });
});

test('attributes that were asked for while this mount changed them are not kept', async (t) => {
  await withShared(async ({ kernel, lease, holdAttributes }) => {
    const folder = mkdir(kernel, 'folder');
    lease.grant();
    const free = holdAttributes();
    // Setting a mode asks for the record first, and waits.
    const times = { atime: 0, mtime: 0, ctime: 0, atimensec: 0, mtimensec: 0, ctimensec: 0 };
    const others = { fh: 0, size: 0, lock_owner: { low: 0, high: 0 }, uid: 0, gid: 0 };
    const input = { ...times, ...others, valid: SetattrValid.MODE, mode: 0o700 };
    kernel.send('SETATTR', { nodeid: folder, input });
    kernel.send('GETATTR', { nodeid: folder });
    const asked = kernel.lastUnique;
    await free();
    t.is(keptOf(kernel, asked), 0);
  });
});

test('nothing is kept that was asked for while names went', async (t) => {
  await withShared(async ({ kernel, lease, holdAttributes }) => {
    const folder = mkdir(kernel, 'folder');
    mkdir(kernel, 'gone');
    lease.grant();
    const free = holdAttributes();
    kernel.send('GETATTR', { nodeid: folder });
    const asked = kernel.lastUnique;
    t.is(kernel.call('RMDIR', { names: ['gone'] }).errno, 0);
    await free();
    t.is(keptOf(kernel, asked), 0);
  });
});

test('size and times of a file that block 0 decides on are not kept, its name is', async (t) => {
  await withShared(({ kernel, lease }) => {
    kernel.create('file');
    lease.grant();
    const found = kernel.lookup('file');
    t.deepEqual([entryMs(found), attributesMs(found)], [KEPT_MS, 0]);
  });
});

test('attributes that were told before they were asked for are not kept', async (t) => {
  await withShared(({ kernel, lease }) => {
    const folder = mkdir(kernel, 'folder');
    lease.grant();
    kernel.lookup('folder');
    kernel.send('GETATTR', { nodeid: folder });
    t.is(keptOf(kernel, kernel.lastUnique), 0);
    kernel.send('GETATTR', { nodeid: folder });
    t.is(keptOf(kernel, kernel.lastUnique), KEPT_MS);
  });
});
