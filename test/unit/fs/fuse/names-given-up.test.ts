/** Which requests wait for which changes of names that nobody waits for any more. */
import test from 'ava';
import type { OperationName } from '../../../../src/fs/fuse/abi.ts';
import {
  type NameInNode,
  namesChangedBy,
  NamesGivenUp,
} from '../../../../src/fs/fuse/names-given-up.ts';
import type { Request } from '../../../../src/fs/fuse/request.ts';

interface Words {
  nodeid?: number;
  names?: readonly string[];
  newdir?: number;
  flags?: number;
  unique?: number;
}

const NOREPLACE = 1;
const EXCHANGE = 2;
const LONG_MS = 60_000;

/** As much of a request as is looked at. */
function request(op: OperationName, words: Words = {}): Request {
  const { nodeid = 7, names = ['name'], newdir = 7, flags = 0, unique = 2 } = words;
  return {
    op,
    header: { nodeid, uniqueKey: unique },
    input: { newdir, flags },
    names: names.map((name) => Buffer.from(name)),
  } as unknown as Request;
}

/** Whether `later` has to wait once `first` was given up. */
function waits(first: Request, later: Request): boolean {
  const givenUp = new NamesGivenUp(LONG_MS);
  givenUp.add(first);
  const before = givenUp.before(later);
  givenUp.clear();
  return before !== undefined;
}

/** Whether `promise` has resolved by now. */
async function isOver(promise: Promise<unknown> | undefined): Promise<boolean> {
  const late = Symbol('late');
  const turn = new Promise((resolve) => setImmediate(resolve, late));
  return (await Promise.race([promise, turn])) !== late;
}

const RENAMED = { names: ['name', 'other'], newdir: 8 };
const ONE_NAME = ['CREATE', 'LINK', 'MKDIR', 'MKNOD', 'RMDIR', 'SYMLINK', 'UNLINK'] as const;

test('who uses a name waits for what has changed that very name', (t) => {
  for (const given of ONE_NAME) {
    for (const later of [...ONE_NAME, 'LOOKUP'] as const) {
      t.true(waits(request(given), request(later)), `${later} after ${given}`);
      if (later === 'RMDIR') continue;
      const elsewhere = request(later, { nodeid: 8 });
      t.false(waits(request(given), elsewhere), `${later} elsewhere after ${given}`);
      const another = request(later, { names: ['name2'] });
      t.false(waits(request(given), another), `${later} of another name after ${given}`);
    }
  }
});

test('a rename changes and uses both of its names', (t) => {
  for (const op of ['RENAME', 'RENAME2'] as const) {
    const renamed = request(op, { ...RENAMED, flags: op === 'RENAME2' ? EXCHANGE : 0 });
    const [first, second] = [request('LOOKUP'), request('LOOKUP', { nodeid: 8, names: ['other'] })];
    for (const each of [first, second]) t.true(waits(renamed, each), op);
    t.false(waits(renamed, request('LOOKUP', { nodeid: 8 })), op);
    const made = [request('MKDIR'), request('MKDIR', { nodeid: 8, names: ['other'] })];
    for (const each of made) t.true(waits(each, renamed), op);
  }
});

test('who lists a folder waits for all that has changed names in it', (t) => {
  for (const later of ['OPENDIR', 'READDIR', 'READDIRPLUS'] as const) {
    const list = (nodeid: number): Request => request(later, { nodeid, names: [] });
    t.true(waits(request('CREATE'), list(7)));
    t.true(waits(request('RENAME', RENAMED), list(7)));
    t.true(waits(request('RENAME', RENAMED), list(8)));
    t.false(waits(request('CREATE'), list(8)));
  }
});

test('what wants an empty folder waits for changes in any folder', (t) => {
  const created = request('CREATE', { nodeid: 99, names: ['child'] });
  t.true(waits(created, request('RMDIR')));
  t.true(waits(created, request('RENAME', RENAMED)));
  t.true(waits(created, request('RENAME2', RENAMED)));
  for (const flags of [NOREPLACE, EXCHANGE]) {
    t.false(waits(created, request('RENAME2', { ...RENAMED, flags })));
  }
});

test('what has nothing to do with names neither waits nor is waited for', (t) => {
  const others = ['GETATTR', 'SETATTR', 'READ', 'WRITE', 'OPEN', 'RELEASE', 'TMPFILE'] as const;
  for (const op of others) {
    t.false(waits(request('CREATE'), request(op)), op);
    t.false(waits(request(op), request('RMDIR')), op);
    t.deepEqual(namesChangedBy(request(op)), []);
  }
  t.false(waits(request('LOOKUP'), request('LOOKUP')));
  const unknown = { ...request('CREATE'), op: 'UNKNOWN' } as Request;
  t.false(waits(request('CREATE'), unknown));
  t.false(waits(unknown, request('RMDIR')));
});

test('the names that change are told with their folders', (t) => {
  const told = (of: Request): string[] =>
    namesChangedBy(of).map(({ parent, name }: NameInNode) => `${parent}/${name.toString()}`);
  t.deepEqual(told(request('SYMLINK', { names: ['link', 'target'] })), ['7/link']);
  t.deepEqual(told(request('RENAME', RENAMED)), ['7/name', '8/other']);
});

test('the waiting ends with the last of what it waits for, and later ones do not prolong it', async (t) => {
  const givenUp = new NamesGivenUp(LONG_MS);
  const changes = [2, 4, 6].map((unique) => request('CREATE', { unique }));
  const [first, second, third] = changes as [Request, Request, Request];
  givenUp.add(first);
  givenUp.add(second);
  const before = givenUp.before(request('LOOKUP', { unique: 8 }));
  givenUp.add(third);
  givenUp.end(first);
  t.false(await isOver(before));
  givenUp.end(second);
  t.true(await isOver(before));
  t.not(givenUp.before(request('LOOKUP', { unique: 10 })), undefined);
  givenUp.end(third);
  t.is(givenUp.before(request('LOOKUP', { unique: 10 })), undefined);
});

test('what does not come to its end is waited for so long, and no more', async (t) => {
  const givenUp = new NamesGivenUp(5);
  givenUp.add(request('CREATE'));
  const keepsAwake = setTimeout(() => undefined, LONG_MS);
  await givenUp.before(request('LOOKUP', { unique: 4 }));
  clearTimeout(keepsAwake);
  t.is(givenUp.before(request('LOOKUP', { unique: 6 })), undefined);
});
