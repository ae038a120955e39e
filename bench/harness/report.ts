/** Figures as Markdown: a full table, a short one, and their places in the documents. Pure. */
import type { Column, Figures, Row } from './figures.ts';
import { ratioOf, type Spread, spreadOf } from './statistics.ts';

/** What stands in a cell that has no figure. */
const NONE = '–';

/** The block of docs/performance.md: every workload, every target, with the range of the rounds. */
export function fullTable(figures: Figures): string {
  const base = columnOf(figures, 'base') ?? figures.targets[0];
  const reference = columnOf(figures, 'reference');
  const others = figures.targets.filter(
    ({ name, comparedWith }) => name !== base?.name && comparedWith === undefined,
  );
  const mine = others.filter(({ title }) => title.startsWith('imssfs'));
  const over = reference === undefined ? [] : mine;
  const apart = figures.targets.flatMap((column) => {
    const other = figures.targets.find(({ name }) => name === column.comparedWith);
    return other === undefined ? [] : [{ column, other }];
  });
  const header = [
    'Workload',
    ...(base === undefined ? [] : [base.title]),
    ...others.map(({ title }) => `${title} / ${base?.title ?? ''}`),
    ...over.map(({ title }) => `**${title} / ${reference?.title ?? ''}**`),
    ...apart.map(({ column, other }) => `${column.title} / ${other.title}`),
  ];
  const rows = figures.rows.map((row) => [
    row.name,
    ...(base === undefined ? [] : [rate(row, base)]),
    ...others.map((column) => withRange(ratio(row, column, base))),
    ...over.map((column) => bold(withRange(ratio(row, column, reference)))),
    ...apart.map(({ column, other }) => withRange(ratio(row, column, other))),
  ]);
  return `${machineLine(figures)}\n\n${markdownTable(header, rows)}`;
}

/** The block of the README: the workloads that say most, the default engine, medians alone. */
export function shortTable(figures: Figures): string {
  const base = columnOf(figures, 'base');
  const reference = columnOf(figures, 'reference');
  const mine = figures.targets.find(({ title }) => title === 'imssfs') ?? figures.targets[0];
  if (mine === undefined) return machineLine(figures);
  const header = [
    'Workload',
    mine.title,
    ...(reference === undefined ? [] : [`${mine.title} / ${reference.title}`]),
    ...(base === undefined ? [] : [`${mine.title} / ${base.title}`]),
  ];
  const rows = figures.rows
    .filter(({ headline }) => headline)
    .map((row) => [
      row.name,
      rate(row, mine),
      ...(reference === undefined ? [] : [bold(plain(ratio(row, mine, reference)))]),
      ...(base === undefined ? [] : [plain(ratio(row, mine, base))]),
    ]);
  return `${markdownTable(header, rows)}\n\n${machineLine(figures)}`;
}

function columnOf(figures: Figures, role: NonNullable<Column['role']>): Column | undefined {
  return figures.targets.find((column) => column.role === role);
}

function ratio(row: Row, column: Column, base: Column | undefined): Spread | undefined {
  return ratioOf(row.samples[column.name] ?? [], row.samples[base?.name ?? ''] ?? []);
}

function rate(row: Row, column: Column): string {
  const figures = (row.samples[column.name] ?? []).filter((figure) => figure !== null);
  const spread = spreadOf(figures);
  return spread === undefined ? NONE : `${grouped(spread.median)} ${row.unit}`;
}

function plain(spread: Spread | undefined): string {
  return spread === undefined ? NONE : short(spread.median);
}

function withRange(spread: Spread | undefined): string {
  if (spread === undefined) return NONE;
  const [lowest, highest] = [short(spread.lowest), short(spread.highest)];
  return lowest === highest
    ? short(spread.median)
    : `${short(spread.median)} (${lowest}–${highest})`;
}

function bold(text: string): string {
  return text === NONE ? text : text.replace(/^[\d.,]+/, '**$&**');
}

/** Three significant digits: 1.52, 0.0313, 12.5. */
export function short(figure: number): string {
  if (figure >= 100) return grouped(figure);
  return figure >= 1 ? figure.toPrecision(3) : figure.toPrecision(2);
}

/** A rate without digits that the next run would not repeat: 8,460. */
function grouped(figure: number): string {
  return Number(figure.toPrecision(3)).toLocaleString('en');
}

function machineLine({ date, version, machine, settings, targets }: Figures): string {
  const names = targets.map(({ name }) => name).join(', ');
  return (
    `imssfs ${version}, ${date}: ${machine.cpus} CPUs (${machine.cpu}), ${machine.memoryGib} GiB, ` +
    `Linux ${machine.kernel}, Node.js ${machine.node.replace(/^v/, '')}, ` +
    `load average ${machine.loadAverage} before; targets ${names}; ` +
    `${settings.sizeMib} MiB, ${settings.files.toLocaleString('en')} files, ` +
    `medians of ${settings.rounds} ${settings.rounds === 1 ? 'round' : 'rounds'}.`
  );
}

/** A Markdown table whose first column is words and whose others are figures. */
export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = header.map((_, index) => (index === 0 ? '---' : '---:'));
  return [header, rule, ...rows].map(line).join('\n');
}

const OPEN = '<!-- bench -->';
const CLOSE = '<!-- /bench -->';

/** A block between its markers, as it stands in a document. */
export function marked(block: string): string {
  return `${OPEN}\n${block}\n${CLOSE}`;
}

/** `document` with what stands between its markers replaced. Throws if it has none. */
export function withBlock(document: string, block: string): string {
  const start = document.indexOf(OPEN);
  const end = document.indexOf(CLOSE);
  if (start < 0 || end < start) throw new Error(`the markers ${OPEN} and ${CLOSE} are missing`);
  return document.slice(0, start) + marked(block) + document.slice(end + CLOSE.length);
}
