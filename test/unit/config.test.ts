import test from 'ava';
import { ConfigError, type RawSettings, parseRootUri, validateSettings } from '../../src/config.ts';

const MEMORY = 16 * 1024 ** 3;

test('defaults are those of the public description, and half of memory', (t) => {
  t.deepEqual(validateSettings({}, MEMORY), {
    deployment: 0,
    metaServers: undefined,
    waitSeconds: 60,
    dataPort: 5555,
    metaPort: 5569,
    blockSizeBytes: 1024 ** 2,
    capacityBytes: MEMORY / 2,
    transferBufferBytes: 1024 ** 3,
    metaBufferBytes: 64 * 1024 ** 2,
    rootUri: 'imss://',
    rootPath: [],
    policy: 'RR',
    replication: 1,
    engine: 'kernel',
    busyPollMs: 0.05,
  });
});

test('a block size need not be a power of two', (t) => {
  t.is(validateSettings({ blockSize: '1000000' }, MEMORY).blockSizeBytes, 1_000_000);
  t.is(validateSettings({ blockSize: '4096' }, MEMORY).blockSizeBytes, 4096);
});

test('a capacity of exactly one block, and of exactly all memory, is accepted', (t) => {
  t.is(validateSettings({ capacity: '1MiB' }, MEMORY).capacityBytes, 1024 ** 2);
  t.is(validateSettings({ capacity: '16G' }, MEMORY).capacityBytes, MEMORY);
});

const POLICY_SPELLINGS = [
  ['rr', 'RR'],
  ['BUCKETS', 'BUCKETS'],
  ['hash', 'HASH'],
  ['CRC16', 'CRC16'],
  ['CRC16b', 'CRC16'],
  ['CRC64b', 'CRC64'],
  ['local', 'LOCAL'],
] as const;
for (const [spelling, policy] of POLICY_SPELLINGS) {
  test(`policy ${spelling} is ${policy}`, (t) => {
    t.is(validateSettings({ policy: spelling }, MEMORY).policy, policy);
  });
}

const REFUSED: [RawSettings, RegExp][] = [
  [{ blockSize: '0' }, /block size \(-b\) 0 bytes is too small; give at least 4096 bytes/],
  [{ blockSize: '1' }, /too small; give at least 4096/],
  [{ blockSize: '4095' }, /too small/],
  [{ blockSize: '-1' }, /"-1" is not a size; write bytes or a number with a suffix/],
  [{ blockSize: 'huge' }, /"huge" is not a size/],
  [{ blockSize: '' }, /"" is not a size/],
  [{ blockSize: '17G' }, /block size \(-b\) 17 GiB is above the 16 GiB of memory here; give less/],
  [{ blockSize: '99999999999999999999' }, /beyond what can be counted; give less/],
  [{ blockSize: '9G' }, /capacity 8 GiB is below one block of 9 GiB; give a larger -S or a smaller -b/],
  [{ capacity: '1048575' }, /is below one block of 1 MiB/],
  [{ capacity: '0' }, /is below one block/],
  [{ capacity: '17G' }, /capacity \(-S\) 17 GiB is above the 16 GiB of memory here; give less/],
  [{ capacity: 'lots' }, /capacity \(-S\) "lots" is not a size/],
  [{ bufferSize: '0' }, /buffer size \(-B\) is 0/],
  [{ metaBufferSize: 'x' }, /metadata buffer size \(-e\) "x" is not a size/],
  [{ dataPort: '0' }, /data port \(-p\) "0" is not valid; give a whole number from 1 to 65535/],
  [{ metaPort: '65536' }, /metadata port \(-m\) "65536" is not valid/],
  [{ dataPort: '80.5' }, /data port/],
  [{ policy: 'RRR' }, /policy \(-P\) "RRR" is unknown; choose one of RR, BUCKETS, HASH, CRC16, CRC64, LOCAL/],
  [{ policy: 'RRb' }, /unknown/],
  [{ replication: '4' }, /replication \(-R\) "4" is not valid; give a whole number from 1 to 3/],
  [{ replication: '0' }, /replication/],
  [{ busyPoll: '1001' }, /busy poll \(--busy-poll\) "1001" is not valid; give a whole number from 0 to 1000/],
  [{ deployment: '3' }, /deployment \(-d\) "3" is not valid; give 0 \(attached\), 1 \(metadata detached\) or 2/],
  [{ metaServers: '0' }, /number of metadata servers \(-x\) "0" is not valid; give a whole number from 1 to 8192/],
  [{ wait: '-1' }, /wait \(--wait\) "-1" is not valid; give a whole number from 0 to 86400/],
  [{ engine: 'fuse' }, /engine "fuse" is unknown; choose one of kernel, fuse-native/],
  [{ root: '/mnt' }, /root \(-r\) "\/mnt" is not a dataset URI; write imss:\/\/ or/],
]; // prettier-ignore
for (const [raw, message] of REFUSED) {
  test(`${JSON.stringify(raw)} is refused in one line`, (t) => {
    const error = t.throws(() => validateSettings(raw, MEMORY), {
      instanceOf: ConfigError,
      message,
    });
    t.regex(error.message, /^[^\n]+; [^\n]+$/);
  });
}

test('a root URI names directories', (t) => {
  t.deepEqual(parseRootUri('imss://'), []);
  t.deepEqual(parseRootUri('imss://a/b%20c/'), [Buffer.from('a'), Buffer.from('b c')]);
});

for (const uri of [
  'imss:/a',
  'imss',
  'imss://a/../b',
  'imss://.',
  'imss://%2e%2e',
  'imss://a%2fb',
  'imss://a%00',
  'imss://a%2',
  'imss://%zz',
  `imss://${'x'.repeat(256)}`,
]) {
  // prettier-ignore
  test(`root URI ${uri.slice(0, 20)} is refused`, (t) => {
    t.throws(() => parseRootUri(uri), { instanceOf: ConfigError });
  });
}

test('both engines can be chosen', (t) => {
  for (const engine of ['kernel', 'fuse-native'] as const) {
    t.is(validateSettings({ engine }, 2 ** 30).engine, engine);
  }
});

test('every deployment, a number of metadata servers and a time to wait can be chosen', (t) => {
  for (const deployment of [0, 1, 2] as const) {
    t.is(validateSettings({ deployment: String(deployment) }, MEMORY).deployment, deployment);
  }
  t.like(validateSettings({ metaServers: '2', wait: '5' }, MEMORY), {
    metaServers: 2,
    waitSeconds: 5,
  });
});
