/** A block server that is there to be killed: port and epoch of its birth as arguments, its port on stdout. */
import { writeSync } from 'node:fs';
import { startBlockShards } from '../../src/blocks/threads.ts';
import { silentLogger } from '../../src/log.ts';

const [, , port = '0', bornEpoch = '0', threads = '1', cluster = '', secret = ''] = process.argv;

const shards = await startBlockShards({
  address: { host: '127.0.0.1', port: Number(port) },
  threads: Number(threads),
  capacityBytes: 512 * 2 ** 20,
  blockSizeBytes: 2 ** 20,
  secret: Buffer.from(secret, 'hex'),
  logger: silentLogger,
  onFailure: (error) => {
    throw error;
  },
});
await shards.setBornEpoch(Number(bornEpoch), cluster, 0);
writeSync(1, `${shards.address.port}\n`);
