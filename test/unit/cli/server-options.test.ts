import test from 'ava';
import { SERVER_OPTIONS, parseServerLine, serverCommand } from '../../../src/cli/server-options.ts';

function helpOf(...args: string[]): string {
  const answer = parseServerLine(args);
  return 'text' in answer ? answer.text : '';
}

for (const kind of ['meta', 'blocks'] as const) {
  test(`imssfs server ${kind} --help shows every option with its default, and examples`, (t) => {
    const text = helpOf(kind, '--help');
    const flat = text.replace(/\s+/g, ' ');
    t.regex(text, new RegExp(`^Usage: imssfs server ${kind} \\[options\\]\n`));
    for (const row of SERVER_OPTIONS[kind]) {
      t.true(flat.includes(`${row.flags} ${row.help}`), row.flags);
      if (row.defaultText !== undefined) t.true(flat.includes(`(default: ${row.defaultText})`));
    }
    t.regex(text, /\nExamples:\n/);
    t.regex(text, /Exit code: 0 stopped/);
  });

  test(`no two options of imssfs server ${kind} share a flag`, (t) => {
    const flags = serverCommand(kind).options.flatMap((option) => [option.short, option.long]);
    const given = [...flags, '-H', '--help'].filter((flag) => flag !== undefined);
    t.is(new Set(given).size, given.length);
  });
}

test('imssfs server --help explains both kinds and the positional forms', (t) => {
  const text = helpOf('--help');
  t.regex(text, /imssfs server meta --help/);
  t.true(text.includes('imssfs server ./metadata 5569 0'));
  t.true(text.includes('imssfs server imss:// 5555 0 node1 5569 4 ./hostfile 1'));
  t.is(helpOf('-H'), text);
});
