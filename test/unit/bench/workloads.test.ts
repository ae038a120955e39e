import test from 'ava';
import { fioWorkloads, rateOf } from '../../../bench/harness/fio.ts';
import { smallFileWorkloads } from '../../../bench/harness/small-files.ts';

const all = [
  ...fioWorkloads({ sizeMib: 512, quick: false }),
  ...smallFileWorkloads({ files: 3000, quick: false }),
];

test('no two workloads share a name', (t) => {
  const names = all.map(({ name }) => name);
  t.is(new Set(names).size, names.length);
});

test('large files are written, rewritten and read by one job and by four', (t) => {
  for (const kind of ['write 1 MiB, new file', 'write 1 MiB, again', 'read 1 MiB, cold']) {
    for (const jobs of ['1 job', '4 jobs']) {
      t.true(all.some(({ name, unit }) => name === `${kind}, ${jobs}` && unit === 'MiB/s'));
    }
  }
});

test('workloads that open with O_DIRECT say so in their name and to the rounds', (t) => {
  for (const { name, direct } of all) t.is(direct, name.includes('direct'), name);
});

test('of the small-file workloads, those that say cold drop caches', (t) => {
  for (const { name, dropsCaches, unit } of all) {
    if (unit === 'files/s') t.is(dropsCaches, name.includes('cold'), name);
    else t.false(dropsCaches, name);
  }
});

test('3,000 files make a tree of 2,000 in 50 folders', (t) => {
  t.true(all.some(({ name }) => name === 'tree of 2,000 files in 50 folders: tar c, cold'));
});

test("fio's report is read behind its warnings", (t) => {
  const report = {
    jobs: [{ read: { bw_bytes: 2 ** 21, iops: 30 }, write: { bw_bytes: 0, iops: 0 } }],
  };
  const output = `note: something\n${JSON.stringify(report)}`;
  t.is(rateOf(output, 'bandwidth'), 2);
  t.is(rateOf(output, 'operations'), 30);
});
