/** What a namespace should do, on plain maps: from the man pages, for the operations that the cluster is tested with. */

export const ROOT = 1;

/** A name in a directory, by inode number. */
export interface Place {
  parent: number;
  name: string;
}

export type Operation =
  | { kind: 'create' | 'mkdir' | 'unlink' | 'rmdir'; at: Place }
  | { kind: 'link'; inode: number; at: Place }
  | { kind: 'rename'; from: Place; to: Place; flag: 'none' | 'noReplace' | 'exchange' };

export interface ModelNode {
  directory: boolean;
  nlink: number;
  /** Of a directory. */
  parent: number;
  entries: Map<string, number>;
}

class ModelError extends Error {}

function fail(code: string): never {
  throw new ModelError(code);
}

export class NamespaceModel {
  readonly nodes = new Map<number, ModelNode>([[ROOT, newNode(true, ROOT)]]);

  /** 'OK' or the name of an errno. `made` is the number that a new inode got. */
  apply(operation: Operation, made: number): string {
    try {
      this.#apply(operation, made);
      return 'OK';
    } catch (error) {
      if (error instanceof ModelError) return error.message;
      throw error;
    }
  }

  lookup({ parent, name }: Place): number | undefined {
    return this.nodes.get(parent)?.entries.get(name);
  }

  #apply(operation: Operation, made: number): void {
    switch (operation.kind) {
      case 'create':
      case 'mkdir':
        this.#make(operation.at, operation.kind === 'mkdir', made);
        break;
      case 'link':
        this.#link(operation.inode, operation.at);
        break;
      case 'unlink':
        this.#unlink(operation.at);
        break;
      case 'rmdir':
        this.#rmdir(operation.at);
        break;
      case 'rename':
        this.#rename(operation);
    }
  }

  #node(inode: number): ModelNode {
    return this.nodes.get(inode) ?? fail('ESTALE');
  }

  #directory(inode: number): ModelNode {
    const node = this.#node(inode);
    return node.directory ? node : fail('ENOTDIR');
  }

  #live(inode: number): ModelNode {
    const node = this.#directory(inode);
    return node.nlink > 0 ? node : fail('ENOENT');
  }

  #make({ parent: at, name }: Place, directory: boolean, made: number): void {
    const parent = this.#live(at);
    if (parent.entries.has(name)) fail('EEXIST');
    if (this.nodes.has(made)) throw new Error(`inode ${made} was made twice`);
    parent.entries.set(name, made);
    if (directory) parent.nlink++;
    this.nodes.set(made, newNode(directory, at));
  }

  #link(inode: number, { parent: at, name }: Place): void {
    const parent = this.#live(at);
    if (parent.entries.has(name)) fail('EEXIST');
    const node = this.#node(inode);
    if (node.directory) fail('EPERM');
    if (node.nlink === 0) fail('ENOENT');
    node.nlink++;
    parent.entries.set(name, inode);
  }

  #unlink({ parent: at, name }: Place): void {
    const parent = this.#directory(at);
    const node = this.#node(parent.entries.get(name) ?? fail('ENOENT'));
    if (node.directory) fail('EISDIR');
    parent.entries.delete(name);
    node.nlink--;
  }

  #rmdir({ parent: at, name }: Place): void {
    const parent = this.#directory(at);
    const node = this.#node(parent.entries.get(name) ?? fail('ENOENT'));
    if (!node.directory) fail('ENOTDIR');
    if (node.entries.size > 0) fail('ENOTEMPTY');
    parent.entries.delete(name);
    parent.nlink--;
    node.nlink = 0;
  }

  /** Whether `directory` is `place` or above it. */
  #isAbove(directory: number, place: number): boolean {
    for (let at = place; ; at = this.#node(at).parent) {
      if (at === directory) return true;
      if (at === ROOT) return false;
    }
  }

  #rename({ from, to, flag }: Operation & { kind: 'rename' }): void {
    const fromParent = this.#live(from.parent);
    const toParent = this.#live(to.parent);
    const moved = fromParent.entries.get(from.name) ?? fail('ENOENT');
    const other = toParent.entries.get(to.name);
    if (other !== undefined && flag === 'noReplace') fail('EEXIST');
    if (other === undefined && flag === 'exchange') fail('ENOENT');
    const across = from.parent !== to.parent;
    const node = this.#node(moved);
    if (across && node.directory && this.#isAbove(moved, to.parent)) fail('EINVAL');
    if (other === undefined) {
      this.#move(moved, from, to);
      return;
    }
    const lost = this.#node(other);
    if (across && flag === 'exchange' && lost.directory && this.#isAbove(other, from.parent)) {
      fail('EINVAL');
    }
    if (moved === other) return;
    if (flag === 'exchange') {
      fromParent.entries.delete(from.name);
      if (node.directory) fromParent.nlink--;
      this.#move(other, to, from);
      this.#put(moved, to);
      return;
    }
    if (node.directory && !lost.directory) fail('ENOTDIR');
    if (!node.directory && lost.directory) fail('EISDIR');
    if (lost.entries.size > 0) fail('ENOTEMPTY');
    toParent.entries.delete(to.name);
    if (lost.directory) toParent.nlink--;
    lost.nlink = lost.directory ? 0 : lost.nlink - 1;
    this.#move(moved, from, to);
  }

  #move(inode: number, from: Place, to: Place): void {
    this.#node(from.parent).entries.delete(from.name);
    if (this.#node(inode).directory) this.#node(from.parent).nlink--;
    this.#put(inode, to);
  }

  #put(inode: number, { parent, name }: Place): void {
    const node = this.#node(inode);
    this.#node(parent).entries.set(name, inode);
    if (!node.directory) return;
    this.#node(parent).nlink++;
    node.parent = parent;
  }
}

function newNode(directory: boolean, parent: number): ModelNode {
  return { directory, nlink: directory ? 2 : 1, parent, entries: new Map() };
}
