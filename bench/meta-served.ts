/**
 * What files cost in the memory of a metadata server, and whether it answers others while one client lists them:
 * `npm run bench:meta-served -- [--quick]`. A full run fails when a figure exceeds what the project promises.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SystemClock } from '../src/clock.ts';
import { type EntrySequence, type InodeId, ROOT_INODE } from '../src/ids.ts';
import { silentLogger } from '../src/log.ts';
import { RemoteMetaStore } from '../src/meta/client.ts';
import { ClusterClient } from '../src/meta/cluster-client.ts';
import type { Address } from '../src/net/call.ts';
import { randomId } from '../src/net/handshake.ts';
import { Peer } from '../src/net/peer.ts';
import { loadSecret } from '../src/net/secret.ts';
import { FileType } from '../src/stat.ts';
import { serve } from './harness/detached.ts';
import { interruption, runBenchmark } from './harness/interruption.ts';
import { Place } from './harness/place.ts';
import { sharedOptions } from './harness/shared-options.ts';

const MiB = 1024 * 1024;
const PORT = 5569;
const { quick } = sharedOptions();
const FILES = quick ? 2_000 : 1_000_000;
/** RSS without what is mapped of the database. */
const MOST_BYTES = 600 * MiB;
/** Requests that the client which creates has under way. */
const AT_ONCE = 256;
const PAGE_ENTRIES = 512;

/** A process's resident memory by kind; the database is a mapped file. */
interface Resident {
  readonly rss: number;
  readonly anonymous: number;
  readonly mapped: number;
}

function residentOf(pid: number): Resident {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (name: string): number =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
  return { rss: of('VmRSS'), anonymous: of('RssAnon'), mapped: of('RssFile') + of('RssShmem') };
}

const megabytes = (bytes: number): string => `${(bytes / MiB).toFixed(1)} MiB`;

function describe(name: string, { rss, anonymous, mapped }: Resident): void {
  console.log(
    `  ${name}: RSS ${megabytes(rss)}: anonymous ${megabytes(anonymous)}, mapped files ${megabytes(mapped)}`,
  );
}

interface Client {
  readonly meta: RemoteMetaStore;
}

/** A client of the server with a connection of its own, closed with the place. */
function connect(
  place: Place,
  { address, secret, clusterId }: { address: Address; secret: Buffer; clusterId: string },
): Client {
  const peers: Peer[] = [];
  const hello = { role: 'meta', clientId: randomId(), clusterId } as const;
  const meta = new RemoteMetaStore((hooks) => {
    const peer = new Peer({
      ...{ address, hello, secret, reading: 'small', logger: silentLogger },
      ...hooks,
    });
    peers.push(peer);
    return peer;
  });
  place.atEnd(async () => {
    for (const peer of peers) await peer.close();
  });
  return { meta };
}

const nameOf = (index: number): Buffer => Buffer.from(`file-${String(index).padStart(7, '0')}`);

async function createFiles({ meta }: Client, parent: InodeId): Promise<void> {
  const spec = { mode: FileType.REGULAR | 0o644, uid: 1000, gid: 1000 };
  let next = 0;
  const creator = async (): Promise<void> => {
    while (next < FILES) {
      interruption.throwIfAborted();
      await meta.create({ parent, name: nameOf(next++) }, spec);
    }
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, creator));
  const rate = (FILES * 1000) / (performance.now() - startMs);
  console.log(`  create: ${Math.round(rate).toLocaleString('en')}/s, ${AT_ONCE} at once`);
}

/** Lists the directory with all attributes; resolves to the number of entries. */
async function listAll({ meta }: Client, directory: InodeId): Promise<number> {
  let count = 0;
  let after = 0 as EntrySequence;
  for (let upTo: EntrySequence | undefined; upTo === undefined || after < upTo;) {
    interruption.throwIfAborted();
    const page = { after, upTo, limit: PAGE_ENTRIES, withRecords: true };
    const { entries, upTo: end } = await meta.list(directory, page);
    upTo = end;
    count += entries.length;
    after = entries.at(-1)?.sequence ?? end;
  }
  return count;
}

/** Looks names up, one after the other, until the listing ends; prints how long each took. */
async function askMeanwhile(
  { meta }: Client,
  parent: InodeId,
  listing: Promise<number>,
): Promise<void> {
  let isListing = true;
  const done = listing.finally(() => (isListing = false));
  const tookMs: number[] = [];
  for (let index = 0; isListing; index = (index + 7919) % FILES) {
    const startMs = performance.now();
    await meta.lookup(parent, nameOf(index));
    tookMs.push(performance.now() - startMs);
  }
  const listed = await done;
  if (listed !== FILES) throw new Error(`${listed} of ${FILES} files were listed`);
  tookMs.sort((a, b) => a - b);
  const at = (part: number): string =>
    (tookMs[Math.floor(part * (tookMs.length - 1))] ?? NaN).toFixed(2);
  console.log(
    `  ${tookMs.length} lookups of another client meanwhile: median ${at(0.5)} ms, 99% within ${at(0.99)} ms, slowest ${at(1)} ms`,
  );
}

async function measure(place: Place): Promise<number> {
  const host = `127.210.${1 + (process.pid % 254)}.1`;
  const secretFile = join(place.folder, 'secret');
  const common = ['--listen', host, '--secret-file', secretFile];
  const pid = await serve(place, ['server', 'meta', ...common]);
  // It serves nobody before it knows its block servers.
  await serve(place, ['server', 'blocks', ...common, '--meta-hosts', host, '-S', '64M']);
  const secret = await loadSecret(secretFile);
  const address = { host, port: PORT };
  const joined = await ClusterClient.connect({
    metaServers: [address],
    secret,
    attach: {
      name: 'benchmark',
      list: undefined,
      layout: { policy: 'RR', blockSizeBytes: MiB, replication: 1 },
      blockSizeIsExplicit: false,
    },
    waitMs: 20_000,
    tell: () => undefined,
    clock: new SystemClock(),
    logger: silentLogger,
  });
  place.atEnd(() => joined.close());
  const { clusterId } = joined;
  const [creator, other] = [
    connect(place, { address, secret, clusterId }),
    connect(place, { address, secret, clusterId }),
  ];
  const spec = { mode: FileType.DIRECTORY | 0o755, uid: 0, gid: 0 };
  const { inode } = await creator.meta.create(
    { parent: ROOT_INODE, name: Buffer.from('files') },
    spec,
  );
  console.log(`A metadata server with ${FILES} files in one directory`);
  describe('idle', residentOf(pid));
  await createFiles(creator, inode);
  describe('full', residentOf(pid));
  const startMs = performance.now();
  const listing = listAll(creator, inode);
  await askMeanwhile(other, inode, listing);
  const rate = (FILES * 1000) / (performance.now() - startMs);
  console.log(`  list with attributes: ${Math.round(rate).toLocaleString('en')} entries/s`);
  const after = residentOf(pid);
  describe('listed', after);
  const own = after.rss - after.mapped;
  const holds = own <= MOST_BYTES;
  console.log(
    `  RSS beside mapped files: ${megabytes(own)}, ${holds ? 'at most' : 'MORE THAN'} ${megabytes(MOST_BYTES)}`,
  );
  // Small runs show that the benchmark works.
  return holds || quick ? 0 : 1;
}

await runBenchmark(async () => {
  const place = new Place();
  try {
    return await measure(place);
  } finally {
    await place.close();
  }
});
