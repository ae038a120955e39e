import test from 'ava';
import { layoutField } from '../../../src/fs/layout-xattrs.ts';
import { type InodeId, ROOT_INODE } from '../../../src/ids.ts';
import { FileType } from '../../../src/stat.ts';
import { runSync, type Task } from '../../../src/task.ts';
import { withStores } from '../../support/stores.ts';

const POLICY = Buffer.from('user.imss.policy');
const BLOCK_SIZE = Buffer.from('user.imss.block_size');
const REPLICATION = Buffer.from('user.imss.replication');
const OWNER = { uid: 1, gid: 2 };
const FILE = { mode: FileType.REGULAR | 0o644, ...OWNER };
const FOLDER = { mode: FileType.DIRECTORY | 0o755, ...OWNER };

const named = (name: string, parent = ROOT_INODE): { parent: InodeId; name: Buffer } => ({
  parent,
  name: Buffer.from(name),
});

function code(task: Task<unknown>): string {
  try {
    runSync(task);
    return 'ok';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

test('no other name stands for a part of a layout', (t) => {
  for (const name of ['user.imss.other', 'user.policy', 'toString', 'user.imss.policy ']) {
    t.is(layoutField(Buffer.from(name)), undefined);
  }
});

for (const [name, value, parsed] of [
  [POLICY, 'hash', { policy: 'HASH' }],
  [POLICY, 'LOCAL\0', { policy: 'LOCAL' }],
  [POLICY, 'nothing', 'EINVAL'],
  [BLOCK_SIZE, '65536', { blockSizeBytes: 65_536 }],
  [BLOCK_SIZE, '4095', 'EINVAL'],
  [BLOCK_SIZE, '1073741825', 'EINVAL'],
  [BLOCK_SIZE, 'x'.repeat(33), 'EINVAL'],
  [REPLICATION, '3', { replication: 3 }],
  [REPLICATION, '0', 'EINVAL'],
  [REPLICATION, '4', 'EINVAL'],
  [REPLICATION, '1.5', 'EINVAL'],
] as const) {
  test(`${name.toString()} of ${JSON.stringify(value)} means ${JSON.stringify(parsed)}`, (t) => {
    const parse = (): unknown => layoutField(name)?.parse(Buffer.from(value));
    if (parsed === 'EINVAL') t.throws(parse, { message: /EINVAL/ });
    else t.deepEqual(parse(), parsed);
  });
}

test('a directory hands its layout on; a file keeps its own once it has data', async (t) => {
  await withStores({}, ({ vfs }) => {
    const { inode: folder } = runSync(vfs.make(named('folder'), FOLDER));
    t.is(code(vfs.xattrs.set(folder, BLOCK_SIZE, Buffer.from('8192'), 'either')), 'ok');
    const mode = { exclusive: true, write: true, truncate: false };
    const { inode, handle } = runSync(vfs.create(named('file', folder), FILE, mode));
    t.is(runSync(vfs.xattrs.get(inode, BLOCK_SIZE)).toString(), '8192');
    t.is(code(vfs.xattrs.set(inode, POLICY, Buffer.from('CRC16'), 'replace')), 'ok');
    t.is(runSync(vfs.xattrs.get(inode, POLICY)).toString(), 'CRC16');
    t.is(code(vfs.xattrs.set(inode, POLICY, Buffer.from('RR'), 'create')), 'EEXIST');
    t.is(code(vfs.xattrs.remove(inode, POLICY)), 'EPERM');
    t.is(runSync(vfs.xattrs.list(inode, { uid: 0 })).length, 0);
    const payload = { bytes: Buffer.from('data') };
    runSync(vfs.write(handle, { offset: 0, append: false, payload, dropPrivilegeBits: false }));
    runSync(vfs.release(handle));
    t.is(code(vfs.xattrs.set(inode, POLICY, Buffer.from('RR'), 'either')), 'EEXIST');
  });
});
