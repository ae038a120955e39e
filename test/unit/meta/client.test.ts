import test from 'ava';
import { FsError } from '../../../src/errno.ts';
import { type InodeId, ROOT_INODE } from '../../../src/ids.ts';
import { type PeerHooks, RemoteMetaStore } from '../../../src/meta/client.ts';
import { SessionExpiredError } from '../../../src/meta/exactly-once.ts';
import type { InSession } from '../../../src/meta/protocol.ts';
import type { Call } from '../../../src/net/call.ts';
import { at, FILE } from './helpers.ts';

interface Sent {
  name: string;
  request: unknown;
}

/** A peer and a server of one kind: answers what the test says, and remembers what it was asked. */
class FakePeer {
  readonly sent: Sent[] = [];
  readonly store: RemoteMetaStore;
  state: 'ready' | 'away' = 'away';
  session = 5;
  /** What the server says of the session. */
  isNew = true;
  /** The sessions that are refused. */
  readonly lapsed = new Set<number>();
  /** Inodes that are gone when they are to be opened again. */
  readonly gone = new Set<number>();
  /** What becomes of the next call before its answer. */
  before: (() => Promise<void>) | undefined;
  #hooks: PeerHooks | undefined;

  constructor() {
    this.store = new RemoteMetaStore((hooks) => {
      this.#hooks = hooks;
      return this;
    });
  }

  readonly call: Call = async (operation, request) => {
    if (this.state === 'away') await this.connect();
    this.sent.push({ name: operation.name, request });
    const { before } = this;
    this.before = undefined;
    await before?.();
    return { value: this.#answer(operation.name, request) as never, payload: undefined };
  };

  async connect(): Promise<void> {
    await this.#hooks?.onConnect(async (operation, request) => {
      this.sent.push({ name: operation.name, request });
      return Promise.resolve({
        value: this.#answer(operation.name, request) as never,
        payload: undefined,
      });
    });
    this.state = 'ready';
  }

  #answer(name: string, request: unknown): unknown {
    if (name === 'openSession') return { session: this.session, isNew: this.isNew };
    const { session, request: args } = request as InSession<unknown>;
    if (this.lapsed.has(session)) throw new SessionExpiredError(`session ${session}`);
    if (name === 'reopen')
      return (args as [number, number][]).map(([inode]) => !this.gone.has(inode));
    if (name === 'syncLocks') return (args as unknown[]).map(() => true);
    if (name === 'lock') return 'granted';
    if (name === 'inode') throw new FsError('ESTALE');
    return name === 'create' ? { inode: 7 as InodeId, nlink: 1 } : { inode: 7, nlink: 0 };
  }

  /** The server gives the client up. */
  lapse(): void {
    this.lapsed.add(this.session);
    this.session++;
  }

  names(): string[] {
    return this.sent.map(({ name }) => name);
  }
}

test('the session begins with the first connection, before anything else is asked', async (t) => {
  const peer = new FakePeer();
  await peer.store.create(at('f'), FILE);
  t.deepEqual(
    peer.names().filter((name) => name !== 'openSession'),
    ['create'],
  );
  t.is(peer.names()[0], 'openSession');
  t.is((peer.sent.at(-1)?.request as InSession<unknown>).session, 5);
});

test('a request refused on the only connection that it was sent on is repeated in a new session', async (t) => {
  const peer = new FakePeer();
  await peer.store.create(at('f'), FILE, 'write');
  peer.lapse();
  peer.sent.length = 0;
  await peer.store.unlink(at('f'));
  t.deepEqual(peer.names(), ['unlink', 'openSession', 'reopen', 'syncLocks', 'unlink']);
  t.deepEqual(
    peer.sent.filter(({ name }) => name === 'reopen').map(({ request }) => request),
    [{ session: 6, request: [[7, 3]] }],
  );
});

test('a request that may have been run before its session ended fails with EIO, unless it may be repeated', async (t) => {
  const peer = new FakePeer();
  await peer.store.create(at('f'), FILE, 'write');
  const reconnect = async (): Promise<void> => {
    peer.lapse();
    await peer.connect();
  };
  peer.before = reconnect;
  await t.throwsAsync(async () => peer.store.unlink(at('f')), { instanceOf: FsError, code: 'EIO' });
  peer.before = reconnect;
  await t.notThrowsAsync(async () => peer.store.closeInode(7 as InodeId, 'none'));
  t.deepEqual(peer.names().slice(-3), ['openSession', 'syncLocks', 'close']);
});

test('locks are told anew in the same session, and lost with it: others may have had them meanwhile', async (t) => {
  const peer = new FakePeer();
  const inode = 7 as InodeId;
  const owner = { kind: 'posix', low: 1, high: 0 } as const;
  const lock = { start: 0, end: 9, type: 'write', process: { pid: 1, place: 1 } } as const;
  const take = (): Promise<void> =>
    peer.store.locks.lock(inode, owner, { lock, waits: false }).granted;
  await take();
  await peer.connect();
  t.deepEqual(peer.sent.at(-1), {
    name: 'syncLocks',
    request: { session: 5, request: [{ inode, owner, lock }] },
  });
  await t.notThrowsAsync(take());
  peer.lapse();
  await peer.connect();
  t.deepEqual(peer.sent.at(-1), { name: 'syncLocks', request: { session: 6, request: [] } });
  await t.throwsAsync(take(), { code: 'EIO' });
  await peer.store.locks.unlock(inode, owner, lock);
  await t.notThrowsAsync(take());
});

test('a server that knows the client from a session that it never heard of is told that it has no locks', async (t) => {
  const peer = new FakePeer();
  peer.isNew = false;
  await peer.connect();
  t.deepEqual(peer.sent.at(-1), { name: 'syncLocks', request: { session: 5, request: [] } });
});

test('what is closed or reaped is not opened again', async (t) => {
  const peer = new FakePeer();
  await peer.store.create(at('f'), FILE, 'write');
  await peer.store.unlink(at('f'));
  await peer.store.closeInode(7 as InodeId, 'none');
  peer.lapse();
  await peer.connect();
  t.deepEqual(peer.sent.at(-2)?.request, { session: 6, request: [[7, 4]] });
  await peer.store.reap(7 as InodeId);
  peer.lapse();
  await peer.connect();
  t.deepEqual(peer.names().slice(-2), ['openSession', 'syncLocks']);
});

test('what is gone when it is opened again fails with EIO until it is closed', async (t) => {
  const peer = new FakePeer();
  await peer.store.create(at('f'), FILE, 'read');
  const inode = 7 as InodeId;
  await t.throwsAsync(async () => peer.store.inode(inode), { code: 'ESTALE' });
  peer.gone.add(7);
  peer.lapse();
  await peer.connect();
  await t.throwsAsync(async () => peer.store.inode(inode), { code: 'EIO' });
  await t.throwsAsync(async () => peer.store.inode(ROOT_INODE), { code: 'ESTALE' });
  await peer.store.closeInode(inode, 'none');
  await t.throwsAsync(async () => peer.store.inode(inode), { code: 'ESTALE' });
});

test('orphans that are reaped in one turn go in one request', async (t) => {
  const peer = new FakePeer();
  await peer.store.ready();
  peer.sent.length = 0;
  const inodes = [7, 8, 9] as InodeId[];
  await Promise.all(inodes.map((inode) => peer.store.reap(inode)));
  t.deepEqual(peer.sent, [{ name: 'reap', request: { session: 5, request: inodes } }]);
});
