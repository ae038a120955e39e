/**
 * Child process of the small-file workloads: makes the files (untimed), forgets caches if it is to be cold,
 * runs one operation over all of them, prints how long that took, removes everything.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What is to be done, as JSON in the first argument. */
export interface WorkerJob {
  readonly operation: OperationName;
  /**
   * What the machine forgets before it is timed. `entries`, dentries and inodes, is for runs whose figures nobody reads:
   * forgotten pages are those of all other programs, too.
   */
  readonly forgets: 'nothing' | 'entries' | 'everything';
  /** Made, and gone again at the end. */
  readonly folder: string;
  /** An empty folder elsewhere. */
  readonly spare: string;
  /** In each folder. */
  readonly files: number;
  readonly folders: number;
}

export interface WorkerResult {
  readonly seconds: number;
}

interface Operation {
  /** Makes what `act` works on, in a folder that is there. */
  prepare?(job: WorkerJob): void;
  act(job: WorkerJob): void;
  /** Loads a program that has just been forgotten with all else. */
  load?(job: WorkerJob): void;
}

const FILE_BYTES = 4096;
/** Enough that neither this process nor a daemon meets the operation for the first time. */
const REHEARSAL_FILES = 50;
/** A FUSE daemon is told of each inode that the kernel has forgotten; it gets time to hear all. */
const SETTLE_MS = 100;

const page = Buffer.alloc(FILE_BYTES, 'imssfs');

function eachFile(job: WorkerJob, action: (path: string) => void): void {
  for (let index = 0; index < job.files; index++) action(join(job.folder, `file-${index}`));
}

function makeFiles(job: WorkerJob): void {
  eachFile(job, (path) => {
    const fd = openSync(path, 'wx');
    writeSync(fd, page);
    closeSync(fd);
  });
}

function makeTree(job: WorkerJob): void {
  for (let index = 0; index < job.folders; index++) {
    const folder = join(job.folder, `folder-${index}`);
    mkdirSync(folder);
    makeFiles({ ...job, folder });
  }
}

function program(folder: string, script: string): void {
  const { status, stderr, error } = spawnSync('/bin/sh', ['-c', script], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (error !== undefined || status !== 0) throw error ?? new Error(`${script}: ${stderr}`);
}

const LIST = 'exec ls -l';
/** tar does not read the files of an archive that goes to /dev/null itself. */
const PACK = 'tar -cf - . | cat >/dev/null';

const OPERATIONS = {
  create: {
    act(job) {
      eachFile(job, (path) => {
        closeSync(openSync(path, 'wx'));
      });
    },
  },
  new: { act: makeFiles },
  stat: {
    prepare: makeFiles,
    act(job) {
      eachFile(job, (path) => lstatSync(path));
    },
  },
  read: {
    prepare: makeFiles,
    act(job) {
      eachFile(job, (path) => {
        const fd = openSync(path, 'r');
        if (readSync(fd, page) !== FILE_BYTES) throw new Error(`${path} is too short`);
        closeSync(fd);
      });
    },
  },
  list: {
    prepare: makeFiles,
    load(job) {
      program(job.spare, LIST);
    },
    act(job) {
      program(job.folder, LIST);
    },
  },
  rename: {
    prepare: makeFiles,
    act(job) {
      eachFile(job, (path) => {
        renameSync(path, `${path}-moved`);
      });
    },
  },
  unlink: {
    prepare: makeFiles,
    act(job) {
      eachFile(job, unlinkSync);
    },
  },
  'tree-make': { act: makeTree },
  'tree-tar': {
    prepare: makeTree,
    load(job) {
      program(job.spare, PACK);
    },
    act(job) {
      program(job.folder, PACK);
    },
  },
  'tree-remove': {
    prepare: makeTree,
    act(job) {
      program(job.folder, 'rm -r ./*');
    },
  },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;

/** Returns how long the operation itself took. */
function perform(job: WorkerJob): number {
  const operation: Operation = OPERATIONS[job.operation];
  mkdirSync(job.folder);
  operation.prepare?.(job);
  if (job.forgets !== 'nothing') {
    writeFileSync('/proc/sys/vm/drop_caches', job.forgets === 'entries' ? '2' : '3');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SETTLE_MS);
    operation.load?.(job);
  }
  const start = process.hrtime.bigint();
  operation.act(job);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  rmSync(job.folder, { recursive: true });
  return seconds;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const job = JSON.parse(process.argv[2] ?? '') as WorkerJob;
  perform({
    ...job,
    forgets: 'nothing',
    folder: `${job.folder}-rehearsal`,
    files: Math.min(job.files, REHEARSAL_FILES),
    folders: 1,
  });
  const result: WorkerResult = { seconds: perform(job) };
  console.log(JSON.stringify(result));
}
