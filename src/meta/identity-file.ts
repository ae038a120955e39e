/** Whose database a file is, found out before anybody serves it. */
import { DatabaseFile } from './database-file.ts';
import { decodeIdentity, FORMAT_VERSION, type Identity } from './identity.ts';
import { SystemKey, systemKey } from './keys.ts';
import { LmdbKeyValue } from './lmdb-kv.ts';

/**
 * The identity that the database at `path` has; undefined for one that is not there yet, or empty. Fails with
 * MetaOpenError where opening it would, and leaves it as it was.
 */
export async function readIdentity(path: string): Promise<Identity | undefined> {
  const file = DatabaseFile.open(path);
  if (file.isNew) {
    file.abandon();
    return undefined;
  }
  const database = LmdbKeyValue.open(path);
  try {
    const bytes = database.get(systemKey(SystemKey.IDENTITY));
    const identity = bytes === undefined ? undefined : decodeIdentity(bytes);
    return identity?.formatVersion === FORMAT_VERSION ? identity : undefined;
  } finally {
    await database.close();
    file.close();
  }
}
