import test from 'ava';
import * as abi from '../../../../src/fs/fuse/abi.ts';
import { offsetsOf, type Layout } from '../../../../src/fs/fuse/layout.ts';
import { CONSTANTS, STRUCTURES } from './header-facts.ts';

function isLayout(pair: [string, unknown]): pair is [string, Layout] {
  const [, value] = pair;
  return typeof value === 'object' && value !== null && 'steps' in value;
}

const LAYOUTS = Object.entries<unknown>(abi).filter(isLayout);

/** A constant of the header. */
function constant(name: string): number {
  const value = CONSTANTS[name];
  if (value === undefined) throw new Error(`the header has no ${name}`);
  return value;
}

test('every structure of the header is tabled, under its own name', (t) => {
  const names = LAYOUTS.map(([, layout]) => layout.name);
  t.deepEqual(names.toSorted(), Object.keys(STRUCTURES).toSorted());
  for (const [exported, layout] of LAYOUTS) t.is(exported, layout.name.toUpperCase());
});

for (const [, layout] of LAYOUTS) {
  test(`${layout.name} has the size and the offsets that C gives it`, (t) => {
    const inC = STRUCTURES[layout.name] ?? { sizeBytes: -1, offsets: {} };
    t.is(layout.sizeBytes, inC.sizeBytes);
    // Compared as lists, so that the order of the fields counts too.
    t.deepEqual(Object.entries(offsetsOf(layout)), Object.entries(inC.offsets));
  });
}

const FLAG_TABLES: readonly [
  table: Readonly<Record<string, number>>,
  prefix: string,
  scale?: number,
][] = [
  [abi.InitFlag, 'FUSE_'],
  [abi.InitFlag2, 'FUSE_', 2 ** 32],
  [abi.SetattrValid, 'FATTR_'],
  [abi.OpenFlag, 'FOPEN_'],
  [abi.OpenInFlag, 'FUSE_OPEN_'],
  [abi.ReleaseFlag, 'FUSE_RELEASE_'],
  [abi.GetattrFlag, 'FUSE_GETATTR_'],
  [abi.LockFlag, 'FUSE_LK_'],
  [abi.WriteFlag, 'FUSE_WRITE_'],
  [abi.ReadFlag, 'FUSE_READ_'],
  [abi.IoctlFlag, 'FUSE_IOCTL_'],
  [abi.PollFlag, 'FUSE_POLL_'],
  [abi.FsyncFlag, 'FUSE_FSYNC_'],
  [abi.AttrFlag, 'FUSE_ATTR_'],
  [abi.SetxattrFlag, 'FUSE_SETXATTR_'],
  [abi.InvalEntryFlag, 'FUSE_'],
  [abi.SetupmappingFlag, 'FUSE_SETUPMAPPING_FLAG_'],
  [abi.NotifyCode, 'FUSE_NOTIFY_'],
];

test('flags and notification codes are the numbers of the header', (t) => {
  for (const [table, prefix, scale = 1] of FLAG_TABLES) {
    for (const [name, value] of Object.entries(table)) {
      const inHeader = `${prefix}${name.replace(/^IS_/, '')}`;
      t.is(value * scale, constant(inHeader), inHeader);
    }
  }
});

test('no INIT flag, FATTR, FOPEN or notification code of the header is missing', (t) => {
  const values = (table: Readonly<Record<string, number>>): string[] => Object.keys(table);
  const inHeader = (prefix: string): string[] =>
    Object.keys(CONSTANTS)
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length));
  t.deepEqual(values(abi.SetattrValid), inHeader('FATTR_'));
  t.deepEqual(values(abi.OpenFlag), inHeader('FOPEN_'));
  t.deepEqual(
    values(abi.NotifyCode),
    inHeader('FUSE_NOTIFY_').filter((name) => name !== 'REPLY'),
  );
  const initFlags = Object.keys(CONSTANTS);
  const first = initFlags.indexOf('FUSE_ASYNC_READ');
  const last = initFlags.indexOf('FUSE_REQUEST_TIMEOUT');
  t.deepEqual(
    [...values(abi.InitFlag), ...values(abi.InitFlag2)],
    initFlags.slice(first, last + 1).map((name) => name.slice('FUSE_'.length)),
  );
});

test('every opcode of the header is tabled with its number', (t) => {
  const names = Object.keys(CONSTANTS);
  const inHeader = names.slice(
    names.indexOf('FUSE_LOOKUP'),
    names.indexOf('FUSE_COPY_FILE_RANGE_64') + 1,
  );
  t.deepEqual(
    Object.keys(abi.OPERATIONS).map((name) => `FUSE_${name}`),
    inHeader,
  );
  for (const [name, row] of Object.entries(abi.OPERATIONS)) {
    const opcode: number = row.opcode;
    t.is(opcode, constant(`FUSE_${name}`));
    t.is(abi.operationOf(row.opcode)?.name, name as abi.OperationName);
  }
});

test('numbers between and beyond the opcodes have no operation', (t) => {
  for (const opcode of [0, 7, 19, 54, 4096, 0xffff_ffff]) t.is(abi.operationOf(opcode), undefined);
});

test('trailing items have the size of their structure', (t) => {
  const forget: number = abi.OPERATIONS.BATCH_FORGET.data.itemBytes;
  t.is(forget, abi.FUSE_FORGET_ONE.sizeBytes);
  const removeMapping: number = abi.OPERATIONS.REMOVEMAPPING.data.itemBytes;
  t.is(removeMapping, abi.FUSE_REMOVEMAPPING_ONE.sizeBytes);
});

test('the protocol constants are those of the header', (t) => {
  t.is(abi.FUSE_KERNEL_VERSION, constant('FUSE_KERNEL_VERSION'));
  t.is(abi.MAX_MINOR, constant('FUSE_KERNEL_MINOR_VERSION'));
  t.is(abi.FUSE_ROOT_ID, constant('FUSE_ROOT_ID'));
  t.is(abi.FUSE_MIN_READ_BUFFER, constant('FUSE_MIN_READ_BUFFER'));
  t.is(abi.FUSE_COMPAT_SETXATTR_IN_SIZE, constant('FUSE_COMPAT_SETXATTR_IN_SIZE'));
});

test('init_out is cut to what a kernel of the given minor version takes', (t) => {
  t.is(abi.initOutBytes(4), constant('FUSE_COMPAT_INIT_OUT_SIZE'));
  t.is(abi.initOutBytes(5), constant('FUSE_COMPAT_22_INIT_OUT_SIZE'));
  t.is(abi.initOutBytes(22), constant('FUSE_COMPAT_22_INIT_OUT_SIZE'));
  t.is(abi.initOutBytes(23), abi.FUSE_INIT_OUT.sizeBytes);
  t.is(abi.initOutBytes(45), abi.FUSE_INIT_OUT.sizeBytes);
});
