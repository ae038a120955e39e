/** The table of docs/engines.md, made from the list that the tests go by. */
import { NATIVE_LIMITS } from '../../src/fs/native/limits.ts';

export function limitTableMarkdown(): string {
  const rows = Object.entries(NATIVE_LIMITS).map(
    ([name, { what, why }]) => `| \`${name}\` | ${what} | ${why} |`,
  );
  return ['| Limit | What it means | Why |', '| --- | --- | --- |', ...rows].join('\n');
}
