/** Random namespace operations on the store and on a plain in-memory model must give the same results. */
import test from 'ava';
import fc from 'fast-check';
import { type EntrySequence, type InodeId, ROOT_INODE } from '../../../src/ids.ts';
import type { LocalMetaStore } from '../../../src/meta/local.ts';
import type { RenameFlags } from '../../../src/meta/store.ts';
import { at, DIRECTORY, FILE, openStore, outcome } from './helpers.ts';

interface Node {
  id: InodeId;
  /** Names in listing order, for a directory. */
  children: Map<string, Node> | undefined;
  links: number;
  parent: Node | undefined;
}

class ModelError extends Error {}

function fail(code: string): never {
  throw new ModelError(code);
}

/** What the man pages say, on plain maps; every directory ever made stays reachable through `directories`. */
class Model {
  readonly root: Node = { id: ROOT_INODE, children: new Map(), links: 2, parent: undefined };
  readonly directories: Node[] = [this.root];
  readonly files: Node[] = [];

  live(directory: Node): Map<string, Node> {
    if (directory.links === 0) fail('ENOENT');
    return directory.children ?? fail('ENOTDIR');
  }

  create(parent: Node, name: string, directory: boolean): Node {
    const children = this.live(parent);
    if (children.has(name)) fail('EEXIST');
    const made: Node = {
      id: 0 as InodeId,
      children: directory ? new Map() : undefined,
      links: directory ? 2 : 1,
      parent: directory ? parent : undefined,
    };
    children.set(name, made);
    if (directory) parent.links++;
    (directory ? this.directories : this.files).push(made);
    return made;
  }

  link(file: Node, parent: Node, name: string): void {
    const children = this.live(parent);
    if (children.has(name)) fail('EEXIST');
    if (file.links === 0) fail('ENOENT');
    children.set(name, file);
    file.links++;
  }

  remove(parent: Node, name: string, directory: boolean): void {
    const node = parent.children?.get(name) ?? fail('ENOENT');
    if (node.children === undefined && directory) fail('ENOTDIR');
    if (node.children !== undefined && !directory) fail('EISDIR');
    if (node.children !== undefined && node.children.size > 0) fail('ENOTEMPTY');
    parent.children?.delete(name);
    this.lose(parent, node);
  }

  lose(parent: Node, node: Node): void {
    if (node.children !== undefined) parent.links--;
    node.links = node.children === undefined ? node.links - 1 : 0;
  }

  isWithin(place: Node, ancestor: Node): boolean {
    for (let node: Node | undefined = place; node !== undefined; node = node.parent) {
      if (node === ancestor) return true;
    }
    return false;
  }

  rename(from: [Node, string], to: [Node, string], flags: RenameFlags): void {
    const sources = this.live(from[0]);
    const targets = this.live(to[0]);
    const moved = sources.get(from[1]) ?? fail('ENOENT');
    const other = targets.get(to[1]);
    if (other !== undefined && flags.noReplace === true) fail('EEXIST');
    if (other === undefined && flags.exchange === true) fail('ENOENT');
    if (this.isWithin(to[0], moved)) fail('EINVAL');
    if (flags.exchange === true && other && this.isWithin(from[0], other)) fail('EINVAL');
    if (moved === other) return;
    if (other !== undefined && flags.exchange === true) {
      sources.set(from[1], other);
      targets.set(to[1], moved);
      this.move(moved, from[0], to[0]);
      this.move(other, to[0], from[0]);
      return;
    }
    if (other !== undefined) {
      if (moved.children !== undefined && other.children === undefined) fail('ENOTDIR');
      if (moved.children === undefined && other.children !== undefined) fail('EISDIR');
      if (other.children !== undefined && other.children.size > 0) fail('ENOTEMPTY');
      this.lose(to[0], other);
    }
    sources.delete(from[1]);
    targets.delete(to[1]);
    targets.set(to[1], moved);
    this.move(moved, from[0], to[0]);
  }

  move(node: Node, from: Node, to: Node): void {
    if (node.children === undefined) return;
    node.parent = to;
    from.links--;
    to.links++;
  }
}

