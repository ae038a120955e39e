/**
 * Generates scripts. Names come from a small pool, so that operations meet each other's files; what a shrunk script should
 * rather show stands first in each list of choices.
 */
import fc from 'fast-check';
import type { Features } from './features.ts';
import {
  type Action,
  type OpenFlag,
  type Operation,
  SLOT_COUNT,
  type TimeValue,
  WORKER_COUNT,
} from './operation.ts';

export interface GeneratorOptions {
  features: Features;
  /** Block size of the mount: offsets and sizes crowd around its multiples. */
  blockSizeBytes: number;
  /** Scripts have at most so many operations. */
  maxOperations: number;
}

/** Scripts. */
export function scripts(options: GeneratorOptions): fc.Arbitrary<Operation[]> {
  const step = fc.record({
    // One process often does several things before the next one's turn.
    worker: fc.oneof(
      { weight: 4, arbitrary: fc.constant('same' as const) },
      { weight: 1, arbitrary: fc.nat(WORKER_COUNT - 1) },
    ),
    isWatched: fc.oneof(
      { weight: 3, arbitrary: fc.constant(true) },
      { weight: 1, arbitrary: fc.constant(false) },
    ),
    action: actions(options),
  });
  const steps = fc.array(step, { minLength: 1, maxLength: options.maxOperations, size: 'max' });
  return fc.tuple(preludes(), steps).map(([prelude, following]) => {
    let current = 0;
    let hasForgotten = false;
    const script = following.map(({ worker, isWatched, action }): Operation => {
      if (worker !== 'same') current = worker;
      // What a look would bring back into the caches was forgotten in vain.
      const watched = isWatched && !hasForgotten ? {} : ({ watched: false } as const);
      hasForgotten = action.op === 'forgetNames';
      // Only the privileged process can, and it disturbs no other.
      return hasForgotten ? { worker: 0, ...action } : { worker: current, ...watched, ...action };
    });
    return [...prelude, ...script];
  });
}

/**
 * What most scripts begin with, in part and in any order: a few files, folders and descriptors, so that what follows
 * finds something to work on.
 */
function preludes(): fc.Arbitrary<Operation[]> {
  const folder = (path: string): Operation => ({ worker: 0, op: 'mkdir', path, mode: 0o777 });
  const file = (worker: number, slot: number, path: string): Operation => ({
    worker,
    op: 'open',
    slot,
    path,
    flags: ['O_RDWR', 'O_CREAT'],
    mode: 0o666,
  });
  const filled = (worker: number, slot: number): Operation => ({
    worker,
    op: 'write',
    slot,
    length: 10_000,
    fill: 0,
  });
  const umasks = Array.from({ length: WORKER_COUNT }, (_, worker): Operation => {
    return { worker, op: 'umask', mask: 0 };
  });
  const all = [
    ...umasks,
    ...['d', 'e', 'd/d'].map(folder),
    ...[file(0, 0, 'a'), filled(0, 0), file(0, 1, 'd/a'), file(0, 2, 'd/b')],
    ...[file(1, 0, 'a'), file(1, 1, 'b'), filled(1, 1), file(1, 2, 'e/a')],
    ...[file(2, 0, 'a'), file(2, 1, 'd/b'), filled(2, 1)],
    { worker: 2, op: 'open', slot: 2, path: 'd', flags: ['O_RDONLY', 'O_DIRECTORY'], mode: 0 },
    { worker: 2, op: 'symlink', path: 'e/b', target: '../a' },
  ] satisfies Operation[];
  return fc.oneof(
    { weight: 1, arbitrary: fc.subarray(all) },
    { weight: 2, arbitrary: fc.subarray(all, { minLength: all.length - 4 }) },
  );
}

type Weighted = fc.WeightedArbitrary<Action>;

function actions(options: GeneratorOptions): fc.Arbitrary<Action> {
  const { features } = options;
  const parts = makeParts(options);
  const choices: Weighted[] = [
    ...fileActions(parts, features),
    ...nameActions(parts, features),
    ...attributeActions(parts),
    ...(features.xattrs ? xattrActions(parts) : []),
    ...processActions(parts, features),
  ];
  return fc.oneof(...choices);
}

