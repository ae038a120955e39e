import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FailureError, UsageError } from '../../../src/cli/errors.ts';
import { mountExitCode, parseHelperLine } from '../../../src/cli/mount-helper.ts';
import { applySource } from '../../../src/cli/mount-source.ts';
import { type CommandLine, parseCommandLine } from '../../../src/cli/options.ts';

function parse(...args: string[]): CommandLine {
  const line = parseCommandLine(args, '1');
  if ('text' in line) throw new TypeError('help instead of a command line');
  return applySource(line);
}

function fileOf(t: ExecutionContext, text: string | Buffer): { folder: string; file: string } {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-source-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'options');
  writeFileSync(file, text);
  return { folder, file };
}

test('a source that is a URI is the root, and what /proc/mounts shows', (t) => {
  const line = parse('imss://a/b', '/m');
  t.like(line, { root: 'imss://a/b', mountPoint: '/m', options: ['fsname=imss://a/b'] });
  t.is(line.deployment, undefined);
});

test('a source that says nothing changes nothing', (t) => {
  for (const word of ['none', 'imssfs']) t.deepEqual(parse(word, '/m').options, []);
});

test('metadata servers and a path mean a detached file system and its directory', (t) => {
  t.like(parse('node1:/', '/m'), {
    deployment: '2',
    metaHosts: 'node1',
    options: ['fsname=node1:/'],
  });
  t.is(parse('node1:/', '/m').root, undefined);
  const line = parse('node1:5570,[2001:db8::1]:1,10.0.0.1:/a b/é/', '/m');
  t.is(line.metaHosts, 'node1:5570,[2001:db8::1]:1,10.0.0.1');
  t.is(line.root, 'imss://a%20b/%E9', 'a path is bytes');
  t.is(parse('-d', '1', 'node1:/', '/m').deployment, '1');
});

test('a source and an option that contradict each other are refused', (t) => {
  t.throws(() => parse('-r', 'imss://x', 'imss://a', '/m'), {
    instanceOf: UsageError,
    message: /^SOURCE imss:\/\/a and imss:\/\/x contradict each other; give one of them$/,
  });
  t.throws(() => parse('-o', 'meta_hosts=a', 'b:/', '/m'), { message: /contradict/ });
});

test('a file of options says what the command line does not, with files beside it', (t) => {
  const { folder, file } = fileOf(
    t,
    '# nodes\nhostfile = hosts # ours\nmeta_hosts = a,b\n\nblock_size=4MiB\nro\nnode = n#1\n',
  );
  const line = parse('-b', '1MiB', '-o', 'rw', file, '/m');
  t.like(line, {
    hostfile: join(folder, 'hosts'),
    metaHosts: 'a,b',
    blockSize: '1MiB',
    node: 'n#1',
    mountPoint: '/m',
    options: ['ro', `fsname=${file}`, 'rw'],
  });
});

test('a source that is nothing of this is wrong usage, and a file that cannot be used a failure', (t) => {
  for (const source of ['/nowhere/options', tmpdir()]) {
    t.throws(() => parse(source, '/m'), {
      instanceOf: UsageError,
      message:
        /^SOURCE \S+ is no file system; write imss:\/\/directory, METADATA_HOST:\/directory, or/,
    });
  }
  const { file } = fileOf(t, Buffer.from([0, 1]));
  t.throws(() => parse(file, '/m'), { instanceOf: FailureError, message: /is no file of options/ });
  const wrong = fileOf(t, 'hostfile\n');
  t.throws(() => parse(wrong.file, '/m'), { message: /^mount option hostfile needs a value/ });
});

test('what mount(8) passes becomes arguments of imssfs', (t) => {
  t.deepEqual(parseHelperLine(['imss://', '/m', '-o', 'rw,size=1G', '-t', 'fuse.imssfs']), {
    args: ['--quiet', '-o', 'size=1G', '--', 'imss://', '/m'],
    isFake: false,
  });
  t.deepEqual(parseHelperLine(['-sv', 'imss://', '/m', '-n']).args, ['-o', 'sloppy', '--', 'imss://', '/m']); // prettier-ignore
  t.true(parseHelperLine(['imss://', '/m', '-f']).isFake);
});

for (const [args, message] of [
  [['imss://'], /^one SOURCE and one DIRECTORY are needed; write mount -t imss/],
  [['a', 'b', 'c'], /^one SOURCE and one DIRECTORY/],
  [['a', 'b', '-o'], /^-o needs a value/],
  [['a', 'b', '-N', '1'], /^mount -N is not possible/],
  [['a', 'b', '--bind'], /^unknown option '--bind'/],
] as const) {
  test(`"mount.imss ${args.join(' ')}" is a usage error of one line`, (t) => {
    t.throws(() => parseHelperLine(args), { instanceOf: UsageError, message });
  });
}

test('exit codes are those of mount(8)', (t) => {
  t.deepEqual([0, 1, 2].map(mountExitCode), [0, 32, 1]);
});