const NAMES = ['a', 'b', 'c'];
const name = fc.constantFrom(...NAMES);
const pick = fc.nat({ max: 50 });
const flags = fc.constantFrom<RenameFlags>({}, {}, { noReplace: true }, { exchange: true });
const operation = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('create' as const),
      pick,
      name,
      directory: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('link' as const), pick, name, file: pick }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('remove' as const),
      pick,
      name,
      directory: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('rename' as const),
      pick,
      name,
      toPick: pick,
      toName: name,
      flags,
    }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

function modelOutcome(action: () => void): string {
  try {
    action();
    return 'OK';
  } catch (error) {
    if (error instanceof ModelError) return error.message;
    throw error;
  }
}

/** Runs one operation on both and returns how each ended. */
function runBoth(store: LocalMetaStore, model: Model, step: Operation): [string, string] {
  const parent = model.directories[step.pick % model.directories.length] ?? model.root;
  const entry = at(step.name, parent.id);
  switch (step.op) {
    case 'create': {
      let made: Node | undefined;
      const expected = modelOutcome(() => {
        made = model.create(parent, step.name, step.directory);
      });
      const actual = outcome(() => {
        const { inode } = store.create(entry, step.directory ? DIRECTORY : FILE);
        if (made !== undefined) made.id = inode;
      });
      return [actual, expected];
    }
    case 'link': {
      const file = model.files[step.file % model.files.length];
      if (file === undefined) return ['OK', 'OK'];
      return [
        outcome(() => store.link(file.id, entry)),
        modelOutcome(() => {
          model.link(file, parent, step.name);
        }),
      ];
    }
    case 'remove':
      return [
        outcome(() => (step.directory ? store.rmdir(entry) : store.unlink(entry))),
        modelOutcome(() => {
          model.remove(parent, step.name, step.directory);
        }),
      ];
    case 'rename': {
      const to = model.directories[step.toPick % model.directories.length] ?? model.root;
      return [
        outcome(() => store.rename(entry, at(step.toName, to.id), step.flags)),
        modelOutcome(() => {
          model.rename([parent, step.name], [to, step.toName], step.flags);
        }),
      ];
    }
  }
}

/** Everything that can be seen of the store, in the shape that {@link expectedState} gives. */
function actualState(store: LocalMetaStore, model: Model): unknown {
  const directories = model.directories.map(({ id }) => {
    const record = store.inode(id);
    const entries = store
      .list(id, { after: 0 as EntrySequence, upTo: undefined, limit: 1000, withRecords: false })
      .entries.map((entry) => `${entry.name.toString()}=${entry.inode}`)
      .sort();
    const found = entries.map((line) => store.lookup(id, Buffer.from(line.slice(0, 1))).inode);
    const parent = record.nlink === 0 ? undefined : record.parent;
    return { id, links: record.nlink, size: record.sizeBytes, parent, entries, found };
  });
  return { directories, files: model.files.map(({ id }) => [id, store.inode(id).nlink]) };
}

function expectedState(model: Model): unknown {
  const directories = model.directories.map((node) => {
    const children = [...(node.children ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      id: node.id,
      links: node.links,
      size: 40 + 20 * children.length,
      parent: node.links === 0 ? undefined : (node.parent?.id ?? ROOT_INODE),
      entries: children.map(([childName, child]) => `${childName}=${child.id}`),
      found: children.map(([, child]) => child.id),
    };
  });
  return { directories, files: model.files.map((node) => [node.id, node.links]) };
}

test('random namespace operations end as they do in a simple model', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 60 }), async (steps) => {
      const store = await openStore(t);
      const model = new Model();
      for (const step of steps) {
        const [actual, expected] = runBoth(store, model, step);
        if (actual !== expected) {
          throw new Error(`${JSON.stringify(step)} gave ${actual}, the model ${expected}`);
        }
      }
      const seen = JSON.stringify(actualState(store, model));
      const wanted = JSON.stringify(expectedState(model));
      await store.close();
      if (seen !== wanted) throw new Error(`store: ${seen}\nmodel: ${wanted}`);
    }),
    { numRuns: 150 },
  );
  t.pass();
});