type Parts = ReturnType<typeof makeParts>;

function makeParts({ features, blockSizeBytes }: GeneratorOptions) {
  return {
    slot: fc.nat(SLOT_COUNT - 1),
    /** Where a directory is likely to be open. */
    folderSlot: fc.oneof(
      { weight: 6, arbitrary: fc.constant(SLOT_COUNT - 1) },
      { weight: 1, arbitrary: fc.nat(SLOT_COUNT - 1) },
    ),
    path: paths(features),
    filePath: paths(features, FILES),
    folderPath: paths(features, FOLDERS),
    /** Rarely, a path begins at an open directory. */
    at: fc.oneof(
      { weight: 30, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constant(SLOT_COUNT - 1) },
    ),
    mode: fc.oneof(
      { weight: 2, arbitrary: fc.constantFrom(0o644, 0o755, 0o777, 0o666) },
      { weight: 1, arbitrary: fc.constantFrom(...ODD_MODES) },
    ),
    fill: fc.nat(250),
    offset: offsets(blockSizeBytes),
    length: lengths(blockSizeBytes),
    follow: fc.boolean(),
    time: times(),
    owner: owners(),
  };
}

const FILES = ['a', 'b'];
const FOLDERS = ['d', 'e'];
const ODD_NAMES = ['.', '...', ' ', 'a\nb', '\xc3\xa4', 'x'.repeat(255), 'y'.repeat(256)];
const BYTE_NAMES = ['\xff\xfe', '\xff\xfd', '\xed\xa0\x80'];
const ODD_MODES = [0o600, 0o700, 0o444, 0, 0o4755, 0o2755, 0o2644, 0o6777, 0o1777, 0o2770, 0o7777];

function paths(
  features: Features,
  likely: readonly string[] = [...FILES, ...FOLDERS],
): fc.Arbitrary<string> {
  const odd = [...ODD_NAMES, ...BYTE_NAMES];
  const name = fc.oneof(
    { weight: 30, arbitrary: fc.constantFrom(...likely) },
    { weight: 4, arbitrary: fc.constantFrom(...FILES, ...FOLDERS) },
    { weight: 2, arbitrary: fc.constantFrom(...odd) },
  );
  const folder = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...FOLDERS) },
    { weight: 2, arbitrary: fc.constantFrom(...FILES) },
    // `..` may only lead out of the folder where that is the root.
    { weight: features.users ? 1 : 0, arbitrary: fc.constantFrom('..', 'd/..') },
  );
  const tuple = (...parts: fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
    fc.tuple(...parts).map((names) => names.join('/'));
  return fc.oneof(
    { weight: 14, arbitrary: name },
    { weight: 10, arbitrary: tuple(folder, name) },
    { weight: 3, arbitrary: tuple(folder, folder, name) },
    { weight: 1, arbitrary: name.map((path) => `${path}/`) },
    { weight: 1, arbitrary: fc.constantFrom('.', '') },
    { weight: features.users ? 1 : 0, arbitrary: name.map((path) => `/s/${path}`) },
  );
}

/** Numbers of bytes at, before and after the borders of blocks and pages, and small ones. */
function offsets(blockSizeBytes: number): fc.Arbitrary<number> {
  const block = blockSizeBytes;
  const large = [block - 1, block, block + 1, 2 * block, 2 * block + 7];
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(0, 1, 10, 100) },
    { weight: 3, arbitrary: fc.constantFrom(4096, 4095, 4097, 8192, 12_289) },
    { weight: 2, arbitrary: fc.nat(20_000) },
    { weight: block > 65_536 ? 1 : 3, arbitrary: fc.constantFrom(...large) },
  );
}

function lengths(blockSizeBytes: number): fc.Arbitrary<number> {
  const block = blockSizeBytes;
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(1, 0, 10, 100) },
    { weight: 3, arbitrary: fc.constantFrom(4096, 4095, 4097, 8192) },
    { weight: 2, arbitrary: fc.nat(10_000) },
    ...(block > 65_536
      ? [{ weight: 1, arbitrary: fc.constantFrom(70_000, 140_000, block, block + 1) }]
      : [{ weight: 2, arbitrary: fc.constantFrom(block, 2 * block, 2 * block + 1, 70_000) }]),
  );
}

