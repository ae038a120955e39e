/** A payload that goes through this process, unless somebody needs it in memory. */
import type { Pipe, PipePool } from './pipe.ts';

/** Memory for a payload, and how to give it back. */
export interface Room {
  readonly bytes: Buffer;
  release(): void;
}

/** The bytes of one payload on their way through a pipe. They belong to the holder until {@link release}. */
export class PipedBytes {
  readonly lengthBytes: number;
  readonly #pool: PipePool;
  readonly #makeRoom: () => Room;
  #pipe: Pipe | undefined;
  #room: Room | undefined;

  /** `pipe` is from `pool`; whoever made the object fills it. `makeRoom` gives memory of at least `lengthBytes`. */
  constructor(parts: { pool: PipePool; pipe: Pipe; lengthBytes: number; makeRoom: () => Room }) {
    this.lengthBytes = parts.lengthBytes;
    this.#pool = parts.pool;
    this.#pipe = parts.pipe;
    this.#makeRoom = parts.makeRoom;
  }

  /** Where they are; undefined once they have been copied into memory, or released. */
  get pipe(): Pipe | undefined {
    return this.#pipe;
  }

  /** Another pipe of the same pool, to be given back; undefined if there is none. */
  spare(): Pipe | undefined {
    return this.#pool.take();
  }

  giveBack(spare: Pipe): void {
    this.#pool.give(spare);
  }

  /** In memory, until {@link release}. What has not arrived in the pipe yet is left to who would put it there. */
  get bytes(): Buffer {
    if (this.#room === undefined) {
      this.#room = this.#makeRoom();
      const pipe = this.#pipe;
      if (pipe !== undefined) pipe.read(this.#room.bytes.subarray(0, pipe.lengthBytes));
      this.#givePipeBack();
    }
    return this.#room.bytes.subarray(0, this.lengthBytes);
  }

  release(): void {
    this.#givePipeBack();
    this.#room?.release();
    this.#room = undefined;
  }

  #givePipeBack(): void {
    if (this.#pipe !== undefined) this.#pool.give(this.#pipe);
    this.#pipe = undefined;
  }
}
