import { readFileSync } from 'node:fs';
import test from 'ava';
import { optionTableMarkdown } from '../../support/option-docs.ts';

const readme = readFileSync(new URL('../../../../README.md', import.meta.url), 'utf8');

test('the README explains every option as the command does', (t) => {
  const table = /<!-- options:.*-->\n([\s\S]*?)\n<!-- \/options -->/.exec(readme)?.[1];
  t.is(table, optionTableMarkdown());
});

test('the README names the commands that the package has', (t) => {
  const manifest = JSON.parse(
    readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8'),
  ) as { scripts: Record<string, string>; bin: Record<string, string> };
  t.truthy(manifest.scripts['start']);
  t.truthy(manifest.scripts['test']);
  t.true(readme.includes('npm ci --ignore-scripts && npm start'));
  t.true(readme.includes('npm ci --ignore-scripts && npm test'));
  for (const name of Object.keys(manifest.bin)) t.true(readme.includes(name));
});