/**
 * For chown(2), but never -1 for both: a FUSE file system cannot tell that from what the kernel sends before a write that
 * drops set-uid, nor who asked for it; so it keeps these bits, where other file systems drop them or answer EPERM.
 */
function owners(): fc.Arbitrary<{ uid: number; gid: number }> {
  return fc
    .record({
      uid: fc.constantFrom(0, 1001, 1002, -1),
      gid: fc.constantFrom(0, 1001, 2001, -1),
    })
    .map(({ uid, gid }) => (uid === -1 && gid === -1 ? { uid: -1, gid: 0 } : { uid, gid }));
}

/** Times far from now, so that they are told from those that the file system takes from its clock. */
function times(): fc.Arbitrary<TimeValue> {
  const seconds: TimeValue['seconds'][] = [1_000_000_000, 1, 0, 4_000_000_000, -1, 'now', 'omit'];
  return fc.record({
    seconds: fc.constantFrom(...seconds),
    nanoseconds: fc.constantFrom(0, 1, 999_999_999, 123_456_789),
  });
}

const NO_CREATE: readonly OpenFlag[] = ['O_TRUNC', 'O_APPEND', 'O_NOFOLLOW'];

function openFlags(features: Features): fc.Arbitrary<OpenFlag[]> {
  const access = fc.constantFrom<OpenFlag>('O_RDWR', 'O_RDONLY', 'O_WRONLY');
  const creation = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom<OpenFlag[]>(['O_CREAT'], []) },
    { weight: 1, arbitrary: fc.constantFrom<OpenFlag[]>(['O_CREAT', 'O_EXCL'], ['O_EXCL']) },
  );
  const more = fc.subarray([...NO_CREATE, ...(features.directIo ? ['O_DIRECT' as const] : [])]);
  const file = fc
    .tuple(access, creation, fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, more))
    .map(([first, second, third]) => [first, ...second, ...third]);
  const odd = fc.constantFrom<OpenFlag[]>(
    ['O_RDONLY', 'O_DIRECTORY'],
    ['O_RDWR', 'O_DIRECTORY'],
    ['O_RDONLY', 'O_DIRECTORY', 'O_CREAT'],
    ['O_PATH'],
    ['O_PATH', 'O_NOFOLLOW'],
  );
  return fc.oneof({ weight: 12, arbitrary: file }, { weight: 1, arbitrary: odd });
}

/** `op` with its arguments, `weight` times as likely as others. */
function choice<Op extends Action['op']>(
  weight: number,
  op: Op,
  fields: { [Key in keyof Omit<Extract<Action, { op: Op }>, 'op'>]: fc.Arbitrary<unknown> },
): Weighted {
  const record = fc.record({ op: fc.constant(op), ...fields });
  return {
    weight,
    // A field that is undefined is left out, so that scripts are the same before and after JSON.
    arbitrary: record.map((action) => {
      const entries = Object.entries<unknown>(action).filter(([, value]) => value !== undefined);
      return Object.fromEntries(entries) as unknown as Action;
    }),
  };
}

function fileActions(parts: Parts, features: Features): Weighted[] {
  const { slot, folderSlot, length, offset, fill, filePath, folderPath, path, at, mode } = parts;
  const fileSlot = fc.nat(SLOT_COUNT - 2);
  const asFolder = fc.constant<OpenFlag[]>(['O_RDONLY', 'O_DIRECTORY']);
  const flags = openFlags(features);
  const whence = fc.constantFrom('set', 'current', 'end');
  const seekTo = fc.oneof(offset, fc.constantFrom(-1, -10));
  return [
    choice(5, 'open', { slot: folderSlot, path: folderPath, flags: asFolder, mode, at }),
    choice(14, 'open', { slot: fileSlot, path: filePath, flags, mode, at }),
    choice(4, 'open', { slot, path, flags, mode, at }),
    choice(2, 'close', { slot }),
    choice(7, 'read', { slot, length }),
    choice(7, 'pread', { slot, length, offset }),
    choice(8, 'write', { slot, length, fill }),
    choice(8, 'pwrite', { slot, length, offset, fill }),
    choice(3, 'seek', { slot, offset: seekTo, whence }),
    choice(5, 'ftruncate', { slot, size: fc.oneof(offset, fc.constant(-1)) }),
    choice(5, 'truncate', { path: filePath, size: offset }),
    choice(1, 'fsync', { slot }),
    choice(2, 'fstat', { slot }),
    choice(5, 'list', { slot: folderSlot }),
    choice(2, 'forgetPages', { slot }),
    choice(2, 'mapWrite', { slot, length, offset, fill }),
    choice(1, 'mapRead', { slot, length, offset }),
  ];
}

