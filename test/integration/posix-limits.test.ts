/** How far names, paths, chains, nesting and times go, and what comes beyond. */
import {
  lstatSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { mountTest } from '../support/mount.ts';
import { sh } from '../support/run.ts';
import { setTimes } from '../support/times.ts';

mountTest(
  'a name may have any bytes but / and NUL, all at once',
  (t, mount) => {
    const bytes = Array.from({ length: 256 }, (_, byte) => byte);
    const name = Buffer.from([...bytes.filter((byte) => byte !== 0 && byte !== 0x2f), 0xff]);
    t.is(name.length, 255);
    const path = Buffer.concat([Buffer.from(`${mount.path}/`), name]);
    writeFileSync(path, 'all bytes');
    t.is(readFileSync(path, 'utf8'), 'all bytes');
    unlinkSync(path);
  },
  { lacks: 'utf8' },
);

mountTest(
  'paths of 4,095 bytes and forty symlinks in a row are followed, not one more',
  async (t, mount) => {
    await sh('mkdir d; echo found > d/f', { cwd: mount.path });
    const path = (length: number): string => {
      const start = `${mount.path}/d`;
      const end = '/f';
      const between = length - start.length - end.length;
      return start + '/.'.repeat(Math.floor(between / 2)) + '/'.repeat(between % 2) + end;
    };
    t.is(path(4095).length, 4095);
    t.is(readFileSync(path(4095), 'utf8'), 'found\n');
    t.throws(() => openSync(path(4096), 'r'), { code: 'ENAMETOOLONG' });
    writeFileSync(mount.at('link0'), 'end');
    for (let i = 1; i <= 41; i++) symlinkSync(`link${i - 1}`, mount.at(`link${i}`));
    t.is(readFileSync(mount.at('link40'), 'utf8'), 'end');
    for (const use of [
      () => readFileSync(mount.at('link41')),
      () => statSync(mount.at('link41')),
      () => openSync(mount.at('link41'), 'w'),
    ]) {
      t.throws(use, { code: 'ELOOP' });
    }
    t.true(lstatSync(mount.at('link41')).isSymbolicLink());
  },
);

// Engines that know paths alone walk a thousand folders for each request.
mountTest(
  'folders nest a thousand deep, and go again',
  async (t, mount) => {
    const out = await sh(
      `perl -e 'for (1..1000) { mkdir "d" or die "$_: $!"; chdir "d" or die "$_: $!" }
         open my $file, ">", "deep" or die $!; print $file "down here"; close $file or die $!'
       perl -e '$path = "d/" x 1000; open my $file, "<", "\${path}deep" or die $!; print <$file>, "\\n";
         chdir $path or die $!; unlink "deep" or die $!;
         for (1..1000) { chdir ".." or die "$_: $!"; rmdir "d" or die "$_: $!" }'
       ls`,
      { cwd: mount.path, timeoutMs: 110_000 },
    );
    t.is(out, 'down here');
  },
  { notOn: ['fuse-native'] },
);

mountTest(
  'times of any century are kept to the nanosecond, those beyond 2^53 seconds as the nearest one',
  async (t, mount) => {
    await sh('touch f; mkdir d; ln -s f l; mkfifo p', { cwd: mount.path });
    const times = [
      // ext4's own times end in 2446 and begin in 1901.
      { seconds: 15_032_385_536n, nanoseconds: 1n },
      { seconds: 253_402_300_799n, nanoseconds: 999_999_999n },
      { seconds: 2n ** 40n, nanoseconds: 5n },
      { seconds: -1n, nanoseconds: 999_999_999n },
      { seconds: -62_135_596_800n, nanoseconds: 0n },
      { seconds: 2n ** 32n, nanoseconds: 0n },
    ];
    for (const name of ['f', 'd', 'l', 'p']) {
      for (const time of times) {
        setTimes(mount.at(name), time, { ...time, seconds: time.seconds + 1n });
        const stat = lstatSync(mount.at(name), { bigint: true });
        const expected = time.seconds * 1_000_000_000n + time.nanoseconds;
        t.is(stat.atimeNs, expected, name);
        t.is(stat.mtimeNs, expected + 1_000_000_000n, name);
      }
    }
    const path = mount.at('f');
    const last = 2n ** 53n - 1n;
    for (const [asked, kept] of [
      [2n ** 53n, last],
      [2n ** 63n - 1n, last],
      [-(2n ** 53n), -last],
      [-(2n ** 63n), -last],
      [last, last],
    ] as const) {
      setTimes(path, { seconds: asked, nanoseconds: 0n }, { seconds: asked, nanoseconds: 0n });
      t.is(statSync(path, { bigint: true }).mtimeMs / 1000n, kept, String(asked));
    }
    writeFileSync(path, 'the mount goes on');
    t.is(readFileSync(path, 'utf8'), 'the mount goes on');
  },
  { lacks: 'milliseconds', notOn: ['tmpfs'] },
);

mountTest(
  'UTIME_NOW sets one time alone, UTIME_OMIT leaves one, and both left change nothing',
  (t, mount) => {
    const path = mount.at('f');
    writeFileSync(path, '');
    const times = () => {
      const { atimeNs, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
      return { atimeNs, mtimeNs, ctimeNs };
    };
    const second = 1_000_000_000n;
    setTimes(path, { seconds: 5n, nanoseconds: 6n }, { seconds: 7n, nanoseconds: 8n });
    setTimes(path, 'omit', { seconds: 9n, nanoseconds: 0n });
    t.like(times(), { atimeNs: 5n * second + 6n, mtimeNs: 9n * second });
    setTimes(path, { seconds: 1n, nanoseconds: 1n }, 'omit');
    t.like(times(), { atimeNs: second + 1n, mtimeNs: 9n * second });
    const before = times();
    setTimes(path, 'omit', 'omit');
    t.deepEqual(times(), before);
    setTimes(path, 'now', 'omit');
    t.is(times().mtimeNs, 9n * second);
    t.true(times().atimeNs > 1_000_000n * second);
    setTimes(path, 'omit', 'now');
    t.true(times().mtimeNs >= times().atimeNs);
    t.true(times().ctimeNs >= times().mtimeNs);
    for (const nanoseconds of [1_000_000_000n, -1n]) {
      t.throws(
        () => {
          setTimes(path, 'omit', { seconds: 1n, nanoseconds });
        },
        { code: 'EINVAL' },
      );
    }
  },
  { lacks: 'partialChange' },
);
