/** The README's table of options, made from the table that the parser uses. */
import { HELP_FLAGS, OPTION_TABLE, VERSION_FLAGS, type OptionRow } from '../../src/cli/options.ts';

/** Markdown; long lists of words wrap in the browser, so each option is one row. */
export function optionTableMarkdown(): string {
  const rows = OPTION_TABLE.map(
    ({ flags, help, defaultText }: OptionRow) =>
      `| ${code(flags)} | ${escape(help)} | ${defaultText === undefined ? '' : escape(defaultText)} |`,
  );
  return [
    '| Option | Meaning | Default |',
    '| --- | --- | --- |',
    ...rows,
    `| ${code(VERSION_FLAGS)} | show the version | |`,
    `| ${code(HELP_FLAGS)} | show all options (\`-h\` is the host file) | |`,
  ].join('\n');
}

function code(text: string): string {
  return `\`${text}\``;
}

function escape(text: string): string {
  return text.replace(/([|<>])/g, '\\$1');
}