function nameActions(parts: Parts, features: Features): Weighted[] {
  const { path, folderPath, filePath, at, mode, follow } = parts;
  const flag = fc.constantFrom('plain', 'plain', 'noreplace', 'exchange');
  const device = features.users ? (['null'] as const) : [];
  const type = fc.constantFrom('fifo', 'file', 'socket', ...device);
  const target = fc.oneof(path, fc.constant('z'.repeat(1000)));
  return [
    choice(9, 'mkdir', { path: folderPath, mode, at }),
    choice(2, 'mkdir', { path, mode, at }),
    choice(2, 'rmdir', { path: folderPath, at }),
    choice(1, 'rmdir', { path, at }),
    choice(4, 'unlink', { path: filePath, at }),
    choice(1, 'unlink', { path, at }),
    choice(5, 'rename', { path: filePath, to: filePath, flag, at }),
    choice(3, 'rename', { path: folderPath, to: folderPath, flag, at }),
    choice(4, 'rename', { path, to: path, flag, at }),
    choice(6, 'link', { path: filePath, to: path, follow, at }),
    choice(5, 'symlink', { path, target, at }),
    choice(2, 'readlink', { path, at }),
    choice(2, 'mknod', { path: filePath, type, mode, at }),
  ];
}

function attributeActions(parts: Parts): Weighted[] {
  const { path, at, follow, mode, slot, owner, time } = parts;
  const mask = fc.constantFrom(0, 1, 2, 4, 6, 7);
  const bothOf = { atime: time, mtime: time };
  return [
    choice(3, 'stat', { path, follow, at }),
    choice(5, 'chmod', { path, mode }),
    choice(2, 'fchmod', { slot, mode }),
    choice(4, 'chown', { path, owner, follow, at }),
    choice(2, 'fchown', { slot, owner }),
    choice(4, 'utimens', { path, ...bothOf, follow, at }),
    choice(2, 'futimens', { slot, ...bothOf }),
    choice(3, 'access', { path, mask }),
  ];
}

const XATTR_NAMES = [
  'user.a',
  'user.b',
  'user.\xff',
  'trusted.t',
  'security.test',
  'user.',
  'other.a',
  'a',
  `user.${'n'.repeat(250)}`,
  `user.${'n'.repeat(251)}`,
];

function xattrActions(parts: Parts): Weighted[] {
  const { follow, fill } = parts;
  const path = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('a', 'd') },
    { weight: 1, arbitrary: parts.path },
  );
  const name = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('user.a', 'user.b') },
    { weight: 1, arbitrary: fc.constantFrom(...XATTR_NAMES) },
  );
  const mode = fc.constantFrom('either', 'either', 'create', 'replace');
  const length = fc.constantFrom(3, 0, 1, 100, 300);
  const room = fc.constantFrom(1000, 0, 2);
  return [
    choice(5, 'setxattr', { path, name, length, fill, mode, follow }),
    choice(3, 'getxattr', { path, name, room, follow }),
    choice(2, 'listxattr', { path, room, follow }),
    choice(2, 'removexattr', { path, name, follow }),
  ];
}

function processActions(parts: Parts, features: Features): Weighted[] {
  const { folderPath, folderSlot } = parts;
  return [
    choice(1, 'umask', { mask: fc.constantFrom(0, 0o022, 0o022, 0, 0o077, 0o002, 0o777) }),
    choice(1, 'chdir', { path: folderPath }),
    choice(2, 'goHome', {}),
    choice(1, 'fchdir', { slot: folderSlot }),
    choice(1, 'tree', {}),
    ...(features.users ? [choice(3, 'forgetNames', {})] : []),
  ];
}
