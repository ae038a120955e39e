import test from 'ava';
import fc from 'fast-check';
import {
  displayPath,
  findConnection,
  findMount,
  imssMounts,
  isWithin,
  mountsBelow,
  parseMountTable,
} from '../../../src/fs/mount-table.ts';

const TABLE = Buffer.from(
  [
    '27 1 254:0 / / rw,relatime - ext4 /dev/root rw',
    '40 27 0:38 / /mnt/imss rw,nosuid,nodev shared:7 master:2 - fuse.imssfs imss:// rw,user_id=0',
    '41 40 0:39 /sub /mnt/imss/in\\040side rw - tmpfs tmpfs rw',
    '42 27 0:40 / /mnt/imss2 rw - fuse imss://b rw',
    '43 27 0:41 / /mnt/other rw - fuse sshfs#host: rw',
    '44 40 0:42 / /mnt/imss ro propagate_from:2 - fuse.imssfs imss://top\\134x rw',
    'a line of another kind',
    '',
  ].join('\n'),
);
const entries = parseMountTable(TABLE);

test('a line gives identifiers, device, mount point, options, type and source', (t) => {
  t.deepEqual(entries[1], {
    id: 40,
    parentId: 27,
    major: 0,
    minor: 38,
    mountPoint: Buffer.from('/mnt/imss'),
    options: 'rw,nosuid,nodev',
    type: 'fuse.imssfs',
    source: 'imss://',
  });
});

test('lines that are no mounts are left out', (t) => {
  t.is(entries.length, 6);
  t.deepEqual(parseMountTable(Buffer.alloc(0)), []);
});

test('escapes become the bytes that they stand for', (t) => {
  t.deepEqual(entries[2]?.mountPoint, Buffer.from('/mnt/imss/in side'));
  t.is(entries[5]?.source, 'imss://top\\x');
});

test('any path survives the escaping of the kernel', (t) => {
  const path = fc.uint8Array({ minLength: 1, maxLength: 40 }).filter((bytes) => !bytes.includes(0));
  fc.assert(
    fc.property(path, (bytes) => {
      const mountPoint = Buffer.concat([Buffer.from('/'), bytes]);
      // show_mountinfo() escapes these five with seq_path(); the others stand as they are.
      const escaped = Array.from(mountPoint, (byte) =>
        ' \t\n\\#'.includes(String.fromCharCode(byte))
          ? Buffer.from(`\\${byte.toString(8).padStart(3, '0')}`)
          : Buffer.of(byte),
      );
      const line = Buffer.concat([
        Buffer.from('9 1 0:5 / '),
        ...escaped,
        Buffer.from(' rw - fuse.imssfs imss:// rw\n'),
      ]);
      t.deepEqual(parseMountTable(line)[0]?.mountPoint, mountPoint);
    }),
  );
});

test('the topmost of stacked mounts is found', (t) => {
  t.is(findMount(entries, Buffer.from('/mnt/imss'))?.id, 44);
  t.is(findMount(entries, Buffer.from('/mnt/imss/')), undefined);
  t.is(findMount(entries, Buffer.from('/mnt')), undefined);
});

test('a connection is found by its number among FUSE mounts alone', (t) => {
  t.is(findConnection(entries, 38)?.id, 40);
  t.is(findConnection(entries, 254), undefined);
});

test('mounts of ours are told by type, and with plain fuse by source', (t) => {
  t.deepEqual(
    imssMounts(entries).map(({ id }) => id),
    [40, 42, 44],
  );
});

test('a path lies within a directory only at a boundary between names', (t) => {
  const within = (path: string, directory: string): boolean =>
    isWithin(Buffer.from(path), Buffer.from(directory));
  t.true(within('/a/b', '/a'));
  t.true(within('/a', '/a'));
  t.true(within('/a', '/'));
  t.false(within('/ab', '/a'));
  t.false(within('/', '/a'));
});

test('mounts below a directory leave out the directory itself', (t) => {
  t.deepEqual(
    mountsBelow(entries, Buffer.from('/mnt/imss')).map(({ id }) => id),
    [41],
  );
});

test('a path is displayed on one line, odd bytes in octal', (t) => {
  t.is(displayPath(Buffer.from('/mnt/ünï code')), '/mnt/ünï code');
  t.is(displayPath(Buffer.from('/a\nb')), '/a\\012b');
  t.is(displayPath(Buffer.from('/\xff', 'latin1')), '/\\377');
});
