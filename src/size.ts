/** Sizes as people write and read them: `10G`, `1MiB`, `512k`. Pure. */

/** Bytes per unit, by the unit's letters in lower case: K, KiB and Ki are 1024, KB is 1000. */
const UNITS = new Map<string, number>([
  ['', 1],
  ['b', 1],
  ...['k', 'm', 'g', 't', 'p'].flatMap((letter, index): [string, number][] => [
    [letter, 1024 ** (index + 1)],
    [`${letter}i`, 1024 ** (index + 1)],
    [`${letter}ib`, 1024 ** (index + 1)],
    [`${letter}b`, 1000 ** (index + 1)],
  ]),
]);

const NAMES = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Whole bytes, a fraction of a byte dropped; undefined if `text` is no size or is beyond 2^53. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text);
  const unit = UNITS.get(match?.[2]?.toLowerCase() ?? '');
  if (match?.[1] === undefined || unit === undefined) return undefined;
  const bytes = Math.floor(Number(match[1]) * unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `11.7 GiB`; exact below 1024 bytes and wherever one decimal says it all. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let name = 'bytes';
  for (const next of NAMES) {
    if (value < 1024) break;
    value /= 1024;
    name = next;
  }
  return `${Number(value.toFixed(1))} ${name}`;
}
