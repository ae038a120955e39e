/** The suite of all block stores, on those that need no net. */
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import { StripedBlockStore } from '../../../src/blocks/striped-store.ts';
import { SystemClock } from '../../../src/clock.ts';
import { makeLocator, MIB } from '../../support/block-datasets.ts';
import { declareBlockSuite, type SuiteOptions } from '../../support/block-suite.ts';

function makeMemory({ capacityBytes, bornEpoch }: SuiteOptions): MemoryBlockStore {
  const clock = new SystemClock();
  const store = new MemoryBlockStore({ capacityBytes, blockSizeBytes: MIB, clock });
  store.bornEpoch = bornEpoch;
  return store;
}

declareBlockSuite('memory', (options) => ({ store: makeMemory(options) }));

for (const count of [1, 3]) {
  declareBlockSuite(`${count} servers`, (options) => ({
    store: new StripedBlockStore({
      members: Array.from({ length: count }, () => makeMemory(options)),
      locator: makeLocator(),
    }),
  }));
}
