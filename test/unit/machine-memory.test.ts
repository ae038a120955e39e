import test from 'ava';
import { usableMemoryBytes } from '../../src/machine-memory.ts';

const MEMINFO = 'MemTotal:       16000000 kB\nMemFree:        1 kB\n';
const RAM = 16_000_000 * 1024;

function usable(files: Record<string, string>): number {
  const all: Partial<Record<string, string>> = { '/proc/meminfo': MEMINFO, ...files };
  return usableMemoryBytes((path) => all[path]);
}

test('without a control group all RAM may be used', (t) => {
  t.is(usable({}), RAM);
});

test('"max" in v2 and the huge number in v1 mean no limit', (t) => {
  t.is(usable({ '/proc/self/cgroup': '0::/a\n', '/sys/fs/cgroup/a/memory.max': 'max\n' }), RAM);
  t.is(
    usable({
      '/proc/self/cgroup': '4:memory:/a\n',
      '/sys/fs/cgroup/memory/a/memory.limit_in_bytes': '9223372036854771712\n',
    }),
    RAM,
  );
});

test('the lowest v2 limit between the process and the root counts', (t) => {
  t.is(
    usable({
      '/proc/self/cgroup': '0::/job/step\n',
      '/sys/fs/cgroup/job/step/memory.max': '8000000000\n',
      '/sys/fs/cgroup/job/memory.high': '5000000000\n',
    }),
    5_000_000_000,
  );
});

test('a v1 limit counts, also among several controllers', (t) => {
  t.is(
    usable({
      '/proc/self/cgroup': '9:name=systemd:/\n4:cpu,memory:/box\n0::/\n',
      '/sys/fs/cgroup/memory/box/memory.limit_in_bytes': '3000000000\n',
    }),
    3_000_000_000,
  );
});

test('in a container whose group path does not exist the limit of the visible root counts', (t) => {
  t.is(
    usable({
      '/proc/self/cgroup': '4:memory:/docker/abc\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '2000000000\n',
    }),
    2_000_000_000,
  );
});

test('a limit above RAM changes nothing', (t) => {
  t.is(
    usable({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/memory.max': '999999999999999\n' }),
    RAM,
  );
});
