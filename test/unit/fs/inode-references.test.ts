import test from 'ava';
import { InodeReferences } from '../../../src/fs/inode-references.ts';
import type { InodeId } from '../../../src/ids.ts';
import { InvariantError } from '../../../src/invariant.ts';

const inode = 7 as InodeId;

function tracked(): { references: InodeReferences; reaped: InodeId[] } {
  const reaped: InodeId[] = [];
  const references = new InodeReferences((id) => reaped.push(id));
  return { references, reaped };
}

test('an orphan that nobody refers to is reaped at once', (t) => {
  const { references, reaped } = tracked();
  references.orphaned(inode);
  t.deepEqual(reaped, [inode]);
});

test('an orphan lives until its lookups are forgotten and its handles dropped', (t) => {
  const { references, reaped } = tracked();
  references.addLookup(inode);
  references.addLookup(inode);
  references.addHandle(inode);
  references.orphaned(inode);
  references.forget(inode, 1);
  references.dropHandle(inode);
  t.deepEqual(reaped, []);
  t.deepEqual(references.useCounts(), { knownInodes: 1, lookups: 1, orphans: 1 });
  references.forget(inode, 1);
  t.deepEqual(reaped, [inode]);
  references.forget(inode, 1);
  t.deepEqual(reaped, [inode]);
});

test('an inode that has a name is not reaped', (t) => {
  const { references, reaped } = tracked();
  references.addLookup(inode);
  references.forget(inode, 1);
  t.deepEqual(reaped, []);
  t.is(references.lookedUpCount, 0);
});

test('forgetting more than was looked up counts as all', (t) => {
  const { references, reaped } = tracked();
  references.addLookup(inode);
  references.orphaned(inode);
  references.forget(inode, 99);
  t.deepEqual(reaped, [inode]);
});

test('the end of the mount reaps what was still open', (t) => {
  const { references, reaped } = tracked();
  references.addLookup(inode);
  references.addHandle(inode);
  references.orphaned(inode);
  references.forgetAll();
  t.deepEqual(reaped, [inode]);
});

test('dropping a handle twice is a bug', (t) => {
  const { references } = tracked();
  references.addHandle(inode);
  references.dropHandle(inode);
  t.throws(
    () => {
      references.dropHandle(inode);
    },
    { instanceOf: InvariantError },
  );
});
