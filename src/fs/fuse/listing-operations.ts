/** READDIR and READDIRPLUS: pages of a directory's entries, of which the kernel keeps what it is told of their inodes. */
import type { HandleId, InodeId } from '../../ids.ts';
import type { Task } from '../../task.ts';
import type { KnownStat } from '../types.ts';
import { NOT_KEPT } from './keeping.ts';
import {
  entryValues,
  keptFor,
  type OperationContext,
  type Reply,
  toNode,
} from './operation-replies.ts';
import { DirectoryPage } from './reply.ts';
import type { RequestHeader, RequestOf } from './request.ts';

/**
 * One reply lists no more than this, whatever the kernel has room for (1 MiB, since readdir(3) takes `st_blksize` for
 * its buffer): some 2,000 names take a few milliseconds, in which nobody else is served.
 */
const MAX_LISTING_BYTES = 64 * 1024;

/** Smallest space that an entry with a short name takes in a page: fuse_dirent and fuse_direntplus with 8 bytes. */
const DIRENT_BYTES = 32;
const DIRENT_PLUS_BYTES = 160;

type Listing = Pick<RequestOf<'READDIR'>, 'header' | 'input'>;

export function readdir(context: OperationContext, { header, input }: Listing): Task<Reply> {
  return list(context, header, input, false);
}

export function readdirplus(context: OperationContext, { header, input }: Listing): Task<Reply> {
  return list(context, header, input, true);
}

function* list(
  context: OperationContext,
  header: RequestHeader,
  input: { fh: number; offset: number; size: number },
  withAttributes: boolean,
): Task<Reply> {
  const limitBytes = Math.min(input.size, MAX_LISTING_BYTES);
  const page = new DirectoryPage({ limitBytes, plus: withAttributes });
  const lookups: InodeId[] = [];
  const stats: KnownStat[] = [];
  const expectedEntries = Math.ceil(
    limitBytes / (withAttributes ? DIRENT_PLUS_BYTES : DIRENT_BYTES),
  );
  // More may have to be asked for in between, and what may be kept is less then.
  const adding: OperationContext = { ...context, keeping: NOT_KEPT };
  yield* context.vfs.readdir(
    input.fh as HandleId,
    { offset: input.offset, expectedEntries, withAttributes },
    {
      add(entry) {
        const { inode, stat } = entry;
        if (stat === undefined) return page.add(entry);
        const known = entryValues(adding, header.nodeid, { inode, stat });
        const taken = page.add({ ...entry, entry: known });
        if (taken) {
          lookups.push(inode);
          stats.push(stat);
        }
        return taken;
      },
    },
  );
  const { keeping } = context;
  if (lookups.length > 0 && keeping.entryMs(header.nodeid) > 0) {
    page.keep((index) => {
      const nodeid = toNode(context, lookups[index] as InodeId);
      return keptFor(keeping, header.nodeid, { nodeid, stat: stats[index] as KnownStat });
    });
  }
  return { parts: [page.reply(header.unique)], lookups };
}
