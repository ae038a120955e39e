import test from 'ava';
import { describeHolders, isOnMount, mappedPaths, viewOf } from '../../../src/fs/holders.ts';
import { parseMountTable } from '../../../src/fs/mount-table.ts';

const target = { mountPoint: Buffer.from('/mnt/imss'), major: 0, minor: 300 };
const entries = parseMountTable(
  Buffer.from(
    [
      '27 1 254:0 / / rw - ext4 /dev/root rw',
      '40 27 0:300 / /mnt/imss rw - fuse.imssfs imss:// rw',
      '41 40 0:39 / /mnt/imss/tmp rw - tmpfs tmpfs rw',
      '42 27 0:300 / /srv/bound rw - fuse.imssfs imss:// rw',
      '43 27 0:40 / /mnt/imss2 rw - tmpfs tmpfs rw',
    ].join('\n'),
  ),
);

test('a view holds every place of the mount and what is nested in it', (t) => {
  t.deepEqual(viewOf(entries, target), {
    mountPoints: [Buffer.from('/mnt/imss'), Buffer.from('/srv/bound')],
    nested: [Buffer.from('/mnt/imss/tmp')],
  });
});

test('paths on the mount are told from those beside it and on a nested mount', (t) => {
  const view = viewOf(entries, target);
  const isOn = (path: string): boolean => isOnMount(Buffer.from(path), view);
  t.true(isOn('/mnt/imss'));
  t.true(isOn('/mnt/imss/a/b (deleted)'));
  t.true(isOn('/srv/bound/a'));
  t.false(isOn('/mnt/imss2/a'));
  t.false(isOn('/mnt/imss/tmp/a'));
  t.false(isOn('socket:[1234]'));
});

test('mapped files are found by device number, each once', (t) => {
  const maps = [
    '55a0-55b0 r--p 00000000 fe:00 1310 /usr/bin/cat',
    '7f00-7f10 r--p 00000000 00:12c 5                          /mnt/imss/a b',
    '7f10-7f20 r-xp 00001000 00:12c 5                          /mnt/imss/a b',
    '7f20-7f30 rw-p 00000000 00:00 0',
    '7f30-7f40 r--s 00000000 00:12c 6                          /mnt/imss/x\\012y (deleted)',
    '7ffe-7fff rw-p 00000000 00:00 0                           [stack]',
  ].join('\n');
  t.deepEqual(mappedPaths(Buffer.from(maps), target), [
    Buffer.from('/mnt/imss/a b'),
    Buffer.from('/mnt/imss/x\ny (deleted)'),
  ]);
});

const holder = { pid: 12, command: 'bash', what: 'cwd', path: Buffer.from('/mnt/imss/a') } as const;
const nothing = { holders: [], nestedMounts: [], unreadableProcesses: 0, incomplete: false };

test('holders read as one line each, nested mounts first', (t) => {
  t.deepEqual(describeHolders(nothing), []);
  t.deepEqual(
    describeHolders({
      ...nothing,
      holders: [holder, { ...holder, pid: 13, what: 'open file' }],
      nestedMounts: [Buffer.from('/mnt/imss/t p')],
    }),
    ['mounted below: /mnt/imss/t p', '12 bash: cwd /mnt/imss/a', '13 bash: open file /mnt/imss/a'],
  );
});

test('what was left out, hidden or not reached is said', (t) => {
  const found = { holders: [holder, holder, holder], nestedMounts: [], incomplete: true };
  t.deepEqual(describeHolders({ ...found, unreadableProcesses: 1 }, 2, false), [
    '12 bash: cwd /mnt/imss/a',
    '12 bash: cwd /mnt/imss/a',
    'and 1 more',
    '1 process of other users could not be looked into; root sees all',
    'the search was cut short: there may be more',
  ]);
});

test('root is told of processes that even root may not look into, without advice', (t) => {
  t.deepEqual(describeHolders({ ...nothing, unreadableProcesses: 2 }, 5, true), [
    '2 processes could not be looked into',
  ]);
});
