/** Runs every benchmark, one after the other: `npm run bench -- [--quick]`. Arguments go to each of them. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const files = readdirSync(folder).filter((name) => name.endsWith('.js') && name !== 'all.js');
let failed = 0;
for (const file of files) {
  console.log(`== ${file.replace('.js', '')}`);
  const { status } = spawnSync(process.execPath, [folder + file, ...process.argv.slice(2)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) failed += 1;
}
if (failed > 0) console.error(`${failed} of ${files.length} benchmarks failed`);
process.exitCode = failed === 0 ? 0 : 1;
