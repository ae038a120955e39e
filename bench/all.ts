/**
 * Runs every benchmark of this folder, one after the other: `npm run bench -- [--quick]`. Arguments go to each
 * of them. What only the comparison does (`--help`, `--markdown`, `--update`, `--from`) it does alone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { INTERRUPTED_STATUS, runBenchmark } from './harness/interruption.ts';
import { parseOptions } from './harness/options.ts';
import { USAGE_STATUS } from './harness/shared-options.ts';
import { TARGET_NAMES } from './harness/targets.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));
let running: ChildProcess | undefined;

// The benchmark tidies up and ends; Ctrl-C reaches it by itself, other signals perhaps this process alone.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => running?.kill(signal));
}

/** Resolves to its exit status; a signal that ends it counts as an interruption. */
async function run(file: string, args: readonly string[]): Promise<number> {
  running = spawn(process.execPath, [folder + file, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [status] = (await once(running, 'exit')) as [number | null];
  return status ?? INTERRUPTED_STATUS;
}

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  const { help, markdown, update, from } = parseOptions(args, TARGET_NAMES);
  const comparesOnly = help || markdown || update || from !== undefined;
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.js') && name !== 'all.js')
    .filter((name) => !comparesOnly || name === 'compare.js');
  let failed = 0;
  for (const file of files) {
    const name = file.replace('.js', '');
    if (!comparesOnly) console.log(`== ${name}`);
    const status = await run(file, args);
    if (status === USAGE_STATUS) return status;
    if (status === INTERRUPTED_STATUS) {
      console.error(`${name} was ended`);
      return status;
    }
    if (status !== 0) failed += 1;
  }
  if (failed > 0) console.error(`${failed} of ${files.length} benchmarks failed`);
  return failed === 0 ? 0 : 1;
}

await runBenchmark(main);
