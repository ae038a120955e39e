/** What `imssfs info` prints of a mounted file system, and how it fails. */
import test from 'ava';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { IMSSFS, mountTest } from '../../support/mount.ts';
import { run } from '../../support/run.ts';
import { BLOCKS_PER_PAGE, type BlockInfo } from '../../../src/fs/dataset-info.ts';

const OTHERS = { notOn: ['tmpfs', 'fuse-native', 'detached'], alone: true } as const;
const MIB = 2 ** 20;

mountTest(
  'info shows a file: its dataset, layout, and where each block is',
  async (t, mount) => {
    const file = mount.at('file');
    writeFileSync(file, Buffer.alloc(2 * MIB + 5, 1));
    const { status, stdout, stderr } = await run(IMSSFS, ['info', file]);
    t.deepEqual([status, stderr], [0, '']);
    const lines = stdout.split('\n');
    t.is(lines[0], file);
    t.regex(lines[1] ?? '', /^ {2}dataset {3}imss:\/\/file \(file, inode \d+, .+\)$/);
    t.is(lines[2], '  layout    policy RR, blocks of 1 MiB, 1 copy');
    t.is(lines[3], '  mount     the only one');
    t.is(lines[4], '  metadata  server 0');
    t.is(lines[5], '  blocks    4, over 1 server');
    t.deepEqual(
      lines.slice(7).map((line) => line.replace(/\s+/g, ' ')),
      [' 1 this mount 1 MiB', ' 2 this mount 1 MiB', ' 3 this mount 5 bytes', ''],
    );
  },
  OTHERS,
);

mountTest(
  'info --json prints one object a line for files, directories and symlinks, which it does not follow',
  async (t, mount) => {
    writeFileSync(mount.at('a "name"'), 'data');
    mkdirSync(mount.at('folder'));
    symlinkSync('nowhere', mount.at('folder', 'link'));
    const paths = [mount.at('a "name"'), mount.at('folder'), mount.at('folder', 'link')];
    const { status, stdout, stderr } = await run(IMSSFS, ['info', '--json', ...paths]);
    t.deepEqual([status, stderr], [0, '']);
    const shown = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    t.deepEqual(
      shown.map(({ path, type, blocks }) => [path, type, (blocks as unknown[]).length]),
      [
        [paths[0], 'file', 2],
        [paths[1], 'directory', 1],
        [paths[2], 'symlink', 1],
      ],
    );
    t.deepEqual(Object.keys(shown[0] ?? {}).sort(), [
      ...['alone', 'blockSizeBytes', 'blocks', 'inode', 'metaServer', 'path', 'policy'],
      ...['replication', 'servers', 'sizeBytes', 'type', 'uri'],
    ]);
    t.is(shown[2]?.['uri'], 'imss://folder/link');
  },
  OTHERS,
);

mountTest(
  'info shows all blocks of a file that has more of them than one answer takes, holes too',
  async (t, mount) => {
    const count = 2 * BLOCKS_PER_PAGE + 3;
    const file = mount.at('sparse');
    writeFileSync(file, 'begin');
    truncateSync(file, (count - 1) * MIB + 1);
    const { status, stdout } = await run(IMSSFS, ['info', '--json', file]);
    t.is(status, 0);
    const { blocks } = JSON.parse(stdout) as { blocks: BlockInfo[] };
    t.deepEqual(
      blocks.map(({ block }) => block),
      Array.from({ length: count + 1 }, (_, block) => block),
    );
    t.true(blocks.slice(2).every(({ storedBytes }) => storedBytes === 0));
    t.regex((await run(IMSSFS, ['info', file])).stdout, /\n +1003 {2}this mount {2}hole\n$/);
  },
  OTHERS,
);

mountTest(
  'info tells of each path that it cannot show, shows the others, and exits with 1',
  async (t, mount) => {
    writeFileSync(mount.at('there'), '');
    const elsewhere = `${mount.scratch}/plain`;
    writeFileSync(elsewhere, '');
    const paths = [mount.at('missing'), elsewhere, mount.at('there', 'below'), mount.at('there')];
    const { status, stdout, stderr } = await run(IMSSFS, ['info', ...paths]);
    t.is(status, 1);
    t.true(stdout.startsWith(`${mount.at('there')}\n`));
    t.deepEqual(stderr.split('\n'), [
      `imssfs info: ${paths[0] ?? ''}: no such file or directory`,
      `imssfs info: ${elsewhere}: this is not on a mounted imssfs`,
      `imssfs info: ${paths[2] ?? ''}: a part of the path is not a directory`,
      '',
    ]);
  },
  OTHERS,
);

test('info without a path, and with an option that it does not have, is wrong usage', async (t) => {
  const without = await run(IMSSFS, ['info']);
  t.deepEqual([without.status, without.stdout], [2, '']);
  t.is(without.stderr, "imssfs: missing required argument 'PATH'; see imssfs info --help\n");
  const unknown = await run(IMSSFS, ['info', '--jsn', '/']);
  t.is(unknown.status, 2);
  t.regex(unknown.stderr, /--jsn/);
  const help = await run(IMSSFS, ['info', '--help']);
  t.is(help.status, 0);
  t.regex(help.stdout, /Exit code: 0 shown, 1 some path could not be shown, 2 wrong usage/);
});
