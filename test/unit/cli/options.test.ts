import test from 'ava';
import { UsageError } from '../../../src/cli/errors.ts';
import {
  type CommandLine,
  OPTION_GROUPS,
  OPTION_TABLE,
  imssfsCommand,
  parseCommandLine,
} from '../../../src/cli/options.ts';

function parse(text: string): CommandLine {
  const line = parseCommandLine(text.split(' '), '1.2.3');
  if ('text' in line) throw new TypeError('help instead of a command line');
  return line;
}

test('the full line of the public description is accepted as it is written', (t) => {
  t.like(
    parse(
      '-p 5555 -m 5569 -M ./metadata -h ./hostfile -b 1000000 -r imss:// -a ./stat_hostfile -S 10000000000 -d 0 -B 1048576000 -l /mnt/imss/',
    ),
    {
      dataPort: '5555',
      metaPort: '5569',
      metadataFile: './metadata',
      hostfile: './hostfile',
      blockSize: '1000000',
      root: 'imss://',
      metaHostfile: './stat_hostfile',
      capacity: '10000000000',
      deployment: '0',
      bufferSize: '1048576000',
      mountPoint: '/mnt/imss/',
    },
  );
});

test('-s and -S are the same, and contradict each other when they differ', (t) => {
  t.is(parse('-s 10G /m').capacity, '10G');
  t.is(parse('-S10G /m').capacity, '10G');
  t.is(parse('-s 1G -S 1G /m').capacity, '1G');
  t.throws(() => parse('-s 1G -S 2G /m'), { instanceOf: UsageError, message: /contradict/ });
});

test('MOUNTPOINT and -l are the same, and contradict each other when they differ', (t) => {
  t.is(parse('/m').mountPoint, '/m');
  t.is(parse('-l /m').mountPoint, '/m');
  t.is(parse('-l /m /m').mountPoint, '/m');
  t.throws(() => parse('-l /m /n'), { instanceOf: UsageError, message: /two different/ });
});

test('-o may be repeated', (t) => {
  t.deepEqual(parse('-o ro -o noatime,nosuid /m').options, ['ro', 'noatime', 'nosuid']);
  t.deepEqual(parse('/m').options, []);
});

for (const [text, message] of [
  ['--polcy RR /m', /^unknown option '--polcy'; did you mean --policy\?$/],
  ['-z /m', /^unknown option '-z'; see imssfs --help$/],
  ['/m -b', /^option '-b, --block-size <size>' argument missing; see imssfs --help$/],
  ['/l /m /n', /^too many arguments.*; see imssfs --help$/],
  ['-l /m s /n', /^two different mount points are given; leave out -l or MOUNTPOINT$/],
  [
    '-S 1G -o capacity=2G /m',
    /^mount option capacity \(-o\) says something else than before; give it once$/,
  ],
  ['-o block_size /m', /^mount option block_size needs a value; write block_size=VALUE$/],
  ['-o insecure=1 /m', /^mount option insecure takes no value; write insecure alone$/],
] as const) {
  test(`"imssfs ${text}" is a usage error of one line`, (t) => {
    t.throws(() => parse(text), { instanceOf: UsageError, message });
  });
}

test('help shows each option of the table, its group and its default', (t) => {
  const answer = parseCommandLine(['--help'], '1.2.3');
  const text = 'text' in answer ? answer.text : '';
  const flat = text.replace(/\s+/g, ' ');
  for (const row of OPTION_TABLE) {
    t.true(flat.includes(`${row.flags} ${row.help}`), row.flags);
    if (row.defaultText !== undefined) t.true(flat.includes(`(default: ${row.defaultText})`));
  }
  for (const group of OPTION_GROUPS) t.true(text.includes(`\n${group}\n`), group);
  t.true(text.split('\n').every((line) => line.length <= 110));
});

test('-H is help, -h is the hostfile, -V is the version', (t) => {
  const help = parseCommandLine(['-H'], '1.2.3');
  t.regex(
    'text' in help ? help.text : '',
    /^Usage: imssfs \[options\] \[SOURCE\] \[MOUNTPOINT\]\n/,
  );
  t.deepEqual(parseCommandLine(['-V'], '1.2.3'), { text: '1.2.3\n' });
  t.is(parse('-h nodes /m').hostfile, 'nodes');
});

test('no two options share a flag', (t) => {
  const flags = imssfsCommand('1').options.flatMap((option) => [option.short, option.long]);
  const given = [...flags, '-H', '--help'].filter((flag) => flag !== undefined);
  t.is(new Set(given).size, given.length);
});

test('of two words the first is the source', (t) => {
  t.like(parse('imss://a /m'), { source: 'imss://a', mountPoint: '/m' });
  t.is(parse('/m').source, undefined);
});

test('settings among the mount options count as their flags do', (t) => {
  const line = parse(
    '-o ro,block_size=4MiB,size=1G,insecure,log-file=/l -o meta_hosts=a\\,b,noatime /m',
  );
  t.deepEqual(line.options, ['ro', 'noatime']);
  t.like(line, {
    blockSize: '4MiB',
    capacity: '1G',
    insecure: true,
    logFile: '/l',
    metaHosts: 'a,b',
  });
  t.is(parse('-S 1G -o capacity=1G /m').capacity, '1G');
});
