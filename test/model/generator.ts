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
    action: actions(options),
  });
  return fc
    .array(step, { minLength: 1, maxLength: options.maxOperations, size: 'max' })
    .map((steps) => {
      let current = 0;
      return steps.map(({ worker, action }) => {
        if (worker !== 'same') current = worker;
        if (action.op === 'forgetNames') return { worker: 0, ...action };
        return { worker: current, ...action };
      });
    });
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
    path: paths(features),
    filePath: paths(features, FILES),
    folderPath: paths(features, FOLDERS),
    /** Rarely, a path begins at an open directory. */
    at: fc.oneof(
      { weight: 12, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.nat(SLOT_COUNT - 1) },
    ),
    mode: fc.constantFrom(...MODES),
    fill: fc.nat(250),
    offset: offsets(blockSizeBytes),
    length: lengths(blockSizeBytes),
    follow: fc.boolean(),
    time: times(features),
    owner: owners(),
  };
}

const FILES = ['a', 'b', 'c'];
const FOLDERS = ['d', 'e'];
const ODD_NAMES = ['.', '...', ' ', 'a\nb', '\xc3\xa4', 'x'.repeat(255), 'y'.repeat(256)];
const BYTE_NAMES = ['\xff\xfe', '\xff\xfd', '\xed\xa0\x80'];
const MODES = [
  0o644, 0o755, 0o777, 0o666, 0o600, 0o700, 0o444, 0, 0o4755, 0o2755, 0o2644, 0o6777, 0o1777,
  0o2770, 0o7777,
];

function paths(
  features: Features,
  likely: readonly string[] = [...FILES, ...FOLDERS],
): fc.Arbitrary<string> {
  const odd = [...ODD_NAMES, ...(features.nonUtf8Names ? BYTE_NAMES : [])];
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
function times(features: Features): fc.Arbitrary<TimeValue> {
  const seconds: TimeValue['seconds'][] = [1_000_000_000, 1, 0, 4_000_000_000, -1, 'now'];
  return fc.record({
    seconds: fc.constantFrom(...seconds, ...(features.singleTimes ? ['omit' as const] : [])),
    nanoseconds: features.nanoseconds
      ? fc.constantFrom(0, 1, 999_999_999, 123_456_789)
      : fc.constant(0),
  });
}

const NO_CREATE: readonly OpenFlag[] = ['O_TRUNC', 'O_APPEND', 'O_NOFOLLOW'];

function openFlags(features: Features): fc.Arbitrary<OpenFlag[]> {
  const access = fc.constantFrom<OpenFlag>('O_RDWR', 'O_RDONLY', 'O_WRONLY');
  const creation = fc.constantFrom<OpenFlag[]>(['O_CREAT'], [], ['O_CREAT', 'O_EXCL'], ['O_EXCL']);
  const more = fc.subarray([...NO_CREATE, ...(features.directIo ? ['O_DIRECT' as const] : [])]);
  const file = fc
    .tuple(access, creation, fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, more))
    .map(([first, second, third]) => [first, ...second, ...third]);
  return fc.oneof(
    { weight: 12, arbitrary: file },
    { weight: 4, arbitrary: fc.constant<OpenFlag[]>(['O_RDONLY', 'O_DIRECTORY']) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<OpenFlag[]>(
        ['O_RDWR', 'O_DIRECTORY'],
        ['O_RDONLY', 'O_DIRECTORY', 'O_CREAT'],
        ['O_PATH'],
        ['O_PATH', 'O_NOFOLLOW'],
      ),
    },
  );
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
  const { slot, length, offset, fill, filePath, path, at, mode } = parts;
  const flags = openFlags(features);
  const whence = fc.constantFrom('set', 'current', 'end');
  const seekTo = fc.oneof(offset, fc.constantFrom(-1, -10));
  return [
    choice(12, 'open', { slot, path: filePath, flags, mode, at }),
    choice(6, 'open', { slot, path, flags, mode, at }),
    choice(4, 'close', { slot }),
    choice(5, 'read', { slot, length }),
    choice(5, 'pread', { slot, length, offset }),
    choice(7, 'write', { slot, length, fill }),
    choice(7, 'pwrite', { slot, length, offset, fill }),
    choice(3, 'seek', { slot, offset: seekTo, whence }),
    choice(5, 'ftruncate', { slot, size: fc.oneof(offset, fc.constant(-1)) }),
    choice(5, 'truncate', { path: filePath, size: offset }),
    choice(1, 'fsync', { slot }),
    choice(2, 'fstat', { slot }),
    choice(4, 'list', { slot }),
    choice(2, 'forgetPages', { slot }),
    ...(features.mappings
      ? [
          choice(2, 'mapWrite', { slot, length, offset, fill }),
          choice(1, 'mapRead', { slot, length, offset }),
        ]
      : []),
  ];
}

function nameActions(parts: Parts, features: Features): Weighted[] {
  const { path, folderPath, filePath, at, mode, follow } = parts;
  const flag = features.renameFlags
    ? fc.constantFrom('plain', 'plain', 'noreplace', 'exchange')
    : fc.constant('plain');
  const device = features.users ? (['null'] as const) : [];
  const type = fc.constantFrom('fifo', 'file', 'socket', ...device);
  const target = fc.oneof(path, fc.constant('z'.repeat(1000)));
  return [
    choice(9, 'mkdir', { path: folderPath, mode, at }),
    choice(2, 'mkdir', { path, mode, at }),
    choice(5, 'rmdir', { path: folderPath, at }),
    choice(1, 'rmdir', { path, at }),
    choice(7, 'unlink', { path: filePath, at }),
    choice(2, 'unlink', { path, at }),
    choice(5, 'rename', { path: filePath, to: filePath, flag, at }),
    choice(5, 'rename', { path: folderPath, to: folderPath, flag, at }),
    choice(4, 'rename', { path, to: path, flag, at }),
    choice(6, 'link', { path: filePath, to: path, follow, at }),
    choice(5, 'symlink', { path, target, at }),
    choice(2, 'readlink', { path, at }),
    ...(features.specialFiles ? [choice(2, 'mknod', { path: filePath, type, mode, at })] : []),
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
  const { path, follow, fill } = parts;
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
  const { folderPath, slot } = parts;
  return [
    choice(1, 'umask', { mask: fc.constantFrom(0o022, 0, 0o077, 0o777, 0o002) }),
    choice(2, 'chdir', { path: folderPath }),
    choice(1, 'fchdir', { slot }),
    choice(1, 'tree', {}),
    ...(features.users ? [choice(1, 'forgetNames', {})] : []),
  ];
}
