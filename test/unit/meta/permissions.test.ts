/** ACLs and mode bits in a store: what a change of one does to the other, and what new inodes have of their directory. */
import test from 'ava';
import type { InodeId } from '../../../src/ids.ts';
import { type AclEntry, type AclKind, AclTag, encodeAcl, NO_ID } from '../../../src/meta/acl.ts';
import { LocalMetaStore } from '../../../src/meta/local.ts';
import { FileType } from '../../../src/stat.ts';
import {
  at,
  DIRECTORY,
  FILE,
  mkdir,
  openStore,
  optionsFor,
  outcome,
  temporaryFolder,
  touch,
} from './helpers.ts';

function entry(tag: AclTag, permissions: number, id = NO_ID): AclEntry {
  return { tag, permissions, id };
}

/** Owner, user 1000 (always 7), group, mask, others. */
function list(owner: number, group: number, mask: number, others: number): Buffer {
  return encodeAcl([
    entry(AclTag.OWNER, owner),
    entry(AclTag.USER, 7, 1000),
    entry(AclTag.GROUP, group),
    entry(AclTag.MASK, mask),
    entry(AclTag.OTHERS, others),
  ]);
}

const MINIMAL = encodeAcl([
  entry(AclTag.OWNER, 6),
  entry(AclTag.GROUP, 4),
  entry(AclTag.OTHERS, 0),
]);

function set(store: LocalMetaStore, inode: InodeId, kind: AclKind, value?: Buffer): void {
  store.setAttributes(inode, { acl: { kind, value } });
}

test('an access ACL sets the mode, and a chmod its mask', async (t) => {
  const store = await openStore(t);
  const inode = touch(store, 'f');
  store.setAttributes(inode, { permissions: 0o4644 });
  set(store, inode, 'access', list(6, 4, 5, 0));
  t.like(store.inode(inode), { mode: FileType.REGULAR | 0o4650, acls: { access: list(6, 4, 5, 0) } }); // prettier-ignore
  store.setAttributes(inode, { permissions: 0o622 });
  t.like(store.inode(inode), { mode: FileType.REGULAR | 0o622, acls: { access: list(6, 4, 2, 2) } }); // prettier-ignore
});

test('an access ACL that the mode expresses is not kept', async (t) => {
  const store = await openStore(t);
  const inode = touch(store, 'f');
  set(store, inode, 'access', list(7, 7, 7, 7));
  set(store, inode, 'access', MINIMAL);
  t.is(store.inode(inode).mode, FileType.REGULAR | 0o640);
  t.is(store.inode(inode).acls, undefined);
});

test('ACLs are removed one by one, and the mode stays', async (t) => {
  const store = await openStore(t);
  const inode = mkdir(store, 'd');
  set(store, inode, 'access', list(7, 5, 5, 0));
  set(store, inode, 'default', list(7, 7, 7, 7));
  set(store, inode, 'access');
  t.like(store.inode(inode), { mode: FileType.DIRECTORY | 0o750, acls: { default: list(7, 7, 7, 7) } }); // prettier-ignore
  // A list without entries is none.
  set(store, inode, 'default', encodeAcl([]));
  t.is(store.inode(inode).acls, undefined);
  set(store, inode, 'default');
  t.is(store.inode(inode).acls, undefined);
});

test('set-gid goes if who sets an access ACL may not keep it, with a default ACL it stays', async (t) => {
  const store = await openStore(t);
  const inode = mkdir(store, 'd');
  store.setAttributes(inode, { permissions: 0o2755 });
  store.setAttributes(inode, { acl: { kind: 'default', value: list(7, 7, 7, 7), dropSetGid: true } }); // prettier-ignore
  t.is(store.inode(inode).mode, FileType.DIRECTORY | 0o2755);
  store.setAttributes(inode, { acl: { kind: 'access', value: MINIMAL, dropSetGid: true } });
  t.is(store.inode(inode).mode, FileType.DIRECTORY | 0o640);
});

