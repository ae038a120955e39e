import test from 'ava';
import { readFileSync } from 'node:fs';
import { kernelVersion, parseFigures, shortcomings } from '../../../bench/harness/figures.ts';
import { fullTable, marked, short, shortTable, withBlock } from '../../../bench/harness/report.ts';
import { FIGURES } from './figures.ts';

const MACHINE =
  'imssfs 1.2.3, 2026-01-02: 2 CPUs (Fast), 24 GiB, Linux 6.18.0, Node.js 20.20.2, load average 0.5 before; ' +
  'targets tmpfs, kernel, fuse-native, passthrough; 64 MiB, 3,000 files, medians of 2 rounds.';

test('the full table has the base in its unit, ratios with their range, and dashes for no figure', (t) => {
  t.is(
    fullTable(FIGURES),
    [
      MACHINE,
      '',
      '| Workload | tmpfs | imssfs / tmpfs | imssfs, fuse-native / tmpfs | C FUSE / tmpfs | **imssfs / C FUSE** | **imssfs, fuse-native / C FUSE** |',
      '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
      '| read | 3,000 MiB/s | 0.63 (0.50–0.75) | 0.10 | 0.38 (0.25–0.50) | **1.75** (1.50–2.00) | **0.30** (0.20–0.40) |',
      '| stat | 112,000 files/s | 0.020 (0.019–0.020) | – | 0.039 (0.039–0.040) | **0.50** | – |',
    ].join('\n'),
  );
});

test('the short table has the rows that say most, for the default engine', (t) => {
  t.is(
    shortTable(FIGURES),
    [
      '| Workload | imssfs | imssfs / C FUSE | imssfs / tmpfs |',
      '| --- | ---: | ---: | ---: |',
      '| read | 1,750 MiB/s | **1.75** | 0.63 |',
      '',
      MACHINE,
    ].join('\n'),
  );
});

test('without a reference, there is no column that divides by it', (t) => {
  const targets = FIGURES.targets.filter(({ role }) => role !== 'reference');
  t.regex(fullTable({ ...FIGURES, targets }), /^\| Workload \| tmpfs \| [^*]* \|$/m);
  t.regex(shortTable({ ...FIGURES, targets }), /^\| Workload \| imssfs \| imssfs \/ tmpfs \|$/m);
});

test('ratios have the digits that matter', (t) => {
  t.deepEqual([0.0313, 0.999, 1, 9.996, 12.34, 1234.5].map(short), [
    '0.031',
    '1.0',
    '1.00',
    '10.0',
    '12.3',
    '1,230',
  ]);
});

test('a table goes between the markers of a document, and nothing else changes', (t) => {
  const before = `# Title\n${marked('old\nlines')}\n## End\n`;
  t.is(withBlock(before, 'new'), '# Title\n<!-- bench -->\nnew\n<!-- /bench -->\n## End\n');
  t.throws(() => withBlock('# Title', 'new'), { message: /markers .* are missing/ });
});

for (const name of ['README.md', 'docs/performance.md']) {
  test(`${name} has the place where the comparison writes its table`, (t) => {
    const text = readFileSync(new URL(`../../../../${name}`, import.meta.url), 'utf8');
    t.true(withBlock(text, 'FIGURES').includes(marked('FIGURES')));
    t.is(text.split('<!-- bench -->').length, 2);
  });
}

test('figures survive being written as JSON', (t) => {
  t.deepEqual(parseFigures(JSON.stringify(FIGURES)), FIGURES);
  for (const other of ['null', '{}', '{"format":2,"rows":[]}', '{"format":1}']) {
    t.throws(() => parseFigures(other), { message: 'this is not what --json writes' });
  }
});

test('whole figures have no shortcomings', (t) => {
  t.deepEqual(shortcomings(FIGURES), []);
});

test('a failure and a target without any figure are shortcomings', (t) => {
  const rows = FIGURES.rows.filter(({ name }) => name === 'stat');
  t.deepEqual(shortcomings({ ...FIGURES, rows, failures: ['stat on kernel: EIO'] }), [
    'stat on kernel: EIO',
    'fuse-native has no figure at all',
  ]);
});

test('a run without workloads or targets has fallen short', (t) => {
  t.deepEqual(shortcomings({ ...FIGURES, rows: [], targets: [] }), [
    'no workload was measured',
    'no target was measured',
  ]);
});

test('a kernel is named by its version, without what its builder has added', (t) => {
  t.is(kernelVersion('6.18.44-custom-1'), '6.18.44');
  t.is(kernelVersion('6.1.0'), '6.1.0');
});
