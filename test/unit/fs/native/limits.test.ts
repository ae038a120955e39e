import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { NATIVE_LIMITS } from '../../../../src/fs/native/limits.ts';
import { limitTableMarkdown } from '../../../support/limit-docs.ts';

const ROOT = new URL('../../../../../', import.meta.url);

test('docs/engines.md lists what fuse-native cannot do, as the tests have it', (t) => {
  const docs = readFileSync(new URL('docs/engines.md', ROOT), 'utf8');
  const table = /<!-- limits:.*-->\n([\s\S]*?)\n<!-- \/limits -->/.exec(docs)?.[1];
  t.is(table, limitTableMarkdown());
});

test('every limit of fuse-native is why a test is left out there, or is shown by one', (t) => {
  const folder = new URL('test/', ROOT);
  const tests = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'));
  const named = tests.flatMap((text) =>
    Array.from(text.matchAll(/\b(?:lacks|limit): '(\w+)'/g), (match) => match[1]),
  );
  t.deepEqual([...new Set(named)].sort(), Object.keys(NATIVE_LIMITS).sort());
});
