/** Which block servers have been heard of lately, and what they told: the part of membership that no database keeps. */
import type { Clock } from '../clock.ts';

/** What a block server tells of itself with each heartbeat. */
export interface BlockReport {
  readonly usedBytes: number;
  readonly datasets: number;
  readonly requestsPerSecond: number;
  readonly uptimeMs: number;
  readonly clients: number;
}

/**
 * `awaited`: nobody has registered in this place; `up`: heard of lately; `silent`: its connection ended or it missed
 * heartbeats; `down`: silent for long, or it said that it ends.
 */
export type ServerState = 'awaited' | 'up' | 'silent' | 'down';

/** Block servers tell that they are alive this often. */
export const HEARTBEAT_MS = 2000;
/** Without a heartbeat for so long, a server is no longer up. */
export const SILENT_AFTER_MS = 3 * HEARTBEAT_MS;
/** Silent for so long, a server counts as down. */
export const DOWN_AFTER_MS = 30_000;

interface Sighting {
  incarnation: string;
  lastMs: number;
  connected: boolean;
  ended: boolean;
  report: BlockReport | undefined;
}

export class Presence {
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #sightings = new Map<number, Sighting>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
  }

  /** The server at `index` has registered, for the first time or over a new connection. */
  arrived(index: number, incarnation: string): void {
    const report = this.#of(index, incarnation)?.report;
    const lastMs = this.#clock.monotonicMs();
    this.#sightings.set(index, { incarnation, lastMs, connected: true, ended: false, report });
  }

  /** False if this life is not the one that is known here: it has to register. */
  heard(index: number, incarnation: string, report: BlockReport): boolean {
    const sighting = this.#of(index, incarnation);
    if (sighting === undefined || sighting.ended) return false;
    sighting.lastMs = this.#clock.monotonicMs();
    sighting.connected = true;
    sighting.report = report;
    return true;
  }

  /** Its connection has ended, by itself or because another took its place. */
  disconnected(index: number, incarnation: string): void {
    const sighting = this.#of(index, incarnation);
    if (sighting !== undefined) sighting.connected = false;
  }

  /** It said that it ends. */
  ended(index: number, incarnation: string): void {
    const sighting = this.#of(index, incarnation);
    if (sighting !== undefined) sighting.ended = true;
  }

  /** State of the server at `index`, of which the map knows the life `incarnation`. */
  stateOf(index: number, incarnation: string | undefined): ServerState {
    if (incarnation === undefined) return 'awaited';
    const sighting = this.#of(index, incarnation);
    const quietMs = this.quietMs(index, incarnation);
    if (sighting === undefined) return quietMs < DOWN_AFTER_MS ? 'silent' : 'down';
    if (sighting.ended || quietMs >= DOWN_AFTER_MS) return 'down';
    return sighting.connected && quietMs < SILENT_AFTER_MS ? 'up' : 'silent';
  }

  /** Milliseconds since this life was last heard of, or since we began to listen. */
  quietMs(index: number, incarnation: string): number {
    return this.#clock.monotonicMs() - (this.#of(index, incarnation)?.lastMs ?? this.#startedMs);
  }

  reportOf(index: number, incarnation: string): BlockReport | undefined {
    return this.#of(index, incarnation)?.report;
  }

  #of(index: number, incarnation: string): Sighting | undefined {
    const sighting = this.#sightings.get(index);
    return sighting?.incarnation === incarnation ? sighting : undefined;
  }
}
