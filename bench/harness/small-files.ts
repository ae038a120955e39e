/** The workloads on many small files; each run is a process of its own, `small-files-worker.ts`. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command } from './command.ts';
import type { OperationName, WorkerJob, WorkerResult } from './small-files-worker.ts';
import type { Workload } from './workloads.ts';

const WORKER = fileURLToPath(new URL('small-files-worker.js', import.meta.url));

const FILES_PER_FOLDER = 40;
/** A tree has two thirds of the files: 2,000 beside 3,000. */
const TREE_SHARE = 2 / 3;

interface Row {
  readonly operation: OperationName;
  readonly name: string;
  readonly cold?: boolean;
  readonly headline?: boolean;
}

// prettier-ignore
const FLAT: readonly Row[] = [
  { operation: 'create', name: 'create an empty file' },
  { operation: 'new', name: 'new file of 4 KiB', headline: true },
  { operation: 'stat', name: 'stat, cold', cold: true, headline: true },
  { operation: 'read', name: 'open, read 4 KiB, close, cold', cold: true, headline: true },
  { operation: 'list', name: 'ls -l, cold', cold: true, headline: true },
  { operation: 'rename', name: 'rename', headline: true },
  { operation: 'unlink', name: 'unlink', headline: true },
];

// prettier-ignore
const TREE: readonly Row[] = [
  { operation: 'tree-make', name: 'make it', headline: true },
  { operation: 'tree-tar', name: 'tar c, cold', cold: true, headline: true },
  { operation: 'tree-remove', name: 'rm -r', headline: true },
];

export function smallFileWorkloads(options: { files: number; quick: boolean }): Workload[] {
  const { quick } = options;
  const folders = Math.max(1, Math.round((options.files * TREE_SHARE) / FILES_PER_FOLDER));
  const tree = `tree of ${(folders * FILES_PER_FOLDER).toLocaleString('en')} files in ${folders} folders`;
  return [
    ...FLAT.map((row) => workload(row, row.name, { quick, files: options.files, folders: 1 })),
    ...TREE.map((row) =>
      workload(row, `${tree}: ${row.name}`, { quick, files: FILES_PER_FOLDER, folders }),
    ),
  ];
}

function workload(
  row: Row,
  name: string,
  options: { quick: boolean; files: number; folders: number },
): Workload {
  const { quick, ...counts } = options;
  return {
    name,
    unit: 'files/s',
    direct: false,
    dropsCaches: row.cold === true,
    headline: row.headline === true,
    run: async (scope) => {
      const job: WorkerJob = {
        operation: row.operation,
        forgets: row.cold === true ? (quick ? 'entries' : 'everything') : 'nothing',
        folder: join(scope.folder, 'small'),
        spare: scope.spare,
        ...counts,
      };
      const { signal } = scope;
      const output = await command(process.execPath, [WORKER, JSON.stringify(job)], { signal });
      return (counts.files * counts.folders) / (JSON.parse(output) as WorkerResult).seconds;
    },
  };
}
