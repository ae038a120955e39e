/**
 * Carries out operations in a worker process: makes the system call, and tells its result and what became of the files
 * concerned as one text. Owns the process's descriptors, working directory and umask.
 */
import {
  actOnDescriptor,
  actOnPath,
  descriptorFor,
  type Act,
  NO_DESCRIPTOR,
  type Slots,
} from './perform.ts';
import { aftermath, type Fault } from './fault.ts';
import { describeTree, FOLDER_LABEL, type Target, targetAt, targetOf, Watch } from './observe.ts';
import type { Operation } from './operation.ts';
import * as calls from './system-calls.ts';

export interface ExecutorOptions {
  /** The folder that scripts work in, as this process sees it. */
  root: string;
  /** The kernel's stamps are fine enough to tell whether a time has moved. */
  showMoves: boolean;
  /** This side's file system has something of its own to forget. */
  forgetsNames: boolean;
  fault: Fault | undefined;
}

/** Operations after which contents need no look. */
const CHANGES_NOTHING: ReadonlySet<string> = new Set<Act['op']>([
  ...(['close', 'read', 'pread', 'mapRead', 'seek', 'fsync', 'fstat', 'list', 'stat'] as const),
  ...(['readlink', 'access', 'getxattr', 'listxattr', 'fchdir', 'forgetPages'] as const),
]);
const MAX_CACHED_PATHS = 5_000;

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #slots: Slots = new Map();
  readonly #paths = new Map<string, Buffer>();

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  /** Closes all, and stands in the root folder as at the beginning. */
  reset(): void {
    for (const fd of this.#slots.values()) calls.close(fd);
    this.#slots.clear();
    process.umask(0o022);
    const result = calls.chdir(calls.cString(this.#options.root));
    if (result < 0) throw new Error(`chdir to the root: ${calls.showResult(result)}`);
  }

  /** The result, then a line for each file concerned. */
  run(operation: Operation): string {
    switch (operation.op) {
      case 'tree':
        return describeTree(this.#options.root);
      case 'umask':
        process.umask(operation.mask);
        return 'ok';
      case 'forgetNames':
        if (this.#options.forgetsNames) this.#forgetNames();
        return 'ok';
      case 'goHome':
        return calls.showResult(calls.chdir(this.#path(this.#options.root)));
      case 'chdir':
        return calls.showResult(calls.chdir(this.#path(operation.path)));
      default:
        return this.#watched(operation);
    }
  }

  #watched(operation: Act): string {
    const from = this.#from(operation);
    if (from === undefined) return NO_DESCRIPTOR;
    const watch = new Watch(this.#targets(operation, from), {
      showMoves: this.#options.showMoves,
      before: operation.watched !== false,
    });
    const result =
      'path' in operation
        ? actOnPath(operation, { from, slots: this.#slots, path: (text) => this.#path(text) })
        : actOnDescriptor(operation, this.#slots);
    if (result === NO_DESCRIPTOR) return result;
    const more = aftermath(this.#options.fault, operation);
    if (more?.op === 'pwrite') actOnDescriptor(more, this.#slots);
    return (
      result +
      watch.after({
        withContents: !CHANGES_NOTHING.has(operation.op),
        allBits: result === 'ok' && (operation.op === 'chmod' || operation.op === 'fchmod'),
        // When a mapping's pages become dirty for the file system is its own affair (mmap(2)).
        timesAreOpen: operation.op === 'mapWrite',
        isWrite: operation.op === 'write' || operation.op === 'pwrite',
        atimeOf: result === 'ok' ? atimeSetOf(operation) : undefined,
      })
    );
  }

  /** Where the operation's path begins; undefined if that is no open descriptor. */
  #from(operation: Act): number | undefined {
    if (!('at' in operation)) return calls.AT_FDCWD;
    return this.#slots.get(operation.at);
  }

  /** The folder that the file is in, the file, and what it leads to if it is a symlink. */
  #targets(operation: Act, from: number): Target[] {
    const targets: Target[] = [];
    if ('slot' in operation && operation.op !== 'open') {
      const open = descriptorFor(this.#slots, operation.slot);
      if (open !== undefined) targets.push(targetOf('descriptor', open.fd));
    }
    if ('path' in operation) targets.push(...this.#around('path', operation.path, from));
    if ('to' in operation) targets.push(...this.#around('to', operation.to, calls.AT_FDCWD));
    return targets;
  }

  #around(label: string, path: string, from: number): Target[] {
    const bytes = this.#path(path);
    return [
      targetAt(`${FOLDER_LABEL} ${label}`, from, this.#path(folderOf(path)), true),
      targetAt(label, from, bytes, false),
      targetAt(`${label} followed`, from, bytes, true),
    ];
  }

  #path(text: string): Buffer {
    const cached = this.#paths.get(text);
    if (cached !== undefined) return cached;
    if (this.#paths.size > MAX_CACHED_PATHS) this.#paths.clear();
    const bytes = calls.cString(text);
    this.#paths.set(text, bytes);
    return bytes;
  }

  /** Remounting drops the dentry cache of this one file system; only root in its chroot does it. */
  #forgetNames(): void {
    const result = calls.mount(null, calls.cString('/'), null, calls.MS_REMOUNT, null);
    if (result < 0) throw new Error(`remount: ${calls.showResult(result)}`);
  }
}

/** `a` for `a/b` and `a/b/`, `.` for `a`. */
function folderOf(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  const slash = trimmed.lastIndexOf('/');
  if (slash === -1) return '.';
  return slash === 0 ? '/' : trimmed.slice(0, slash);
}

/** The label of the target whose access time the operation has set. */
function atimeSetOf(operation: Act): string | undefined {
  if (!('atime' in operation) || operation.atime.seconds === 'omit') return undefined;
  if (operation.op === 'futimens') return 'descriptor';
  return operation.follow ? 'path followed' : 'path';
}
