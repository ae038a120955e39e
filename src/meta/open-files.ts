/** What this client has open at one metadata server, so that it can be said again to a server that has forgotten it. */
import type { InodeId } from '../ids.ts';
import type { OpenLevel } from './store.ts';
import { OpenBit } from './tables.ts';

const BITS: Readonly<Record<OpenLevel, number>> = {
  none: 0,
  read: OpenBit.READ,
  write: OpenBit.READ | OpenBit.WRITE,
};

export class OpenFiles {
  readonly #bits = new Map<InodeId, number>();
  /** Gone when they were to be opened again. */
  readonly #lost = new Set<InodeId>();

  #set(inode: InodeId, bits: number): void {
    if (bits === 0) this.#bits.delete(inode);
    else this.#bits.set(inode, bits);
  }

  open(inode: InodeId, level: OpenLevel): void {
    this.#set(inode, (this.#bits.get(inode) ?? 0) | BITS[level]);
  }

  close(inode: InodeId, level: OpenLevel): void {
    this.#set(inode, (this.#bits.get(inode) ?? 0) & (OpenBit.HOLD | BITS[level]));
    if (level === 'none') this.#lost.delete(inode);
  }

  /** An orphan that this client still needs. */
  hold(inode: InodeId): void {
    this.#set(inode, (this.#bits.get(inode) ?? 0) | OpenBit.HOLD);
  }

  /** It has a name again. */
  endHold(inode: InodeId): void {
    this.#set(inode, (this.#bits.get(inode) ?? 0) & ~OpenBit.HOLD);
  }

  forget(inode: InodeId): void {
    this.#bits.delete(inode);
    this.#lost.delete(inode);
  }

  all(): [inode: InodeId, bits: number][] {
    return [...this.#bits];
  }

  lose(inode: InodeId): void {
    this.#bits.delete(inode);
    this.#lost.add(inode);
  }

  isLost(inode: InodeId): boolean {
    return this.#lost.has(inode);
  }
}
