/** What is known of a regular file's data, as the stores want to be told it. Pure. */
import type { DataAttributes, DatasetView } from '../blocks/store.ts';
import type { DataReport, InodeRecord } from '../meta/store.ts';
import type { OpenFile } from './handles.ts';

/** The part of a record that block 0 is authoritative for. */
export function attributesIn(record: InodeRecord): DataAttributes {
  const { sizeBytes, storedBytes, atime, mtime, ctime } = record;
  const { dataVersion, generation, truncatedBytes } = record;
  return { sizeBytes, storedBytes, atime, mtime, ctime, dataVersion, generation, truncatedBytes };
}

/** How its blocks are addressed. */
export function viewOf(record: InodeRecord, attributes: DataAttributes | undefined): DatasetView {
  const { inode, uri, layout, mapEpoch, home } = record;
  const { generation, truncatedBytes } = attributes ?? { generation: 0, truncatedBytes: 0 };
  return { inode, uri, layout, mapEpoch, home, generation, truncatedBytes };
}

/** What the metadata server is told of a file; nothing before block 0 exists. */
export function reportOf(file: OpenFile): DataReport | undefined {
  return file.born ? file.known : undefined;
}
