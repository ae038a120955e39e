/** The `kernel` engine: mounts, serves the session from the event loop, and says how it ended. */
import { open, readFile } from 'node:fs/promises';
import type { Logger } from '../../log.ts';
import type { Engine, EngineEnd, MountRequest, UnmountMode } from '../engine.ts';
import type { Vfs } from '../vfs.ts';
import { KernelDevice } from './device.ts';
import { type FuseMount, mountFuse } from './mount.ts';
import { type PayloadSource, Session } from './session.ts';

export interface KernelEngineOptions {
  vfs: Vfs;
  payloads: PayloadSource;
  request: MountRequest;
  logger: Logger;
  /** Logs one line for each request. */
  debug: boolean;
}
