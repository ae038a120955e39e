import test from 'ava';
import { spawnSync } from 'node:child_process';
import { commandFor } from '../../../../src/fs/fuse/fusermount.ts';
import { hasSysAdmin } from '../../../../src/fs/fuse/unmount.ts';

test('a path in UTF-8 is passed as it is', (t) => {
  t.deepEqual(commandFor('/bin/fusermount3', ['-u', '--'], Buffer.from('/mnt/ü $(x)')), {
    file: '/bin/fusermount3',
    parameters: ['-u', '--', '/mnt/ü $(x)'],
  });
});

test('a path of any bytes reaches the program through the shell', (t) => {
  const path = Buffer.concat([
    Buffer.from('/\xff\xfe'),
    Buffer.from(Array.from({ length: 255 }, (_unused, index) => index + 1)),
    Buffer.from('\n\n'),
  ]);
  const { file, parameters } = commandFor('/usr/bin/printf', ['%s|%s', 'option'], path);
  t.is(file, '/bin/sh');
  const { stdout } = spawnSync(file, parameters, { env: { LC_ALL: 'C' } });
  t.deepEqual(stdout, Buffer.concat([Buffer.from('option|'), path]));
});

test('CAP_SYS_ADMIN is read from the effective capabilities', (t) => {
  t.true(hasSysAdmin('Name:\tx\nCapPrm:\t0\nCapEff:\t000001fffeffffff\n'));
  t.true(hasSysAdmin('CapEff:\t0000000000200000\n'));
  t.false(hasSysAdmin('CapPrm:\t000001ffffffffff\nCapEff:\t00000000a80425fb\n'));
  t.false(hasSysAdmin('Name:\tx\n'));
});
