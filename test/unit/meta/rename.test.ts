import test from 'ava';
import { ManualClock } from '../../../src/clock.ts';
import { type EntrySequence, ROOT_INODE } from '../../../src/ids.ts';
import { at, mkdir, namesIn, openStore, outcome, touch } from './helpers.ts';

const EXCHANGE = { exchange: true };

test('a rename gives the inode its new name and a new place in the listing', async (t) => {
  const clock = new ManualClock();
  const store = await openStore(t, { clock });
  const file = touch(store, 'a');
  touch(store, 'b');
  clock.advance(10);
  t.is(store.rename(at('a'), at('c')), undefined);
  t.deepEqual(namesIn(store), ['b', 'c']);
  t.is(store.lookup(ROOT_INODE, Buffer.from('c')).inode, file);
  t.deepEqual(store.inode(file).ctime, clock.now());
  t.deepEqual(store.inode(ROOT_INODE).mtime, clock.now());
});

test('a directory that moves changes its parent and the link counts of both', async (t) => {
  const clock = new ManualClock();
  const store = await openStore(t, { clock });
  const one = mkdir(store, 'one');
  const two = mkdir(store, 'two');
  const moved = mkdir(store, 'd', one);
  clock.advance(10);
  store.rename(at('d', one), at('e', two));
  t.is(store.inode(moved).parent, two);
  t.like(store.inode(one), { nlink: 2, mtime: clock.now(), ctime: clock.now() });
  t.like(store.inode(two), { nlink: 3, mtime: clock.now(), ctime: clock.now() });
});

test('a file that is replaced loses a name', async (t) => {
  const store = await openStore(t);
  const lost = touch(store, 'b');
  const kept = touch(store, 'a');
  t.like(store.rename(at('a'), at('b'))?.record, { inode: lost, nlink: 0 });
  t.deepEqual(namesIn(store), ['b']);
  t.is(store.lookup(ROOT_INODE, Buffer.from('b')).inode, kept);
  t.is(store.inodeCount(), 3);
});

test('an empty directory that is replaced becomes an orphan', async (t) => {
  const store = await openStore(t);
  mkdir(store, 'a');
  const lost = mkdir(store, 'b');
  t.like(store.rename(at('a'), at('b'))?.record, { inode: lost, nlink: 0 });
  t.is(store.inode(ROOT_INODE).nlink, 3);
});

test('what cannot be replaced is refused', async (t) => {
  const store = await openStore(t);
  touch(store, 'f');
  mkdir(store, 'empty');
  const full = mkdir(store, 'full');
  touch(store, 'g', full);
  t.is(
    outcome(() => store.rename(at('empty'), at('full'))),
    'ENOTEMPTY',
  );
  t.is(
    outcome(() => store.rename(at('f'), at('empty'))),
    'EISDIR',
  );
  t.is(
    outcome(() => store.rename(at('empty'), at('f'))),
    'ENOTDIR',
  );
  t.is(
    outcome(() => store.rename(at('g', full), at('full'))),
    'EISDIR',
  );
  t.is(
    outcome(() => store.rename(at('x'), at('f'))),
    'ENOENT',
  );
  t.is(
    outcome(() => store.rename(at('f'), at('empty'), { noReplace: true })),
    'EEXIST',
  );
  t.is(
    outcome(() => store.rename(at('f'), at('new'), { noReplace: true })),
    'OK',
  );
  t.is(
    outcome(() => store.rename(at('new'), at('y'), EXCHANGE)),
    'ENOENT',
  );
  t.is(
    outcome(() => store.rename(at('new'), at('full'), { exchange: true, noReplace: true })),
    'EINVAL',
  );
});

test('a directory cannot move below itself', async (t) => {
  const store = await openStore(t);
  const a = mkdir(store, 'a');
  const b = mkdir(store, 'b', a);
  const c = mkdir(store, 'c', b);
  touch(store, 'f', c);
  t.is(
    outcome(() => store.rename(at('a'), at('x', a))),
    'EINVAL',
  );
  t.is(
    outcome(() => store.rename(at('a'), at('x', c))),
    'EINVAL',
  );
  t.is(
    outcome(() => store.rename(at('f', c), at('a'), EXCHANGE)),
    'EINVAL',
  );
  t.is(
    outcome(() => store.rename(at('c', b), at('a'))),
    'ENOTEMPTY',
  );
});

test('between two names of one file nothing happens', async (t) => {
  const clock = new ManualClock();
  const store = await openStore(t, { clock });
  const file = touch(store, 'a');
  store.link(file, at('b'));
  const before = store.inode(file);
  clock.advance(10);
  t.is(store.rename(at('a'), at('b')), undefined);
  t.is(store.rename(at('a'), at('a')), undefined);
  t.is(store.rename(at('a'), at('b'), EXCHANGE), undefined);
  t.deepEqual(namesIn(store), ['a', 'b']);
  t.deepEqual(store.inode(file), before);
});

test('a name that is replaced keeps its place, so that a listing under way still finds it', async (t) => {
  const store = await openStore(t);
  for (const name of ['first', 'config', 'last']) touch(store, name);
  const other = mkdir(store, 'other');
  const page = { after: 0 as EntrySequence, upTo: undefined, limit: 10, withRecords: false };
  const { upTo } = store.list(ROOT_INODE, page);
  touch(store, 'config.new');
  store.rename(at('config.new'), at('config'));
  touch(store, 'x', other);
  store.rename(at('x', other), at('first'));
  const seen = store.list(ROOT_INODE, { ...page, upTo }).entries.map(({ name }) => name.toString());
  t.deepEqual(seen, ['first', 'config', 'last', 'other']);
  t.deepEqual(namesIn(store, other), []);
  t.is(store.inode(ROOT_INODE).sizeBytes, 20 * 6);
});

test('an exchange swaps a file and a directory, and keeps both places in the listings', async (t) => {
  const store = await openStore(t);
  const one = mkdir(store, 'one');
  const file = touch(store, 'f', one);
  touch(store, 'g', one);
  const directory = mkdir(store, 'd');
  touch(store, 'inner', directory);
  t.is(store.rename(at('f', one), at('d'), EXCHANGE), undefined);
  t.is(store.lookup(one, Buffer.from('f')).inode, directory);
  t.is(store.lookup(ROOT_INODE, Buffer.from('d')).inode, file);
  t.deepEqual(namesIn(store, one), ['f', 'g']);
  t.like(store.inode(directory), { parent: one, nlink: 2 });
  t.is(store.inode(one).nlink, 3);
  t.is(store.inode(ROOT_INODE).nlink, 3);
  t.is(store.inode(touch(store, 'x', directory)).uri, 'imss://one/f/x');
});
