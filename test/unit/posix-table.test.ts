import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { HANDLED_OPERATIONS } from '../../src/fs/fuse/operations.ts';
import { NATIVE_LIMITS } from '../../src/fs/native/limits.ts';

const projectPath = (name: string): string =>
  fileURLToPath(new URL(`../../../${name}`, import.meta.url));

/** Requests that the session answers itself, without the table of handlers. */
const SESSION_REQUESTS = ['INIT', 'FORGET', 'BATCH_FORGET', 'INTERRUPT'];
const HEADING = ['Call', 'Request', 'What imssfs does', 'fuse-native', 'Shown by'];

interface Row {
  readonly call: string;
  readonly requests: readonly string[];
  readonly native: string;
  readonly titles: readonly string[];
}

function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}

function readTable(): { headings: string[][]; rows: Row[] } {
  const text = readFileSync(projectPath('docs/posix.md'), 'utf8');
  const table = /<!-- posix:.*?-->(.*)<!-- \/posix -->/s.exec(text)?.[1] ?? '';
  const headings: string[][] = [];
  const rows: Row[] = [];
  for (const line of table.split('\n')) {
    if (!line.startsWith('| ') || line.startsWith('| ---')) continue;
    const cells = line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim());
    if (cells[0] === 'Call') {
      headings.push(cells);
      continue;
    }
    const [call = '', requests = '', , native = '', shown = ''] = cells;
    const titles = [...shown.matchAll(/“([^”]*)”/g)].map((match) => match[1] ?? '');
    rows.push({ call, requests: quoted(requests), native, titles });
  }
  return { headings, rows };
}

/** The sources of all tests but this one, as one text. */
function testSources(): string {
  const folder = projectPath('test');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && name !== 'unit/posix-table.test.ts')
    .map((name) => readFileSync(`${folder}/${name}`, 'utf8'))
    .join('\n');
}

const { headings, rows } = readTable();

test('the tables of docs/posix.md have the columns that are checked here', (t) => {
  t.true(headings.length >= 4);
  for (const heading of headings) t.deepEqual(heading, HEADING);
  t.true(rows.length > 30);
  for (const { call } of rows) t.not(call, '');
});

test('every request that the session answers has a line', (t) => {
  const described = new Set(rows.flatMap(({ requests }) => requests));
  const answered = [...HANDLED_OPERATIONS, ...SESSION_REQUESTS];
  t.deepEqual(
    answered.filter((name) => !described.has(name)),
    [],
    'answered, and not in the table',
  );
  t.deepEqual(
    [...described].filter((name) => !answered.includes(name)),
    [],
    'in the table, and not answered',
  );
});

test('every line names tests, and all of them exist', (t) => {
  const sources = testSources();
  for (const { call, titles } of rows) {
    t.true(titles.length > 0, call);
    for (const title of titles) {
      const isThere = ["'", '"', '`'].some((quote) => sources.includes(`${quote}${title}${quote}`));
      t.true(isThere, `${call}: “${title}”`);
    }
  }
});

test('every line says what fuse-native does: the same, or one of its limits', (t) => {
  for (const { call, native } of rows) {
    const limits = quoted(native);
    if (limits.length === 0) t.true(['same', 'not there'].includes(native), call);
    for (const limit of limits) t.true(limit in NATIVE_LIMITS, `${call}: ${limit}`);
  }
});
