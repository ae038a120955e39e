import test from 'ava';
import { ROOT_INODE } from '../../../src/ids.ts';
import { SessionExpiredError } from '../../../src/meta/exactly-once.ts';
import type { RequestTag } from '../../../src/meta/store.ts';
import { FileType } from '../../../src/stat.ts';
import { at, FILE, namesIn, openStore, outcome, temporaryFolder } from './helpers.ts';

const tagOf = (session: number, sequence: number, acknowledgedBelow = 0): RequestTag => ({
  session,
  sequence,
  acknowledgedBelow,
});

test('a retry gets the first reply and runs nothing', async (t) => {
  const store = await openStore(t);
  const session = store.openSession();
  const made = store.create(at('f'), FILE, 'none', tagOf(session, 1));
  t.deepEqual(store.create(at('f'), FILE, 'none', tagOf(session, 1)), made);
  t.deepEqual(namesIn(store), ['f']);
  t.is(store.inodeCount(), 2);
  const gone = store.unlink(at('f'), tagOf(session, 2));
  t.deepEqual(store.unlink(at('f'), tagOf(session, 2)), gone);
});

test('every kind of reply comes back as it was', async (t) => {
  const store = await openStore(t);
  const session = store.openSession();
  const link = { mode: FileType.SYMLINK | 0o777, uid: 1, gid: 1, target: Buffer.from('t') };
  const made = store.create(at('s'), link, 'none', tagOf(session, 1));
  t.deepEqual(store.create(at('s'), link, 'none', tagOf(session, 1)), made);
  t.is(store.rename(at('s'), at('r'), {}, tagOf(session, 2)), undefined);
  t.is(store.rename(at('s'), at('r'), {}, tagOf(session, 2)), undefined);
  const changed = store.setAttributes(ROOT_INODE, { uid: 5 }, tagOf(session, 3));
  t.deepEqual(store.setAttributes(ROOT_INODE, { uid: 5 }, tagOf(session, 3)), changed);
});

test('a failure is recorded too: the retry fails alike, though it would succeed by now', async (t) => {
  const store = await openStore(t);
  const session = store.openSession();
  t.is(
    outcome(() => store.unlink(at('f'), tagOf(session, 1))),
    'ENOENT',
  );
  store.create(at('f'), FILE, 'none', tagOf(session, 2));
  t.is(
    outcome(() => store.unlink(at('f'), tagOf(session, 1))),
    'ENOENT',
  );
  t.deepEqual(namesIn(store), ['f']);
  const first = t.throws(() => store.create(at('a/b'), FILE, 'none', tagOf(session, 3)));
  const second = t.throws(() => store.create(at('a/b'), FILE, 'none', tagOf(session, 3)));
  t.is(second.message, first.message);
});

test('an acknowledged reply is forgotten, and its request refused', async (t) => {
  const store = await openStore(t);
  const session = store.openSession();
  for (let sequence = 1; sequence <= 3; sequence++) {
    store.create(at(`f${sequence}`), FILE, 'none', tagOf(session, sequence, sequence - 1));
  }
  const late = (): unknown => store.create(at('f1'), FILE, 'none', tagOf(session, 1));
  t.is(t.throws(late, { instanceOf: SessionExpiredError }).code, 'ESTALE');
  t.is(store.create(at('f2'), FILE, 'none', tagOf(session, 2)).uri, 'imss://f2');
});

test('a request of an expired or unknown session is never run', async (t) => {
  const store = await openStore(t);
  const session = store.openSession();
  store.create(at('f'), FILE, 'none', tagOf(session, 1));
  store.expireSession(session);
  for (const tag of [tagOf(session, 1), tagOf(session, 2), tagOf(session + 1, 1)]) {
    t.throws(() => store.create(at('g'), FILE, 'none', tag), { instanceOf: SessionExpiredError });
  }
  t.deepEqual(namesIn(store), ['f']);
  t.not(store.openSession(), session);
});

test('replies and sessions outlive the process', async (t) => {
  const path = `${temporaryFolder(t)}/meta`;
  const first = await openStore(t, { path });
  const session = first.openSession();
  const made = first.create(at('f'), FILE, 'none', tagOf(session, 1));
  await first.close();
  const second = await openStore(t, { path });
  t.deepEqual(second.create(at('f'), FILE, 'none', tagOf(session, 1)), made);
  t.deepEqual(namesIn(second), ['f']);
  t.true(second.openSession() > session);
});
