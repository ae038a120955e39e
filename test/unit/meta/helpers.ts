/** A store in a private folder, and short words for what tests do with it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { ManualClock } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import type { EntrySequence, InodeId } from '../../../src/ids.ts';
import { ROOT_INODE } from '../../../src/ids.ts';
import { silentLogger } from '../../../src/log.ts';
import { type LocalMetaOptions, LocalMetaStore } from '../../../src/meta/local.ts';
import type { EntryName, NewInode } from '../../../src/meta/store.ts';
import { FileType } from '../../../src/stat.ts';

export const FILE: NewInode = { mode: FileType.REGULAR | 0o644, uid: 1, gid: 2 };
export const DIRECTORY: NewInode = { mode: FileType.DIRECTORY | 0o755, uid: 1, gid: 2 };
export const LAYOUT = { policy: 'RR', blockSizeBytes: 1_048_576, replication: 1 } as const;

/** A folder that goes when the test ends. */
export function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** What every store here is opened with; its blocks are freed at once. */
export function optionsFor(overrides: Partial<LocalMetaOptions>): LocalMetaOptions {
  return {
    clock: new ManualClock(),
    reaper: { free: () => undefined },
    defaults: LAYOUT,
    owner: { uid: 7, gid: 8, mode: 0o755 },
    logger: silentLogger,
    ...overrides,
  };
}

export async function openStore(
  t: ExecutionContext,
  overrides: Partial<LocalMetaOptions> = {},
): Promise<LocalMetaStore> {
  const store = await LocalMetaStore.open(
    optionsFor(
      overrides.path === undefined && overrides.temporaryIn === undefined
        ? { temporaryIn: temporaryFolder(t), ...overrides }
        : overrides,
    ),
  );
  t.teardown(() => store.close());
  return store;
}

/** The name `text` in a directory, by default the root. */
export function at(text: string, parent: InodeId = ROOT_INODE): EntryName {
  return { parent, name: Buffer.from(text) };
}

export function mkdir(store: LocalMetaStore, text: string, parent?: InodeId): InodeId {
  return store.create(at(text, parent), DIRECTORY).inode;
}

export function touch(store: LocalMetaStore, text: string, parent?: InodeId): InodeId {
  return store.create(at(text, parent), FILE).inode;
}

/** The names in a directory, in listing order. */
export function namesIn(store: LocalMetaStore, directory: InodeId = ROOT_INODE): string[] {
  return store
    .list(directory, {
      after: 0 as EntrySequence,
      upTo: undefined,
      withRecords: false,
      limit: 1_000_000,
    })
    .entries.map(({ name }) => name.toString());
}

/** Name of the errno that `action` fails with, 'OK' if it does not. */
export function outcome(action: () => unknown): string {
  try {
    action();
    return 'OK';
  } catch (error) {
    if (error instanceof FsError) return error.code;
    throw error;
  }
}