test('an ACL that is refused changes nothing', async (t) => {
  const store = await openStore(t);
  const [file, directory] = [touch(store, 'f'), mkdir(store, 'd')];
  const symlink = store.create(at('s'), { mode: FileType.SYMLINK | 0o777, uid: 1, gid: 2, target: Buffer.from('x') }).inode; // prettier-ignore
  const before = [file, directory, symlink].map((inode) => store.inode(inode));
  const setting = (inode: InodeId, kind: AclKind, value?: Buffer) =>
    outcome(() => {
      set(store, inode, kind, value);
    });
  t.is(setting(file, 'default', MINIMAL), 'EACCES');
  t.is(setting(symlink, 'access', MINIMAL), 'EOPNOTSUPP');
  t.is(setting(directory, 'access', Buffer.from('nonsense')), 'EINVAL');
  t.is(setting(directory, 'default', encodeAcl([entry(AclTag.OWNER, 7)])), 'EINVAL');
  t.is(setting(directory, 'access', Buffer.alloc(4097)), 'E2BIG');
  t.deepEqual([file, directory, symlink].map((inode) => store.inode(inode)), before); // prettier-ignore
  // There is nothing to remove, which is no failure.
  t.is(setting(file, 'default'), 'OK');
});

test('a directory with a default ACL hands it on instead of the umask', async (t) => {
  const store = await openStore(t);
  const parent = mkdir(store, 'd');
  set(store, parent, 'default', list(7, 5, 7, 5));
  const make = (name: string, mode: number) =>
    store.create(at(name, parent), { mode, umask: 0o077, uid: 1, gid: 2 });
  t.like(make('f', FileType.REGULAR | 0o666), { mode: FileType.REGULAR | 0o664, acls: { access: list(6, 5, 6, 4), default: undefined } }); // prettier-ignore
  t.like(make('p', FileType.FIFO | 0o600), { mode: FileType.FIFO | 0o600, acls: { access: list(6, 5, 0, 0) } }); // prettier-ignore
  t.like(make('e', FileType.DIRECTORY | 0o777), { mode: FileType.DIRECTORY | 0o775, acls: { access: list(7, 5, 7, 5), default: list(7, 5, 7, 5) } }); // prettier-ignore
  const link = store.create(at('l', parent), { mode: FileType.SYMLINK | 0o777, uid: 1, gid: 2, target: Buffer.from('x') }); // prettier-ignore
  t.like(link, { mode: FileType.SYMLINK | 0o777, acls: undefined });
});

test('a default ACL of three entries is handed on as mode bits', async (t) => {
  const store = await openStore(t);
  const parent = mkdir(store, 'd');
  set(store, parent, 'default', MINIMAL);
  const file = store.create(at('f', parent), { ...FILE, umask: 0o777 });
  t.like(file, { mode: FileType.REGULAR | 0o640, acls: undefined });
  t.deepEqual(store.create(at('e', parent), DIRECTORY).acls, { default: MINIMAL });
});

test('without a default ACL the umask is taken from the mode, set-gid from the directory', async (t) => {
  const store = await openStore(t);
  const parent = mkdir(store, 'd');
  const file = store.create(at('f', parent), { ...FILE, mode: FileType.REGULAR | 0o6777, umask: 0o027 }); // prettier-ignore
  t.is(file.mode, FileType.REGULAR | 0o6750);
  store.setAttributes(parent, { permissions: 0o2777 });
  set(store, parent, 'default', list(7, 7, 7, 0));
  t.like(store.create(at('e', parent), { ...DIRECTORY, mode: FileType.DIRECTORY | 0o777, umask: 0o777 }), { mode: FileType.DIRECTORY | 0o2770, gid: 2 }); // prettier-ignore
});

test('ACLs are still there when the store is opened again', async (t) => {
  const options = optionsFor({ path: `${temporaryFolder(t)}/metadata` });
  const first = await LocalMetaStore.open(options);
  const inode = mkdir(first, 'd');
  set(first, inode, 'access', list(7, 5, 5, 0));
  set(first, inode, 'default', list(7, 7, 7, 7));
  const before = first.inode(inode);
  await first.close();
  const second = await LocalMetaStore.open(options);
  t.deepEqual(second.inode(inode), before);
  await second.close();
});
