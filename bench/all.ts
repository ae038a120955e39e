/**
 * Runs every benchmark of this folder, one after the other: `npm run bench -- [--quick]`. Arguments go to each
 * of them. With `--markdown`, which asks for tables and nothing else, the comparison runs alone.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const args = process.argv.slice(2);
const onlyTables = args.includes('--markdown');
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.js') && name !== 'all.js')
  .filter((name) => !onlyTables || name === 'compare.js');

// Ctrl-C goes to the benchmark too, which tidies up; we wait for that, and begin no other.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

const INTERRUPTED_STATUS = 130;
let failed = 0;
for (const file of files) {
  if (!onlyTables) console.log(`== ${file.replace('.js', '')}`);
  const { status, signal } = spawnSync(process.execPath, [folder + file, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (signal !== null || status === INTERRUPTED_STATUS) {
    console.error(`${file.replace('.js', '')} was ended`);
    process.exit(INTERRUPTED_STATUS);
  }
  if (status !== 0) failed += 1;
}
if (failed > 0) console.error(`${failed} of ${files.length} benchmarks failed`);
process.exitCode = failed === 0 ? 0 : 1;
